//! A store that is a copy: the state lives elsewhere as the sequence of everything that was ever written, and is
//! written here again.

use crate::record::state::Write;
use crate::store::layout::{CHECKPOINT, LINEAGE_KEY};
use crate::store::{Error, Store};

impl Store {
    /// Makes this store, which has no origin yet, a copy; returns all of it, the origin's name first, for the
    /// original to be made of.
    pub fn found(&mut self, lineage: u64) -> Result<Vec<Write>, Error> {
        let mut writes =
            vec![Write { key: LINEAGE_KEY.to_vec(), value: Some(lineage.to_be_bytes().to_vec()) }];
        for entry in self.tree.iter() {
            let (key, value) = entry.map_err(|source| self.failed("read", source))?;
            if key != LINEAGE_KEY {
                writes.push(Write { key: key.to_vec(), value: Some(value.to_vec()) });
            }
        }
        Ok(writes)
    }

    /// Prepares this store to be written with what the original holds, whose first write is `first`.
    ///
    /// # Errors
    /// [`Error::Foreign`] if this store holds a state of its own, or a copy of another; nothing is lost then.
    pub fn begin_copy(&mut self, first: &Write) -> Result<(), Error> {
        let own = self.tree.get(LINEAGE_KEY).map_err(|source| self.failed("read", source))?;
        let same = first.key == LINEAGE_KEY && own.as_deref() == first.value.as_deref();
        if self.is_fresh()? || same {
            return self.tree.clear().map_err(|source| self.failed("cleared", source));
        }
        Err(Error::Foreign { directory: self.directory.clone() })
    }

    /// True if it holds no state.
    pub fn is_fresh(&self) -> Result<bool, Error> {
        let checkpoint = self.tree.contains_key(CHECKPOINT).map_err(|source| self.failed("read", source))?;
        let copy = self.tree.contains_key(LINEAGE_KEY).map_err(|source| self.failed("read", source))?;
        Ok(!checkpoint && !copy)
    }
}
