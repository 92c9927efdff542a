//! The `k` best of a stream of scores.

use std::cmp::Ordering;

/// A score and whose it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// Higher is better.
    pub score: f32,
    /// Index of the thing scored.
    pub index: u32,
}

impl Scored {
    /// Best first: by falling score, then by rising index.
    #[inline]
    pub fn best_first(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.index.cmp(&other.index))
    }
}

/// Keeps the `k` best of what it is offered; ties go to the smaller index, so the order of the offers does not show.
///
/// Offers gather in a buffer that is cut back to `k` whenever it is full: amortised constant time an offer, and most
/// offers end at the comparison with [`floor`](Self::floor). Not `Clone`: a copy of an empty one would have no room.
#[derive(Debug)]
pub struct TopK {
    k: usize,
    floor: f32,
    kept: Vec<Scored>,
}

impl TopK {
    /// Keeps the `k` best; with `k = 0` nothing.
    pub fn new(k: usize) -> Self {
        let floor = if k == 0 { f32::INFINITY } else { f32::NEG_INFINITY };
        Self { k, floor, kept: Vec::with_capacity(Self::room(k)) }
    }

    /// A score under this can't be among the best any more; it never falls.
    #[inline]
    pub fn floor(&self) -> f32 {
        self.floor
    }

    /// Takes `score` into account; NaN never enters.
    #[inline]
    pub fn offer(&mut self, score: f32, index: u32) {
        if score >= self.floor && self.k > 0 {
            self.kept.push(Scored { score, index });
            if self.kept.len() == Self::room(self.k) {
                self.cut();
            }
        }
    }

    /// The best, best first: at most `k`.
    pub fn into_sorted(mut self) -> Vec<Scored> {
        self.kept.sort_unstable_by(Scored::best_first);
        self.kept.truncate(self.k);
        self.kept
    }

    fn room(k: usize) -> usize {
        k + k.max(8)
    }

    #[cold]
    fn cut(&mut self) {
        let (_, worst, _) = self.kept.select_nth_unstable_by(self.k - 1, Scored::best_first);
        self.floor = worst.score;
        self.kept.truncate(self.k);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The `k` best by sorting everything.
    fn naive(scores: &[f32], k: usize) -> Vec<Scored> {
        let mut all: Vec<_> = scores.iter().zip(0..).map(|(&score, index)| Scored { score, index }).collect();
        all.retain(|scored| !scored.score.is_nan());
        all.sort_by(Scored::best_first);
        all.truncate(k);
        all
    }

    proptest! {
        #[test]
        fn equals_sorting_in_any_order_of_offers(
            // Few distinct values, so that ties are common.
            scores in prop::collection::vec((-5_i32..5).prop_map(|score| score as f32), 0..200),
            k in 0_usize..20,
            turn in 0_usize..200,
        ) {
            let mut best = TopK::new(k);
            let n = scores.len();
            for step in 0..n {
                let index = (step + turn) % n;
                best.offer(scores[index], index as u32);
            }
            prop_assert_eq!(best.into_sorted(), naive(&scores, k));
        }
    }

    #[test]
    fn nan_never_enters_and_infinities_do() {
        let mut best = TopK::new(3);
        for (index, score) in
            [f32::NAN, f32::NEG_INFINITY, 1.0, f32::INFINITY, -f32::NAN].into_iter().enumerate()
        {
            best.offer(score, index as u32);
        }
        let indices: Vec<u32> = best.into_sorted().iter().map(|scored| scored.index).collect();
        assert_eq!(indices, [3, 2, 1]);
    }

    #[test]
    fn what_falls_under_the_floor_can_be_skipped() {
        let mut best = TopK::new(1);
        (0..9).for_each(|index| best.offer(1.0 - index as f32, index));
        assert_eq!(best.floor(), 1.0);
    }
}
