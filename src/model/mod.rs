//! What a topic is: values in, values out; no clock, no disk, no socket.
//!
//! - [`topic`]: a topic and its id. [`version`]: the immutable set of topics that is in force.
//! - [`assign`]: the vote of near members that gives a document its topic.
//! - [`evidence`]: what a batch of assigned documents teaches the one owner of the state.
//! - [`profile`]: when a topic's documents were written, and what their kept fields hold. [`breakdown`]: topics by the
//!   values of a field. [`filter`]: conditions on fields.
//! - [`documents`]: the documents that are kept, page by page. [`explain`]: why a document has its topic.
//! - [`hierarchy`]: which topics are near to each other. [`trend`]: where a topic's history leads. [`over_time`]: every
//!   topic's.
//! - [`state`]: what only the modeler changes, one [`state::change::Change`] at a time.
//! - [`refit`]: when to fit anew, on which documents, and how new clusters become topics that keep their ids.
//! - [`seed`]: topics that are there before the stream.
//! - [`event`]: what people are told. [`operate`]: what people may do.

pub mod assign;
pub mod breakdown;
pub mod documents;
pub mod event;
pub mod evidence;
pub mod explain;
pub mod filter;
pub mod hierarchy;
pub mod operate;
pub mod over_time;
pub mod profile;
pub mod refit;
pub mod seed;
pub mod state;
pub mod topic;
pub mod trend;
pub mod version;
