//! The cells that topics are composed of: what an old topic and a new cluster share, early and late apart.
//!
//! A subject that appears next to an old one starts within its topic, and where the layout shows no gap between them, no
//! cluster tells them apart. So each cell is halved in the middle of its time, and its members then go with most of their
//! neighbours: if something new began there, that draws its documents together; if not, the halves stay mixed, and
//! composing makes them one again.

use std::collections::BTreeMap;

use crate::cluster::knn::Graph;
use crate::model::refit::moments::Moments;
use crate::model::topic::TopicId;

/// Times that a cell's members go with most of their neighbours.
const ROUNDS: usize = 3;

/// The cell of each row, and the old topic of each cell. Rows that are in no cluster and had no topic have no cell, nor
/// have those of a cell of fewer than `least` rows. O(edges).
pub(super) fn cells(
    clusters: &[Option<u32>],
    before: &[Option<TopicId>],
    graph: &Graph,
    moments: &Moments<'_>,
    least: usize,
) -> (Vec<Option<usize>>, Vec<Option<TopicId>>) {
    let mut sizes: BTreeMap<(Option<TopicId>, Option<u32>), usize> = BTreeMap::new();
    let keys = || before.iter().copied().zip(clusters.iter().copied());
    keys().filter(|key| *key != (None, None)).for_each(|key| *sizes.entry(key).or_insert(0) += 1);
    sizes.retain(|_, size| *size >= least);
    let numbers: BTreeMap<_, usize> = sizes.keys().enumerate().map(|(number, key)| (*key, number)).collect();
    let mut cell_of: Vec<Option<usize>> = keys().map(|key| numbers.get(&key).copied()).collect();
    let mut topics: Vec<Option<TopicId>> = sizes.keys().map(|key| key.0).collect();
    let late = late(&cell_of, topics.len(), graph, moments);
    halve(&mut cell_of, &mut topics, &late, least);
    (cell_of, topics)
}

/// Which rows belong to the late half of their cell.
fn late(cell_of: &[Option<usize>], cells: usize, graph: &Graph, moments: &Moments<'_>) -> Vec<bool> {
    let counts = moments.tally(cell_of.iter().copied(), cells);
    let turns: Vec<Option<usize>> = counts.iter().map(|counts| moments.turn(counts)).collect();
    let mut late: Vec<bool> = (cell_of.iter().zip(moments.windows()))
        .map(|(cell, window)| cell.and_then(|cell| turns[cell]).is_some_and(|turn| *window >= turn))
        .collect();
    for _ in 0..ROUNDS {
        let with_most = |(row, neighbours): (usize, ndarray::ArrayView1<'_, u32>)| {
            let mut balance = 0;
            for &near in neighbours.iter().filter(|near| cell_of[**near as usize] == cell_of[row]) {
                balance += if late[near as usize] { 1 } else { -1 };
            }
            if balance == 0 { late[row] } else { balance > 0 }
        };
        late = graph.indices.rows().into_iter().enumerate().map(with_most).collect();
    }
    late
}

/// Makes the late rows of each cell a cell of their own, if both halves have at least `least` rows.
fn halve(cell_of: &mut [Option<usize>], topics: &mut Vec<Option<TopicId>>, late: &[bool], least: usize) {
    let mut sizes = vec![[0; 2]; topics.len()];
    for (cell, late) in cell_of.iter().zip(late) {
        if let Some(cell) = cell {
            sizes[*cell][usize::from(*late)] += 1;
        }
    }
    let halves: Vec<Option<usize>> = (0..sizes.len())
        .map(|cell| {
            sizes[cell].iter().all(|size| *size >= least).then(|| {
                topics.push(topics[cell]);
                topics.len() - 1
            })
        })
        .collect();
    for (cell, _) in cell_of.iter_mut().zip(late).filter(|(_, late)| **late) {
        *cell = cell.map(|cell| halves[cell].unwrap_or(cell));
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use rand::{Rng as _, SeedableRng, rngs::SmallRng};

    use super::*;

    /// Rows that are near to others of their `subject`, but for one edge in five.
    fn graph(subject: &[u32], seed: u64) -> Graph {
        let mut rng = SmallRng::seed_from_u64(seed);
        let all: Vec<u32> = (0..subject.len() as u32).collect();
        let indices = Array2::from_shape_fn((subject.len(), 10), |(row, _)| {
            let own: Vec<u32> =
                all.iter().copied().filter(|near| subject[*near as usize] == subject[row]).collect();
            let near = if rng.random_bool(0.2) { &all } else { &own };
            near[rng.random_range(0..near.len())]
        });
        Graph { distances: Array2::zeros(indices.dim()), indices }
    }

    #[test]
    fn a_new_subject_in_an_old_topic_gets_a_cell_of_its_own() {
        // The second subject begins at row 300, among documents of the first.
        let subject: Vec<u32> = (0..400).map(|row| u32::from(row >= 300 && row % 2 == 0)).collect();
        let sampled = [true; 400];
        let topic = Some(TopicId(7));
        let moments = Moments::new(&sampled);
        let (found, topics) = cells(&[Some(0); 400], &[topic; 400], &graph(&subject, 1), &moments, 10);
        assert_eq!(topics, [topic; 2]);
        let right =
            found.iter().zip(&subject).filter(|(cell, subject)| **cell == Some(**subject as usize)).count();
        assert!(right >= 380, "{right} of 400");
    }

    #[test]
    fn small_cells_are_left_out_and_others_not_halved_into_small_ones() {
        let subject = [0; 40];
        let sampled = [true; 40];
        let moments = Moments::new(&sampled);
        let clusters: Vec<Option<u32>> = (0..40).map(|row| Some(u32::from(row < 5))).collect();
        let (found, topics) = cells(&clusters, &[None; 40], &graph(&subject, 2), &moments, 20);
        assert_eq!(topics, [None]);
        assert!(found[..5].iter().all(Option::is_none) && found[5..].iter().all(|cell| *cell == Some(0)));
    }
}
