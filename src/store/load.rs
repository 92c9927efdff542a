//! The state as it was after the last commit.

use serde::de::DeserializeOwned;
use std::sync::Arc;

use crate::checkpoint::Checkpoint;
use crate::document::Sequence;
use crate::model::event::Event;
use crate::model::evidence::Kept;
use crate::model::refit::report::Report;
use crate::model::state::archive::Archive;
use crate::model::state::change::{Change, Op, Standing};
use crate::model::state::ended::Ended;
use crate::model::state::{Bounds, Record, State, Totals};
use crate::store::layout::{self, Kind};
use crate::store::{Error, Store};

impl Store {
    /// Rebuilds the state, and tells what is done.
    pub fn load(&self, dim: usize, bounds: Bounds) -> Result<(State, Checkpoint), Error> {
        let mut state = State::new(dim, bounds);
        let mut change = Change::default();
        // First, because events count on from it.
        change.ops.extend(self.read::<Totals>(layout::TOTALS)?.map(Op::Totals));
        self.load_topics(&mut change)?;
        self.each::<Vec<Op>>(Kind::Journal, |_, ops| change.ops.extend(ops))?;
        self.load_kept(&mut change)?;
        self.each::<Vec<u128>>(Kind::Seen, |_, ids| change.ops.push(Op::Seen(ids)))?;
        self.each::<Event>(Kind::Event, |_, event| change.ops.push(Op::Event(event)))?;
        self.each::<Report>(Kind::Report, |_, report| change.ops.push(Op::Refitted(Box::new(report))))?;
        state.apply(&change);
        Ok((state, self.checkpoint()?))
    }

    /// What is done.
    pub fn checkpoint(&self) -> Result<Checkpoint, Error> {
        Ok(self.read(layout::CHECKPOINT)?.unwrap_or_default())
    }

    fn load_topics(&self, change: &mut Change) -> Result<(), Error> {
        self.each::<Record>(Kind::Topic, |_, record| change.ops.push(Op::Topic(Box::new(record))))?;
        let outliers = self.read(layout::OUTLIERS)?;
        change.ops.extend(outliers.map(|(sums, history, profile)| Op::Outliers(sums, history, profile)));
        change.ops.extend(self.read(layout::DICTIONARY)?.map(Op::Dictionary));
        self.each::<Ended>(Kind::Ended, |_, ended| {
            change.ops.push(Op::Ended(ended.record.topic.id, Box::new(ended)));
        })?;
        self.each::<Archive>(Kind::Archive, |_, archive| change.ops.push(Op::Archive(Box::new(archive))))?;
        let mut counts = Vec::new();
        self.scan(Kind::Counts, |_, bytes| counts.extend_from_slice(bytes))?;
        if !counts.is_empty() {
            let counts = self.ledger.decode(b"w", &counts)?;
            change.ops.push(Op::Counts(Arc::new(counts)));
        }
        change.ops.extend(self.read(layout::REDIRECTS)?.map(Op::Redirects));
        Ok(())
    }

    fn load_kept(&self, change: &mut Change) -> Result<(), Error> {
        let mut kept: std::collections::BTreeMap<u64, Kept> = std::collections::BTreeMap::new();
        self.each::<Kept>(Kind::Kept, |number, document| {
            kept.insert(number, document);
        })?;
        self.each::<Standing>(Kind::Standing, |number, standing| {
            if let Some(document) = kept.remove(&number) {
                change.ops.push(Op::Hold(Sequence(number), Arc::new(document), standing));
            }
        })
    }

    /// Finds the numbers with which the next commit goes on.
    pub(super) fn find_numbers(&mut self) -> Result<(), Error> {
        let mut next = 0;
        let mut count_chunks = 0;
        let mut seen_chunks = std::collections::VecDeque::new();
        self.scan(Kind::Journal, |key, _| next = next.max(Kind::number(key) + 1))?;
        self.each::<Vec<u128>>(Kind::Seen, |number, ids| seen_chunks.push_back((number, ids.len())))?;
        self.scan(Kind::Counts, |_, _| count_chunks += 1)?;
        next = next.max(seen_chunks.back().map_or(0, |(number, _)| number + 1));
        (self.next, self.seen_chunks, self.count_chunks) = (next, seen_chunks, count_chunks);
        Ok(())
    }

    pub(super) fn scan(&self, kind: Kind, mut found: impl FnMut(&[u8], &[u8])) -> Result<(), Error> {
        self.ledger.scan(&[kind as u8], |key, value| {
            found(key, value);
            Ok(())
        })
    }

    pub(super) fn each<T: DeserializeOwned>(
        &self,
        kind: Kind,
        mut found: impl FnMut(u64, T),
    ) -> Result<(), Error> {
        self.ledger.scan(&[kind as u8], |key, value| {
            found(Kind::number(key), self.ledger.decode(key, value)?);
            Ok(())
        })
    }

    pub(super) fn read<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, Error> {
        self.ledger.get(key)?.map(|value| self.ledger.decode(key, &value)).transpose()
    }
}
