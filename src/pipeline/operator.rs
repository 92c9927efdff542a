//! What leaves the house when an operator has changed the topics.

use crate::document::Rejection;
use crate::model::state::adopt::Revision;
use crate::model::state::change::{Change, Op};
use crate::model::state::operate::Operation;
use crate::model::version::TopicModel;
use crate::record::Keyed;
use crate::record::assignment::{AssignmentRecord, TombstoneRecord};
use crate::record::dead_letter::DeadLetterRecord;
use crate::record::event::EventRecord;
use crate::record::topic::{EndedRecord, TopicRecord};
use crate::transport::Records;
use crate::transport::command::Operated;

/// The records of `operation`.
pub fn records(operation: &Operation) -> Records {
    let model = &operation.model;
    let revised = revised(&operation.revisions, model);
    let tombstones = operation.tombstones.iter().map(|tombstone| self::tombstone(&tombstone.id, model));
    Records {
        assignments: revised.chain(settled(&operation.change, model)).chain(tombstones).collect(),
        topics: topics(model),
        ended: ended(&operation.change, model),
        events: events(&operation.change),
        ..Records::default()
    }
}

/// The last record of the forgotten document `id`, by the version `model`.
pub fn tombstone(id: &str, model: &TopicModel) -> Keyed {
    Keyed::new(id, &TombstoneRecord::new(id, model))
}

/// Every topic of a version.
pub fn topics(model: &TopicModel) -> Vec<Keyed> {
    model.topics.iter().map(|(id, topic)| Keyed::new(id, &TopicRecord::new(topic, model))).collect()
}

/// The last records of the topics that end with `change`, which leads to the version `model`.
pub fn ended(change: &Change, model: &TopicModel) -> Vec<Keyed> {
    let ended = change.ops.iter().filter_map(|op| if let Op::EndTopic(id) = op { Some(*id) } else { None });
    ended.map(|id| Keyed::new(id, &EndedRecord::new(id, model))).collect()
}

/// The later records of documents whose topic changed.
pub fn revised<'a>(revisions: &'a [Revision], model: &'a TopicModel) -> impl Iterator<Item = Keyed> + 'a {
    revisions.iter().map(|revision| Keyed::new(&revision.id, &AssignmentRecord::revised(revision, model)))
}

/// The last records of outliers that left for good.
pub fn settled<'a>(change: &'a Change, model: &'a TopicModel) -> impl Iterator<Item = Keyed> + 'a {
    revised(&change.settled, model)
}

/// The events that a change holds, each under its topic's id.
pub fn events(change: &Change) -> Vec<Keyed> {
    let events =
        change.ops.iter().filter_map(|op| if let Op::Event(event) = op { Some(event) } else { None });
    let records = events.map(EventRecord::new);
    records.map(|event| Keyed::new(event.subject.as_deref().unwrap_or("model"), &event)).collect()
}

/// Input that was refused, each piece under its position.
pub fn dead_letters(rejections: &[Rejection]) -> Vec<Keyed> {
    let letters = rejections.iter().map(DeadLetterRecord::new);
    letters.map(|letter| Keyed::new(&letter.position, &letter)).collect()
}

/// The answer to whoever asked for `operation`.
pub fn operated(operation: &Operation) -> Operated {
    Operated {
        version: operation.model.number,
        summary: operation.summary.clone(),
        moved: operation.revisions.len(),
        held: operation.tombstones.first().map(|tombstone| tombstone.holding),
    }
}
