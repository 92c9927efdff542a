//! Who starts what: builds the rooms from a checked configuration, starts the loops, and ends them in order.

mod assemble;
#[cfg(feature = "kafka")]
mod cluster;
mod describe;
mod descriptors;
#[cfg(feature = "kafka")]
mod lead;
mod look;
mod reload;
mod seeds;
mod supervise;
mod systemd;

pub use assemble::{Daemon, Error, Launch, Role, judge};
pub use describe::chains;
pub use look::look;
pub use reload::Load;
pub use seeds::seeds;
