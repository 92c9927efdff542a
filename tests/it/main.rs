//! Tests of the house as a whole, in one binary.

// The lint's exception for tests ends at a test's own body; here the whole crate is one.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod architecture;
mod backup;
mod bad_input;
mod check;
mod cli;
mod crash;
mod deploy;
mod describe;
mod door;
mod encoder;
mod fields;
mod http;
#[cfg(feature = "kafka")]
mod kafka;
mod operations;
mod outcome;
mod prometheus;
mod readme;
mod reference;
mod reload;
mod retry;
mod schemas;
mod stopping;
#[cfg(feature = "https")]
mod tls;
mod topicd;
mod url;
mod webhook;
