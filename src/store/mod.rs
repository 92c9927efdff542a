//! The state on disk, in sled: each [`Change`](crate::model::state::change::Change) and the checkpoint that belongs
//! to it in one atomic batch.
//!
//! Everything lies in one tree, because only a single tree's batch is atomic in sled 0.34 without a transaction;
//! [`layout`] names the keys. `tree` opens sled's files, `ledger` sees every write to them; everything else goes through
//! it. What a batch of documents teaches is written as a journal entry; a refit writes every
//! topic whole and clears the journal, so a restart replays one refit interval at most.

pub mod announcement;
pub mod backup;
pub mod check;
pub mod commit;
pub mod compact;
mod error;
pub mod layout;
mod ledger;
pub mod load;
pub mod look;
mod migrate;
pub mod outbox;
pub mod replica;
mod snapshot;
mod tree;

use std::collections::VecDeque;
use std::path::Path;

pub use self::error::Error;
use self::ledger::Ledger;
use crate::record::state::Write;

/// The state's folder, opened by one process at a time.
#[derive(Debug)]
pub struct Store {
    ledger: Ledger,
    /// Number of the next journal entry and of the next chunk of seen ids.
    next: u64,
    /// (number, ids) of each chunk of seen ids, oldest first.
    seen_chunks: VecDeque<(u64, usize)>,
    seen_bound: usize,
    count_chunks: u32,
    /// What the notifier wrote since the last commit.
    written: outbox::Written,
}

/// What belongs to whom: a state never mixes the vectors of two encoders.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Identity {
    /// Identifies the encoder, weights included.
    pub encoder: String,
    /// Numbers in an embedding.
    pub dim: usize,
}

impl Identity {
    /// True if both make the same embeddings of the same texts: the hash of the model's files is the same, wherever the
    /// model lies and whatever its folder is called. An encoder without a hash is known by its name.
    pub fn is_same_model(&self, other: &Self) -> bool {
        self.dim == other.dim && self.model() == other.model()
    }

    /// By what the model is known on every machine.
    pub fn model(&self) -> &str {
        match self.encoder.rsplit_once('@') {
            Some((_, hash)) if hash != "remote" => hash,
            _ => &self.encoder,
        }
    }
}

impl Store {
    /// Opens the state in `directory`, or makes an empty one there for `identity`.
    ///
    /// `seen_bound` is the number of ids that are remembered to find duplicates.
    pub fn open(directory: &Path, identity: &Identity, seen_bound: usize) -> Result<Self, Error> {
        let store = Self::open_any(directory, seen_bound)?;
        look::tell(directory, &store.identity()?.unwrap_or_else(|| identity.clone()));
        match store.identity()? {
            Some(found) if !found.is_same_model(identity) => Err(Error::Encoder {
                directory: directory.to_owned(),
                found: found.encoder,
                found_dim: found.dim,
                wanted: identity.encoder.clone(),
                wanted_dim: identity.dim,
            }),
            Some(_) => Ok(store),
            None => {
                let value = store.ledger.encode(layout::IDENTITY_KEY, identity)?;
                let own = Write { key: layout::IDENTITY_KEY.to_vec(), value: Some(value) };
                let marks = migrate::marks(&store.ledger, layout::FORMAT)?;
                store.ledger.write(&marks.into_iter().chain([own]).collect::<Vec<_>>())?;
                store.ledger.force()?;
                Ok(store)
            }
        }
    }

    /// Opens the state in `directory`, whatever encoder it belongs to; refuses a folder without one.
    pub fn open_existing(directory: &Path, seen_bound: usize) -> Result<(Self, Identity), Error> {
        let empty = || Error::Empty { directory: directory.to_owned() };
        compact::recover(directory)?;
        if !ledger::is_there(directory) {
            return Err(empty());
        }
        let store = Self::open_any(directory, seen_bound)?;
        let identity = store.identity()?.ok_or_else(empty)?;
        Ok((store, identity))
    }

    fn open_any(directory: &Path, seen_bound: usize) -> Result<Self, Error> {
        compact::recover(directory)?;
        look::refuse_foreign(directory)?;
        let ledger = Ledger::open(directory)?;
        let format = migrate::known(&ledger)?;
        ledger.verify()?;
        if ledger.get(layout::IDENTITY_KEY)?.is_none() && !ledger.tree.is_empty() {
            return Err(Error::damaged(directory, "it was not written to its end"));
        }
        let migrated = format.map(|found| migrate::migrate(&ledger, found)).transpose()?;
        let mut store = Self {
            ledger: compact::compact(ledger, directory)?,
            next: 0,
            seen_chunks: VecDeque::new(),
            seen_bound,
            count_chunks: 0,
            written: outbox::Written::default(),
        };
        store.written.extend(migrated.unwrap_or_default());
        store.find_numbers()?;
        Ok(store)
    }

    /// The encoder that the state belongs to, if it has one yet.
    pub fn identity(&self) -> Result<Option<Identity>, Error> {
        self.read(layout::IDENTITY_KEY)
    }
}

#[cfg(test)]
mod tests;
