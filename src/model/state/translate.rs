//! The same topics in the space of another encoder, by the documents that are kept.
//!
//! Topics keep ids, names, counts and events. Of the documents that are not kept only their number is known, so a
//! topic's sum becomes the mean of its kept members times that number; the next refits sharpen it. A seed becomes its
//! topic's mean. Earlier versions and what topics held before they ended lie in the old space and are left behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::kernel::unit::UnitRows;
use crate::model::event::Event;
use crate::model::evidence::{Kept, Sums};
use crate::model::refit::report::Report;
use crate::model::state::change::{Change, Op, Standing};
use crate::model::state::draft::{describe, direction};
use crate::model::state::{Record, State};
use crate::model::topic::TopicId;

impl State {
    /// What [`Self::translated`] needs the embeddings of: the text of every kept document, oldest first, and the
    /// keywords of every topic that has none among them.
    pub fn texts(&self) -> Vec<String> {
        let documents = self.held.iter().map(|(_, kept, _)| kept.text.clone());
        documents.chain(self.lonely().map(words)).collect()
    }

    /// Topics without a kept document.
    fn lonely(&self) -> impl Iterator<Item = &Record> {
        let members: std::collections::BTreeSet<TopicId> =
            self.held.iter().filter_map(|(_, _, standing)| standing.topic).collect();
        self.topics.values().filter(move |record| !members.contains(&record.topic.id))
    }

    /// Everything that makes this state, for an empty one of `rows.dim()` numbers, when `rows` are the embeddings of
    /// [`Self::texts`]. O(kept documents × d).
    pub fn translated(&self, rows: &UnitRows) -> Change {
        let kept: Vec<(Arc<Kept>, Standing)> = (self.held.iter().enumerate())
            .map(|(row, (_, kept, standing))| {
                (Arc::new(Kept { embedding: Arc::from(rows.row(row)), ..(**kept).clone() }), standing)
            })
            .collect();
        let mut members: BTreeMap<Option<TopicId>, Vec<&Kept>> = BTreeMap::new();
        kept.iter().for_each(|(kept, standing)| members.entry(standing.topic).or_default().push(kept));
        let mut sums: BTreeMap<Option<TopicId>, Sums> = BTreeMap::new();
        for (topic, members) in &members {
            let sum = sums.entry(*topic).or_default();
            members.iter().for_each(|kept| sum.add(&kept.embedding));
        }
        for (at, record) in self.lonely().enumerate() {
            sums.entry(Some(record.topic.id)).or_default().add(rows.row(kept.len() + at));
        }
        let mut change = Change::default();
        change.ops.push(Op::Totals(self.totals));
        for (id, record) in &self.topics {
            let mut record = record.clone();
            record.sums = scaled(sums.remove(&Some(*id)).unwrap_or_default(), record.sums.documents);
            record.topic.centroid = record.sums.centroid().unwrap_or_else(|| direction(rows.dim()));
            if let Some(members) = members.get(&Some(*id)) {
                describe(&mut record.topic, members);
            }
            record.history.count_only();
            for seed in &mut record.topic.seeds {
                seed.move_to(&record.topic.centroid, kept.iter().map(|(kept, _)| &*kept.embedding));
            }
            change.ops.push(Op::Topic(Box::new(record)));
        }
        let outliers = scaled(sums.remove(&None).unwrap_or_default(), self.outliers.documents);
        let mut history = self.outlier_history.clone();
        history.count_only();
        change.ops.extend([
            Op::Outliers(outliers, history, Box::new(self.outlier_profile.clone())),
            Op::Dictionary(Arc::new(self.dictionary.clone())),
            Op::Counts(Arc::new(self.counts.clone())),
            Op::Fold,
        ]);
        change.ops.push(Op::Redirects(self.redirects.clone()));
        let numbers = self.held.iter().map(|(sequence, ..)| sequence);
        change.ops.extend(
            numbers.zip(&kept).map(|(number, (kept, standing))| Op::Hold(number, kept.clone(), *standing)),
        );
        change.ops.push(Op::Seen(self.seen.iter().copied().collect()));
        change.ops.extend(self.news.events.iter().map(|event| Op::Event(Event::clone(event))));
        change
            .ops
            .extend(self.news.reports.iter().map(|report| Op::Refitted(Box::new(Report::clone(report)))));
        change
    }
}

/// A topic's keywords as a text.
fn words(record: &Record) -> String {
    let words: Vec<&str> = record.topic.keywords.iter().map(|keyword| &*keyword.term).collect();
    if words.is_empty() { record.topic.name.clone() } else { words.join(" ") }
}

/// `sums` as if there were `documents` documents with the same mean.
fn scaled(mut sums: Sums, documents: u64) -> Sums {
    let factor = documents as f64 / sums.documents.max(1) as f64;
    sums.sum.iter_mut().for_each(|value| *value *= factor);
    sums.documents = documents;
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Partition, Position};
    use crate::keywords::Bag;
    use crate::model::evidence::{Evidence, Learned};
    use crate::model::state::Bounds;

    fn kept(number: u64, embedding: &[f32]) -> Kept {
        Kept {
            id: format!("d{number}").into(),
            text: format!("text {number}"),
            embedding: embedding.into(),
            words: Bag::default(),
            timestamp_ms: None,
            position: Position { partition: Partition::new("p"), offset: number },
            arrived: 0,
            priority: number,
            fields: crate::document::Fields::default(),
        }
    }

    /// Documents 0 to 3 without a topic, of which 2 are kept as the outliers' buffer allows, in two dimensions.
    fn state() -> State {
        let mut state = State::new(2, Bounds { sample: 2, outliers: 2, ..Bounds::default() });
        let mut evidence = Evidence::default();
        let mut learned = Learned::default();
        for number in 0..4 {
            let kept = kept(number, &[1.0, 0.0]);
            learned.sums.add(&kept.embedding);
            evidence.ids.push(u128::from(number));
            evidence.kept.push((kept, None));
        }
        evidence.learned.insert(None, learned);
        let _change = state.absorb(evidence, 0);
        state
    }

    #[test]
    fn everything_but_the_vectors_stays() {
        let state = state();
        let texts = state.texts();
        assert_eq!(texts.len(), state.held().len());
        let rows = vec![[0.0, 0.6, 0.8]; texts.len()];
        let rows = UnitRows::from_rows(3, rows.iter().map(<[f32; 3]>::as_slice)).unwrap();
        let mut other = State::new(3, state.bounds);
        other.apply(&state.translated(&rows));
        assert_eq!(other.totals(), state.totals());
        assert_eq!(other.outliers().documents, 4);
        assert_eq!(other.outliers().centroid().unwrap(), [0.0, 0.6, 0.8]);
        assert_eq!(other.seen().collect::<Vec<_>>(), state.seen().collect::<Vec<_>>());
        for ((number, before, standing), (same, after, stood)) in state.held().iter().zip(other.held().iter())
        {
            assert_eq!((number, &before.id, standing), (same, &after.id, stood));
            assert_eq!(*after.embedding, [0.0, 0.6, 0.8]);
        }
    }
}
