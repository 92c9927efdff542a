//! One file per format that leaves the house; each record is one JSON object on one line.

pub mod answer;
pub mod assignment;
pub mod dead_letter;
pub mod event;
pub mod topic;
pub mod version;

use serde::Serialize;

/// The record as one line, without its end.
///
/// Records hold strings, numbers and lists only, which JSON can always write; a float that is not finite becomes
/// `null`.
pub fn line(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).unwrap_or_default()
}

/// `ms` since 1970 as RFC 3339 in UTC, with milliseconds.
pub fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| format!("{time:.3}"))
}
