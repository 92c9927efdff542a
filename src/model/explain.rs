//! Why a document has its topic, or none: the vote behind the answer, taken apart.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::document::start_of;
use crate::kernel::dot::dot;
use crate::kernel::unit::{self, UnitRows};
use crate::keywords::{self, Bag, Weights};
use crate::model::assign::{Checked, assign, distribution};
use crate::model::state::State;
use crate::model::topic::TopicId;
use crate::model::version::TopicModel;

/// Near members that are shown.
const MEMBERS: usize = 10;
/// Contributing terms that are shown.
const TERMS: usize = 10;
/// Terms of a topic among which contributing ones are looked for.
const TOPIC_TERMS: usize = 500;
/// Bytes of a near member's text.
const TEXT_BYTES: usize = 200;

/// An answer taken apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// What is known of the document beside its text; none for a text that was only asked about.
    pub document: Option<Known>,
    /// The topic that the rule gives it now, under the version in force; none for an outlier.
    pub topic: Option<Candidate>,
    /// The version in force.
    pub version: u64,
    /// Why, in words.
    pub why: String,
    /// Share of the votes between the strongest topic and the next.
    pub margin: f32,
    /// Share of the votes that a topic must win.
    pub needed: f32,
    /// Every topic that got votes, strongest first; what is missing to 1 voted for none.
    pub candidates: Vec<Candidate>,
    /// The topic whose centroid is nearest, among those that it does not have.
    pub alternative: Option<Candidate>,
    /// The members nearest to it, nearest first.
    pub nearest: Vec<Neighbour>,
    /// Terms of the text that speak for its topic (for an outlier: for the strongest), by c-TF-IDF, best first.
    pub terms: Vec<Term>,
}

/// What is known of a kept document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// Its id.
    pub id: Arc<str>,
    /// The topic that it has by its records, redirects followed; it may have got it from an earlier version.
    pub topic: Option<TopicId>,
    /// Documents of the stream when it came.
    pub arrived: u64,
    /// Documents that have come since.
    pub since: u64,
    /// Refits that looked at it.
    pub refits: u16,
    /// Assignments that were published for it.
    pub revision: u16,
    /// When it was written, in ms since 1970, if known.
    pub timestamp_ms: Option<i64>,
}

/// A topic and how it relates to the document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its id.
    pub id: TopicId,
    /// Its name.
    pub name: String,
    /// Its share of the votes.
    pub share: f32,
    /// Cosine of the document to its centroid.
    pub similarity: f32,
    /// The cosine below which it takes no document.
    pub floor: f32,
}

/// A member near to the document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Its id.
    pub id: Arc<str>,
    /// The topic that it votes for; none for noise.
    pub topic: Option<TopicId>,
    /// Its cosine to the document.
    pub similarity: f32,
    /// The start of its text.
    pub text: String,
}

/// A term that the document and a topic share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Term {
    /// The term.
    pub term: String,
    /// Its c-TF-IDF in the topic, once for each time that it occurs in the document.
    pub score: f64,
}

/// What is asked about: an embedding of length 1, and the words of the text.
#[derive(Debug, Clone)]
pub struct Subject {
    /// `d` numbers.
    pub embedding: Arc<[f32]>,
    /// The words that count.
    pub words: Bag,
    /// Its id, if it is a document and not just a text.
    pub id: Option<Arc<str>>,
}

impl State {
    /// The kept document `id`, to be explained.
    pub fn subject(&self, id: &str) -> Option<Subject> {
        let (_, kept, _) = self.held().iter().find(|(_, kept, _)| &*kept.id == id)?;
        Some(Subject {
            embedding: kept.embedding.clone(),
            words: kept.words.clone(),
            id: Some(kept.id.clone()),
        })
    }

    fn known(&self, id: &str) -> Option<Known> {
        let (_, kept, standing) = self.held().iter().find(|(_, kept, _)| &*kept.id == id)?;
        Some(Known {
            id: kept.id.clone(),
            topic: standing.topic,
            arrived: kept.arrived,
            since: self.totals().documents.saturating_sub(kept.arrived),
            refits: standing.refits,
            revision: standing.revision,
            timestamp_ms: kept.timestamp_ms,
        })
    }
}

/// Takes the answer about `subject` apart. O(kept documents × d).
///
/// # Errors
/// The embedding is not of length 1, or of another length than the model's.
pub fn explain(
    state: &State,
    model: &TopicModel,
    subject: &Subject,
    rule: &Checked,
    words: &keywords::Params,
) -> Result<Explanation, unit::Error> {
    let rows = UnitRows::from_rows(model.dim(), [&*subject.embedding])?;
    let candidate = |id: TopicId, share: f32| {
        let topic = model.topics.get(&id)?;
        let similarity = dot(&topic.centroid, &subject.embedding);
        Some(Candidate { id, name: topic.name.clone(), share, similarity, floor: topic.floor })
    };
    let shares = distribution(model, &rows, rule).pop().unwrap_or_default();
    let candidates: Vec<Candidate> =
        shares.into_iter().filter_map(|(id, share)| candidate(id, share)).collect();
    let share_of = |id: TopicId| candidates.iter().find(|one| one.id == id).map_or(0.0, |one| one.share);
    let given = assign(model, &rows, rule).pop().and_then(|assignment| assignment.topic);
    let topic = given.and_then(|id| candidate(id, share_of(id)));
    let other = model.nearest_topics(&subject.embedding).into_iter().find(|(id, _)| Some(*id) != given);
    let next = candidates.iter().filter(|one| Some(one.id) != given).map(|one| one.share).next();
    let strongest = candidates.first();
    let margin = topic.as_ref().or(strongest).map_or(0.0, |one| one.share)
        - if given.is_some() { next } else { candidates.get(1).map(|one| one.share) }.unwrap_or(0.0);
    let spoken_for = given.or(strongest.map(|one| one.id));
    Ok(Explanation {
        document: subject.id.as_ref().and_then(|id| state.known(id)),
        version: model.number,
        why: why(
            model,
            topic.as_ref(),
            &candidates,
            rule.needed(model),
            model.seeds.near(&subject.embedding),
        ),
        margin,
        needed: rule.needed(model),
        alternative: other.and_then(|(id, _)| candidate(id, share_of(id))),
        nearest: nearest(state, subject),
        terms: spoken_for.map(|id| terms(state, id, &subject.words, words)).unwrap_or_default(),
        topic,
        candidates,
    })
}

fn why(
    model: &TopicModel,
    topic: Option<&Candidate>,
    candidates: &[Candidate],
    needed: f32,
    seeded: Option<TopicId>,
) -> String {
    if model.topics.is_empty() {
        return "there are no topics yet".to_owned();
    }
    if let Some(topic) = topic.filter(|topic| seeded == Some(topic.id)) {
        return format!("it is near to the seed of topic {}, which goes before any vote", topic.id);
    }
    match (topic, candidates.first()) {
        (Some(topic), _) => {
            format!(
                "topic {} won {:.2} of its neighbours' votes, {needed:.2} are needed",
                topic.id, topic.share
            )
        }
        (None, None) => "all its neighbours are outliers themselves".to_owned(),
        (None, Some(best)) if best.share < needed => format!(
            "no topic won {needed:.2} of its neighbours' votes; the strongest, topic {}, won {:.2}",
            best.id, best.share
        ),
        (None, Some(best)) => format!(
            "topic {} won {:.2} of its neighbours' votes, but the cosine to its centroid, {:.3}, is below its floor, {:.3}",
            best.id, best.share, best.similarity, best.floor
        ),
    }
}

fn nearest(state: &State, subject: &Subject) -> Vec<Neighbour> {
    let mut found: Vec<_> = (state.held().iter())
        .filter(|(_, kept, standing)| standing.entry && Some(&kept.id) != subject.id.as_ref())
        .map(|(sequence, kept, standing)| {
            (dot(&kept.embedding, &subject.embedding), sequence, kept, standing.topic)
        })
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let nearest = found.into_iter().take(MEMBERS).map(|(similarity, _, kept, topic)| Neighbour {
        id: kept.id.clone(),
        topic,
        similarity,
        text: start_of(&kept.text, TEXT_BYTES).to_owned(),
    });
    nearest.collect()
}

fn terms(state: &State, topic: TopicId, words: &Bag, params: &keywords::Params) -> Vec<Term> {
    let weights = Weights::new(state.counts(), params);
    let mut shared: Vec<Term> = (weights.keywords(Some(topic), TOPIC_TERMS).into_iter())
        .filter(|keyword| words.count(&keyword.term) > 0)
        .map(|keyword| Term {
            score: keyword.score * f64::from(words.count(&keyword.term)),
            term: keyword.term,
        })
        .collect();
    shared.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.term.cmp(&b.term)));
    shared.truncate(TERMS);
    shared
}
