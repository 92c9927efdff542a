//! How often each term occurs in one class.

/// Counts of one class by term id, none of them zero.
///
/// Two arrays in the order of the ids, 12 bytes a term: read from end to end when the class is weighed, and copied as
/// a whole for a draft of the next version. New terms move what stands behind them, which are few, as ids are given out
/// as terms come and the frequent ones come first.
#[derive(Debug, Clone, Default)]
pub struct ClassCounts {
    /// Ascending.
    ids: Vec<u32>,
    counts: Vec<f64>,
    /// The revision of its last change.
    pub(super) revision: u64,
}

impl ClassCounts {
    /// Term ids in ascending order, with their counts.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, f64)> + Clone {
        self.ids.iter().copied().zip(self.counts.iter().copied())
    }

    pub(super) fn get(&self, id: u32) -> Option<f64> {
        self.ids.binary_search(&id).ok().map(|at| self.counts[at])
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut f64> {
        self.ids.binary_search(&id).ok().map(|at| &mut self.counts[at])
    }

    /// Number of different terms.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// True if no term was counted.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Adds amounts above zero by term id (ascending, each once), and tells which ids are new to the class.
    /// O(n log m) for n amounts and m terms, and O(m) more if any is new.
    pub(super) fn add(&mut self, amounts: impl Iterator<Item = (u32, f64)>) -> Vec<u32> {
        let mut new = Vec::new();
        // Between two ids lie as many ids at most as between their numbers: little where most terms are.
        let (mut at, mut passed) = (0, 0);
        for (id, amount) in amounts {
            let end = self.ids.len().min(at + (id - passed) as usize + 1);
            passed = id;
            let found = self.ids[at..end].binary_search(&id);
            at += found.unwrap_or_else(|place| place);
            if found.is_ok() {
                self.counts[at] += amount;
            } else {
                new.push((at, id, amount));
            }
        }
        self.insert(&new);
        new.into_iter().map(|(_, id, _)| id).collect()
    }

    /// Inserts (place before the first insertion, id, count) in ascending order, moving every entry once.
    fn insert(&mut self, new: &[(usize, u32, f64)]) {
        let mut end = self.ids.len();
        self.ids.resize(end + new.len(), 0);
        self.counts.resize(end + new.len(), 0.0);
        for (before, &(at, id, count)) in new.iter().enumerate().rev() {
            self.ids.copy_within(at..end, at + before + 1);
            self.counts.copy_within(at..end, at + before + 1);
            (self.ids[at + before], self.counts[at + before]) = (id, count);
            end = at;
        }
    }

    /// Keeps the terms whose count, which may change, `stays` accepts.
    pub(super) fn retain(&mut self, mut stays: impl FnMut(u32, &mut f64) -> bool) {
        let mut kept = 0;
        for at in 0..self.ids.len() {
            let (id, mut count) = (self.ids[at], self.counts[at]);
            if stays(id, &mut count) {
                (self.ids[kept], self.counts[kept]) = (id, count);
                kept += 1;
            }
        }
        self.ids.truncate(kept);
        self.counts.truncate(kept);
    }
}
