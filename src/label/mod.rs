//! Labels and summaries of topics by a language model behind an OpenAI-compatible chat endpoint.
//!
//! - `params`: what may be set, and its check. [`prompt`]: from keywords and documents to messages.
//! - [`chat`]: one question, asked again while there is hope, with a bound on what is read.
//! - [`answer`]: whatever comes back to one line of plain text, or to nothing.
//! - [`budget`]: how many questions an hour.
//!
//! What a document says is data: it is folded to one line, cut, and put between marks; and whatever the model answers,
//! a label is short, one line, and without markup.

pub mod answer;
pub mod budget;
pub mod chat;
mod params;
pub mod prompt;

pub use params::{Checked, Error, Params};
