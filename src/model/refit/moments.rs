//! When the members of a fit came, and what that tells about subjects.
//!
//! A subject that appears beside an old one, as a second sport beside the first, is near to it from its first document,
//! so the graph of nearest neighbours alone is slow to tell the two apart. Time tells at once: all documents of the new
//! one are late. A group of members tells about the moment of a document, in expectation and in nats,
//!
//! ```text
//! Σ_w  p(g, w) · ln( p(g, w) / (p(g) · p(w)) )
//! ```
//!
//! over windows `w` of the stream (their part of the mutual information of group and window), the unit of `cohesion`, to
//! which it is added, times [`WEIGHT`]. In a stream whose subjects don't change it is 0 but for chance, which is taken
//! off: a group of any size gains (windows − 1) / 2 nats by chance, all its documents together (half the mean of χ²).

use std::collections::BTreeMap;

use crate::model::topic::TopicId;

/// Windows of the stream, with as many members each.
pub(super) const WINDOWS: usize = 16;

/// What a nat about time weighs against one about neighbours. At 1, groups of newsgroups that begin near to an old one are
/// found later (christian 1,000 documents after its 100th instead of 400), at 2 more topics part and join again.
const WEIGHT: f64 = 1.75;

/// How many members came in each window.
pub(super) type Counts = [f64; WINDOWS];

/// When each member came.
pub(super) struct Moments<'a> {
    /// The window of each member.
    windows: Vec<usize>,
    /// Which members are of the uniform sample: only they are spread over the stream as it was, and count.
    sampled: &'a [bool],
    all: f64,
}

impl<'a> Moments<'a> {
    /// Of members, oldest first, that belong to the uniform sample or not.
    pub(super) fn new(sampled: &'a [bool]) -> Self {
        let all = sampled.iter().filter(|sampled| **sampled).count();
        let mut before = 0;
        let window = |sampled: &bool| {
            before += usize::from(*sampled);
            before.saturating_sub(1) * WINDOWS / all.max(1)
        };
        Self { windows: sampled.iter().map(window).collect(), sampled, all: all as f64 }
    }

    /// The window that each member came in, from 0.
    pub(super) fn windows(&self) -> &[usize] {
        &self.windows
    }

    /// What each of `groups` holds of each window; `of` is each member's group.
    pub(super) fn tally(&self, of: impl Iterator<Item = Option<usize>>, groups: usize) -> Vec<Counts> {
        let mut counts = vec![[0.0; WINDOWS]; groups];
        for ((group, window), sampled) in of.zip(&self.windows).zip(self.sampled) {
            if let (Some(group), true) = (group, *sampled) {
                counts[group][*window] += 1.0;
            }
        }
        counts
    }

    /// What a group with these counts tells about time, weighed, in nats a member of the sample; below 0 if less than by
    /// chance.
    pub(super) fn told(&self, counts: &Counts) -> f64 {
        WEIGHT * Self::nats(counts) / self.all.max(1.0)
    }

    /// The same in nats, not weighed, for all members of the group together.
    fn nats(counts: &Counts) -> f64 {
        let all: f64 = counts.iter().sum();
        if all == 0.0 {
            return 0.0;
        }
        let even = all / WINDOWS as f64;
        let told: f64 =
            counts.iter().filter(|count| **count > 0.0).map(|count| count * (count / even).ln()).sum();
        told - (WINDOWS - 1) as f64 / 2.0
    }

    /// How much more two parts of a group tell about time than the whole, in nats.
    fn gained(parts: [&Counts; 2]) -> f64 {
        let whole = together(parts[0], parts[1]);
        parts.into_iter().map(Self::nats).sum::<f64>() - Self::nats(&whole)
    }

    /// How much more each of `count` clusters and the rest of the topic that most of it comes from tell about time apart
    /// than together, in nats: a lot where a new subject leaves a topic, about 0 where one of old subjects falls in two;
    /// 0 for a cluster that comes from none. `clusters` and `before` are each member's cluster and old topic.
    pub(super) fn news(
        &self,
        clusters: &[Option<u32>],
        before: &[Option<TopicId>],
        count: usize,
    ) -> Vec<f64> {
        let own = self.tally(clusters.iter().map(|cluster| cluster.map(|cluster| cluster as usize)), count);
        let mut topics: BTreeMap<TopicId, Counts> = BTreeMap::new();
        let mut shared: Vec<BTreeMap<TopicId, Counts>> = vec![BTreeMap::new(); count];
        for (row, topic) in before.iter().enumerate().filter(|(row, _)| self.sampled[*row]) {
            let Some(topic) = *topic else { continue };
            let parts = clusters[row].map(|cluster| shared[cluster as usize].entry(topic));
            for counts in [topics.entry(topic)].into_iter().chain(parts) {
                counts.or_insert([0.0; WINDOWS])[self.windows[row]] += 1.0;
            }
        }
        let all = |counts: &Counts| counts.iter().sum::<f64>();
        let news = |(own, shared): (&Counts, &BTreeMap<TopicId, Counts>)| {
            let most = shared.iter().max_by(|a, b| all(a.1).total_cmp(&all(b.1)).then(b.0.cmp(a.0)));
            most.map_or(0.0, |(topic, part)| {
                Self::gained([own, &std::array::from_fn(|window| topics[topic][window] - part[window])])
            })
        };
        own.iter().zip(&shared).map(news).collect()
    }
}

/// The same group's and another's counts together.
pub(super) fn together(a: &Counts, b: &Counts) -> Counts {
    std::array::from_fn(|window| a[window] + b[window])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_always_there_tells_less_than_chance_and_what_came_at_once_a_lot() {
        let sampled = [true; 1600];
        let moments = Moments::new(&sampled);
        let counts = moments.tally((0..1600).map(|row| Some(usize::from(row >= 1580))), 2);
        let chance = (WINDOWS - 1) as f64 / 2.0;
        let told = WEIGHT * (20.0 * (WINDOWS as f64).ln() - chance) / 1600.0;
        assert!((moments.told(&counts[1]) - told).abs() < 1e-12);
        let even = moments.tally((0..1600).map(|row| (row % 2 == 0).then_some(0)), 1);
        assert!((moments.told(&even[0]) + WEIGHT * chance / 1600.0).abs() < 1e-12);
        assert_eq!(moments.told(&[0.0; WINDOWS]), 0.0);
    }

    #[test]
    fn only_the_uniform_sample_counts() {
        let sampled: Vec<bool> = (0..320).map(|row| row < 160).collect();
        let moments = Moments::new(&sampled);
        let counts = moments.tally((0..320).map(|_| Some(0)), 1);
        assert_eq!(counts[0], [10.0; WINDOWS]);
        assert_eq!(moments.windows()[319], WINDOWS - 1);
    }

    #[test]
    fn a_new_subject_is_news_and_half_of_an_old_one_is_not() {
        let sampled = [true; 1600];
        let moments = Moments::new(&sampled);
        let before = [Some(TopicId(7)); 1600];
        let new: Vec<Option<u32>> = (0..1600).map(|row| Some(u32::from(row >= 1580))).collect();
        let news = moments.news(&new, &before, 2);
        assert!(news[1] > 40.0, "{news:?}");
        let old: Vec<Option<u32>> = (0..1600).map(|row| Some(row % 2)).collect();
        assert!(moments.news(&old, &before, 2).iter().all(|news| *news < 0.0));
        assert_eq!(moments.news(&new, &[None; 1600], 2), [0.0; 2]);
    }

    proptest! {
        /// Over all groups together it is the mutual information of group and window, less chance.
        #[test]
        fn groups_tell_their_part_of_the_mutual_information(of in proptest::collection::vec(0_usize..4, 160..400)) {
            let sampled = vec![true; of.len()];
            let moments = Moments::new(&sampled);
            let counts = moments.tally(of.iter().map(|group| Some(*group)), 4);
            let n = of.len() as f64;
            let told: f64 = counts.iter().map(|counts| moments.told(counts)).sum();
            let groups = counts.iter().filter(|counts| counts.iter().sum::<f64>() > 0.0).count();
            let mut naive = 0.0;
            for counts in &counts {
                let p_group = counts.iter().sum::<f64>() / n;
                for count in counts.iter().filter(|count| **count > 0.0) {
                    naive += count / n * (count / n / (p_group / WINDOWS as f64)).ln();
                }
            }
            let chance = groups as f64 * (WINDOWS - 1) as f64 / 2.0 / n;
            prop_assert!((told - WEIGHT * (naive - chance)).abs() < 1e-9);
        }
    }
}
