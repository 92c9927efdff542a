//! When to fit anew.

use serde::{Deserialize, Serialize};

use crate::model::refit::Checked;
use crate::model::state::Totals;

/// What asked for a refit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// Enough documents for a first fit.
    FirstDocuments,
    /// Enough documents since the last refit.
    Documents,
    /// The stream has ended, with documents that no refit has seen.
    EndOfStream,
    /// Somebody asked.
    Request,
}

impl Trigger {
    /// A short name for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FirstDocuments => "first_documents",
            Self::Documents => "documents",
            Self::EndOfStream => "end_of_stream",
            Self::Request => "request",
        }
    }
}

/// Documents between the young model's refits, at least, as a share of `first_documents`.
const YOUNGEST_STEP: f64 = 0.5;

/// The refit that `totals` ask for, if any.
pub fn due(totals: &Totals, params: &Checked) -> Option<Trigger> {
    if totals.refitted_at == 0 {
        return (totals.documents >= params.first_documents).then_some(Trigger::FirstDocuments);
    }
    let young =
        (totals.refitted_at as f64 * params.every_share).max(params.first_documents as f64 * YOUNGEST_STEP);
    let step = young.min(params.every_documents as f64);
    (totals.documents as f64 >= totals.refitted_at as f64 + step).then_some(Trigger::Documents)
}

/// The refit that the end of the stream asks for: if documents came that no refit has seen, and enough in all.
pub fn due_at_end(totals: &Totals, params: &Checked) -> Option<Trigger> {
    let least = params.cluster_size(totals.documents as usize) as u64 * 2;
    (totals.documents > totals.refitted_at && totals.documents >= least).then_some(Trigger::EndOfStream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::refit::Params;

    #[test]
    fn a_young_model_is_refitted_more_often_than_an_old_one() {
        let params = Params::default().check().unwrap();
        let mut totals = Totals::default();
        let mut at = Vec::new();
        for documents in 1..=20_000 {
            totals.documents = documents;
            if due(&totals, &params).is_some() {
                totals.refitted_at = documents;
                at.push(documents);
            }
        }
        assert_eq!(at[..5], [1000, 1500, 2000, 2500, 3125]);
        assert!(at.windows(2).all(|pair| pair[1] - pair[0] <= 2500));
        assert_eq!(due_at_end(&totals, &params), Some(Trigger::EndOfStream));
        totals.refitted_at = totals.documents;
        assert_eq!(due_at_end(&totals, &params), None);
    }
}
