//! Files that hold nothing that was deleted.
//!
//! sled 0.34 writes a log: a value that was removed or replaced stays in its file until the segment is used again,
//! which may never happen. So after a document was forgotten the store is marked, and the next one to open it copies
//! what is alive into new files and puts them in the old ones' place. Until then its bytes may still be found on the
//! disk; and what a file system or a disk keeps of deleted files is beyond this.

use std::path::{Path, PathBuf};

use crate::store::{Error, Store, layout, open_tree};

/// Where the new files grow, and where the old ones wait to be deleted: beside the state's folder.
struct Places {
    state: PathBuf,
    fresh: PathBuf,
    old: PathBuf,
}

impl Places {
    fn of(state: &Path) -> Option<Self> {
        let name = state.file_name()?.to_string_lossy().into_owned();
        let beside = |end: &str| state.with_file_name(format!("{name}.{end}"));
        Some(Self { state: state.to_owned(), fresh: beside("compact"), old: beside("old") })
    }

    /// The old files are away, the new ones, which were whole before that, take their place.
    fn swap_in(&self) -> std::io::Result<()> {
        fs_err::rename(&self.fresh, &self.state)?;
        let parent = self.state.parent().filter(|parent| !parent.as_os_str().is_empty());
        fs_err::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
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
pub(super) fn compact(tree: sled::Db, directory: &Path) -> Result<sled::Db, Error> {
    let failed = |source| Error::Compact { directory: directory.to_owned(), source };
    let Some(places) = Places::of(directory) else { return Ok(tree) };
    remove(&places.old).map_err(failed)?;
    let io = |doing| move |source| Error::Io { directory: directory.to_owned(), doing, source };
    if !tree.contains_key(layout::ERASE).map_err(io("read"))? {
        return Ok(tree);
    }
    remove(&places.fresh).map_err(failed)?;
    let fresh = open_tree(&places.fresh)?;
    for entry in tree.iter() {
        let (key, value) = entry.map_err(io("read"))?;
        if key != layout::ERASE {
            fresh.insert(key, value).map_err(io("copied"))?;
        }
    }
    fresh.flush().map_err(io("flushed"))?;
    drop(fresh);
    let file = fs_err::File::open(places.fresh.join("db"));
    file.and_then(|file| file.sync_all()).map_err(failed)?;
    // The old tree stays open, and with it locked, until the new files are in place.
    fs_err::rename(&places.state, &places.old).map_err(failed)?;
    places.swap_in().map_err(failed)?;
    drop(tree);
    remove(&places.old).map_err(failed)?;
    open_tree(directory)
}

fn remove(folder: &Path) -> std::io::Result<()> {
    if folder.exists() { fs_err::remove_dir_all(folder) } else { Ok(()) }
}

impl Store {
    /// True if bytes of forgotten documents may still lie in the files; they leave when the state is opened next.
    pub fn is_marked(&self) -> Result<bool, Error> {
        self.tree.contains_key(layout::ERASE).map_err(|source| self.failed("read", source))
    }
}
