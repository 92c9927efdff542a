//! The thread that reads, unpacks and parses, so that no blocking call stands in an async loop.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use fs_err::File;
use tokio::sync::mpsc::Sender;

use super::error::Error;
use super::lines::{Line, Lines};
use super::parse::Parser;
use super::seen::Seen;
use crate::checkpoint::{Partition, Position};
use crate::document::{Document, Reason, Rejection};

/// One line that was read, and the position after it.
pub(super) struct Item {
    pub parsed: Result<Document, Rejection>,
    pub end: u64,
}

/// Reads one source from a position to its end, or for ever if it is followed.
pub(super) struct Reader {
    pub input: Opened,
    /// The position at which reading starts, in bytes of the uncompressed stream.
    pub start: u64,
    pub partition: Partition,
    pub parser: Parser,
    /// Ids that came before. What is read ahead and lost in a crash is not recorded, so it is no duplicate later.
    pub seen: Seen,
    pub follow: bool,
}

/// An input that could be opened.
pub(super) struct Opened {
    pub path: PathBuf,
    bytes: Box<dyn BufRead + Send>,
    /// Bytes to drop before the start: those of a compressed stream before it.
    skip: u64,
    /// Identity of a regular file, to notice that another one took its place.
    inode: Option<(u64, u64)>,
}

impl Opened {
    /// `bytes` that cannot be read twice, such as standard input; they count from the start position on.
    pub(super) fn stream(path: &Path, bytes: impl Read + Send + 'static) -> Self {
        Self { path: path.to_owned(), bytes: Box::new(BufReader::new(bytes)), skip: 0, inode: None }
    }

    /// The file at `path`, to be read from `start` on; `.gz` and `.zst` are unpacked.
    pub(super) fn file(path: &Path, start: u64) -> Result<Self, Error> {
        let cannot_read = |source| Error::Read { path: path.to_owned(), source };
        let metadata = fs_err::metadata(path).map_err(cannot_read)?;
        if metadata.is_dir() {
            return Err(cannot_read(io::ErrorKind::IsADirectory.into()));
        }
        if !metadata.is_file() {
            return Ok(Self::stream(path, Later { path: path.to_owned(), file: None }));
        }
        let mut file = File::open(path).map_err(cannot_read)?;
        let (bytes, skip): (Box<dyn BufRead + Send>, u64) = match Compression::of(path) {
            None if metadata.len() < start => {
                return Err(Error::SourceShorter {
                    path: path.to_owned(),
                    found: metadata.len(),
                    read: start,
                });
            }
            None => {
                file.seek(SeekFrom::Start(start)).map_err(cannot_read)?;
                (Box::new(BufReader::with_capacity(BUFFER_BYTES, file)), 0)
            }
            Some(Compression::Gzip) => {
                let unpacked = flate2::bufread::MultiGzDecoder::new(BufReader::new(file));
                (Box::new(BufReader::with_capacity(BUFFER_BYTES, unpacked)), start)
            }
            Some(Compression::Zstandard) => {
                let unpacked = zstd::Decoder::new(file).map_err(cannot_read)?;
                (Box::new(BufReader::with_capacity(BUFFER_BYTES, unpacked)), start)
            }
        };
        Ok(Self { path: path.to_owned(), bytes, skip, inode: Some((metadata.dev(), metadata.ino())) })
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

const BUFFER_BYTES: usize = 64 << 10;

/// How a file is packed, as its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstandard,
}

impl Compression {
    pub(super) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "gz" => Some(Self::Gzip),
            "zst" => Some(Self::Zstandard),
            _ => None,
        }
    }
}

/// A followed file is asked for news after this time, and after twice as long each time that there are none.
const FIRST_WAIT: Duration = Duration::from_millis(5);
const LONGEST_WAIT: Duration = Duration::from_millis(250);

impl Reader {
    /// Sends every line that is not blank until the input ends, `items` is closed, or the other end of `stop` drops.
    pub(super) fn run(mut self, items: &Sender<Item>, stop: &Receiver<()>) -> Result<(), Error> {
        self.skip_to_start()?;
        let Self { input: Opened { path, bytes, inode, .. }, start, partition, parser, mut seen, follow } =
            self;
        let cannot_read = |source| Error::Read { path: path.clone(), source };
        let mut lines = Lines::new(bytes, start, parser.max_document_bytes);
        let mut wait = FIRST_WAIT;
        let mut replaced = false;
        loop {
            let line = lines.next_line().map_err(cannot_read)?;
            let line = if follow { line } else { line.or_else(|| lines.last_line()) };
            match line {
                Some(line) => {
                    wait = FIRST_WAIT;
                    let Some(parsed) = parse(&parser, &partition, line, lines.bytes()) else { continue };
                    let parsed = parsed.and_then(|document| unseen(document, &mut seen, lines.bytes()));
                    if items.blocking_send(Item { parsed, end: line.end }).is_err() {
                        return Ok(());
                    }
                }
                None if !follow => return Ok(()),
                // What was written between the last read and the replacement is still to be read.
                None if replaced => return Err(Error::SourceReplaced { path, read: lines.position() }),
                None => {
                    replaced = is_replaced(&path, inode, lines.position())?;
                    if !replaced && stop.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                        return Ok(());
                    }
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
    }

    fn skip_to_start(&mut self) -> Result<(), Error> {
        let Opened { path, bytes, skip, .. } = &mut self.input;
        let skipped = io::copy(&mut bytes.take(*skip), &mut io::sink())
            .map_err(|source| Error::Read { path: path.clone(), source })?;
        if skipped < *skip {
            return Err(Error::SourceShorter { path: path.clone(), found: skipped, read: *skip });
        }
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

/// True if another file stands at `path` than the one that was opened; an error if the same became shorter.
///
/// A file that is truncated and has grown beyond `position` again before it is looked at is not noticed. While no
/// file stands there, the old one counts as being there still.
fn is_replaced(path: &Path, inode: Option<(u64, u64)>, position: u64) -> Result<bool, Error> {
    let metadata = match fs_err::metadata(path) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(Error::Read { path: path.to_owned(), source }),
    };
    if inode.is_some_and(|opened| opened != (metadata.dev(), metadata.ino())) {
        return Ok(true);
    }
    if metadata.is_file() && metadata.len() < position {
        return Err(Error::SourceShorter { path: path.to_owned(), found: metadata.len(), read: position });
    }
    Ok(false)
}
