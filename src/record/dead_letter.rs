//! Input that could not be processed, unchanged, with the reason.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::checkpoint::Position;
use crate::document::{Original, Rejection};

/// One line of `dead-letters.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetterRecord {
    /// A short name of the reason, for filters.
    pub reason: String,
    /// The reason in words, with the way out where there is one.
    pub detail: String,
    /// Where it came from.
    #[serde(flatten)]
    pub position: Position,
    /// How many bytes the original has, if only its start stands here.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cut_from_bytes: Option<u64>,
    /// How often it was tried, if more than once.
    #[serde(skip_serializing_if = "is_first", default = "first")]
    pub tries: u32,
    /// The original bytes, if they are UTF-8.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub original: Option<String>,
    /// The original bytes in base64, if they are not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub original_base64: Option<String>,
}

impl DeadLetterRecord {
    /// The record of `rejection`.
    pub fn new(rejection: &Rejection) -> Self {
        let Original { bytes, refusals } = &rejection.original;
        let text = std::str::from_utf8(bytes).ok().map(ToOwned::to_owned);
        let encoded = text.is_none().then(|| STANDARD.encode(bytes));
        Self {
            reason: rejection.reason.code().to_owned(),
            detail: rejection.reason.in_words(),
            position: rejection.position.clone(),
            cut_from_bytes: Some(rejection.length()).filter(|all| *all > bytes.len() as u64),
            tries: refusals + 1,
            original: text,
            original_base64: encoded,
        }
    }

    /// The bytes that were refused.
    ///
    /// # Errors
    /// `original_base64` is no base64.
    pub fn original(&self) -> Result<Vec<u8>, base64::DecodeError> {
        match (&self.original, &self.original_base64) {
            (Some(text), _) => Ok(text.clone().into_bytes()),
            (None, Some(encoded)) => STANDARD.decode(encoded),
            (None, None) => Ok(Vec::new()),
        }
    }
}

fn first() -> u32 {
    1
}

// serde asks with a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_first(tries: &u32) -> bool {
    *tries == first()
}
