//! When the members of a fit came, and what that tells about subjects.
//!
//! A subject that appears beside an old one, as a second sport beside the first, is near to it from its first document,
//! so the graph of nearest neighbours alone is slow to tell the two apart. Time tells at once: all documents of the new
//! one are late. A group of members tells about the moments of its documents, in nats,
//!
//! ```text
//! Σ_w  n(g, w) · ln( n(g, w) / (n(g) · p(w)) )
//! ```
//!
//! over windows `w` of the stream: their part of the mutual information of group and window. In a stream whose subjects
//! don't change it is 0 but for chance, which is taken off: a group of any size gains (windows − 1) / 2 nats by chance, all
//! its documents together (half the mean of χ²).

/// Windows of the stream, with as many members each.
pub(super) const WINDOWS: usize = 16;

/// How many members came in each window.
pub(super) type Counts = [f64; WINDOWS];

/// When each member came.
pub(super) struct Moments<'a> {
    /// The window of each member.
    windows: Vec<usize>,
    /// Which members are of the uniform sample: only they are spread over the stream as it was, and count.
    sampled: &'a [bool],
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
        Self { windows: sampled.iter().map(window).collect(), sampled }
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
}

/// What a group with these counts tells about time, in nats; below 0 if less than by chance.
pub(super) fn information(counts: &Counts) -> f64 {
    let all: f64 = counts.iter().sum();
    if all == 0.0 {
        return 0.0;
    }
    let even = all / WINDOWS as f64;
    let told: f64 =
        counts.iter().filter(|count| **count > 0.0).map(|count| count * (count / even).ln()).sum();
    told - (WINDOWS - 1) as f64 / 2.0
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
        let told = 20.0 * (WINDOWS as f64).ln() - chance;
        assert!((information(&counts[1]) - told).abs() < 1e-9);
        let even = moments.tally((0..1600).map(|row| (row % 2 == 0).then_some(0)), 1);
        assert!((information(&even[0]) + chance).abs() < 1e-9);
        assert_eq!(information(&[0.0; WINDOWS]), 0.0);
    }

    #[test]
    fn only_the_uniform_sample_counts() {
        let sampled: Vec<bool> = (0..320).map(|row| row < 160).collect();
        let moments = Moments::new(&sampled);
        let counts = moments.tally((0..320).map(|_| Some(0)), 1);
        assert_eq!(counts[0], [10.0; WINDOWS]);
        assert_eq!(moments.windows()[319], WINDOWS - 1);
    }

    proptest! {
        /// Over all groups together it is the mutual information of group and window, less chance.
        #[test]
        fn groups_tell_their_part_of_the_mutual_information(of in proptest::collection::vec(0_usize..4, 160..400)) {
            let sampled = vec![true; of.len()];
            let moments = Moments::new(&sampled);
            let counts = moments.tally(of.iter().map(|group| Some(*group)), 4);
            let n = of.len() as f64;
            let told: f64 = counts.iter().map(information).sum();
            let groups = counts.iter().filter(|counts| counts.iter().sum::<f64>() > 0.0).count();
            let mut naive = 0.0;
            for counts in &counts {
                let p_group = counts.iter().sum::<f64>() / n;
                for count in counts.iter().filter(|count| **count > 0.0) {
                    naive += count * (count / n / (p_group / WINDOWS as f64)).ln();
                }
            }
            let chance = groups as f64 * (WINDOWS - 1) as f64 / 2.0;
            prop_assert!((told - (naive - chance)).abs() < 1e-6);
        }
    }
}
