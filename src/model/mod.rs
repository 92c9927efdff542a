//! What a topic is: values in, values out; no clock, no disk, no socket.
//!
//! - [`topic`]: a topic and its id. [`version`]: the immutable set of topics that is in force.
//! - [`assign`]: the vote of near members that gives a document its topic.
//! - [`evidence`]: what a batch of assigned documents teaches the one owner of the state.
//! - [`state`]: what only the modeler changes, one [`state::change::Change`] at a time.
//! - [`refit`]: when to fit anew, on which documents, and how new clusters become topics that keep their ids.
//! - [`event`]: what people are told.

pub mod assign;
pub mod event;
pub mod evidence;
pub mod refit;
pub mod state;
pub mod topic;
pub mod trend;
pub mod version;
