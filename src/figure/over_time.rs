//! Documents per topic over time, stacked.

use super::svg::{LINE, Svg, colour, fit, number};

/// One topic's documents, window by window.
#[derive(Debug, Clone)]
pub struct Series<'a> {
    /// What the legend calls it.
    pub name: &'a str,
    /// Documents of each window; windows that are missing at the end have none.
    pub counts: &'a [f64],
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 64.0;
const TOP: f64 = 24.0;
const LEGEND: f64 = 260.0;

/// Stacked areas, one a topic in the given order from below, over windows named by `windows` (oldest first). Counts
/// that are negative or not finite are drawn as 0. One window alone is drawn as a band.
pub fn over_time(windows: &[&str], topics: &[Series<'_>]) -> String {
    let n = windows.len().max(2);
    let height = (TOP * 2.0 + HEIGHT + LINE).max(TOP * 2.0 + topics.len() as f64 * (LINE + 4.0));
    let mut svg = Svg::new(
        LEFT + WIDTH + LEGEND + 24.0,
        height,
        &format!("Documents of {} topics over {} windows", topics.len(), windows.len()),
    );
    let count = |series: &Series<'_>, window: usize| {
        let window = window.min(windows.len().saturating_sub(1));
        series.counts.get(window).copied().filter(|count| count.is_finite()).unwrap_or(0.0).max(0.0)
    };
    let mut sums = vec![0.0; n];
    let layers: Vec<Vec<(f64, f64)>> = (topics.iter())
        .map(|series| {
            let layer = |(window, sum): (usize, &mut f64)| {
                let below = *sum;
                *sum += count(series, window);
                (below, *sum)
            };
            sums.iter_mut().enumerate().map(layer).collect()
        })
        .collect();
    let top = round_up(sums.iter().copied().fold(0.0, f64::max));
    let x = |window: usize| LEFT + WIDTH * window as f64 / (n - 1) as f64;
    let y = |count: f64| TOP + HEIGHT * (1.0 - count / top);
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        svg.line((LEFT, y(value)), (LEFT + WIDTH, y(value)));
        svg.text(LEFT - 8.0, y(value) + 4.0, "soft end", &number(value));
    }
    for (i, (series, layer)) in topics.iter().zip(&layers).enumerate() {
        let upper = layer.iter().enumerate().map(|(window, &(_, above))| (x(window), y(above)));
        let lower = layer.iter().enumerate().rev().map(|(window, &(below, _))| (x(window), y(below)));
        let total: f64 = (0..windows.len()).map(|window| count(series, window)).sum();
        svg.area(upper.chain(lower), &colour(i), &format!("{}: {}", series.name, number(total)));
        let line = TOP + i as f64 * (LINE + 4.0);
        svg.bar(LEFT + WIDTH + 16.0, line, 10.0, 10.0, &colour(i), series.name);
        svg.text(LEFT + WIDTH + 32.0, line + 10.0, "", &fit(series.name, LEGEND - 32.0));
    }
    // As many names as fit beside each other, the first and the last among them.
    let widest = windows.iter().map(|name| super::svg::width_of(name)).fold(40.0, f64::max) + 12.0;
    let every = ((windows.len() as f64 * widest / WIDTH).ceil() as usize).max(1);
    for (window, name) in windows.iter().enumerate().filter(|(window, _)| window % every == 0) {
        svg.text(x(window), TOP + HEIGHT + LINE + 4.0, "soft mid", name);
    }
    svg.finish()
}

/// The next number of the kind 1, 2, 4, 6, 8 × 10ⁿ; its quarters are short.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 4.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 4.0, 6.0, 8.0, 10.0].into_iter().map(|n| n * power).find(|&n| n >= value).unwrap_or(value)
}
