//! Cuts a stream of bytes into lines, holding no more of a line than it may be long.

use std::io::{self, BufRead};

use super::file::BEFORE_BYTES;
use super::parse::KEPT_BYTES;

/// One line of the stream, whose bytes are in [`Lines::bytes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    /// Byte offset of its first byte.
    pub start: u64,
    /// Byte offset of the first byte after its end.
    pub end: u64,
    /// Its length without the line's end, in bytes; more than [`Lines::bytes`] holds if it is too long.
    pub length: u64,
}

/// Reads lines that end with LF or CRLF, and remembers an unfinished one between calls.
///
/// A byte order mark is no part of the line that it stands before: files that were joined have it in their middle.
/// Memory: `max_bytes`, or 4 KiB of a line that is longer.
pub(super) struct Lines<R> {
    input: R,
    bytes: Vec<u8>,
    max_bytes: usize,
    start: u64,
    /// Bytes of the line taken from the input so far.
    taken: u64,
    /// The last bytes taken, [`BEFORE_BYTES`] at most.
    before: Vec<u8>,
    /// The line's start was returned in an earlier run, when it had no end; the rest of it is no line.
    within: bool,
    /// The line has been returned, so the next call starts another.
    finished: bool,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What may stand in `Lines::bytes` beside a line of the greatest length: the byte order mark and the CR of its end.
const SLACK: usize = BYTE_ORDER_MARK.len() + 1;

impl<R: BufRead> Lines<R> {
    /// Lines of `input`, whose next byte has the offset `start` and comes after `before`; they may be `max_bytes` long.
    pub(super) fn new(input: R, before: Vec<u8>, start: u64, max_bytes: u64) -> Self {
        let max_bytes = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        let within = before.last().is_some_and(|byte| *byte != b'\n');
        Self { input, bytes: Vec::new(), max_bytes, start, taken: 0, before, within, finished: false }
    }

    /// The bytes of the line returned last, without its end; only the start of one that is too long.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The offset of the first byte that is not yet taken from the input.
    pub(super) fn position(&self) -> u64 {
        self.start + self.taken
    }

    /// The last bytes before that, [`BEFORE_BYTES`] at most.
    pub(super) fn before(&self) -> &[u8] {
        &self.before
    }

    /// Returns the next line, or `None` where the input has no more bytes now; what was read of a line is kept.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Line>> {
        self.forget_finished();
        loop {
            let available = match self.input.fill_buf() {
                Ok(available) => available,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            if available.is_empty() {
                return Ok(None);
            }
            let line_end = available.iter().position(|byte| *byte == b'\n');
            let (content, consumed) =
                line_end.map_or((available.len(), available.len()), |end| (end, end + 1));
            let room = self.max_bytes.saturating_add(SLACK).saturating_sub(self.bytes.len());
            self.bytes.extend_from_slice(&available[..content.min(room)]);
            self.before.extend_from_slice(&available[consumed.saturating_sub(BEFORE_BYTES)..consumed]);
            self.before.drain(..self.before.len().saturating_sub(BEFORE_BYTES));
            self.input.consume(consumed);
            self.taken += consumed as u64;
            if line_end.is_some() {
                let line = self.finish(1);
                if !std::mem::take(&mut self.within) {
                    return Ok(Some(line));
                }
                self.forget_finished();
            }
        }
    }

    /// What stands after the last line end, at the end of the input; `None` if nothing does.
    pub(super) fn last_line(&mut self) -> Option<Line> {
        self.forget_finished();
        (self.taken > 0 && !self.within).then(|| self.finish(0))
    }

    fn forget_finished(&mut self) {
        if self.finished {
            self.start += self.taken;
            self.taken = 0;
            self.bytes.clear();
            self.finished = false;
        }
    }

    /// Closes the line, of which `line_feed` bytes (0 or 1) are a line feed.
    fn finish(&mut self, line_feed: u8) -> Line {
        self.finished = true;
        let mut length = self.taken - u64::from(line_feed);
        let last = self.before.iter().rev().nth(usize::from(line_feed));
        if last == Some(&b'\r') && length > 0 {
            length -= 1;
        }
        self.bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        if self.bytes.starts_with(BYTE_ORDER_MARK) {
            self.bytes.drain(..BYTE_ORDER_MARK.len());
            length -= BYTE_ORDER_MARK.len() as u64;
        }
        if length > self.max_bytes as u64 {
            self.bytes.truncate(KEPT_BYTES);
            self.bytes.shrink_to(KEPT_BYTES);
        }
        Line { start: self.start, end: self.start + self.taken, length }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    /// Every line's bytes, start, end and length, read through a buffer of `buffer` bytes.
    fn read(input: &[u8], max_bytes: u64, buffer: usize) -> Vec<(Vec<u8>, Line)> {
        let mut lines = Lines::new(BufReader::with_capacity(buffer, input), Vec::new(), 0, max_bytes);
        let mut all = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            all.push((lines.bytes().to_vec(), line));
        }
        all.extend(lines.last_line().map(|line| (lines.bytes().to_vec(), line)));
        assert_eq!(lines.last_line(), None);
        all
    }

    #[test]
    fn ends_are_no_part_of_a_line() {
        let lines = read(b"\xef\xbb\xbfab\r\n\ncd\r\r\nlast\r", 100, 3);
        let texts: Vec<&[u8]> = lines.iter().map(|(bytes, _)| bytes.as_slice()).collect();
        assert_eq!(texts, [&b"ab"[..], b"", b"cd\r", b"last"]);
        assert_eq!(lines[0].1, Line { start: 0, end: 7, length: 2 });
        assert_eq!(lines[3].1, Line { start: 13, end: 18, length: 4 });
    }

    #[test]
    fn a_line_may_be_as_long_as_the_bound_and_no_longer() {
        let lines = read(b"1234\r\n12345\r\n", 4, 2);
        assert_eq!((lines[0].0.len(), lines[0].1.length), (4, 4));
        assert_eq!(lines[1].1.length, 5);
        let marked = read(b"\xef\xbb\xbf1234\r\n", 4, 100);
        assert_eq!((marked[0].0.as_slice(), marked[0].1.length), (&b"1234"[..], 4));
    }

    #[test]
    fn fifty_megabytes_in_one_line_are_never_held() {
        let long = vec![b'x'; 50 << 20];
        let input = [&long[..], b"\nnext\n"].concat();
        let mut lines = Lines::new(BufReader::new(&input[..]), Vec::new(), 0, 1 << 20);
        let line = lines.next_line().unwrap().unwrap();
        assert_eq!(line.length, 50 << 20);
        assert_eq!(lines.bytes().len(), KEPT_BYTES);
        assert!(lines.bytes.capacity() < 2 << 20, "{} bytes are held", lines.bytes.capacity());
        assert_eq!(lines.next_line().unwrap().map(|line| line.length), Some(4));
        assert_eq!(lines.bytes(), b"next");
    }

    #[test]
    fn the_rest_of_a_line_that_was_returned_before_is_no_line() {
        let mut lines = Lines::new(&b" rest\nnext\n"[..], b"start".to_vec(), 5, 100);
        assert_eq!(lines.next_line().unwrap(), Some(Line { start: 11, end: 16, length: 4 }));
        assert_eq!((lines.bytes(), lines.before()), (&b"next"[..], &b"start rest\nnext\n"[..]));
        assert_eq!(Lines::new(&b" rest"[..], b"start".to_vec(), 5, 100).last_line(), None);
    }

    proptest! {
        #[test]
        fn lines_tile_the_stream(input in prop::collection::vec(prop::sample::select(b"ab\r\n".to_vec()), 0..80),
                                 buffer in 1_usize..9) {
            let lines = read(&input, 1000, buffer);
            let mut at = 0;
            for (bytes, line) in &lines {
                prop_assert_eq!(line.start, at);
                prop_assert_eq!(line.length, bytes.len() as u64);
                prop_assert_eq!(&input[at as usize..at as usize + bytes.len()], &bytes[..]);
                at = line.end;
            }
            prop_assert_eq!(at, input.len() as u64);
        }
    }
}
