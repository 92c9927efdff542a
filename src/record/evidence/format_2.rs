//! Evidence as it was before documents were counted by their times and fields: what a topicd that is upgraded later still
//! writes, and what waits in Kafka meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::checkpoint::{Checkpoint, Position};
use crate::document::Fields;
use crate::keywords::Bag;
use crate::model::evidence::{self, Sums};
use crate::model::topic::TopicId;
use crate::record::evidence as present;

pub(super) const FORMAT: u8 = 2;

#[derive(Deserialize)]
pub(super) struct EvidenceRecord {
    encoder: String,
    evidence: Evidence,
    ends: Checkpoint,
}

#[derive(Deserialize)]
struct Evidence {
    learned: BTreeMap<Option<TopicId>, (Sums, Bag)>,
    kept: Vec<(Kept, Option<TopicId>)>,
    ids: Vec<u128>,
    rejected: u64,
}

#[derive(Deserialize)]
struct Kept {
    id: Arc<str>,
    text: String,
    embedding: Arc<[f32]>,
    words: Bag,
    timestamp_ms: Option<i64>,
    position: Position,
    arrived: u64,
    priority: u64,
}

impl From<EvidenceRecord> for present::EvidenceRecord {
    fn from(record: EvidenceRecord) -> Self {
        Self { encoder: record.encoder, evidence: record.evidence.into(), ends: record.ends }
    }
}

impl From<Evidence> for evidence::Evidence {
    /// Of the documents only those that are kept have a time: it is counted, because they may find another topic.
    fn from(evidence: Evidence) -> Self {
        let learned = evidence.learned.into_iter().map(|(topic, (sums, words))| {
            (topic, evidence::Learned { sums, words, ..evidence::Learned::default() })
        });
        let mut learned: BTreeMap<_, _> = learned.collect();
        for (kept, topic) in &evidence.kept {
            learned.entry(*topic).or_default().profile.add(kept.timestamp_ms, &Fields::default());
        }
        let kept = evidence.kept.into_iter().map(|(kept, topic)| (kept.into(), topic)).collect();
        Self { learned, kept, ids: evidence.ids, rejected: evidence.rejected }
    }
}

impl From<Kept> for evidence::Kept {
    fn from(kept: Kept) -> Self {
        Self {
            id: kept.id,
            text: kept.text,
            embedding: kept.embedding,
            words: kept.words,
            timestamp_ms: kept.timestamp_ms,
            position: kept.position,
            arrived: kept.arrived,
            priority: kept.priority,
            fields: Fields::default(),
        }
    }
}
