//! How many documents came to a topic, window by window, and whether that is more or less than usual.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::model::evidence::Sums;

/// Windows that are remembered.
const WINDOWS: u64 = 64;
/// Of those, the newest ones whose embeddings are summed too; about 3 KB each with 384 numbers.
const SUMMED: u64 = 8;
/// Windows of history below which nothing is called a burst.
const NEEDED: usize = 3;
/// Windows whose documents are compared with those before to tell a topic's trend.
const RECENT: usize = 4;
/// Fewer documents than these in the recent windows are chance: a Poisson process of mean 1 gives 4 or more in 2 %.
const CHANCE: u64 = 4;
/// Standard deviations by which recent and earlier rate differ when a topic rises or falls.
const DEVIATIONS: f64 = 2.0;

/// Documents of one topic per window of the stream; bounded, and exact: what was added can be taken away.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    first: u64,
    windows: VecDeque<Window>,
    /// Documents of windows before the first one remembered.
    earlier: u64,
}

/// What came in one window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Window {
    documents: u64,
    /// Sum of their embeddings; empty where the window is not among the last [`SUMMED`].
    sum: Vec<f64>,
}

/// Where a topic stands, judged by its own history alone.
///
/// A window is a fixed number of documents of the stream, so a topic's count in it is its share of the stream, and no
/// other topic's size moves the bounds (`BERTrend` takes percentiles over all topics, which makes a topic "weak"
/// because others grew, and decays a count that it has decayed already).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Too few documents to tell from chance.
    Noise,
    /// Young or rising, not yet established.
    Weak,
    /// Established, and not falling.
    Strong,
    /// Fewer documents come than its history lets one expect.
    Fading,
}

impl History {
    /// Adds what came in `window`; what lies before the windows remembered is only counted.
    pub fn add(&mut self, window: u64, sums: &Sums) {
        let Some(at) = self.reach(window) else {
            self.earlier += sums.documents;
            return;
        };
        let summed = self.is_summed(window);
        let present = &mut self.windows[at];
        present.documents += sums.documents;
        if summed {
            present.sum.resize(present.sum.len().max(sums.sum.len()), 0.0);
            present.sum.iter_mut().zip(&sums.sum).for_each(|(sum, value)| *sum += value);
        }
    }

    /// Takes away what was added to `window` before.
    pub fn remove(&mut self, window: u64, sums: &Sums) {
        let at = window.checked_sub(self.first).map(|at| at as usize);
        let Some(present) = at.and_then(|at| self.windows.get_mut(at)) else {
            self.earlier = self.earlier.saturating_sub(sums.documents);
            return;
        };
        present.documents = present.documents.saturating_sub(sums.documents);
        present.sum.iter_mut().zip(&sums.sum).for_each(|(sum, value)| *sum -= value);
    }

    /// Adds another topic's documents, window by window.
    pub fn merge(&mut self, other: &History) {
        other.each().for_each(|(window, sums)| self.add(window, &sums));
        self.earlier += other.earlier;
    }

    /// Takes another topic's documents away that were merged in before.
    pub fn unmerge(&mut self, other: &History) {
        other.each().for_each(|(window, sums)| self.remove(window, &sums));
        self.earlier = self.earlier.saturating_sub(other.earlier);
    }

    /// Forgets the sums of embeddings, which belong to another encoder from now on.
    pub(super) fn count_only(&mut self) {
        self.windows.iter_mut().for_each(|window| window.sum.clear());
    }

    fn each(&self) -> impl Iterator<Item = (u64, Sums)> {
        (self.first..).zip(&self.windows).map(|(window, present)| {
            (window, Sums { documents: present.documents, sum: present.sum.clone() })
        })
    }

    /// The place of `window`, made if need be; none if it lies before all that can be remembered.
    fn reach(&mut self, window: u64) -> Option<usize> {
        if self.windows.is_empty() {
            self.first = window;
        }
        while window < self.first && self.end() - window <= WINDOWS {
            self.windows.push_front(Window::default());
            self.first -= 1;
        }
        while self.end() <= window {
            self.windows.push_back(Window::default());
            if let Some(aged) = self.end().checked_sub(SUMMED + 1 + self.first) {
                self.windows[aged as usize].sum = Vec::new();
            }
            if self.windows.len() as u64 > WINDOWS {
                self.earlier += self.windows.pop_front().map_or(0, |window| window.documents);
                self.first += 1;
            }
        }
        window.checked_sub(self.first).map(|at| at as usize)
    }

    fn end(&self) -> u64 {
        self.first + self.windows.len() as u64
    }

    fn is_summed(&self, window: u64) -> bool {
        window + SUMMED >= self.end()
    }

    /// (window, documents) for each remembered window.
    pub fn windows(&self) -> impl Iterator<Item = (u64, u64)> {
        (self.first..).zip(&self.windows).map(|(window, present)| (window, present.documents))
    }

    /// Documents in all, those of forgotten windows included.
    pub fn documents(&self) -> u64 {
        self.earlier + self.windows.iter().map(|window| window.documents).sum::<u64>()
    }

    /// Documents that came in `window`.
    pub fn count(&self, window: u64) -> u64 {
        let at = window.checked_sub(self.first);
        at.and_then(|at| self.windows.get(at as usize)).map_or(0, |window| window.documents)
    }

    /// The documents of the last windows whose embeddings are remembered: where the topic is today.
    pub fn recent(&self) -> Sums {
        let mut recent = Sums::default();
        let from = self.end().saturating_sub(SUMMED);
        for (_, sums) in self.each().filter(|(window, sums)| *window >= from && !sums.sum.is_empty()) {
            recent.merge(&sums);
        }
        recent
    }

    /// Documents of each window before `end`, silent ones too; of a topic long silent the newest only.
    fn before(&self, end: u64) -> Vec<u64> {
        let from = self.first.max(end.saturating_sub(2 * WINDOWS));
        if self.windows.is_empty() { Vec::new() } else { (from..end).map(|at| self.count(at)).collect() }
    }

    /// Whether `window` is a burst: (documents, expected) if so.
    ///
    /// Expected is the mean of the windows before it since the topic's first document; a burst lies more than four
    /// standard deviations above it, the variance taken as no smaller than a Poisson process has (its mean, at
    /// least 1).
    pub fn burst(&self, window: u64) -> Option<(u64, f64)> {
        let before: Vec<f64> = self.before(window).into_iter().map(|count| count as f64).collect();
        if before.len() < NEEDED {
            return None;
        }
        let mean = before.iter().sum::<f64>() / before.len() as f64;
        let variance =
            before.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / (before.len() - 1) as f64;
        let documents = self.count(window);
        (documents as f64 > mean + 4.0 * variance.max(mean).max(1.0).sqrt()).then_some((documents, mean))
    }

    /// Where the topic stands before the window `now`, which is not over yet.
    ///
    /// The rate of the last `RECENT` windows is compared with that of all before by Anscombe's square root, which
    /// makes the variance of a count independent of its size (Anscombe 1948).
    pub fn signal(&self, now: u64) -> Signal {
        let counts = self.before(now);
        let (before, recent) = counts.split_at(counts.len().saturating_sub(RECENT));
        let (came, had) = (recent.iter().sum::<u64>(), before.iter().sum::<u64>());
        let ratio = recent.len() as f64 / before.len().max(1) as f64;
        let root = |count: f64| (count + 0.375).sqrt();
        let deviations = (root(came as f64) - root(had as f64 * ratio)) / (0.5 * (1.0 + ratio).sqrt());
        if had >= CHANCE && deviations < -DEVIATIONS {
            Signal::Fading
        } else if came + self.count(now) < CHANCE {
            Signal::Noise
        } else if before.len() < NEEDED || deviations > DEVIATIONS {
            Signal::Weak
        } else {
            Signal::Strong
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn some(documents: u64) -> Sums {
        Sums { documents, sum: vec![documents as f64, 0.0] }
    }

    fn history(counts: impl IntoIterator<Item = u64>) -> History {
        let mut history = History::default();
        (0..).zip(counts).for_each(|(window, documents)| history.add(window, &some(documents)));
        history
    }

    #[test]
    fn a_sudden_rise_is_a_burst_and_a_steady_stream_is_none() {
        let mut history = history((0..10).map(|window| 20 + window % 3));
        assert_eq!(history.burst(9), None);
        history.add(10, &some(60));
        assert_eq!(history.burst(10).map(|(documents, _)| documents), Some(60));
    }

    #[test]
    fn memory_is_bounded_and_silent_windows_count_as_zero() {
        let mut history = History::default();
        history.add(0, &some(1));
        history.add(200, &some(2));
        assert_eq!(history.windows().count() as u64, WINDOWS);
        assert_eq!(history.windows().last(), Some((200, 2)));
        assert_eq!((history.count(199), history.documents()), (0, 3));
        assert_eq!(history.recent(), some(2));
    }

    #[test]
    fn signals_follow_a_topic_from_its_first_documents_to_its_last() {
        assert_eq!(history([1, 0, 1]).signal(3), Signal::Noise);
        assert_eq!(history([5, 9]).signal(2), Signal::Weak, "young");
        assert_eq!(history([3, 3, 4, 2, 3, 9, 14, 20, 30]).signal(9), Signal::Weak, "rising");
        assert_eq!(history([20; 12]).signal(12), Signal::Strong);
        assert_eq!(history([20, 20, 20, 20, 20, 20, 9, 4, 3, 1]).signal(10), Signal::Fading);
        assert_eq!(history([20; 6]).signal(30), Signal::Fading, "silent windows count");
        assert_eq!(History::default().signal(7), Signal::Noise);
    }

    proptest! {
        /// What was merged can be taken out again, whatever windows were forgotten meanwhile.
        #[test]
        fn counts_add_up(
            ours in prop::collection::vec((0..150_u64, 1..9_u64), 0..30),
            theirs in prop::collection::vec((0..150_u64, 1..9_u64), 0..30),
            later in prop::collection::vec((0..250_u64, 1..9_u64), 0..30),
        ) {
            let of = |windows: &[(u64, u64)]| {
                let mut history = History::default();
                windows.iter().for_each(|(window, documents)| history.add(*window, &some(*documents)));
                history
            };
            let all = |windows: &[(u64, u64)]| windows.iter().map(|(_, documents)| documents).sum::<u64>();
            let mut history = of(&ours);
            history.merge(&of(&theirs));
            prop_assert_eq!(history.documents(), all(&ours) + all(&theirs));
            later.iter().for_each(|(window, documents)| history.add(*window, &some(*documents)));
            history.unmerge(&of(&theirs));
            prop_assert_eq!(history.documents(), all(&ours) + all(&later));
            later.iter().for_each(|(window, documents)| history.remove(*window, &some(*documents)));
            prop_assert_eq!(history.documents(), all(&ours));
            prop_assert!(history.windows().count() as u64 <= WINDOWS);
        }
    }
}
