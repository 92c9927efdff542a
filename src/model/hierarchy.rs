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
        /// The nearer branches, that with the older topic first.
        children: Vec<Node>,
    },
}

/// The tree of `topics`; none for no topics.
///
/// Average linkage (UPGMA) over the cosine distance of centroids. Time O(n³) with a small constant, memory O(n²) for n
/// topics; a thousand topics take about a second. Ties go to the older topics.
///
/// Source: Sokal & Michener 1958, as BERTopic's `hierarchical_topics` with another linkage: its Ward linkage is
/// defined for Euclidean distances only.
pub fn hierarchy<'a>(topics: impl Iterator<Item = &'a Topic>) -> Option<Node> {
    let topics: Vec<&Topic> = topics.collect();
    let mut branches: Vec<Branch> = topics.iter().map(|topic| Branch::leaf(topic)).collect();
    let mut distances: Vec<Vec<f64>> = (topics.iter())
        .map(|a| topics.iter().map(|b| 1.0 - f64::from(dot(&a.centroid, &b.centroid))).collect())
        .collect();
    while branches.len() > 1 {
        let (mut a, mut b) = (0, 1);
        for (i, row) in distances.iter().enumerate() {
            for (j, distance) in row.iter().enumerate().skip(i + 1) {
                if *distance < distances[a][b] {
                    (a, b) = (i, j);
                }
            }
        }
        let (weight_a, weight_b) = (branches[a].leaves, branches[b].leaves);
        let between = distances[a][b];
        let joined: Vec<f64> = (distances[a].iter().zip(&distances[b]))
            .map(|(a, b)| (a * weight_a + b * weight_b) / (weight_a + weight_b))
            .collect();
        distances.iter_mut().zip(&joined).for_each(|(row, distance)| row[a] = *distance);
        distances[a] = joined;
        distances.remove(b);
        for row in &mut distances {
            row.remove(b);
        }
        let right = branches.remove(b);
        let left = std::mem::replace(&mut branches[a], Branch::empty());
        branches[a] = left.join(right, between);
    }
    branches.pop().map(|branch| branch.node)
}

struct Branch {
    node: Node,
    leaves: f64,
    words: BTreeMap<String, f64>,
}

impl Branch {
    fn empty() -> Self {
        let node = Node::Branch { name: String::new(), size: 0, distance: 0.0, children: Vec::new() };
        Self { node, leaves: 0.0, words: BTreeMap::new() }
    }

    fn leaf(topic: &Topic) -> Self {
        let weigh = |keyword: &Keyword| (keyword.term.clone(), keyword.score * topic.size as f64);
        Self {
            node: Node::Topic { id: topic.id, name: topic.name.clone(), size: topic.size },
            leaves: 1.0,
            words: topic.keywords.iter().map(weigh).collect(),
        }
    }

    fn join(mut self, other: Self, distance: f64) -> Self {
        for (word, score) in other.words {
            *self.words.entry(word).or_insert(0.0) += score;
        }
        let mut best: Vec<(&String, &f64)> = self.words.iter().collect();
        best.sort_by(|a, b| b.1.total_cmp(a.1).then(a.0.cmp(b.0)));
        let name: Vec<&str> = best.into_iter().take(WORDS).map(|(word, _)| word.as_str()).collect();
        let node = Node::Branch {
            name: name.join(", "),
            size: self.node.size() + other.node.size(),
            distance,
            children: vec![self.node, other.node],
        };
        Self { node, leaves: self.leaves + other.leaves, words: self.words }
    }
}

impl Node {
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
        let Some(Node::Branch { size, distance, children, name }) = hierarchy(topics.iter()) else {
            panic!()
        };
        assert_eq!((size, name.as_str()), (6, "c, b, a"));
        // (1 − 0 + 1 − 0.6) / 2
        assert!((distance - 0.7).abs() < 1e-6, "{distance}");
        let [Node::Branch { children: near, distance, .. }, Node::Topic { id, .. }] = &children[..] else {
            panic!("{children:?}");
        };
        assert!((distance - 0.2).abs() < 1e-6);
        assert_eq!(*id, TopicId(1));
        assert!(matches!(near[..], [Node::Topic { id: TopicId(0), .. }, Node::Topic { id: TopicId(2), .. }]));
        assert_eq!(hierarchy([].iter()), None);
    }
}
