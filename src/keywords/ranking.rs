//! Keywords of every class, brought up to date at the cost of what changed.

use std::collections::BTreeMap;

use super::ctfidf::Weights;
use super::{ClassCounts, Counts, Keyword, Params};

/// Terms that are remembered for each class by default. From the 10th to the 100th term c-TF-IDF falls to about a
/// fifth, so the weights may grow that much before a class is weighed from the start.
const REMEMBERED: usize = 100;

/// Far more than the rounding of a few products, which must not decide between equal scores.
const ROUNDING: f64 = 1e-9;

/// The best terms of every class, kept from one [`update`](Self::update) to the next.
///
/// The weight of every term moves with every document, as it depends on the counts of all classes. But a class whose
/// own counts stayed can only have other keywords if some term beyond the remembered ones overtook them, and no term's
/// score grew by more than the largest growth of any weight. So an update weighs anew the classes that changed, gives
/// the remembered terms of the others their new scores, and weighs another class from the start only if its last
/// keyword no longer beats that bound. The result is that of [`keywords`](super::keywords), to the bit.
///
/// Cost of an update: O(vocabulary + terms of the changed classes + classes × remembered). When `min_df`, `max_df` or
/// `max_features` let a term in or out, also one look at the terms of every class.
///
/// Two rankings are equal: this is a memory of what the counts say, and says nothing itself.
#[derive(Debug, Clone)]
pub struct Ranking<C> {
    /// The counts' revision at the last update.
    revision: u64,
    params: Option<Params>,
    idf: Vec<Option<f64>>,
    classes: BTreeMap<C, Ranked>,
    /// Terms that are remembered for each class, if more are not asked for.
    remembered: usize,
}

/// What is remembered of one class.
#[derive(Debug, Clone)]
struct Ranked {
    /// Best first.
    best: Vec<Scored>,
    /// No other term of the class scores more than this.
    beyond: f64,
}

#[derive(Debug, Clone, Copy)]
struct Scored {
    id: u32,
    /// Of the class's words.
    share: f64,
    score: f64,
}

impl<C> Default for Ranking<C> {
    fn default() -> Self {
        Self::remembering(REMEMBERED)
    }
}

impl<C> PartialEq for Ranking<C> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// How weights moved since the last update.
struct Moves {
    /// The largest new weight over the old one, of the terms that count before and after.
    growth: f64,
    /// By term id: it counts now and did not, or the other way round.
    crossed: Option<Vec<bool>>,
}

impl<C> Ranking<C> {
    /// An empty ranking that remembers so many terms of each class.
    pub(super) fn remembering(remembered: usize) -> Self {
        Self { revision: 0, params: None, idf: Vec::new(), classes: BTreeMap::new(), remembered }
    }
}

impl<C: Ord + Copy> Ranking<C> {
    /// The keywords of every class of `counts`, best first, `params.top_n_words` each.
    pub fn update(&mut self, counts: &Counts<C>, params: &Params) -> BTreeMap<C, Vec<Keyword>> {
        self.update_to(counts, params, params.top_n_words)
    }

    /// Likewise, the `n` best of each class.
    pub fn update_to(&mut self, counts: &Counts<C>, params: &Params, n: usize) -> BTreeMap<C, Vec<Keyword>> {
        let weights = Weights::new(counts, params);
        if self.params.as_ref() != Some(params) || counts.revision() < self.revision {
            *self = Self { params: Some(params.clone()), ..Self::remembering(self.remembered) };
        }
        let moves = self.moves(counts, &weights);
        let mut before = std::mem::take(&mut self.classes);
        let mut keywords = BTreeMap::new();
        for (class, words) in counts.by_class() {
            let stayed = words.revision <= self.revision
                && moves
                    .crossed
                    .as_ref()
                    .is_none_or(|crossed| !words.iter().any(|(id, _)| crossed[id as usize]));
            let known = before.remove(&class).filter(|_| stayed);
            let ranked = known
                .and_then(|ranked| ranked.moved(moves.growth, &weights, n))
                .unwrap_or_else(|| Ranked::new(&weights, words, n.max(self.remembered)));
            keywords.insert(class, ranked.keywords(&weights, n));
            self.classes.insert(class, ranked);
        }
        self.idf = weights.idf().to_vec();
        self.revision = counts.revision();
        keywords
    }

    fn moves(&self, counts: &Counts<C>, weights: &Weights<'_, C>) -> Moves {
        let mut moves = Moves { growth: 1.0, crossed: None };
        for (id, (term, after)) in counts.by_id().iter().zip(weights.idf()).enumerate() {
            // A term that came since is in no class that stayed, whatever term had its id before.
            if term.born > self.revision || term.text.is_empty() {
                continue;
            }
            match (self.idf.get(id).copied().flatten(), after) {
                (Some(before), Some(after)) if before > 0.0 => {
                    moves.growth = moves.growth.max(after / before);
                }
                (Some(_), Some(after)) if *after == 0.0 => {}
                (None, None) => {}
                _ => moves.crossed.get_or_insert_with(|| vec![false; counts.by_id().len()])[id] = true,
            }
        }
        moves
    }
}

impl Ranked {
    fn new<C: Ord + Copy>(weights: &Weights<'_, C>, words: &ClassCounts, keep: usize) -> Self {
        let scored = weights.weigh(words.iter()).map(|(id, share, weight)| Scored {
            id,
            share,
            score: share * weight,
        });
        let mut best: Vec<Scored> = scored.filter(|term| term.score > 0.0).collect();
        let mut beyond = 0.0;
        if best.len() > keep {
            let (_, next, _) = best.select_nth_unstable_by(keep, |a, b| best_first(a, b, weights));
            beyond = next.score;
            best.truncate(keep);
        }
        best.sort_unstable_by(|a, b| best_first(a, b, weights));
        Self { best, beyond }
    }

    /// The same class under the new weights; `None` if a term that is not remembered may be among the `n` best.
    fn moved<C: Ord + Copy>(mut self, growth: f64, weights: &Weights<'_, C>, n: usize) -> Option<Self> {
        self.beyond *= growth;
        for term in &mut self.best {
            term.score = term.share * weights.idf()[term.id as usize]?;
        }
        self.best.sort_unstable_by(|a, b| best_first(a, b, weights));
        let safe = match self.best.get(n.saturating_sub(1)) {
            Some(last) => last.score > self.beyond * (1.0 + ROUNDING),
            None => self.beyond == 0.0,
        };
        safe.then_some(self)
    }

    fn keywords<C: Ord + Copy>(&self, weights: &Weights<'_, C>, n: usize) -> Vec<Keyword> {
        let best = self.best.iter().take(n).filter(|term| term.score > 0.0);
        best.map(|term| Keyword { term: weights.text(term.id).to_owned(), score: term.score }).collect()
    }
}

fn best_first<C: Ord + Copy>(a: &Scored, b: &Scored, weights: &Weights<'_, C>) -> std::cmp::Ordering {
    b.score.total_cmp(&a.score).then_with(|| weights.text(a.id).cmp(weights.text(b.id)))
}
