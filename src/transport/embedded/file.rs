//! A file, known by what stands in it and not by its path.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fs_err::File;
use xxhash_rust::xxh3::xxh3_64;

use super::error::Error;
use crate::checkpoint::{Checkpoint, Partition};

/// Bytes of a file's first line that tell it from others, at most.
const FINGERPRINT_BYTES: u64 = 1024;
const BUFFER_BYTES: usize = 64 << 10;
/// zstd's longest window is 2³¹ bytes; files packed with `--long` need more than the 2²⁷ of its default.
const WINDOW_LOG: u32 = 31;

/// A regular file that is open.
pub(super) struct Regular {
    pub path: PathBuf,
    file: File,
    packing: Option<Packing>,
    /// Device and inode.
    pub inode: (u64, u64),
    /// Hash of its first line that is not blank; none while there is no such line.
    pub fingerprint: Option<u64>,
}

impl Regular {
    /// Opens the file at `path`; the line at the file's end counts as whole if `ended`.
    ///
    /// # Errors
    /// [`Error::Read`], or [`Error::NotLines`] for what holds no lines of text.
    pub(super) fn open(path: &Path, ended: bool) -> Result<Self, Error> {
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
        // Nor is a packed file that is cut off known before a line of it is whole.
        let fingerprint = match first_line(lines, ended || packing.is_some()) {
            Err(source) if packing.is_none() => return Err(cannot_read(source)),
            found => found.unwrap_or_default(),
        };
        let inode = (metadata.dev(), metadata.ino());
        Ok(Self { path: path.to_owned(), file, packing, inode, fingerprint })
    }

    /// Its length in bytes; `None` if it is packed.
    pub(super) fn length(&self) -> Option<u64> {
        self.file.metadata().ok().filter(|_| self.packing.is_none()).map(|metadata| metadata.len())
    }

    /// True if lines may still be appended.
    pub(super) fn grows(&self) -> bool {
        self.packing.is_none()
    }

    /// Its bytes from `start` on, and whether `start` stands within a line.
    pub(super) fn bytes_from(self, start: u64) -> Result<(Box<dyn BufRead + Send>, bool), Error> {
        let Self { path, mut file, packing, .. } = self;
        let cannot_read = |source| Error::Read { path: path.clone(), source };
        let mut before = Vec::new();
        let bytes: Box<dyn BufRead + Send> = if packing.is_none() {
            file.seek(SeekFrom::Start(start.saturating_sub(1))).map_err(cannot_read)?;
            (&file).take(start.min(1)).read_to_end(&mut before).map_err(cannot_read)?;
            Box::new(BufReader::with_capacity(BUFFER_BYTES, file))
        } else {
            file.rewind().map_err(cannot_read)?;
            let mut bytes = unpack(packing, file).map_err(cannot_read)?;
            let skip = start.saturating_sub(1);
            let skipped = io::copy(&mut bytes.by_ref().take(skip), &mut io::sink()).map_err(cannot_read)?;
            bytes.by_ref().take(start.min(1)).read_to_end(&mut before).map_err(cannot_read)?;
            let found = skipped + before.len() as u64;
            if found < start {
                return Err(Error::SourceShorter { path: path.clone(), found, read: start });
            }
            bytes
        };
        Ok((bytes, before.last().is_some_and(|byte| *byte != b'\n')))
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

/// The name under which the positions in a file are recorded that stood at `path`.
pub(super) fn partition(path: &Path, fingerprint: u64) -> Partition {
    Partition::new(&format!("{}#{fingerprint:016x}", path.display()))
}

/// Every file with its position that `recorded` knows to have stood at `path`.
pub(super) fn stood(path: &Path, recorded: &Checkpoint) -> Vec<(u64, u64)> {
    let prefix = format!("{}#", path.display());
    let files = recorded.iter().filter_map(|(partition, position)| {
        let fingerprint = partition.as_str().strip_prefix(&prefix)?;
        Some((u64::from_str_radix(fingerprint, 16).ok()?, position))
    });
    files.collect()
}

/// What is recorded of `path` itself, and of the files that stood there.
pub(super) fn of_source(path: &Path, recorded: &Checkpoint) -> Checkpoint {
    let bare = Partition::new(&path.to_string_lossy());
    let mut found = Checkpoint::new();
    if recorded.knows(&bare) {
        found.advance(bare.clone(), recorded.position(&bare));
    }
    for (fingerprint, position) in stood(path, recorded) {
        found.advance(partition(path, fingerprint), position);
    }
    found
}

/// The recorded position in the file with this fingerprint.
///
/// Before files had fingerprints, a position was recorded under the path alone: it counts until there is another.
pub(super) fn position(path: &Path, fingerprint: u64, recorded: &Checkpoint) -> u64 {
    let files = stood(path, recorded);
    let known = files.iter().find(|(found, _)| *found == fingerprint);
    match known {
        Some((_, position)) => *position,
        None if files.is_empty() => recorded.position(&Partition::new(&path.to_string_lossy())),
        None => 0,
    }
}

/// The files beside `path` in which something is unread, though they stood there before: rotated, renamed, copied.
///
/// They have names that begin as the path's. Cost: the first line of each of these.
pub(super) fn rotated(path: &Path, standing: Option<u64>, recorded: &Checkpoint) -> Vec<Regular> {
    let mut unread: Vec<_> = stood(path, recorded);
    unread.retain(|(fingerprint, _)| standing != Some(*fingerprint));
    let (Some(folder), Some(stem), false) = (path.parent(), path.file_stem(), unread.is_empty()) else {
        return Vec::new();
    };
    let entries = fs_err::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let beside = entries.filter(|beside| {
        let name = beside.file_name().unwrap_or_default().to_string_lossy();
        beside != path && beside.is_file() && name.starts_with(&*stem.to_string_lossy())
    });
    let mut files: Vec<Regular> = beside.filter_map(|beside| Regular::open(&beside, true).ok()).collect();
    // Of several copies the longest; then in the order in which they were written.
    files.sort_by_key(|file| std::cmp::Reverse(file.length()));
    let mut seen = std::collections::BTreeSet::new();
    files.retain(|file| {
        let known = unread.iter().find(|(fingerprint, _)| file.fingerprint == Some(*fingerprint));
        known.is_some_and(|(fingerprint, position)| {
            file.length().is_none_or(|length| length > *position) && seen.insert(*fingerprint)
        })
    });
    files.sort_by_key(|file| file.file.metadata().and_then(|metadata| metadata.modified()).ok());
    files
}
