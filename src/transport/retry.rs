//! Which dead letters are tried again.

use std::collections::BTreeMap;

use serde::Serialize;

/// What became of the dead letters that were found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sorted {
    /// They are tried again.
    pub retried: usize,
    /// They have reasons that are not asked for.
    pub left_out: BTreeMap<String, usize>,
    /// They are not the whole original.
    pub cut: usize,
}

/// The reason of what came before; it would be refused again.
const DUPLICATE: &str = "duplicate_id";

/// Whether `reason` is among the `reasons` that are asked for; without any, all are but that of duplicates.
pub fn is_asked(reason: &str, reasons: &[String]) -> bool {
    if reasons.is_empty() { reason != DUPLICATE } else { reasons.iter().any(|asked| asked == reason) }
}

impl Sorted {
    /// Whether a letter with `reason` is tried again, if `reasons` are asked for and it is `whole`.
    pub fn take(&mut self, reason: &str, whole: bool, reasons: &[String]) -> bool {
        let asked = is_asked(reason, reasons);
        if !asked {
            *self.left_out.entry(reason.to_owned()).or_default() += 1;
        } else if whole {
            self.retried += 1;
        } else {
            self.cut += 1;
        }
        asked && whole
    }
}
