//! A file, known by what stands in it and not by its path.

use std::fs::Metadata;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fs_err::File;
use fs_err::os::unix::fs::FileExt;
use xxhash_rust::xxh3::xxh3_64;

use super::error::Error;

/// Bytes of a file's first line that tell it from others, at most.
const FINGERPRINT_BYTES: u64 = 1024;
const BUFFER_BYTES: usize = 64 << 10;
/// zstd's longest window is 2³¹ bytes; files packed with `--long` need more than the 2²⁷ of its default.
const WINDOW_LOG: u32 = 31;

/// How many bytes before a position tell whether a file is the one in which that position was reached.
pub(super) const BEFORE_BYTES: usize = 256;

/// A regular file that is open.
pub(super) struct Regular {
    pub path: PathBuf,
    file: File,
    packing: Option<Packing>,
    /// What the file system said of it when it was opened.
    metadata: Metadata,
    /// Hash of its first line that is not blank.
    pub fingerprint: u64,
}

/// What a file holds from a position on.
pub(super) struct Rest {
    pub bytes: Box<dyn BufRead + Send>,
    /// The last bytes before it, [`BEFORE_BYTES`] at most.
    pub before: Vec<u8>,
}

impl Default for Rest {
    fn default() -> Self {
        Self { bytes: Box::new(io::empty()), before: Vec::new() }
    }
}

impl Regular {
    /// Opens the file at `path`; the line at the file's end counts as whole if `ended`. `None` while it has no line.
    ///
    /// # Errors
    /// [`Error::Read`], or [`Error::NotLines`] for what holds no lines of text.
    pub(super) fn open(path: &Path, ended: bool) -> Result<Option<Self>, Error> {
        let cannot_read = |source| Error::Read { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(cannot_read)?;
        let metadata = file.metadata().map_err(cannot_read)?;
        let mut head = Vec::new();
        (&file).take(FINGERPRINT_BYTES).read_to_end(&mut head).map_err(cannot_read)?;
        file.rewind().map_err(cannot_read)?;
        let packing = Packing::of(&head);
        if packing.is_some() {
            let mut unpacked = unpack(packing, &file).map_err(cannot_read)?;
            head.clear();
            // What is broken behind the head is reported where it is read.
            unpacked.by_ref().take(FINGERPRINT_BYTES).read_to_end(&mut head).ok();
        }
        if let Some(found) = no_lines(&head, packing.is_some()) {
            return Err(Error::NotLines { path: path.to_owned(), found });
        }
        file.rewind().map_err(cannot_read)?;
        let lines = unpack(packing, &file).map_err(cannot_read)?;
        let fingerprint = match first_line(lines, ended || packing.is_some()) {
            // Its start may still be written.
            Err(_) if packing.is_some() && !ended => None,
            found => found.map_err(cannot_read)?,
        };
        let path = path.to_owned();
        Ok(fingerprint.map(|fingerprint| Self { path, file, packing, metadata, fingerprint }))
    }

    /// Its length in bytes now; `None` if it is packed.
    pub(super) fn length(&self) -> Option<u64> {
        self.file.metadata().ok().filter(|_| self.packing.is_none()).map(|metadata| metadata.len())
    }

    /// True if lines may still be appended.
    pub(super) fn grows(&self) -> bool {
        self.packing.is_none()
    }

    /// True if this is the file of which `metadata` speaks.
    pub(super) fn is(&self, metadata: &Metadata) -> bool {
        (self.metadata.dev(), self.metadata.ino()) == (metadata.dev(), metadata.ino())
    }

    /// True if it does not hold any more what was read up to `position`, of which `before` are the last bytes.
    pub(super) fn rewritten(&self, position: u64, before: &[u8]) -> Result<bool, Error> {
        let cannot_read = |source| Error::Read { path: self.path.clone(), source };
        let now = self.file.metadata().map_err(cannot_read)?;
        if self.packing.is_some() {
            return Ok((now.len(), now.mtime_nsec()) != (self.metadata.len(), self.metadata.mtime_nsec()));
        }
        if now.len() < position {
            return Ok(true);
        }
        let mut found = vec![0; before.len()];
        match self.file.read_exact_at(&mut found, position.saturating_sub(before.len() as u64)) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(true),
            read => read.map(|()| found != before).map_err(cannot_read),
        }
    }

    /// What it holds from `position` on, in bytes of the unpacked stream; `None` if it ends before.
    pub(super) fn rest(&self, position: u64) -> Result<Option<Rest>, Error> {
        let cannot_read = |source| Error::Read { path: self.path.clone(), source };
        let mut file = self.file.try_clone().map_err(cannot_read)?;
        let skip = position.saturating_sub(BEFORE_BYTES as u64);
        let mut bytes = if self.packing.is_none() {
            file.seek(SeekFrom::Start(skip)).map_err(cannot_read)?;
            unpack(None, file).map_err(cannot_read)?
        } else {
            file.rewind().map_err(cannot_read)?;
            let mut bytes = unpack(self.packing, file).map_err(cannot_read)?;
            io::copy(&mut bytes.by_ref().take(skip), &mut io::sink()).map_err(cannot_read)?;
            bytes
        };
        let mut before = Vec::new();
        bytes.by_ref().take(position - skip).read_to_end(&mut before).map_err(cannot_read)?;
        let whole = before.len() as u64 == position - skip;
        Ok(whole.then_some(Rest { bytes, before }))
    }

    /// The files beside `path` with names that begin as its own, the oldest first.
    ///
    /// Cost: the first line of each of these.
    pub(super) fn beside(path: &Path) -> Vec<Self> {
        let (Some(folder), Some(stem)) = (path.parent(), path.file_stem()) else {
            return Vec::new();
        };
        let entries = fs_err::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let beside = entries.filter(|beside| {
            let name = beside.file_name().unwrap_or_default().to_string_lossy();
            beside != path && beside.is_file() && name.starts_with(&*stem.to_string_lossy())
        });
        // What cannot be read, or holds no lines, is no file that was read before.
        let mut files: Vec<_> =
            beside.filter_map(|beside| Self::open(&beside, true).ok().flatten()).collect();
        files.sort_by_key(|file| file.metadata.modified().ok());
        files
    }
}

/// The bytes of a pipe or of standard input, unpacked if they are packed. Reads their start.
pub(super) fn stream(
    path: &Path,
    mut bytes: impl Read + Send + 'static,
) -> Result<Box<dyn BufRead + Send>, Error> {
    let cannot_read = |source| Error::Read { path: path.to_owned(), source };
    let mut head = Vec::new();
    // Whoever types lines must not wait: read on only while the start may still be that of something packed.
    while MAGIC.iter().any(|(magic, _)| head.len() < magic.len() && magic.starts_with(&head)) {
        if bytes.by_ref().take(1).read_to_end(&mut head).map_err(cannot_read)? == 0 {
            break;
        }
    }
    if let Some(found) = no_lines(&head, false) {
        return Err(Error::NotLines { path: path.to_owned(), found });
    }
    let packing = Packing::of(&head);
    unpack(packing, io::Cursor::new(head).chain(bytes)).map_err(cannot_read)
}

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Gzip,
    Zstandard,
}

impl Packing {
    fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstandard),
            _ => None,
        }
    }
}

/// What files that hold no lines of text begin with, and what they are called.
const MAGIC: [(&[u8], &str); 6] = [
    (&[0x1f, 0x8b], "packed with gzip"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "packed with zstd"),
    (b"BZh", "packed with bzip2"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "packed with xz"),
    (&[0xff, 0xfe], "text in UTF-16"),
    (&[0xfe, 0xff], "text in UTF-16"),
];
/// Where a tar archive says that it is one.
const TAR: std::ops::Range<usize> = 257..262;

/// What `head` is the start of, if not of lines of text; what is packed with gzip or zstd can be read, but not twice.
fn no_lines(head: &[u8], unpacked: bool) -> Option<&'static str> {
    if head.get(TAR) == Some(b"ustar") {
        return Some("a tar archive");
    }
    let (_, found) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic))?;
    (unpacked || Packing::of(head).is_none()).then_some(found)
}

fn unpack<'a>(
    packing: Option<Packing>,
    bytes: impl Read + Send + 'a,
) -> io::Result<Box<dyn BufRead + Send + 'a>> {
    Ok(match packing {
        None => Box::new(BufReader::with_capacity(BUFFER_BYTES, bytes)),
        Some(Packing::Gzip) => {
            let unpacked = flate2::bufread::MultiGzDecoder::new(BufReader::new(bytes));
            Box::new(BufReader::with_capacity(BUFFER_BYTES, unpacked))
        }
        Some(Packing::Zstandard) => {
            let mut unpacked = zstd::Decoder::new(bytes)?;
            unpacked.window_log_max(WINDOW_LOG)?;
            Box::new(BufReader::with_capacity(BUFFER_BYTES, unpacked))
        }
    })
}

/// The hash of the first line that is not blank, without its end.
fn first_line(mut lines: impl BufRead, ended: bool) -> io::Result<Option<u64>> {
    let mut line = Vec::new();
    loop {
        line.clear();
        lines.by_ref().take(FINGERPRINT_BYTES).read_until(b'\n', &mut line)?;
        let whole = ended || line.ends_with(b"\n") || line.len() as u64 == FINGERPRINT_BYTES;
        if line.is_empty() || !whole {
            return Ok(None);
        }
        if !line.trim_ascii().is_empty() {
            return Ok(Some(xxh3_64(line.trim_ascii())));
        }
    }
}
