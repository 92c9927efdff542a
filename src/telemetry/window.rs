//! The share of outliers among the last documents.

use std::collections::VecDeque;

/// The outcomes of the last documents, by batch.
#[derive(Default)]
pub(super) struct Window {
    batches: VecDeque<(usize, usize)>,
    documents: usize,
    outliers: usize,
}

impl Window {
    /// Batches leave once the others hold so many documents without them.
    const DOCUMENTS: usize = 1000;

    /// Takes a batch in; the share of outliers then, if there are documents at all.
    pub(super) fn share_after(&mut self, assigned: usize, outliers: usize) -> Option<f64> {
        self.batches.push_back((assigned + outliers, outliers));
        self.documents += assigned + outliers;
        self.outliers += outliers;
        while let Some((documents, outliers)) = self.batches.front().copied() {
            if self.documents - documents < Self::DOCUMENTS {
                break;
            }
            self.batches.pop_front();
            self.documents -= documents;
            self.outliers -= outliers;
        }
        (self.documents > 0).then(|| self.outliers as f64 / self.documents as f64)
    }
}
