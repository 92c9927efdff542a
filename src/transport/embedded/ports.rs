//! The two ports over a source, a bounded channel and the output files.

use tokio::sync::mpsc;

use super::error::Error;
use super::outputs::{OutputFile, Outputs};
use super::source::Source;
use crate::checkpoint::Checkpoint;
use crate::document::Batch;
use crate::model::evidence::Outcome;
use crate::transport::{AssignerPort, ModelerPort, Records};

/// Judged batches on their way to the modeler. The assigner fills it and waits while it is full, so that at most two
/// batches are lost, and judged again, when the process dies.
const BATCHES: usize = 2;

/// Reads the source, hands outcomes to the modeler.
pub struct Assigner {
    source: Source,
    modeler: mpsc::Sender<Outcome>,
}

/// Takes outcomes, writes the output files.
pub struct Modeler {
    outcomes: mpsc::Receiver<Outcome>,
    outputs: Outputs,
}

/// The two ends of one process.
pub fn ports(source: Source, outputs: Outputs) -> (Assigner, Modeler) {
    let (modeler, outcomes) = mpsc::channel(BATCHES);
    (Assigner { source, modeler }, Modeler { outcomes, outputs })
}

impl AssignerPort for Assigner {
    type Error = Error;

    async fn receive(&mut self) -> Result<Option<Batch>, Error> {
        self.source.receive().await
    }

    async fn commit(&mut self, outcome: Outcome) -> Result<bool, Error> {
        Ok(self.modeler.send(outcome).await.is_ok())
    }

    fn lag_bytes(&self) -> Option<u64> {
        self.source.lag_bytes()
    }
}

impl ModelerPort for Modeler {
    type Error = Error;

    async fn receive(&mut self) -> Option<Outcome> {
        self.outcomes.recv().await
    }

    fn deliver(&mut self, records: Records) -> Result<Checkpoint, Error> {
        self.outputs.append(OutputFile::Assignments, records.assignments.into_iter())?;
        self.outputs.append(OutputFile::Topics, records.topics.into_iter())?;
        self.outputs.append(OutputFile::Events, records.events.into_iter())?;
        self.outputs.append(OutputFile::DeadLetters, records.dead_letters.into_iter())?;
        self.outputs.sync()
    }

    fn waiting(&self) -> usize {
        self.outcomes.len()
    }
}
