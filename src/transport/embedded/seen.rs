//! Which ids have come before, within a bound.

use std::collections::{HashSet, VecDeque};

use xxhash_rust::xxh3::xxh3_128;

/// The hash under which an id is remembered: XXH3 with 128 bits and seed 0 of its UTF-8 bytes.
///
/// XXH3 is a published, frozen format: the value is the same in every version and on every machine, so it may be
/// stored. Two of 10⁹ ids fall together with a probability of 10⁻²¹; it is no defence against ids made to collide.
pub fn hash(id: &str) -> u128 {
    xxh3_128(id.as_bytes())
}

/// The ids seen last, oldest first; the oldest leaves when there is no more room.
///
/// Memory: about 50 bytes an id. Cost of each call: O(1).
#[derive(Debug, Clone)]
pub struct Seen {
    order: VecDeque<u128>,
    hashes: HashSet<u128>,
    bound: usize,
}

impl Seen {
    /// How many ids are remembered unless configured otherwise; about 50 MB.
    pub const DEFAULT_BOUND: usize = 1_000_000;

    /// Nothing has been seen; `bound` ids will be remembered. With 0 nothing is ever a duplicate.
    pub fn new(bound: usize) -> Self {
        Self { order: VecDeque::new(), hashes: HashSet::new(), bound }
    }

    /// The memory after `hashes` came in this order, oldest first.
    pub fn restore(bound: usize, hashes: impl IntoIterator<Item = u128>) -> Self {
        let mut seen = Self::new(bound);
        for hash in hashes {
            seen.insert_hash(hash);
        }
        seen
    }

    /// Remembers `id`; false if it is remembered already (a duplicate, which does not make it younger).
    pub fn insert(&mut self, id: &str) -> bool {
        self.insert_hash(hash(id))
    }

    /// True if `id` is remembered.
    pub fn contains(&self, id: &str) -> bool {
        self.hashes.contains(&hash(id))
    }

    /// How many ids are remembered.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// True if no id is remembered.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn insert_hash(&mut self, hash: u128) -> bool {
        if self.bound == 0 {
            return true;
        }
        if !self.hashes.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > self.bound
            && let Some(oldest) = self.order.pop_front()
        {
            self.hashes.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_xxh3_and_stays_so() {
        // Stored hashes depend on these; XXH3_128bits("") and ("a") of the reference implementation.
        assert_eq!(hash(""), 0x99aa_06d3_0147_98d8_6001_c324_468d_497f);
        assert_eq!(hash("a"), 0xa96f_af70_5af1_6834_e6c6_32b6_1e96_4e1f);
    }

    #[test]
    fn the_oldest_id_leaves_first() {
        let mut seen = Seen::new(2);
        assert!(seen.insert("a") && seen.insert("b"));
        assert!(!seen.insert("a"), "a duplicate");
        assert!(seen.insert("c"), "a leaves: its second coming did not make it younger");
        assert!(seen.contains("b") && seen.contains("c") && !seen.contains("a"));
        assert_eq!(seen.len(), 2);
    }

    #[test]
    fn a_restored_memory_goes_on_as_the_old_one() {
        let ids: Vec<String> = (0..50).map(|i| format!("d{i}")).collect();
        let mut undisturbed = Seen::new(20);
        let answers: Vec<bool> = ids.iter().map(|id| undisturbed.insert(id)).collect();
        assert!(answers.iter().all(|new| *new));
        let mut restored = Seen::restore(20, ids[..35].iter().map(|id| hash(id)));
        for id in &ids[35..] {
            assert!(restored.insert(id));
        }
        assert_eq!(restored.order, undisturbed.order);
    }

    #[test]
    fn a_bound_of_nothing_finds_no_duplicates() {
        let mut seen = Seen::new(0);
        assert!(seen.insert("a") && seen.insert("a") && seen.is_empty());
    }
}
