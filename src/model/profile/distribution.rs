//! Numbers that add up and can be taken away: how many, their sum, and quantiles.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A bin ends at this multiple of its beginning.
const WIDTH: f64 = 1.04;
/// Numbers nearer to 0 lie in one bin.
const SMALLEST: f64 = 1e-9;
/// Numbers farther from 0 lie in the last bin.
const LARGEST: f64 = 1e12;

/// Numbers in bins of equal relative width, so each quantile is known to 4 % of its value; where all numbers of a bin are
/// equal, as whole numbers up to 25 are, it is exact. Bins are fixed, so what was added can be taken away.
///
/// At most 2,467 bins, and as many as different numbers; some 40 bytes each in memory, 10 on disk.
///
/// Source: C. Masson, J. E. Rim, H. K. Lee, *`DDSketch`: a fast and fully-mergeable quantile sketch with
/// relative-error guarantees*, VLDB 2019, section 2. In place of a bin's middle stands the mean of its numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution(BTreeMap<i16, Bin>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Bin {
    count: u64,
    sum: f64,
}

impl Distribution {
    /// Adds a finite number. O(log bins).
    pub fn add(&mut self, number: f64) {
        let bin = self.0.entry(bin_of(number)).or_default();
        bin.count += 1;
        bin.sum += number;
    }

    /// Adds all of `other`. O(bins).
    pub fn merge(&mut self, other: &Self) {
        for (at, more) in &other.0 {
            let bin = self.0.entry(*at).or_default();
            bin.count += more.count;
            bin.sum += more.sum;
        }
    }

    /// Takes away what was added before. O(bins).
    pub fn unmerge(&mut self, other: &Self) {
        for (at, less) in &other.0 {
            let Some(bin) = self.0.get_mut(at) else { continue };
            bin.count = bin.count.saturating_sub(less.count);
            bin.sum -= less.sum;
            if bin.count == 0 {
                self.0.remove(at);
            }
        }
    }

    /// How many numbers.
    pub fn count(&self) -> u64 {
        self.0.values().map(|bin| bin.count).sum()
    }

    /// Their mean; none of no numbers.
    pub fn mean(&self) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| self.0.values().map(|bin| bin.sum).sum::<f64>() / count as f64)
    }

    /// The number below which a share `q` of them lies, `q` in [0, 1]; none of no numbers.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let rank = ((q * self.count() as f64).ceil() as u64).max(1);
        let mut before = 0;
        let reached = self.0.values().find(|bin| {
            before += bin.count;
            before >= rank
        });
        reached.map(|bin| bin.sum / bin.count as f64)
    }
}

/// In ascending order of the numbers, 0 for those next to 0.
fn bin_of(number: f64) -> i16 {
    let size = number.abs();
    if size < SMALLEST {
        return 0;
    }
    let bin = ((size.min(LARGEST) / SMALLEST).ln() / WIDTH.ln()).floor() as i16 + 1;
    if number > 0.0 { bin } else { -bin }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(numbers: &[f64]) -> Distribution {
        let mut distribution = Distribution::default();
        numbers.iter().for_each(|number| distribution.add(*number));
        distribution
    }

    #[test]
    fn ratings_are_exact_and_extremes_have_bins() {
        let ratings = of(&[5.0, 1.0, 4.0, 4.0, 5.0, 5.0, 2.0, 5.0, 3.0, 5.0]);
        let quantiles = [0.0, 0.1, 0.25, 0.5, 0.9, 1.0].map(|q| ratings.quantile(q));
        assert_eq!(quantiles, [1.0, 1.0, 3.0, 4.0, 5.0, 5.0].map(Some));
        assert_eq!((ratings.count(), ratings.mean()), (10, Some(3.9)));
        assert_eq!((of(&[]).mean(), of(&[]).quantile(0.5)), (None, None));
        let bins =
            [f64::MIN, -1e12, -1.0, -1e-9, -1e-10, 0.0, 1e-300, 1e-9, 25.0, 26.0, 1e12, f64::MAX].map(bin_of);
        assert!(
            bins.is_sorted() && bins[0] == -bins[11] && bins[4..7] == [0, 0, 0] && bins[8] < bins[9],
            "{bins:?}"
        );
        assert!(bins[11] <= 1233);
    }

    proptest! {
        #[test]
        fn quantiles_are_near_and_what_was_added_can_be_taken_away(
            ours in prop::collection::vec(-1e6..1e6_f64, 1..200),
            theirs in prop::collection::vec(-1e6..1e6_f64, 0..200),
            q in 0.0..1.0_f64,
        ) {
            let mut all = of(&ours);
            all.merge(&of(&theirs));
            prop_assert_eq!(all.count() as usize, ours.len() + theirs.len());
            all.unmerge(&of(&theirs));
            let mut sorted = ours.clone();
            sorted.sort_by(f64::total_cmp);
            let exact = sorted[((q * ours.len() as f64).ceil() as usize).max(1) - 1];
            let near = all.quantile(q).unwrap();
            prop_assert!((near - exact).abs() <= 0.041 * exact.abs() + 1e-6, "{near} {exact}");
            prop_assert!((all.mean().unwrap() - ours.iter().sum::<f64>() / ours.len() as f64).abs() < 1e-6);
            all.unmerge(&of(&ours));
            prop_assert_eq!(all, Distribution::default());
        }
    }
}
