//! How far two labellings of the same rows agree, corrected for chance.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// The two labellings do not label the same rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the labellings have `{left}` and `{right}` rows; both must label the same rows")]
pub struct LengthMismatch {
    /// Rows of the first labelling.
    pub left: usize,
    /// Rows of the second labelling.
    pub right: usize,
}

/// Adjusted mutual information: 1 for the same partition, about 0 for an independent one.
///
/// Normalised by the arithmetic mean of the two entropies, as scikit-learn's `adjusted_mutual_info_score`. Every
/// label is a cluster like any other, noise included. Two empty labellings, or two of one cluster each, agree
/// fully (1); one cluster against several says nothing (0).
///
/// Time `O(n log n + Σ min(a, b))` over all pairs of different sizes `a`, `b` of clusters; each labelling has at most
/// `√(2n)` of them. Memory `O(n)`.
///
/// Source: Vinh, Epps, Bailey 2010, "Information Theoretic Measures for Clusterings Comparison".
pub fn adjusted_mutual_information<A, B>(left: &[A], right: &[B]) -> Result<f64, LengthMismatch>
where
    A: Eq + Hash + Copy,
    B: Eq + Hash + Copy,
{
    let table = Contingency::new(left, right)?;
    let (rows, columns) = (table.rows.len(), table.columns.len());
    if rows == columns && rows <= 1 {
        return Ok(1.0);
    }
    if rows == 1 || columns == 1 {
        return Ok(0.0);
    }
    let expected = table.expected_mutual_information();
    let entropies = table.entropy(&table.rows).midpoint(table.entropy(&table.columns));
    // Equal labellings make both differences rounding noise of either sign; away from zero their quotient is 1.
    let numerator = away_from_zero(table.mutual_information() - expected);
    Ok(numerator / away_from_zero(entropies - expected))
}

/// Adjusted Rand index: 1 for the same partition, about 0 for an independent one, down to −0.5.
///
/// As scikit-learn's `adjusted_rand_score`: empty labellings agree fully. Time and memory `O(n)`.
///
/// Source: Hubert, Arabie 1985, "Comparing Partitions".
pub fn adjusted_rand_index<A, B>(left: &[A], right: &[B]) -> Result<f64, LengthMismatch>
where
    A: Eq + Hash + Copy,
    B: Eq + Hash + Copy,
{
    let table = Contingency::new(left, right)?;
    let pairs = |count: u64| i128::from(count) * i128::from(count);
    let together: i128 = table.cells.iter().map(|&(_, _, count)| pairs(count)).sum();
    let of_rows: i128 = table.rows.iter().map(|&count| pairs(count)).sum();
    let of_columns: i128 = table.columns.iter().map(|&count| pairs(count)).sum();
    let n = i128::from(table.n);
    // Ordered pairs of rows: together in both, in one only, in none.
    let both = together - n;
    let only_columns = of_columns - together;
    let only_rows = of_rows - together;
    let none = n * n - of_rows - of_columns + together;
    if only_columns == 0 && only_rows == 0 {
        return Ok(1.0);
    }
    let numerator = 2 * (both * none - only_columns * only_rows);
    let denominator = (both + only_columns) * (only_columns + none) + (both + only_rows) * (only_rows + none);
    Ok(numerator as f64 / denominator as f64)
}

/// How many rows each pair of clusters shares.
struct Contingency {
    n: u64,
    rows: Vec<u64>,
    columns: Vec<u64>,
    /// Cells that are not zero: row, column, count; sorted, so that sums never depend on the order of a hash map.
    cells: Vec<(usize, usize, u64)>,
}

impl Contingency {
    fn new<A, B>(left: &[A], right: &[B]) -> Result<Self, LengthMismatch>
    where
        A: Eq + Hash + Copy,
        B: Eq + Hash + Copy,
    {
        if left.len() != right.len() {
            return Err(LengthMismatch { left: left.len(), right: right.len() });
        }
        let (left, rows) = number_labels(left);
        let (right, columns) = number_labels(right);
        let mut counts: HashMap<(usize, usize), u64> = HashMap::new();
        for (&row, &column) in left.iter().zip(&right) {
            *counts.entry((row, column)).or_default() += 1;
        }
        let mut cells: Vec<_> =
            counts.into_iter().map(|((row, column), count)| (row, column, count)).collect();
        cells.sort_unstable();
        Ok(Self { n: left.len() as u64, rows, columns, cells })
    }

    /// Entropy of a partition with clusters of these sizes, in nats.
    fn entropy(&self, sizes: &[u64]) -> f64 {
        let n = self.n as f64;
        -sizes.iter().map(|&size| size as f64 / n).map(|share| share * share.ln()).sum::<f64>()
    }

    /// Mutual information in nats.
    fn mutual_information(&self) -> f64 {
        let n = self.n as f64;
        self.cells
            .iter()
            .map(|&(row, column, count)| {
                let count = count as f64;
                let (a, b) = (self.rows[row] as f64, self.columns[column] as f64);
                count / n * (count.ln() - a.ln() - b.ln() + n.ln())
            })
            .sum::<f64>()
            .max(0.0)
    }

    /// Mutual information that clusters of these sizes have on average if the rows are dealt at random, in nats.
    ///
    /// The sum over the hypergeometric law of each cell (Vinh et al., equation 24a).
    fn expected_mutual_information(&self) -> f64 {
        let n = self.n as usize;
        let ln_factorial = ln_factorials(n);
        let of = |size: u64| ln_factorial[size as usize] + ln_factorial[n - size as usize];
        let ln_n = (n as f64).ln();
        let columns = multiplicities(&self.columns);
        let mut expected = 0.0;
        for (a, rows) in multiplicities(&self.rows) {
            for &(b, columns) in &columns {
                let mut of_pair = 0.0;
                let of_sizes = of(a) + of(b) - ln_factorial[n];
                let ln_ab = (a as f64).ln() + (b as f64).ln();
                let (a, b) = (a as usize, b as usize);
                for shared in (a + b).saturating_sub(n).max(1)..=a.min(b) {
                    let ln_probability = of_sizes
                        - ln_factorial[shared]
                        - ln_factorial[a - shared]
                        - ln_factorial[b - shared]
                        - ln_factorial[n + shared - a - b];
                    let count = shared as f64;
                    of_pair += count / n as f64 * (ln_n + count.ln() - ln_ab) * ln_probability.exp();
                }
                expected += of_pair * (rows * columns) as f64;
            }
        }
        expected
    }
}

/// Each different size with how often it occurs, ascending.
fn multiplicities(sizes: &[u64]) -> Vec<(u64, u64)> {
    let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
    sizes.iter().for_each(|size| *counts.entry(*size).or_default() += 1);
    counts.into_iter().collect()
}

/// Gives each distinct label the number of its first appearance; returns the numbers and the size of each.
fn number_labels<T: Eq + Hash + Copy>(labels: &[T]) -> (Vec<usize>, Vec<u64>) {
    let mut numbers: HashMap<T, usize> = HashMap::new();
    let mut sizes = Vec::new();
    let numbered = labels
        .iter()
        .map(|&label| {
            let number = *numbers.entry(label).or_insert_with(|| {
                sizes.push(0);
                sizes.len() - 1
            });
            sizes[number] += 1;
            number
        })
        .collect();
    (numbered, sizes)
}

/// `ln(i!)` for i from 0 to n. The sum is compensated: its error would otherwise grow to 1e-8 at 50,000 rows.
fn ln_factorials(n: usize) -> Vec<f64> {
    let mut table = Vec::with_capacity(n + 1);
    let (mut sum, mut lost) = (0.0_f64, 0.0_f64);
    table.push(0.0);
    for i in 1..=n {
        let term = (i as f64).ln() - lost;
        let next = sum + term;
        lost = (next - sum) - term;
        sum = next;
        table.push(sum);
    }
    table
}

fn away_from_zero(value: f64) -> f64 {
    if value < 0.0 { value.min(-f64::EPSILON) } else { value.max(f64::EPSILON) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        name: String,
        left: Vec<i32>,
        right: Vec<i32>,
        ami: f64,
        ari: f64,
    }

    #[test]
    fn agrees_with_scikit_learn() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../tests/fixtures/cluster/agreement.json")).unwrap();
        assert!(cases.len() >= 10);
        for Case { name, left, right, ami, ari } in cases {
            let got = adjusted_mutual_information(&left, &right).unwrap();
            assert!((got - ami).abs() < 1e-10, "{name}: AMI {got}, scikit-learn {ami}");
            let got = adjusted_rand_index(&left, &right).unwrap();
            assert!((got - ari).abs() < 1e-14, "{name}: ARI {got}, scikit-learn {ari}");
        }
    }

    /// Equation 24a term by term, for every pair of clusters.
    fn expected_of_every_pair(table: &Contingency) -> f64 {
        let n = table.n as usize;
        let ln = ln_factorials(n);
        let mut expected = 0.0;
        for a in table.rows.iter().map(|&size| size as usize) {
            for b in table.columns.iter().map(|&size| size as usize) {
                for shared in (a + b).saturating_sub(n).max(1)..=a.min(b) {
                    let ln_probability = ln[a] + ln[b] + ln[n - a] + ln[n - b]
                        - ln[n]
                        - ln[shared]
                        - ln[a - shared]
                        - ln[b - shared]
                        - ln[n + shared - a - b];
                    let (count, all) = (shared as f64, n as f64);
                    let information = count / all * (all * count / (a as f64 * b as f64)).ln();
                    expected += information * ln_probability.exp();
                }
            }
        }
        expected
    }

    #[test]
    fn clusters_of_the_same_size_are_expected_to_share_the_same() {
        let left: Vec<u64> = (0..3000_u64).map(|row| row.pow(2) % 611).collect();
        let right: Vec<u64> = (0..3000_u64).map(|row| row / 7 * row % 397).collect();
        let table = Contingency::new(&left, &right).unwrap();
        assert!(multiplicities(&table.rows).len() * 10 < table.rows.len());
        let (found, every) = (table.expected_mutual_information(), expected_of_every_pair(&table));
        assert!((found - every).abs() < 1e-11, "{found} {every}");
    }

    #[test]
    fn refuses_labellings_of_different_rows() {
        let error = adjusted_rand_index(&[1, 2], &[1]).unwrap_err();
        assert_eq!(error, LengthMismatch { left: 2, right: 1 });
        assert!(adjusted_mutual_information(&[1], &[1, 2]).is_err());
    }

    proptest! {
        #[test]
        fn symmetric_and_blind_to_names(pairs in prop::collection::vec((0_u8..5, 0_u8..7), 0..60)) {
            let (left, right): (Vec<u8>, Vec<u8>) = pairs.into_iter().unzip();
            let renamed: Vec<char> = left.iter().map(|&label| char::from(b'z' - label)).collect();
            for measure in [adjusted_mutual_information::<u8, u8>, adjusted_rand_index] {
                let value = measure(&left, &right).unwrap();
                prop_assert!((value - measure(&right, &left).unwrap()).abs() < 1e-12);
                prop_assert!((measure(&left, &left).unwrap() - 1.0).abs() < 1e-9);
            }
            prop_assert_eq!(
                adjusted_rand_index(&left, &right).unwrap(),
                adjusted_rand_index(&renamed, &right).unwrap()
            );
        }
    }
}
