//! Files that hold nothing that was deleted.
//!
//! sled 0.34 writes a log: a value that was removed or replaced stays in its file until the segment is used again,
//! which may never happen. So after a document was forgotten the store is marked, and the next one to open it copies
//! what is alive into new files and puts them in the old ones' place. Until then its bytes may still be found on the
//! disk; and what a file system or a disk keeps of deleted files is beyond this.
//!
//! What else lies in the state's folder, such as the outputs of `topicd fit --state`, stays.

use std::path::{Path, PathBuf};

use crate::store::backup::Filling;
use crate::store::ledger::Ledger;
use crate::store::{Error, Store, layout, tree};

/// Where the new files grow, and where the old ones wait to be deleted: beside the state's folder.
struct Places {
    state: PathBuf,
    fresh: PathBuf,
    old: PathBuf,
}

impl Places {
    fn of(state: &Path) -> Option<Self> {
        let name = state.file_name()?.to_string_lossy().into_owned();
        // Names that nobody gives to a backup.
        let beside = |end: &str| state.with_file_name(format!("{name}.topicd-{end}"));
        Some(Self { state: state.to_owned(), fresh: beside("new"), old: beside("old") })
    }

    /// The old files are away, the new ones, which were whole before that, take their place.
    fn swap_in(&self) -> std::io::Result<()> {
        fs_err::rename(&self.fresh, &self.state)?;
        let parent = self.state.parent().filter(|parent| !parent.as_os_str().is_empty());
        fs_err::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    }

    /// Deletes the old files, which others have replaced, and keeps what is not the tree's.
    fn clear_old(&self) -> std::io::Result<()> {
        if !self.old.exists() {
            return Ok(());
        }
        for entry in fs_err::read_dir(&self.old)? {
            let entry = entry?;
            let kept = self.state.join(entry.file_name());
            if !tree::is_own(&entry.file_name().to_string_lossy()) && !kept.exists() {
                fs_err::rename(entry.path(), kept)?;
            }
        }
        fs_err::remove_dir_all(&self.old)
    }
}

/// Ends a compaction that was interrupted between its two renames.
pub(super) fn recover(directory: &Path) -> Result<(), Error> {
    let Some(places) = Places::of(directory) else { return Ok(()) };
    if directory.exists() || !places.old.exists() || !places.fresh.exists() {
        return Ok(());
    }
    places.swap_in().map_err(|source| Error::Compact { directory: directory.to_owned(), source })
}

/// Copies what is alive into new files if the store is marked.
pub(super) fn compact(ledger: Ledger, directory: &Path) -> Result<Ledger, Error> {
    let failed = |source| Error::Compact { directory: directory.to_owned(), source };
    let Some(places) = Places::of(directory) else { return Ok(ledger) };
    places.clear_old().map_err(failed)?;
    if ledger.get(layout::ERASE)?.is_none() {
        return Ok(ledger);
    }
    if places.fresh.exists() {
        fs_err::remove_dir_all(&places.fresh).map_err(failed)?;
    }
    let fresh = Ledger::open(&places.fresh)?;
    let mut copy = Filling::new(&fresh);
    ledger.scan(&[], |key, value| if key == layout::ERASE { Ok(()) } else { copy.add(key, value) })?;
    copy.end()?;
    drop(fresh);
    // The old tree stays open, and with it locked, until the new files are in place.
    fs_err::rename(&places.state, &places.old).map_err(failed)?;
    places.swap_in().map_err(failed)?;
    drop(ledger);
    places.clear_old().map_err(failed)?;
    let ledger = Ledger::open(directory)?;
    ledger.verify()?;
    Ok(ledger)
}

impl Store {
    /// True if bytes of forgotten documents may still lie in the files; they leave when the state is opened next.
    pub fn is_marked(&self) -> Result<bool, Error> {
        Ok(self.ledger.get(layout::ERASE)?.is_some())
    }
}
