//! The one way into sled's tree, which sees every write.
//!
//! sled 0.34 takes damage in its log for the log's end: it goes on with an older state, or with one that lacks some
//! keys, and says nothing. So each write also sets a [`Seal`], a sum over everything that the tree holds, and a file
//! beside sled's says how many writes were on the disk. Whoever opens the tree compares.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

use crate::record::state::Write;
use crate::store::layout::SEAL;
use crate::store::snapshot::Before;
use crate::store::{Error, tree};

/// The file that holds how many writes were on the disk: a number in decimal digits.
pub(super) const SEALED: &str = "sealed";

/// What the tree must hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seal {
    /// Writes so far.
    pub writes: u64,
    /// Sum over all keys but its own.
    pub sum: u128,
}

impl Seal {
    /// Adds what stands under a key.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.sum = self.sum.wrapping_add(hash(key, value));
    }

    fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.sum = self.sum.wrapping_sub(hash(key, value));
    }
}

fn hash(key: &[u8], value: &[u8]) -> u128 {
    xxh3_128_with_seed(value, xxh3_64(key))
}

/// A tree whose every write is sealed. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    pub(super) tree: sled::Db,
    pub(super) directory: Arc<Path>,
    /// sled's own file, kept open so that a sync needs no descriptor.
    file: Arc<fs_err::File>,
    sealed: Arc<fs_err::File>,
    inside: Arc<Mutex<Inside>>,
}

/// What whoever writes must keep in step with the tree.
#[derive(Debug, Default)]
pub(super) struct Inside {
    seal: Seal,
    /// What the snapshot that is being read needs of what was overwritten.
    pub(super) snapshot: Option<Before>,
    blobs: Blobs,
}

/// The files in which sled keeps very large values, and how many of them are known to be on disk.
#[derive(Debug, Default)]
struct Blobs {
    /// The last of them: their names are numbers that rise.
    last: Option<u64>,
    /// When their folder had changed last then.
    changed: Option<SystemTime>,
}

impl Blobs {
    /// A folder's time has steps of some ms: what comes within one is seen only by looking again.
    const STEP: Duration = Duration::from_millis(100);

    /// Forces those to disk that came since the last time, which sled 0.34 does not. Takes a descriptor only if there
    /// may be some.
    fn force(&mut self, directory: &Path) -> std::io::Result<()> {
        let folder = directory.join("blobs");
        let changed = fs_err::metadata(&folder)?.modified()?;
        if self.changed == Some(changed) {
            return Ok(());
        }
        let mut last = self.last;
        for entry in fs_err::read_dir(&folder)? {
            let entry = entry?;
            let number = entry.file_name().to_string_lossy().parse::<u64>().ok();
            if number > self.last {
                match fs_err::File::open(entry.path()).and_then(|blob| blob.sync_all()) {
                    // Its value has gone meanwhile.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    forced => forced?,
                }
                last = last.max(number);
            }
        }
        fs_err::File::open(&folder)?.sync_all()?;
        let settled = changed.elapsed().is_ok_and(|since| since > Self::STEP);
        *self = Self { last, changed: settled.then_some(changed) };
        Ok(())
    }
}

impl Ledger {
    /// Opens the tree in `directory`, or makes an empty one.
    pub(super) fn open(directory: &Path) -> Result<Self, Error> {
        let access = |source| Error::Access { directory: directory.to_owned(), source };
        let is_missing = fs_err::metadata(directory.join(tree::FILE)).map_or(true, |file| file.len() == 0);
        if is_missing && sealed_writes(directory) > 0 {
            return Err(Error::damaged(directory, format!("its file `{}` is gone", tree::FILE)));
        }
        let tree = tree::open(directory, sealed_writes(directory) > 0)?;
        let file = fs_err::File::open(directory.join(tree::FILE)).map_err(access)?;
        let mut options = fs_err::OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let sealed = options.open(directory.join(SEALED)).map_err(access)?;
        Ok(Self {
            tree,
            directory: directory.into(),
            file: Arc::new(file),
            sealed: Arc::new(sealed),
            inside: Arc::default(),
        })
    }

    /// Compares what the tree holds with its seal. A tree that was never sealed is taken as it is.
    pub(super) fn verify(&self) -> Result<(), Error> {
        let found = self.get(SEAL)?.map(|value| self.decode::<Seal>(SEAL, &value)).transpose()?;
        let mut seal = Seal { writes: found.map_or(0, |seal| seal.writes), sum: 0 };
        self.scan(&[], |key, value| {
            if key != SEAL {
                seal.add(key, value);
            }
            Ok(())
        })?;
        let forced = sealed_writes(&self.directory);
        if forced > seal.writes {
            let lost = forced - seal.writes;
            return Err(Error::damaged(
                &self.directory,
                format!("the last {lost} of {forced} writes are gone"),
            ));
        }
        if found.is_some_and(|found| found.sum != seal.sum) {
            return Err(Error::damaged(&self.directory, "it does not hold what was written"));
        }
        self.inside().seal = seal;
        Ok(())
    }

    /// The seal after the last write.
    pub(super) fn seal(&self) -> Seal {
        self.inside().seal
    }

    pub(super) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What stands under `key`.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, Error> {
        self.guarded("read", || self.tree.get(key))
    }

    /// Calls `found` with every key that begins with `prefix`, and what stands there, in order.
    pub(super) fn scan(
        &self,
        prefix: &[u8],
        mut found: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        tree::guarded(&self.directory, || {
            for entry in self.tree.scan_prefix(prefix) {
                let (key, value) = entry.map_err(|source| self.failed("read", source))?;
                found(&key, &value)?;
            }
            Ok(())
        })
    }

    /// Writes all of it or nothing, in order; what that leaves is on disk after [`force`](Self::force).
    pub(super) fn write(&self, writes: &[Write]) -> Result<(), Error> {
        // Of several writes under one key the last counts.
        let last: BTreeMap<&[u8], Option<&[u8]>> =
            writes.iter().map(|Write { key, value }| (key.as_slice(), value.as_deref())).collect();
        let mut inside = self.inside();
        let mut seal = inside.seal;
        let mut batch = sled::Batch::default();
        for (key, value) in last {
            let old = self.get(key)?;
            if let Some(old) = &old {
                seal.remove(key, old);
            }
            match value {
                Some(value) => {
                    seal.add(key, value);
                    batch.insert(key, value);
                }
                None => batch.remove(key),
            }
            if let Some(snapshot) = &mut inside.snapshot {
                snapshot.keep(key, old);
            }
        }
        seal.writes += 1;
        let old = inside.seal;
        if let Some(snapshot) = &mut inside.snapshot {
            snapshot.keep(SEAL, Some(self.encode(SEAL, &old)?.into()));
        }
        batch.insert(SEAL, self.encode(SEAL, &seal)?);
        self.guarded("written", || self.tree.apply_batch(batch))?;
        inside.seal = seal;
        Ok(())
    }

    /// Brings what was written so far to where a killed process leaves it.
    pub(super) fn flush(&self) -> Result<(), Error> {
        self.guarded("flushed", || self.tree.flush().map(drop))
    }

    /// Forces everything written so far to disk: sled's `flush` survives a killed process only.
    pub(super) fn force(&self) -> Result<(), Error> {
        let writes = self.seal().writes;
        self.flush()?;
        let io =
            |source| Error::Io { directory: self.directory.to_path_buf(), doing: "forced to disk", source };
        self.file.sync_data().map_err(io)?;
        self.inside().blobs.force(&self.directory).map_err(io)?;
        // Needs no sync of its own: a number that is too small proves less, and nothing wrong.
        self.sealed.file().write_all_at(format!("{writes:020}\n").as_bytes(), 0).map_err(io)
    }

    pub(super) fn encode(&self, key: &[u8], value: &impl Serialize) -> Result<Vec<u8>, Error> {
        postcard::to_stdvec(value).map_err(|source| self.broken(key, source))
    }

    pub(super) fn decode<T: serde::de::DeserializeOwned>(
        &self,
        key: &[u8],
        value: &[u8],
    ) -> Result<T, Error> {
        postcard::from_bytes(value).map_err(|source| self.broken(key, source))
    }

    pub(super) fn broken(&self, key: &[u8], source: postcard::Error) -> Error {
        Error::Broken { directory: self.directory.to_path_buf(), key: super::layout::in_words(key), source }
    }

    pub(super) fn failed(&self, doing: &'static str, source: sled::Error) -> Error {
        Error::of_sled(&self.directory, doing, source)
    }

    fn guarded<T>(&self, doing: &'static str, work: impl FnOnce() -> sled::Result<T>) -> Result<T, Error> {
        tree::guarded(&self.directory, || work().map_err(|source| self.failed(doing, source)))
    }
}

/// True if there is a state in `directory`, or was one.
pub(super) fn is_there(directory: &Path) -> bool {
    directory.join(tree::FILE).exists() || sealed_writes(directory) > 0
}

/// How many writes were on the disk of the state in `directory`; 0 if nothing says so.
fn sealed_writes(directory: &Path) -> u64 {
    let text = fs_err::read_to_string(directory.join(SEALED)).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}
