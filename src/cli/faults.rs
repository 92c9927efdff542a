//! What `topicd fit` says of the lines that were no whole documents.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::{Batch, LeftOut};

/// What is wrong with a corpus.
pub(super) struct Faults {
    documents: usize,
    refused: usize,
    /// Why the first was.
    why: String,
    left_out: BTreeMap<LeftOut, Documents>,
}

/// The documents with the same fault.
struct Documents {
    number: usize,
    /// The id of the first.
    first: Arc<str>,
}

impl Faults {
    pub(super) fn of(corpus: &Batch) -> Self {
        let mut left_out = BTreeMap::new();
        for document in &corpus.documents {
            for fault in &document.left_out {
                let first = document.id.clone();
                left_out.entry(fault.clone()).or_insert(Documents { number: 0, first }).number += 1;
            }
        }
        let why = corpus.rejections.first().map(|first| first.reason.in_words()).unwrap_or_default();
        Self { documents: corpus.documents.len(), refused: corpus.rejections.len(), why, left_out }
    }

    /// What to say if most lines were refused.
    pub(super) fn most_refused(&self) -> Option<String> {
        let Self { documents, refused, why, .. } = self;
        let lines = documents + refused;
        (refused > documents).then(|| {
            format!(
                "{refused} of {lines} lines are refused, the first because: {why}; see dead-letters.jsonl"
            )
        })
    }

    /// A line for each fault of a field.
    pub(super) fn fields(&self) -> impl Iterator<Item = String> {
        self.left_out.iter().map(|(fault, Documents { number, first })| {
            format!("left out {number} ×, first in document `{first}`: {fault}")
        })
    }

    /// The same for programs.
    pub(super) fn fields_json(&self) -> Vec<serde_json::Value> {
        let json = |(fault, Documents { number, first }): (&LeftOut, &Documents)| {
            let detail = fault.to_string();
            serde_json::json!({ "field": fault.field, "documents": number, "first": first, "detail": detail })
        };
        self.left_out.iter().map(json).collect()
    }
}
