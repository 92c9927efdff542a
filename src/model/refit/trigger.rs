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

/// At least 1/60 of a refit's members must be new: a refit takes time in proportion to its members. With 40, refits on
/// newsgroups were due 137, 585 and 1,033 documents after the 100th of `soc.religion.christian`; it is found at 393, with
/// 60.
const NEW_SHARE: u64 = 60;

/// The number of documents at which the next refit is due.
pub fn due_at(totals: &Totals, params: &Checked) -> u64 {
    if totals.refitted_at == 0 {
        return params.first_documents;
    }
    let fitted = totals.documents.min(params.sample as u64);
    totals.refitted_at + params.every_documents.max(fitted / NEW_SHARE)
}

/// The refit that `totals` ask for, if any.
pub fn due(totals: &Totals, params: &Checked) -> Option<Trigger> {
    let trigger = if totals.refitted_at == 0 { Trigger::FirstDocuments } else { Trigger::Documents };
    (totals.documents >= due_at(totals, params)).then_some(trigger)
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
    fn the_more_a_refit_takes_in_the_more_it_waits_for() {
        let params = Params { sample: 40_000, ..Params::default() }.check().unwrap();
        for (refitted_at, next) in [(20_000, 20_338), (30_000, 30_508), (1_000_000, 1_000_666)] {
            let due = |documents| due(&Totals { documents, refitted_at, ..Totals::default() }, &params);
            assert_eq!((due(next - 1), due(next)), (None, Some(Trigger::Documents)), "{next}");
        }
    }

    #[test]
    fn refits_follow_each_other_from_the_first_documents_on() {
        let params = Params::default().check().unwrap();
        let mut totals = Totals::default();
        let mut at = Vec::new();
        for documents in 1..=2400 {
            totals.documents = documents;
            if due(&totals, &params).is_some() {
                totals.refitted_at = documents;
                at.push(documents);
            }
        }
        assert_eq!(at, [1000, 1250, 1500, 1750, 2000, 2250]);
        assert_eq!(due_at_end(&totals, &params), Some(Trigger::EndOfStream));
        totals.refitted_at = totals.documents;
        assert_eq!(due_at_end(&totals, &params), None);
    }
}
