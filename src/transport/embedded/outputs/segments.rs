//! The segments of one output, of which the newest is written.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use fs_err::{File, OpenOptions};

use super::{OutputFile, Place, is_at};
use crate::checkpoint::Checkpoint;
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
    /// A write or a sync failed: the kernel may have dropped pages, so no later success would prove anything.
    broken: bool,
    telemetry: Telemetry,
}

impl Segments {
    /// Goes on after what `recorded` has, and drops what was written after it.
    pub(super) fn open(
        directory: &Path,
        output: OutputFile,
        recorded: &Checkpoint,
        telemetry: Telemetry,
    ) -> Result<Self, Error> {
        let Place { segment, length } = output.place(recorded).unwrap_or_default();
        let path = directory.join(output.segment(segment));
        let found = length_of(&path)?;
        let later: Vec<u64> =
            output.segments_in(directory)?.into_iter().filter(|number| *number > segment).collect();
        let is_whole = found.unwrap_or(0) >= length;
        if is_whole && later.is_empty() {
            let file = open(&path, OpenOptions::new().create(true))?;
            cut(&file, length)?;
            return Ok(Self::at(directory, output, Place { segment, length }, file, telemetry));
        }
        // A later segment was begun, so other programs may take this one for closed: it is not written further.
        if is_whole && found > Some(length) {
            cut(&open(&path, &mut OpenOptions::new())?, length)?;
        }
        for number in later {
            let path = directory.join(output.segment(number));
            fs_err::remove_file(&path).map_err(|source| Error::Write { path, source })?;
        }
        let next = Place { segment: segment + 1, length: 0 };
        if !is_whole {
            telemetry.output_lost(&path, found, length, &output.segment(next.segment));
        }
        let file = open(&directory.join(output.segment(next.segment)), OpenOptions::new().create_new(true))?;
        Ok(Self::at(directory, output, next, file, telemetry))
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
        Self { output, directory, number, file, length, synced: length, broken: false, telemetry }
    }

    /// Appends `lines`, each with a line feed. If that fails half-way, the segment is cut back to where it was.
    pub(super) fn append(&mut self, lines: impl Iterator<Item = Vec<u8>>) -> Result<(), Error> {
        let mut lines = lines.peekable();
        if lines.peek().is_none() {
            return Ok(());
        }
        self.is_sound()?;
        let found = length_of(self.file.path())?;
        if found != Some(self.length) || !is_at(&self.file, self.file.path())? {
            let next = self.output.segment(self.number + 1);
            self.telemetry.output_lost(self.file.path(), found, self.length, &next);
            self.begin_next()?;
        }
        match write(&mut self.file, lines) {
            Ok(written) => self.length += written,
            Err(error) => {
                self.broken = cut(&self.file, self.length).is_err();
                return Err(error);
            }
        }
        Ok(())
    }

    fn begin_next(&mut self) -> Result<(), Error> {
        self.number += 1;
        self.file = open(
            &self.directory.join(self.output.segment(self.number)),
            OpenOptions::new().create_new(true),
        )?;
        (self.length, self.synced) = (0, 0);
        sync_folder(&self.directory)
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
    }
}

/// Opens the segment at `path`, which is only ever written at its end.
pub(super) fn open(path: &Path, options: &mut OpenOptions) -> Result<File, Error> {
    let opened = options.append(true).mode(0o600).open(path);
    opened.map_err(|source| Error::Write { path: path.to_owned(), source })
}

fn cut(file: &File, length: u64) -> Result<(), Error> {
    file.set_len(length).map_err(|source| Error::Write { path: file.path().to_owned(), source })
}

/// How many bytes were written.
fn write(file: &mut File, lines: impl Iterator<Item = Vec<u8>>) -> Result<u64, Error> {
    let (mut buffer, mut written) = (Vec::new(), 0);
    let mut flush = |buffer: &mut Vec<u8>| {
        file.write_all(buffer).map_err(|source| Error::Write { path: file.path().to_owned(), source })?;
        written += buffer.len() as u64;
        buffer.clear();
        Ok::<_, Error>(())
    };
    for line in lines {
        buffer.extend_from_slice(&line);
        buffer.push(b'\n');
        if buffer.len() >= BUFFER {
            flush(&mut buffer)?;
        }
    }
    flush(&mut buffer)?;
    Ok(written)
}

/// Bytes in the file at `path`, if there is one.
fn length_of(path: &Path) -> Result<Option<u64>, Error> {
    match fs_err::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Write { path: path.to_owned(), source }),
    }
}

/// Without this a power cut could forget the files' names.
pub(super) fn sync_folder(directory: &Path) -> Result<(), Error> {
    let synced = File::open(directory).and_then(|folder| folder.sync_all());
    synced.map_err(|source| Error::Write { path: directory.to_owned(), source })
}
