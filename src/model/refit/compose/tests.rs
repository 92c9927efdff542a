use ndarray::Array2;
use proptest::prelude::*;
use rand::{Rng as _, SeedableRng, rngs::SmallRng};

use super::*;

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

fn topics(rows: &[u32]) -> Vec<Option<TopicId>> {
    rows.iter().map(|row| Some(TopicId(*row))).collect()
}

#[test]
fn a_topic_that_the_layout_tore_apart_stays_whole() {
    let (graph, truth) = graph(&[60, 60, 60], 10, 0.1, 1);
    let torn: Vec<Option<u32>> =
        truth.iter().enumerate().map(|(row, group)| Some(group * 2 + row as u32 % 2)).collect();
    for before in [vec![None; 180], topics(&truth)] {
        let (found, count) = compose(&torn, &before, &graph, 3, 0.05);
        assert_eq!(count, 3);
        let mut seen = BTreeMap::new();
        found
            .iter()
            .zip(&truth)
            .for_each(|(found, truth)| assert_eq!(seen.entry(*truth).or_insert(*found), found));
    }
}

#[test]
fn topics_become_one_only_where_the_graph_speaks_clearly() {
    let (whole, _) = graph(&[120, 60], 10, 0.1, 2);
    let (apart, truth) = graph(&[60, 60, 60], 10, 0.1, 2);
    let together: Vec<Option<u32>> = truth.iter().map(|group| Some(u32::from(*group == 2))).collect();
    assert_eq!(compose(&together, &topics(&truth), &whole, 3, 0.05).1, 2);
    assert_eq!(compose(&together, &topics(&truth), &apart, 3, 0.05).1, 3);
    // With no doubt allowed, nothing changes.
    assert_eq!(compose(&together, &topics(&truth), &whole, 3, 10.0).1, 3);
}

#[test]
fn a_new_cluster_of_outliers_is_a_group_of_its_own() {
    let (graph, truth) = graph(&[60, 60], 10, 0.1, 3);
    let before: Vec<_> = truth.iter().map(|group| (*group == 0).then_some(TopicId(7))).collect();
    let clusters: Vec<_> = truth.iter().map(|group| (*group == 1).then_some(0)).collect();
    assert_eq!(compose(&clusters, &before, &graph, 3, 0.05).1, 2);
    assert_eq!(compose(&[None; 120], &[None; 120], &graph, 3, 0.05), (vec![None; 120], 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// What the groups are believed to hold is what the graph says of them.
    #[test]
    fn shares_add_up_after_any_joins(seed in any::<u64>(), leak in 0.0_f64..0.6) {
        let (graph, truth) = graph(&[20, 30, 10, 25], 6, leak, seed);
        let mut rng = SmallRng::seed_from_u64(seed);
        let clusters: Vec<Option<u32>> = truth.iter().map(|_| rng.random_bool(0.9).then(|| rng.random_range(0..3))).collect();
        let (cell_of, topic_of) = cells(&clusters, &topics(&truth), 2);
        let mut groups = Groups::new(&cell_of, topic_of, &graph);
        groups.join(0.05);
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
