//! The local chains: candidate words, their embeddings, and the steps over them.

use std::collections::HashMap;
use std::sync::Arc;

use ndarray::{Array2, aview1};

use crate::embed::{self, Embedder};
use crate::keywords::representation::{BETWEEN_STEPS, Params, Step, nouns};
use crate::keywords::{Keyword, keybert, mmr};
use crate::model::state::describe::{Description, Lists, Subject};

/// Words that are embedded at once; documents wait no longer than for these.
const AT_ONCE: usize = 32;
/// Embeddings of words that are remembered, about 2 KB each; above it, all are forgotten but those in use.
const REMEMBERED: usize = 30_000;

/// The chains as set, and the encoder that they ask.
pub struct Chains {
    /// The encoder.
    pub embedder: Arc<Embedder>,
    /// Chains and their settings.
    pub params: Params,
    /// Keywords of a topic.
    pub top_n_words: usize,
}

/// Embeddings of words, and of the keywords of a topic in one text, by text.
#[derive(Debug, Default)]
pub struct Words(HashMap<String, Arc<[f32]>>);

impl Chains {
    /// What the chains make of each subject that has candidates; nothing more once `stopped`.
    pub fn describe(
        &self,
        subjects: &[Subject],
        words: &mut Words,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Vec<Description>, embed::Error> {
        let subjects: Vec<&Subject> =
            subjects.iter().filter(|subject| !subject.candidates.is_empty()).collect();
        let chains = || self.params.aspects.values().chain([&self.params.main]);
        if chains().flatten().any(|step| *step != Step::Nouns) {
            let all = subjects.iter().flat_map(|subject| &subject.candidates);
            self.embed(all.map(|keyword| keyword.term.as_str()), words, stopped)?;
        }
        let going = subjects.into_iter().take_while(|_| !stopped());
        going.map(|subject| self.describe_one(subject, words)).collect()
    }

    fn describe_one(&self, subject: &Subject, words: &mut Words) -> Result<Description, embed::Error> {
        let main = &self.params.main;
        let main = if main.is_empty() { None } else { Some(self.run(main, subject, words)?) };
        let aspects = self.params.aspects.iter();
        let aspects = aspects.map(|(name, steps)| Ok((name.clone(), self.run(steps, subject, words)?)));
        let aspects = aspects.collect::<Result<_, embed::Error>>()?;
        let lists = Some(Lists { basis: subject.basis, main, aspects });
        Ok(Description { id: subject.id, lists, label: None })
    }

    /// One chain. As in BERTopic, KeyBERT-inspired as the first step chooses among `nr_candidate_words`, every other
    /// step among [`BETWEEN_STEPS`]; the last step's list is cut to `top_n_words`.
    fn run(
        &self,
        steps: &[Step],
        subject: &Subject,
        words: &mut Words,
    ) -> Result<Vec<Keyword>, embed::Error> {
        let mut list = subject.candidates.clone();
        for (at, step) in steps.iter().enumerate() {
            let last = at + 1 == steps.len();
            let n = if last { self.top_n_words } else { self.top_n_words.max(BETWEEN_STEPS) };
            list = match step {
                Step::Nouns => nouns(list),
                Step::Keybert => self.keybert(list, subject, words, n),
                Step::Mmr => self.mmr(list, words, n)?,
            };
        }
        list.truncate(self.top_n_words);
        Ok(list)
    }

    fn keybert(&self, list: Vec<Keyword>, subject: &Subject, words: &Words, n: usize) -> Vec<Keyword> {
        let documents: Vec<&[f32]> =
            subject.documents.iter().take(self.params.nr_repr_docs).map(|kept| &*kept.embedding).collect();
        let ranked = keybert::rank(&self.matrix(&documents).view(), &self.vectors(&list, words).view(), n);
        let term = |at: usize| list[at].term.clone();
        ranked.into_iter().map(|(at, cosine)| Keyword { term: term(at), score: f64::from(cosine) }).collect()
    }

    fn mmr(&self, mut list: Vec<Keyword>, words: &mut Words, n: usize) -> Result<Vec<Keyword>, embed::Error> {
        list.truncate(self.top_n_words.max(BETWEEN_STEPS));
        let joined = list.iter().map(|keyword| keyword.term.as_str()).collect::<Vec<_>>().join(" ");
        let topic = if let Some(row) = words.0.get(&joined) {
            row.clone()
        } else {
            let made = self.embedder.embed_each(&[&joined])?.of_text.pop();
            // An encoder that refuses the list leaves it as it is.
            let Some(Ok(made)) = made else { return Ok(list) };
            words.0.entry(joined).or_insert(made.row.into()).clone()
        };
        let vectors = self.vectors(&list, words);
        let mut picked = mmr::select(&aview1(&topic), &vectors.view(), self.params.diversity, n);
        if self.params.keep_order {
            picked.sort_unstable();
        }
        Ok(picked.into_iter().map(|at| list[at].clone()).collect())
    }

    /// Embeds the words that have no embedding yet, a few at a time; one that the encoder refuses stays without.
    fn embed<'w>(
        &self,
        all: impl Iterator<Item = &'w str>,
        words: &mut Words,
        stopped: &dyn Fn() -> bool,
    ) -> Result<(), embed::Error> {
        let mut wanted: Vec<&str> = all.collect();
        wanted.sort_unstable();
        wanted.dedup();
        if words.0.len() + wanted.len() > REMEMBERED {
            words.0.retain(|word, _| wanted.binary_search(&word.as_str()).is_ok());
        }
        wanted.retain(|word| !words.0.contains_key(*word));
        for some in wanted.chunks(AT_ONCE).take_while(|_| !stopped()) {
            let made = some.iter().zip(self.embedder.embed_each(some)?.of_text);
            words.0.extend(made.filter_map(|(word, made)| Some(((*word).to_owned(), made.ok()?.row.into()))));
        }
        Ok(())
    }

    /// The embeddings of `list`, `k × d`; a word without one stands at 0, near to nothing.
    fn vectors(&self, list: &[Keyword], words: &Words) -> Array2<f32> {
        let none: &[f32] = &[];
        let rows: Vec<&[f32]> =
            list.iter().map(|keyword| words.0.get(&keyword.term).map_or(none, |row| &**row)).collect();
        self.matrix(&rows)
    }

    fn matrix(&self, rows: &[&[f32]]) -> Array2<f32> {
        let mut matrix = Array2::zeros((rows.len(), self.embedder.dim()));
        for (mut to, from) in matrix.outer_iter_mut().zip(rows) {
            to.iter_mut().zip(*from).for_each(|(to, from)| *to = *from);
        }
        matrix
    }
}
