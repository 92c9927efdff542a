//! The curve `1 / (1 + a x^(2b))` that says how near two rows look at a distance `x` in the layout.

/// The two numbers of the curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Curve {
    /// Scale.
    pub(super) a: f32,
    /// Steepness.
    pub(super) b: f32,
}

const SAMPLES: usize = 300;

impl Curve {
    /// Least squares fit to 1 up to `min_dist` and `exp(−(x − min_dist) / spread)` from there, over 300 points of
    /// `[0, 3 spread]`. For `min_dist = 0`, `spread = 1`: a = 1.932, b = 0.7915.
    ///
    /// Levenberg–Marquardt on two numbers, from (1, 1). Source: `find_ab_params` of umap-learn.
    pub(super) fn fit(min_dist: f32, spread: f32) -> Self {
        let (min_dist, spread) = (f64::from(min_dist), f64::from(spread));
        let points: Vec<(f64, f64)> = (0..SAMPLES)
            .map(|i| {
                let x = 3.0 * spread * i as f64 / (SAMPLES - 1) as f64;
                (x, if x < min_dist { 1.0 } else { (-(x - min_dist) / spread).exp() })
            })
            .collect();
        let (mut a, mut b) = (1.0, 1.0);
        let mut damping = 1e-3;
        let mut error = squared_error(&points, a, b);
        for _ in 0..500 {
            let (step_a, step_b) = step(&points, a, b, damping);
            let next = squared_error(&points, a + step_a, b + step_b);
            if next < error {
                let settled = error - next < 1e-15 * error;
                (a, b, error) = (a + step_a, b + step_b, next);
                damping *= 0.3;
                if settled {
                    break;
                }
            } else {
                damping *= 4.0;
            }
        }
        Self { a: a as f32, b: b as f32 }
    }
}

fn squared_error(points: &[(f64, f64)], a: f64, b: f64) -> f64 {
    let error = |&(x, y): &(f64, f64)| (y - 1.0 / (1.0 + a * x.powf(2.0 * b))).powi(2);
    let sum: f64 = points.iter().map(error).sum();
    if a > 0.0 && b > 0.0 { sum } else { f64::INFINITY }
}

/// Solves the damped normal equations of the two numbers.
fn step(points: &[(f64, f64)], a: f64, b: f64, damping: f64) -> (f64, f64) {
    let (mut aa, mut ab, mut bb, mut ra, mut rb) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for &(x, y) in points.iter().filter(|(x, _)| *x > 0.0) {
        let power = x.powf(2.0 * b);
        let value = 1.0 / (1.0 + a * power);
        let by_a = -power * value * value;
        let by_b = by_a * a * 2.0 * x.ln();
        let residual = y - value;
        aa += by_a * by_a;
        ab += by_a * by_b;
        bb += by_b * by_b;
        ra += by_a * residual;
        rb += by_b * residual;
    }
    let (aa, bb) = (aa * (1.0 + damping), bb * (1.0 + damping));
    let determinant = aa * bb - ab * ab;
    ((bb * ra - ab * rb) / determinant, (aa * rb - ab * ra) / determinant)
}
