//! Which members of a group have its topic, and which are outliers.
//!
//! A member has the topic of its group if enough of its nearest neighbours, weighed by their cosine, are of the group:
//! [`ENTER`], or [`LEAVE`] if it has the topic already. So a member at the border does not change with every refit.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::cluster::knn::Graph;
use crate::model::topic::TopicId;

/// Share of its neighbours that takes a member into a topic. AMI of all and of those with a topic, at 0.5 and 0.34, at 0.55
/// and 0.4, at 0.6 and 0.45: newsgroups 0.567/0.631, 0.559/0.644, 0.562/0.657; question titles 0.708/0.778, 0.695/0.783,
/// 0.705/0.804; BBC 0.700/0.729, 0.692/0.736, 0.694/0.750.
const ENTER: f32 = 0.55;
/// Share of its neighbours below which a member leaves its topic.
const LEAVE: f32 = 0.4;

/// Each member's group, or none for an outlier. `before` is each member's topic in force. Where `outlier_share` is given,
/// the thresholds leave that share of the `sampled` members without a topic. O(edges + members · log members).
pub(super) fn members(
    groups: &[Option<u32>],
    before: &[Option<TopicId>],
    near: &Graph,
    sampled: &[bool],
    outlier_share: Option<f32>,
) -> Vec<Option<u32>> {
    let shares = shares(groups, near);
    let continued = continued(groups, before);
    let asked = outlier_share.map(|share| {
        let of_sample = shares.iter().zip(sampled).filter(|(_, sampled)| **sampled).map(|(of, _)| *of);
        below(of_sample.collect(), share).unwrap_or(ENTER)
    });
    let needed = |row: usize, group: u32| {
        let same = before[row].is_some() && before[row] == continued.get(&group).copied();
        asked.unwrap_or(if same { LEAVE } else { ENTER })
    };
    let rows = groups.iter().enumerate();
    rows.map(|(row, group)| group.filter(|group| shares[row] >= needed(row, *group))).collect()
}

/// Share of the weight of each row's neighbours that is in its own group; 0 for a row of none.
fn shares(groups: &[Option<u32>], near: &Graph) -> Vec<f32> {
    let rows = near.indices.rows().into_iter().zip(near.distances.rows()).zip(groups);
    rows.map(|((neighbours, distances), group)| {
        let (mut own, mut all) = (0.0, 0.0);
        for (row, distance) in neighbours.iter().zip(distances) {
            let weight = (1.0 - distance).max(0.0);
            all += weight;
            own += if group.is_some() && groups[*row as usize] == *group { weight } else { 0.0 };
        }
        if all > 0.0 { own / all } else { 0.0 }
    })
    .collect()
}

/// The topic in force that most members of each group have.
fn continued(groups: &[Option<u32>], before: &[Option<TopicId>]) -> BTreeMap<u32, TopicId> {
    let mut shared: BTreeMap<(u32, TopicId), usize> = BTreeMap::new();
    for (group, topic) in groups.iter().zip(before) {
        if let (Some(group), Some(topic)) = (group, topic) {
            *shared.entry((*group, *topic)).or_insert(0) += 1;
        }
    }
    let mut most: Vec<_> = shared.into_iter().collect();
    // Of those of a group, the last stays in the map: the largest, of equal ones the older.
    most.sort_by_key(|((_, topic), members)| (*members, Reverse(*topic)));
    most.into_iter().map(|(pair, _)| pair).collect()
}

/// The value below which `share` of the values lie; none of no values. O(values · log values).
pub(super) fn below(mut values: Vec<f32>, share: f32) -> Option<f32> {
    values.sort_by(f32::total_cmp);
    values.get((values.len() as f32 * share) as usize).copied()
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    /// Row `i` of 11 has `i` of its ten neighbours among the rows 11 to 20, which are of group 0 with it.
    fn graph() -> (Graph, Vec<Option<u32>>) {
        let indices = Array2::from_shape_fn((31, 10), |(row, near)| {
            let own = if row < 11 { near < row } else { row < 21 };
            if own { 11 + near as u32 } else { 21 + near as u32 }
        });
        let groups = (0..31).map(|row| Some(u32::from(row > 20))).collect();
        (Graph { distances: Array2::from_elem((31, 10), 0.5), indices }, groups)
    }

    #[test]
    fn a_member_stays_with_fewer_neighbours_than_it_comes_with() {
        let (graph, groups) = graph();
        let sampled = [true; 31];
        let count = |found: Vec<Option<u32>>| found[..11].iter().flatten().count();
        assert_eq!(count(members(&groups, &[None; 31], &graph, &sampled, None)), 5, "6 to 10 of 10");
        let before: Vec<_> = groups.iter().map(|group| group.map(TopicId)).collect();
        assert_eq!(count(members(&groups, &before, &graph, &sampled, None)), 7, "4 to 10 of 10");
    }

    #[test]
    fn the_outlier_share_that_is_asked_for_is_held() {
        let (graph, groups) = graph();
        let sampled: Vec<bool> = (0..31).map(|row| row < 11).collect();
        for (share, outliers) in [(0.2, 2), (0.5, 5), (0.95, 10)] {
            let found = members(&groups, &[None; 31], &graph, &sampled, Some(share));
            assert_eq!(found[..11].iter().filter(|group| group.is_none()).count(), outliers, "{share}");
        }
    }

    #[test]
    fn a_group_continues_the_topic_of_most_of_its_members() {
        let groups = [Some(0), Some(0), Some(0), Some(1), Some(1), None];
        let before = [Some(3), Some(3), Some(9), Some(7), Some(5), Some(3)].map(|topic| topic.map(TopicId));
        let expected = BTreeMap::from([(0, TopicId(3)), (1, TopicId(5))]);
        assert_eq!(continued(&groups, &before), expected);
    }
}
