//! The thread that reads, unpacks and parses, so that no blocking call stands in an async loop.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use fs_err::File;

use super::error::Error;
use super::file::{self, Regular};
use super::lines::Lines;
use super::paths::Paths;
use super::retry;
use super::sink::{End, Sink};
use super::watch::Watch;
use crate::checkpoint::Partition;

/// Reads one source from a position to its end, or for ever if it is followed.
pub(super) struct Reader {
    pub sink: Sink,
    pub follow: bool,
    /// Its other end drops when nobody reads any more.
    pub stop: Receiver<()>,
}

/// Where the bytes come from.
pub(super) enum Bytes {
    /// They cannot be read twice; they count from the recorded position of this partition on.
    Stream { path: PathBuf, bytes: Box<dyn Read + Send> },
    /// Whatever files stand at these paths.
    Files(Paths),
}

impl Bytes {
    /// What stands at `paths`. With `wait` nothing need stand there yet.
    pub(super) fn at(paths: Paths, wait: bool) -> Result<Self, Error> {
        let files = paths.list();
        if files.is_empty() && !wait {
            return Err(Error::NoFiles { pattern: paths.name() });
        }
        for path in files {
            let cannot_read = |source| Error::Read { path: path.clone(), source };
            match fs_err::metadata(&path) {
                Err(e) if wait && e.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(cannot_read(source)),
                Ok(metadata) if metadata.is_dir() => {
                    return Err(cannot_read(io::ErrorKind::IsADirectory.into()));
                }
                Ok(metadata) if metadata.is_file() => drop(Regular::open(&path, true)?),
                Ok(_) => {
                    let bytes = Box::new(Later { path: path.clone(), file: None });
                    return Ok(Self::Stream { path, bytes });
                }
            }
        }
        Ok(Self::Files(paths))
    }

    pub(super) fn path(&self) -> PathBuf {
        match self {
            Self::Stream { path, .. } => path.clone(),
            Self::Files(paths) => paths.name(),
        }
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

impl Reader {
    /// Sends every line that is not blank until the input ends, or nobody takes lines any more.
    pub(super) fn run(mut self, bytes: Bytes) -> Result<(), Error> {
        let ended = match bytes {
            Bytes::Stream { path, bytes } => self.stream(&path, bytes),
            Bytes::Files(paths) => self.files(paths),
        };
        match ended {
            Err(End::Failed(error)) => Err(error),
            Err(End::Stopped) | Ok(()) => Ok(()),
        }
    }

    fn stream(&mut self, path: &Path, bytes: Box<dyn Read + Send>) -> Result<(), End> {
        let partition = Partition::new(&path.to_string_lossy());
        let start = self.sink.places.0.position(&partition);
        let bytes = file::stream(path, bytes)?;
        let mut lines =
            Lines::new(bytes, Vec::new(), start, retry::most_bytes(self.sink.parser.max_document_bytes));
        let cannot_read = |source| Error::Read { path: path.to_owned(), source };
        while let Some(line) = lines.next_line().map_err(cannot_read)? {
            self.sink.send(&partition, line, lines.bytes(), None)?;
        }
        match lines.last_line() {
            Some(line) => self.sink.send(&partition, line, lines.bytes(), None),
            None => Ok(()),
        }
    }

    fn files(&mut self, paths: Paths) -> Result<(), End> {
        let mut watch = Watch::new(paths, self.follow);
        let mut wait = FIRST_WAIT;
        loop {
            let news = watch.poll(&mut self.sink)?;
            wait = if news { FIRST_WAIT } else { (wait * 2).min(LONGEST_WAIT) };
            if !self.follow || self.stop.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                return Ok(());
            }
        }
    }
}
