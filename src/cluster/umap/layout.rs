//! The layout by stochastic gradient descent: neighbours pull, random others push.
#![allow(clippy::inline_always, reason = "compiled once per instruction set")]
#![allow(clippy::needless_range_loop, reason = "the lanes of several arrays go side by side")]

use ndarray::{Array2, ArrayView1};
use rayon::prelude::*;

use super::{copies::Copies, curve::Curve, fuzzy_set::FuzzySet, params::Params, sampling::Samples};
use crate::{
    cluster::watch::{self, Cancelled, Watch},
    kernel::wide::{self, Task},
};

/// Points moved side by side, each in a lane of the registers: two of AVX-512's, so that one works while the other waits.
const LANES: usize = 32;
/// The power of the epochs left that the learning rate falls with. umap-learn's falls straight, 1.0; late epochs then still
/// shake points that have found their places.
const COOLING: f32 = 1.25;
/// A step moves a point by at most this, times the learning rate, along each dimension.
const LARGEST_STEP: f32 = 4.0;
/// Keeps a push finite between points at one place.
const SOFTENING: f32 = 1e-3;
/// An epoch moves the points in about so many turns, each of which sees where the turns before have led.
const TURNS: usize = 8;
/// Strangers are fetched for so many samples at once: each lane then sees those of the lanes beside it.
const SHIFTS: usize = 4;

/// What an epoch needs to know.
pub(super) struct Descent<'a> {
    pub(super) graph: &'a FuzzySet,
    pub(super) curve: Curve,
    pub(super) params: &'a Params,
    pub(super) n_epochs: usize,
}

impl Descent<'_> {
    /// Moves `layout` (`n × d`) through all epochs.
    ///
    /// An edge of strength `w` is sampled in `w / strongest` of the epochs, evenly spread; each sample pulls its two ends
    /// together and pushes the one that it is seen from away from `negative_sample_rate` random points. As in umap-learn
    /// a point's samples take effect one after the other, and the other end moves as far as the point itself. Differently
    /// from it, points are moved in turns: those of one turn read all others where the turns before left them, and what
    /// moves the other ends is added when the turn is over, in order. So no two threads write the same point, random
    /// numbers are a function of (seed, epoch, point), and the same seed gives the same bits on any number of threads.
    ///
    /// Tried and lost, on newsgroups (5 seeds; umap-learn: trustworthiness 0.973, and 24 – 39 clusters that HDBSCAN's eom cuts
    /// at `min_cluster_size` 50; this: 0.972 and 24 – 37): a point that moves alone, pulled twice, so that no other end need be written
    /// (trustworthiness 0.968); the same with an other end that springs back for the second pull (0.971, but 2 clusters
    /// in four runs of five); AVX-512's own gathers (no faster, the points come from the second-level cache either way).
    ///
    /// The learning rate falls with power 1.25 of what is left instead of straight. Newsgroups, means of 5 seeds,
    /// trustworthiness and AMI, ARI of what HDBSCAN cuts at 15 and at 50: power 1 0.9716, 0.438, 0.095, 0.509, 0.215; power
    /// 1.25 0.9727, 0.437, 0.096, 0.506, 0.204; 1.5 0.9729, 0.427, 0.084, 0.503, 0.195; 2 0.9736, 0.424, 0.079, 0.504, 0.197;
    /// umap-learn 0.9724, 0.430, 0.092, 0.504, 0.211.
    ///
    /// Turns cost time: 44,949 × 5 took 5.0 s in 128 and 3.0 s in 8, before there were copies, at the same quality; 2 turns
    /// are no faster and a little worse (trustworthiness 0.970). Strangers shared by four samples save another eighth and
    /// cost nothing in quality.
    ///
    /// Time `O(n_epochs · edges · d)`. Source: the UMAP paper, algorithm 5; `optimize_layout_euclidean`.
    pub(super) fn run(&self, layout: &mut Array2<f32>, watch: &dyn Watch) -> Result<(), Cancelled> {
        self.descend(layout, None, watch)
    }

    /// Moves `places` (`m × d`) likewise while the `others` (`n × d`), whom the graph's edges lead to, stay.
    pub(super) fn run_among(
        &self,
        places: &mut Array2<f32>,
        others: &Array2<f32>,
        watch: &dyn Watch,
    ) -> Result<(), Cancelled> {
        self.descend(places, Some(others), watch)
    }

    fn descend(
        &self,
        at: &mut Array2<f32>,
        among: Option<&Array2<f32>>,
        watch: &dyn Watch,
    ) -> Result<(), Cancelled> {
        if rayon::current_thread_index().is_none() {
            // Turns are short: a thread outside the pool would wait, and wake it up, at each of them.
            return rayon::scope(|_| self.descend(at, among, watch));
        }
        match at.ncols() {
            0..=2 => self.descend_in::<2>(at, among, watch),
            3 => self.descend_in::<3>(at, among, watch),
            4..=5 => self.descend_in::<5>(at, among, watch),
            6..=8 => self.descend_in::<8>(at, among, watch),
            9..=16 => self.descend_in::<16>(at, among, watch),
            17..=32 => self.descend_in::<32>(at, among, watch),
            33..=64 => self.descend_in::<64>(at, among, watch),
            _ => self.descend_in::<128>(at, among, watch),
        }
    }

    /// The same with `D` dimensions, of which those that the arrays lack stay 0.
    fn descend_in<const D: usize>(
        &self,
        at: &mut Array2<f32>,
        among: Option<&Array2<f32>>,
        watch: &dyn Watch,
    ) -> Result<(), Cancelled> {
        let copies = Copies::new(points(at));
        let among: Option<Vec<[f32; D]>> = among.map(points);
        let mut samples = Samples::new(self.graph);
        for epoch in 1..self.n_epochs {
            watch::check(watch)?;
            watch.progress("layout", epoch, self.n_epochs);
            samples.advance(epoch);
            let groups = samples.groups();
            // Two groups or more in a turn, so that two threads have something to do.
            let turns = if among.is_some() { 1 } else { TURNS.min(groups.len().div_ceil(2)) };
            for turn in 0..turns {
                let groups: Vec<&[u32; LANES]> = groups.iter().skip(turn).step_by(turns).collect();
                let moved = |group| {
                    copies.read(|points| {
                        wide::run(Moves {
                            descent: self,
                            samples: &samples,
                            points,
                            others: among.as_deref().unwrap_or(points),
                            others_stay: among.is_some(),
                            epoch,
                            group,
                        })
                    })
                };
                let moved: Vec<Moved<D>> = groups.par_iter().map(|group| moved(*group)).collect();
                copies.write(|points| enact(&groups, &moved, points));
            }
        }
        copies.read(|points| {
            for (point, mut row) in points.iter().zip(at.rows_mut()) {
                row.iter_mut().zip(point).for_each(|(to, &from)| *to = from);
            }
        });
        Ok(())
    }
}

fn points<const D: usize>(rows: &Array2<f32>) -> Vec<[f32; D]> {
    let point = |row: ArrayView1<'_, f32>| std::array::from_fn(|d| row.get(d).copied().unwrap_or(0.0));
    rows.rows().into_iter().map(point).collect()
}

/// Puts all points of `groups` where they `moved`, and then moves the other ends of their samples.
fn enact<const D: usize>(groups: &[&[u32; LANES]], moved: &[Moved<D>], points: &mut [[f32; D]]) {
    for (group, moved) in groups.iter().zip(moved) {
        for (lane, &i) in group.iter().enumerate() {
            points[i as usize] = std::array::from_fn(|d| moved.to[d][lane]);
        }
    }
    for (other, step) in moved.iter().flat_map(|moved| &moved.others) {
        points[*other as usize].iter_mut().zip(step).for_each(|(x, step)| *x += step);
    }
}

/// Where the samples of a group of points lead.
struct Moved<const D: usize> {
    /// The points, by dimension and lane.
    to: [[f32; LANES]; D],
    /// By how much the other ends of the samples move.
    others: Vec<(u32, [f32; D])>,
}

/// The samples of a group of points in one epoch.
struct Moves<'a, const D: usize> {
    descent: &'a Descent<'a>,
    samples: &'a Samples<'a>,
    points: &'a [[f32; D]],
    others: &'a [[f32; D]],
    others_stay: bool,
    epoch: usize,
    group: &'a [u32; LANES],
}

impl<const D: usize> Task for Moves<'_, D> {
    type Output = Moved<D>;

    #[inline(always)]
    fn run(self) -> Moved<D> {
        let Descent { curve, params, n_epochs, .. } = self.descent;
        let forces = Forces {
            curve: *curve,
            rate: params.learning_rate * (1.0 - self.epoch as f32 / *n_epochs as f32).powf(COOLING),
            repulsion: params.repulsion_strength,
        };
        let epoch_seed = mix(params.seed ^ (self.epoch as u64) << 32);
        let mut seeds = [[0; LANES]; 2];
        let mut sampled: [&[u32]; LANES] = [&[]; LANES];
        let mut at = [[0.0; LANES]; D];
        for (lane, &i) in self.group.iter().enumerate() {
            let seed = mix(epoch_seed ^ u64::from(i));
            (seeds[0][lane], seeds[1][lane]) = (seed as u32, (seed >> 32) as u32);
            sampled[lane] = self.samples.of(i as usize);
            for d in 0..D {
                at[d][lane] = self.points[i as usize][d];
            }
        }
        // A group filled up with its last point has samples of its own up to there.
        let own_lanes = self.group.iter().position(|&i| i == self.group[LANES - 1]).unwrap_or(0) + 1;
        let room = if self.others_stay { 0 } else { sampled.iter().map(|samples| samples.len()).sum() };
        let mut others = Vec::with_capacity(room);
        let mut neighbours = [[0.0; LANES]; D];
        let mut strangers = vec![[[0.0; LANES]; D]; params.negative_sample_rate];
        // Groups are sorted: the first has most.
        for sample in 0..sampled[0].len() {
            let mut due = [0; LANES];
            let mut rates = [0.0; LANES];
            for lane in 0..LANES {
                if let Some(&neighbour) = sampled[lane].get(sample) {
                    due[lane] = neighbour;
                    rates[lane] = forces.rate;
                }
            }
            // All are fetched before the first is used: the fetching is most of the time, and so overlaps.
            gather(self.others, &due, &mut neighbours);
            for (push, strangers) in strangers.iter_mut().enumerate() {
                if sample % SHIFTS == 0 {
                    let drawn = draw(&seeds, sample * params.negative_sample_rate + push, self.others.len());
                    gather(self.others, &drawn, strangers);
                } else {
                    shift(strangers);
                }
            }
            let before = at;
            forces.pull(&mut at, &neighbours, &rates);
            if !self.others_stay {
                for lane in (0..own_lanes).take_while(|&lane| sample < sampled[lane].len()) {
                    others.push((due[lane], std::array::from_fn(|d| before[d][lane] - at[d][lane])));
                }
            }
            for strangers in &strangers {
                forces.push(&mut at, strangers, &rates);
            }
        }
        Moved { to: at, others }
    }
}

/// How points move each other in one epoch.
struct Forces {
    curve: Curve,
    rate: f32,
    repulsion: f32,
}

impl Forces {
    /// Each lane's point nearer to its other.
    #[inline(always)]
    fn pull<const D: usize>(
        &self,
        at: &mut [[f32; LANES]; D],
        others: &[[f32; LANES]; D],
        rates: &[f32; LANES],
    ) {
        let Curve { a, b } = self.curve;
        let slope = |squared: f32| {
            let power = power(squared, b);
            let slope = -2.0 * a * b * power / (squared * (a * power + 1.0));
            if squared > 0.0 { slope } else { 0.0 }
        };
        step(at, others, rates, slope);
    }

    /// Each lane's point away from its other.
    #[inline(always)]
    fn push<const D: usize>(
        &self,
        at: &mut [[f32; LANES]; D],
        others: &[[f32; LANES]; D],
        rates: &[f32; LANES],
    ) {
        let Curve { a, b } = self.curve;
        let slope =
            |squared: f32| 2.0 * self.repulsion * b / ((SOFTENING + squared) * (a * power(squared, b) + 1.0));
        step(at, others, rates, slope);
    }
}

/// Where the others are, by dimension and lane.
#[inline(always)]
fn gather<const D: usize>(points: &[[f32; D]], others: &[u32; LANES], gathered: &mut [[f32; LANES]; D]) {
    for lane in 0..LANES {
        let other = &points[others[lane] as usize];
        for d in 0..D {
            gathered[d][lane] = other[d];
        }
    }
}

/// Hands each lane what a lane a few places on has.
#[inline(always)]
fn shift<const D: usize>(strangers: &mut [[f32; LANES]; D]) {
    for d in 0..D {
        let before = strangers[d];
        for lane in 0..LANES {
            strangers[d][lane] = before[(lane + LANES / SHIFTS) % LANES];
        }
    }
}

/// Moves each lane's point along the line to its other by `slope` of their squared distance, times its rate.
#[inline(always)]
fn step<const D: usize>(
    at: &mut [[f32; LANES]; D],
    others: &[[f32; LANES]; D],
    rates: &[f32; LANES],
    slope: impl Fn(f32) -> f32,
) {
    let mut squares = [0.0_f32; LANES];
    for d in 0..D {
        for lane in 0..LANES {
            let difference = at[d][lane] - others[d][lane];
            squares[lane] += difference * difference;
        }
    }
    let mut slopes = [0.0_f32; LANES];
    for lane in 0..LANES {
        slopes[lane] = slope(squares[lane]);
    }
    for d in 0..D {
        for lane in 0..LANES {
            let step = (slopes[lane] * (at[d][lane] - others[d][lane])).clamp(-LARGEST_STEP, LARGEST_STEP);
            at[d][lane] += rates[lane] * step;
        }
    }
}

/// For each lane one of `n` points: draw `number` of the lane's seed.
#[inline(always)]
fn draw(seeds: &[[u32; LANES]; 2], number: usize, n: usize) -> [u32; LANES] {
    let mut drawn = [0; LANES];
    for lane in 0..LANES {
        let mut x = number as u32 ^ seeds[0][lane];
        x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b).wrapping_add(seeds[1][lane]);
        x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
        x ^= x >> 16;
        drawn[lane] = ((u64::from(x) * u64::from(n as u32)) >> 32) as u32;
    }
    drawn
}

/// Source: Steele, Lea & Flood 2014, the finaliser of `SplitMix64`.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// `x^b` for `x ≥ 0`, to about 4 digits, in straight-line code for the registers' lanes; about 0 for 0.
///
/// The polynomials are minimax fits of `log₂ x / (x − 1)` over `[1, 2]` and of `2^x` over `[0, 1]`.
#[inline(always)]
fn power(x: f32, b: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 127;
    let m = f32::from_bits((bits & 0x007f_ffff) | 0x3f80_0000);
    let log = ((((-0.034_436_006 * m + 0.318_213_37) * m - 1.231_530_3) * m + 2.598_845_2) * m - 3.324_199)
        * m
        + 3.115_79;
    let log = log * (m - 1.0) + exponent as f32;
    let y = (b * log).clamp(-126.0, 126.0);
    // Adding 1.5 · 2²³ leaves the whole part in the low bits.
    let whole = y - 0.5 + ROUND;
    let f = y - (whole - ROUND);
    let part = ((((0.001_877_576_7 * f + 0.008_989_34) * f + 0.055_826_318) * f + 0.240_153_61) * f
        + 0.693_153_1)
        * f
        + 1.0;
    part * f32::from_bits((whole.to_bits() << 23).wrapping_add(0x3f80_0000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_right_to_four_digits() {
        for i in -400..200 {
            let x = (i as f32 / 10.0).exp2();
            for b in [0.3, 0.79, 1.0, 1.7] {
                let (ours, exact) = (power(x, b), x.powf(b));
                assert!((ours - exact).abs() <= 1e-4 * exact, "{x}^{b} is {exact}, not {ours}");
            }
        }
        assert!(power(0.0, 0.79) < 1e-20);
    }

    #[test]
    fn draws_are_spread_evenly() {
        let mut counts = [0_u32; 10];
        for seed in 0..500 {
            let seed = mix(seed);
            let seeds = [[seed as u32; LANES], std::array::from_fn(|lane| (seed >> 32) as u32 ^ lane as u32)];
            for drawn in draw(&seeds, 3, 10) {
                counts[drawn as usize] += 1;
            }
        }
        assert!(counts.iter().all(|&count| (1400..1800).contains(&count)), "{counts:?}");
    }
}
