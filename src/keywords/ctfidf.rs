//! Class-based TF-IDF: which terms set a class apart from the others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::counts::Counts;
use super::{Bag, Params};

/// A term that speaks for a class, and how much.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Keyword {
    /// A word, or words joined by spaces.
    pub term: String,
    /// Its c-TF-IDF, or what a reranking put in its place.
    pub score: f64,
}

/// The keywords of every class; see [`Weights`].
pub fn keywords<C: Ord + Copy>(counts: &Counts<C>, params: &Params) -> BTreeMap<C, Vec<Keyword>> {
    let weights = Weights::new(counts, params);
    counts.classes().map(|class| (class, weights.keywords(class, params.top_n_words))).collect()
}

/// The weight of every term over one state of the counts, by which each class is then weighed by itself.
///
/// A class's score of a term is its share of the class's words (L1 norm; the square root with
/// `reduce_frequent_words`) times the term's weight `ln(1 + A / f)`, with f the term's count in all classes and A the
/// mean number of words of a class, its fraction cut off. With `bm25_weighting` the weight is
/// `ln(1 + (A − f + 0.5) / (f + 0.5))`, and 0 for a term with f > A + 0.5, where the reference's is negative: a term
/// more frequent than a mean class says nothing of any. Weights of seed words are multiplied by `seed_multiplier`.
/// All classes that have words count, that of the outliers too if the caller keeps one. Terms that `min_df`, `max_df`
/// or `max_features` leave out are as if never counted.
///
/// Cost: O(vocabulary) to make (and once more to choose `max_features`), then O(terms of the class) for each class
/// asked; a [`Ranking`](super::Ranking) asks only the classes that changed. No class, no words: no keywords.
///
/// Source: Grootendorst 2022 (arXiv 2203.05794), section 3.3; BERTopic 0.17.4, `ClassTfidfTransformer`. Differences:
/// documents are tokenised one by one, so no n-gram spans two of them; BERTopic fills missing keywords with `""`, here
/// the list is shorter; equal scores are ordered by term.
#[derive(Debug)]
pub struct Weights<'c, C> {
    counts: &'c Counts<C>,
    /// By term id; `None` for ids that are free or left out.
    idf: Vec<Option<f64>>,
    reduce_frequent_words: bool,
}

impl<'c, C: Ord + Copy> Weights<'c, C> {
    /// Weighs every term of `counts`.
    pub fn new(counts: &'c Counts<C>, params: &Params) -> Self {
        let chosen = choose(counts, params);
        let totals = counts.by_id().iter().map(|term| term.total);
        let words: f64 =
            totals.clone().zip(&chosen).filter(|(_, chosen)| **chosen).map(|(total, _)| total).sum();
        let mean = (words / counts.classes().len().max(1) as f64).trunc();
        let weigh = |f: f64| {
            if params.bm25_weighting {
                (1.0 + (mean - f + 0.5) / (f + 0.5)).ln().max(0.0)
            } else {
                (1.0 + mean / f).ln()
            }
        };
        let mut idf: Vec<_> =
            totals.zip(&chosen).map(|(total, chosen)| chosen.then(|| weigh(total))).collect();
        let mut seeds: Vec<_> = params.seed_words.iter().map(|word| word.to_lowercase()).collect();
        seeds.sort_unstable();
        seeds.dedup();
        for id in seeds.iter().filter_map(|seed| counts.id(seed)) {
            idf[id as usize] = idf[id as usize].map(|weight| weight * params.seed_multiplier);
        }
        Self { counts, idf, reduce_frequent_words: params.reduce_frequent_words }
    }

    /// Weights by term id.
    pub(super) fn idf(&self) -> &[Option<f64>] {
        &self.idf
    }

    /// The weight of `term`; `None` if it is not known or left out.
    pub fn of(&self, term: &str) -> Option<f64> {
        self.idf[self.counts.id(term)? as usize]
    }

    /// The classes in which `term` occurs with its score there, best first, ties to the first class.
    /// O(classes × log(terms of a class)) and the words of each class that has it.
    pub fn classes(&self, term: &str) -> Vec<(C, f64)> {
        let Some(id) = self.counts.id(term) else { return Vec::new() };
        let holders = self.counts.by_class().filter(|(_, counts)| counts.get(id).is_some());
        let mut found: Vec<(C, f64)> = holders
            .filter_map(|(class, _)| {
                let vector = self.class_vector(class);
                let at = vector.entries.binary_search_by_key(&id, |entry| entry.0).ok()?;
                Some((class, vector.entries[at].1))
            })
            .collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found
    }

    /// The `n` terms of `class` with the highest scores above 0, best first.
    pub fn keywords(&self, class: C, n: usize) -> Vec<Keyword> {
        let best = self.best(class, n);
        best.into_iter().map(|(id, score)| Keyword { term: self.text(id).to_owned(), score }).collect()
    }

    /// Likewise, as term ids with their scores.
    fn best(&self, class: C, n: usize) -> Vec<(u32, f64)> {
        let mut scored = self.class_vector(class).entries;
        scored.retain(|&(_, score)| score > 0.0);
        if scored.len() > n {
            scored.select_nth_unstable_by(n, |a, b| self.best_first(a, b));
            scored.truncate(n);
        }
        scored.sort_unstable_by(|a, b| self.best_first(a, b));
        scored
    }

    fn best_first(&self, a: &(u32, f64), b: &(u32, f64)) -> std::cmp::Ordering {
        b.1.total_cmp(&a.1).then_with(|| self.text(a.0).cmp(self.text(b.0)))
    }

    pub(super) fn text(&self, id: u32) -> &'c str {
        &self.counts.by_id()[id as usize].text
    }

    /// The scores of all terms of `class`; empty for a class without words.
    pub fn class_vector(&self, class: C) -> TermVector {
        self.vector(self.counts.class(class).into_iter().flat_map(super::ClassCounts::iter))
    }

    /// The scores of a document's terms, those known to some class: what is compared with
    /// [`class_vector`](Self::class_vector) to find the documents that represent a class.
    pub fn document_vector(&self, document: &Bag) -> TermVector {
        let known = document.iter().filter_map(|(term, n)| Some((self.counts.id(term)?, f64::from(n))));
        let mut counted: Vec<_> = known.collect();
        counted.sort_unstable_by_key(|&(id, _)| id);
        self.vector(counted.iter().copied())
    }

    fn vector(&self, counted: impl Iterator<Item = (u32, f64)> + Clone) -> TermVector {
        TermVector { entries: self.weigh(counted).map(|(id, share, weight)| (id, share * weight)).collect() }
    }

    /// (term id, its share of the words, its weight) of every term that counts.
    pub(super) fn weigh(
        &self,
        counted: impl Iterator<Item = (u32, f64)> + Clone,
    ) -> impl Iterator<Item = (u32, f64, f64)> {
        let weighed = counted.filter_map(|(id, count)| Some((id, count, self.idf[id as usize]?)));
        let words: f64 = weighed.clone().map(|(_, count, _)| count).sum();
        let reduce = self.reduce_frequent_words;
        weighed.map(move |(id, count, weight)| {
            let share = count / words;
            (id, if reduce { share.sqrt() } else { share }, weight)
        })
    }
}

/// Which terms count at all, by id: what `min_df`, `max_df` and `max_features` leave.
fn choose<C: Ord + Copy>(counts: &Counts<C>, params: &Params) -> Vec<bool> {
    let terms = counts.by_id();
    let most_classes = params.max_df * counts.classes().len() as f64;
    let mut chosen: Vec<bool> = (terms.iter())
        .map(|term| {
            term.total > 0.0
                && term.total >= f64::from(params.min_df)
                && f64::from(term.classes) <= most_classes
        })
        .collect();
    let mut left: Vec<usize> = (0..terms.len()).filter(|id| chosen[*id]).collect();
    if params.max_features > 0 && left.len() > params.max_features {
        let (_, _, rare) = left.select_nth_unstable_by(params.max_features - 1, |&a, &b| {
            let (a, b) = (&terms[a], &terms[b]);
            b.total.total_cmp(&a.total).then_with(|| a.text.cmp(&b.text))
        });
        rare.iter().for_each(|id| chosen[*id] = false);
    }
    chosen
}

/// A sparse vector over the vocabulary: term id and score, ids ascending. Comparable only with vectors of the same
/// [`Weights`].
#[derive(Debug, Clone, PartialEq)]
pub struct TermVector {
    entries: Vec<(u32, f64)>,
}

impl TermVector {
    /// Cosine of the angle between two vectors; 0 where one is empty. O(terms of both).
    pub fn cosine(&self, other: &Self) -> f64 {
        let mut theirs = other.entries.iter().peekable();
        let mut dot = 0.0;
        for &(id, score) in &self.entries {
            while theirs.next_if(|entry| entry.0 < id).is_some() {}
            if let Some(&(_, their_score)) = theirs.next_if(|entry| entry.0 == id) {
                dot += score * their_score;
            }
        }
        let norms = self.norm() * other.norm();
        if norms > 0.0 { dot / norms } else { 0.0 }
    }

    /// Sum of all scores.
    pub fn sum(&self) -> f64 {
        self.entries.iter().map(|(_, score)| score).sum()
    }

    fn norm(&self) -> f64 {
        self.entries.iter().map(|(_, score)| score * score).sum::<f64>().sqrt()
    }
}
