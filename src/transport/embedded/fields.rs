//! What the fields of a document are called.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::document::MOST_FIELDS;

/// The names of the fields of a JSON object; an empty name is never looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fields {
    /// A string or a number that is unique in the stream.
    pub id: String,
    /// The text; the only field that must be there.
    pub text: String,
    /// A title, put before the text unless the text starts with it.
    pub title: String,
    /// A time in one of many notations, or a number since 1970 in s, ms, µs or ns.
    pub timestamp: String,
    /// An array of numbers.
    pub embedding: String,
    /// A string, or an array of strings of which the first is taken.
    pub labels: String,
    /// Further fields that are kept and counted: strings, numbers, booleans, times, and arrays of them.
    pub keep: Vec<Arc<str>>,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            id: "id".into(),
            text: "text".into(),
            title: "title".into(),
            timestamp: "timestamp".into(),
            embedding: "embedding".into(),
            labels: "label".into(),
            keep: Vec::new(),
        }
    }
}

impl Fields {
    /// Every name.
    pub fn names(&self) -> Vec<&str> {
        let Self { id, text, title, timestamp, embedding, labels, keep } = self;
        let single = [id, text, title, timestamp, embedding, labels].map(String::as_str);
        single.into_iter().chain(keep.iter().map(|name| &**name)).collect()
    }

    /// What is wrong with the fields that are kept, and what they must be.
    pub(super) fn mistake(&self) -> Option<(String, &'static str)> {
        if self.keep.len() > MOST_FIELDS {
            return Some((format!("{} fields", self.keep.len()), "at most 16 fields"));
        }
        let twice = |at: usize, name: &Arc<str>| name.is_empty() || self.keep[..at].contains(name);
        let (_, wrong) = self.keep.iter().enumerate().find(|(at, name)| twice(*at, name))?;
        Some((format!("`{wrong}` among others"), "names of fields, each of them once"))
    }
}
