//! Events that somebody still has to be told; they wait on disk until they are delivered or given up.

use std::sync::{Arc, Mutex, PoisonError};

use crate::model::event::Event;
use crate::store::Error;
use crate::store::layout::Kind;

/// A handle on the outbox alone; the notifier has one while the modeler owns the store.
#[derive(Debug, Clone)]
pub struct Outbox {
    tree: sled::Db,
    directory: std::path::PathBuf,
    delivered: Delivered,
}

/// Numbers of events that were told and are still in the outbox of whoever copies this store; as many as are told
/// between two commits.
#[derive(Debug, Clone, Default)]
pub(super) struct Delivered(Arc<Mutex<Vec<u64>>>);

impl Delivered {
    pub(super) fn take(&self) -> Vec<u64> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, number: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(number);
    }
}

impl super::Store {
    /// The outbox of this state.
    pub fn outbox(&self) -> Outbox {
        Outbox {
            tree: self.tree.clone(),
            directory: self.directory.clone(),
            delivered: self.delivered.clone(),
        }
    }
}

impl Outbox {
    /// The oldest event that waits, if any.
    pub fn first(&self) -> Result<Option<Event>, Error> {
        let Some(entry) = self.tree.scan_prefix([Kind::Outbox as u8]).next() else { return Ok(None) };
        let (key, value) = entry.map_err(|source| self.failed("read", source))?;
        let event = postcard::from_bytes(&value).map_err(|source| Error::Broken {
            directory: self.directory.clone(),
            key: format!("x{}", Kind::number(&key)),
            source,
        })?;
        Ok(Some(event))
    }

    /// Event `number` need not be told again. It may be, once, if the process is killed before the next commit.
    pub fn done(&self, number: u64) -> Result<(), Error> {
        self.tree.remove(Kind::Outbox.key(number)).map_err(|source| self.failed("written", source))?;
        self.delivered.push(number);
        Ok(())
    }

    fn failed(&self, doing: &'static str, source: sled::Error) -> Error {
        Error::Io { directory: self.directory.clone(), doing, source }
    }
}
