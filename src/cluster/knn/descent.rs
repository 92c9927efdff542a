//! Neighbours of neighbours.

use rayon::prelude::*;

use crate::kernel::{
    gram::Gram,
    top_k::{Scored, TopK},
};

/// Rows whose neighbours are introduced before what came of it is taken up: bounds the memory.
const CHUNK: usize = 1 << 16;
/// Rows of one task.
const TASK: usize = 256;
/// Neighbours multiplied at once with all before them: so few pairs are multiplied twice.
const STRIP: usize = 8;

/// A graph of nearest neighbours, by place, that gets better.
pub(super) struct Descent<'a> {
    pub(super) gram: &'a Gram<'a>,
    /// Of each place half its squared length, or 0 for the cosine.
    pub(super) half_squares: &'a [f32],
    pub(super) k: usize,
    /// The best found so far, best first, `k` or more each.
    pub(super) near: Vec<Vec<Scored>>,
}

/// `place` may like `scored`.
#[derive(Clone, Copy)]
struct Introduction {
    place: u32,
    scored: Scored,
}

impl Descent<'_> {
    /// Introduces to each other the `k` nearest of each row and the rows that have it among theirs, at most `k` of these.
    ///
    /// About `4 k²` products a row at most, of rows that stay in the cache. Source: Dong, Charikar & Li 2011, "Efficient
    /// k-nearest neighbor graph construction for generic similarity measures", the local join of algorithm 2.
    pub(super) fn introduce(&mut self) {
        let holders = self.holders();
        for from in (0..self.near.len()).step_by(CHUNK) {
            let to = self.near.len().min(from + CHUNK);
            let mut introductions: Vec<Introduction> = (from..to)
                .into_par_iter()
                .step_by(TASK)
                .flat_map_iter(|first| {
                    let mut found = Vec::new();
                    for place in first..to.min(first + TASK) {
                        self.introduce_around(place, &holders, &mut found);
                    }
                    found
                })
                .collect();
            introductions
                .par_sort_unstable_by_key(|introduction| (introduction.place, introduction.scored.index));
            introductions.dedup_by_key(|introduction| (introduction.place, introduction.scored.index));
            self.take_up(&introductions);
        }
    }

    /// For each row who has it among the `k` nearest: the nearest such first, at most `k`.
    fn holders(&self) -> Vec<Vec<u32>> {
        let mut holders = vec![Vec::new(); self.near.len()];
        for rank in 0..self.k {
            for (place, near) in (0..).zip(&self.near) {
                let held: Option<&mut Vec<u32>> =
                    near.get(rank).and_then(|near| holders.get_mut(near.index as usize));
                if let Some(held) = held.filter(|held| held.len() < self.k) {
                    held.push(place);
                }
            }
        }
        holders
    }

    fn introduce_around(&self, place: usize, holders: &[Vec<u32>], found: &mut Vec<Introduction>) {
        let mut around: Vec<u32> = self.near[place].iter().take(self.k).map(|near| near.index).collect();
        let own = around.len();
        for holder in &holders[place] {
            if !around[..own].contains(holder) {
                around.push(*holder);
            }
        }
        let mut products = Vec::new();
        for from in (0..around.len()).step_by(STRIP) {
            let to = around.len().min(from + STRIP);
            self.gram.products(&around[from..to], &around[..to], &mut products);
            for (i, products) in (from..to).zip(products.chunks_exact(to)) {
                for (j, &product) in products.iter().enumerate().take(i) {
                    self.introduce_to(around[i], around[j], product, found);
                    self.introduce_to(around[j], around[i], product, found);
                }
            }
        }
    }

    /// Notes that `place` may like `other`, unless it would be the last of its list or is in it.
    fn introduce_to(&self, place: u32, other: u32, product: f32, found: &mut Vec<Introduction>) {
        let near = &self.near[place as usize];
        let score = product - self.half_squares[other as usize];
        let last = near.get(self.k - 1).map_or(f32::NEG_INFINITY, |last| last.score);
        if score > last && !near.iter().any(|near| near.index == other) {
            found.push(Introduction { place, scored: Scored { score, index: other } });
        }
    }

    /// Takes up introductions, sorted by place.
    fn take_up(&mut self, introductions: &[Introduction]) {
        let by_place: Vec<&[Introduction]> = introductions.chunk_by(|a, b| a.place == b.place).collect();
        let better: Vec<(usize, Vec<Scored>)> = by_place
            .into_par_iter()
            .map(|introductions| {
                let place = introductions[0].place as usize;
                let near = &self.near[place];
                let mut best = TopK::new(near.len().max(self.k));
                let new = introductions.iter().map(|introduction| introduction.scored);
                for scored in near.iter().copied().chain(new) {
                    best.offer(scored.score, scored.index);
                }
                (place, best.into_sorted())
            })
            .collect();
        for (place, near) in better {
            self.near[place] = near;
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    use super::*;
    use crate::kernel::{gram::Precision, unit::UnitRows};

    const K: usize = 8;

    #[test]
    fn introductions_find_true_neighbours_and_nobody_twice() {
        let mut rng = SmallRng::seed_from_u64(3);
        let rows = Array2::from_shape_simple_fn((1_000, 4), || rng.random_range(-1.0_f32..1.0));
        let rows = UnitRows::normalise(rows).unwrap();
        let order: Vec<usize> = (0..1_000).collect();
        let gram = Gram::scattered(rows.view(), &order, Precision::Half);
        let best_of = |place: u32, others: Vec<u32>| {
            let mut best = TopK::new(K);
            let mut products = Vec::new();
            gram.products(&[place], &others, &mut products);
            others.iter().zip(products).filter(|(other, _)| **other != place).for_each(|(other, product)| {
                best.offer(product, *other);
            });
            best.into_sorted()
        };
        let truth: Vec<Vec<Scored>> = (0..1_000).map(|place| best_of(place, (0..1_000).collect())).collect();
        // Each row knows but one in three, drawn at random: who knows whom must not fall into classes that never meet.
        let mut known = |_| (0..1_000).filter(|_| rng.random_range(0..3) == 0).collect();
        let near = (0..1_000).map(|place| best_of(place, known(place))).collect();
        let mut descent = Descent { gram: &gram, half_squares: &[0.0; 1_000], k: K, near };
        let recall = |near: &[Vec<Scored>]| {
            let hits = |(near, truth): (&Vec<Scored>, &Vec<Scored>)| {
                near.iter().filter(|near| near.score >= truth[K - 1].score).count()
            };
            near.iter().zip(&truth).map(hits).sum::<usize>() as f64 / (1_000 * K) as f64
        };
        let before = recall(&descent.near);
        descent.introduce();
        descent.introduce();
        let after = recall(&descent.near);
        assert!(before < 0.4 && after > 0.8, "{before} {after}");
        for (place, near) in (0..).zip(&descent.near) {
            let mut others: Vec<u32> = near.iter().map(|near| near.index).collect();
            others.sort_unstable();
            others.dedup();
            assert!(others.len() == K && !others.contains(&place));
        }
    }
}
