use ndarray::Array2;
use proptest::prelude::*;
use rand::{Rng as _, SeedableRng, rngs::SmallRng};

use super::*;
use crate::model::refit::cells::cells;

/// A graph of `sizes.len()` groups in which an edge leaves its group with `leak`, to any row.
fn graph(sizes: &[usize], k: usize, leak: f64, seed: u64) -> (Graph, Vec<u32>) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let group: Vec<u32> = sizes.iter().zip(0..).flat_map(|(size, group)| vec![group; *size]).collect();
    let start = |group: u32| sizes[..group as usize].iter().sum::<usize>();
    let n = group.len();
    let indices = Array2::from_shape_fn((n, k), |(row, _)| {
        let (from, to) = (start(group[row]), start(group[row]) + sizes[group[row] as usize]);
        let near = if rng.random_bool(leak) { rng.random_range(0..n) } else { rng.random_range(from..to) };
        near as u32
    });
    (Graph { distances: Array2::zeros((n, k)), indices }, group)
}

/// What `compose` says of the cells of `clusters` and `before`, with no word about time.
fn composed(clusters: &[Option<u32>], before: &[Option<TopicId>], graph: &Graph) -> (Vec<Option<u32>>, u32) {
    let sampled = vec![false; clusters.len()];
    let objective = Objective::new(1.0, &sampled);
    let (cell_of, topics) = cells(clusters, before, graph, &objective, 3, true);
    compose(&cell_of, topics, graph, &objective)
}

fn topics(rows: &[u32]) -> Vec<Option<TopicId>> {
    rows.iter().map(|row| Some(TopicId(*row))).collect()
}

#[test]
fn a_topic_that_candidates_tear_apart_stays_whole() {
    let (graph, truth) = graph(&[60, 60, 60], 10, 0.1, 1);
    let torn: Vec<Option<u32>> =
        truth.iter().enumerate().map(|(row, group)| Some(group * 2 + row as u32 % 2)).collect();
    for before in [vec![None; 180], topics(&truth)] {
        let (found, count) = composed(&torn, &before, &graph);
        assert_eq!(count, 3);
        let mut seen = BTreeMap::new();
        found
            .iter()
            .zip(&truth)
            .for_each(|(found, truth)| assert_eq!(seen.entry(*truth).or_insert(*found), found));
    }
}

#[test]
fn topics_become_one_only_where_that_gains_clearly() {
    let (whole, _) = graph(&[240, 120], 10, 0.1, 2);
    let (apart, truth) = graph(&[120, 120, 120], 10, 0.1, 2);
    let together: Vec<Option<u32>> = truth.iter().map(|group| Some(u32::from(*group == 2))).collect();
    assert_eq!(composed(&together, &topics(&truth), &whole).1, 2);
    assert_eq!(composed(&together, &topics(&truth), &apart).1, 3);
    // A quarter of the documents gain a quarter: too little.
    let (small, truth) = super::tests::graph(&[60, 30], 10, 0.1, 2);
    let parts: Vec<_> = (0..90).map(|row| Some(TopicId(u32::from(row >= 30) + truth[row]))).collect();
    let together: Vec<Option<u32>> = truth.iter().copied().map(Some).collect();
    assert_eq!(composed(&together, &parts, &small).1, 3);
}

#[test]
fn a_new_cluster_of_outliers_is_a_group_of_its_own() {
    let (graph, truth) = graph(&[60, 60], 10, 0.1, 3);
    let before: Vec<_> = truth.iter().map(|group| (*group == 0).then_some(TopicId(7))).collect();
    let clusters: Vec<_> = truth.iter().map(|group| (*group == 1).then_some(0)).collect();
    assert_eq!(composed(&clusters, &before, &graph).1, 2);
    assert_eq!(composed(&[None; 120], &[None; 120], &graph), (vec![None; 120], 0));
}

#[test]
fn a_subject_that_has_just_appeared_parts_from_the_one_beside_it() {
    // So many edges go from one to the other that the graph alone makes them one.
    let (mut graph, truth) = graph(&[1000, 200, 100], 10, 0.0, 4);
    let mut rng = SmallRng::seed_from_u64(5);
    for near in graph.indices.rows_mut().into_iter().skip(1000).flatten() {
        if rng.random_bool(0.7) {
            *near = rng.random_range(1000..1300);
        }
    }
    let before: Vec<Option<TopicId>> =
        truth.iter().map(|group| Some(TopicId(u32::from(*group > 0)))).collect();
    let cell_of: Vec<Option<usize>> = truth.iter().map(|group| Some(*group as usize)).collect();
    let count = |sampled: &[bool]| {
        let topics = vec![before[0], before[1000], before[1000]];
        compose(&cell_of, topics, &graph, &Objective::new(1.0, sampled)).1
    };
    assert_eq!(count(&[false; 1300]), 2);
    assert_eq!(count(&[true; 1300]), 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// What the groups are believed to hold is what the graph says of them.
    #[test]
    fn shares_add_up_after_any_joins(seed in any::<u64>(), leak in 0.0_f64..0.6) {
        let (graph, truth) = graph(&[20, 30, 10, 25], 6, leak, seed);
        let mut rng = SmallRng::seed_from_u64(seed);
        let clusters: Vec<Option<u32>> = truth.iter().map(|_| rng.random_bool(0.9).then(|| rng.random_range(0..3))).collect();
        let sampled: Vec<bool> = truth.iter().map(|_| rng.random_bool(0.8)).collect();
        let objective = Objective::new(1.0, &sampled);
        let (cell_of, topic_of) = cells(&clusters, &topics(&truth), &graph, &objective, 2, true);
        let mut groups = Groups::new(&cell_of, topic_of, &graph, &objective);
        groups.join();
        let group_of: Vec<Option<usize>> = cell_of.iter().map(|cell| cell.map(|cell| groups.group[cell])).collect();
        for group in (0..groups.alive.len()).filter(|group| groups.alive[*group]) {
            let within = |row: usize| group_of[row] == Some(group);
            let edges = || graph.indices.indexed_iter().map(|((from, _), to)| (within(from), within(*to as usize)));
            let all = graph.indices.len() as f64;
            let inside = edges().filter(|(from, to)| *from && *to).count() as f64 / all;
            let ends = edges().map(|(from, to)| f64::from(u8::from(from) + u8::from(to)) / 2.0).sum::<f64>() / all;
            prop_assert!((groups.inside(group) - inside).abs() < 1e-9);
            prop_assert!((groups.ends[group] - ends).abs() < 1e-9);
        }
    }
}
