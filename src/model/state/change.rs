//! The one way in which the state changes, and what the store writes.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::document::Sequence;
use crate::keywords::Counts;
use crate::model::event::Event;
use crate::model::evidence::{Kept, Learned, Sums};
use crate::model::profile::Profile;
use crate::model::profile::dictionary::Dictionary;
use crate::model::refit::report::Report;
use crate::model::state::adopt::Revision;
use crate::model::state::archive::Archive;
use crate::model::state::describe::Described;
use crate::model::state::ended::Ended;
use crate::model::state::{Record, Totals};
use crate::model::topic::{Life, TopicId};
use crate::model::trend::History;

/// What one step did to the state; applying the same changes in the same order gives the same state.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// In the order in which they take effect.
    pub ops: Vec<Op>,
    /// Outliers that left for good: no refit will look at them again. Not stored, only told.
    pub settled: Vec<Revision>,
}

/// One elementary change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// The totals are now these.
    Totals(Totals),
    /// Documents came to topics (under none: outliers); adds to what is known of them.
    Learn {
        /// Documents absorbed in all, these included.
        documents: u64,
        /// What is added, under the topics that the records name; they may have ended since.
        learned: Vec<(Option<TopicId>, Learned)>,
    },
    /// A topic is now this; replaces all that was known of it.
    Topic(Box<Record>),
    /// All that is counted of the outliers is now this.
    Outliers(Sums, History, Box<Profile>),
    /// The words of every topic, and under none of the outliers, are now counted like this.
    Counts(Arc<Counts<Option<TopicId>>>),
    /// Every topic, the outliers, the dictionary and the counts stand whole in this change; no earlier [`Op::Learn`] is needed.
    Fold,
    /// Documents come to a topic, or none does any more.
    Life(TopicId, Life),
    /// People were told the keywords that a topic has now.
    Announced(TopicId),
    /// A topic is described like this from now on.
    Described(TopicId, Box<Described>),
    /// A topic was said to be trending in this window.
    Trended(TopicId, u64),
    /// A topic ended.
    EndTopic(TopicId),
    /// An ended topic is now this.
    Ended(TopicId, Box<Ended>),
    /// An ended topic came back, or can't be brought back any more.
    Settle(TopicId),
    /// A version as it came into force, or as it is after a document was forgotten.
    Archive(Box<Archive>),
    /// A version is too old to go back to.
    Unarchive(u64),
    /// Every topic that ended so far, with the topic that it redirects to.
    Redirects(BTreeMap<TopicId, TopicId>),
    /// A document is kept from now on.
    Hold(Sequence, Arc<Kept>, Standing),
    /// A kept document's standing is now this.
    Stand(Sequence, Standing),
    /// A document is kept no longer.
    Release(Sequence),
    /// These ids were seen.
    Seen(Vec<u128>),
    /// An id is to be as if it had never been seen.
    Unseen(u128),
    /// This happened.
    Event(Event),
    /// An event is from now on told like this, because a document was forgotten.
    Reword(Box<Event>),
    /// A refit decided this.
    Refitted(Box<Report>),
    /// The values that are counted one by one are now these.
    Dictionary(Arc<Dictionary>),
}

impl Change {
    /// What `changes` do one after the other, without the documents that come and go on the way.
    pub fn all(changes: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::default();
        for change in changes {
            all.ops.extend(change.ops);
            all.settled.extend(change.settled);
        }
        // A number is given to one document only, and never again.
        let gone: HashSet<Sequence> = (all.ops.iter())
            .filter_map(|op| if let Op::Release(sequence) = op { Some(*sequence) } else { None })
            .collect();
        let came: HashSet<Sequence> = (all.ops.iter())
            .filter_map(|op| if let Op::Hold(sequence, ..) = op { Some(*sequence) } else { None })
            .collect();
        all.ops.retain(|op| match op {
            Op::Hold(sequence, ..) | Op::Stand(sequence, _) => !gone.contains(sequence),
            Op::Release(sequence) => !came.contains(sequence),
            _ => true,
        });
        all
    }
}

/// Why a document is kept, and the topic that it has now.
#[expect(clippy::struct_excessive_bools, reason = "each is a reason of its own, and any of them may hold")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Its topic.
    pub topic: Option<TopicId>,
    /// The topic that its newest record names; if that ended, `topic` is what became of it.
    pub recorded: Option<TopicId>,
    /// It belongs to the uniform sample of the stream.
    pub sampled: bool,
    /// It is an outlier that waits for a refit.
    pub buffered: bool,
    /// It came after the last refit's snapshot: the next refit judges it once more.
    pub fresh: bool,
    /// It represents a topic that the sample represents poorly.
    pub anchor: bool,
    /// It votes in the version in force.
    pub entry: bool,
    /// Refits that it took part in.
    pub refits: u16,
    /// Assignments that were published for it.
    pub revision: u16,
}

impl Standing {
    /// True if there is a reason to keep the document.
    pub fn holds(self) -> bool {
        self.refittable() || self.entry
    }

    /// True if the next refit takes the document in.
    pub fn refittable(self) -> bool {
        self.sampled || self.buffered || self.fresh || self.anchor
    }
}
