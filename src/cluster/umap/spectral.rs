//! Where the layout starts: the graph's own slow vibrations, one connected component at a time.
#![allow(clippy::needless_pass_by_value, reason = "a view is a handle")]

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{
    eigen::{Normalised, leading, symmetric_eigen},
    fuzzy_set::FuzzySet,
};
use crate::cluster::{
    knn::Metric,
    watch::{Cancelled, Watch},
};

/// The start's coordinates lie in `[0, 10]`.
const EXTENT: f32 = 10.0;
/// Spread of the noise that parts points at equal places.
const NOISE: f32 = 1e-4;
/// Up to so many rows the eigenproblem is solved densely.
const DENSE: usize = 64;
/// More components than this go anywhere: their affinities would need a full matrix.
const MOST_PLACED: usize = 4096;

/// The starting layout, `n × dim`: the spectral layout, scaled to at most 10, with a little noise, each dimension then
/// stretched to `[0, 10]`.
///
/// Source: `simplicial_set_embedding` and `noisy_scale_coords` of umap-learn.
pub(super) fn initial(
    graph: &FuzzySet,
    rows: ArrayView2<'_, f32>,
    metric: Metric,
    dim: usize,
    seed: u64,
    watch: &dyn Watch,
) -> Result<Array2<f32>, Cancelled> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut layout = spectral_layout(graph, rows, metric, dim, &mut rng, watch)?;
    let largest = layout.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    let expansion = if largest > 0.0 { EXTENT / largest } else { 1.0 };
    layout.mapv_inplace(|x| x * expansion + NOISE * normal(&mut rng));
    for mut column in layout.columns_mut() {
        let low = column.iter().copied().fold(f32::INFINITY, f32::min);
        let high = column.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if high > low {
            column.mapv_inplace(|x| EXTENT * (x - low) / (high - low));
        }
    }
    Ok(layout)
}

/// A draw from the standard normal distribution, by Box and Muller.
fn normal(rng: &mut SmallRng) -> f32 {
    let (radius, angle): (f32, f32) = (1.0 - rng.random::<f32>(), rng.random());
    (-2.0 * radius.ln()).sqrt() * (std::f32::consts::TAU * angle).cos()
}

/// The eigenvectors of the normalised Laplacian of the smallest eigenvalues but the trivial one, `n × dim`.
///
/// A graph in several components gets each component's own layout, around a place of its own. Components too small to
/// have one are scattered around their place. Source: `spectral_layout`, `multi_component_layout` of umap-learn.
fn spectral_layout(
    graph: &FuzzySet,
    rows: ArrayView2<'_, f32>,
    metric: Metric,
    dim: usize,
    rng: &mut SmallRng,
    watch: &dyn Watch,
) -> Result<Array2<f32>, Cancelled> {
    let components = components(graph);
    if components.len() <= 1 {
        return connected_layout(graph, dim, rng, watch);
    }
    let places = places(&components, rows, metric, dim, rng, watch)?;
    let mut layout = Array2::zeros((graph.n(), dim));
    for (component, place) in components.iter().zip(places.rows()) {
        let reach = nearest_other(&places, &place.to_owned()) / 2.0;
        let own = if component.len() < 2 * dim || component.len() <= dim + 1 {
            Array2::from_shape_simple_fn((component.len(), dim), || rng.random_range(-1.0..1.0))
        } else {
            connected_layout(&part(graph, component), dim, rng, watch)?
        };
        let largest = own.iter().fold(f32::MIN_POSITIVE, |largest, x| largest.max(x.abs()));
        for (&i, own) in component.iter().zip(own.rows()) {
            layout.row_mut(i).assign(&(&own * (reach / largest) + place));
        }
    }
    Ok(layout)
}

/// The spectral layout of a connected graph.
fn connected_layout(
    graph: &FuzzySet,
    dim: usize,
    rng: &mut SmallRng,
    watch: &dyn Watch,
) -> Result<Array2<f32>, Cancelled> {
    let n = graph.n();
    if n <= dim + 1 {
        return Ok(Array2::from_shape_simple_fn((n, dim), || rng.random_range(-1.0..1.0)));
    }
    if n <= DENSE.max(4 * dim) {
        let mut dense = Array2::zeros((n, n));
        for i in 0..n {
            graph.edges(i).for_each(|(j, strength)| dense[[i, j as usize]] = f64::from(strength));
        }
        return Ok(dense_layout(&dense, dim));
    }
    let vectors = leading(&Normalised::new(graph), dim, rng.random(), watch)?;
    Ok(Array2::from_shape_vec((n, dim), vectors).unwrap_or_else(|_| Array2::zeros((n, dim))))
}

/// The same of a full matrix of affinities.
fn dense_layout(affinities: &Array2<f64>, dim: usize) -> Array2<f32> {
    let n = affinities.nrows();
    let roots = affinities.sum_axis(Axis(1)).mapv(|degree| degree.sqrt().max(f64::MIN_POSITIVE));
    let normalised =
        (0..n * n).map(|at| affinities[[at / n, at % n]] / (roots[at / n] * roots[at % n])).collect();
    let (_, vectors) = symmetric_eigen(normalised, n);
    Array2::from_shape_fn(
        (n, dim),
        |(i, column)| if column + 1 < n { vectors[i * n + column + 1] as f32 } else { 0.0 },
    )
}

/// The rows of each connected component, rising; components by their first row.
fn components(graph: &FuzzySet) -> Vec<Vec<usize>> {
    let mut seen = vec![false; graph.n()];
    let mut components = Vec::new();
    for start in 0..graph.n() {
        if seen[start] {
            continue;
        }
        seen[start] = true;
        let mut component = vec![start];
        let mut next = 0;
        while next < component.len() {
            for (j, _) in graph.edges(component[next]) {
                if !std::mem::replace(&mut seen[j as usize], true) {
                    component.push(j as usize);
                }
            }
            next += 1;
        }
        component.sort_unstable();
        components.push(component);
    }
    components
}

/// The graph of some rows among themselves.
fn part(graph: &FuzzySet, rows: &[usize]) -> FuzzySet {
    let mut number = vec![u32::MAX; graph.n()];
    for (new, &old) in rows.iter().enumerate() {
        number[old] = new as u32;
    }
    let edges = |&i: &usize| graph.edges(i).map(|(j, strength)| (number[j as usize], strength)).collect();
    FuzzySet::from_rows(rows.iter().map(edges).collect())
}

/// Where each component goes: few at the ends of the axes, many as their centroids lie to each other.
fn places(
    components: &[Vec<usize>],
    rows: ArrayView2<'_, f32>,
    metric: Metric,
    dim: usize,
    rng: &mut SmallRng,
    watch: &dyn Watch,
) -> Result<Array2<f32>, Cancelled> {
    let count = components.len();
    if count <= 2 * dim {
        let half = count.div_ceil(2);
        return Ok(Array2::from_shape_fn((count, dim), |(component, axis)| {
            let sign = if component < half { 1.0 } else { -1.0 };
            if component % half == axis { sign } else { 0.0 }
        }));
    }
    if count > MOST_PLACED {
        return Ok(Array2::from_shape_simple_fn((count, dim), || rng.random_range(-1.0..1.0)));
    }
    let centroids: Vec<Array1<f32>> = components
        .iter()
        .map(|component| rows.select(Axis(0), component).mean_axis(Axis(0)).unwrap_or_default())
        .collect();
    let affinity = |a: &Array1<f32>, b: &Array1<f32>| {
        let distance = match metric {
            Metric::Euclidean => (a - b).mapv(|x| x * x).sum().sqrt(),
            Metric::Cosine => 1.0 - a.dot(b) / (a.dot(a) * b.dot(b)).sqrt().max(f32::MIN_POSITIVE),
        };
        (-distance * distance).exp()
    };
    // Jacobi's rotations take seconds from some hundred places on. The sparse solver takes a full matrix too, and needs
    // only a few eigenvectors of it.
    let row = |a: &Array1<f32>| (0..).zip(&centroids).map(|(j, b)| (j, affinity(a, b))).collect();
    let mut layout =
        connected_layout(&FuzzySet::from_rows(centroids.iter().map(row).collect()), dim, rng, watch)?;
    let largest = layout.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    layout /= largest;
    Ok(layout)
}

/// How far the nearest other place is; 1 if all places are one.
fn nearest_other(places: &Array2<f32>, place: &Array1<f32>) -> f32 {
    let distances = places.rows().into_iter().map(|other| (&other - place).mapv(|x| x * x).sum().sqrt());
    let nearest = distances.filter(|&distance| distance > 0.0).fold(f32::INFINITY, f32::min);
    if nearest.is_finite() { nearest } else { 1.0 }
}
