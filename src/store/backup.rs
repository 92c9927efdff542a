//! A backup: one file with every key and its value as they were at one moment.
//!
//! The file begins with a line that names its format. Then come the keys in their order: the length of the key and that
//! of the value, each a little-endian u32, then both. The state's own seal is among them; whoever reads the file compares
//! it with what everything else adds up to.

use std::io::{BufReader, Read};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;

use crate::model::state::Totals;
use crate::record::state::Write;
use crate::store::layout::{FORMAT_KEY, IDENTITY_KEY, MADE_BY, SEAL, TOTALS};
use crate::store::ledger::{Ledger, Seal};
use crate::store::look::LOST;
use crate::store::snapshot::{Entry, Snapshot};
use crate::store::{Error, Identity, Store, migrate};

/// The file in a backup's folder.
const FILE: &str = "state.backup";
const MAGIC: &[u8] = b"topicd backup 1\n";
/// No key is longer.
const LONGEST_KEY: u32 = 1 << 10;
/// No value is longer: the longest is the archive of a version with a few hundred thousand kept documents.
const LONGEST_VALUE: u32 = 1 << 30;
/// Bytes that are written to a new tree at once.
const AT_ONCE: usize = 4 << 20;

impl Store {
    /// The bytes of a backup of this moment, in pieces of about a megabyte; the store may be written meanwhile.
    ///
    /// # Errors
    /// Another one is being made.
    pub fn backup(&self) -> Result<Backup, Error> {
        Ok(Backup { begun: false, snapshot: Snapshot::take(&self.ledger)? })
    }
}

/// See [`Store::backup`].
#[derive(Debug)]
pub struct Backup {
    begun: bool,
    snapshot: Snapshot,
}

impl Iterator for Backup {
    type Item = Result<Vec<u8>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if !std::mem::replace(&mut self.begun, true) {
            return Some(Ok(MAGIC.to_vec()));
        }
        let piece = self.snapshot.next()?;
        Some(piece.map(|piece| {
            let mut bytes = Vec::new();
            for (key, value) in piece {
                bytes.extend((key.len() as u32).to_le_bytes());
                bytes.extend((value.len() as u32).to_le_bytes());
                bytes.extend(key);
                bytes.extend(value);
            }
            bytes
        }))
    }
}

/// A backup on its way into a folder. Nothing of it stays unless it is [ended](Self::end).
#[derive(Debug)]
pub struct Writing {
    /// Where it is written, and where it stands in the end.
    unfinished: PathBuf,
    path: PathBuf,
    file: fs_err::File,
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Whose embeddings it holds.
    pub identity: Identity,
    /// Documents that were absorbed.
    pub documents: u64,
    /// The version in force.
    pub version: u64,
    /// Bytes of the file.
    pub bytes: u64,
    seal: Seal,
}

impl Writing {
    /// Begins a backup in `folder`, which is made, or is empty.
    pub fn begin(folder: &Path) -> Result<Self, Error> {
        let (path, unfinished) = (folder.join(FILE), folder.join(format!("{FILE}.new")));
        let failed = |source| Error::BackupIo { path: path.clone(), doing: "written", source };
        refuse_full(folder, failed)?;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let mut options = fs_err::OpenOptions::new();
        let file = options.create_new(true).write(true).mode(0o600).open(&unfinished).map_err(failed)?;
        Ok(Self { unfinished, path, file })
    }

    /// Reads all of it once more, and leaves it in the folder if it is whole.
    pub fn end(self) -> Result<Contents, Error> {
        let failed = |source| Error::BackupIo { path: self.path.clone(), doing: "written", source };
        self.file.sync_all().map_err(failed)?;
        let contents = read(&self.unfinished, |_, _| Ok(()))?;
        fs_err::rename(&self.unfinished, &self.path).map_err(failed)?;
        let folder = self.path.parent().unwrap_or_else(|| Path::new("."));
        fs_err::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(contents)
    }
}

impl std::io::Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // Already renamed, if it was ended.
        drop(fs_err::remove_file(&self.unfinished));
    }
}

/// True if `folder` holds a backup.
pub fn is_in(folder: &Path) -> bool {
    folder.join(FILE).exists()
}

/// Makes the state of the backup in `folder` anew in `directory`, which must be empty or not be there.
///
/// What is left of it when the process is killed is no state: the identity is written last.
pub fn restore(folder: &Path, directory: &Path) -> Result<Contents, Error> {
    let path = folder.join(FILE);
    refuse_full(directory, |source| Error::Access { directory: directory.to_owned(), source })?;
    // Before anything is written.
    let contents = read(&path, |_, _| Ok(()))?;
    let ledger = Ledger::open(directory)?;
    let mut filling = Filling::new(&ledger);
    read(&path, |key, value| filling.add(key, value))?;
    filling.end()?;
    if ledger.seal().sum == contents.seal.sum {
        Ok(contents)
    } else {
        Err(Error::damaged(directory, "it does not hold what stands in the backup"))
    }
}

/// A file system's own folder counts as nothing.
fn refuse_full(folder: &Path, failed: impl Fn(std::io::Error) -> Error) -> Result<(), Error> {
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
        Ok(entries) => {
            let mut entries =
                entries.filter(|entry| entry.as_ref().map_or(true, |entry| entry.file_name() != LOST));
            if entries.next().is_some() { Err(Error::NotEmpty { folder: folder.to_owned() }) } else { Ok(()) }
        }
    }
}

/// Calls `found` with each key and value of the backup at `path`; what it holds, if that is what was written.
fn read(path: &Path, mut found: impl FnMut(&[u8], &[u8]) -> Result<(), Error>) -> Result<Contents, Error> {
    let failed = |source| Error::BackupIo { path: path.to_owned(), doing: "read", source };
    let damaged = |reason| Error::BackupDamaged { path: path.to_owned(), reason };
    let file = fs_err::File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    let mut records = Records { file: BufReader::with_capacity(1 << 20, file) };
    let mut magic = [0; MAGIC.len()];
    if !records.fill(&mut magic).map_err(failed)? || magic != MAGIC {
        return Err(damaged("it does not begin like a backup of topicd"));
    }
    let (mut marks, mut sum) = (Marks::default(), Seal::default());
    while let Some((key, value)) = records.next(path)? {
        if key == SEAL {
            marks.seal = postcard::from_bytes(&value).ok();
        } else {
            sum.add(&key, &value);
        }
        marks.take(&key, &value);
        found(&key, &value)?;
    }
    let seal = marks.seal.filter(|seal| seal.sum == sum.sum);
    let seal = seal.ok_or_else(|| damaged("its content is not what was written"))?;
    migrate::judge(path, marks.format.unwrap_or_default(), marks.made_by)?;
    let identity = marks.identity.ok_or_else(|| damaged("it names no encoder"))?;
    let (documents, version) = marks.totals.map_or((0, 0), |totals| (totals.documents, totals.version));
    Ok(Contents { identity, documents, version, bytes, seal })
}

/// What is told of a backup.
#[derive(Default)]
struct Marks {
    seal: Option<Seal>,
    format: Option<u32>,
    made_by: Option<String>,
    identity: Option<Identity>,
    totals: Option<Totals>,
}

impl Marks {
    fn take(&mut self, key: &[u8], value: &[u8]) {
        match key {
            FORMAT_KEY => self.format = postcard::from_bytes(value).ok(),
            MADE_BY => self.made_by = postcard::from_bytes(value).ok(),
            IDENTITY_KEY => self.identity = postcard::from_bytes(value).ok(),
            TOTALS => self.totals = postcard::from_bytes(value).ok(),
            _ => {}
        }
    }
}

/// The keys and values of a file, in order.
struct Records {
    file: BufReader<fs_err::File>,
}

impl Records {
    /// The next key; none at the file's end.
    fn next(&mut self, path: &Path) -> Result<Option<Entry>, Error> {
        let failed = |source| Error::BackupIo { path: path.to_owned(), doing: "read", source };
        let cut = || Error::BackupDamaged { path: path.to_owned(), reason: "it is cut off" };
        let mut lengths = [0; 8];
        if !self.fill(&mut lengths).map_err(failed)? {
            return Ok(None);
        }
        let [a, b, c, d, e, f, g, h] = lengths;
        let (key, value) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        if key > LONGEST_KEY || value > LONGEST_VALUE {
            let reason = "its content is not what was written";
            return Err(Error::BackupDamaged { path: path.to_owned(), reason });
        }
        let (mut key, mut value) = (vec![0; key as usize], vec![0; value as usize]);
        for part in [&mut key, &mut value] {
            if !part.is_empty() && !self.fill(part).map_err(failed)? {
                return Err(cut());
            }
        }
        Ok(Some((key, value)))
    }

    /// Reads so much; false at the file's end.
    fn fill(&mut self, into: &mut [u8]) -> std::io::Result<bool> {
        match self.file.read_exact(into) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Fills an empty tree. Until its end the tree has no identity, so that what a kill leaves of it is no state.
pub(super) struct Filling<'a> {
    ledger: &'a Ledger,
    writes: Vec<Write>,
    bytes: usize,
    identity: Option<Write>,
}

impl<'a> Filling<'a> {
    pub(super) fn new(ledger: &'a Ledger) -> Self {
        Self { ledger, writes: Vec::new(), bytes: 0, identity: None }
    }

    /// One key more. The tree has a seal of its own.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let write = Write { key: key.to_vec(), value: Some(value.to_vec()) };
        match key {
            SEAL => {}
            IDENTITY_KEY => self.identity = Some(write),
            _ => {
                self.bytes += key.len() + value.len();
                self.writes.push(write);
            }
        }
        if self.bytes >= AT_ONCE {
            self.bytes = 0;
            self.ledger.write(&std::mem::take(&mut self.writes))?;
        }
        Ok(())
    }

    /// That was all of it; it is on disk when this returns.
    pub(super) fn end(mut self) -> Result<(), Error> {
        self.writes.extend(self.identity);
        self.ledger.write(&self.writes)?;
        self.ledger.force()
    }
}
