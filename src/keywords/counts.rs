//! How often each term occurs in each class, kept while documents come, move and go.

use std::collections::BTreeMap;
use std::sync::Arc;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use super::vocabulary::{Term, Vocabulary};
use super::{Bag, ClassCounts};

/// Half-lives after which the epoch moves by itself.
const FAR: u64 = 32;
/// A count below this is none: what decay leaves of old words must not stay for ever.
const NEGLIGIBLE: f64 = 1e-6;

/// Term counts of every class over one vocabulary of bounded size.
///
/// Counting is incremental and exact: without [`scale`](Self::scale), the counts after any sequence of adding,
/// removing and merging are those of counting the remaining documents at once (sums of whole numbers in `f64`).
///
/// Bound: at most `max_vocabulary` terms. When a bag takes the vocabulary over it, the terms with the smallest
/// totals over all classes go (equal totals: the later in the alphabet) until half of it is left, with their
/// counts. The true count of any term, had nothing been evicted, exceeds the one kept by
/// [`missing_at_most`](Self::missing_at_most) at most: every eviction adds the largest total that it dropped.
///
/// Decay: with a half-life, an occurrence that was [counted at](Self::add_at) `a` weighs `0.5^((now − a) / half-life)`.
/// Written forward, so that nothing already counted changes while documents come: a document at `at` counts
/// `2^((at − epoch) / half-life)`, and [`advance`](Self::advance) moves the epoch. What was added at some time can be
/// taken away with the same weight at any later one. (Cormode, Shkapenyuk, Srivastava, Xu 2009, "Forward decay".)
///
/// Memory: ~60 bytes a term, ~12 bytes a (class, term) pair. Adding a bag of n terms to a class of m costs
/// O(n log m), and O(m) more if any is new to the class. Two stores are equal if their classes and counts are; ids of
/// terms and their order of coming don't matter.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(
    into = "Saved<C>",
    from = "Saved<C>",
    bound(serialize = "C: Ord + Copy + Serialize", deserialize = "C: Ord + Copy + Deserialize<'de>")
)]
pub struct Counts<C> {
    max_vocabulary: usize,
    missing_at_most: f64,
    /// In documents of the stream; 0 for no decay.
    half_life: u64,
    /// When a document counts 1.
    epoch: u64,
    /// Counts every change of a class, so that a [`Ranking`](super::Ranking) knows which changed since.
    revision: u64,
    vocabulary: Vocabulary,
    /// Shared with copies until one of them changes a class: a draft of the next version costs what it changes.
    classes: BTreeMap<C, Arc<ClassCounts>>,
}

impl<C: Ord + Copy> Counts<C> {
    /// An empty store for at most `max_vocabulary` different terms.
    pub fn new(max_vocabulary: usize) -> Self {
        Self {
            max_vocabulary,
            missing_at_most: 0.0,
            half_life: 0,
            epoch: 0,
            revision: 0,
            vocabulary: Vocabulary::default(),
            classes: BTreeMap::new(),
        }
    }

    /// Bounds the vocabulary anew; a bound that is too small for what is counted works with the next document.
    pub fn limit(&mut self, max_vocabulary: usize) {
        self.max_vocabulary = max_vocabulary;
    }

    /// The half-life in documents of the stream; 0 for no decay.
    pub fn half_life(&self) -> u64 {
        self.half_life
    }

    /// Decays by `half_life` from `now` on, 0 for no decay; what was counted before weighs as if it had come now.
    /// Everything counted has shrunk by the factor that is returned.
    pub fn decay_from(&mut self, now: u64, half_life: u64) -> f64 {
        let factor = self.advance(now);
        (self.half_life, self.epoch) = (half_life, now);
        factor
    }

    /// Counts the terms of documents that came as the stream's `at`-th.
    pub fn add_at(&mut self, class: C, bag: &Bag, at: u64) {
        self.keep_near(at);
        self.add(class, bag, self.weight(at));
    }

    /// [Advances](Self::advance) if `at` lies so far from the epoch that weights would leave the range of numbers.
    pub fn keep_near(&mut self, at: u64) -> f64 {
        let far = self.half_life > 0 && at.saturating_sub(self.epoch) / self.half_life > FAR;
        if far { self.advance(at) } else { 1.0 }
    }

    /// Takes back what [`add_at`](Self::add_at) counted with the same `at`, at any later time.
    pub fn remove_at(&mut self, class: C, bag: &Bag, at: u64) {
        self.remove(class, bag, self.weight(at));
    }

    /// Makes `now` the time at which a document counts 1; everything counted shrinks by the factor that is returned.
    /// O(all counts) with a half-life, nothing without one.
    pub fn advance(&mut self, now: u64) -> f64 {
        if self.half_life == 0 || now <= self.epoch {
            return 1.0;
        }
        let factor = 1.0 / self.weight(now);
        self.scale(factor);
        self.epoch = now;
        factor
    }

    /// What a document that came as the stream's `at`-th counts.
    pub fn weight(&self, at: u64) -> f64 {
        if self.half_life == 0 {
            return 1.0;
        }
        ((at as f64 - self.epoch as f64) / self.half_life as f64).exp2()
    }

    /// Counts a document's or a batch's terms for `class`, each occurrence as `weight`.
    pub fn add(&mut self, class: C, bag: &Bag, weight: f64) {
        self.add_terms(class, bag.iter().map(|(term, count)| (term, f64::from(count) * weight)));
    }

    /// Counts terms for `class` by given amounts: a class as [`terms`](Self::terms) once told it.
    pub fn add_terms<'t>(&mut self, class: C, terms: impl Iterator<Item = (&'t str, f64)>) {
        let born = self.revision + 1;
        let counted = terms.filter(|&(_, amount)| amount > NEGLIGIBLE);
        let mut amounts: Vec<(u32, f64)> =
            counted.map(|(text, amount)| (self.vocabulary.intern(text, born), amount)).collect();
        amounts.sort_unstable_by_key(|&(id, _)| id);
        amounts.dedup_by(|again, first| {
            again.0 == first.0 && {
                first.1 += again.1;
                true
            }
        });
        let known = self.vocabulary.by_id_mut();
        for &(id, amount) in &amounts {
            known[id as usize].total += amount;
        }
        if !amounts.is_empty() {
            for id in self.change(class).add(amounts.into_iter()) {
                self.vocabulary.by_id_mut()[id as usize].classes += 1;
            }
        }
        if self.vocabulary.len() > self.max_vocabulary {
            self.evict();
        }
    }

    /// Takes back what [`add`](Self::add) counted; never goes below zero.
    pub fn remove(&mut self, class: C, bag: &Bag, weight: f64) {
        self.remove_terms(class, bag.iter().map(|(term, count)| (term, f64::from(count) * weight)));
    }

    /// Takes back what [`add_terms`](Self::add_terms) counted; never goes below zero.
    pub fn remove_terms<'t>(&mut self, class: C, terms: impl Iterator<Item = (&'t str, f64)>) {
        let Some(mut counts) = self.take(class) else { return };
        let mut any_gone = false;
        for (text, amount) in terms {
            let Some(id) = self.vocabulary.id(text) else { continue };
            let Some(present) = counts.get_mut(id).filter(|present| **present > 0.0) else { continue };
            if *present - amount > NEGLIGIBLE {
                *present -= amount;
                self.vocabulary.by_id_mut()[id as usize].total -= amount;
            } else {
                self.vocabulary.release(id, std::mem::take(present));
                any_gone = true;
            }
        }
        if any_gone {
            counts.retain(|_, count| *count > 0.0);
        }
        self.put(class, counts);
    }

    /// Moves every count of class `from` to class `into`.
    pub fn merge_classes(&mut self, from: C, into: C) {
        if from == into {
            return;
        }
        let Some(moved) = self.classes.remove(&from) else { return };
        for (id, _) in moved.iter() {
            self.vocabulary.by_id_mut()[id as usize].classes -= 1;
        }
        for id in self.change(into).add(moved.iter()) {
            self.vocabulary.by_id_mut()[id as usize].classes += 1;
        }
    }

    /// Forgets a class and all that was counted for it.
    pub fn remove_class(&mut self, class: C) {
        if let Some(counts) = self.classes.remove(&class) {
            counts.iter().for_each(|(id, count)| self.vocabulary.release(id, count));
        }
    }

    /// Adds every count of `other`, class by class; with the same half-life, whatever the two epochs.
    pub fn merge(&mut self, other: &Self) {
        self.keep_near(other.epoch);
        let weight = self.weight(other.epoch);
        self.missing_at_most += other.missing_at_most * weight;
        for class in other.classes() {
            self.add_terms(class, other.terms(class).map(|(term, count)| (term, count * weight)));
        }
    }

    /// Multiplies every count with `factor` in 0..=1: exponential decay. O(all counts).
    pub fn scale(&mut self, factor: f64) {
        self.missing_at_most *= factor;
        for term in self.vocabulary.by_id_mut() {
            term.total *= factor;
        }
        for (class, counts) in std::mem::take(&mut self.classes) {
            let mut counts = Arc::unwrap_or_clone(counts);
            counts.retain(|id, count| {
                *count *= factor;
                let stays = *count > NEGLIGIBLE;
                if !stays {
                    self.vocabulary.release(id, *count);
                }
                stays
            });
            self.put(class, counts);
        }
    }

    /// Classes with at least one term, in ascending order.
    pub fn classes(&self) -> impl ExactSizeIterator<Item = C> {
        self.classes.keys().copied()
    }

    /// The counts of `class`; `None` if it has no term.
    pub fn class(&self, class: C) -> Option<&ClassCounts> {
        self.classes.get(&class).map(AsRef::as_ref)
    }

    /// The terms of `class` and their counts, in no order that means anything, but the same every time.
    pub fn terms(&self, class: C) -> impl Iterator<Item = (&str, f64)> {
        let counts = self.class(class).into_iter().flat_map(ClassCounts::iter);
        counts.map(|(id, count)| (self.vocabulary.text(id).as_str(), count))
    }

    /// How often `term` was counted in all classes together.
    pub fn total(&self, term: &str) -> f64 {
        self.id(term).map_or(0.0, |id| self.by_id()[id as usize].total)
    }

    /// Number of different terms.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary.len()
    }

    /// Upper bound of what eviction has taken from the count of any one term.
    pub fn missing_at_most(&self) -> f64 {
        self.missing_at_most
    }

    /// Terms by id; those with an empty text are free.
    pub(super) fn by_id(&self) -> &[Term] {
        self.vocabulary.by_id()
    }

    /// Every class with its counts, in ascending order.
    pub(super) fn by_class(&self) -> impl Iterator<Item = (C, &ClassCounts)> {
        self.classes.iter().map(|(class, counts)| (*class, &**counts))
    }

    /// The number of changes so far.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// The id of a term that occurs in some class.
    pub(super) fn id(&self, term: &str) -> Option<u32> {
        self.vocabulary.id(term)
    }

    /// The counts of a class that is about to change, and not to become empty.
    fn change(&mut self, class: C) -> &mut ClassCounts {
        self.revision += 1;
        let counts = Arc::make_mut(self.classes.entry(class).or_default());
        counts.revision = self.revision;
        counts
    }

    fn take(&mut self, class: C) -> Option<ClassCounts> {
        self.classes.remove(&class).map(Arc::unwrap_or_clone)
    }

    fn put(&mut self, class: C, mut counts: ClassCounts) {
        self.revision += 1;
        counts.revision = self.revision;
        if !counts.is_empty() {
            self.classes.insert(class, Arc::new(counts));
        }
    }

    fn evict(&mut self) {
        let mut alive: Vec<u32> = self.vocabulary.ids().collect();
        let stay = self.max_vocabulary / 2;
        let terms = self.vocabulary.by_id();
        let (.., dropped) = alive.select_nth_unstable_by(stay, |&a, &b| {
            let (a, b) = (&terms[a as usize], &terms[b as usize]);
            b.total.total_cmp(&a.total).then_with(|| a.text.cmp(&b.text))
        });
        let totals = dropped.iter().map(|&id| terms[id as usize].total);
        self.missing_at_most += totals.fold(0.0, f64::max);
        dropped.sort_unstable();
        for &id in &*dropped {
            self.vocabulary.forget(id);
        }
        self.revision += 1;
        let (vocabulary, revision) = (&self.vocabulary, self.revision);
        self.classes.retain(|_, counts| {
            let stays = |id: u32| !vocabulary.text(id).is_empty();
            if !counts.iter().all(|(id, _)| stays(id)) {
                let counts = Arc::make_mut(counts);
                counts.retain(|id, _| stays(id));
                counts.revision = revision;
            }
            !counts.is_empty()
        });
    }
}

impl<C: Ord + Copy> PartialEq for Counts<C> {
    fn eq(&self, other: &Self) -> bool {
        let same = |class: C| {
            let (ours, theirs) = (self.class(class), other.class(class));
            ours.map(ClassCounts::len) == theirs.map(ClassCounts::len)
                && self.terms(class).all(|(term, count)| {
                    let id = other.id(term);
                    id.and_then(|id| theirs?.get(id)).is_some_and(|there| there == count)
                })
        };
        self.classes.len() == other.classes.len() && self.classes().all(same)
    }
}

/// Terms of one class with their counts.
type SavedTerms = Vec<(CompactString, f64)>;

/// What is written of a store: each class with its own terms, so that no id outlives the process.
#[derive(Serialize, Deserialize)]
struct Saved<C> {
    max_vocabulary: usize,
    missing_at_most: f64,
    half_life: u64,
    epoch: u64,
    classes: Vec<(C, SavedTerms)>,
}

impl<C: Ord + Copy> From<Counts<C>> for Saved<C> {
    fn from(counts: Counts<C>) -> Self {
        let text = |id: u32| counts.vocabulary.text(id).clone();
        let classes = counts.classes.iter();
        Self {
            max_vocabulary: counts.max_vocabulary,
            missing_at_most: counts.missing_at_most,
            half_life: counts.half_life,
            epoch: counts.epoch,
            classes: classes
                .map(|(&class, terms)| (class, terms.iter().map(|(id, count)| (text(id), count)).collect()))
                .collect(),
        }
    }
}

impl<C: Ord + Copy> From<Saved<C>> for Counts<C> {
    fn from(saved: Saved<C>) -> Self {
        let mut counts = Self::new(saved.max_vocabulary);
        for (class, terms) in &saved.classes {
            counts.add_terms(*class, terms.iter().map(|(term, count)| (term.as_str(), *count)));
        }
        counts.missing_at_most = saved.missing_at_most;
        (counts.half_life, counts.epoch) = (saved.half_life, saved.epoch);
        counts
    }
}
