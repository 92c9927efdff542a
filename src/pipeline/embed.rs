//! The embeddings of documents, given or made.

use crate::document::{Document, Reason, Rejection};
use crate::embed::{self, Counts, Embedded, Embedder};

/// For each of some documents its embedding, or why it has none.
pub(super) struct Embeddings {
    /// In the documents' order.
    pub(super) of_document: Vec<Result<Embedding, String>>,
    /// What it took.
    pub(super) counts: Counts,
}

/// One document's embedding: numbers of length 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Embedding {
    /// The document as a whole.
    pub(super) row: Vec<f32>,
    /// Its windows, where each is judged by itself and there are several; else empty.
    pub(super) windows: Vec<Vec<f32>>,
}

impl Embedding {
    /// What is judged: the windows, or the document as a whole where there are none.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[f32]> {
        let whole = self.windows.is_empty().then_some(&self.row);
        whole.into_iter().chain(&self.windows).map(Vec::as_slice)
    }
}

impl Embeddings {
    /// Embeds those of `documents` that came without. A text that the encoder refuses alone has an error; an error that
    /// is not the texts' fault and may pass is returned.
    pub(super) fn of(embedder: &Embedder, documents: &[Document]) -> Result<Self, embed::Error> {
        let without: Vec<&str> = (documents.iter())
            .filter(|document| document.embedding.is_none())
            .map(|document| document.text.as_str())
            .collect();
        let (made, counts) = each(embedder, &without)?;
        let mut made = made.into_iter();
        let of_document = documents.iter().map(|document| match &document.embedding {
            Some(row) => Ok(Embedding { row: row.clone(), windows: Vec::new() }),
            None => made.next().unwrap_or_else(|| Err("the encoder gave no embedding".to_owned())),
        });
        Ok(Self { of_document: of_document.collect(), counts })
    }

    /// The documents with their embeddings; the others go to `rejections`.
    pub(super) fn beside(
        self,
        documents: Vec<Document>,
        rejections: &mut Vec<Rejection>,
    ) -> (Vec<Document>, Vec<Embedding>) {
        let mut good = (Vec::with_capacity(documents.len()), Vec::with_capacity(documents.len()));
        for (document, embedding) in documents.into_iter().zip(self.of_document) {
            match embedding {
                Ok(embedding) => {
                    good.0.push(document);
                    good.1.push(embedding);
                }
                Err(detail) => rejections.push(Rejection {
                    reason: Reason::Embedding { detail },
                    bytes: document.text.into_bytes(),
                    position: document.position,
                }),
            }
        }
        good
    }
}

type Each = Vec<Result<Embedding, String>>;

/// One embedding for each text; when a batch fails, each of its texts is tried alone.
fn each(embedder: &Embedder, texts: &[&str]) -> Result<(Each, Counts), embed::Error> {
    match embedder.embed(texts) {
        Ok(made) => Ok((split(&made).into_iter().map(Ok).collect(), made.counts)),
        Err(error) if error.is_passing() => Err(error),
        Err(error) if texts.len() == 1 => Ok((vec![Err(error.in_full())], Counts::default())),
        Err(_) => {
            let (mut all, mut counts) = (Vec::with_capacity(texts.len()), Counts::default());
            for text in texts {
                let (one, more) = each(embedder, &[text])?;
                all.extend(one);
                counts += more;
            }
            Ok((all, counts))
        }
    }
}

fn split(made: &Embedded) -> Vec<Embedding> {
    let windows = |text: usize| match &made.windows {
        Some(windows) if windows.of_text[text].len() > 1 => {
            windows.of_text[text].clone().map(|row| windows.rows.row(row).to_vec()).collect()
        }
        _ => Vec::new(),
    };
    (0..made.rows.n())
        .map(|text| Embedding { row: made.rows.row(text).to_vec(), windows: windows(text) })
        .collect()
}
