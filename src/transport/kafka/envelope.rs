//! What a message carries beside its document: it goes out again with the assignment or the dead letter.
//!
//! A record that its topic refuses for its size would stop the group, one process after the other. So everything is
//! bounded here: a topic takes a million bytes unless its owner says otherwise.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Header, Headers as _, Message, OwnedHeaders};

use crate::checkpoint::{Partition, Position};
use crate::document::{MOST_ID_BYTES, Reason, Rejection};

/// Key, headers and time of a message.
#[derive(Debug, Clone, Default)]
pub(super) struct Envelope {
    pub key: Option<Vec<u8>>,
    pub headers: Option<OwnedHeaders>,
    /// Bytes of all headers; none if they cannot be read.
    headers_bytes: Option<usize>,
    pub timestamp_ms: Option<i64>,
}

/// The header under which the key of a document's message travels with its assignment.
const KEY: &str = "topicd.key";
/// Bytes of the key and the headers that travel with a document.
const MOST_CARRIED_BYTES: usize = 256 << 10;
/// Bytes that a header may take beside its name and its value: their lengths.
const HEADER_BYTES: usize = 10;
/// Bytes of a dead letter's key, the headers that came, and value; what topicd adds has some hundred more.
const LETTER_BYTES: usize = 980_000;
/// How far ahead the time of a record may lie: brokers refuse an hour (`message.timestamp.after.max.ms`).
const AHEAD_MS: i64 = 30 * 60 * 1000;

impl Envelope {
    pub(super) fn of(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers();
        Self {
            key: message.key().map(ToOwned::to_owned),
            headers: headers.map(BorrowedHeaders::detach),
            headers_bytes: headers.map_or(Some(0), size),
            timestamp_ms: message.timestamp().to_millis(),
        }
    }

    /// The key as a document's id, if it can be one.
    pub(super) fn id(&self) -> Option<&str> {
        self.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()).filter(|key| !key.is_empty())
    }

    /// The last header called `name`, if it has a value. Names must be known to be UTF-8.
    pub(super) fn header(&self, name: &str) -> Option<&[u8]> {
        let headers = self.headers.as_ref()?.iter();
        headers.filter(|header| header.key == name).last().and_then(|header| header.value)
    }

    /// Why nothing can be written that carries this, if so.
    pub(super) fn too_large(&self) -> Option<Reason> {
        let Some(headers) = self.headers_bytes else { return Some(Reason::HeaderName) };
        let bytes = headers + self.key.as_ref().map_or(0, Vec::len);
        (bytes > MOST_CARRIED_BYTES).then_some(Reason::LongHeaders { bytes, max: MOST_CARRIED_BYTES })
    }

    /// The headers of an assignment: those that came, and the key, since the assignment's own is the document's id.
    pub(super) fn carried(&self) -> Option<OwnedHeaders> {
        let Some(key) = &self.key else { return self.headers.clone() };
        let headers = self.headers.clone().unwrap_or_default();
        Some(headers.insert(Header { key: KEY, value: Some(key) }))
    }

    /// The time of what is written, now being `now_ms`; none if brokers may refuse that of the message.
    pub(super) fn time(&self, now_ms: i64) -> Option<i64> {
        self.timestamp_ms.filter(|time| (0..=now_ms.saturating_add(AHEAD_MS)).contains(time))
    }
}

/// Bytes of all headers; none if a name is not UTF-8, at which rdkafka 0.39 panics.
fn size(headers: &BorrowedHeaders) -> Option<usize> {
    let bytes =
        |header: Header<'_, &[u8]>| header.key.len() + header.value.map_or(0, <[u8]>::len) + HEADER_BYTES;
    catch_unwind(AssertUnwindSafe(|| headers.iter().map(bytes).sum())).ok()
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

/// A message that was refused, as its topic can take it: where something is cut, a header says so.
pub(super) struct Letter<'a> {
    pub key: Option<&'a [u8]>,
    pub value: &'a [u8],
    /// Those that came, the reason, and where the message stood.
    pub headers: OwnedHeaders,
}

impl<'a> Letter<'a> {
    pub(super) fn of(rejection: &'a Rejection, envelope: &'a Envelope) -> Self {
        let mut marks = Vec::new();
        let whole_key = envelope.key.as_deref();
        let key = whole_key.map(|key| &key[..key.len().min(MOST_ID_BYTES)]);
        if let (Some(whole), Some(key)) = (whole_key, key)
            && key.len() < whole.len()
        {
            marks.push(("topicd.key_cut_from_bytes", whole.len().to_string()));
        }
        let carried = envelope.headers_bytes.filter(|bytes| *bytes <= MOST_CARRIED_BYTES);
        let mut headers = envelope.headers.clone().filter(|_| carried.is_some()).unwrap_or_default();
        if let (None, Some(left_out)) = (carried, &envelope.headers) {
            let bytes = envelope.headers_bytes.map(|bytes| format!(", {bytes} bytes")).unwrap_or_default();
            marks.push(("topicd.headers_left_out", format!("{}{bytes}", left_out.count())));
        }
        let room = LETTER_BYTES - carried.unwrap_or_default() - key.map_or(0, <[u8]>::len);
        let bytes = &rejection.original.bytes;
        let value = &bytes[..bytes.len().min(room)];
        if (value.len() as u64) < rejection.length() {
            marks.push(("topicd.cut_from_bytes", rejection.length().to_string()));
        }
        marks.push(("topicd.reason", rejection.reason.code().to_owned()));
        marks.push(("topicd.detail", rejection.reason.in_words()));
        marks.push(("topicd.partition", rejection.position.partition.to_string()));
        marks.push(("topicd.offset", rejection.position.offset.to_string()));
        for (key, value) in &marks {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        Self { key, value, headers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Original;

    fn rejection(bytes: usize) -> Rejection {
        let position = Position { partition: Partition::new("documents/3"), offset: 17 };
        let original = Original { bytes: vec![7; bytes], refusals: 0 };
        Rejection { position, reason: Reason::EmptyText, original }
    }

    fn envelope(key: usize, header: usize) -> Envelope {
        let value = vec![7; header];
        let headers = OwnedHeaders::new().insert(Header { key: "trace", value: Some(&value) });
        let headers_bytes = Some(header + 5 + HEADER_BYTES);
        Envelope { key: Some(vec![7; key]), headers: Some(headers), headers_bytes, timestamp_ms: None }
    }

    fn told(letter: &Letter<'_>, name: &str) -> Option<String> {
        let mut headers = letter.headers.iter();
        let found = headers.find(|header| header.key == name)?.value?;
        Some(String::from_utf8(found.to_owned()).unwrap())
    }

    #[test]
    fn a_dead_letter_is_the_message_as_long_as_it_fits() {
        let (rejection, envelope) = (rejection(900_000), envelope(100, 70_000));
        let letter = Letter::of(&rejection, &envelope);
        assert_eq!((letter.key.unwrap().len(), letter.value.len()), (100, 900_000));
        assert_eq!(told(&letter, "trace").unwrap().len(), 70_000);
        assert_eq!(told(&letter, "topicd.reason").as_deref(), Some("empty_text"));
        assert_eq!(told(&letter, "topicd.partition").as_deref(), Some("documents/3"));
        assert_eq!(told(&letter, "topicd.offset").as_deref(), Some("17"));
        for cut in ["topicd.cut_from_bytes", "topicd.key_cut_from_bytes", "topicd.headers_left_out"] {
            assert_eq!(told(&letter, cut), None);
        }
    }

    #[test]
    fn what_does_not_fit_is_cut_and_said() {
        for (value, key, header) in
            [(2_000_000, 1_000_000, 100), (2_000_000, 10, 250_000), (10, 10, 1_500_000)]
        {
            let (rejection, envelope) = (rejection(value), envelope(key, header));
            let letter = Letter::of(&rejection, &envelope);
            let headers: usize = letter
                .headers
                .iter()
                .map(|header| header.key.len() + header.value.map_or(0, <[u8]>::len) + HEADER_BYTES)
                .sum();
            assert!(headers + letter.key.unwrap().len() + letter.value.len() < 990_000);
            let cut = told(&letter, "topicd.cut_from_bytes");
            assert_eq!(cut, (value == 2_000_000).then(|| "2000000".to_owned()));
            let cut = told(&letter, "topicd.key_cut_from_bytes");
            assert_eq!(cut, (key == 1_000_000).then(|| "1000000".to_owned()));
            let left_out = told(&letter, "topicd.headers_left_out");
            assert_eq!(left_out.as_deref(), (header == 1_500_000).then_some("1, 1500015 bytes"));
        }
    }

    #[test]
    fn key_and_headers_travel_within_bounds() {
        assert_eq!(envelope(1000, 200_000).too_large(), None);
        assert!(
            matches!(envelope(1000, 1_500_000).too_large(), Some(Reason::LongHeaders { bytes, .. }) if bytes > 1_500_000)
        );
        assert!(envelope(800_000, 1).too_large().is_some());
        assert_eq!(Envelope::default().too_large(), Some(Reason::HeaderName));
    }

    #[test]
    fn a_time_that_brokers_refuse_is_left_to_them() {
        let at = |timestamp_ms| Envelope { timestamp_ms, ..Envelope::default() }.time(1_000_000);
        assert_eq!([at(Some(5)), at(Some(2_000_000)), at(None)], [Some(5), Some(2_000_000), None]);
        assert_eq!([at(Some(-7)), at(Some(i64::MAX))], [None, None]);
    }
}
