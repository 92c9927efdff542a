//! Events as CloudEvents 1.0 in JSON: `events.jsonl`, the webhook and the API.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::document;
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

    /// What a condition of the webhook calls `name`: `type`, `subject`, or a part of the details, such as `topic.size`.
    pub fn value(&self, name: &str) -> Option<document::Value> {
        match name {
            "type" => Some(document::Value::Text(self.kind.as_str().into())),
            "subject" => self.subject.as_deref().map(|subject| document::Value::Text(subject.into())),
            _ => {
                let found = name.split('.').try_fold(&self.data, |data, part| data.get(part))?;
                serde_json::from_value(found.clone()).ok()
            }
        }
    }
}

/// Portraits in an event, at most: of further topics only id, name and size are told.
const PORTRAITS: usize = 100;

/// `topics`, one by one.
fn portraits(topics: &[Portrait]) -> Vec<Value> {
    let whole = topics.iter().take(PORTRAITS).map(portrait);
    let named = topics.iter().skip(PORTRAITS).map(|topic| {
        portrait(&Portrait { keywords: Vec::new(), representative: Vec::new(), ..topic.clone() })
    });
    whole.chain(named).collect()
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
            json!({ "topic": portrait(into), "merged": portraits(from) })
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
        Happened::FieldShifted { topic, field, value, before, after, documents, from } => json!({
            "topic": portrait(topic), "field": field, "value": value, "share_before": before, "share": after,
            "documents": documents, "since_document": from,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keywords::Keyword;
    use crate::model::filter::Filter;
    use crate::model::topic::{Representative, TopicId};

    #[test]
    fn conditions_find_the_parts_of_an_event() {
        let topic = Portrait {
            id: TopicId(7),
            name: "rates".to_owned(),
            size: 120,
            keywords: Vec::new(),
            representative: Vec::new(),
        };
        let (field, value) = ("product".to_owned(), "phone".to_owned());
        let happened =
            Happened::FieldShifted { topic, field, value, before: 0.25, after: 0.5, documents: 40, from: 9 };
        let record = EventRecord::new(&Event { number: 1, time_ms: 0, version: 2, happened });
        for (condition, expected) in [
            ("type = \"topic.field_shifted\" and field = 'product' and share > 0.4", true),
            ("topic.id in (6, 7) and topic.size >= 100 and topic.name = 'rates' and version = 2", true),
            ("subject = '8' or missing = 1 or topic = 7", false),
        ] {
            let filter: Filter = condition.parse().unwrap();
            assert_eq!(filter.holds(|name| record.value(name)), expected, "{condition}");
        }
    }

    #[test]
    fn an_event_fits_into_a_record_of_kafka_however_many_topics_it_names() {
        let keyword = || Keyword { term: "\u{1}".repeat(100), score: 0.25 };
        let quote = || Representative { id: "i".repeat(4096).into(), text: "\u{1}".repeat(300) };
        let portrait = |id| Portrait {
            id: TopicId(id),
            name: format!("{id} a name as people give it"),
            size: 7,
            keywords: (0..3).map(|_| keyword()).collect(),
            representative: vec![quote()],
        };
        let happened = Happened::Merged { into: portrait(0), from: (1..2000).map(portrait).collect() };
        let event = Event { number: 1, time_ms: 0, version: 2, happened };
        let record = EventRecord::new(&event);
        let merged = record.data["merged"].as_array().unwrap();
        assert_eq!((merged.len(), &merged[1998]["id"]), (1999, &json!(1999)));
        assert_eq!(merged[1998]["name"], "1999 a name as people give it");
        let bytes = super::super::line(&record).len();
        assert!(bytes < 1_000_000, "{bytes} bytes");
        assert!(event.happened.summary().ends_with("; and 1979 more"));
    }
}
