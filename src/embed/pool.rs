//! Token vectors to one vector a text.

use std::ops::Range;

use ndarray::{ArrayView2, s};

use super::Pooling;

/// The vector of one text: `tokens` is `width × dim`, of which the first `len ≥ 1` rows are the text and the rest is
/// padding. Not normalised. `out` has length `dim`. O(len · dim).
pub(super) fn pool(tokens: &ArrayView2<'_, f32>, len: usize, pooling: Pooling, out: &mut [f32]) {
    match pooling {
        Pooling::Cls => fold(tokens, 0..1, out, |_, value| value),
        Pooling::Last => fold(tokens, len - 1..len, out, |_, value| value),
        Pooling::Max => {
            out.fill(f32::NEG_INFINITY);
            fold(tokens, 0..len, out, f32::max);
        }
        Pooling::Mean => {
            out.fill(0.0);
            fold(tokens, 0..len, out, |sum, value| sum + value);
            let share = (len as f32).recip();
            for value in out {
                *value *= share;
            }
        }
    }
}

fn fold(tokens: &ArrayView2<'_, f32>, rows: Range<usize>, out: &mut [f32], step: impl Fn(f32, f32) -> f32) {
    for row in tokens.slice(s![rows, ..]).rows() {
        for (kept, &value) in out.iter_mut().zip(row) {
            *kept = step(*kept, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn padding_never_counts() {
        let tokens = array![[1.0, 6.0], [3.0, -2.0], [900.0, 900.0]];
        let pooled = |pooling| {
            let mut out = [0.5, 0.5];
            pool(&tokens.view(), 2, pooling, &mut out);
            out
        };
        assert_eq!(pooled(Pooling::Mean), [2.0, 2.0]);
        assert_eq!(pooled(Pooling::Max), [3.0, 6.0]);
        assert_eq!(pooled(Pooling::Cls), [1.0, 6.0]);
        assert_eq!(pooled(Pooling::Last), [3.0, -2.0]);
    }
}
