//! Whether a value is more frequent in one set of documents than in another, beyond chance.

/// Probability that of `drawn` documents at least `hits` have a value that `with` of `all` documents have, if the
/// documents are drawn at random: the one-sided p-value of Fisher's exact test. It holds for small numbers too, where a
/// G-test is too sure. O(√drawn) terms, about.
///
/// `hits` is at most `drawn` and `with`, both are at most `all`. Not more hits than expected give 1.
///
/// Source: R. A. Fisher, *On the interpretation of χ² from contingency tables, and the calculation of P*, Journal of the
/// Royal Statistical Society 85 (1922); the tail of the hypergeometric distribution as in A. Agresti, *Categorical Data
/// Analysis*, section 3.5.
pub fn at_least(hits: u64, drawn: u64, with: u64, all: u64) -> f64 {
    let [k, n, w, a] = [hits, drawn, with, all].map(|count| count as f64);
    if k * a <= n * w {
        return 1.0;
    }
    let mut term = (choose(with, hits) + choose(all - with, drawn - hits) - choose(all, drawn)).exp();
    let (mut sum, mut k) = (0.0, k);
    // Beyond the expected number each term is smaller than the one before.
    while term > sum * f64::EPSILON {
        sum += term;
        term *= (w - k) * (n - k) / ((k + 1.0) * (a - w - n + k + 1.0));
        k += 1.0;
    }
    sum.min(1.0)
}

/// Logarithm of the number of ways to choose `k` of `n`.
fn choose(n: u64, k: u64) -> f64 {
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// Logarithm of `n!`, by Stirling's series where that is exact to 1e-13.
fn ln_factorial(n: u64) -> f64 {
    if n < 32 {
        return (2..=n).map(|factor| (factor as f64).ln()).sum();
    }
    let n = n as f64;
    let series = 1.0 / (12.0 * n) - 1.0 / (360.0 * n.powi(3)) + 1.0 / (1260.0 * n.powi(5));
    (n + 0.5) * n.ln() - n + 0.5 * std::f64::consts::TAU.ln() + series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_scipy() {
        // scipy.stats.hypergeom.sf(hits - 1, all, with, drawn)
        for (numbers, expected) in [
            ((3, 4, 4, 8), 0.242_857_142_857_142_8),
            ((4, 4, 4, 8), 0.014_285_714_285_714_285),
            ((12, 40, 100, 1000), 2.688_377_121_373_222e-4),
            ((1, 1, 1, 1_000_000), 1e-6),
        ] {
            let (hits, drawn, with, all) = numbers;
            let found = at_least(hits, drawn, with, all);
            assert!((found / expected - 1.0).abs() < 1e-4, "{numbers:?}: {found}, not {expected}");
        }
        assert_eq!((at_least(2, 4, 4, 8), at_least(0, 9, 0, 9), at_least(0, 0, 0, 0)), (1.0, 1.0, 1.0));
        assert!(at_least(90_000, 100_000, 500_000, 1_000_000) < 1e-300);
    }
}
