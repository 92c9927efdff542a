//! What only the modeler changes. Every step returns the [`Change`] that the store writes with the checkpoint; the
//! state rebuilt from any prefix of changes equals the state in memory at that point.

pub mod absorb;
pub mod adopt;
pub mod archive;
mod bounds;
pub mod change;
mod copies;
pub mod describe;
pub mod diff;
mod draft;
mod enact;
pub mod ended;
mod faults;
mod forget;
pub mod held;
pub mod operate;
pub mod overview;
mod plant;
mod restore;
mod returning;
mod shifts;
mod translate;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::keywords::{Counts, Keyword, Ranking};
use crate::model::event::Portrait;
use crate::model::evidence::{Learned, Sums};
use crate::model::profile::Profile;
use crate::model::profile::dictionary::Dictionary;
use crate::model::state::archive::Archive;
use crate::model::state::change::{Change, Op};
use crate::model::state::ended::Ended;
use crate::model::state::held::Held;
use crate::model::state::overview::News;
use crate::model::topic::{Life, Topic, TopicId};
use crate::model::trend::History;
use crate::model::version::{BrokenEntry, Entry, TopicModel};

pub use bounds::Bounds;

/// Events that the state remembers for those who ask later.
const REMEMBERED_EVENTS: usize = 1000;
/// Refit reports that the state remembers.
const REMEMBERED_REPORTS: usize = 100;

/// Counters of the whole stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Documents absorbed.
    pub documents: u64,
    /// Pieces of input refused.
    pub rejected: u64,
    /// Documents kept so far; numbers the next one.
    pub kept: u64,
    /// Topics born so far; the next one's id.
    pub topics: u32,
    /// Events so far.
    pub events: u64,
    /// The version in force.
    pub version: u64,
    /// Refits that were decided on, promoted or not.
    pub refits: u64,
    /// `documents` at the last refit's snapshot.
    pub refitted_at: u64,
    /// Outliers that left the buffer unrefitted or unplaced because it was full.
    pub dropped_outliers: u64,
    /// Documents that were absorbed and are forgotten, counts and all.
    pub forgotten: u64,
    /// Refits in a row whose result was not promoted.
    pub rejected_refits: u32,
    /// Share of the votes' weight that a topic must win, where the last promoted refit set it to hold an outlier share.
    pub vote: Option<f32>,
}

/// All that is known of one topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// As the version in force publishes it.
    pub topic: Topic,
    /// Exact sums over every document that it has now.
    pub sums: Sums,
    /// Documents per window.
    pub history: History,
    /// Documents absorbed in all when the last one came to it.
    pub last_seen: u64,
    /// An operator wants it neither merged nor split.
    pub pinned: bool,
    /// The keywords that people were told last.
    pub announced: Vec<Keyword>,
    /// Identifies what its description beyond c-TF-IDF was made from; 0 without one.
    pub described: u64,
    /// The window in which it was last said to be trending.
    pub trended: Option<u64>,
    /// The times and fields of every document that it has now.
    pub profile: Profile,
}

impl Record {
    /// A topic that is born in `version`, without a document yet.
    fn born(id: TopicId, version: u64, split_from: Option<TopicId>, documents: u64) -> Self {
        let topic = Topic {
            id,
            name: String::new(),
            custom_label: None,
            label: None,
            size: 0,
            life: Life::Live,
            centroid: Vec::new(),
            floor: 0.0,
            keywords: Vec::new(),
            aspects: BTreeMap::new(),
            representative: Vec::new(),
            created_version: version,
            split_from,
            seeds: Vec::new(),
        };
        Self {
            topic,
            sums: Sums::default(),
            history: History::default(),
            last_seen: documents,
            pinned: false,
            announced: Vec::new(),
            described: 0,
            trended: None,
            profile: Profile::default(),
        }
    }
}

/// The modeler's state.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    dim: usize,
    bounds: Bounds,
    totals: Totals,
    topics: BTreeMap<TopicId, Record>,
    outliers: Sums,
    outlier_history: History,
    outlier_profile: Profile,
    dictionary: Dictionary,
    counts: Counts<Option<TopicId>>,
    /// What the counts say, as of the version in force; not stored.
    ranking: Ranking<Option<TopicId>>,
    redirects: BTreeMap<TopicId, TopicId>,
    ended: BTreeMap<TopicId, Ended>,
    archives: VecDeque<Arc<Archive>>,
    held: Held,
    seen: VecDeque<u128>,
    news: News,
}

impl State {
    /// A state that has seen nothing, for embeddings of `dim` numbers.
    pub fn new(dim: usize, bounds: Bounds) -> Self {
        let mut counts = Counts::new(bounds.vocabulary);
        counts.decay_from(0, bounds.half_life);
        Self {
            dim,
            bounds,
            totals: Totals::default(),
            topics: BTreeMap::new(),
            outliers: Sums::default(),
            outlier_history: History::default(),
            outlier_profile: Profile::default(),
            dictionary: Dictionary::default(),
            counts,
            ranking: Ranking::default(),
            redirects: BTreeMap::new(),
            ended: BTreeMap::new(),
            archives: VecDeque::new(),
            held: Held::default(),
            seen: VecDeque::new(),
            news: News::default(),
        }
    }

    /// Carries out a change that this state's own step returned, or that the store kept.
    pub fn apply(&mut self, change: &Change) {
        change.ops.iter().for_each(|op| self.apply_op(op));
    }

    fn step(&mut self, change: &mut Change, op: Op) {
        self.apply_op(&op);
        change.ops.push(op);
    }

    fn apply_op(&mut self, op: &Op) {
        match op {
            Op::Totals(totals) => self.totals = *totals,
            Op::Learn { documents, learned } => {
                learned.iter().for_each(|(topic, learned)| self.learn(*documents, *topic, learned));
            }
            Op::Topic(record) => {
                self.topics.insert(record.topic.id, (**record).clone());
            }
            Op::Outliers(sums, history, profile) => {
                self.outliers = sums.clone();
                self.outlier_history = history.clone();
                self.outlier_profile = (**profile).clone();
            }
            Op::Dictionary(dictionary) => self.dictionary = (**dictionary).clone(),
            Op::Counts(counts) => {
                self.counts = (**counts).clone();
                self.counts.limit(self.bounds.vocabulary);
                self.ranking = Ranking::default();
            }
            Op::Fold => {}
            Op::Life(id, life) => self.edit(*id, |record| record.topic.life = *life),
            Op::Announced(id) => {
                self.edit(*id, |record| record.announced.clone_from(&record.topic.keywords));
            }
            Op::Described(id, described) => self.take_description(*id, described),
            Op::Trended(id, window) => self.edit(*id, |record| record.trended = Some(*window)),
            Op::EndTopic(id) => {
                self.topics.remove(id);
            }
            Op::Ended(id, ended) => {
                self.ended.insert(*id, (**ended).clone());
            }
            Op::Settle(id) => {
                self.ended.remove(id);
            }
            Op::Archive(archive) => self.keep_archive(Arc::new((**archive).clone())),
            Op::Unarchive(number) => self.archives.retain(|archive| archive.number != *number),
            Op::Redirects(redirects) => self.redirects.clone_from(redirects),
            Op::Hold(sequence, kept, standing) => self.held.hold(*sequence, Arc::clone(kept), *standing),
            Op::Stand(sequence, standing) => self.held.stand(*sequence, *standing),
            Op::Release(sequence) => self.held.release(*sequence),
            Op::Seen(ids) => {
                self.seen.extend(ids);
                let excess = self.seen.len().saturating_sub(self.bounds.seen);
                self.seen.drain(..excess);
            }
            Op::Unseen(id) => self.seen.retain(|seen| seen != id),
            Op::Reword(event) => {
                let present = self.news.events.iter_mut().find(|present| present.number == event.number);
                present.into_iter().for_each(|present| *present = Arc::new((**event).clone()));
            }
            Op::Event(event) => {
                self.totals.events = event.number;
                remember(&mut self.news.events, Arc::new(event.clone()), REMEMBERED_EVENTS);
            }
            Op::Refitted(report) => {
                remember(&mut self.news.reports, Arc::new((**report).clone()), REMEMBERED_REPORTS);
            }
        }
    }

    fn edit(&mut self, id: TopicId, edit: impl FnOnce(&mut Record)) {
        if let Some(record) = self.topics.get_mut(&id) {
            edit(record);
        }
    }

    fn learn(&mut self, documents: u64, recorded: Option<TopicId>, learned: &Learned) {
        let window = self.window_of(documents);
        let shrunk = self.counts.keep_near(documents);
        ended::fade(&mut self.ended, shrunk);
        let weight = self.counts.weight(documents);
        let mut profile = learned.profile.clone();
        self.dictionary.admit(&mut profile);
        for id in ended::chain(&self.ended, recorded) {
            if let Some(ended) = self.ended.get_mut(&id) {
                ended.add(window, &learned.sums, &profile, &learned.words, weight);
            }
        }
        let topic = recorded.and_then(|id| self.living(id));
        self.counts.add(topic, &learned.words, weight);
        match topic {
            None => {
                self.outliers.merge(&learned.sums);
                self.outlier_history.add(window, &learned.sums);
                self.outlier_profile.merge(&profile);
            }
            Some(id) => self.edit(id, |record| {
                record.sums.merge(&learned.sums);
                record.history.add(window, &learned.sums);
                record.profile.merge(&profile);
                record.last_seen = documents;
            }),
        }
    }

    fn keep_archive(&mut self, archive: Arc<Archive>) {
        match self.archives.iter_mut().find(|present| present.number == archive.number) {
            Some(present) => *present = archive,
            None => self.archives.push_back(archive),
        }
    }

    /// The topic that `id` is today; one that an operator forgot stays as it is and is no topic any more.
    pub fn resolve(&self, id: TopicId) -> TopicId {
        self.redirects.get(&id).copied().unwrap_or(id)
    }

    /// The topic that `id` is today, if it is one.
    pub fn living(&self, id: TopicId) -> Option<TopicId> {
        Some(self.resolve(id)).filter(|id| self.topics.contains_key(id))
    }

    /// Counters of the whole stream.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Numbers in an embedding.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Topics by id.
    pub fn topics(&self) -> &BTreeMap<TopicId, Record> {
        &self.topics
    }

    /// The sums over the outliers.
    pub fn outliers(&self) -> &Sums {
        &self.outliers
    }

    /// The outliers per window.
    pub fn outlier_history(&self) -> &History {
        &self.outlier_history
    }

    /// The times and fields of the outliers.
    pub fn outlier_profile(&self) -> &Profile {
        &self.outlier_profile
    }

    /// The values of fields that are counted one by one.
    pub fn dictionary(&self) -> &Dictionary {
        &self.dictionary
    }

    /// Topics that ended and can still be brought back.
    pub fn ended(&self) -> &BTreeMap<TopicId, Ended> {
        &self.ended
    }

    /// The last versions, oldest first; the newest is the one in force. Bounded.
    pub fn archives(&self) -> impl DoubleEndedIterator<Item = &Archive> {
        self.archives.iter().map(AsRef::as_ref)
    }

    /// Bounds of what is kept.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The words of every topic, and under none of the outliers.
    pub fn counts(&self) -> &Counts<Option<TopicId>> {
        &self.counts
    }

    /// The kept documents.
    pub fn held(&self) -> &Held {
        &self.held
    }

    /// Topics that ended, and what they redirect to.
    pub fn redirects(&self) -> &BTreeMap<TopicId, TopicId> {
        &self.redirects
    }

    /// Ids seen last, oldest first; bounded.
    pub fn seen(&self) -> impl Iterator<Item = u128> {
        self.seen.iter().copied()
    }

    /// The last events, and what the last refits decided.
    pub fn news(&self) -> &News {
        &self.news
    }

    /// The version in force, as assigners use it. O(entries × d).
    pub fn model(&self) -> Result<TopicModel, BrokenEntry> {
        let entries: Vec<Entry> = (self.held.iter())
            .filter(|(_, _, standing)| standing.entry)
            .map(|(_, kept, standing)| Entry { embedding: kept.embedding.clone(), topic: standing.topic })
            .collect();
        let (number, redirects) = (self.totals.version, self.redirects.clone());
        let model =
            TopicModel::build(number, self.dim, self.in_force(), redirects, &entries, self.sampling())?;
        Ok(model.with_vote(self.totals.vote))
    }

    /// The topics of the version in force, with the documents that they have now.
    pub fn in_force(&self) -> BTreeMap<TopicId, Topic> {
        let topics = self.topics.iter();
        topics
            .map(|(id, record)| (*id, Topic { size: record.sums.documents, ..record.topic.clone() }))
            .collect()
    }

    fn portrait(&self, id: TopicId) -> Portrait {
        let record = self.topics.get(&id);
        let topic = record.map(|record| &record.topic);
        Portrait {
            id,
            name: topic.map_or_else(String::new, |topic| topic.name.clone()),
            size: record.map_or(0, |record| record.sums.documents),
            keywords: topic.map_or_else(Vec::new, |topic| topic.keywords.clone()),
            representative: topic.map_or_else(Vec::new, |topic| topic.representative.clone()),
        }
    }
}

/// Adds one to the newest `most`.
fn remember<T>(newest: &mut VecDeque<T>, one: T, most: usize) {
    newest.push_back(one);
    if newest.len() > most {
        newest.pop_front();
    }
}

#[cfg(test)]
mod tests;
