//! One file per format that leaves the house; what people read is one JSON object on one line.

pub mod answer;
pub mod assignment;
pub mod dead_letter;
pub mod event;
pub mod evidence;
pub mod model;
pub mod notification;
mod packed;
pub mod state;
pub mod topic;
pub mod version;

pub use packed::Broken;

use serde::Serialize;

/// The record as one line, without its end.
///
/// Records hold strings, numbers and lists only, which JSON can always write; a float that is not finite becomes
/// `null`.
pub fn line(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).unwrap_or_default()
}

/// A record as one line, and the key by which its topic in Kafka is partitioned and compacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyed {
    /// The id of what it is about.
    pub key: String,
    /// The record, without a line's end.
    pub line: Vec<u8>,
}

impl Keyed {
    /// `record` under `key`.
    pub fn new(key: impl ToString, record: &impl Serialize) -> Self {
        Self { key: key.to_string(), line: line(record) }
    }
}

/// `ms` since 1970 as RFC 3339 in UTC, with milliseconds.
pub fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| format!("{time:.3}"))
}
