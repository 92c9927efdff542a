//! Latent semantic analysis: documents as points that lie near to each other where their words do.
//!
//! Each document is a row of tf-idf with sublinear term frequencies, of length 1, projected onto the leading right singular
//! directions of all rows. Two documents that share no word are near if their words occur with the same other words.
//!
//! Sources: Deerwester, Dumais, Furnas, Landauer, Harshman 1990, "Indexing by latent semantic analysis"; subspace
//! iteration: Halko, Martinsson, Tropp 2011, "Finding structure with randomness", algorithm 4.4; orthonormal columns by
//! the Cholesky factor of their inner products, twice: Yamamoto, Nakatsukasa, Yanagisawa, Fukaya 2015.

use hashbrown::HashMap;
use rand::{Rng as _, SeedableRng, rngs::SmallRng};
use rayon::prelude::*;

use super::Bag;

/// Directions of the words' space.
pub const DIRECTIONS: usize = 96;
/// Documents that a term must occur in.
const LEAST_DOCUMENTS: u32 = 3;
/// Share of the documents above which a term tells nothing.
const MOST_DOCUMENTS: f64 = 0.3;
/// Terms, the most frequent first.
const TERMS: usize = 30_000;
/// Products with the matrix and its transpose.
const ROUNDS: usize = 3;
/// Rows that one task takes; sums run over such chunks in order, so the threads don't show.
const CHUNK: usize = 512;

/// A document's or a term's coordinates.
pub type Coordinates = [f32; DIRECTIONS];

/// The coordinates of each of `bags`, of length 1, or 0 for a document without a term that others have too.
/// O(words × directions + terms × directions²). The same `seed` gives the same answer.
pub fn coordinates(bags: &[&Bag], seed: u64) -> Vec<Coordinates> {
    let documents = weighted(bags);
    let terms = documents.transposed();
    let mut rng = SmallRng::seed_from_u64(seed);
    let random = std::iter::repeat_with(|| std::array::from_fn(|_| rng.random_range(-1.0_f32..1.0)));
    let mut basis: Vec<Coordinates> = random.take(terms.rows()).collect();
    orthonormalise(&mut basis);
    for _ in 0..ROUNDS {
        basis = terms.times(&documents.times(&basis));
        orthonormalise(&mut basis);
    }
    orthonormalise(&mut basis);
    let mut found = documents.times(&basis);
    found.par_iter_mut().for_each(|row| {
        let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
        if length > 0.0 {
            row.iter_mut().for_each(|value| *value /= length);
        }
    });
    found
}

/// A matrix by rows: the columns that are not 0, with their values.
struct Sparse {
    first: Vec<usize>,
    entries: Vec<(u32, f32)>,
    columns: usize,
}

/// tf-idf of each document's terms, each row of length 1.
fn weighted(bags: &[&Bag]) -> Sparse {
    let mut frequency: HashMap<&str, u32> = HashMap::new();
    for (term, _) in bags.iter().flat_map(|bag| bag.iter()) {
        *frequency.entry(term).or_insert(0) += 1;
    }
    let documents = bags.len() as f64;
    let most = (documents * MOST_DOCUMENTS) as u32;
    let mut terms: Vec<(&str, u32)> =
        frequency.into_iter().filter(|(_, n)| (LEAST_DOCUMENTS..=most).contains(n)).collect();
    terms.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    terms.truncate(TERMS);
    let idf = |n: u32| ((1.0 + documents) / (1.0 + f64::from(n))).ln() as f32 + 1.0;
    let numbers: HashMap<&str, (u32, f32)> =
        terms.iter().enumerate().map(|(number, (term, n))| (*term, (number as u32, idf(*n)))).collect();
    let mut rows = Sparse { first: vec![0], entries: Vec::new(), columns: terms.len() };
    for bag in bags {
        let start = rows.entries.len();
        rows.entries.extend(bag.iter().filter_map(|(term, count)| {
            let (number, idf) = numbers.get(term)?;
            Some((*number, (1.0 + (count as f32).ln()) * idf))
        }));
        let own = &mut rows.entries[start..];
        let length = own.iter().map(|(_, weight)| weight * weight).sum::<f32>().sqrt();
        own.iter_mut().for_each(|(_, weight)| *weight /= length);
        rows.first.push(rows.entries.len());
    }
    rows
}

impl Sparse {
    fn rows(&self) -> usize {
        self.first.len() - 1
    }

    /// O(entries).
    fn transposed(&self) -> Self {
        let mut first = vec![0; self.columns + 1];
        self.entries.iter().for_each(|(column, _)| first[*column as usize + 1] += 1);
        for column in 0..self.columns {
            first[column + 1] += first[column];
        }
        let mut next = first.clone();
        let mut entries = vec![(0, 0.0); self.entries.len()];
        for row in 0..self.rows() {
            for (column, value) in &self.entries[self.first[row]..self.first[row + 1]] {
                let place = &mut next[*column as usize];
                entries[*place] = (row as u32, *value);
                *place += 1;
            }
        }
        Self { first, entries, columns: self.rows() }
    }

    /// The product with `right`, one row for each column of these.
    fn times(&self, right: &[Coordinates]) -> Vec<Coordinates> {
        let row = |row: usize| {
            let mut sum = [0.0; DIRECTIONS];
            for (column, value) in &self.entries[self.first[row]..self.first[row + 1]] {
                add(&mut sum, *value, &right[*column as usize]);
            }
            sum
        };
        (0..self.rows()).into_par_iter().map(row).collect()
    }
}

fn add(sum: &mut Coordinates, factor: f32, row: &Coordinates) {
    sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += factor * value);
}

/// Makes the columns orthonormal; one that depends on those before it becomes 0. O(rows × directions²).
fn orthonormalise(rows: &mut [Coordinates]) {
    let inverse = inverse_factor(&inner_products(rows));
    rows.par_iter_mut().for_each(|row| {
        let mut product = [0.0; DIRECTIONS];
        row.iter().zip(&inverse).for_each(|(value, inverse)| add(&mut product, *value, inverse));
        *row = product;
    });
}

/// `AᵀA`, summed in `f64`: in `f32` a column that depends on others keeps a rest that is only rounding.
fn inner_products(rows: &[Coordinates]) -> Vec<[f64; DIRECTIONS]> {
    let nothing = || vec![[0.0; DIRECTIONS]; DIRECTIONS];
    let of = |rows: &[Coordinates]| {
        let mut sums = nothing();
        for row in rows.iter().map(|row| row.map(f64::from)) {
            for (value, sums) in row.iter().zip(&mut sums) {
                sums.iter_mut().zip(&row).for_each(|(sum, other)| *sum += value * other);
            }
        }
        sums
    };
    let parts: Vec<Vec<[f64; DIRECTIONS]>> = rows.par_chunks(CHUNK).map(of).collect();
    let mut all = nothing();
    for part in parts {
        for (all, part) in all.iter_mut().zip(&part) {
            all.iter_mut().zip(part).for_each(|(all, part)| *all += part);
        }
    }
    all
}

/// The inverse of the upper factor `R` of `RᵀR`; a column without a length of its own is 0.
fn inverse_factor(products: &[[f64; DIRECTIONS]]) -> Vec<Coordinates> {
    let mut factor = vec![[0.0_f64; DIRECTIONS]; DIRECTIONS];
    let mut inverse = vec![[0.0_f64; DIRECTIONS]; DIRECTIONS];
    for column in 0..DIRECTIONS {
        for row in 0..=column {
            let before: f64 = (0..row).map(|k| factor[k][row] * factor[k][column]).sum();
            let left = products[row][column] - before;
            factor[row][column] = if row < column {
                if factor[row][row] > 0.0 { left / factor[row][row] } else { 0.0 }
            } else if left > products[column][column] * 1e-9 {
                left.sqrt()
            } else {
                0.0
            };
        }
        if factor[column][column] > 0.0 {
            for (row, inverse) in inverse.iter_mut().enumerate().take(column) {
                let sum: f64 = (row..column).map(|k| inverse[k] * factor[k][column]).sum();
                inverse[column] = -sum / factor[column][column];
            }
            inverse[column][column] = 1.0 / factor[column][column];
        }
    }
    inverse.iter().map(|row| row.map(|value| value as f32)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bag(terms: &[&str]) -> Bag {
        let mut bag = Bag::default();
        terms.iter().for_each(|term| bag.add(term, 1));
        bag
    }

    fn cosine(a: &Coordinates, b: &Coordinates) -> f32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn documents_lie_together_whose_words_occur_together() {
        // "car" and "automobile" never meet, but both occur with "engine" and "wheel".
        let kinds: [&[&str]; 8] = [
            &["car", "engine", "wheel"],
            &["automobile", "engine", "wheel"],
            &["goal", "league"],
            &["goal", "coach"],
            &["bank", "stocks"],
            &["bank", "shares"],
            &["planet", "orbit"],
            &["planet", "moon"],
        ];
        let mut bags: Vec<Bag> = (0..80).map(|number| bag(kinds[number % 8])).collect();
        bags.push(bag(&["car"]));
        bags.push(bag(&["automobile"]));
        bags.push(bag(&["nothing", "like", "it"]));
        let found = coordinates(&bags.iter().collect::<Vec<_>>(), 1);
        assert!(cosine(&found[0], &found[1]) > 0.5, "{}", cosine(&found[0], &found[1]));
        assert!(cosine(&found[0], &found[2]).abs() < 1e-3);
        assert_eq!(found[82], [0.0; DIRECTIONS], "a document of terms that no other has");
        assert!(coordinates(&[], 1).is_empty());
    }

    #[test]
    fn with_as_many_directions_as_terms_cosines_are_those_of_tf_idf() {
        let mut rng = SmallRng::seed_from_u64(3);
        let terms: Vec<String> = (0..30).map(|number| format!("t{number}")).collect();
        let bags: Vec<Bag> = (0..200)
            .map(|_| {
                let mut bag = Bag::default();
                (0..5).for_each(|_| bag.add(&terms[rng.random_range(0..30)], 1));
                bag
            })
            .collect();
        let bags: Vec<&Bag> = bags.iter().collect();
        let (found, weights) = (coordinates(&bags, 7), weighted(&bags));
        let dense = |row: usize| {
            let mut dense = [0.0; 30];
            weights.entries[weights.first[row]..weights.first[row + 1]]
                .iter()
                .for_each(|(term, weight)| dense[*term as usize] = *weight);
            dense
        };
        for (a, b) in (0..200).zip((0..200).rev()) {
            let expected: f32 = dense(a).iter().zip(dense(b)).map(|(a, b)| a * b).sum();
            assert!((cosine(&found[a], &found[b]) - expected).abs() < 1e-3, "{a} and {b}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn columns_are_orthonormal_or_nothing(rows in 1_usize..300, seed in any::<u64>()) {
            let mut rng = SmallRng::seed_from_u64(seed);
            let mut basis: Vec<Coordinates> =
                (0..rows).map(|_| std::array::from_fn(|_| rng.random_range(-1.0_f32..1.0))).collect();
            orthonormalise(&mut basis);
            orthonormalise(&mut basis);
            for (a, products) in inner_products(&basis).iter().enumerate() {
                for (b, product) in products.iter().enumerate() {
                    let whole = a == b && *product > 0.5;
                    prop_assert!((product - if whole { 1.0 } else { 0.0 }).abs() < 1e-3, "{a} {b} {product}");
                }
            }
        }
    }
}
