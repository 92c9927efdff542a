//! A state seen from outside: nothing is opened, made or changed.

use std::fs::TryLockError;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;

use crate::store::{Error, Identity, ledger};

/// What a file system puts into a folder that is its root.
pub(super) const LOST: &str = "lost+found";

/// Refuses a folder that holds something, but no state.
pub(super) fn refuse_foreign(directory: &Path) -> Result<(), Error> {
    let access = |source| Error::Access { directory: directory.to_owned(), source };
    let entries = match fs_err::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(access)?,
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    let names: Vec<_> = names.collect::<Result<_, _>>().map_err(access)?;
    let is_state = ledger::is_there(directory);
    if is_state || names.iter().all(|name| name == LOST) {
        return Ok(());
    }
    Err(Error::Occupied { directory: directory.to_owned() })
}

/// Why the state in `directory` cannot be opened now for `wanted`, the configured encoder's identity if it is known.
///
/// # Errors
/// As [`Store::open`](crate::store::Store::open) would refuse it, as far as that is seen without opening it.
pub fn look(directory: &Path, wanted: Option<&Identity>) -> Result<(), Error> {
    refuse_foreign(directory)?;
    let Ok(file) = fs_err::File::open(directory.join("db")) else { return Ok(()) };
    // sled's lock: given back at once.
    match file.file().try_lock() {
        Err(TryLockError::WouldBlock) => return Err(Error::Locked { directory: directory.to_owned() }),
        Err(TryLockError::Error(source)) => {
            return Err(Error::Access { directory: directory.to_owned(), source });
        }
        Ok(()) => drop(file),
    }
    match (identity(directory), wanted) {
        (Some(found), Some(wanted)) if !found.is_same_model(wanted) => Err(Error::Encoder {
            directory: directory.to_owned(),
            found: found.encoder,
            found_dim: found.dim,
            wanted: wanted.encoder.clone(),
            wanted_dim: wanted.dim,
        }),
        _ => Ok(()),
    }
}

/// Where a state's identity stands beside sled's files, for those who don't open it.
fn path(directory: &Path) -> PathBuf {
    directory.join("identity.json")
}

/// Writes down whose state this is; only what is seen from outside rests on it.
pub(super) fn tell(directory: &Path, identity: &Identity) {
    if self::identity(directory).as_ref() != Some(identity) {
        let told = serde_json::to_vec(identity).unwrap_or_default();
        let mut options = fs_err::OpenOptions::new();
        let file = options.create(true).truncate(true).write(true).mode(0o600).open(path(directory));
        drop(file.and_then(|mut file| file.write_all(&told)));
    }
}

fn identity(directory: &Path) -> Option<Identity> {
    serde_json::from_slice(&fs_err::read(path(directory)).ok()?).ok()
}
