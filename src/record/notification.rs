//! What has become of the events that a webhook is to receive, as the API and `topicd notifications` tell it.

use serde::{Deserialize, Serialize};

use crate::model::event::Event;

/// Events that are not taken yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationsRecord {
    /// Events that wait for the next attempt.
    pub waiting: usize,
    /// Since when the oldest of them waits, in RFC 3339.
    pub oldest: Option<String>,
    /// Events that were given up, oldest first.
    pub given_up: Vec<GivenUpRecord>,
}

/// An event that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUpRecord {
    /// The event's number.
    pub id: u64,
    /// What happened: `topic.created`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// The topic that it is about; none for the model as a whole.
    pub topic: Option<u32>,
    /// When it happened, in RFC 3339.
    pub time: String,
    /// When it was given up, in RFC 3339.
    pub gave_up: String,
    /// Why the last attempt failed.
    pub reason: String,
    /// What happened, on one line.
    pub summary: String,
}

impl GivenUpRecord {
    /// `event`, which was given up at `at_ms` because of `reason`.
    pub fn new(event: &Event, at_ms: i64, reason: String) -> Self {
        Self {
            id: event.number,
            kind: event.happened.kind().to_owned(),
            topic: event.happened.topic().map(|topic| topic.id.0),
            time: super::time(event.time_ms),
            gave_up: super::time(at_ms),
            reason,
            summary: event.happened.summary(),
        }
    }
}

/// Which of the events that were given up to send again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Chosen {
    /// These.
    pub ids: Vec<u64>,
    /// All of them.
    pub all: bool,
}

/// An event that is to be sent again was not given up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event `{0}` was not given up; `topicd notifications` lists those that were")]
pub struct NotGivenUp(pub u64);
