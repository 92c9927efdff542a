//! The two ports over a source, a bounded channel and the output files.

use tokio::sync::{mpsc, watch};

use super::error::Error;
use super::outputs::{OutputFile, Outputs};
use super::source::Source;
use crate::checkpoint::Checkpoint;
use crate::document::Batch;
use crate::model::evidence::Outcome;
use crate::record::Keyed;
use crate::record::state::Write;
use crate::transport::{AssignerPort, Lesson, ModelerPort, Records};

/// Judged batches on their way to the modeler. The assigner fills it and waits while it is full, so that at most two
/// batches are lost, and judged again, when the process dies.
const BATCHES: usize = 2;

/// Reads the source, hands lessons to the modeler.
pub struct Assigner {
    source: Source,
    modeler: mpsc::Sender<Lesson>,
    learned: watch::Receiver<Checkpoint>,
}

/// Takes lessons, writes the output files.
pub struct Modeler {
    lessons: mpsc::Receiver<Lesson>,
    outputs: Outputs,
    learned: watch::Sender<Checkpoint>,
}

/// The two ends of one process.
pub fn ports(source: Source, outputs: Outputs) -> (Assigner, Modeler) {
    let (modeler, lessons) = mpsc::channel(BATCHES);
    let (announced, learned) = watch::channel(Checkpoint::new());
    (Assigner { source, modeler, learned }, Modeler { lessons, outputs, learned: announced })
}

impl AssignerPort for Assigner {
    type Error = Error;

    async fn receive(&mut self) -> Result<Option<Batch>, Error> {
        if self.source.in_lockstep() {
            let before = self.source.before();
            if self.learned.wait_for(|learned| learned.covers(&before)).await.is_err() {
                return Ok(None);
            }
        }
        self.source.receive().await
    }

    async fn commit(&mut self, outcome: Outcome) -> Result<bool, Error> {
        Ok(self.modeler.send(Lesson::first_hand(&outcome)).await.is_ok())
    }

    fn lag_bytes(&self) -> Option<u64> {
        self.source.lag_bytes()
    }

    async fn close(self) -> Result<(), Error> {
        Ok(())
    }
}

impl ModelerPort for Modeler {
    type Error = Error;

    async fn receive(&mut self) -> Result<Option<Lesson>, Error> {
        Ok(self.lessons.recv().await)
    }

    fn deliver(&mut self, records: Records) -> Result<Checkpoint, Error> {
        self.outputs.append(OutputFile::Assignments, Keyed::lines(records.assignments))?;
        self.outputs.append(OutputFile::Topics, Keyed::lines(records.topics))?;
        self.outputs.append(OutputFile::Events, Keyed::lines(records.events))?;
        self.outputs.append(OutputFile::DeadLetters, Keyed::lines(records.dead_letters))?;
        self.outputs.sync()
    }

    /// The files are cut back to what the state says, so the state alone decides.
    fn seal(&mut self, _writes: &[Write]) -> Result<(), Error> {
        Ok(())
    }

    fn announce(&mut self, done: &Checkpoint) -> Result<(), Error> {
        self.learned.send_replace(done.clone());
        Ok(())
    }

    fn waiting(&self) -> usize {
        self.lessons.len()
    }
}
