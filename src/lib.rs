//! topicd: streaming and incremental topic modelling as a daemon.
//!
//! The modules below are the house, floor by floor, lowest first. A floor knows only the floors under it;
//! `tests/it/architecture.rs` holds the walls.

pub mod built;
pub mod disk;
pub mod kernel;
pub mod secret;
pub mod visible;

pub mod ann;
pub mod cluster;
pub mod keywords;

pub mod checkpoint;
pub mod document;
pub mod figure;
pub mod model;
pub mod npy;
pub mod record;

pub mod bertopic;
pub mod client;
pub mod embed;
pub mod label;
pub mod notify;
pub mod store;
pub mod telemetry;
pub mod transport;

pub mod http;
pub mod pipeline;

pub mod cli;
pub mod config;
pub mod daemon;
