//! Why the state cannot be used, each cause with its way out.

use std::path::{Path, PathBuf};

use crate::disk::way_out;
use crate::model::version::BrokenEntry;
use crate::store::layout;

/// Why the state, or a backup of it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it open.
    #[error("state `{}` is in use by another process; stop it, or ask it over http", directory.display())]
    Locked {
        /// The state's folder.
        directory: PathBuf,
    },
    /// The system does not let it be opened; the state itself is whole.
    #[error("state `{}` cannot be opened: {}", directory.display(), way_out(source, "state.directory"))]
    Access {
        /// The state's folder.
        directory: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// It does not hold what was written to it.
    #[error(
        "state `{}` is damaged ({reason}); restore a backup with `topicd state restore`, or move its folder and that of \
         the outputs away to start afresh; over Kafka the folder is a copy, which is made anew",
        directory.display()
    )]
    Damaged {
        /// The state's folder.
        directory: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The folder holds something, but no state.
    #[error("`{}` holds something that topicd did not make; set `state.directory` to a new folder", directory.display())]
    Occupied {
        /// The folder.
        directory: PathBuf,
    },
    /// It was made with another encoder.
    #[error(
        "state `{}` was made with encoder `{found}` ({found_dim} numbers), not `{wanted}` ({wanted_dim}); set `embed.model` back, carry its topics over with `topicd reembed NEW_FOLDER`, or set `state.directory` to a new folder",
        directory.display()
    )]
    Encoder {
        /// The state's folder.
        directory: PathBuf,
        /// The encoder that it was made with.
        found: String,
        /// Its dimension.
        found_dim: usize,
        /// The encoder in use.
        wanted: String,
        /// Its dimension.
        wanted_dim: usize,
    },
    /// It was written by a newer topicd.
    #[error(
        "state `{}` has format {found}, made by {needed}; this is topicd {}, which knows formats up to {}; use {needed}",
        directory.display(),
        env!("CARGO_PKG_VERSION"),
        layout::FORMAT
    )]
    Newer {
        /// The state's folder, or the backup's.
        directory: PathBuf,
        /// The format found.
        found: u32,
        /// Which topicd it needs.
        needed: String,
    },
    /// It was written by a topicd that was never released.
    #[error(
        "state `{}` has format {found}, which no released topicd made; move its folder and that of the outputs away to \
         start afresh",
        directory.display()
    )]
    Unreleased {
        /// The state's folder, or the backup's.
        directory: PathBuf,
        /// The format found.
        found: u32,
    },
    /// It is not a copy of the state in Kafka.
    #[error(
        "state `{}` is another one than that in Kafka; set `state.directory` to a new folder, or name other topics in \
         `kafka.topics`",
        directory.display()
    )]
    Foreign {
        /// The state's folder.
        directory: PathBuf,
    },
    /// There is no state yet.
    #[error("state `{}` holds no model; run `topicd run` or `topicd fit` first, or set `state.directory` to where a model is", directory.display())]
    Empty {
        /// The state's folder.
        directory: PathBuf,
    },
    /// A read or write failed.
    #[error("state `{}` could not be {doing}: {}", directory.display(), way_out(source, "state.directory"))]
    Io {
        /// The state's folder.
        directory: PathBuf,
        /// What was to be done.
        doing: &'static str,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The files could not be rewritten without what was deleted.
    #[error(
        "state `{}` could not be rewritten to leave no byte of forgotten documents; free some disk and make its parent folder writable",
        directory.display()
    )]
    Compact {
        /// The state's folder.
        directory: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A value cannot be read back.
    #[error("state `{}` holds a broken value under `{key}`; restore a backup with `topicd state restore`", directory.display())]
    Broken {
        /// The state's folder.
        directory: PathBuf,
        /// Its key.
        key: String,
        /// The decoder's reason.
        #[source]
        source: postcard::Error,
    },
    /// Two backups at the same time.
    #[error("a backup of this state is being made already; wait for its end")]
    Busy,
    /// There is something where a backup or a restored state is to be.
    #[error("`{}` is not empty; name a new folder, or move away what is in it", folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// A backup could not be written or read.
    #[error("backup `{}` cannot be {doing}", path.display())]
    BackupIo {
        /// Its file.
        path: PathBuf,
        /// What was to be done.
        doing: &'static str,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A backup is not what was written.
    #[error("backup `{}` is damaged ({reason}); use another one", path.display())]
    BackupDamaged {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// A kept embedding is broken.
    #[error(transparent)]
    Entry(#[from] BrokenEntry),
}

impl Error {
    /// What it means that sled failed.
    pub(super) fn of_sled(directory: &Path, doing: &'static str, source: sled::Error) -> Self {
        let directory = directory.to_owned();
        match source {
            sled::Error::Io(source) => Self::Io { directory, doing, source },
            other => Self::Damaged { directory, reason: other.to_string() },
        }
    }

    pub(super) fn damaged(directory: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged { directory: directory.to_owned(), reason: reason.into() }
    }
}
