//! Groups composed of the cells that old topics and candidates make together.
//!
//! Two groups of cells become one as long as that gains by the [`Objective`]:
//!
//! ```text
//! gain(A, B) = worth(A ∪ B) − worth(A) − worth(B) > doubt
//! ```
//!
//! The doubt is [`JOIN`] where A and B belong to different old topics, −[`SPLIT`] where they belong to one: what is
//! together stays together and what is apart stays apart unless a change gains clearly. The largest gain goes first.

use std::collections::{BTreeMap, BinaryHeap};

use crate::cluster::knn::Graph;
use crate::model::refit::moments::{Counts, together};
use crate::model::refit::objective::{JOIN, Objective, SPLIT};
use crate::model::topic::TopicId;

/// Groups of cells: each row's, numbered from 0 without a gap, and how many there are. O(edges + cells² · log cells).
///
/// `cell_of` is each row's cell, `topics` the old topic of each cell.
pub(super) fn compose(
    cell_of: &[Option<usize>],
    topics: Vec<Option<TopicId>>,
    graph: &Graph,
    objective: &Objective<'_>,
) -> (Vec<Option<u32>>, u32) {
    let mut groups = Groups::new(cell_of, topics, graph, objective);
    groups.join();
    let numbers = groups.numbers();
    let count = numbers.iter().max().map_or(0, |last| last + 1);
    (cell_of.iter().map(|cell| Some(numbers[(*cell)?])).collect(), count)
}

/// What is known of each group, by the number of its first cell.
struct Groups<'a> {
    objective: &'a Objective<'a>,
    /// The group of each cell.
    group: Vec<usize>,
    alive: Vec<bool>,
    /// Times that a group was joined to: an offer made before the last is stale.
    age: Vec<u32>,
    /// The old topic that most of its rows come from, with how many.
    topics: Vec<BTreeMap<TopicId, f64>>,
    /// Edges from group to group, as shares of all.
    edges: Vec<BTreeMap<usize, f64>>,
    /// Edges' ends in it, as a share of all.
    ends: Vec<f64>,
    /// Its rows by window.
    counts: Vec<Counts>,
}

/// Two groups that would gain by becoming one.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Offer {
    gain: f64,
    pair: [usize; 2],
    ages: [u32; 2],
}

impl Eq for Offer {}

impl Ord for Offer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.gain.total_cmp(&other.gain).then(other.pair.cmp(&self.pair))
    }
}

impl PartialOrd for Offer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<'a> Groups<'a> {
    fn new(
        cell_of: &[Option<usize>],
        topics: Vec<Option<TopicId>>,
        graph: &Graph,
        objective: &'a Objective<'a>,
    ) -> Self {
        let n = topics.len();
        let share = 1.0 / graph.indices.len().max(1) as f64;
        let (mut edges, mut ends) = (vec![BTreeMap::new(); n], vec![0.0; n]);
        for (row, neighbours) in graph.indices.rows().into_iter().enumerate() {
            let from = cell_of[row];
            for to in neighbours.iter().map(|row| cell_of[*row as usize]) {
                from.into_iter().chain(to).for_each(|cell| ends[cell] += share / 2.0);
                if let (Some(from), Some(to)) = (from, to) {
                    *edges[from].entry(to).or_insert(0.0) += share / 2.0;
                    *edges[to].entry(from).or_insert(0.0) += share / 2.0;
                }
            }
        }
        let topics = topics.into_iter().zip(&ends);
        let topics = topics.map(|(topic, ends)| topic.map(|topic| (topic, *ends)).into_iter().collect());
        Self {
            counts: objective.moments().tally(cell_of.iter().copied(), n),
            objective,
            group: (0..n).collect(),
            alive: vec![true; n],
            age: vec![0; n],
            topics: topics.collect(),
            edges,
            ends,
        }
    }

    fn inside(&self, group: usize) -> f64 {
        self.edges[group].get(&group).copied().unwrap_or(0.0)
    }

    fn worth(&self, group: usize) -> f64 {
        self.objective.worth(self.inside(group), self.ends[group], &self.counts[group])
    }

    /// The old topic that most of a group comes from.
    fn topic(&self, group: usize) -> Option<TopicId> {
        let most = self.topics[group].iter().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(a.0)));
        most.map(|(topic, _)| *topic)
    }

    fn offer(&self, a: usize, b: usize) -> Option<Offer> {
        let between = self.edges[a].get(&b)?;
        let inside = self.inside(a) + self.inside(b) + 2.0 * between;
        let counts = together(&self.counts[a], &self.counts[b]);
        let whole = self.objective.worth(inside, self.ends[a] + self.ends[b], &counts);
        let parts = self.worth(a) + self.worth(b);
        let doubt = match (self.topic(a), self.topic(b)) {
            (Some(a), Some(b)) if a == b => -SPLIT,
            (Some(_), Some(_)) => JOIN,
            _ => 0.0,
        };
        let gain = whole - parts - doubt;
        let pair = [a.min(b), a.max(b)];
        (gain > 0.0).then_some(Offer { gain, pair, ages: pair.map(|group| self.age[group]) })
    }

    fn offers(&self, group: usize) -> impl Iterator<Item = Offer> {
        let others = self.edges[group].keys().filter(move |other| **other != group);
        others.filter_map(move |other| self.offer(group, *other))
    }

    /// Joins groups, the largest gain first, until none is left.
    fn join(&mut self) {
        let all = (0..self.alive.len()).flat_map(|group| self.offers(group));
        let mut offers: BinaryHeap<Offer> = all.collect();
        while let Some(Offer { pair: [a, b], ages, .. }) = offers.pop() {
            if self.alive[a] && self.alive[b] && ages == [self.age[a], self.age[b]] {
                self.unite(a, b);
                offers.extend(self.offers(a));
            }
        }
    }

    /// `b` becomes part of `a`.
    fn unite(&mut self, a: usize, b: usize) {
        self.alive[b] = false;
        self.age[a] += 1;
        self.group.iter_mut().filter(|group| **group == b).for_each(|group| *group = a);
        self.ends[a] += self.ends[b];
        self.counts[a] = together(&self.counts[a], &self.counts[b]);
        for (topic, ends) in std::mem::take(&mut self.topics[b]) {
            *self.topics[a].entry(topic).or_insert(0.0) += ends;
        }
        let theirs = std::mem::take(&mut self.edges[b]);
        let inside = self.inside(a)
            + theirs.get(&b).copied().unwrap_or(0.0)
            + 2.0 * theirs.get(&a).copied().unwrap_or(0.0);
        self.edges[a].remove(&b);
        for (other, share) in theirs.into_iter().filter(|(other, _)| *other != a && *other != b) {
            *self.edges[a].entry(other).or_insert(0.0) += share;
            self.edges[other].remove(&b);
            *self.edges[other].entry(a).or_insert(0.0) += share;
        }
        self.edges[a].insert(a, inside);
    }

    /// The number of each cell's group.
    fn numbers(&self) -> Vec<u32> {
        let mut next = 0;
        let numbers: Vec<u32> = (self.alive.iter())
            .map(|alive| {
                next += u32::from(*alive);
                next.saturating_sub(1)
            })
            .collect();
        self.group.iter().map(|group| numbers[*group]).collect()
    }
}

#[cfg(test)]
mod tests;
