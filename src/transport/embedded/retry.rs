//! Dead letters that are tried again: lines of a source that hold what was refused, and where it stood.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fs_err::File;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::file;
use crate::record::dead_letter::DeadLetterRecord;
use crate::record::line;

/// How such a line begins.
const MARK: &[u8] = b"{\"topicd.retry\":";
/// Bytes of such a line beside what it holds, at most: a path, a reason, and the names of fields.
const FRAME_BYTES: u64 = 64 << 10;

#[derive(Serialize, Deserialize)]
struct Retried<T> {
    #[serde(rename = "topicd.retry")]
    letter: T,
}

/// The dead letter that a line of a source is, if it is one.
pub(super) fn letter(line: &[u8]) -> Option<DeadLetterRecord> {
    let retried: Option<Retried<DeadLetterRecord>> =
        line.starts_with(MARK).then(|| serde_json::from_slice(line).ok()).flatten();
    retried.map(|retried| retried.letter)
}

/// `letter` as a line of a source, without its end.
pub fn retried(mut letter: DeadLetterRecord) -> Vec<u8> {
    // What has many characters to escape is shorter in base64.
    if let Some(text) = letter.original.take_if(|text| line(text).len() as u64 > encoded(text.len() as u64)) {
        letter.original_base64 = Some(STANDARD.encode(text));
    }
    line(&Retried { letter })
}

/// Bytes of a line of a source, where a document may have `most`: base64 makes four of three.
pub(super) fn most_bytes(most: u64) -> u64 {
    encoded(most).saturating_add(FRAME_BYTES)
}

fn encoded(bytes: u64) -> u64 {
    bytes.div_ceil(3).saturating_mul(4)
}

/// The dead letters of a file, in their order; unpacked if it is packed with gzip or zstd.
pub struct Letters {
    path: PathBuf,
    lines: Box<dyn BufRead + Send>,
    number: usize,
}

impl Letters {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// [`Error::Read`], or [`Error::NotLines`] for what holds no lines of text.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let read = |source| Error::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(read)?;
        // A folder can be opened, and is noticed by its first byte.
        Ok(Self { path: path.to_owned(), lines: file::stream(path, file)?, number: 0 })
    }

    fn read(&mut self) -> Result<Option<DeadLetterRecord>, Error> {
        loop {
            let mut bytes = Vec::new();
            let read = self.lines.by_ref().read_until(b'\n', &mut bytes);
            read.map_err(|source| Error::Read { path: self.path.clone(), source })?;
            if bytes.is_empty() {
                return Ok(None);
            }
            self.number += 1;
            match serde_json::from_slice(&bytes) {
                _ if bytes.trim_ascii().is_empty() => {}
                Ok(letter) => return Ok(Some(letter)),
                // A daemon is about to write it.
                Err(_) if !bytes.ends_with(b"\n") => return Ok(None),
                Err(source) => {
                    return Err(Error::NotLetter { path: self.path.clone(), line: self.number, source });
                }
            }
        }
    }
}

impl Iterator for Letters {
    type Item = Result<DeadLetterRecord, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Partition, Position};
    use crate::document::{Original, Reason, Rejection};
    use crate::transport::embedded::{Fields, Format, Parser};

    fn rejection(bytes: &[u8], refusals: u32) -> Rejection {
        let position = Position { partition: Partition::new("/data/news.jsonl#0a"), offset: 7 };
        let original = Original { bytes: bytes.to_vec(), refusals };
        Rejection { position, reason: Reason::EmptyText, original }
    }

    fn parser(format: Format) -> Parser {
        let fields = Fields { text: "body".into(), ..Fields::default() };
        Parser { format, fields, max_document_bytes: 10_000, dimension: None, time_format: String::new() }
    }

    fn elsewhere() -> Position {
        Position { partition: Partition::new("/data/retry.jsonl#0b"), offset: 900 }
    }

    #[test]
    fn a_letter_is_read_as_what_it_holds_where_that_stood() {
        let line = br#"{"body":"rain"}"#;
        let again = retried(DeadLetterRecord::new(&rejection(line, 1)));
        let first = parser(Format::Json).parse(line, rejection(line, 0).position).unwrap();
        let second = parser(Format::Json).parse(&again, elsewhere()).unwrap();
        assert_eq!((&second.id, &second.position, &second.text), (&first.id, &first.position, &first.text));
        assert_eq!(second.original, Original { bytes: line.to_vec(), refusals: 2 });
        let text = parser(Format::Lines).parse(&again, elsewhere()).unwrap();
        assert_eq!(text.text, r#"{"body":"rain"}"#);
    }

    #[test]
    fn what_is_refused_again_says_how_often_and_is_whole() {
        for bytes in [&b"not json"[..], b"\xff\xfe", b"{\"text\":\"no body\"}"] {
            let mut letter = DeadLetterRecord::new(&rejection(bytes, 0));
            for tries in 2..5 {
                let refused = parser(Format::Json).parse(&retried(letter), elsewhere()).unwrap_err();
                letter = DeadLetterRecord::new(&refused);
                assert_eq!((letter.tries, letter.original().unwrap()), (tries, bytes.to_vec()));
                assert_eq!(letter.position, rejection(b"", 0).position);
            }
        }
    }

    #[test]
    fn a_line_that_a_source_takes_is_taken_again() {
        for byte in [b'x', b'"', 0, 0xff] {
            let whole = retried(DeadLetterRecord::new(&rejection(&vec![byte; 10_000], 0)));
            assert!(whole.len() as u64 <= most_bytes(10_000), "{} bytes of {byte}", whole.len());
            assert_eq!(letter(&whole).unwrap().original().unwrap(), vec![byte; 10_000]);
        }
        let longer = retried(DeadLetterRecord::new(&rejection(&[b'x'; 10_001], 0)));
        let refused = parser(Format::Lines).parse(&longer, elsewhere()).unwrap_err();
        assert_eq!(refused.reason, Reason::TooLong { bytes: 10_001, max: 10_000 });
    }

    #[test]
    fn files_of_letters_are_read_to_their_last_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead-letters.jsonl");
        let letter = DeadLetterRecord::new(&rejection(b"one", 0));
        let whole = [&line(&letter)[..], b"\n\n", &line(&letter), b"\n"].concat();
        fs_err::write(&path, [&whole[..], b"{\"reason\":\"no"].concat()).unwrap();
        let letters: Result<Vec<_>, _> = Letters::open(&path).unwrap().collect();
        assert_eq!(letters.unwrap(), [letter.clone(), letter]);
        fs_err::write(&path, [&whole[..], b"{\"id\":\"a document\"}\n"].concat()).unwrap();
        let said = Letters::open(&path).unwrap().find_map(Result::err).unwrap().to_string();
        assert!(said.starts_with("line 4 of ") && said.contains("dead-letters.jsonl"), "{said}");
    }
}
