//! One state writes to a folder of results, and one process at a time.

use std::fs::TryLockError;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use fs_err::{File, OpenOptions};

use super::is_at;
use crate::transport::embedded::Error;

/// The file that is locked. It holds the number of the process that has the lock, and the owner's. It stays when the lock is
/// given back: whoever removed it could remove another one's.
const NAME: &str = ".lock";

/// The right to write to a folder; given back when it is dropped, or the process dies.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    file: File,
    owner: u64,
}

impl Lock {
    /// Takes `directory`, which is made if it is not there, for the state whose outputs have the number `owner`. A state that
    /// has no outputs yet gets a new number.
    ///
    /// # Errors
    /// [`Error::OutputLocked`] if another process has it; [`Error::OutputForeign`] if another state wrote it;
    /// [`Error::Write`] if it cannot be made or written.
    pub(super) fn take(directory: &Path, owner: Option<u64>) -> Result<Self, Error> {
        let path = directory.join(NAME);
        let cannot_write = |source| Error::Write { path: path.clone(), source };
        // For this user alone: documents stand in the files.
        if !directory.exists() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(cannot_write)?;
        }
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).read(true).write(true).mode(0o600);
        let mut file = options.open(&path).map_err(cannot_write)?;
        lock(&file, directory)?;
        // A start that was killed before its first commit leaves a number that no state knows.
        if owner.is_some_and(|owner| read(directory).is_some_and(|(_, found)| found != owner)) {
            return Err(Error::OutputForeign { directory: directory.to_owned() });
        }
        let owner = owner.unwrap_or_else(rand::random);
        let content = format!("{} {owner:016x}", std::process::id());
        file.set_len(0).and_then(|()| file.write_all(content.as_bytes())).map_err(cannot_write)?;
        Ok(Self { path, file, owner })
    }

    /// The number of the state's outputs.
    pub(super) fn owner(&self) -> u64 {
        self.owner
    }

    /// False if the folder or the lock's file was moved or removed: then another process can take what stands there now.
    pub(super) fn holds(&self) -> bool {
        is_at(&self.file, &self.path).is_ok_and(|there| there)
    }
}

/// Whether `directory` could be taken now; nothing is made or held.
///
/// # Errors
/// As [`Lock::take`].
pub(super) fn look(directory: &Path) -> Result<(), Error> {
    let path = directory.join(NAME);
    match File::open(&path) {
        Ok(file) => lock(&file, directory),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::Write { path, source }),
    }
}

fn lock(file: &File, directory: &Path) -> Result<(), Error> {
    match file.file().try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let holder = read(directory).map(|(holder, _)| holder);
            Err(Error::OutputLocked { directory: directory.to_owned(), holder })
        }
        Err(TryLockError::Error(source)) => Err(Error::Write { path: file.path().to_owned(), source }),
    }
}

/// The process that took `directory` last, and the owner.
fn read(directory: &Path) -> Option<(u32, u64)> {
    let content = fs_err::read_to_string(directory.join(NAME)).ok()?;
    let (holder, owner) = content.split_once(' ')?;
    Some((holder.parse().ok()?, u64::from_str_radix(owner, 16).ok()?))
}
