//! Results in append-only files that never hold more than what was committed.

mod lock;
mod segments;

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fs_err::File;

use self::lock::Lock;
use self::segments::{Segments, sync_folder};
use super::error::Error;
use crate::checkpoint::{Checkpoint, Partition};
use crate::telemetry::Telemetry;
use crate::transport::Records;

/// A kind of results; each line of its files is one JSON object.
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

/// Where results go, and when their files are closed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputParams {
    /// The folder; relative paths start at the working directory.
    pub directory: PathBuf,
    /// Bytes that a segment does not exceed, unless by its only commit.
    pub segment_bytes: Option<u64>,
    /// How long after its first record a segment is closed, at the next commit.
    pub segment_age: Option<Duration>,
    /// Segments of each output that are kept, with the one that is written.
    pub keep: Option<u64>,
}

impl OutputParams {
    /// The number of an output's first segment: a single file has none in its name.
    fn first(&self) -> u64 {
        u64::from(self.segment_bytes.is_some() || self.segment_age.is_some())
    }
}

/// How far an output is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// The segment that is written; those before it are closed.
    pub segment: u64,
    /// How many of its bytes are committed.
    pub length: u64,
}

impl OutputFile {
    /// Every one, in the order in which they are written and synced.
    pub const ALL: [Self; 4] = [Self::Assignments, Self::Topics, Self::Events, Self::DeadLetters];

    fn name(self) -> &'static str {
        match self {
            Self::Assignments => "assignments",
            Self::Topics => "topics",
            Self::Events => "events",
            Self::DeadLetters => "dead-letters",
        }
    }

    /// The name of a segment's file in the output folder.
    pub fn segment(self, number: u64) -> String {
        match number {
            0 => format!("{}.jsonl", self.name()),
            _ => format!("{}-{number:06}.jsonl", self.name()),
        }
    }

    /// The segment whose file has `name`, if it is one of this output.
    pub fn number_of(self, name: &str) -> Option<u64> {
        let middle = name.strip_prefix(self.name())?.strip_suffix(".jsonl")?;
        let number = if middle.is_empty() { 0 } else { middle.strip_prefix('-')?.parse().ok()? };
        (self.segment(number) == name).then_some(number)
    }

    /// The segments of this output in `directory`, oldest first; none if there is no such folder.
    ///
    /// # Errors
    /// [`Error::Write`] if the folder cannot be read.
    pub fn segments_in(self, directory: &Path) -> Result<Vec<u64>, Error> {
        let cannot_read = |source| Error::Write { path: directory.to_owned(), source };
        let entries = match fs_err::read_dir(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(cannot_read)?,
        };
        let mut numbers = Vec::new();
        for entry in entries {
            let name = entry.map_err(cannot_read)?.file_name();
            numbers.extend(name.to_str().and_then(|name| self.number_of(name)));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// How far a checkpoint says that it is, if it knows of it.
    pub fn place(self, recorded: &Checkpoint) -> Option<Place> {
        let place = Place {
            segment: recorded.position(&self.segment_key()),
            length: recorded.position(&self.length_key()),
        };
        recorded.knows(&self.length_key()).then_some(place)
    }

    fn length_key(self) -> Partition {
        Partition::new(&format!("output/{}.jsonl", self.name()))
    }

    fn segment_key(self) -> Partition {
        Partition::new(&format!("output/{}.jsonl/segment", self.name()))
    }

    /// When the segment got its first record, in ms since 1970.
    fn since_key(self) -> Partition {
        Partition::new(&format!("output/{}.jsonl/since", self.name()))
    }
}

/// The folder of results, which nobody else can write to.
///
/// The order that makes it exact: [`open`](Self::open), commit [`lengths`](Self::lengths) if the state is new; then
/// for each batch [`deliver`](Self::deliver), and commit what it returned. After a crash anywhere `open` cuts off what
/// was delivered but not committed.
///
/// The calls block, a sync for some ms.
pub struct Outputs {
    params: OutputParams,
    lock: Lock,
    /// In the order of [`OutputFile::ALL`].
    open: Vec<Segments>,
}

impl Outputs {
    /// Takes the folder, which is created, opens the files in it and cuts each to the length that `recorded` has for it.
    ///
    /// # Errors
    /// Another process has the folder; or it belongs to another state; or a file holds something while nothing is recorded.
    /// Nothing is made or cut then. Or a file cannot be opened.
    pub fn open(params: &OutputParams, recorded: &Checkpoint, telemetry: &Telemetry) -> Result<Self, Error> {
        let directory = &params.directory;
        lock::look(directory)?;
        refuse_unknown(directory, recorded)?;
        let lock =
            Lock::take(directory, recorded.knows(&owner_key()).then(|| recorded.position(&owner_key())))?;
        // Whoever had the folder until now may have written.
        refuse_unknown(directory, recorded)?;
        let open = OutputFile::ALL
            .into_iter()
            .map(|output| Segments::open(params, output, recorded, telemetry.clone()))
            .collect::<Result<Vec<_>, _>>()?;
        sync_folder(directory)?;
        Ok(Self { params: params.clone(), lock, open })
    }

    /// Whether another process writes to `directory` now; nothing is made or held.
    ///
    /// # Errors
    /// [`Error::OutputLocked`] if one does.
    pub fn look(directory: &Path) -> Result<(), Error> {
        lock::look(directory)
    }

    /// Brings `records` to the disk, each into its file, and returns the lengths to commit. Files that are full or old are
    /// closed first, so that a closed one holds whole commits.
    ///
    /// # Errors
    /// A file cannot be written, and is cut back; if it cannot be, or cannot be synced, nothing is written to it any
    /// more. The folder was removed, and another process took the one in its place.
    pub fn deliver(&mut self, records: Records) -> Result<Checkpoint, Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.deliver_at(records, now)
    }

    /// The same, `now` after the start of 1970.
    fn deliver_at(&mut self, records: Records, now: Duration) -> Result<Checkpoint, Error> {
        if !self.lock.holds() {
            self.lock = Lock::take(&self.params.directory, Some(self.lock.owner()))?;
        }
        let topics = records.topics.into_iter().chain(records.ended).collect();
        let all = [records.assignments, topics, records.events, records.dead_letters];
        for (output, records) in self.open.iter_mut().zip(all) {
            output.append(&records, &self.params, now)?;
        }
        self.open.iter_mut().try_for_each(Segments::sync)?;
        Ok(self.lengths())
    }

    /// The segment of each output, and the length up to which it is on the disk.
    pub fn lengths(&self) -> Checkpoint {
        let mut lengths = Checkpoint::new();
        lengths.advance(owner_key(), self.lock.owner());
        for output in &self.open {
            output.record(&mut lengths);
        }
        lengths
    }
}

/// A random number that the state and the folder of its outputs share.
fn owner_key() -> Partition {
    Partition::new("output/owner")
}

/// Refuses files of which nothing is recorded.
fn refuse_unknown(directory: &Path, recorded: &Checkpoint) -> Result<(), Error> {
    for output in OutputFile::ALL.into_iter().filter(|output| output.place(recorded).is_none()) {
        for number in output.segments_in(directory)? {
            let path = directory.join(output.segment(number));
            let found = path.metadata().map_or(0, |metadata| metadata.len());
            if found > 0 {
                return Err(Error::OutputUnknown { path, found });
            }
        }
    }
    Ok(())
}

/// What stands at `path` now, if anything does.
fn standing(path: &Path) -> Result<Option<Metadata>, Error> {
    match fs_err::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        found => found.map(Some).map_err(|source| Error::Write { path: path.to_owned(), source }),
    }
}

/// Whether `file` is the one that stands at `path` now.
fn is_at(file: &File, path: &Path) -> Result<bool, Error> {
    let held = file.metadata().map_err(|source| Error::Write { path: path.to_owned(), source })?;
    let there = standing(path)?;
    Ok(there.is_some_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino())))
}

#[cfg(test)]
mod tests;
