//! The seams between the roles. A port receives, and commits what became of it: all of it or nothing.
//!
//! The loops of `pipeline` know these traits only; [`embedded`] implements them over files and channels.

pub mod command;
pub mod embedded;

use crate::checkpoint::Checkpoint;
use crate::document::Batch;
use crate::model::evidence::Outcome;

/// How an assigner gets documents and hands over what became of them.
pub trait AssignerPort: Send {
    /// What can go wrong.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The next batch, or none at the stream's end. Cancel safe.
    fn receive(&mut self) -> impl Future<Output = Result<Option<Batch>, Self::Error>> + Send;

    /// Hands over what became of a batch; waits while the modeler is behind. False if nobody takes it any more.
    fn commit(&mut self, outcome: Outcome) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Bytes of the source that wait behind what was received, where that is known.
    fn lag_bytes(&self) -> Option<u64>;
}

/// How the modeler learns, and publishes what it decided.
pub trait ModelerPort: Send {
    /// What can go wrong.
    type Error: std::error::Error + Send + Sync + 'static;

    /// What became of the next batch, or none when every assigner has ended. Cancel safe.
    fn receive(&mut self) -> impl Future<Output = Option<Outcome>> + Send;

    /// Brings records out and makes them durable; what it returns is committed with the state that they belong to.
    /// Blocks, for some ms.
    fn deliver(&mut self, records: Records) -> Result<Checkpoint, Self::Error>;

    /// Batches that wait to be received.
    fn waiting(&self) -> usize;
}

/// Lines for each of the outputs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Records {
    /// A document and its topic each.
    pub assignments: Vec<Vec<u8>>,
    /// A topic of a version each.
    pub topics: Vec<Vec<u8>>,
    /// An event each.
    pub events: Vec<Vec<u8>>,
    /// A piece of refused input each.
    pub dead_letters: Vec<Vec<u8>>,
}
