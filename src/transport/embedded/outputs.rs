//! Results in append-only files that never hold more than what was committed.

use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use fs_err::{File, OpenOptions};

use super::error::Error;
use crate::checkpoint::{Checkpoint, Partition};
use crate::record::Keyed;
use crate::transport::Records;

/// A file of results; each line of it is one JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputFile {
    /// Each document with its topic.
    Assignments,
    /// Each version of the topics.
    Topics,
    /// What happened to the topics.
    Events,
    /// What could not be processed.
    DeadLetters,
}

impl OutputFile {
    /// Every file, in the order in which they are written and synced.
    pub const ALL: [Self; 4] = [Self::Assignments, Self::Topics, Self::Events, Self::DeadLetters];

    /// Its name in the output folder.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Assignments => "assignments.jsonl",
            Self::Topics => "topics.jsonl",
            Self::Events => "events.jsonl",
            Self::DeadLetters => "dead-letters.jsonl",
        }
    }

    /// The name under which its length is recorded in a checkpoint.
    pub fn partition(self) -> Partition {
        Partition::new(&format!("output/{}", self.file_name()))
    }
}

/// The folder of results.
///
/// The order that makes it exact: [`open`](Self::open), commit [`lengths`](Self::lengths) if the state is new; then
/// for each batch [`append`](Self::append), [`sync`](Self::sync), and commit what it returned. After a crash anywhere
/// `open` cuts off what was appended but not committed.
///
/// The calls block, a sync for some ms.
#[derive(Debug)]
pub struct Outputs {
    /// In the order of [`OutputFile::ALL`].
    files: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    path: PathBuf,
    file: File,
    partition: Partition,
    /// Bytes that hold whole lines.
    length: u64,
    /// Bytes known to be on the disk.
    synced: u64,
    /// A write or a sync failed: the kernel may have dropped pages, so no later success would prove anything.
    broken: bool,
}

impl Outputs {
    /// Opens the files in `directory`, which is created, and cuts each to the length that `recorded` has for it.
    ///
    /// # Errors
    /// A file is shorter than recorded, or holds something while nothing is recorded, or cannot be opened. No file
    /// has lost anything then, and none was made.
    pub fn open(directory: &Path, recorded: &Checkpoint) -> Result<Self, Error> {
        OutputFile::ALL.into_iter().try_for_each(|output| fits(directory, output, recorded))?;
        let cannot_write = |source| Error::Write { path: directory.to_owned(), source };
        // For this user alone: documents stand in the files.
        if !directory.exists() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(cannot_write)?;
        }
        let mut files = OutputFile::ALL
            .into_iter()
            .map(|output| Open::at(directory, output, recorded))
            .collect::<Result<Vec<_>, _>>()?;
        for open in &mut files {
            open.cut()?;
        }
        // Without this a power cut could forget the files' names.
        File::open(directory).and_then(|folder| folder.sync_all()).map_err(cannot_write)?;
        Ok(Self { files })
    }

    /// Brings `records` to the disk, each into its file, and returns the lengths to commit.
    ///
    /// # Errors
    /// Those of [`append`](Self::append) and [`sync`](Self::sync).
    pub fn deliver(&mut self, records: Records) -> Result<Checkpoint, Error> {
        let topics = records.topics.into_iter().chain(records.ended).collect();
        for (file, records) in [
            (OutputFile::Assignments, records.assignments),
            (OutputFile::Topics, topics),
            (OutputFile::Events, records.events),
            (OutputFile::DeadLetters, records.dead_letters),
        ] {
            self.append(file, Keyed::lines(records))?;
        }
        self.sync()
    }

    /// Appends `lines`, each with a line feed. If that fails half-way, the file is cut back to where it was.
    ///
    /// # Errors
    /// The file cannot be written; or it could not be cut back or synced before, and nothing is written any more.
    pub fn append(&mut self, file: OutputFile, lines: impl Iterator<Item = Vec<u8>>) -> Result<(), Error> {
        let mut bytes = Vec::new();
        for line in lines {
            bytes.extend_from_slice(&line);
            bytes.push(b'\n');
        }
        self.files[file as usize].append(&bytes)
    }

    /// Brings what was appended to the disk and returns the lengths to commit.
    ///
    /// # Errors
    /// The disk refuses; nothing may be committed then, and every later call on that file fails.
    pub fn sync(&mut self) -> Result<Checkpoint, Error> {
        for open in &mut self.files {
            open.sync()?;
        }
        Ok(self.lengths())
    }

    /// The length of each file up to which it is on the disk.
    pub fn lengths(&self) -> Checkpoint {
        let mut lengths = Checkpoint::new();
        for open in &self.files {
            lengths.advance(open.partition.clone(), open.synced);
        }
        lengths
    }
}

/// Refuses a file that is not the one whose length is recorded.
fn fits(directory: &Path, output: OutputFile, recorded: &Checkpoint) -> Result<(), Error> {
    let path = directory.join(output.file_name());
    let found = match fs_err::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(source) => return Err(Error::Write { path, source }),
    };
    let partition = output.partition();
    let length = recorded.position(&partition);
    if !recorded.knows(&partition) && found > 0 {
        return Err(Error::OutputUnknown { path, found });
    }
    if found < length {
        return Err(Error::OutputShorter { path, found, recorded: length });
    }
    Ok(())
}

impl Open {
    fn at(directory: &Path, output: OutputFile, recorded: &Checkpoint) -> Result<Self, Error> {
        let path = directory.join(output.file_name());
        let partition = output.partition();
        let cannot_write = |source| Error::Write { path: path.clone(), source };
        let length = recorded.position(&partition);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(cannot_write)?;
        Ok(Self { path, file, partition, length, synced: length, broken: false })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.broken {
            return Err(Error::OutputBroken { path: self.path.clone() });
        }
        if let Err(source) = self.file.write_all(bytes) {
            self.broken = self.cut().is_err();
            return Err(Error::Write { path: self.path.clone(), source });
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Drops everything after the last whole line.
    fn cut(&mut self) -> Result<(), Error> {
        self.file
            .set_len(self.length)
            .and_then(|()| self.file.seek(SeekFrom::Start(self.length)))
            .map(drop)
            .map_err(|source| Error::Write { path: self.path.clone(), source })
    }

    fn sync(&mut self) -> Result<(), Error> {
        if self.broken {
            return Err(Error::OutputBroken { path: self.path.clone() });
        }
        if self.synced == self.length {
            return Ok(());
        }
        self.file.sync_data().map_err(|source| {
            self.broken = true;
            Error::Write { path: self.path.clone(), source }
        })?;
        self.synced = self.length;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
