//! Descriptions of topics beyond c-TF-IDF: what is needed to make them, and the step that takes them in.
//!
//! They are made beside the stream, from a [`Picture`] of the state, and come back later; what ended meanwhile is left
//! out. A description makes no new version: who belongs to a topic stays, only what it is called changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::keywords::representation;
use crate::keywords::{self, Counts, Keyword, Weights, keybert};
use crate::model::event::Happened;
use crate::model::evidence::Kept;
use crate::model::state::State;
use crate::model::state::adopt::{SAME_KEYWORDS, overlap};
use crate::model::state::change::{Change, Op};
use crate::model::topic::{Label, Topic, TopicId, name_all};

/// What is wanted of descriptions.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// How keywords are counted and weighed.
    pub keywords: keywords::Params,
    /// The chains.
    pub representation: representation::Params,
    /// Documents that a label is made from; none where labels are not wanted.
    pub label_documents: Option<usize>,
}

/// What descriptions are made from, as the state was at one moment. Texts, embeddings and counts are shared with it.
#[derive(Debug)]
pub struct Picture {
    topics: Vec<(Topic, u64)>,
    counts: Counts<Option<TopicId>>,
    members: BTreeMap<TopicId, Vec<Arc<Kept>>>,
}

/// A topic that is to be described anew.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The topic.
    pub id: TopicId,
    /// Identifies what the description is made from; never 0.
    pub basis: u64,
    /// Its best terms by c-TF-IDF, best first; empty if only a label is wanted.
    pub candidates: Vec<Keyword>,
    /// Its keywords as they are.
    pub keywords: Vec<Keyword>,
    /// Documents that represent it by c-TF-IDF, best first.
    pub documents: Vec<Arc<Kept>>,
    /// Its keywords changed so much since it was labelled, or it never was, that it wants a label.
    pub wants_label: bool,
}

/// What was made of a [`Subject`].
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// The topic.
    pub id: TopicId,
    /// Its lists, if they were made anew.
    pub lists: Option<Lists>,
    /// Its label, if it has a new one.
    pub label: Option<Label>,
}

/// What the chains made of a topic.
#[derive(Debug, Clone, PartialEq)]
pub struct Lists {
    /// [`Subject::basis`].
    pub basis: u64,
    /// Its keywords, if others than c-TF-IDF's.
    pub main: Option<Vec<Keyword>>,
    /// Further lists beside them.
    pub aspects: BTreeMap<String, Vec<Keyword>>,
}

/// How a topic is described from now on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Described {
    name: String,
    keywords: Vec<Keyword>,
    aspects: BTreeMap<String, Vec<Keyword>>,
    label: Option<Label>,
    basis: u64,
    announced: Vec<Keyword>,
}

impl Picture {
    /// The topics that are to be described anew, by id: their lists too, or, without `lists`, only their labels.
    /// O(words of all topics + words of kept documents).
    pub fn subjects(&self, wanted: &Wanted, lists: bool) -> Vec<Subject> {
        let weights = Weights::new(&self.counts, &wanted.keywords);
        let subjects = self.topics.iter();
        subjects
            .filter_map(|(topic, described)| self.subject(topic, *described, wanted, lists, &weights))
            .collect()
    }

    fn subject(
        &self,
        topic: &Topic,
        described: u64,
        wanted: &Wanted,
        lists: bool,
        weights: &Weights<'_, Option<TopicId>>,
    ) -> Option<Subject> {
        let params = &wanted.representation;
        let wants_label = wanted.label_documents.is_some() && wants_label(topic);
        if !lists && !wants_label {
            return None;
        }
        let mut candidates = weights.keywords(Some(topic.id), params.nr_candidate_words);
        let basis = basis(&candidates, wanted);
        let fresh = !lists || described == basis || (described == 0 && !params.is_any());
        if candidates.is_empty() || (fresh && !wants_label) {
            return None;
        }
        if fresh {
            candidates.clear();
        }
        let mut members: Vec<&Arc<Kept>> = self.members.get(&topic.id).into_iter().flatten().collect();
        // The priority is a hash of the id: the first by it are a uniform sample.
        members.sort_by_key(|kept| kept.priority);
        members.truncate(params.nr_samples);
        let most = params.nr_repr_docs.max(wanted.label_documents.unwrap_or(0));
        let words = members.iter().map(|kept| &kept.words);
        let nearest = keybert::representative(weights, Some(topic.id), words, most);
        let documents = nearest.into_iter().map(|at| members[at].clone()).collect();
        let keywords = topic.keywords.clone();
        Some(Subject { id: topic.id, basis, candidates, keywords, documents, wants_label })
    }
}

impl State {
    /// What descriptions are made from; none if none are wanted. O(topics + kept documents).
    pub fn picture(&self, wanted: &Wanted) -> Option<Picture> {
        let stale = || self.topics.values().any(|record| record.described != 0);
        if !wanted.representation.is_any() && wanted.label_documents.is_none() && !stale() {
            return None;
        }
        let mut members: BTreeMap<TopicId, Vec<Arc<Kept>>> = BTreeMap::new();
        for (_, kept, standing) in self.held.iter().filter(|(_, _, standing)| standing.entry) {
            standing.topic.into_iter().for_each(|id| members.entry(id).or_default().push(Arc::clone(kept)));
        }
        let topics = self.topics.values().map(|record| (record.topic.clone(), record.described));
        Some(Picture { topics: topics.collect(), counts: self.counts.clone(), members })
    }

    /// Topics in which `term` stands out by c-TF-IDF, with its score there, best first. O(vocabulary + their words).
    pub fn topics_of(&self, term: &str, params: &keywords::Params, limit: usize) -> Vec<(TopicId, f64)> {
        let weights = Weights::new(&self.counts, params);
        let found = weights.classes(&params.normalise(term)).into_iter();
        found.filter_map(|(topic, score)| Some((topic?, score))).take(limit).collect()
    }

    /// Takes descriptions in; none if they change nothing.
    pub fn describe(&mut self, descriptions: Vec<Description>, now_ms: i64) -> Option<Change> {
        let mut topics = self.topics.clone();
        let mut told = Vec::new();
        for Description { id, lists, label } in descriptions {
            let Some(record) = topics.get_mut(&id) else { continue };
            if let Some(lists) = lists {
                let first = record.described == 0;
                record.topic.take_lists(lists.main, lists.aspects);
                record.described = lists.basis;
                // Other words because they are chosen otherwise for the first time are no news.
                if first {
                    record.announced.clone_from(&record.topic.keywords);
                } else if overlap(&record.announced, &record.topic.keywords) < SAME_KEYWORDS {
                    told.push(id);
                }
            }
            if label.is_some() {
                record.topic.label = label;
            }
        }
        name_all(topics.values_mut().map(|record| &mut record.topic));
        topics.retain(|id, record| self.topics.get(id) != Some(record));
        if topics.is_empty() {
            return None;
        }
        let mut change = Change::default();
        for (id, record) in topics {
            let Topic { name, keywords, aspects, label, .. } = record.topic;
            let (basis, announced) = (record.described, record.announced);
            let described = Described { name, keywords, aspects, label, basis, announced };
            self.step(&mut change, Op::Described(id, Box::new(described)));
        }
        self.keep_described(&mut change);
        self.tell_keywords_of(&mut change, told, now_ms);
        Some(change)
    }

    /// The version in force is remembered as it is described now.
    fn keep_described(&mut self, change: &mut Change) {
        let in_force = self.archives.back().filter(|archive| archive.number == self.totals.version);
        let Some(mut archive) = in_force.map(|archive| (**archive).clone()) else { return };
        for (id, archived) in &mut archive.topics {
            if let Some(record) = self.topics.get(id) {
                archived.name.clone_from(&record.topic.name);
                archived.keywords.clone_from(&record.topic.keywords);
            }
        }
        self.step(change, Op::Archive(Box::new(archive)));
    }

    fn tell_keywords_of(&mut self, change: &mut Change, topics: Vec<TopicId>, now_ms: i64) {
        for id in topics {
            let Some(record) = self.topics.get(&id) else { continue };
            let before = record.announced.clone();
            let overlap = overlap(&before, &record.topic.keywords);
            self.step(change, Op::Announced(id));
            let topic = self.portrait(id);
            self.tell(change, Happened::KeywordsChanged { topic, before, overlap }, now_ms);
        }
    }

    pub(super) fn take_description(&mut self, id: TopicId, described: &Described) {
        self.edit(id, |record| {
            record.topic.name.clone_from(&described.name);
            record.topic.keywords.clone_from(&described.keywords);
            record.topic.aspects.clone_from(&described.aspects);
            record.topic.label.clone_from(&described.label);
            record.described = described.basis;
            record.announced.clone_from(&described.announced);
        });
    }
}

/// True if a topic has no label, or one that was made from other keywords. A custom label wins, so it needs none.
fn wants_label(topic: &Topic) -> bool {
    let fits = |label: &Label| overlap(&label.basis, &topic.keywords) >= SAME_KEYWORDS;
    topic.custom_label.is_none() && !topic.label.as_ref().is_some_and(fits)
}

/// Identifies candidates and the settings that something is made of them by; never 0, which means "not described".
fn basis(candidates: &[Keyword], wanted: &Wanted) -> u64 {
    let terms: Vec<&str> = candidates.iter().map(|keyword| keyword.term.as_str()).collect();
    let text = format!("{:?} {} {}", wanted.representation, wanted.keywords.top_n_words, terms.join("\n"));
    xxhash_rust::xxh3::xxh3_64(text.as_bytes()).max(1)
}
