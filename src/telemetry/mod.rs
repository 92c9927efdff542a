//! What the daemon tells the outside about itself: `events` has a method for each thing that happened, which logs and
//! counts it; `obstacle` what it waits for; `lag` how far it is behind in Kafka; `metrics` every family; `process` the
//! figures of the process; `logs` sets up the log; `window` the share of outliers; `refused` that of refused lines.

mod events;
mod lag;
pub mod logs;
mod metrics;
mod obstacle;
mod process;
mod refused;
mod window;

pub use events::{Error, Progress, Telemetry};
pub use lag::{Heard, Reading};
pub use metrics::Family;
