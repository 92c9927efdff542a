//! Tests of the house as a whole, in one binary.

mod architecture;
mod bad_input;
mod cli;
mod crash;
mod http;
mod prometheus;
mod topicd;
