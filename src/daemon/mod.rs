//! Who starts what: builds the rooms from a checked configuration, starts the loops, and ends them in order.

mod assemble;
#[cfg(feature = "kafka")]
mod cluster;
mod describe;
#[cfg(feature = "kafka")]
mod lead;
mod seeds;
mod supervise;
mod systemd;

pub use assemble::{Daemon, Error, Role, judge};
pub use describe::chains;
pub use seeds::seeds;
