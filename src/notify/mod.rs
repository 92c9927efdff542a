//! Telling the outside that something happened: one signed HTTP POST an event and attempt.
//!
//! What is told comes as bytes; this room knows no event.

mod params;
pub mod sign;
pub mod webhook;

pub use params::{Checked, Error, Params, age};
