//! Where the daemon that has the state open is reached: a file beside sled's, so that a command on this state asks the
//! right one.

use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use serde::{Deserialize, Serialize};

/// What a daemon leaves in its state's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// `http://HOST:PORT`.
    pub url: String,
    /// Drawn anew at each start; the daemon puts it into each answer. A file that a killed daemon left behind names
    /// one that nobody answers with.
    pub instance: String,
}

fn path(directory: &Path) -> PathBuf {
    directory.join("daemon.json")
}

/// Writes the announcement; the folder must be there.
pub fn write(directory: &Path, announcement: &Announcement) -> std::io::Result<()> {
    let fresh = path(directory).with_extension("new");
    let mut file =
        fs_err::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&fresh)?;
    serde_json::to_writer(&mut file, announcement)?;
    fs_err::rename(fresh, path(directory))
}

/// What the last daemon left, if it can be read.
pub fn read(directory: &Path) -> Option<Announcement> {
    serde_json::from_slice(&fs_err::read(path(directory)).ok()?).ok()
}
