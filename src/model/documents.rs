//! The kept documents, page by page: those of a topic, and those in which words stand.

use std::cmp::Reverse;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::document::{Fields, Sequence};
use crate::kernel::dot::dot;
use crate::model::breakdown::field_of;
use crate::model::evidence::Kept;
use crate::model::filter::Filter;
use crate::model::operate::Refusal;
use crate::model::state::State;
use crate::model::state::change::Standing;
use crate::model::topic::TopicId;

/// Documents on a page, at most.
pub const MOST: usize = 1000;

/// Which documents are wanted, and in which order.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wanted {
    /// A topic's id; −1 for the outliers; if none, of all.
    pub topic: Option<i64>,
    /// Words that must all stand in a text, in any case; a part of a word counts too. If empty, all texts.
    pub q: String,
    /// A condition on the kept fields; if none, all documents.
    pub r#where: Option<Filter>,
    /// The nearest to the topic's centroid first, in place of the newest.
    pub nearest: bool,
    /// From 1.
    pub page: usize,
    /// Documents on a page, at most [`MOST`].
    pub limit: usize,
}

/// A page of the kept documents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// The topic: the one that was asked for, or the one that took it in; −1 for the outliers.
    pub topic: Option<i64>,
    /// Documents that it has in all.
    pub size: u64,
    /// Of these, documents that the state keeps: a sample, outliers and anchors.
    pub kept: usize,
    /// Of these, documents with all the words that fulfil the condition.
    pub found: usize,
    /// Those of this page.
    pub documents: Vec<Listed>,
}

/// One kept document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// Its id.
    pub id: Arc<str>,
    /// Its topic; −1 for an outlier.
    pub topic: i64,
    /// When it was written, in ms since 1970, if known.
    pub timestamp_ms: Option<i64>,
    /// Cosine to the centroid of the topic that was asked for, in [-1, 1].
    pub similarity: Option<f32>,
    /// The start of its text.
    pub text: String,
    /// Its kept fields; absent where there are none.
    #[serde(skip_serializing_if = "Fields::is_empty", default)]
    pub fields: Fields,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such topic.
    #[error(transparent)]
    Topic(#[from] Refusal),
    /// There is no centroid to be near to.
    #[error(
        "only the documents of one topic have an order by similarity; name a topic, or leave out `nearest`"
    )]
    Nearest,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { topic: None, q: String::new(), r#where: None, nearest: false, page: 1, limit: 20 }
    }
}

struct Found<'a> {
    sequence: Sequence,
    kept: &'a Kept,
    standing: Standing,
    similarity: Option<f32>,
}

impl State {
    /// A page of the kept documents. O(kept documents × length of a text), and a sort of those found.
    ///
    /// # Errors
    /// There is no such topic, or no topic whose centroid could be near.
    pub fn documents(&self, wanted: &Wanted) -> Result<Page, Error> {
        let topic = wanted.topic.map(|id| self.meant(id)).transpose()?;
        let (size, centroid) = match topic {
            None => (self.totals().documents, None),
            Some(None) => (self.outliers().documents, None),
            Some(Some(id)) => {
                let sums = &self.topics()[&id].sums;
                (sums.documents, sums.centroid())
            }
        };
        if wanted.nearest && centroid.is_none() {
            return Err(Error::Nearest);
        }
        let words: Vec<String> = wanted.q.split_whitespace().map(str::to_lowercase).collect();
        let of_topic =
            (self.held().iter()).filter(|(.., standing)| topic.is_none_or(|id| standing.topic == id));
        let (mut kept_in_all, mut found) = (0, Vec::new());
        for (sequence, kept, standing) in of_topic {
            kept_in_all += 1;
            let fulfils = |filter: &Filter| filter.holds(|field| field_of(kept, field));
            if has_words(&kept.text, &words) && wanted.r#where.as_ref().is_none_or(fulfils) {
                let similarity = centroid.as_ref().map(|centroid| dot(centroid, &kept.embedding));
                found.push(Found { sequence, kept, standing, similarity });
            }
        }
        found.sort_by_key(|one| Reverse((one.kept.timestamp_ms, one.sequence)));
        if wanted.nearest {
            let nearness = |one: &Found| one.similarity.unwrap_or(0.0);
            found.sort_by(|one, other| nearness(other).total_cmp(&nearness(one)));
        }
        let limit = wanted.limit.clamp(1, MOST);
        let before = wanted.page.saturating_sub(1).saturating_mul(limit);
        Ok(Page {
            topic: topic.map(TopicId::to_record),
            size,
            kept: kept_in_all,
            found: found.len(),
            documents: found.iter().skip(before).take(limit).map(Found::listed).collect(),
        })
    }

    /// The living topic that `id` means; none for the outliers.
    fn meant(&self, id: i64) -> Result<Option<TopicId>, Refusal> {
        if id == TopicId::OUTLIER {
            return Ok(None);
        }
        // No topic has the largest id.
        self.whereabouts(TopicId(id.try_into().unwrap_or(u32::MAX))).map(Some)
    }
}

fn has_words(text: &str, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let text = text.to_lowercase();
    words.iter().all(|word| text.contains(word))
}

impl Found<'_> {
    fn listed(&self) -> Listed {
        Listed {
            id: self.kept.id.clone(),
            topic: TopicId::to_record(self.standing.topic),
            timestamp_ms: self.kept.timestamp_ms,
            similarity: self.similarity,
            text: self.kept.text.clone(),
            fields: self.kept.fields.clone(),
        }
    }
}
