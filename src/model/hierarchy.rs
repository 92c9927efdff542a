//! Which topics are near to each other, as a tree: the two nearest are joined, then the next two, until one is left.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kernel::dot::dot;
use crate::keywords::Keyword;
use crate::model::topic::{Topic, TopicId};

/// Keywords that name an inner node.
const WORDS: usize = 4;

/// A node of the tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Node {
    /// A topic.
    Topic {
        /// Its id.
        id: TopicId,
        /// Its name.
        name: String,
        /// Its documents.
        size: u64,
    },
    /// Two branches that were joined.
    Branch {
        /// The best keywords of all topics below, each topic's weighed by its size.
        name: String,
        /// Documents of all topics below.
        size: u64,
        /// Mean cosine distance between the topics of one branch and those of the other, in [0, 2].
        distance: f64,
        /// The two branches, that with the older topic first: their places in the list of nodes.
        children: [usize; 2],
    },
}

/// The tree of `topics` as a list of nodes, each after its children, so that the last one is the root. A list, because
/// a tree may be as deep as there are topics: nested JSON of that depth is refused by its readers.
///
/// Average linkage (UPGMA) over the cosine distance of centroids, by the nearest-neighbour chain: the same tree as
/// joining the two nearest again and again, in O(n² d) time and O(n²) memory for n topics of d numbers. Where distances
/// are equal, any of the trees that they allow.
///
/// Source: Sokal & Michener 1958, as BERTopic's `hierarchical_topics` with another linkage: its Ward linkage is
/// defined for Euclidean distances only. The chain: Murtagh 1983, "A survey of recent advances in hierarchical
/// clustering algorithms".
pub fn hierarchy<'a>(topics: impl Iterator<Item = &'a Topic>) -> Vec<Node> {
    let topics: Vec<&Topic> = topics.collect();
    let mut nodes: Vec<Node> = topics.iter().copied().map(Node::leaf).collect();
    let mut branches: Vec<Branch> =
        topics.iter().enumerate().map(|(at, topic)| Branch::leaf(at, topic)).collect();
    for (left, right, distance) in Distances::between(&topics).joins() {
        let other = std::mem::take(&mut branches[right]);
        let children = [branches[left].node, other.node];
        branches[left].take_in(other, nodes.len());
        let size = children.iter().map(|child| nodes[*child].size()).sum();
        nodes.push(Node::Branch { name: branches[left].name(), size, distance, children });
    }
    nodes
}

/// Mean distances between groups, each known by the place of its oldest topic.
struct Distances {
    n: usize,
    /// `n × n`.
    between: Vec<f64>,
    /// Topics of each group; 0 for one that was joined to an older one.
    sizes: Vec<f64>,
}

impl Distances {
    fn between(topics: &[&Topic]) -> Self {
        let n = topics.len();
        let mut between = vec![0.0; n * n];
        for (i, a) in topics.iter().enumerate() {
            for (j, b) in topics.iter().enumerate().skip(i + 1) {
                let distance = 1.0 - f64::from(dot(&a.centroid, &b.centroid));
                (between[i * n + j], between[j * n + i]) = (distance, distance);
            }
        }
        Self { n, between, sizes: vec![1.0; n] }
    }

    /// All joins, each of an older group, which stays, with a younger one, and their distance.
    ///
    /// Each link of the chain is the nearest group of the link before. Two that are each other's nearest are joined;
    /// no other join can bring a group nearer to them than they are, so that it may be done at once.
    fn joins(mut self) -> Vec<(usize, usize, f64)> {
        let mut joins = Vec::with_capacity(self.n.saturating_sub(1));
        let mut chain: Vec<usize> = Vec::new();
        while joins.len() + 1 < self.n {
            let link = chain.last().copied().or_else(|| self.sizes.iter().position(|size| *size > 0.0));
            let Some(link) = link else { break };
            if chain.is_empty() {
                chain.push(link);
            }
            let before = chain.len().checked_sub(2).map(|at| chain[at]);
            let (nearest, distance) = self.nearest(link, before);
            if Some(nearest) == before {
                chain.truncate(chain.len() - 2);
                let (older, younger) = (link.min(nearest), link.max(nearest));
                self.join(older, younger);
                joins.push((older, younger, distance));
            } else {
                chain.push(nearest);
            }
        }
        joins
    }

    /// The group nearest to `link`: `before` if none is nearer, so that the chain ends, else the oldest of the nearest.
    fn nearest(&self, link: usize, before: Option<usize>) -> (usize, f64) {
        let row = &self.between[link * self.n..][..self.n];
        let mut best = before.map_or((link, f64::INFINITY), |before| (before, row[before]));
        for (other, distance) in row.iter().enumerate() {
            if other != link && self.sizes[other] > 0.0 && *distance < best.1 {
                best = (other, *distance);
            }
        }
        best
    }

    fn join(&mut self, older: usize, younger: usize) {
        let (a, b) = (self.sizes[older], self.sizes[younger]);
        for other in 0..self.n {
            let mean = (self.between[older * self.n + other] * a
                + self.between[younger * self.n + other] * b)
                / (a + b);
            self.between[older * self.n + other] = mean;
            self.between[other * self.n + older] = mean;
        }
        (self.sizes[older], self.sizes[younger]) = (a + b, 0.0);
    }
}

/// What has been joined so far.
#[derive(Default)]
struct Branch {
    /// The place of its node.
    node: usize,
    words: BTreeMap<String, f64>,
}

impl Branch {
    fn leaf(node: usize, topic: &Topic) -> Self {
        let weigh = |keyword: &Keyword| (keyword.term.clone(), keyword.score * topic.size as f64);
        Self { node, words: topic.keywords.iter().map(weigh).collect() }
    }

    fn take_in(&mut self, mut other: Self, node: usize) {
        // The smaller list goes into the larger one: of a tree as deep as it can be, each word moves once.
        if other.words.len() > self.words.len() {
            std::mem::swap(&mut self.words, &mut other.words);
        }
        for (word, score) in other.words {
            *self.words.entry(word).or_insert(0.0) += score;
        }
        self.node = node;
    }

    fn name(&self) -> String {
        let mut best: Vec<(&str, f64)> = Vec::with_capacity(WORDS + 1);
        for (word, score) in &self.words {
            let place = best.partition_point(|(_, other)| *other >= *score);
            if place < WORDS {
                best.insert(place, (word, *score));
                best.truncate(WORDS);
            }
        }
        let words: Vec<&str> = best.into_iter().map(|(word, _)| word).collect();
        words.join(", ")
    }
}

impl Node {
    fn leaf(topic: &Topic) -> Self {
        Self::Topic { id: topic.id, name: topic.name.clone(), size: topic.size }
    }

    /// Documents below it.
    pub fn size(&self) -> u64 {
        match self {
            Self::Topic { size, .. } | Self::Branch { size, .. } => *size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::topic::Life;

    fn topic(id: u32, centroid: [f32; 2], word: &str) -> Topic {
        Topic {
            id: TopicId(id),
            name: word.to_owned(),
            custom_label: None,
            label: None,
            aspects: BTreeMap::new(),
            size: u64::from(id) + 1,
            life: Life::Live,
            centroid: centroid.to_vec(),
            floor: 0.0,
            keywords: vec![Keyword { term: word.to_owned(), score: 1.0 }],
            representative: Vec::new(),
            created_version: 1,
            split_from: None,
            seeds: Vec::new(),
        }
    }

    #[test]
    fn the_nearest_topics_are_joined_first() {
        let topics = [topic(0, [1.0, 0.0], "a"), topic(1, [0.0, 1.0], "b"), topic(2, [0.8, 0.6], "c")];
        let nodes = hierarchy(topics.iter());
        let [
            ..,
            Node::Branch { children: near, distance: first, .. },
            Node::Branch { size, distance, children, name },
        ] = &nodes[..]
        else {
            panic!("{nodes:?}");
        };
        assert_eq!((*size, name.as_str()), (6, "c, b, a"));
        // (1 − 0 + 1 − 0.6) / 2
        assert!((distance - 0.7).abs() < 1e-6, "{distance}");
        assert!((first - 0.2).abs() < 1e-6);
        assert_eq!((near, children), (&[0, 2], &[3, 1]));
        assert_eq!(hierarchy([].iter()), []);
    }

    /// The joins as their definition has them: the two nearest groups, again and again.
    fn naive(topics: &[&Topic]) -> Vec<(usize, usize, f64)> {
        let mut groups: Vec<Vec<usize>> = (0..topics.len()).map(|topic| vec![topic]).collect();
        let mut joins = Vec::new();
        while groups.len() > 1 {
            let distance = |a: &[usize], b: &[usize]| {
                let pairs = a.iter().flat_map(|i| b.iter().map(move |j| (*i, *j)));
                let all: f64 =
                    pairs.map(|(i, j)| 1.0 - f64::from(dot(&topics[i].centroid, &topics[j].centroid))).sum();
                all / (a.len() * b.len()) as f64
            };
            let pairs = (0..groups.len()).flat_map(|i| (i + 1..groups.len()).map(move |j| (i, j)));
            let near = |(i, j): &(usize, usize)| distance(&groups[*i], &groups[*j]);
            let (i, j) = pairs.min_by(|a, b| near(a).total_cmp(&near(b))).unwrap();
            let apart = near(&(i, j));
            let right = groups.remove(j);
            joins.push((groups[i][0], right[0], apart));
            groups[i].extend(right);
            groups[i].sort_unstable();
        }
        joins
    }

    proptest::proptest! {
        #[test]
        fn the_chain_joins_what_the_two_nearest_again_and_again_are(
            angles in proptest::collection::vec(0.0_f32..6.0, 0..24)
        ) {
            let topics: Vec<Topic> = (angles.iter().enumerate())
                .map(|(id, angle)| topic(id as u32, [angle.cos(), angle.sin()], "w"))
                .collect();
            let topics: Vec<&Topic> = topics.iter().collect();
            let (mut found, expected) = (Distances::between(&topics).joins(), naive(&topics));
            found.sort_by(|a, b| a.2.total_cmp(&b.2));
            proptest::prop_assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                proptest::prop_assert!((found.2 - expected.2).abs() < 1e-6, "{:?} {:?}", found, expected);
            }
        }
    }
}
