//! The loops: what is received goes through the rooms below and is committed. Only here is counted, logged and
//! waited.

pub mod assigner;
pub mod describer;
mod embed;
pub mod fit;
pub mod modeler;
pub mod notifier;
pub mod operator;
pub mod refitter;
pub mod replay;
pub mod score;

use std::time::Duration;

/// The waits for whoever is away: a second, then twice as long each time, half a minute at most.
pub fn pauses() -> impl Iterator<Item = Duration> {
    let longer = |wait: &Duration| Some((*wait * 2).min(Duration::from_secs(30)));
    std::iter::successors(Some(Duration::from_secs(1)), longer)
}

/// Now, in ms since 1970.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
