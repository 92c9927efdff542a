//! A store that is a copy: the state lives elsewhere as the sequence of everything that was ever written, and is
//! written here again.

use crate::record::state::Write;
use crate::store::layout::{CHECKPOINT, FORMAT_KEY, IDENTITY_KEY, LINEAGE_KEY, MADE_BY, SEAL};
use crate::store::{Error, Store};

impl Store {
    /// Makes this store, which has no origin yet, a copy; returns all of it, the origin's name first, for the
    /// original to be made of.
    pub fn found(&mut self, lineage: u64) -> Result<Vec<Write>, Error> {
        let mut writes =
            vec![Write { key: LINEAGE_KEY.to_vec(), value: Some(lineage.to_be_bytes().to_vec()) }];
        self.ledger.scan(&[], |key, value| {
            // Each copy is sealed by itself.
            if key != LINEAGE_KEY && key != SEAL {
                writes.push(Write { key: key.to_vec(), value: Some(value.to_vec()) });
            }
            Ok(())
        })?;
        Ok(writes)
    }

    /// Prepares this store to be written with what the original holds, whose first write is `first`.
    ///
    /// # Errors
    /// [`Error::Foreign`] if this store holds a state of its own, or a copy of another; nothing is lost then.
    pub fn begin_copy(&mut self, first: &Write) -> Result<(), Error> {
        let own = self.ledger.get(LINEAGE_KEY)?;
        let same = first.key == LINEAGE_KEY && own.as_deref() == first.value.as_deref();
        if !self.is_fresh()? && !same {
            return Err(Error::Foreign { directory: self.ledger.directory.to_path_buf() });
        }
        // All at once, and it stays a copy of the same: whoever kills the process here leaves no state by halves.
        let mut writes = Vec::new();
        self.ledger.scan(&[], |key, _| {
            if ![LINEAGE_KEY, FORMAT_KEY, MADE_BY, IDENTITY_KEY, SEAL].contains(&key) {
                writes.push(Write { key: key.to_vec(), value: None });
            }
            Ok(())
        })?;
        self.ledger.write(&writes)
    }

    /// True if it holds no state.
    pub fn is_fresh(&self) -> Result<bool, Error> {
        Ok(self.ledger.get(CHECKPOINT)?.is_none() && self.ledger.get(LINEAGE_KEY)?.is_none())
    }
}
