//! Events as CloudEvents 1.0 in JSON: `events.jsonl`, the webhook and the API.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::event::{Event, Happened, Portrait};

/// One line of `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventRecord {
    /// `1.0`.
    pub specversion: String,
    /// The event's number; with `source` unique, so that a consumer can drop what it saw.
    pub id: String,
    /// Who tells it.
    pub source: String,
    /// What happened: `topic.created`, `topic.merged`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// The topic that it is about; absent for the model as a whole.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<String>,
    /// RFC 3339, UTC.
    pub time: String,
    /// `application/json`.
    pub datacontenttype: String,
    /// The details.
    pub data: Value,
}

impl EventRecord {
    /// The record of `event`.
    pub fn new(event: &Event) -> Self {
        let mut data = details(&event.happened);
        data["version"] = json!(event.version);
        data["summary"] = json!(event.happened.summary());
        Self {
            specversion: "1.0".to_owned(),
            id: event.number.to_string(),
            source: "topicd".to_owned(),
            kind: event.happened.kind().to_owned(),
            subject: event.happened.topic().map(|topic| topic.id.to_string()),
            time: super::time(event.time_ms),
            datacontenttype: "application/json".to_owned(),
            data,
        }
    }
}

fn portrait(topic: &Portrait) -> Value {
    json!({
        "id": topic.id, "name": topic.name, "size": topic.size,
        "keywords": topic.keywords, "representative": topic.representative,
    })
}

fn details(happened: &Happened) -> Value {
    match happened {
        Happened::Created { topic }
        | Happened::Dormant { topic }
        | Happened::Revived { topic }
        | Happened::Pinned { topic }
        | Happened::Unpinned { topic }
        | Happened::Forgotten { topic }
        | Happened::Restored { topic } => json!({ "topic": portrait(topic) }),
        Happened::Renamed { topic, before } => {
            json!({ "topic": portrait(topic), "name_before": before })
        }
        Happened::RolledBack { to } => json!({ "to": to }),
        Happened::DocumentForgotten { document } => json!({ "document": document }),
        Happened::Rejected { refit, reason } => json!({ "refit": refit, "reason": reason }),
        Happened::Merged { into, from } => {
            json!({ "topic": portrait(into), "merged": from.iter().map(portrait).collect::<Vec<_>>() })
        }
        Happened::Split { topic, from } => json!({ "topic": portrait(topic), "split_from": portrait(from) }),
        Happened::KeywordsChanged { topic, before, overlap } => {
            json!({ "topic": portrait(topic), "keywords_before": before, "overlap": overlap })
        }
        Happened::Trending { topic, documents, expected } => {
            json!({ "topic": portrait(topic), "documents": documents, "expected": expected })
        }
        Happened::Published { topics, documents, outliers } => {
            json!({ "topics": topics, "documents": documents, "outliers": outliers })
        }
    }
}
