//! What the daemon tells the outside about itself: `events` has a method for each thing that happened, which logs and
//! counts it; `obstacle` what it waits for; `metrics` every family; `process` the figures of the process; `logs` sets up
//! the log; `window` the share of outliers.

mod events;
pub mod logs;
mod metrics;
mod obstacle;
mod process;
mod window;

pub use events::{Error, Progress, Telemetry};
pub use metrics::Family;
