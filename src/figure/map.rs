//! Documents as dots in two dimensions, topics as names among them.

use super::svg::{LINE, Svg, colour, fit, width_of};

/// The documents of one topic, or those of none.
#[derive(Debug, Clone)]
pub struct Cloud<'a> {
    /// What stands in its middle; empty for documents without a topic, which are drawn grey under the others.
    pub name: &'a str,
    /// Where its documents lie, in any units.
    pub points: &'a [[f32; 2]],
}

const WIDTH: f64 = 1100.0;
const HEIGHT: f64 = 800.0;
const MARGIN: f64 = 40.0;
/// Dots drawn, at most; of more, each k-th. A picture of this many is about 500 KB.
const MOST_DOTS: usize = 40_000;
/// Longest name, in pixels.
const NAME: f64 = 190.0;

/// A map of clouds. Both axes have the same scale; points that are not finite are left out. Names stand at the median
/// of their points, the largest clouds' first; a name that would cover another moves up or down a little or is left to
/// the tip that each cloud shows when pointed at.
pub fn map(clouds: &[Cloud<'_>]) -> String {
    let total: usize = clouds.iter().map(|cloud| cloud.points.len()).sum();
    let mut svg = Svg::new(WIDTH, HEIGHT, &format!("Map of {total} documents"));
    let place = placing(clouds);
    let every = total.div_ceil(MOST_DOTS).max(1);
    let size = if total > 5_000 { 2.2 } else { 4.0 };
    let topics = || clouds.iter().filter(|cloud| !cloud.name.is_empty()).enumerate();
    for cloud in clouds.iter().filter(|cloud| cloud.name.is_empty()) {
        let dots = cloud.points.iter().step_by(every).filter_map(|&point| place(point));
        svg.dots(dots, size, "#8a8f9666", "no topic");
    }
    for (i, cloud) in topics() {
        let dots = cloud.points.iter().step_by(every).filter_map(|&point| place(point));
        svg.dots(dots, size, &colour(i), &format!("{}: {}", cloud.name, cloud.points.len()));
    }
    let mut named: Vec<_> = topics().map(|(_, cloud)| cloud).collect();
    named.sort_by_key(|cloud| std::cmp::Reverse(cloud.points.len()));
    let mut taken: Vec<[f64; 4]> = Vec::new();
    for cloud in named {
        let placed: Vec<(f64, f64)> = cloud.points.iter().filter_map(|&point| place(point)).collect();
        if let Some(centre) = median(&placed) {
            write_name(&mut svg, &fit(cloud.name, NAME), centre, &mut taken);
        }
    }
    svg.finish()
}

/// From the points' units to pixels; `None` for a point that is not finite.
fn placing(clouds: &[Cloud<'_>]) -> impl Fn([f32; 2]) -> Option<(f64, f64)> {
    let finite = |point: &[f32; 2]| point.iter().all(|x| x.is_finite());
    let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
    for point in clouds.iter().flat_map(|cloud| cloud.points).filter(|point| finite(point)) {
        for axis in 0..2 {
            low[axis] = low[axis].min(f64::from(point[axis]));
            high[axis] = high[axis].max(f64::from(point[axis]));
        }
    }
    let span = |axis: usize| (high[axis] - low[axis]).max(1e-9);
    let scale = ((WIDTH - 2.0 * MARGIN) / span(0)).min((HEIGHT - 2.0 * MARGIN) / span(1));
    let middle = [0, 1].map(|axis| f64::midpoint(low[axis], high[axis]));
    move |point| {
        let [x, y] = point.map(f64::from);
        finite(&point)
            .then(|| (WIDTH / 2.0 + (x - middle[0]) * scale, HEIGHT / 2.0 - (y - middle[1]) * scale))
    }
}

fn median(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let middle = |mut values: Vec<f64>| {
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    Some((middle(points.iter().map(|p| p.0).collect())?, middle(points.iter().map(|p| p.1).collect())?))
}

/// Writes `name` centred at `centre` or a line or two above or below, if that is free.
fn write_name(svg: &mut Svg, name: &str, centre: (f64, f64), taken: &mut Vec<[f64; 4]>) {
    let half = width_of(name) / 2.0;
    let x = centre.0.clamp(half + 4.0, WIDTH - half - 4.0);
    for lines in [0.0, -1.0, 1.0, -2.0, 2.0] {
        let y = (centre.1 + lines * (LINE + 2.0)).clamp(LINE, HEIGHT - 4.0);
        let [left, right, top, bottom] = [x - half - 2.0, x + half + 2.0, y - LINE + 2.0, y + 3.0];
        let free = taken.iter().all(|&[l, r, t, b]| right < l || r < left || bottom < t || b < top);
        if free {
            taken.push([left, right, top, bottom]);
            return svg.text(x, y, "mid halo title", name);
        }
    }
}
