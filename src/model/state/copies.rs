//! Documents that are kept with the same embedding have one topic, or none of them has one.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::document::Sequence;
use crate::model::state::change::Standing;
use crate::model::state::draft::Draft;
use crate::model::topic::TopicId;

impl Draft<'_> {
    /// Gives all copies the topic that most of them have, a topic before none and the older topic before the newer. Where
    /// some of them vote, these decide.
    ///
    /// The vote can't: each copy sees the other ones and not itself, and some came under another version.
    /// O(kept · log kept) comparisons, mostly of one number.
    pub(super) fn unite_copies(&mut self) {
        let mut kept: Vec<(&[f32], Sequence, &Standing)> = (self.state.held.iter())
            .filter_map(|(sequence, kept, _)| {
                Some((&*kept.embedding, sequence, self.next.standings.get(&sequence)?))
            })
            .collect();
        kept.sort_by(|a, b| a.0.partial_cmp(b.0).unwrap_or(Ordering::Equal).then(a.1.cmp(&b.1)));
        let mut moves = Vec::new();
        for copies in kept.chunk_by(|a, b| a.0 == b.0) {
            if copies.iter().any(|copy| copy.2.topic != copies[0].2.topic) {
                let voters = copies.iter().any(|copy| copy.2.entry);
                let deciding = copies.iter().filter(|copy| copy.2.entry == voters);
                let topic = most(deciding.map(|copy| copy.2.topic));
                moves.extend(copies.iter().map(|(_, sequence, _)| (*sequence, topic)));
            }
        }
        moves.sort_unstable();
        moves.into_iter().for_each(|(sequence, topic)| self.move_to(sequence, topic));
    }
}

/// What occurs most often; of several a topic, and of these the oldest.
fn most(topics: impl Iterator<Item = Option<TopicId>>) -> Option<TopicId> {
    let mut counts: BTreeMap<Option<TopicId>, usize> = BTreeMap::new();
    topics.for_each(|topic| *counts.entry(topic).or_insert(0) += 1);
    let rank = |topic: Option<TopicId>, count: usize| (count, topic.is_some(), std::cmp::Reverse(topic));
    counts.into_iter().max_by_key(|(topic, count)| rank(*topic, *count)).and_then(|(topic, _)| topic)
}
