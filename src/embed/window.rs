//! Long texts in overlapping windows.

use std::ops::Range;

/// How windows are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Windows {
    /// Tokens that two neighbours share, at least.
    pub(super) overlap: usize,
    /// Windows of one text, at most.
    pub(super) most: usize,
}

impl Windows {
    /// The windows of `width` tokens over a text of `length`: evenly spread, so that each is full and neighbours share
    /// `overlap` tokens or more. One window where the text fits. Tokens that `most` windows can't reach are left out.
    pub(super) fn over(self, length: usize, width: usize) -> Vec<Range<usize>> {
        let width = width.max(1);
        if length <= width {
            return std::iter::once(0..length).collect();
        }
        let step = width.saturating_sub(self.overlap).max(1);
        let needed = 1 + (length - width).div_ceil(step);
        let count = needed.min(self.most);
        // The last start: where the text ends, or as far as so many windows go.
        let last = if needed > count { (count - 1) * step } else { length - width };
        let start = |window: usize| if count == 1 { 0 } else { window * last / (count - 1) };
        (0..count).map(|window| start(window)..start(window) + width).collect()
    }

    /// The most tokens that are looked at with windows of `width`.
    pub(super) fn reach(self, width: usize) -> usize {
        let step = width.saturating_sub(self.overlap).max(1);
        width + (self.most - 1) * step
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn windows_are_spread_evenly() {
        let windows = Windows { overlap: 2, most: 10 };
        assert_eq!(windows.over(10, 10), std::iter::once(0..10).collect::<Vec<_>>());
        assert_eq!(windows.over(11, 10), [0..10, 1..11]);
        assert_eq!(windows.over(20, 10), [0..10, 5..15, 10..20]);
        assert_eq!(Windows { overlap: 2, most: 2 }.over(100, 10), [0..10, 8..18]);
        assert_eq!(windows.over(0, 10), std::iter::once(0..0).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn every_token_within_reach_is_in_a_window(
            length in 0_usize..2000, width in 1_usize..300, overlap in 0_usize..300, most in 1_usize..20,
        ) {
            let windows = Windows { overlap, most };
            let cut = windows.over(length, width);
            prop_assert!((1..=most).contains(&cut.len()));
            prop_assert_eq!(cut[0].start, 0);
            prop_assert_eq!(cut[cut.len() - 1].end, length.min(windows.reach(width)));
            for pair in cut.windows(2) {
                prop_assert!(pair[0].start < pair[1].start);
                prop_assert!(pair[1].start + overlap.min(width - 1) <= pair[0].end);
            }
            for window in &cut {
                prop_assert!(window.len() == width.min(length));
            }
        }
    }
}
