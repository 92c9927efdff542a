//! Which documents of a topic belong to a subject that began in it.
//!
//! A subject that appears next to an old one starts within its topic, and as long as it is small, most of the nearest
//! neighbours of its documents are of the old one. But more of them came lately than of the neighbours of others. So for
//! each turn in the newer half of the stream the documents since then are a first guess, which is mended [`ROUNDS`]
//! times: a document belongs to the new subject if most of its neighbours in the topic do, or if it came since the turn
//! and the share of them that do is rather that of a new document than of an old one,
//!
//! ```text
//! share > ln( (1 − p) / (1 − q) ) / ln( q (1 − p) / (p (1 − q)) ),   q = p + DRAWN · (1 − p)
//! ```
//!
//! where `p` is the share of the topic that the guess holds. The turn whose parts are worth most more than the whole
//! ([`Objective`]) is taken, none if none gains.

use ndarray::ArrayView1;

use crate::cluster::knn::Graph;
use crate::model::refit::moments::{WINDOWS, together};
use crate::model::refit::objective::Objective;

/// Times that each document is judged by the guess so far.
const ROUNDS: usize = 3;

/// Share of a document's neighbours that its own subject draws when it is as young as it should be to be noticed. Of 100
/// to 200 posts in groups that are near to an old one (graphics, politics, christian) half had more of their group among
/// 15 neighbours than 0.33 – 0.40. 0.2 and 0.45 find the same.
const DRAWN: f64 = 0.3;

/// For each row whether it belongs to a subject that began in its group, one of `groups`; a row of none does not.
/// O(windows · edges).
pub(super) fn begun(
    group_of: &[Option<usize>],
    groups: usize,
    graph: &Graph,
    objective: &Objective<'_>,
) -> Vec<bool> {
    let topics = Topics { group_of, groups, graph, objective };
    let mut best = vec![false; group_of.len()];
    let mut most = vec![0.0; groups];
    for turn in WINDOWS / 2..WINDOWS {
        let guess = topics.since(turn);
        let gains = topics.gains(&guess);
        for (row, group) in group_of.iter().enumerate() {
            if group.is_some_and(|group| gains[group] > most[group]) {
                best[row] = guess[row];
            }
        }
        most.iter_mut().zip(gains).for_each(|(most, gain)| *most = gain.max(*most));
    }
    best
}

/// How many rows of each group are old and `new`.
pub(super) fn sizes(group_of: &[Option<usize>], new: &[bool], groups: usize) -> Vec<[usize; 2]> {
    let mut sizes = vec![[0; 2]; groups];
    for (group, new) in group_of.iter().zip(new) {
        if let Some(group) = group {
            sizes[*group][usize::from(*new)] += 1;
        }
    }
    sizes
}

/// What documents are parted by.
struct Topics<'a> {
    group_of: &'a [Option<usize>],
    groups: usize,
    graph: &'a Graph,
    objective: &'a Objective<'a>,
}

impl Topics<'_> {
    /// The documents of the subjects that began at `turn`.
    fn since(&self, turn: usize) -> Vec<bool> {
        let windows = self.objective.moments().windows();
        let mut guess: Vec<bool> = windows.iter().map(|window| *window >= turn).collect();
        for _ in 0..ROUNDS {
            let needed = self.needed(&guess);
            let judge = |(row, neighbours): (usize, ArrayView1<'_, u32>)| {
                let group = self.group_of[row]?;
                let (mut ours, mut all) = (0_usize, 0_usize);
                for &near in neighbours.iter().filter(|near| self.group_of[**near as usize] == Some(group)) {
                    all += 1;
                    ours += usize::from(guess[near as usize]);
                }
                let share = ours as f64 / all.max(1) as f64;
                Some(share > 0.5 || (windows[row] >= turn && share > needed[group]))
            };
            let rows = self.graph.indices.rows().into_iter().enumerate();
            guess = rows.map(|row| judge(row).unwrap_or(false)).collect();
        }
        guess
    }

    /// The share of its neighbours that a document of each group needs in `guess`, if it came late.
    fn needed(&self, guess: &[bool]) -> Vec<f64> {
        let needed = |[old, new]: [usize; 2]| {
            let p = (new as f64 / (old + new).max(1) as f64).clamp(1e-3, 1.0 - 1e-3);
            let q = p + DRAWN * (1.0 - p);
            let even = ((1.0 - p) / (1.0 - q)).ln() / (q * (1.0 - p) / (p * (1.0 - q))).ln();
            even.min(0.5)
        };
        sizes(self.group_of, guess, self.groups).into_iter().map(needed).collect()
    }

    /// How much more each group's parts are worth than the whole.
    fn gains(&self, new: &[bool]) -> Vec<f64> {
        let parts = self.group_of.iter().zip(new);
        let part_of: Vec<Option<usize>> =
            parts.map(|(group, new)| group.map(|group| 2 * group + usize::from(*new))).collect();
        let counts = self.objective.moments().tally(part_of.iter().copied(), 2 * self.groups);
        let (mut inside, mut ends) = (vec![0.0; 2 * self.groups], vec![0.0; 2 * self.groups]);
        let mut between = vec![0.0; self.groups];
        let share = 1.0 / self.graph.indices.len().max(1) as f64;
        for (row, neighbours) in self.graph.indices.rows().into_iter().enumerate() {
            let from = part_of[row];
            for to in neighbours.iter().map(|row| part_of[*row as usize]) {
                from.into_iter().chain(to).for_each(|part| ends[part] += share / 2.0);
                match (from, to) {
                    (Some(from), Some(to)) if from == to => inside[from] += share,
                    (Some(from), Some(to)) if from / 2 == to / 2 => between[from / 2] += share,
                    _ => {}
                }
            }
        }
        let gain = |group: usize| {
            let [old, new] = [2 * group, 2 * group + 1];
            let apart = [old, new].map(|part| self.objective.worth(inside[part], ends[part], &counts[part]));
            let all = inside[old] + inside[new] + between[group];
            let counts = together(&counts[old], &counts[new]);
            let whole = self.objective.worth(all, ends[old] + ends[new], &counts);
            apart[0] + apart[1] - whole
        };
        (0..self.groups).map(gain).collect()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use rand::{Rng as _, SeedableRng, rngs::SmallRng};

    use super::*;

    /// Rows of eight topics in turn. In the first, every second from row 6,000 on is of a new subject, which draws the
    /// share `drawn` of its neighbours; the others' are of their topic. How many rows are found, and how many rightly.
    fn found(drawn: f64) -> (usize, usize) {
        let mut rng = SmallRng::seed_from_u64(1);
        let is_new = |row: usize| row >= 6000 && row.is_multiple_of(16);
        let group = |row: usize| if is_new(row) { 8 } else { row % 8 };
        let of: Vec<Vec<u32>> = (0..9)
            .map(|wanted| (0..6400_u32).filter(|row| group(*row as usize) == wanted).collect())
            .collect();
        let indices = Array2::from_shape_fn((6400, 15), |(row, _)| {
            let near = &of[if is_new(row) && rng.random_bool(drawn) { 8 } else { row % 8 }];
            near[rng.random_range(0..near.len())]
        });
        let graph = Graph { distances: Array2::zeros(indices.dim()), indices };
        let (topic_of, sampled): (Vec<_>, Vec<_>) = (0..6400).map(|row| (Some(row % 8), true)).unzip();
        let found = begun(&topic_of, 8, &graph, &Objective::new(1.0, &sampled));
        (
            found.iter().filter(|found| **found).count(),
            (0..6400).filter(|row| is_new(*row) && found[*row]).count(),
        )
    }

    #[test]
    fn a_subject_of_a_few_documents_is_found_while_most_neighbours_are_old() {
        let (all, right) = found(0.45);
        assert!(right >= 20 && all <= right + 2, "{right} of 25, {all} in all");
    }

    #[test]
    fn where_nothing_began_nothing_is_found() {
        assert_eq!(found(0.0), (0, 0));
    }

    #[test]
    fn rows_of_no_group_belong_to_no_new_subject() {
        let graph = Graph { indices: Array2::zeros((32, 1)), distances: Array2::zeros((32, 1)) };
        let sampled = [true; 32];
        assert_eq!(begun(&[None; 32], 0, &graph, &Objective::new(1.0, &sampled)), [false; 32]);
    }
}
