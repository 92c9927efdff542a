//! Events that somebody still has to be told; they wait on disk until they are delivered or given up.

use crate::model::event::Event;
use crate::store::Error;
use crate::store::layout::Kind;

/// A handle on the outbox alone; the notifier has one while the modeler owns the store.
#[derive(Debug, Clone)]
pub struct Outbox {
    tree: sled::Db,
    directory: std::path::PathBuf,
}

impl super::Store {
    /// The outbox of this state.
    pub fn outbox(&self) -> Outbox {
        Outbox { tree: self.tree.clone(), directory: self.directory.clone() }
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
        self.tree.remove(Kind::Outbox.key(number)).map(drop).map_err(|source| self.failed("written", source))
    }

    fn failed(&self, doing: &'static str, source: sled::Error) -> Error {
        Error::Io { directory: self.directory.clone(), doing, source }
    }
}
