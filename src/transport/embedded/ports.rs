//! The two ports over a source, a bounded channel and the output files.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, watch};

use super::error::Error;
use super::outputs::Outputs;
use super::source::Source;
use crate::checkpoint::Checkpoint;
use crate::document::Batch;
use crate::model::evidence::Outcome;
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
    /// How far each file of the source came with the last lesson, and what of that is committed.
    received: Checkpoint,
    done: Arc<Mutex<Checkpoint>>,
}

/// The two ends of one process.
pub fn ports(source: Source, outputs: Outputs) -> (Assigner, Modeler) {
    let (modeler, lessons) = mpsc::channel(BATCHES);
    let (announced, learned) = watch::channel(Checkpoint::new());
    let done = source.done();
    let modeler_port = Modeler { lessons, outputs, learned: announced, received: Checkpoint::new(), done };
    (Assigner { source, modeler, learned }, modeler_port)
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

    async fn close(self) -> Result<(), Error> {
        Ok(())
    }
}

impl ModelerPort for Modeler {
    type Error = Error;

    async fn receive(&mut self) -> Result<Option<Lesson>, Error> {
        let lesson = self.lessons.recv().await;
        if let Some(Lesson { checkpoint, .. }) = &lesson {
            self.received.merge(checkpoint);
        }
        Ok(lesson)
    }

    fn deliver(&mut self, records: Records) -> Result<Checkpoint, Error> {
        self.outputs.deliver(records)
    }

    /// The files are cut back to what the state says, so the state alone decides.
    fn seal(&mut self, _writes: &[Write]) -> Result<(), Error> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).merge(&self.received);
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
