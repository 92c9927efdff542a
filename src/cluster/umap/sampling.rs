//! Which edges are sampled in an epoch, and which points are moved together.
#![allow(clippy::inline_always, reason = "compiled once per instruction set")]

use rayon::prelude::*;

use super::fuzzy_set::FuzzySet;
use crate::kernel::wide::{self, Task};

/// Points of one task.
const TASK: usize = 1024;

/// The samples of one epoch: an edge of strength `w` is due in `w / strongest` of the epochs, evenly spread.
pub(super) struct Samples<'a> {
    graph: &'a FuzzySet,
    /// Of each edge, in how many of the epochs it is due.
    rates: Vec<f32>,
    /// The due neighbours of each row, at the front of the row's place.
    due: Vec<u32>,
    counts: Vec<u32>,
}

impl<'a> Samples<'a> {
    pub(super) fn new(graph: &'a FuzzySet) -> Self {
        let strongest = graph.strongest().max(f32::MIN_POSITIVE);
        Self {
            graph,
            rates: graph.strengths.iter().map(|strength| strength / strongest).collect(),
            due: vec![0; graph.neighbours.len()],
            counts: vec![0; graph.n()],
        }
    }

    /// The neighbours that point `i` is sampled with.
    pub(super) fn of(&self, i: usize) -> &[u32] {
        let start = self.graph.starts[i];
        &self.due[start..start + self.counts[i] as usize]
    }

    /// Finds what is due in `epoch`. `O(edges)`, in parallel.
    pub(super) fn advance(&mut self, epoch: usize) {
        let mut tasks = Vec::with_capacity(self.counts.len().div_ceil(TASK));
        let mut due = self.due.as_mut_slice();
        for (task, counts) in self.counts.chunks_mut(TASK).enumerate() {
            let starts = &self.graph.starts[task * TASK..=task * TASK + counts.len()];
            let edges = starts[0]..starts[counts.len()];
            let (own, rest) = due.split_at_mut(edges.len());
            due = rest;
            tasks.push(Finding {
                neighbours: &self.graph.neighbours[edges.clone()],
                rates: &self.rates[edges],
                starts,
                epoch,
                counts,
                due: own,
            });
        }
        tasks.into_par_iter().for_each(wide::run);
    }

    /// The points that have samples, in groups of like numbers of them, so that few lanes wait for others; the last is
    /// filled up with its last point.
    pub(super) fn groups<const LANES: usize>(&self) -> Vec<[u32; LANES]> {
        let most = self.counts.iter().copied().max().unwrap_or(0) as usize;
        // Places by falling count: counted, summed, then filled in the points' order.
        let mut places = vec![0; most + 2];
        for &count in &self.counts {
            places[most - count as usize + 1] += 1;
        }
        for place in 0..=most {
            places[place + 1] += places[place];
        }
        let sampled = places[most];
        let mut order = vec![0; self.counts.len()];
        for (i, &count) in (0..).zip(&self.counts) {
            let place = &mut places[most - count as usize];
            order[*place] = i;
            *place += 1;
        }
        let group = |chunk: &[u32]| std::array::from_fn(|lane| chunk[lane.min(chunk.len() - 1)]);
        order[..sampled].chunks(LANES).map(group).collect()
    }
}

/// Some points' part of [`Samples::advance`].
struct Finding<'a> {
    neighbours: &'a [u32],
    rates: &'a [f32],
    starts: &'a [usize],
    epoch: usize,
    counts: &'a mut [u32],
    due: &'a mut [u32],
}

impl Task for Finding<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (now, before) = (self.epoch as f32, (self.epoch - 1) as f32);
        let is_due: Vec<bool> =
            self.rates.iter().map(|rate| whole(rate * now) != whole(rate * before)).collect();
        let first = self.starts[0];
        for (count, edges) in self.counts.iter_mut().zip(self.starts.windows(2)) {
            let (from, to) = (edges[0] - first, edges[1] - first);
            let due = &mut self.due[from..to];
            let mut found = 0;
            for (&j, &is_due) in self.neighbours[from..to].iter().zip(&is_due[from..to]) {
                // Written every time and kept or not: which edges are due is not for a branch predictor to know.
                due[found] = j;
                found += usize::from(is_due);
            }
            *count = found as u32;
        }
    }
}

/// The whole part of `x`, as bits to compare: adding 2²³ + 1 rounds it away from the fraction. What lies 1e-3 under a whole
/// number counts as that number, which a product with a rounded rate should have been.
#[inline(always)]
fn whole(x: f32) -> u32 {
    (x - 0.499 + 8_388_609.0).to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row 0 has edges of three strengths, row 1 one, row 2 none.
    fn samples(graph: &FuzzySet) -> Samples<'_> {
        Samples::new(graph)
    }

    fn graph() -> FuzzySet {
        FuzzySet::from_rows(vec![vec![(0, 0.8), (1, 0.4), (2, 0.08)], vec![(0, 0.8 / 3.0)], vec![]])
    }

    #[test]
    fn an_edge_is_sampled_as_often_as_its_strength_says() {
        let graph = graph();
        let mut samples = samples(&graph);
        let mut counts = [0; 4];
        for epoch in 1..=90 {
            samples.advance(epoch);
            for &j in samples.of(0) {
                counts[j as usize] += 1;
            }
            counts[3] += samples.of(1).len();
            assert!(samples.of(2).is_empty());
        }
        assert_eq!(counts, [90, 45, 9, 30]);
    }

    #[test]
    fn groups_hold_the_sampled_points_by_falling_count() {
        let graph = graph();
        let mut samples = samples(&graph);
        samples.advance(3);
        assert_eq!(samples.groups::<4>(), [[0, 1, 1, 1]]);
        samples.advance(4);
        assert_eq!(samples.of(0), [0, 1]);
        assert_eq!(samples.groups::<1>(), [[0]]);
    }
}
