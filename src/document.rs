//! A document on its way through the house, and what becomes of input that is none.

mod field;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::checkpoint::{Checkpoint, Position};

pub use field::{Fields, MOST_FIELDS, MOST_VALUE_BYTES, MOST_VALUES, Value};

/// Bytes of an id, at most: it stands in every record about its document, and records in Kafka are bounded.
pub const MOST_ID_BYTES: usize = 4096;
/// Bytes of a reason in words, at most: what a parser or an encoder says may quote the whole input.
const MOST_REASON_BYTES: usize = 1024;

/// One text to find a topic for.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Unique in the stream; taken from the input, or made from the position where the input has none.
    pub id: Arc<str>,
    /// Title and text as the encoder reads them; never empty.
    pub text: String,
    /// When the document was written, in ms since 1970, if the input says so.
    pub timestamp_ms: Option<i64>,
    /// What a human called it, if the input says so; never used to find topics, only to judge them.
    pub label: Option<String>,
    /// The embedding that came with the document, of length 1, if any.
    pub embedding: Option<Vec<f32>>,
    /// Its other fields, as far as they are kept.
    pub fields: Fields,
    /// Optional fields that hold nothing usable; the document counts without them.
    pub left_out: Vec<LeftOut>,
    /// Where it stands in its source; of one that was refused and is tried again, where it stood first.
    pub position: Position,
    /// What it was read from; empty once nothing can refuse it any more.
    pub original: Original,
}

/// Input as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Original {
    /// All its bytes, without the line's end; the start of them if the line is too long.
    pub bytes: Vec<u8>,
    /// How often it was refused before.
    pub refusals: u32,
}

/// An optional field of a document that holds nothing usable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("field `{field}` is {found}, not {expected}")]
pub struct LeftOut {
    /// The configured name of the field.
    pub field: String,
    /// What stands there.
    pub found: &'static str,
    /// What may stand there.
    pub expected: &'static str,
}

/// Input that cannot be processed, kept as it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejection {
    /// Where it stands in its source.
    pub position: Position,
    /// Why it was refused.
    pub reason: Reason,
    /// What was refused.
    pub original: Original,
}

impl Rejection {
    /// How many bytes the original has, all of them.
    pub fn length(&self) -> u64 {
        if let Reason::TooLong { bytes, .. } = self.reason { bytes } else { self.original.bytes.len() as u64 }
    }
}

/// Why a piece of input is no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The bytes are not UTF-8 from this byte on.
    #[error("not utf-8 from byte {at} on")]
    NotUtf8 {
        /// Index of the first wrong byte in the line.
        at: usize,
    },
    /// The line is not a JSON object.
    #[error("not a json object: {detail}")]
    NotJson {
        /// What the parser says.
        detail: String,
    },
    /// The object has no field for the text.
    #[error("no text: field `{field}` is missing; set `source.fields.text` to the field that holds it")]
    NoText {
        /// The configured name of the field.
        field: String,
    },
    /// The text holds nothing but white space.
    #[error("empty text")]
    EmptyText,
    /// A field has another type than it must have.
    #[error("field `{field}` is {found}, not {expected}")]
    WrongType {
        /// The configured name of the field.
        field: String,
        /// The JSON type that stands there.
        found: &'static str,
        /// The JSON type that must stand there.
        expected: &'static str,
    },
    /// The line is longer than the configured bound; it was skipped unread.
    #[error("{bytes} bytes long, more than `source.max_document_bytes` = {max}; only its start is kept")]
    TooLong {
        /// Length of the line.
        bytes: u64,
        /// The bound.
        max: u64,
    },
    /// The embedding has another length than the encoder's.
    #[error("embedding has {found} numbers, not {expected}")]
    EmbeddingLength {
        /// Numbers found.
        found: usize,
        /// The model's dimension.
        expected: usize,
    },
    /// The embedding holds a number that is not finite, or nothing but zeros.
    #[error("embedding is not usable: {detail}")]
    EmbeddingValue {
        /// Which number, and what is wrong with it.
        detail: String,
    },
    /// The id is longer than any record can carry.
    #[error(
        "the id is {bytes} bytes long, more than {MOST_ID_BYTES}; set `source.fields.id` to a shorter field"
    )]
    LongId {
        /// Length of the id.
        bytes: usize,
    },
    /// What travels beside the document is too large to be written with its topic.
    #[error("the message's key and headers have {bytes} bytes, more than {max}; shorten them")]
    LongHeaders {
        /// Bytes of the key, and of the headers' names and values.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// A header's name is no text.
    #[error("the name of a header of the message is not utf-8")]
    HeaderName,
    /// The message's schema is unknown, or it does not fit.
    #[error("schema {id}: {detail}")]
    Schema {
        /// The schema's number in the registry.
        id: u32,
        /// What is wrong.
        detail: String,
    },
    /// A document with this id was processed before.
    #[error("duplicate id `{id}`")]
    DuplicateId {
        /// The id.
        id: Arc<str>,
    },
    /// The encoder refused this text alone.
    #[error("cannot embed: {detail}")]
    Embedding {
        /// What the encoder says.
        detail: String,
    },
}

impl Reason {
    /// A short name for metrics and for filtering dead letters; one of a fixed few.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotUtf8 { .. } => "not_utf8",
            Self::NotJson { .. } => "not_json",
            Self::NoText { .. } => "no_text",
            Self::EmptyText => "empty_text",
            Self::WrongType { .. } => "wrong_type",
            Self::TooLong { .. } => "too_long",
            Self::EmbeddingLength { .. } => "embedding_length",
            Self::EmbeddingValue { .. } => "embedding_value",
            Self::LongId { .. } => "id_too_long",
            Self::LongHeaders { .. } => "headers_too_long",
            Self::HeaderName => "header_name_not_utf8",
            Self::Schema { .. } => "schema",
            Self::DuplicateId { .. } => "duplicate_id",
            Self::Embedding { .. } => "embedding_failed",
        }
    }

    /// The reason in words, cut where it quotes too much.
    pub fn in_words(&self) -> String {
        let whole = self.to_string();
        let start = start_of(&whole, MOST_REASON_BYTES);
        if start.len() < whole.len() { format!("{start}…") } else { whole }
    }
}

/// What one `receive` brings: documents in source order, what was refused among them, and what is done after it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Documents, in source order.
    pub documents: Vec<Document>,
    /// Input between them that is none.
    pub rejections: Vec<Rejection>,
    /// The source's position after this batch.
    pub checkpoint: Checkpoint,
}

impl Batch {
    /// True if it holds neither documents nor rejections.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty() && self.rejections.is_empty()
    }
}

/// The start of `text`, at most `bytes` long, cut between two characters.
pub fn start_of(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}

/// The number of a kept document, in the order in which the modeler received it, from 1; never reused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(pub u64);

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}
