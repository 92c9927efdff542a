//! What an operator may do to the topics. Each action makes a version, is told as an event, and has an opposite:
//!
//! | action | undone by |
//! | --- | --- |
//! | merge 27 into 22 | restore 27 |
//! | forget topic 7 | restore 7 |
//! | rename 7 | rename 7, to another label or to none |
//! | pin 7 | unpin 7 |
//! | roll back to version 12 | roll back to the version before, as long as it is kept |
//! | forget a document | nothing: that is the point |

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::checkpoint::Position;
use crate::model::topic::TopicId;
use crate::model::version::BrokenEntry;

/// Characters of a label, at most: it stands in each assignment to its topic.
pub const MOST_LABEL_CHARACTERS: usize = 200;

/// An order of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// These topics are one; they redirect to `into` for ever, or until they are restored.
    Merge {
        /// The topics that end.
        from: Vec<TopicId>,
        /// The topic that stays.
        into: TopicId,
    },
    /// A topic is called `label` from now on, whatever its keywords; without a label, by its keywords again.
    Rename {
        /// The topic.
        topic: TopicId,
        /// Its label.
        label: Option<String>,
    },
    /// A topic is never merged or split by a refit.
    Pin {
        /// The topic.
        topic: TopicId,
    },
    /// A topic may be merged and split again.
    Unpin {
        /// The topic.
        topic: TopicId,
    },
    /// A topic ends and its documents are outliers; a later refit may find the subject again, under a new id.
    ForgetTopic {
        /// The topic.
        topic: TopicId,
    },
    /// A topic that was merged or forgotten comes back under its old id, with the documents whose records name it.
    Restore {
        /// The topic.
        topic: TopicId,
    },
    /// The topics are again those of an earlier version.
    Rollback {
        /// The version; without one, that before the version in force.
        version: Option<u64>,
    },
    /// Right to erasure: a document leaves the state, its texts, sums and counts.
    Forget {
        /// The document's id.
        document: String,
    },
}

/// Why an action is not carried out; nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No such topic.
    #[error("there is no topic `{topic}`; `topicd topics` lists them")]
    NoTopic {
        /// The id asked for.
        topic: TopicId,
    },
    /// The topic ended in another.
    #[error(
        "topic `{topic}` ended in topic {into}; name that one, or bring this back with `topicd restore {topic}`"
    )]
    EndedIn {
        /// The id asked for.
        topic: TopicId,
        /// The topic that it redirects to.
        into: TopicId,
    },
    /// The topic ended, and no other took it in.
    #[error("topic `{topic}` has ended; bring it back with `topicd restore {topic}`")]
    Ended {
        /// The id asked for.
        topic: TopicId,
    },
    /// A topic cannot be merged into itself.
    #[error("topic `{topic}` cannot be merged into itself; name another topic")]
    Itself {
        /// The topic.
        topic: TopicId,
    },
    /// Nothing to merge.
    #[error("no topic to merge into `{into}`; name at least one, as in `topicd merge 5 6 --into {into}`")]
    Nothing {
        /// The topic that stays.
        into: TopicId,
    },
    /// A pinned topic.
    #[error("topic `{topic}` is pinned; unpin it first: `topicd unpin {topic}`")]
    Pinned {
        /// The topic.
        topic: TopicId,
    },
    /// The topic lives.
    #[error("topic `{topic}` has not ended; there is nothing to restore")]
    Lives {
        /// The topic.
        topic: TopicId,
    },
    /// It ended, but what it held is no longer known.
    #[error("topic `{topic}` ended before the last {versions} versions; raise `state.versions` to keep more")]
    TooLongAgo {
        /// The topic.
        topic: TopicId,
        /// Versions that are kept.
        versions: usize,
    },
    /// A label of nothing.
    #[error(
        "the label of topic `{topic}` is empty; leave it out to go back to the keywords: `topicd rename {topic}`"
    )]
    EmptyLabel {
        /// The topic.
        topic: TopicId,
    },
    /// A label that is no name any more.
    #[error(
        "the label of topic `{topic}` has {characters} characters but may have {MOST_LABEL_CHARACTERS}; shorten it"
    )]
    LongLabel {
        /// The topic.
        topic: TopicId,
        /// Characters of the label.
        characters: usize,
    },
    /// No such version.
    #[error("version `{version}` is not kept; `topicd versions` lists those that are")]
    NoVersion {
        /// The version asked for.
        version: u64,
    },
    /// There is only one version.
    #[error("there is no version before the one in force; `topicd versions` lists those that are kept")]
    NoVersionBefore,
    /// Nothing is known of the document.
    #[error(
        "document `{document}` is not known, or came longer ago than `state.remembered_ids` reaches; nothing of it is held"
    )]
    NoDocument {
        /// Its id.
        document: String,
    },
    /// A version could not be made.
    #[error(transparent)]
    Version(#[from] BrokenEntry),
}

/// An order of the stream itself: whatever came before it under the document's id is to be erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// The document's id.
    pub document: Arc<str>,
    /// Where the order stands.
    pub position: Position,
}

/// What was held of a forgotten document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holding {
    /// Its text, embedding and words; all of it is gone, and out of every sum and count.
    Kept,
    /// Only the hash of its id, which is gone. It stays counted: one in its topic's size and in the sums of embeddings
    /// and words, where nothing tells it apart from the others.
    Counted,
}
