//! How alike topics are, pair by pair.

use super::svg::{LINE, Svg, fit, number};

const CELL: f64 = 22.0;
const NAMES: f64 = 230.0;
const GAP: f64 = 16.0;

/// Cosines of `names.len()` topics to each other as a square of cells, `similarity(i, j)` in row i and column j; the
/// deeper the nearer. The scale reaches from the least to the greatest cosine of two different topics, as all cosines
/// of an encoder may lie close together.
pub fn heat_map(names: &[&str], similarity: impl Fn(usize, usize) -> f64) -> String {
    let n = names.len();
    let pairs = || (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
    let others = || pairs().filter(|(i, j)| i != j).map(|(i, j)| similarity(i, j)).filter(|s| s.is_finite());
    let (least, most) = (others().fold(1.0, f64::min), others().fold(-1.0, f64::max));
    let side = n as f64 * CELL;
    let mut svg = Svg::new(
        NAMES + side + 2.0 * GAP,
        side + 3.0 * GAP + LINE * 2.0,
        &format!("Similarity of {n} topics"),
    );
    for (i, name) in names.iter().enumerate() {
        let middle = GAP + LINE + i as f64 * CELL + CELL / 2.0;
        svg.text(NAMES - 34.0, middle + 4.0, "end", &fit(name, NAMES - 34.0 - GAP));
        svg.text(NAMES - 8.0, middle + 4.0, "soft end", &(i + 1).to_string());
        svg.text(NAMES + i as f64 * CELL + CELL / 2.0, GAP + LINE - 6.0, "soft mid", &(i + 1).to_string());
    }
    for (i, j) in pairs() {
        let cosine = similarity(i, j);
        let share = if most > least { ((cosine - least) / (most - least)).clamp(0.0, 1.0) } else { 1.0 };
        let depth = if share.is_finite() { 8.0 + 84.0 * share } else { 0.0 };
        let (x, y) = (NAMES + j as f64 * CELL, GAP + LINE + i as f64 * CELL);
        let tip = format!("{} – {}: {}", names[i], names[j], number(cosine));
        svg.bar(x, y, CELL - 1.0, CELL - 1.0, &format!("hsl(205 62% 45% / {depth:.0}%)"), &tip);
    }
    if n > 1 {
        let scale = format!("light {} … deep {}", number(least), number(most));
        svg.text(NAMES, side + 2.0 * GAP + LINE * 2.0, "soft", &scale);
    }
    svg.finish()
}
