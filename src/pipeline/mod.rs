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

/// Now, in ms since 1970.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
