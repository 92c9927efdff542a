//! The seams between the roles. A port receives, and commits what became of it: all of it or nothing.
//!
//! The loops of `pipeline` know these traits only; [`embedded`] implements them over files and channels, `kafka` over
//! topics, as [`brokers`] says.

pub mod brokers;
pub mod command;
pub mod embedded;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod retry;
pub mod start;
pub mod subscription;

use std::sync::Arc;
use std::time::Instant;

use crate::checkpoint::Checkpoint;
use crate::document::{Batch, Rejection, Sequence};
use crate::model::evidence::{Evidence, Judged, Outcome};
use crate::model::operate::Erasure;
use crate::model::state::State;
use crate::model::topic::TopicId;
use crate::model::version::TopicModel;
use crate::record::Keyed;
use crate::record::assignment::AssignmentRecord;
use crate::record::state::Write;

/// How an assigner gets documents and hands over what became of them.
pub trait AssignerPort: Send {
    /// What can go wrong.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The next batch, or none at the stream's end. Cancel safe.
    fn receive(&mut self) -> impl Future<Output = Result<Option<Batch>, Self::Error>> + Send;

    /// Hands over what became of a batch, in the order in which batches were received; waits while those who take it
    /// are behind. False if nobody takes it any more.
    fn commit(&mut self, outcome: Outcome) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Commits what was handed over, after the last batch.
    fn close(self) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// How the modeler learns, and publishes what it decided.
///
/// A commit has three steps: [`deliver`](Self::deliver), [`seal`](Self::seal), and then the store writes. Whatever
/// falls between two of them is undone, or done, when the modeler starts again.
pub trait ModelerPort: Send {
    /// What can go wrong.
    type Error: std::error::Error + Send + Sync + 'static;

    /// What was taught next, or none when every assigner has ended. Cancel safe.
    fn receive(&mut self) -> impl Future<Output = Result<Option<Lesson>, Self::Error>> + Send;

    /// Brings records out; what it returns is committed with the state that they belong to. Blocks, for some ms.
    fn deliver(&mut self, records: Records) -> Result<Checkpoint, Self::Error>;

    /// What the store will write goes with what was delivered. Blocks, for some ms.
    fn seal(&mut self, writes: &[Write]) -> Result<(), Self::Error>;

    /// In lockstep: everything up to `done` is learned, and what follows from it is in force. Blocks, for some ms.
    fn announce(&mut self, done: &Checkpoint) -> Result<(), Self::Error>;

    /// Batches that wait to be received.
    fn waiting(&self) -> usize;
}

/// What one batch taught, on its way from assigner to modeler.
#[derive(Debug)]
pub struct Lesson {
    /// Sums, and the documents worth keeping.
    pub evidence: Evidence,
    /// Documents that are to be erased; then there is no evidence.
    pub erasures: Vec<Erasure>,
    /// What the modeler has to bring out, where the assigner didn't do it itself.
    pub arrivals: Option<Arrivals>,
    /// What is done after it.
    pub checkpoint: Checkpoint,
}

/// What became of each piece of input of a batch.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// Documents and their topics, in source order, under the documents' ids.
    pub assignments: Vec<Keyed>,
    /// How many of them have a topic.
    pub assigned: usize,
    /// How many have none.
    pub outliers: usize,
    /// Input that was refused.
    pub rejections: Vec<Rejection>,
    /// When the batch was read.
    pub received: Option<Instant>,
}

impl Lesson {
    /// What `outcome` teaches, with everything that is to be brought out.
    pub fn first_hand(outcome: &Outcome) -> Self {
        let assignments = outcome.judged.iter().map(|judged| arrived(judged, &outcome.model));
        let assigned = outcome.judged.iter().filter(|judged| judged.assignment.topic.is_some()).count();
        Self {
            // The version's bound may be an old one; the state cuts back to its own.
            evidence: outcome.evidence(outcome.model.sampling),
            erasures: Vec::new(),
            arrivals: Some(Arrivals {
                assignments: assignments.collect(),
                assigned,
                outliers: outcome.judged.len() - assigned,
                rejections: outcome.rejections.clone(),
                received: Some(outcome.received),
            }),
            checkpoint: outcome.checkpoint.clone(),
        }
    }
}

/// The first record of a document.
pub fn arrived(judged: &Judged, model: &TopicModel) -> Keyed {
    let record = AssignmentRecord::on_arrival(judged, model);
    Keyed::new(&record.id, &record)
}

/// What is brought out with one change of the state.
#[derive(Debug, Clone, Default)]
pub struct Records {
    /// A document and its topic each, under the document's id.
    pub assignments: Vec<Keyed>,
    /// A topic of a version each, under its id.
    pub topics: Vec<Keyed>,
    /// A topic that ended each, under its id.
    pub ended: Vec<Keyed>,
    /// An event each, under its topic's id.
    pub events: Vec<Keyed>,
    /// A piece of refused input each, under its position.
    pub dead_letters: Vec<Keyed>,
    /// The version that comes into force with it.
    pub version: Option<Version>,
}

/// A version with the members that vote in it.
#[derive(Debug, Clone)]
pub struct Version {
    /// The version.
    pub model: Arc<TopicModel>,
    /// Its entries, in the order in which the model has them.
    pub members: Vec<Member>,
}

impl Version {
    /// `model`, the version in force in `state`.
    pub fn of(state: &State, model: Arc<TopicModel>) -> Self {
        let members = state.held().iter().filter(|(_, _, standing)| standing.entry);
        let members = members.map(|(sequence, kept, standing)| Member {
            sequence,
            topic: standing.topic,
            embedding: kept.embedding.clone(),
        });
        Self { model, members: members.collect() }
    }
}

/// A document that votes.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its number.
    pub sequence: Sequence,
    /// What it votes for; none for noise.
    pub topic: Option<TopicId>,
    /// `d` numbers, of length 1.
    pub embedding: Arc<[f32]>,
}
