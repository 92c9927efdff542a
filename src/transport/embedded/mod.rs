//! Documents from a file or from standard input, results into files; no server.
//!
//! - [`Parser`] turns one line into a [`Document`](crate::document::Document), or says why it is none;
//! - [`Source`] reads lines from a recorded position on, in batches;
//! - [`Letters`] are dead letters that are read again;
//! - [`Seen`] remembers document ids, within a bound, to find duplicates;
//! - [`Outputs`] appends results to files and cuts them back to what was committed.

mod error;
mod fields;
mod file;
mod lines;
mod outputs;
mod parse;
mod paths;
mod places;
mod ports;
mod reader;
mod retry;
mod seen;
mod sink;
mod source;
mod time;
mod watch;

pub use error::Error;
pub use fields::Fields;
pub use outputs::{OutputFile, OutputParams, Outputs, Place};
pub use parse::{Format, Parser};
pub use ports::{Assigner, Modeler, ports};
pub use retry::{Letters, retried};
pub use seen::{Seen, hash};
pub use source::{Checked, Input, Lag, Params, Source};
