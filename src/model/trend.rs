//! How many documents came to a topic, window by window, and whether that is more than usual.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Windows that are remembered.
const WINDOWS: usize = 64;
/// Windows of history below which nothing is called a burst.
const NEEDED: usize = 3;

/// Documents of one topic per window of the stream; bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    first_window: u64,
    counts: VecDeque<u64>,
}

impl History {
    /// Adds `documents` to `window`; windows before the last one seen are counted into the last.
    pub fn add(&mut self, window: u64, documents: u64) {
        if self.counts.is_empty() {
            self.first_window = window;
        }
        while self.first_window + (self.counts.len() as u64) <= window {
            self.counts.push_back(0);
            if self.counts.len() > WINDOWS {
                self.counts.pop_front();
                self.first_window += 1;
            }
        }
        if let Some(last) = self.counts.back_mut() {
            *last += documents;
        }
    }

    /// Adds another topic's documents, window by window.
    pub fn merge(&mut self, other: &History) {
        let mut windows: Vec<(u64, u64)> = self.windows().chain(other.windows()).collect();
        windows.sort_unstable();
        *self = Self::default();
        windows.into_iter().for_each(|(window, documents)| self.add(window, documents));
    }

    /// (window, documents) for each remembered window.
    pub fn windows(&self) -> impl Iterator<Item = (u64, u64)> {
        self.counts.iter().enumerate().map(|(index, count)| (self.first_window + index as u64, *count))
    }

    /// Documents that came in `window`.
    pub fn count(&self, window: u64) -> u64 {
        window
            .checked_sub(self.first_window)
            .and_then(|at| self.counts.get(at as usize))
            .copied()
            .unwrap_or(0)
    }

    /// Whether `window` is a burst: (documents, expected) if so.
    ///
    /// Expected is the mean of the windows before it since the topic's first document; a burst lies more than four
    /// standard deviations above it, the variance taken as no smaller than a Poisson process has (its mean, at
    /// least 1).
    pub fn burst(&self, window: u64) -> Option<(u64, f64)> {
        let before: Vec<f64> =
            self.windows().filter(|(at, _)| *at < window).map(|(_, count)| count as f64).collect();
        if before.len() < NEEDED {
            return None;
        }
        let mean = before.iter().sum::<f64>() / before.len() as f64;
        let variance =
            before.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / (before.len() - 1) as f64;
        let documents = self.count(window);
        (documents as f64 > mean + 4.0 * variance.max(mean).max(1.0).sqrt()).then_some((documents, mean))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sudden_rise_is_a_burst_and_a_steady_stream_is_none() {
        let mut history = History::default();
        for window in 0..10 {
            history.add(window, 20 + window % 3);
        }
        assert_eq!(history.burst(9), None);
        history.add(10, 60);
        assert_eq!(history.burst(10).map(|(documents, _)| documents), Some(60));
    }

    #[test]
    fn memory_is_bounded_and_silent_windows_count_as_zero() {
        let mut history = History::default();
        history.add(0, 1);
        history.add(200, 2);
        assert_eq!(history.windows().count(), WINDOWS);
        assert_eq!(history.windows().last(), Some((200, 2)));
        assert_eq!(history.count(199), 0);
    }
}
