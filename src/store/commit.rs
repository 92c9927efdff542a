//! One change and its checkpoint in one atomic batch, on disk when the call returns.

use serde::Serialize;

use crate::checkpoint::Checkpoint;
use crate::model::state::change::{Change, Op};
use crate::record::state::Write;
use crate::store::layout::{self, Kind};
use crate::store::{Error, Store};

/// Bytes of word counts under one key; sled keeps larger values in files of their own.
const CHUNK: usize = 256 << 10;
/// Events and reports that stay for those who ask later; the state remembers fewer.
const REMEMBERED: u64 = 1000;

impl Store {
    /// Writes `change` and `checkpoint`; all of it or nothing is there after a crash. Events go to the outbox too,
    /// if `outbox`.
    pub fn commit(&mut self, change: &Change, checkpoint: &Checkpoint, outbox: bool) -> Result<(), Error> {
        let writes = self.prepare(change, checkpoint, outbox)?;
        self.apply(writes)
    }

    /// What [`commit`](Self::commit) would write, in order; nothing is written yet. Each prepared batch must be
    /// applied before the next is prepared.
    pub fn prepare(
        &mut self,
        change: &Change,
        checkpoint: &Checkpoint,
        outbox: bool,
    ) -> Result<Vec<Write>, Error> {
        let mut batch = Batch { writes: self.written.take() };
        let mut journal = Vec::new();
        let folded = change.ops.iter().rposition(|op| matches!(op, Op::Fold));
        if folded.is_some() {
            self.scan(Kind::Journal, |key, _| batch.remove(key))?;
        }
        for (at, op) in change.ops.iter().enumerate() {
            let journaled = folded.is_none_or(|fold| at > fold);
            self.write(&mut batch, op, journaled.then_some(&mut journal), outbox)?;
        }
        if !journal.is_empty() {
            self.put(&mut batch, &Kind::Journal.key(self.next), &journal)?;
            self.next += 1;
        }
        self.put(&mut batch, layout::CHECKPOINT, checkpoint)?;
        Ok(batch.writes)
    }

    /// Writes what was prepared; all of it or nothing is there after a crash.
    pub fn apply(&mut self, writes: Vec<Write>) -> Result<(), Error> {
        self.ledger.write(&writes)?;
        self.ledger.force()
    }

    fn write(
        &mut self,
        batch: &mut Batch,
        op: &Op,
        journal: Option<&mut Vec<Op>>,
        outbox: bool,
    ) -> Result<(), Error> {
        match op {
            Op::Totals(totals) => self.put(batch, layout::TOTALS, totals)?,
            Op::Learn { .. } | Op::Life(..) | Op::Announced(_) | Op::Described(..) | Op::Trended(..) => {
                // Before a fold these are contained in what the fold writes.
                journal.into_iter().for_each(|journal| journal.push(op.clone()));
            }
            Op::Topic(record) => self.put(batch, &Kind::Topic.key(u64::from(record.topic.id.0)), record)?,
            Op::Outliers(sums, history, profile) => {
                self.put(batch, layout::OUTLIERS, &(sums, history, profile))?;
            }
            Op::Dictionary(dictionary) => self.put(batch, layout::DICTIONARY, dictionary)?,
            Op::Counts(counts) => self.put_chunks(batch, &self.ledger.encode(b"w", counts)?),
            Op::Fold => {}
            Op::EndTopic(id) => batch.remove(&Kind::Topic.key(u64::from(id.0))),
            Op::Ended(id, ended) => self.put(batch, &Kind::Ended.key(u64::from(id.0)), ended)?,
            Op::Settle(id) => batch.remove(&Kind::Ended.key(u64::from(id.0))),
            Op::Archive(archive) => self.put(batch, &Kind::Archive.key(archive.number), archive)?,
            Op::Unarchive(number) => batch.remove(&Kind::Archive.key(*number)),
            Op::Redirects(redirects) => self.put(batch, layout::REDIRECTS, redirects)?,
            Op::Hold(sequence, kept, standing) => {
                self.put(batch, &Kind::Kept.key(sequence.0), kept)?;
                self.put(batch, &Kind::Standing.key(sequence.0), standing)?;
            }
            Op::Stand(sequence, standing) => self.put(batch, &Kind::Standing.key(sequence.0), standing)?,
            Op::Release(sequence) => {
                batch.remove(&Kind::Kept.key(sequence.0));
                batch.remove(&Kind::Standing.key(sequence.0));
            }
            Op::Seen(ids) => self.put_seen(batch, ids)?,
            Op::Unseen(id) => self.erase_seen(batch, *id)?,
            Op::Reword(event) => {
                self.put(batch, &Kind::Event.key(event.number), event)?;
                let waiting = Kind::Outbox.key(event.number);
                if self.ledger.get(&waiting)?.is_some() {
                    self.put(batch, &waiting, event)?;
                }
            }
            Op::Event(event) => {
                self.put(batch, &Kind::Event.key(event.number), event)?;
                batch.remove(&Kind::Event.key(event.number.saturating_sub(REMEMBERED)));
                if outbox {
                    self.put(batch, &Kind::Outbox.key(event.number), event)?;
                }
            }
            Op::Refitted(report) => {
                self.put(batch, &Kind::Report.key(report.number), report)?;
                batch.remove(&Kind::Report.key(report.number.saturating_sub(REMEMBERED)));
            }
        }
        Ok(())
    }

    fn put_chunks(&mut self, batch: &mut Batch, bytes: &[u8]) {
        let mut number = 0;
        for chunk in bytes.chunks(CHUNK) {
            batch.insert(&Kind::Counts.key(number), chunk);
            number += 1;
        }
        for stale in number..u64::from(self.count_chunks) {
            batch.remove(&Kind::Counts.key(stale));
        }
        self.count_chunks = number as u32;
    }

    fn put_seen(&mut self, batch: &mut Batch, ids: &[u128]) -> Result<(), Error> {
        self.put(batch, &Kind::Seen.key(self.next), &ids)?;
        self.seen_chunks.push_back((self.next, ids.len()));
        self.next += 1;
        let mut all: usize = self.seen_chunks.iter().map(|(_, ids)| ids).sum();
        while let Some((number, ids)) = self.seen_chunks.front().copied() {
            if all < self.seen_bound + ids {
                break;
            }
            batch.remove(&Kind::Seen.key(number));
            self.seen_chunks.pop_front();
            all -= ids;
        }
        Ok(())
    }

    /// An id leaves, and the files are to be rewritten: a document was forgotten.
    fn erase_seen(&self, batch: &mut Batch, id: u128) -> Result<(), Error> {
        let mut rest = Vec::new();
        self.each::<Vec<u128>>(Kind::Seen, |number, mut ids| {
            if ids.contains(&id) {
                ids.retain(|seen| *seen != id);
                rest.push((number, ids));
            }
        })?;
        for (number, ids) in rest {
            self.put(batch, &Kind::Seen.key(number), &ids)?;
        }
        batch.insert(layout::ERASE, []);
        Ok(())
    }

    fn put(&self, batch: &mut Batch, key: &[u8], value: &impl Serialize) -> Result<(), Error> {
        batch.insert(key, self.ledger.encode(key, value)?);
        Ok(())
    }
}

/// Writes in the order in which they take effect.
struct Batch {
    writes: Vec<Write>,
}

impl Batch {
    fn insert(&mut self, key: &[u8], value: impl Into<Vec<u8>>) {
        self.writes.push(Write { key: key.to_vec(), value: Some(value.into()) });
    }

    fn remove(&mut self, key: &[u8]) {
        self.writes.push(Write { key: key.to_vec(), value: None });
    }
}
