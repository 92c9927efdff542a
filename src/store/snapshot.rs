//! Everything that the store holds at one moment, read while others go on writing: sled 0.34 has no such thing.
//!
//! Whoever writes keeps what a key held before, until the snapshot has read it. So a reader holds up a write for as long
//! as one piece takes, some ms, and memory grows with what is written meanwhile.

use std::collections::BTreeMap;

use crate::store::Error;
use crate::store::ledger::Ledger;
use crate::store::tree;

/// Bytes that are read at once, at least; a single value may be larger.
const PIECE: usize = if cfg!(test) { 300 } else { 1 << 20 };

/// What a snapshot needs of what was overwritten since it began.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// The first key that is not read yet.
    next: Vec<u8>,
    /// What keys held then that were overwritten before they were read.
    kept: BTreeMap<Vec<u8>, Option<sled::IVec>>,
}

impl Before {
    /// `key` is being overwritten and held `old` until now.
    pub(super) fn keep(&mut self, key: &[u8], old: Option<sled::IVec>) {
        if key >= self.next.as_slice() {
            self.kept.entry(key.to_vec()).or_insert(old);
        }
    }
}

/// Keys and their values at one moment, in pieces, in the keys' order. One at a time.
#[derive(Debug)]
pub(super) struct Snapshot {
    ledger: Ledger,
    ended: bool,
}

/// A key and what stands there.
pub(super) type Entry = (Vec<u8>, Vec<u8>);
/// Some of them.
pub(super) type Piece = Vec<Entry>;

impl Snapshot {
    /// Of this moment.
    pub(super) fn take(ledger: &Ledger) -> Result<Self, Error> {
        let mut inside = ledger.inside();
        if inside.snapshot.is_some() {
            return Err(Error::Busy);
        }
        inside.snapshot = Some(Before::default());
        drop(inside);
        Ok(Self { ledger: ledger.clone(), ended: false })
    }

    fn read(&mut self) -> Result<Piece, Error> {
        let Self { ledger, ended } = self;
        let mut inside = ledger.inside();
        let Some(before) = &mut inside.snapshot else { return Ok(Vec::new()) };
        let (mut found, mut bytes) = (BTreeMap::new(), 0);
        let end = tree::guarded(&ledger.directory, || {
            for entry in ledger.tree.range(before.next.as_slice()..) {
                let (key, value) = entry.map_err(|source| ledger.failed("read", source))?;
                if bytes >= PIECE {
                    return Ok(Some(key.to_vec()));
                }
                bytes += key.len() + value.len();
                found.insert(key.to_vec(), value);
            }
            Ok(None)
        })?;
        let later = end.as_ref().map_or_else(BTreeMap::new, |end| before.kept.split_off(end));
        for (key, old) in std::mem::replace(&mut before.kept, later) {
            match old {
                Some(old) => drop(found.insert(key, old)),
                None => drop(found.remove(&key)),
            }
        }
        *ended = end.is_none();
        before.next = end.unwrap_or_default();
        Ok(found.into_iter().map(|(key, value)| (key, value.to_vec())).collect())
    }
}

impl Iterator for Snapshot {
    type Item = Result<Piece, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let piece = self.read();
        self.ended |= piece.is_err();
        Some(piece)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.ledger.inside().snapshot = None;
    }
}
