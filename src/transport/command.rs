//! What the outside may ask of the modeler, which alone has the state.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::model::operate::{Action, Holding, Refusal};
use crate::model::state::State;
use crate::model::state::describe::Description;
use crate::model::version::TopicModel;
use crate::record::notification::{Chosen, NotGivenUp, NotificationsRecord};

/// A question or an order, with the way back for the answer.
#[derive(Debug)]
pub enum Command {
    /// Topics are described like this; answers once that is committed.
    Describe {
        /// What was made of them.
        descriptions: Vec<Description>,
        /// The way back.
        reply: oneshot::Sender<()>,
    },
    /// Refit now; answers whether one starts, which it does not while another runs.
    Refit {
        /// The way back.
        reply: oneshot::Sender<bool>,
    },
    /// What has become of the events that the webhook is to receive.
    Notifications {
        /// The way back.
        reply: oneshot::Sender<NotificationsRecord>,
    },
    /// Send events again that were given up; answers how many, when that is on disk.
    SendAgain {
        /// Which.
        chosen: Chosen,
        /// The way back.
        reply: oneshot::Sender<Result<usize, NotGivenUp>>,
    },
    /// Everything that is on disk at this moment, as a backup; or why there is none.
    Backup {
        /// The way back.
        reply: oneshot::Sender<Result<Pieces, String>>,
    },
    /// Change the topics as an operator wants it; answers when the change is on disk.
    Operate {
        /// What to do.
        action: Action,
        /// The way back.
        reply: oneshot::Sender<Result<Operated, Refusal>>,
    },
    /// The state as it is now, and the version in force.
    Look {
        /// The way back.
        reply: oneshot::Sender<Moment>,
    },
}

/// The state after a commit, and the version in force then. While somebody holds it, the modeler goes on with a copy:
/// let it go soon.
#[derive(Debug, Clone)]
pub struct Moment {
    /// As [`Overview::moment`](crate::model::state::overview::Overview::moment).
    pub number: u64,
    /// The state.
    pub state: Arc<State>,
    /// The version in force.
    pub model: Arc<TopicModel>,
}

/// Bytes that are read piece by piece, beside the modeler.
pub struct Pieces(pub Box<dyn Iterator<Item = std::io::Result<Vec<u8>>> + Send>);

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pieces")
    }
}

/// The modeler has gone, or is not in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no modeler answers")]
pub struct NoModeler;

/// Sends the command that `order` makes of the way back, and waits for the answer.
pub async fn ask<T>(
    commands: &mpsc::Sender<Command>,
    order: impl FnOnce(oneshot::Sender<T>) -> Command,
) -> Result<T, NoModeler> {
    let (reply, answer) = oneshot::channel();
    commands.send(order(reply)).await.map_err(|_| NoModeler)?;
    answer.await.map_err(|_| NoModeler)
}

/// What an action came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operated {
    /// The version in force now.
    pub version: u64,
    /// What was done, in words.
    pub summary: String,
    /// Documents whose topic changed by a record of their own.
    pub moved: usize,
    /// For a forgotten document: what was held of it.
    pub held: Option<Holding>,
}

/// The queue of commands: filled by HTTP handlers, which wait while it is full.
pub fn queue() -> (mpsc::Sender<Command>, mpsc::Receiver<Command>) {
    mpsc::channel(32)
}
