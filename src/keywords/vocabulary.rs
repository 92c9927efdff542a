//! The terms that are counted, and the number by which each is known while the process lives.

use std::hash::BuildHasher;
use std::sync::Arc;

use compact_str::CompactString;
use hashbrown::{DefaultHashBuilder, HashTable};

/// Terms under ids; an id whose term is gone is given out again.
///
/// Memory: ~60 bytes a term. Counting a document looks up each of its terms, and at 100,000 terms every look costs the
/// lines of memory that it touches: so the table holds ids only, and a term of up to 24 bytes stands beside its total.
/// The table's hashes have a key of this process, so nobody can choose terms that collide; what is counted doesn't
/// depend on it.
#[derive(Debug, Clone, Default)]
pub(super) struct Vocabulary {
    terms: Vec<Term>,
    /// Shared with copies until a term comes or goes.
    ids: Arc<HashTable<u32>>,
    /// Ids of `terms` that hold no term now and are given out first.
    free: Vec<u32>,
    hashes: DefaultHashBuilder,
}

/// A term of the vocabulary. `classes` is exact where `total` carries rounding, so it decides when a term is gone.
#[derive(Debug, Clone)]
pub(super) struct Term {
    /// Empty if the id is free.
    pub(super) text: CompactString,
    pub(super) total: f64,
    pub(super) classes: u32,
    /// The revision in which it came.
    pub(super) born: u64,
}

impl Vocabulary {
    /// Number of different terms.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Terms by id, free ones among them.
    pub(super) fn by_id(&self) -> &[Term] {
        &self.terms
    }

    pub(super) fn by_id_mut(&mut self) -> &mut [Term] {
        &mut self.terms
    }

    pub(super) fn text(&self, id: u32) -> &CompactString {
        &self.terms[id as usize].text
    }

    /// Ids that hold a term, ascending.
    pub(super) fn ids(&self) -> impl Iterator<Item = u32> {
        (0..self.terms.len() as u32).filter(|&id| !self.text(id).is_empty())
    }

    pub(super) fn id(&self, text: &str) -> Option<u32> {
        self.find(self.hashes.hash_one(text), text)
    }

    fn find(&self, hash: u64, text: &str) -> Option<u32> {
        self.ids.find(hash, |&id| self.text(id) == text).copied()
    }

    /// The id of a term, which comes with the revision `born` if it is not known yet.
    pub(super) fn intern(&mut self, text: &str, born: u64) -> u32 {
        let hash = self.hashes.hash_one(text);
        if let Some(id) = self.find(hash, text) {
            return id;
        }
        let term = Term { text: text.into(), total: 0.0, classes: 0, born };
        let id = if let Some(id) = self.free.pop() {
            self.terms[id as usize] = term;
            id
        } else {
            self.terms.push(term);
            (self.terms.len() - 1) as u32
        };
        let (terms, hashes) = (&self.terms, &self.hashes);
        let hash_of = |&id: &u32| hashes.hash_one(terms[id as usize].text.as_str());
        Arc::make_mut(&mut self.ids).insert_unique(hash, id, hash_of);
        id
    }

    /// A class lost the term `id`, of which it had `count`; the last class takes the term with it.
    pub(super) fn release(&mut self, id: u32, count: f64) {
        let term = &mut self.terms[id as usize];
        term.classes -= 1;
        term.total -= count;
        if term.classes == 0 {
            self.forget(id);
        }
    }

    /// Frees `id`, whatever classes had its term.
    pub(super) fn forget(&mut self, id: u32) {
        let term = &mut self.terms[id as usize];
        term.total = 0.0;
        let hash = self.hashes.hash_one(std::mem::take(&mut term.text).as_str());
        if let Ok(entry) = Arc::make_mut(&mut self.ids).find_entry(hash, |&other| other == id) {
            entry.remove();
        }
        self.free.push(id);
    }
}
