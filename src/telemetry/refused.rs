//! The share of refused lines among the last ones.

/// How many of the lines that came since the last judgement were refused.
#[derive(Default)]
pub(super) struct Refused {
    all: usize,
    lost: usize,
    /// The last judgement was that most of them were.
    most: bool,
}

impl Refused {
    /// So many lines are judged together.
    const LINES: usize = 1000;

    /// Takes more lines in. The share that was refused, if it is most of the last 1,000 lines and was not before.
    pub(super) fn share_after(&mut self, taken: usize, refused: usize) -> Option<f64> {
        self.all += taken + refused;
        self.lost += refused;
        if self.all < Self::LINES {
            return None;
        }
        let share = self.lost as f64 / self.all as f64;
        let before = self.most;
        *self = Self { most: share > 0.5, ..Self::default() };
        (self.most && !before).then_some(share)
    }
}
