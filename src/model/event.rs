//! What people are told when the model changes.

use serde::{Deserialize, Serialize};

use crate::keywords::Keyword;
use crate::model::topic::{Representative, TopicId, best_words, name_of};

/// One thing that happened, numbered without a gap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// 1 for the first event of a state, one more for each.
    pub number: u64,
    /// When it was decided, in ms since 1970.
    pub time_ms: i64,
    /// The model version that it belongs to.
    pub version: u64,
    /// What happened.
    pub happened: Happened,
}

/// What happened to a topic, or to the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Happened {
    /// A topic that was not there before.
    Created {
        /// The new topic.
        topic: Portrait,
    },
    /// Several topics turned out to be one; the others redirect to it for ever.
    Merged {
        /// The topic that stays.
        into: Portrait,
        /// The topics that ended, as they were.
        from: Vec<Portrait>,
    },
    /// Part of a topic became a topic of its own.
    Split {
        /// The new topic.
        topic: Portrait,
        /// The topic that it left.
        from: Portrait,
    },
    /// The keywords of a topic are other words than before.
    KeywordsChanged {
        /// The topic with its new keywords.
        topic: Portrait,
        /// The keywords before.
        before: Vec<Keyword>,
        /// Rank-weighted overlap of the two lists, in [0, 1].
        overlap: f64,
    },
    /// More documents come to a topic than its history lets one expect.
    Trending {
        /// The topic.
        topic: Portrait,
        /// Documents in the window just past.
        documents: u64,
        /// Documents that its history let one expect.
        expected: f64,
    },
    /// No document has come for long.
    Dormant {
        /// The topic.
        topic: Portrait,
    },
    /// A document came to a dormant topic.
    Revived {
        /// The topic.
        topic: Portrait,
    },
    /// An operator gave a topic a label, or took it back.
    Renamed {
        /// The topic with its new name.
        topic: Portrait,
        /// Its name before.
        before: String,
    },
    /// An operator wants a topic neither merged nor split.
    Pinned {
        /// The topic.
        topic: Portrait,
    },
    /// A topic may be merged and split again.
    Unpinned {
        /// The topic.
        topic: Portrait,
    },
    /// A topic ended without a heir; its documents, whatever their records name, are outliers.
    Forgotten {
        /// The topic, as it was.
        topic: Portrait,
    },
    /// A topic that had ended is back under its id, with the documents whose records name it.
    Restored {
        /// The topic.
        topic: Portrait,
    },
    /// The topics are those of an earlier version again.
    RolledBack {
        /// The version that was gone back to.
        to: u64,
    },
    /// A document was erased; whoever holds something of it must do so too.
    DocumentForgotten {
        /// Its id.
        document: String,
    },
    /// A refit came to topics that are no better than those in force, which stay.
    Rejected {
        /// The refit's number.
        refit: u64,
        /// Why.
        reason: String,
    },
    /// A new version of the model is in force.
    Published {
        /// Live topics in it.
        topics: usize,
        /// Documents that it rests on.
        documents: u64,
        /// Of those, documents without a topic.
        outliers: u64,
    },
    /// In a topic, the share of a value of a kept field is another one than before.
    FieldShifted {
        /// The topic.
        topic: Portrait,
        /// The field.
        field: String,
        /// The value; empty once every document that had it is forgotten.
        value: String,
        /// Its share before, of the documents that have the field.
        before: f64,
        /// Its share since the refit before.
        after: f64,
        /// Documents since then that were compared.
        documents: u64,
        /// Documents absorbed in all at the refit before.
        from: u64,
    },
}

/// What a reader needs to know a topic again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Portrait {
    /// Its id.
    pub id: TopicId,
    /// Its name at that time.
    pub name: String,
    /// Its size at that time.
    pub size: u64,
    /// Its keywords at that time.
    pub keywords: Vec<Keyword>,
    /// Its representative documents at that time.
    pub representative: Vec<Representative>,
}

impl Happened {
    /// The event's type as consumers filter it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Created { .. } => "topic.created",
            Self::Merged { .. } => "topic.merged",
            Self::Split { .. } => "topic.split",
            Self::KeywordsChanged { .. } => "topic.keywords_changed",
            Self::Trending { .. } => "topic.trending",
            Self::Dormant { .. } => "topic.dormant",
            Self::Revived { .. } => "topic.revived",
            Self::Renamed { .. } => "topic.renamed",
            Self::Pinned { .. } => "topic.pinned",
            Self::Unpinned { .. } => "topic.unpinned",
            Self::Forgotten { .. } => "topic.forgotten",
            Self::Restored { .. } => "topic.restored",
            Self::RolledBack { .. } => "model.rolled_back",
            Self::DocumentForgotten { .. } => "document.forgotten",
            Self::Rejected { .. } => "model.rejected",
            Self::Published { .. } => "model.published",
            Self::FieldShifted { .. } => "topic.field_shifted",
        }
    }

    /// The topic that it is about; none for the model as a whole.
    pub fn topic(&self) -> Option<&Portrait> {
        match self {
            Self::Created { topic }
            | Self::Split { topic, .. }
            | Self::KeywordsChanged { topic, .. }
            | Self::Trending { topic, .. }
            | Self::Dormant { topic }
            | Self::Revived { topic }
            | Self::Renamed { topic, .. }
            | Self::Pinned { topic }
            | Self::Unpinned { topic }
            | Self::Forgotten { topic }
            | Self::FieldShifted { topic, .. }
            | Self::Restored { topic } => Some(topic),
            Self::Merged { into, .. } => Some(into),
            Self::RolledBack { .. }
            | Self::DocumentForgotten { .. }
            | Self::Rejected { .. }
            | Self::Published { .. } => None,
        }
    }

    /// Every topic that it shows.
    pub(super) fn portraits_mut(&mut self) -> Vec<&mut Portrait> {
        match self {
            Self::Created { topic }
            | Self::KeywordsChanged { topic, .. }
            | Self::Trending { topic, .. }
            | Self::Dormant { topic }
            | Self::Revived { topic }
            | Self::Renamed { topic, .. }
            | Self::Pinned { topic }
            | Self::Unpinned { topic }
            | Self::Forgotten { topic }
            | Self::FieldShifted { topic, .. }
            | Self::Restored { topic } => vec![topic],
            Self::Split { topic, from } => vec![topic, from],
            Self::Merged { into, from } => std::iter::once(into).chain(from).collect(),
            Self::RolledBack { .. }
            | Self::DocumentForgotten { .. }
            | Self::Rejected { .. }
            | Self::Published { .. } => Vec::new(),
        }
    }

    /// The keywords that it says a topic had before.
    pub(super) fn keywords_before_mut(&mut self) -> Option<&mut Vec<Keyword>> {
        if let Self::KeywordsChanged { before, .. } = self { Some(before) } else { None }
    }

    /// One line for people.
    pub fn summary(&self) -> String {
        match self {
            Self::Created { topic } => format!("new topic {topic}, {} documents", topic.size),
            Self::Merged { into, from } => {
                let ended: Vec<String> = from.iter().take(NAMED).map(ToString::to_string).collect();
                let others = from.len().saturating_sub(NAMED);
                let others = if others > 0 { format!("; and {others} more") } else { String::new() };
                format!("topic {into} took in {}{others}", ended.join("; "))
            }
            Self::Split { topic, from } => format!("topic {topic} split from {from}"),
            Self::KeywordsChanged { topic, before, .. } => {
                format!(
                    "topic {} is now about {}; before: {}",
                    topic.id,
                    best_words(&topic.keywords),
                    best_words(before)
                )
            }
            Self::Trending { topic, documents, expected } => {
                format!("topic {topic} is trending: {documents} documents where {expected:.1} were expected")
            }
            Self::Dormant { topic } => format!("topic {topic} is dormant"),
            Self::Revived { topic } => format!("topic {topic} is back"),
            Self::Renamed { topic, before } => format!("topic {topic} was called {before}"),
            Self::Pinned { topic } => format!("topic {topic} is pinned"),
            Self::Unpinned { topic } => format!("topic {topic} is unpinned"),
            Self::Forgotten { topic } => {
                format!("topic {topic} is no more; its {} documents are outliers", topic.size)
            }
            Self::Restored { topic } => format!("topic {topic} is restored, {} documents", topic.size),
            Self::RolledBack { to } => format!("the topics are those of version {to} again"),
            Self::DocumentForgotten { document } => format!("document {document} is forgotten"),
            Self::Rejected { refit, reason } => format!("refit {refit} was rejected: {reason}"),
            Self::Published { topics, documents, outliers } => {
                let share = if *documents == 0 { 0.0 } else { *outliers as f64 / *documents as f64 };
                format!("{topics} topics over {documents} documents, {:.0} % outliers", share * 100.0)
            }
            Self::FieldShifted { topic, field, value, before, after, .. } => {
                let [before, after] = [before, after].map(|share| share * 100.0);
                format!(
                    "in topic {topic}, {field} is {value} in {after:.0} % of the documents; before: {before:.0} %"
                )
            }
        }
    }
}

/// Topics that a summary names.
const NAMED: usize = 20;

impl std::fmt::Display for Portrait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Keywords read better than the name that BERTopic makes of them.
        let of_keywords = self.name == name_of(self.id, &self.keywords);
        let name = if of_keywords { best_words(&self.keywords) } else { self.name.clone() };
        write!(f, "{} ({name})", self.id)
    }
}
