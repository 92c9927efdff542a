//! What the outside may ask of the modeler, which alone has the state.

use tokio::sync::{mpsc, oneshot};

use crate::model::event::Event;
use crate::model::refit::report::Report;

/// A question or an order, with the way back for the answer.
#[derive(Debug)]
pub enum Command {
    /// Events numbered above `after`, oldest first, at most `limit`.
    Events {
        /// The last number that the asker knows.
        after: u64,
        /// How many at most; the newest stay.
        limit: usize,
        /// The way back.
        reply: oneshot::Sender<Vec<Event>>,
    },
    /// What the last refits decided, oldest first.
    Refits {
        /// The way back.
        reply: oneshot::Sender<Vec<Report>>,
    },
    /// Refit now; answers whether one starts, which it does not while another runs.
    Refit {
        /// The way back.
        reply: oneshot::Sender<bool>,
    },
}

/// The queue of commands: filled by HTTP handlers, which wait while it is full.
pub fn queue() -> (mpsc::Sender<Command>, mpsc::Receiver<Command>) {
    mpsc::channel(32)
}
