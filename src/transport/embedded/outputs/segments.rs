//! The segments of one output, of which the newest is written.

use std::io::{BufWriter, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err::os::unix::fs::OpenOptionsExt as _;
use fs_err::{File, OpenOptions};

use super::{OutputFile, OutputParams, Place, is_at, standing};
use crate::checkpoint::Checkpoint;
use crate::record::Keyed;
use crate::telemetry::Telemetry;
use crate::transport::embedded::Error;

/// Bytes that are gathered before they are written.
const BUFFER: usize = 1 << 20;

/// One output, open at its newest segment.
///
/// Only a segment that is as it was left is written further. A segment that was moved, removed, cut or written to by
/// another program is left as it is, and the next one begins. A number is never used for two files, so the state that
/// records it says exactly which bytes are committed.
pub(super) struct Segments {
    output: OutputFile,
    directory: PathBuf,
    number: u64,
    file: File,
    /// Bytes that hold whole lines.
    length: u64,
    /// Bytes known to be on the disk.
    synced: u64,
    /// When the segment got its first record, after the start of 1970; none if it is empty.
    since: Option<Duration>,
    /// A write or a sync failed: the kernel may have dropped pages, so no later success would prove anything.
    broken: bool,
    telemetry: Telemetry,
}

impl Segments {
    /// Goes on after what `recorded` has, and drops what was written after it.
    pub(super) fn open(
        params: &OutputParams,
        output: OutputFile,
        recorded: &Checkpoint,
        telemetry: Telemetry,
    ) -> Result<Self, Error> {
        let directory = &params.directory;
        let new = Place { segment: params.first(), length: 0 };
        let Place { segment, length } = output.place(recorded).unwrap_or(new);
        let path = directory.join(output.segment(segment));
        let found = length_of(&path)?;
        let later: Vec<u64> =
            output.segments_in(directory)?.into_iter().filter(|number| *number > segment).collect();
        let is_whole = found.unwrap_or(0) >= length;
        let opened = if is_whole && later.is_empty() {
            let file = open(&path, OpenOptions::new().create(true))?;
            cut(&file, length)?;
            let since = (length > 0).then(|| Duration::from_millis(recorded.position(&output.since_key())));
            Self { since, ..Self::at(directory, output, Place { segment, length }, file, telemetry) }
        } else {
            let next = Place { segment: segment + 1, length: 0 };
            if later.is_empty() {
                telemetry.output_lost(&path, found, length, &output.segment(next.segment));
            }
            // A later segment was begun, so other programs may take this one for closed: it is not written further.
            if is_whole && found > Some(length) {
                cut(&open(&path, &mut OpenOptions::new())?, length)?;
            }
            for number in later {
                remove(&directory.join(output.segment(number)))?;
            }
            let path = directory.join(output.segment(next.segment));
            Self::at(directory, output, next, open(&path, OpenOptions::new().create_new(true))?, telemetry)
        };
        opened.remove_old(params.keep)?;
        Ok(opened)
    }

    pub(super) fn at(
        directory: &Path,
        output: OutputFile,
        place: Place,
        file: File,
        telemetry: Telemetry,
    ) -> Self {
        let Place { segment: number, length } = place;
        let directory = directory.to_owned();
        Self {
            output,
            directory,
            number,
            file,
            length,
            synced: length,
            since: None,
            broken: false,
            telemetry,
        }
    }

    /// Appends `records`, each with a line feed. If that fails half-way, the segment is cut back to where it was.
    pub(super) fn append(
        &mut self,
        records: &[Keyed],
        params: &OutputParams,
        now: Duration,
    ) -> Result<(), Error> {
        self.is_sound()?;
        let more = records.iter().map(|record| record.line.len() as u64 + 1).sum();
        if self.is_full(more, params, now) {
            self.begin_next(params.keep)?;
        }
        if records.is_empty() {
            return Ok(());
        }
        let found = length_of(self.file.path())?;
        if found != Some(self.length) || !is_at(&self.file, self.file.path())? {
            let next = self.output.segment(self.number + 1);
            self.telemetry.output_lost(self.file.path(), found, self.length, &next);
            self.begin_next(params.keep)?;
        }
        if let Err(source) = write(&mut self.file, records) {
            self.broken = cut(&self.file, self.length).is_err();
            return Err(Error::Write { path: self.file.path().to_owned(), source });
        }
        self.since = self.since.or(Some(now));
        self.length += more;
        Ok(())
    }

    /// Whether the segment is closed before `more` bytes come.
    fn is_full(&self, more: u64, params: &OutputParams, now: Duration) -> bool {
        let Some(since) = self.since else { return false };
        params.segment_bytes.is_some_and(|most| self.length + more > most)
            || params.segment_age.is_some_and(|most| now.saturating_sub(since) >= most)
    }

    /// Closes the segment, and removes those that are too many with the next one.
    ///
    /// Before anything of the next one is committed: when this is done again after a crash, the next one is there, and the
    /// closed one stays closed.
    fn begin_next(&mut self, keep: Option<u64>) -> Result<(), Error> {
        self.number += 1;
        self.file = open(
            &self.directory.join(self.output.segment(self.number)),
            OpenOptions::new().create_new(true),
        )?;
        (self.length, self.synced, self.since) = (0, 0, None);
        self.remove_old(keep)?;
        sync_folder(&self.directory)
    }

    /// Removes all but the newest `keep` segments.
    fn remove_old(&self, keep: Option<u64>) -> Result<(), Error> {
        let Some(keep) = keep else { return Ok(()) };
        let segments = self.output.segments_in(&self.directory)?;
        for number in segments.into_iter().filter(|number| self.number.saturating_sub(*number) >= keep) {
            remove(&self.directory.join(self.output.segment(number)))?;
        }
        Ok(())
    }

    /// Brings what was appended to the disk.
    pub(super) fn sync(&mut self) -> Result<(), Error> {
        self.is_sound()?;
        if self.synced < self.length {
            self.file.sync_data().map_err(|source| {
                self.broken = true;
                Error::Write { path: self.file.path().to_owned(), source }
            })?;
            self.synced = self.length;
        }
        Ok(())
    }

    fn is_sound(&self) -> Result<(), Error> {
        if self.broken {
            return Err(Error::OutputBroken { path: self.file.path().to_owned() });
        }
        Ok(())
    }

    /// The segment that is written, and how much of it is on the disk.
    pub(super) fn record(&self, lengths: &mut Checkpoint) {
        lengths.advance(self.output.length_key(), self.synced);
        lengths.advance(self.output.segment_key(), self.number);
        let since = self.since.unwrap_or_default().as_millis();
        lengths.advance(self.output.since_key(), u64::try_from(since).unwrap_or_default());
    }
}

/// Opens the segment at `path`, which is only ever written at its end.
pub(super) fn open(path: &Path, options: &mut OpenOptions) -> Result<File, Error> {
    let opened = options.append(true).mode(0o600).open(path);
    opened.map_err(|source| Error::Write { path: path.to_owned(), source })
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs_err::remove_file(path) {
        // Another program was faster.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(|source| Error::Write { path: path.to_owned(), source }),
    }
}

fn cut(file: &File, length: u64) -> Result<(), Error> {
    file.set_len(length).map_err(|source| Error::Write { path: file.path().to_owned(), source })
}

fn write(file: &mut File, records: &[Keyed]) -> std::io::Result<()> {
    let mut buffer = BufWriter::with_capacity(BUFFER, file);
    for record in records {
        buffer.write_all(&record.line)?;
        buffer.write_all(b"\n")?;
    }
    buffer.flush()
}

/// Bytes in the file at `path`, if there is one.
fn length_of(path: &Path) -> Result<Option<u64>, Error> {
    Ok(standing(path)?.map(|metadata| metadata.len()))
}

/// Without this a power cut could forget the files' names.
pub(super) fn sync_folder(directory: &Path) -> Result<(), Error> {
    let synced = File::open(directory).and_then(|folder| folder.sync_all());
    synced.map_err(|source| Error::Write { path: directory.to_owned(), source })
}
