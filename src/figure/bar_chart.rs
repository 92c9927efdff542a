//! The best keywords of each topic as bars.

use super::svg::{LINE, Svg, colour, fit, number};

/// One topic's panel.
#[derive(Debug, Clone)]
pub struct Bars<'a> {
    /// What stands above it.
    pub title: &'a str,
    /// Keywords with their scores, in the order shown.
    pub bars: &'a [(&'a str, f64)],
}

const PANEL: f64 = 290.0;
const LABEL: f64 = 120.0;
const ROW: f64 = 20.0;
const GAP: f64 = 24.0;

/// A panel of bars for each topic, `columns` beside each other; each panel has its own scale, as c-TF-IDF scores of
/// different topics don't compare. Scores that are not positive have no bar.
pub fn bar_chart(topics: &[Bars<'_>], columns: usize) -> String {
    let columns = columns.clamp(1, topics.len().max(1));
    let most = topics.iter().map(|topic| topic.bars.len()).max().unwrap_or(0);
    let height = GAP + LINE + most as f64 * ROW + GAP / 2.0;
    let rows = topics.len().div_ceil(columns);
    let mut svg = Svg::new(
        columns as f64 * (PANEL + GAP) + GAP,
        rows as f64 * height + GAP,
        &format!("Keywords of {} topics", topics.len()),
    );
    for (i, topic) in topics.iter().enumerate() {
        let x = GAP + (i % columns) as f64 * (PANEL + GAP);
        let y = GAP + (i / columns) as f64 * height;
        panel(&mut svg, x, y, topic, &colour(i));
    }
    svg.finish()
}

fn panel(svg: &mut Svg, x: f64, y: f64, topic: &Bars<'_>, colour: &str) {
    svg.text(x, y + LINE, "title", &fit(topic.title, PANEL));
    let best = topic.bars.iter().map(|&(_, score)| score).fold(f64::MIN_POSITIVE, f64::max);
    let longest = PANEL - LABEL - 48.0;
    for (row, &(term, score)) in topic.bars.iter().enumerate() {
        let top = y + GAP + row as f64 * ROW;
        let share = if score.is_finite() { (score / best).clamp(0.0, 1.0) } else { 0.0 };
        let length = longest * share;
        svg.text(x + LABEL - 6.0, top + LINE, "end", &fit(term, LABEL - 6.0));
        svg.bar(x + LABEL, top + 3.0, length, ROW - 6.0, colour, &format!("{term}: {}", number(score)));
        svg.text(x + LABEL + length + 5.0, top + LINE, "soft", &number(score));
    }
}
