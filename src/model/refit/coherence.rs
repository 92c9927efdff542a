//! Whether a topic's keywords are found together in documents: what a reader feels as "these words belong together".

use std::collections::HashMap;

use crate::keywords::{Bag, Keyword};

/// Keywords of a topic that are looked at.
const WORDS: usize = 10;

/// Mean NPMI over all pairs of the best ten keywords of each list, in [-1, 1]; none for a list of fewer than two words
/// that occur in `documents`.
///
/// NPMI of two words is `ln(p₁₂ / (p₁ p₂)) / −ln p₁₂`, with p the share of documents that hold a word, or both; −1 if
/// never together. Time O(words of all documents + pairs found), memory O(pairs).
///
/// Source: Bouma 2009, "Normalized (Pointwise) Mutual Information in Collocation Extraction"; as a measure of topics:
/// Lau, Newman, Baldwin 2014.
pub fn coherence<'a>(topics: &[&[Keyword]], documents: impl Iterator<Item = &'a Bag>) -> Vec<Option<f64>> {
    let mut places: HashMap<&str, Vec<(usize, usize)>> = HashMap::new();
    for (topic, keywords) in topics.iter().enumerate() {
        for (rank, keyword) in keywords.iter().take(WORDS).enumerate() {
            places.entry(&keyword.term).or_default().push((topic, rank));
        }
    }
    let mut single = vec![[0_u32; WORDS]; topics.len()];
    let mut pairs = vec![[[0_u32; WORDS]; WORDS]; topics.len()];
    let mut all = 0_u32;
    for document in documents {
        all += 1;
        let mut found: Vec<(usize, usize)> =
            document.iter().filter_map(|(word, _)| places.get(word)).flatten().copied().collect();
        found.sort_unstable();
        for together in found.chunk_by(|a, b| a.0 == b.0) {
            for (at, (topic, rank)) in together.iter().enumerate() {
                single[*topic][*rank] += 1;
                together[at + 1..].iter().for_each(|(_, later)| pairs[*topic][*rank][*later] += 1);
            }
        }
    }
    (single.iter().zip(&pairs)).map(|(single, pairs)| mean(single, pairs, all)).collect()
}

fn mean(single: &[u32; WORDS], pairs: &[[u32; WORDS]; WORDS], all: u32) -> Option<f64> {
    let share = |count: u32| f64::from(count) / f64::from(all);
    let mut npmi = Vec::new();
    for a in (0..WORDS).filter(|rank| single[*rank] > 0) {
        for b in (a + 1..WORDS).filter(|rank| single[*rank] > 0) {
            let (one, other, both) = (share(single[a]), share(single[b]), share(pairs[a][b]));
            npmi.push(match both {
                0.0 => -1.0,
                1.0 => 1.0,
                _ => (both / (one * other)).ln() / -both.ln(),
            });
        }
    }
    (!npmi.is_empty()).then(|| npmi.iter().sum::<f64>() / npmi.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(terms: &[&str]) -> Vec<Keyword> {
        terms.iter().map(|term| Keyword { term: (*term).to_owned(), score: 1.0 }).collect()
    }

    fn bag(terms: &[&str]) -> Bag {
        let mut bag = Bag::default();
        terms.iter().for_each(|term| bag.add(term, 1));
        bag
    }

    #[test]
    fn words_that_come_together_are_coherent_and_strangers_are_not() {
        let documents = [
            bag(&["goal", "league"]),
            bag(&["goal", "league", "coach"]),
            bag(&["bank", "stocks"]),
            bag(&["bank"]),
        ];
        let lists = [
            words(&["goal", "league"]),
            words(&["goal", "stocks"]),
            words(&["bank", "stocks"]),
            words(&["x"]),
        ];
        let lists: Vec<&[Keyword]> = lists.iter().map(Vec::as_slice).collect();
        let found = coherence(&lists, documents.iter());
        assert_eq!(found[0], Some(1.0), "both in the same half of the documents");
        assert_eq!(found[1], Some(-1.0));
        // p₁₂ = 1/4, p₁ = 1/2, p₂ = 1/4: ln 2 / ln 4.
        assert!((found[2].unwrap() - 0.5).abs() < 1e-12);
        assert_eq!(found[3], None);
    }
}
