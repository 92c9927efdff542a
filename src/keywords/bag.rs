//! How often each term occurs in some text.

use std::collections::BTreeMap;

use compact_str::CompactString;
use serde::{Deserialize, Serialize, Serializer};

/// Terms and how often each occurs: of a document, or of all documents of a class in a batch.
///
/// Terms are strings, not ids: a bag is what travels between processes that share no vocabulary. Bags add up;
/// the order of adding doesn't matter. It is written as a map, and read from one in any order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "BTreeMap<CompactString, u32>")]
pub struct Bag(
    /// In ascending order of the terms: most bags are made once and read once, from end to end.
    Vec<(CompactString, u32)>,
);

impl Bag {
    /// Counts terms that come in any order. O(n log n); terms of up to 24 bytes are not allocated.
    pub(super) fn of(terms: &[&str]) -> Self {
        // Most terms differ in their first bytes, and numbers are compared faster than strings.
        let mut terms: Vec<(u64, &str)> = terms.iter().map(|term| (first_bytes(term), *term)).collect();
        terms.sort_unstable();
        let mut counts = Vec::with_capacity(terms.len());
        for run in terms.chunk_by(|a, b| a == b) {
            counts.push((CompactString::new(run[0].1), run.len() as u32));
        }
        counts.shrink_to_fit();
        Self(counts)
    }

    /// Adds `count` occurrences of `term`; O(log n), and O(n) for a new one.
    pub fn add(&mut self, term: &str, count: u32) {
        match self.place(term) {
            Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(count),
            Err(at) if count > 0 => self.0.insert(at, (CompactString::new(term), count)),
            Err(_) => {}
        }
    }

    /// Adds every occurrence of `other`; O(m log n) for m terms more, and O(n + m) if any is new.
    pub fn merge(&mut self, other: &Self) {
        let mut new = Vec::new();
        for (term, count) in &other.0 {
            match self.place(term) {
                Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(*count),
                Err(_) => new.push((term.clone(), *count)),
            }
        }
        if !new.is_empty() {
            self.0.append(&mut new);
            // Two runs in order, which the sort finds and merges.
            self.0.sort();
        }
    }

    fn place(&self, term: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_str().cmp(term))
    }

    /// Terms in ascending order, with their counts.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, u32)> {
        self.0.iter().map(|(term, count)| (term.as_str(), *count))
    }

    /// Number of occurrences of `term`.
    pub fn count(&self, term: &str) -> u32 {
        self.place(term).map_or(0, |at| self.0[at].1)
    }

    /// The same terms in several bags, in ascending order. The terms of each have at most `bytes` bytes together, or it has
    /// one longer term. No terms are one empty bag.
    pub fn cut(self, bytes: usize) -> Vec<Self> {
        let (mut bags, mut size) = (vec![Self::default()], 0);
        for (term, count) in self.0 {
            if size > 0 && size + term.len() > bytes {
                bags.push(Self::default());
                size = 0;
            }
            size += term.len();
            bags.last_mut().into_iter().for_each(|bag| bag.0.push((term.clone(), count)));
        }
        bags
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
        self.0.iter().map(|&(_, count)| u64::from(count)).sum()
    }
}

impl From<BTreeMap<CompactString, u32>> for Bag {
    fn from(counts: BTreeMap<CompactString, u32>) -> Self {
        Self(counts.into_iter().collect())
    }
}

impl Serialize for Bag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// The first eight bytes of a term as a number that orders as they do; shorter terms end in zeros.
fn first_bytes(term: &str) -> u64 {
    let bytes = term.as_bytes();
    if let Some(first) = bytes.first_chunk() {
        return u64::from_be_bytes(*first);
    }
    let number = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    number.checked_shl(64 - 8 * bytes.len() as u32).unwrap_or(0)
}
