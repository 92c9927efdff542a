//! What a message carries beside its document: it goes out again with the assignment or the dead letter.

use std::collections::BTreeMap;

use rdkafka::message::{BorrowedMessage, Header, Message, OwnedHeaders};

use super::transact::LETTER_BYTES;
use crate::checkpoint::{Partition, Position};
use crate::document::Rejection;

/// Key, headers and time of a message.
#[derive(Debug, Clone, Default)]
pub(super) struct Envelope {
    pub key: Option<Vec<u8>>,
    pub headers: Option<OwnedHeaders>,
    pub timestamp_ms: Option<i64>,
}

/// The header under which the key of a document's message travels with its assignment.
const KEY: &str = "topicd.key";

impl Envelope {
    pub(super) fn of(message: &BorrowedMessage<'_>) -> Self {
        Self {
            key: message.key().map(ToOwned::to_owned),
            headers: message.headers().map(rdkafka::message::BorrowedHeaders::detach),
            timestamp_ms: message.timestamp().to_millis(),
        }
    }

    /// The headers of an assignment: those that came, and the key, since the assignment's own is the document's id.
    pub(super) fn carried(&self) -> Option<OwnedHeaders> {
        let Some(key) = &self.key else { return self.headers.clone() };
        let headers = self.headers.clone().unwrap_or_default();
        Some(headers.insert(Header { key: KEY, value: Some(key) }))
    }
}

/// The envelopes of a batch, by where their messages stood.
#[derive(Debug, Default)]
pub(super) struct Envelopes(BTreeMap<Partition, Vec<(u64, Envelope)>>);

impl Envelopes {
    /// Adds that of the message at `position`, behind which no message of its partition was added before.
    pub(super) fn push(&mut self, position: Position, envelope: Envelope) {
        self.0.entry(position.partition).or_default().push((position.offset, envelope));
    }

    /// That of the message at `position`.
    pub(super) fn get(&self, position: &Position) -> Option<&Envelope> {
        let envelopes = self.0.get(&position.partition)?;
        let at = envelopes.binary_search_by_key(&position.offset, |(offset, _)| *offset).ok()?;
        Some(&envelopes[at].1)
    }
}

/// The headers of a dead letter: those that came, the reason, and where it stood.
pub(super) fn refused(headers: Option<OwnedHeaders>, rejection: &Rejection) -> OwnedHeaders {
    let detail = rejection.reason.to_string();
    let offset = rejection.position.offset.to_string();
    let mut headers = headers.unwrap_or_default();
    if rejection.bytes.len() > LETTER_BYTES {
        let bytes = rejection.bytes.len().to_string();
        headers = headers.insert(Header { key: "topicd.cut_from_bytes", value: Some(&bytes) });
    }
    headers
        .insert(Header { key: "topicd.reason", value: Some(rejection.reason.code()) })
        .insert(Header { key: "topicd.detail", value: Some(&detail) })
        .insert(Header { key: "topicd.partition", value: Some(rejection.position.partition.as_str()) })
        .insert(Header { key: "topicd.offset", value: Some(&offset) })
}
