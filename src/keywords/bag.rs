//! How often each term occurs in some text.

use std::collections::BTreeMap;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// Terms and how often each occurs: of a document, or of all documents of a class in a batch.
///
/// Terms are strings, not ids: a bag is what travels between processes that share no vocabulary. Bags add up;
/// the order of adding doesn't matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bag(BTreeMap<CompactString, u32>);

impl Bag {
    /// Counts terms that come in any order. O(n log n); terms of up to 24 bytes are not allocated.
    pub(super) fn of(terms: Vec<&str>) -> Self {
        // Most terms differ in their first bytes, and numbers are compared faster than strings.
        let mut terms: Vec<(u64, &str)> = terms.into_iter().map(|term| (first_bytes(term), term)).collect();
        terms.sort_unstable();
        let runs = terms.chunk_by(|a, b| a == b);
        Self(runs.map(|run| (CompactString::new(run[0].1), run.len() as u32)).collect())
    }

    /// Adds `count` occurrences of `term`; O(log n), allocates for a new term only.
    pub fn add(&mut self, term: &str, count: u32) {
        if let Some(present) = self.0.get_mut(term) {
            *present = present.saturating_add(count);
        } else if count > 0 {
            self.0.insert(CompactString::new(term), count);
        }
    }

    /// Adds every occurrence of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (term, count) in other.iter() {
            self.add(term, count);
        }
    }

    /// Terms in ascending order, with their counts.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, u32)> {
        self.0.iter().map(|(term, &count)| (term.as_str(), count))
    }

    /// Number of occurrences of `term`.
    pub fn count(&self, term: &str) -> u32 {
        self.0.get(term).copied().unwrap_or(0)
    }

    /// Number of different terms.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if no term occurs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of occurrences of all terms.
    pub fn total(&self) -> u64 {
        self.0.values().map(|&count| u64::from(count)).sum()
    }
}

/// The first eight bytes of a term as a number that orders as they do; shorter terms end in zeros.
fn first_bytes(term: &str) -> u64 {
    let mut bytes = [0; 8];
    bytes.iter_mut().zip(term.as_bytes()).for_each(|(to, from)| *to = *from);
    u64::from_be_bytes(bytes)
}
