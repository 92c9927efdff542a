//! What leaves the house when an operator has changed the topics.

use crate::model::state::change::{Change, Op};
use crate::model::state::operate::Operation;
use crate::model::version::TopicModel;
use crate::record::assignment::{AssignmentRecord, TombstoneRecord};
use crate::record::event::EventRecord;
use crate::record::line;
use crate::record::topic::TopicRecord;
use crate::transport::Records;
use crate::transport::command::Operated;

/// The records of `operation`, but for its events, which [`events`] makes.
pub fn records(operation: &Operation) -> Records {
    let model = &operation.model;
    let revised =
        operation.revisions.iter().map(|revision| line(&AssignmentRecord::revised(revision, model)));
    let tombstone = operation.tombstone.iter().map(|tombstone| line(&TombstoneRecord::new(tombstone, model)));
    Records {
        assignments: revised.chain(settled(&operation.change, model)).chain(tombstone).collect(),
        topics: model.topics.values().map(|topic| line(&TopicRecord::new(topic, model))).collect(),
        ..Records::default()
    }
}

/// The last records of outliers that left for good.
pub fn settled<'a>(change: &'a Change, model: &'a TopicModel) -> impl Iterator<Item = Vec<u8>> + 'a {
    change.settled.iter().map(|revision| line(&AssignmentRecord::revised(revision, model)))
}

/// The events that a change holds, as lines.
pub fn events(change: &Change) -> Vec<Vec<u8>> {
    let events =
        change.ops.iter().filter_map(|op| if let Op::Event(event) = op { Some(event) } else { None });
    events.map(|event| line(&EventRecord::new(event))).collect()
}

/// The answer to whoever asked for `operation`.
pub fn operated(operation: &Operation) -> Operated {
    Operated {
        version: operation.model.number,
        summary: operation.summary.clone(),
        moved: operation.revisions.len(),
        held: operation.tombstone.as_ref().map(|tombstone| tombstone.holding),
    }
}
