//! Token vectors to one vector a text.

use ndarray::{ArrayView1, ArrayView2, Axis, s};

use super::Pooling;

/// The vector of one text: `tokens` is `width × dim`, of which the first `len ≥ 1` rows are the text and the rest is
/// padding. Not normalised. `out` has length `dim`. O(len · dim).
pub(super) fn pool(tokens: ArrayView2<'_, f32>, len: usize, pooling: Pooling, out: &mut [f32]) {
    let text = tokens.slice(s![..len, ..]);
    match pooling {
        Pooling::Cls => copy(text.row(0), out),
        Pooling::Last => copy(text.row(len - 1), out),
        Pooling::Mean => {
            out.fill(0.0);
            add_rows(text, out, |sum, value| sum + value);
            let share = (len as f32).recip();
            out.iter_mut().for_each(|value| *value *= share);
        }
        Pooling::Max => {
            out.fill(f32::NEG_INFINITY);
            add_rows(text, out, f32::max);
        }
    }
}

fn add_rows(text: ArrayView2<'_, f32>, out: &mut [f32], add: impl Fn(f32, f32) -> f32) {
    for row in text.axis_iter(Axis(0)) {
        for (sum, &value) in out.iter_mut().zip(row) {
            *sum = add(*sum, value);
        }
    }
}

fn copy(row: ArrayView1<'_, f32>, out: &mut [f32]) {
    out.iter_mut().zip(row).for_each(|(to, &from)| *to = from);
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
            pool(tokens.view(), 2, pooling, &mut out);
            out
        };
        assert_eq!(pooled(Pooling::Mean), [2.0, 2.0]);
        assert_eq!(pooled(Pooling::Max), [3.0, 6.0]);
        assert_eq!(pooled(Pooling::Cls), [1.0, 6.0]);
        assert_eq!(pooled(Pooling::Last), [3.0, -2.0]);
    }
}
