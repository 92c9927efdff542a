//! The thread that reads, unpacks and parses, so that no blocking call stands in an async loop.

use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use fs_err::File;
use tokio::sync::mpsc::Sender;

use super::error::Error;
use super::file::{self, Regular};
use super::lines::{Line, Lines};
use super::parse::Parser;
use super::seen::Seen;
use crate::checkpoint::{Checkpoint, Partition, Position};
use crate::document::{Document, Reason, Rejection};

/// One line that was read, the file that it stands in, and the position after it.
pub(super) struct Item {
    pub parsed: Result<Document, Rejection>,
    pub partition: Partition,
    pub end: u64,
}

/// Reads one source from a position to its end, or for ever if it is followed.
pub(super) struct Reader {
    /// How far each file was read, in bytes of the unpacked stream: recorded, or in this run.
    pub reached: Checkpoint,
    pub parser: Parser,
    /// Ids that came before. What is read ahead and lost in a crash is not recorded, so it is no duplicate later.
    pub seen: Seen,
    pub follow: bool,
    pub items: Sender<Item>,
    /// Its other end drops when nobody reads any more.
    pub stop: Receiver<()>,
}

/// Where the bytes come from.
pub(super) enum Bytes {
    /// They cannot be read twice; they count from the recorded position of this partition on.
    Stream { path: PathBuf, bytes: Box<dyn Read + Send> },
    /// Whatever file stands at this path.
    File(PathBuf),
}

impl Bytes {
    /// What stands at `path`. With `wait` nothing need stand there yet.
    pub(super) fn at(path: &Path, wait: bool) -> Result<Self, Error> {
        let cannot_read = |source| Error::Read { path: path.to_owned(), source };
        match fs_err::metadata(path) {
            Err(e) if wait && e.kind() == io::ErrorKind::NotFound => return Ok(Self::File(path.to_owned())),
            Err(source) => return Err(cannot_read(source)),
            Ok(metadata) if metadata.is_dir() => return Err(cannot_read(io::ErrorKind::IsADirectory.into())),
            Ok(metadata) if metadata.is_file() => Regular::open(path, true)?,
            Ok(_) => {
                let bytes = Box::new(Later { path: path.to_owned(), file: None });
                return Ok(Self::Stream { path: path.to_owned(), bytes });
            }
        };
        Ok(Self::File(path.to_owned()))
    }

    pub(super) fn path(&self) -> &Path {
        let (Self::Stream { path, .. } | Self::File(path)) = self;
        path
    }
}

/// A pipe, opened by its first read: that waits for a writer, and whoever starts the reader must not.
struct Later {
    path: PathBuf,
    file: Option<File>,
}

impl Read for Later {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(file) = &mut self.file {
            return file.read(buffer);
        }
        self.file.insert(File::open(&self.path)?).read(buffer)
    }
}

/// A followed file is asked for news after this time, and after twice as long each time that there are none.
const FIRST_WAIT: Duration = Duration::from_millis(5);
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// What became of the file that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It still stands at its path, or nothing does that could be read.
    Same,
    /// Another one does; what is unread of this one can still be read.
    Replaced,
    /// Its bytes are not those that were read.
    Rewritten,
}

/// Nobody takes lines any more.
struct Stopped;

impl Reader {
    /// Sends every line that is not blank until the input ends, or nobody takes lines any more.
    pub(super) fn run(mut self, bytes: Bytes) -> Result<(), Error> {
        match bytes {
            Bytes::Stream { path, bytes } => {
                let partition = Partition::new(&path.to_string_lossy());
                let start = self.reached.position(&partition);
                let bytes = file::stream(&path, bytes)?;
                let mut lines = Lines::new(bytes, start, self.parser.max_document_bytes);
                if self.whole_lines(&path, &partition, &mut lines)?.is_ok()
                    && let Some(line) = lines.last_line()
                {
                    self.send(&partition, line, lines.bytes()).ok();
                }
                Ok(())
            }
            Bytes::File(path) if self.follow => self.follow(&path),
            Bytes::File(path) => {
                let standing = Regular::open(&path, true)?;
                for rotated in file::rotated(&path, standing.fingerprint, &self.reached) {
                    if self.drain(&path, rotated)?.is_err() {
                        return Ok(());
                    }
                }
                self.drain(&path, standing).map(drop)
            }
        }
    }

    /// Reads what stands at `path`, one file after the other.
    fn follow(&mut self, path: &Path) -> Result<(), Error> {
        let mut wait = FIRST_WAIT;
        loop {
            let standing = match Regular::open(path, false) {
                Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
                opened => Some(opened?).filter(|file| file.fingerprint.is_some()),
            };
            let fingerprint = standing.as_ref().and_then(|file| file.fingerprint);
            for rotated in file::rotated(path, fingerprint, &self.reached) {
                if self.drain(path, rotated)?.is_err() {
                    return Ok(());
                }
            }
            let Some(standing) = standing else {
                if self.pause(&mut wait).is_err() {
                    return Ok(());
                }
                continue;
            };
            wait = FIRST_WAIT;
            if self.read_on(path, standing)?.is_err() {
                return Ok(());
            }
        }
    }

    /// Reads a file to its end. A last line without its end may still be written, and is left if it is no document.
    fn drain(&mut self, path: &Path, file: Regular) -> Result<Result<(), Stopped>, Error> {
        let Some(fingerprint) = file.fingerprint else { return Ok(Ok(())) };
        let (at, partition, grows) = (file.path.clone(), file::partition(path, fingerprint), file.grows());
        let mut lines = self.lines(path, file, fingerprint)?;
        if self.whole_lines(&at, &partition, &mut lines)?.is_err() {
            return Ok(Err(Stopped));
        }
        let Some(line) = lines.last_line() else { return Ok(Ok(())) };
        let unfinished = matches!(parse(&self.parser, &partition, line, lines.bytes()), Some(Err(_)));
        if grows && unfinished {
            if !self.follow {
                let position = line.start;
                tracing::warn!(
                    path = %at.display(), position,
                    "the last line has no end and is no document: it is left until it has one"
                );
            }
            return Ok(Ok(()));
        }
        Ok(self.send(&partition, line, lines.bytes()))
    }

    /// Reads a file that grows until another one stands at `path` and this one gives nothing more.
    fn read_on(&mut self, path: &Path, file: Regular) -> Result<Result<(), Stopped>, Error> {
        let Some(fingerprint) = file.fingerprint else { return Ok(Ok(())) };
        let (inode, partition) = (file.inode, file::partition(path, fingerprint));
        let mut lines = self.lines(path, file, fingerprint)?;
        let mut wait = FIRST_WAIT;
        let mut replaced = false;
        loop {
            let before = lines.position();
            if self.whole_lines(path, &partition, &mut lines)?.is_err() {
                return Ok(Err(Stopped));
            }
            if lines.position() > before {
                wait = FIRST_WAIT;
            } else if replaced {
                break;
            }
            if self.pause(&mut wait).is_err() {
                return Ok(Err(Stopped));
            }
            match standing(path, inode, fingerprint, lines.position())? {
                Standing::Same => replaced = false,
                Standing::Replaced => replaced = true,
                Standing::Rewritten => {
                    tracing::warn!(path = %path.display(), "the file was truncated: it is read from its start");
                    return Ok(Ok(()));
                }
            }
        }
        tracing::info!(path = %path.display(), "another file stands at the path: it is read from its start");
        // Nobody will end a line in a file that was put away.
        Ok(lines.last_line().map_or(Ok(()), |line| self.send(&partition, line, lines.bytes())))
    }

    /// The lines of `file` from where it was left. What follows a line that was taken without its end is no line.
    fn lines(
        &mut self,
        path: &Path,
        file: Regular,
        fingerprint: u64,
    ) -> Result<Lines<Box<dyn BufRead + Send>>, Error> {
        let reached = file::position(path, fingerprint, &self.reached);
        let start = if file.length().is_some_and(|length| length < reached) { 0 } else { reached };
        if start < reached {
            tracing::warn!(path = %path.display(), reached, "the file became shorter: it is read from its start");
        }
        let at = file.path.clone();
        let (bytes, within) = file.bytes_from(start)?;
        let mut lines = Lines::new(bytes, start, self.parser.max_document_bytes);
        if within {
            lines.skip_line().map_err(|source| Error::Read { path: at, source })?;
        }
        Ok(lines)
    }

    /// Sends every line that has its end.
    fn whole_lines(
        &mut self,
        path: &Path,
        partition: &Partition,
        lines: &mut Lines<Box<dyn BufRead + Send>>,
    ) -> Result<Result<(), Stopped>, Error> {
        let cannot_read = |source| Error::Read { path: path.to_owned(), source };
        while let Some(line) = lines.next_line().map_err(cannot_read)? {
            if self.send(partition, line, lines.bytes()).is_err() {
                return Ok(Err(Stopped));
            }
        }
        Ok(Ok(()))
    }

    fn send(&mut self, partition: &Partition, line: Line, bytes: &[u8]) -> Result<(), Stopped> {
        self.reached.advance(partition.clone(), line.end);
        let Some(parsed) = parse(&self.parser, partition, line, bytes) else { return Ok(()) };
        let parsed = parsed.and_then(|document| unseen(document, &mut self.seen, bytes));
        let item = Item { parsed, partition: partition.clone(), end: line.end };
        self.items.blocking_send(item).map_err(|_closed| Stopped)
    }

    fn pause(&self, wait: &mut Duration) -> Result<(), Stopped> {
        if self.stop.recv_timeout(*wait) != Err(RecvTimeoutError::Timeout) {
            return Err(Stopped);
        }
        *wait = (*wait * 2).min(LONGEST_WAIT);
        Ok(())
    }
}

/// What the line says; `None` if it is blank.
fn parse(
    parser: &Parser,
    partition: &Partition,
    line: Line,
    bytes: &[u8],
) -> Option<Result<Document, Rejection>> {
    let position = Position { partition: partition.clone(), offset: line.start };
    if line.length > parser.max_document_bytes {
        return Some(Err(parser.too_long(bytes, line.length, position)));
    }
    (!bytes.trim_ascii().is_empty()).then(|| parser.parse(bytes, position))
}

/// The document, if it is the first with its id.
fn unseen(document: Document, seen: &mut Seen, bytes: &[u8]) -> Result<Document, Rejection> {
    if seen.insert(&document.id) {
        return Ok(document);
    }
    let Document { id, position, .. } = document;
    Err(Rejection { reason: Reason::DuplicateId { id }, position, bytes: bytes.to_vec() })
}

/// What became of the file with this inode and fingerprint, read up to `position`.
fn standing(path: &Path, inode: (u64, u64), fingerprint: u64, position: u64) -> Result<Standing, Error> {
    let file = match Regular::open(path, false) {
        Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(Standing::Same);
        }
        opened => opened?,
    };
    Ok(if file.inode != inode {
        // While it has no line, the old file may still get some.
        if file.fingerprint.is_some() { Standing::Replaced } else { Standing::Same }
    } else if file.fingerprint == Some(fingerprint) && file.length().is_none_or(|length| length >= position) {
        Standing::Same
    } else {
        Standing::Rewritten
    })
}
