//! Whether the topics that a refit found take the place of those in force.
//!
//! A refit works in the shadow: its topics are drafted whole, compared with the version in force over the same
//! documents, and promoted only if they lose nothing that the policy guards. After `max_rejections` in a row the next
//! result is promoted whatever it is: then it is the stream that has changed.

use serde::{Deserialize, Serialize};

/// What a promoted refit may lose, at most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Least adjusted mutual information of the topics before and after.
    pub min_agreement: f64,
    /// Greatest share of documents with a topic that have another or none after it.
    pub max_churn: f64,
    /// Greatest loss of coverage, as a share of the documents.
    pub max_coverage_loss: f64,
    /// Greatest loss of keyword coherence (mean NPMI).
    pub max_coherence_loss: f64,
    /// Refits in a row that may be rejected.
    pub max_rejections: u32,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            min_agreement: 0.2,
            max_churn: 0.75,
            max_coverage_loss: 0.3,
            max_coherence_loss: 0.2,
            max_rejections: 2,
        }
    }
}

/// A parameter outside its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{name}` is {found} but must be from {least} to {most}")]
pub struct Error {
    /// The parameter.
    pub name: &'static str,
    /// Its value.
    pub found: f64,
    /// The least it may be.
    pub least: f64,
    /// The most it may be.
    pub most: f64,
}

/// A policy that is known to be in range.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked(Params);

impl Params {
    /// This policy, if every bound is in range.
    pub fn check(self) -> Result<Checked, Error> {
        let bounds = [
            ("min_agreement", self.min_agreement, -1.0, 1.0),
            ("max_churn", self.max_churn, 0.0, 1.0),
            ("max_coverage_loss", self.max_coverage_loss, 0.0, 1.0),
            ("max_coherence_loss", self.max_coherence_loss, 0.0, 2.0),
        ];
        for (name, found, least, most) in bounds {
            if !(least..=most).contains(&found) {
                return Err(Error { name, found, least, most });
            }
        }
        Ok(Checked(self))
    }
}

/// The version in force and a refit's result, over the documents of the refit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Adjusted mutual information of the topics before and after, over documents that had one before, "none" after
    /// being one more; 1 if there were not two topics.
    pub agreement: f64,
    /// Share of documents with a topic before that have another or none.
    pub churn: f64,
    /// Share of documents with a topic before.
    pub coverage_before: f64,
    /// Share of documents with a topic after.
    pub coverage_after: f64,
    /// Mean NPMI of the topics' keywords before, if there were any.
    pub coherence_before: Option<f64>,
    /// Mean NPMI of the topics' keywords after.
    pub coherence_after: Option<f64>,
}

/// What a promoted refit would have lost beyond its bound.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Reason {
    /// Other topics.
    #[error(
        "its topics agree with those in force by {found:.2} only, less than `policy.min_agreement` = {least}"
    )]
    Agreement {
        /// The agreement found.
        found: f64,
        /// The bound.
        least: f64,
    },
    /// Too many documents on the move.
    #[error("{found:.2} of the documents would change their topic, more than `policy.max_churn` = {most}")]
    Churn {
        /// The share found.
        found: f64,
        /// The bound.
        most: f64,
    },
    /// Fewer documents with a topic.
    #[error("{found:.2} of the documents would lose theirs, more than `policy.max_coverage_loss` = {most}")]
    Coverage {
        /// The loss found.
        found: f64,
        /// The bound.
        most: f64,
    },
    /// Words that don't belong together.
    #[error(
        "the coherence of keywords would fall by {found:.2}, more than `policy.max_coherence_loss` = {most}"
    )]
    Coherence {
        /// The loss found.
        found: f64,
        /// The bound.
        most: f64,
    },
}

impl Checked {
    /// Whether a result that compares like this is promoted, after `rejected` in a row that were not.
    ///
    /// # Errors
    /// The first loss beyond its bound.
    pub fn judge(&self, comparison: &Comparison, rejected: u32) -> Result<(), Reason> {
        let Params { min_agreement, max_churn, max_coverage_loss, max_coherence_loss, max_rejections } =
            self.0;
        if comparison.coverage_before == 0.0 || rejected >= max_rejections {
            return Ok(());
        }
        if comparison.agreement < min_agreement {
            return Err(Reason::Agreement { found: comparison.agreement, least: min_agreement });
        }
        if comparison.churn > max_churn {
            return Err(Reason::Churn { found: comparison.churn, most: max_churn });
        }
        let lost = comparison.coverage_before - comparison.coverage_after;
        if lost > max_coverage_loss {
            return Err(Reason::Coverage { found: lost, most: max_coverage_loss });
        }
        let coherence = comparison.coherence_before.zip(comparison.coherence_after);
        match coherence.map(|(before, after)| before - after) {
            Some(lost) if lost > max_coherence_loss => {
                Err(Reason::Coherence { found: lost, most: max_coherence_loss })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAME: Comparison = Comparison {
        agreement: 0.9,
        churn: 0.1,
        coverage_before: 0.8,
        coverage_after: 0.75,
        coherence_before: Some(0.2),
        coherence_after: Some(0.19),
    };

    #[test]
    fn a_collapse_is_refused_until_it_is_the_stream_that_has_changed() {
        let policy = Params::default().check().unwrap();
        assert_eq!(policy.judge(&SAME, 0), Ok(()));
        let collapse = Comparison { agreement: 0.05, churn: 0.9, coverage_after: 1.0, ..SAME };
        assert!(matches!(policy.judge(&collapse, 0), Err(Reason::Agreement { .. })));
        assert!(policy.judge(&collapse, 1).is_err());
        assert_eq!(policy.judge(&collapse, 2), Ok(()));
        let first = Comparison { coverage_before: 0.0, ..collapse };
        assert_eq!(policy.judge(&first, 0), Ok(()), "nothing is in force yet");
    }

    #[test]
    fn each_bound_is_guarded() {
        let policy = Params::default().check().unwrap();
        let moved = Comparison { churn: 0.8, ..SAME };
        assert!(matches!(policy.judge(&moved, 0), Err(Reason::Churn { .. })));
        let uncovered = Comparison { coverage_after: 0.3, ..SAME };
        assert!(matches!(policy.judge(&uncovered, 0), Err(Reason::Coverage { .. })));
        let babble = Comparison { coherence_after: Some(-0.3), ..SAME };
        assert!(matches!(policy.judge(&babble, 0), Err(Reason::Coherence { .. })));
        let error = Params { max_churn: 1.5, ..Params::default() }.check().unwrap_err();
        assert!(error.to_string().starts_with("`max_churn` is 1.5 but must be from 0 to 1"), "{error}");
    }
}
