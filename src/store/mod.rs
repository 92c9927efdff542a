//! The state on disk, in sled: each [`Change`](crate::model::state::change::Change) and the checkpoint that belongs
//! to it in one atomic batch.
//!
//! Everything lies in one tree, because only a single tree's batch is atomic in sled 0.34 without a transaction;
//! [`layout`] names the keys. What a batch of documents teaches is written as a journal entry; a refit writes every
//! topic whole and clears the journal, so a restart replays one refit interval at most.

pub mod announcement;
pub mod commit;
pub mod compact;
pub mod layout;
pub mod load;
pub mod look;
pub mod outbox;
pub mod replica;

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, Instant};

use crate::model::version::BrokenEntry;

/// The state's folder, opened by one process at a time.
#[derive(Debug)]
pub struct Store {
    tree: sled::Db,
    directory: PathBuf,
    /// sled's own file, kept open so that a sync needs no descriptor.
    file: fs_err::File,
    /// Number of the next journal entry and of the next chunk of seen ids.
    next: u64,
    /// (number, ids) of each chunk of seen ids, oldest first.
    seen_chunks: VecDeque<(u64, usize)>,
    seen_bound: usize,
    count_chunks: u32,
    /// What the notifier wrote since the last commit.
    written: outbox::Written,
}

/// What belongs to whom: a state never mixes the vectors of two encoders.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Identity {
    /// Identifies the encoder, weights included.
    pub encoder: String,
    /// Numbers in an embedding.
    pub dim: usize,
}

impl Identity {
    /// True if both make the same embeddings of the same texts: the hash of the model's files is the same, wherever the
    /// model lies and whatever its folder is called. An encoder without a hash is known by its name.
    pub fn is_same_model(&self, other: &Self) -> bool {
        self.dim == other.dim && self.model() == other.model()
    }

    /// By what the model is known on every machine.
    pub fn model(&self) -> &str {
        match self.encoder.rsplit_once('@') {
            Some((_, hash)) if hash != "remote" => hash,
            _ => &self.encoder,
        }
    }
}

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it open.
    #[error("state `{}` is in use by another process; stop it, or ask it over http", directory.display())]
    Locked {
        /// The state's folder.
        directory: PathBuf,
    },
    /// The system does not let it be opened; the state itself is whole.
    #[error("state `{}` cannot be opened: {}", directory.display(), way_in(source))]
    Access {
        /// The state's folder.
        directory: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// sled cannot open it.
    #[error("state `{}` is damaged; restore a backup of the folder, or move it away to start afresh", directory.display())]
    Open {
        /// The state's folder.
        directory: PathBuf,
        /// sled's reason.
        #[source]
        source: sled::Error,
    },
    /// sled gave up in the middle of opening it.
    #[error("state `{}` is damaged ({reason}); restore a backup of the folder, or move it away to start afresh", directory.display())]
    Damaged {
        /// The state's folder.
        directory: PathBuf,
        /// What sled said.
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
    /// It was written by another version of topicd.
    #[error("state `{}` has format {found}, this topicd reads {}; use the topicd that wrote it", directory.display(), layout::FORMAT)]
    Format {
        /// The state's folder.
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
    #[error("state `{}` failed while it was {doing}", directory.display())]
    Io {
        /// The state's folder.
        directory: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// sled's reason.
        #[source]
        source: sled::Error,
    },
    /// The disk refused to keep what was written.
    #[error("state `{}` could not be forced to disk", directory.display())]
    Sync {
        /// The state's folder.
        directory: PathBuf,
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
    #[error("state `{}` holds a broken value under `{key}`; restore a backup of the folder", directory.display())]
    Broken {
        /// The state's folder.
        directory: PathBuf,
        /// Its key.
        key: String,
        /// The decoder's reason.
        #[source]
        source: postcard::Error,
    },
    /// A kept embedding is broken.
    #[error(transparent)]
    Entry(#[from] BrokenEntry),
}

impl Store {
    /// Opens the state in `directory`, or makes an empty one there for `identity`.
    ///
    /// `seen_bound` is the number of ids that are remembered to find duplicates.
    pub fn open(directory: &Path, identity: &Identity, seen_bound: usize) -> Result<Self, Error> {
        let store = Self::open_any(directory, seen_bound)?;
        look::tell(directory, &store.identity()?.unwrap_or_else(|| identity.clone()));
        match store.identity()? {
            Some(found) if !found.is_same_model(identity) => Err(Error::Encoder {
                directory: directory.to_owned(),
                found: found.encoder,
                found_dim: found.dim,
                wanted: identity.encoder.clone(),
                wanted_dim: identity.dim,
            }),
            Some(_) => Ok(store),
            None => {
                store.insert(layout::FORMAT_KEY, &layout::FORMAT)?;
                store.insert(layout::IDENTITY_KEY, identity)?;
                store.force()?;
                Ok(store)
            }
        }
    }

    /// Opens the state in `directory`, whatever encoder it belongs to; refuses a folder without one.
    pub fn open_existing(directory: &Path, seen_bound: usize) -> Result<(Self, Identity), Error> {
        let empty = || Error::Empty { directory: directory.to_owned() };
        compact::recover(directory)?;
        if !directory.join("db").exists() {
            return Err(empty());
        }
        let store = Self::open_any(directory, seen_bound)?;
        let identity = store.identity()?.ok_or_else(empty)?;
        Ok((store, identity))
    }

    fn open_any(directory: &Path, seen_bound: usize) -> Result<Self, Error> {
        compact::recover(directory)?;
        look::refuse_foreign(directory)?;
        let tree = compact::compact(open_tree(directory)?, directory)?;
        let file = fs_err::File::open(directory.join("db"))
            .map_err(|source| Error::Access { directory: directory.to_owned(), source })?;
        let mut store = Self {
            tree,
            file,
            directory: directory.to_owned(),
            next: 0,
            seen_chunks: VecDeque::new(),
            seen_bound,
            count_chunks: 0,
            written: outbox::Written::default(),
        };
        match store.read::<u32>(layout::FORMAT_KEY)? {
            Some(found) if found != layout::FORMAT => {
                return Err(Error::Format { directory: directory.to_owned(), found });
            }
            _ => {}
        }
        store.find_numbers()?;
        Ok(store)
    }

    /// The encoder that the state belongs to, if it has one yet.
    pub fn identity(&self) -> Result<Option<Identity>, Error> {
        self.read(layout::IDENTITY_KEY)
    }

    /// Forces everything written so far to disk: sled's `flush` survives a killed process only.
    fn force(&self) -> Result<(), Error> {
        self.tree.flush().map_err(|source| self.failed("flushed", source))?;
        self.file.sync_data().map_err(|source| Error::Sync { directory: self.directory.clone(), source })
    }

    fn failed(&self, doing: &'static str, source: sled::Error) -> Error {
        Error::Io { directory: self.directory.clone(), doing, source }
    }
}

/// How long a state that is in use is asked for again: a process that was just stopped, or sled's own threads, let go of it
/// a moment late.
const LETTING_GO: Duration = Duration::from_secs(1);

fn open_tree(directory: &Path) -> Result<sled::Db, Error> {
    let deadline = Instant::now() + LETTING_GO;
    loop {
        match try_open_tree(directory) {
            Err(Error::Locked { .. }) if Instant::now() < deadline => {
                std::thread::park_timeout(Duration::from_millis(10));
            }
            opened => return opened,
        }
    }
}

fn try_open_tree(directory: &Path) -> Result<sled::Db, Error> {
    let directory = directory.to_owned();
    if let Err(source) = make_private(&directory) {
        return Err(Error::Access { directory, source });
    }
    // Flushes are explicit: a commit returns when it is on disk.
    let config = sled::Config::new().path(&directory).flush_every_ms(None).cache_capacity(64 << 20);
    match unpanicked(move || config.open()) {
        Ok(Ok(tree)) => Ok(tree),
        Ok(Err(sled::Error::Io(error))) if error.to_string().contains("could not acquire lock") => {
            Err(Error::Locked { directory })
        }
        Ok(Err(sled::Error::Io(source))) if source.raw_os_error().is_some() => {
            Err(Error::Access { directory, source })
        }
        Ok(Err(source)) => Err(Error::Open { directory, source }),
        Err(reason) => Err(Error::Damaged { directory, reason }),
    }
}

/// Makes the folder and its file for this user alone, where they are missing: documents stand in them.
fn make_private(directory: &Path) -> std::io::Result<()> {
    if directory.exists() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    drop(std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(directory.join("db"))?);
    Ok(())
}

/// The thread whose panics are told as errors.
const QUIET: &str = "opening";

/// What `open` returns, or what it said as it panicked: sled 0.34 does on some damaged files.
fn unpanicked<T: Send>(open: impl FnOnce() -> T + Send) -> Result<T, String> {
    static QUIETED: Once = Once::new();
    QUIETED.call_once(|| {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().name() != Some(QUIET) {
                tell(panic);
            }
        }));
    });
    let said = std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name(QUIET.to_owned())
            .spawn_scoped(scope, open)
            .map(std::thread::ScopedJoinHandle::join)
    });
    let panic = match said {
        Ok(Ok(opened)) => return Ok(opened),
        Ok(Err(panic)) => panic,
        Err(error) => return Err(error.to_string()),
    };
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
    Err(text.and_then(|text| text.lines().next()).unwrap_or("it gave no reason").to_owned())
}

/// The way out, for what the system refused.
fn way_in(source: &std::io::Error) -> &'static str {
    match source.kind() {
        ErrorKind::PermissionDenied => {
            "this user has no right to it; start topicd as the user that owns it, or set `state.directory` to another folder"
        }
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "it, or a part of its path, is a file; set `state.directory` to the path of a folder"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "the disk is full; free some space and start again"
        }
        ErrorKind::ReadOnlyFilesystem => {
            "the file system is read-only; set `state.directory` to a folder that can be written"
        }
        _ => "the system refuses it",
    }
}

#[cfg(test)]
mod tests;
