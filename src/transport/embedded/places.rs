//! How far each file was read, whatever its name is now.

use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::error::Error;
use super::file::{Regular, Rest};
use crate::checkpoint::{Checkpoint, Partition};

/// The recorded position of every file that was read.
///
/// A file's partition is the path at which it first stood and the fingerprint of its first line; further files with the
/// same first line are numbered. A file is one of these if it has that first line, and before the recorded position the
/// same bytes.
#[derive(Debug, Clone)]
pub(super) struct Places(pub Checkpoint);

/// Where reading goes on in a file.
pub(super) struct Place {
    pub partition: Partition,
    pub position: u64,
    pub rest: Rest,
}

impl Place {
    /// True if nothing comes after it now.
    pub(super) fn at_end(&mut self) -> std::io::Result<bool> {
        self.rest.bytes.fill_buf().map(<[u8]>::is_empty)
    }
}

impl Places {
    /// Where reading goes on in a file that was read before, the furthest place of several; `None` if it was not.
    /// Places that are `taken` are those of other files.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub(super) fn find(
        &self,
        file: &Regular,
        taken: impl Fn(&Partition) -> bool,
    ) -> Result<Option<Place>, Error> {
        let mut known: Vec<_> = self.0.iter().filter(|(name, _)| is_named(name, file.fingerprint)).collect();
        known.sort_by_key(|(_, position)| std::cmp::Reverse(*position));
        for (partition, position) in known.into_iter().filter(|(partition, _)| !taken(partition)) {
            let Some(rest) = file.rest(position)? else { continue };
            if self.0.position(&before(partition)) == hash(&rest.before) {
                return Ok(Some(Place { partition: partition.clone(), position, rest }));
            }
        }
        self.find_by_path(file)
    }

    /// Before files had fingerprints, a position was recorded under the path alone: it counts until there is another.
    fn find_by_path(&self, file: &Regular) -> Result<Option<Place>, Error> {
        let position = self.0.position(&Partition::new(&file.path.to_string_lossy()));
        if position == 0 || self.know(&file.path) {
            return Ok(None);
        }
        let rest = file.rest(position)?;
        Ok(rest.map(|rest| Place { partition: self.new_name(file), position, rest }))
    }

    /// The start of a file that was not read before.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub(super) fn start(&self, file: &Regular) -> Result<Place, Error> {
        let rest = file.rest(0)?.unwrap_or_default();
        Ok(Place { partition: self.new_name(file), position: 0, rest })
    }

    fn new_name(&self, file: &Regular) -> Partition {
        let name = format!("{}#{:016x}", file.path.display(), file.fingerprint);
        let mut partition = Partition::new(&name);
        let mut number = 1;
        while self.0.knows(&partition) {
            number += 1;
            partition = Partition::new(&format!("{name}.{number}"));
        }
        partition
    }

    /// True if a file that once stood at `path` was read.
    pub(super) fn know(&self, path: &Path) -> bool {
        let start = format!("{}#", path.display());
        self.0.iter().any(|(name, _)| name.as_str().starts_with(&start))
    }
}

/// Records that a file was read up to `position`, before which stand bytes with the hash `hash`.
pub(super) fn record(checkpoint: &mut Checkpoint, partition: &Partition, position: u64, hash: Option<u64>) {
    checkpoint.advance(partition.clone(), position);
    if let Some(hash) = hash {
        checkpoint.advance(before(partition), hash);
    }
}

/// The hash that is recorded of the bytes before a position.
pub(super) fn hash(before: &[u8]) -> u64 {
    xxh3_64(before)
}

/// Where that hash is recorded.
fn before(partition: &Partition) -> Partition {
    Partition::new(&format!("{partition}/before"))
}

/// True if `partition` is that of a file with this fingerprint.
fn is_named(partition: &Partition, fingerprint: u64) -> bool {
    let name = partition.as_str().rsplit_once('#').map_or("", |(_, name)| name);
    let number = name.strip_prefix(&format!("{fingerprint:016x}"));
    number.is_some_and(|number| {
        number.is_empty() || number.strip_prefix('.').is_some_and(|number| number.parse::<u64>().is_ok())
    })
}
