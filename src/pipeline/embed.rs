//! The embeddings of documents, given or made.

use crate::document::{Document, Original, Reason, Rejection};
use crate::embed::{self, Each, Embedder, Embedding};

/// Embeds those of `documents` that came without: their texts.
///
/// # Errors
/// The encoder embeds nothing now; no document is at fault.
pub(super) fn embed(embedder: &Embedder, documents: &[Document]) -> Result<Each, embed::Error> {
    let without: Vec<&str> = (documents.iter())
        .filter(|document| document.embedding.is_none())
        .map(|document| document.text.as_str())
        .collect();
    embedder.embed_each(&without)
}

/// The documents with their embeddings, given or among `made`; the others go to `rejections`.
pub(super) fn beside(
    made: Each,
    documents: Vec<Document>,
    rejections: &mut Vec<Rejection>,
) -> (Vec<Document>, Vec<Embedding>) {
    let mut made = made.of_text.into_iter();
    let mut good = (Vec::with_capacity(documents.len()), Vec::with_capacity(documents.len()));
    for mut document in documents {
        let embedding = match &document.embedding {
            Some(row) => Ok(Embedding { row: row.clone(), windows: Vec::new() }),
            None => match made.next() {
                Some(made) => made.map_err(|error| error.in_full()),
                None => Err("the encoder gave no embedding".to_owned()),
            },
        };
        match embedding {
            Ok(embedding) => {
                document.original = Original::default();
                good.0.push(document);
                good.1.push(embedding);
            }
            Err(detail) => rejections.push(Rejection {
                reason: Reason::Embedding { detail },
                original: document.original,
                position: document.position,
            }),
        }
    }
    good
}
