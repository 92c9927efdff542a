//! What is done: for each partition the position up to which everything before it is finished.
//!
//! A file is a partition and its position a byte offset; a Kafka partition's position is the next offset to read.
//! The length up to which an output file is valid is kept the same way, under its own partition name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The name of one ordered source or output, such as `documents/3` or `/data/news.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(Arc<str>);

impl Partition {
    /// The partition called `name`.
    pub fn new(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where one document stands in its source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// The partition that the document came from.
    pub partition: Partition,
    /// Byte offset of the document's line, or its Kafka offset.
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.partition, self.offset)
    }
}

/// Partition → the first position that is *not* done yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Checkpoint(BTreeMap<Partition, u64>);

impl Checkpoint {
    /// Nothing is done.
    pub fn new() -> Self {
        Self::default()
    }

    /// The first position of `partition` that is not done; 0 for a partition never seen.
    pub fn position(&self, partition: &Partition) -> u64 {
        self.0.get(partition).copied().unwrap_or(0)
    }

    /// True if `partition` has a recorded position.
    pub fn knows(&self, partition: &Partition) -> bool {
        self.0.contains_key(partition)
    }

    /// Everything of `partition` before `position` is done.
    pub fn advance(&mut self, partition: Partition, position: u64) {
        self.0.insert(partition, position);
    }

    /// Takes over every position of `newer`.
    pub fn merge(&mut self, newer: &Checkpoint) {
        self.0.extend(newer.0.iter().map(|(partition, position)| (partition.clone(), *position)));
    }

    /// True if everything that `other` has done is done.
    pub fn covers(&self, other: &Checkpoint) -> bool {
        other
            .iter()
            .all(|(partition, position)| self.knows(partition) && self.position(partition) >= position)
    }

    /// Every partition with its position, in name order.
    pub fn iter(&self) -> impl Iterator<Item = (&Partition, u64)> {
        self.0.iter().map(|(partition, position)| (partition, *position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_takes_the_newer_position_and_keeps_the_others() {
        let (a, b) = (Partition::new("a"), Partition::new("b"));
        let mut done = Checkpoint::new();
        done.advance(a.clone(), 5);
        let mut newer = Checkpoint::new();
        newer.advance(b.clone(), 7);
        newer.advance(a.clone(), 9);
        done.merge(&newer);
        assert_eq!((done.position(&a), done.position(&b)), (9, 7));
        assert!(
            done.covers(&newer)
                && !newer.covers(&{
                    let mut further = done.clone();
                    further.advance(b.clone(), 8);
                    further
                })
        );
        assert!(done.covers(&Checkpoint::new()) && !Checkpoint::new().covers(&done));
        assert_eq!(done.position(&Partition::new("never")), 0);
    }
}
