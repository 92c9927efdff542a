//! The cells that topics are composed of: what an old topic and a candidate share, without what began there.
//!
//! A subject that appears next to an old one starts within its topic, and where the graph shows no gap between them, no
//! candidate tells them apart. So what [`begun`] in a topic is a cell of its own, in whatever clusters, and what began in
//! any other cell is too. If it was nothing new, composing makes them one again.
//!
//! As many documents of the new subject are outliers as found a topic next to it: 72 against 70 of the first 180 posts of
//! `comp.graphics`. So an outlier counts here as one of the topic that most of its neighbours have, and belongs to what
//! began there if its neighbours do.

use std::collections::BTreeMap;

use crate::cluster::knn::Graph;
use crate::model::refit::begun::{self, begun};
use crate::model::refit::objective::Objective;
use crate::model::topic::TopicId;

/// The part of its topic that a row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// What it shares with a cluster, or with none.
    Cluster(Option<u32>),
    /// What began in it.
    Begun,
}

/// The cell of each row, and the old topic of each cell. Rows that are in no cluster, had no topic and are not of what
/// began in one have no cell, nor have those of a cell of fewer than `least` rows. Only with `lately`, what began in a topic
/// or a cell is a cell of its own. O(edges).
pub(super) fn cells(
    clusters: &[Option<u32>],
    before: &[Option<TopicId>],
    graph: &Graph,
    objective: &Objective<'_>,
    least: usize,
    lately: bool,
) -> (Vec<Option<usize>>, Vec<Option<TopicId>>) {
    let (topic_of, topics) = numbered(before.iter().copied(), 1);
    let topic_of = with_nearest(&topic_of, topics.len(), graph);
    let began =
        if lately { begun(&topic_of, topics.len(), graph, objective) } else { vec![false; topic_of.len()] };
    let keys = (0..clusters.len()).map(|row| match (topic_of[row], before[row], clusters[row]) {
        (Some(topic), ..) if began[row] => Some((Some(topics[topic]), Part::Begun)),
        (_, None, None) => None,
        (_, topic, cluster) => Some((topic, Part::Cluster(cluster))),
    });
    let (mut cell_of, keys) = numbered(keys, least);
    let mut topics: Vec<Option<TopicId>> = keys.into_iter().map(|(topic, _)| topic).collect();
    if lately {
        let began = begun(&cell_of, topics.len(), graph, objective);
        part_cells(&mut cell_of, &mut topics, &began, least);
    }
    (cell_of, topics)
}

/// The number of each row's topic; of one that has none, of the topic of most of its neighbours; one number more for the
/// others.
pub(super) fn nearest_topics(before: &[Option<TopicId>], graph: &Graph) -> Vec<u32> {
    let (topic_of, topics) = numbered(before.iter().copied(), 1);
    let nearest = with_nearest(&topic_of, topics.len(), graph).into_iter();
    nearest.map(|topic| topic.unwrap_or(topics.len()) as u32).collect()
}

/// The topic of each row; of one that has none, that of most of its neighbours.
fn with_nearest(topic_of: &[Option<usize>], topics: usize, graph: &Graph) -> Vec<Option<usize>> {
    let mut seen = vec![0_u32; topics];
    let rows = graph.indices.rows().into_iter().zip(topic_of);
    rows.map(|(neighbours, topic)| {
        let near = || neighbours.iter().filter_map(|near| topic_of[*near as usize]);
        near().for_each(|topic| seen[topic] += 1);
        let most = near().max_by_key(|topic| (seen[*topic], std::cmp::Reverse(*topic)));
        near().for_each(|topic| seen[topic] = 0);
        topic.or(most)
    })
    .collect()
}

/// The number of each row's key and the key of each number, without keys that fewer than `least` rows have.
fn numbered<K: Ord + Copy>(
    keys: impl Iterator<Item = Option<K>> + Clone,
    least: usize,
) -> (Vec<Option<usize>>, Vec<K>) {
    let mut sizes: BTreeMap<K, usize> = BTreeMap::new();
    keys.clone().flatten().for_each(|key| *sizes.entry(key).or_insert(0) += 1);
    sizes.retain(|_, size| *size >= least);
    let numbers: BTreeMap<K, usize> =
        sizes.into_keys().enumerate().map(|(number, key)| (key, number)).collect();
    let of = keys.map(|key| key.and_then(|key| numbers.get(&key).copied())).collect();
    (of, numbers.into_keys().collect())
}

/// Makes what began in a cell a cell of its own, if both parts have at least `least` rows.
fn part_cells(
    cell_of: &mut [Option<usize>],
    topics: &mut Vec<Option<TopicId>>,
    began: &[bool],
    least: usize,
) {
    let sizes = begun::sizes(cell_of, began, topics.len());
    let new: Vec<Option<usize>> = (0..sizes.len())
        .map(|cell| {
            sizes[cell].iter().all(|size| *size >= least).then(|| {
                topics.push(topics[cell]);
                topics.len() - 1
            })
        })
        .collect();
    for (cell, _) in cell_of.iter_mut().zip(began).filter(|(_, began)| **began) {
        *cell = cell.map(|cell| new[cell].unwrap_or(cell));
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

    /// The subjects of 1,600 rows: eight in turn, and from row 1,200 on, among documents of the first, a ninth.
    fn subjects() -> Vec<u32> {
        (0..1600).map(|row| if row >= 1200 && row % 16 == 0 { 8 } else { row % 8 }).collect()
    }

    #[test]
    fn a_new_subject_in_an_old_topic_gets_a_cell_of_its_own() {
        let subject = subjects();
        let sampled = [true; 1600];
        let before: Vec<_> = subject.iter().map(|subject| Some(TopicId(subject % 8))).collect();
        let clusters: Vec<_> = subject.iter().map(|subject| Some(subject % 8)).collect();
        let (found, topics) =
            cells(&clusters, &before, &graph(&subject, 1), &Objective::new(1.0, &sampled), 10, true);
        let all: Vec<Option<TopicId>> = std::iter::once(0).chain(0..8).map(|id| Some(TopicId(id))).collect();
        assert_eq!(topics, all);
        let new = found.iter().zip(&subject).filter(|(cell, _)| **cell == Some(1));
        assert!(
            new.clone().count() >= 24 && new.clone().all(|(_, subject)| *subject == 8),
            "{:?}",
            new.count()
        );
    }

    #[test]
    fn outliers_of_the_new_subject_are_in_its_cell() {
        // Every second document of the ninth subject is an outlier, as is every tenth of the others.
        let subject = subjects();
        let sampled = [true; 1600];
        let outlier = |row: usize| if subject[row] == 8 { row.is_multiple_of(32) } else { row % 10 == 1 };
        let before: Vec<_> =
            (0..1600).map(|row| (!outlier(row)).then_some(TopicId(subject[row] % 8))).collect();
        let clusters: Vec<_> = before.iter().map(|topic| topic.map(|topic| topic.0)).collect();
        let (found, topics) =
            cells(&clusters, &before, &graph(&subject, 1), &Objective::new(1.0, &sampled), 10, true);
        assert_eq!((topics.len(), topics[0]), (9, Some(TopicId(0))));
        let outliers = (0..1600).filter(|row| outlier(*row));
        let of_new = outliers.clone().filter(|row| subject[*row] == 8);
        assert!(of_new.clone().count() >= 12 && of_new.clone().all(|row| found[row].is_some()));
        assert!(outliers.filter(|row| subject[*row] != 8).all(|row| found[row].is_none()));
    }

    #[test]
    fn small_cells_are_left_out_and_others_not_parted_into_small_ones() {
        let subject = [0; 40];
        let sampled = [true; 40];
        let objective = Objective::new(1.0, &sampled);
        let clusters: Vec<Option<u32>> = (0..40).map(|row| Some(u32::from(row < 5))).collect();
        let (found, topics) = cells(&clusters, &[None; 40], &graph(&subject, 2), &objective, 20, true);
        assert_eq!(topics, [None]);
        assert!(found[..5].iter().all(Option::is_none) && found[5..].iter().all(|cell| *cell == Some(0)));
    }
}
