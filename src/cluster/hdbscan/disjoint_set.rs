//! Which of `n` elements are joined already.

/// Disjoint sets over `0..n` with union by size and path halving: `O(α(n))` an operation, 8 bytes an element.
pub(super) struct DisjointSet {
    parent: Vec<u32>,
    size: Vec<u32>,
}

impl DisjointSet {
    /// `n` sets of one element each.
    pub(super) fn new(n: usize) -> Self {
        Self { parent: (0..n as u32).collect(), size: vec![1; n] }
    }

    /// The element that stands for the set of `element`.
    pub(super) fn find(&mut self, mut element: u32) -> u32 {
        while self.parent[element as usize] != element {
            let grandparent = self.parent[self.parent[element as usize] as usize];
            self.parent[element as usize] = grandparent;
            element = grandparent;
        }
        element
    }

    /// Joins the sets of `a` and `b`; returns the element that stands for both, or `None` if they were joined before.
    pub(super) fn union(&mut self, a: u32, b: u32) -> Option<u32> {
        let (a, b) = (self.find(a), self.find(b));
        if a == b {
            return None;
        }
        let (kept, gone) = if self.size[a as usize] >= self.size[b as usize] { (a, b) } else { (b, a) };
        self.parent[gone as usize] = kept;
        self.size[kept as usize] += self.size[gone as usize];
        Some(kept)
    }

    /// Elements in the set that `representative` stands for.
    pub(super) fn size(&self, representative: u32) -> u32 {
        self.size[representative as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_once_and_counts() {
        let mut sets = DisjointSet::new(5);
        assert!(sets.union(0, 1).is_some());
        assert!(sets.union(3, 1).is_some());
        assert!(sets.union(0, 3).is_none());
        let whole = sets.find(3);
        assert_eq!((sets.find(0), sets.size(whole)), (whole, 3));
        assert_ne!(sets.find(2), sets.find(4));
    }
}
