//! What the outside may ask of the modeler, which alone has the state.

use std::fmt;

use tokio::sync::{mpsc, oneshot};

use crate::model::event::Event;
use crate::model::operate::{Action, Holding, Refusal};
use crate::model::refit::report::Report;
use crate::model::state::State;
use crate::model::state::describe::Description;
use crate::model::version::TopicModel;

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
    /// Change the topics as an operator wants it; answers when the change is on disk.
    Operate {
        /// What to do.
        action: Action,
        /// The way back.
        reply: oneshot::Sender<Result<Operated, Refusal>>,
    },
    /// A question about the state and the version in force.
    Ask(Question),
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

/// A question whose answer is computed where the state is, between two batches.
pub struct Question(Box<Answering>);

type Answering = dyn FnOnce(&State, &TopicModel) + Send + Sync;

impl Question {
    /// The question that `answer` answers, and the way back.
    pub fn new<T: Send + 'static>(
        answer: impl FnOnce(&State, &TopicModel) -> T + Send + Sync + 'static,
    ) -> (Self, oneshot::Receiver<T>) {
        let (reply, back) = oneshot::channel();
        // Whoever asked may have gone; then nobody needs the answer.
        let question = Self(Box::new(move |state: &State, model: &TopicModel| {
            drop(reply.send(answer(state, model)));
        }));
        (question, back)
    }

    /// Answers.
    pub fn answer(self, state: &State, model: &TopicModel) {
        (self.0)(state, model);
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Question")
    }
}

/// The queue of commands: filled by HTTP handlers, which wait while it is full.
pub fn queue() -> (mpsc::Sender<Command>, mpsc::Receiver<Command>) {
    mpsc::channel(32)
}
