//! Where the lines of every file go.

use tokio::sync::mpsc::Sender;

use super::error::Error;
use super::lines::Line;
use super::parse::Parser;
use super::places::Places;
use super::retry;
use super::seen::Seen;
use crate::checkpoint::{Partition, Position};
use crate::document::{Document, Original, Reason, Rejection};

/// One line that was read, the file that it stands in, and the position after it.
pub(super) struct Item {
    pub parsed: Result<Document, Rejection>,
    pub partition: Partition,
    pub end: u64,
    /// The hash of the bytes before that position; none in a stream that cannot be read twice.
    pub before: Option<u64>,
}

/// Parses lines and hands them on.
pub(super) struct Sink {
    /// How far each file was read: recorded, or in this run.
    pub places: Places,
    pub parser: Parser,
    /// Ids that came before. What is read ahead and lost in a crash is not recorded, so it is no duplicate later.
    pub seen: Seen,
    pub items: Sender<Item>,
}

/// Why no more is read.
#[derive(Debug)]
pub(super) enum End {
    /// Nobody takes lines any more.
    Stopped,
    Failed(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Sink {
    /// Hands on what the line says, unless it is blank. Waits while nobody has room for it.
    pub(super) fn send(
        &mut self,
        partition: &Partition,
        line: Line,
        bytes: &[u8],
        before: Option<u64>,
    ) -> Result<(), End> {
        let Some(parsed) = self.parse(partition, line, bytes) else { return Ok(()) };
        let parsed = parsed.and_then(|document| unseen(document, &mut self.seen));
        let item = Item { parsed, partition: partition.clone(), end: line.end, before };
        self.items.blocking_send(item).map_err(|_closed| End::Stopped)
    }

    /// What the line says; `None` if it is blank.
    pub(super) fn parse(
        &self,
        partition: &Partition,
        line: Line,
        bytes: &[u8],
    ) -> Option<Result<Document, Rejection>> {
        let position = Position { partition: partition.clone(), offset: line.start };
        if line.length > retry::most_bytes(self.parser.max_document_bytes) {
            return Some(Err(self.parser.too_long(bytes, line.length, position)));
        }
        (!bytes.trim_ascii().is_empty()).then(|| self.parser.parse(bytes, position))
    }
}

/// The document, if it is the first with its id.
fn unseen(mut document: Document, seen: &mut Seen) -> Result<Document, Rejection> {
    if seen.insert(&document.id) {
        // Only an encoder may still refuse it.
        if document.embedding.is_some() {
            document.original = Original::default();
        }
        return Ok(document);
    }
    let Document { id, position, original, .. } = document;
    Err(Rejection { reason: Reason::DuplicateId { id }, position, original })
}
