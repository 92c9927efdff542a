//! The next version while a refit's clusters become topics; the state itself is untouched until the draft is whole.

use std::collections::BTreeMap;

use crate::document::Sequence;
use crate::kernel::dot::dot;
use crate::kernel::unit::UnitRows;
use crate::keywords::{self, Counts};
use crate::model::assign::{self, assign};
use crate::model::evidence::{Kept, Sums};
use crate::model::refit::reconcile::{Plan, Target};
use crate::model::refit::report::Fate;
use crate::model::refit::run::Fitted;
use crate::model::state::adopt::Revision;
use crate::model::state::change::Standing;
use crate::model::state::{Record, State};
use crate::model::topic::{Life, Representative, Topic, TopicId, name_of};
use crate::model::trend::History;
use crate::model::version::{BrokenEntry, Entry, TopicModel};

/// Representative documents of a topic.
const REPRESENTATIVES: usize = 3;
/// Bytes of a representative document's text.
const REPRESENTATIVE_BYTES: usize = 300;
/// Standard deviations below the members' mean cosine to the centroid at which a topic ends.
const FLOOR_DEVIATIONS: f32 = 3.0;

/// Copies of what a refit changes.
pub(super) struct Draft<'a> {
    state: &'a State,
    pub(super) topics: BTreeMap<TopicId, Record>,
    pub(super) outliers: Sums,
    pub(super) counts: Counts<Option<TopicId>>,
    pub(super) redirects: BTreeMap<TopicId, TopicId>,
    pub(super) standings: BTreeMap<Sequence, Standing>,
    pub(super) revisions: Vec<Revision>,
    pub(super) born: Vec<TopicId>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(state: &'a State) -> Self {
        let standings = state.held.iter().map(|(sequence, _, standing)| (sequence, standing));
        Self {
            state,
            topics: state.topics.clone(),
            outliers: state.outliers.clone(),
            counts: state.counts.clone(),
            redirects: state.redirects.clone(),
            standings: standings.collect(),
            revisions: Vec::new(),
            born: Vec::new(),
        }
    }

    /// Gives the plan's births their ids.
    pub(super) fn bear(&mut self, plan: &Plan, version: u64) {
        for (index, parent) in plan.births.iter().enumerate() {
            let id = TopicId(self.state.totals.topics + index as u32);
            let topic = Topic {
                id,
                name: String::new(),
                size: 0,
                life: Life::Live,
                centroid: Vec::new(),
                floor: 0.0,
                keywords: Vec::new(),
                representative: Vec::new(),
                created_version: version,
                split_from: *parent,
            };
            let record = Record {
                topic,
                sums: Sums::default(),
                history: History::default(),
                last_seen: self.state.totals.documents,
                pinned: false,
                announced: Vec::new(),
                trended: None,
            };
            self.topics.insert(id, record);
            self.born.push(id);
        }
    }

    /// Ends the topics that merge; what is known of them goes to the topic that takes them in.
    pub(super) fn merge(&mut self, plan: &Plan) {
        for (from, into) in &plan.merges {
            let Some(ended) = self.topics.remove(from) else { continue };
            if let Some(taker) = self.topics.get_mut(into) {
                taker.sums.merge(&ended.sums);
                taker.history.merge(&ended.history);
                taker.last_seen = taker.last_seen.max(ended.last_seen);
            }
            self.counts.merge_classes(Some(*from), Some(*into));
            self.redirects.values_mut().filter(|target| *target == from).for_each(|target| *target = *into);
            self.redirects.insert(*from, *into);
        }
        let redirects = &self.redirects;
        for standing in self.standings.values_mut() {
            standing.topic = standing.topic.map(|id| redirects.get(&id).copied().unwrap_or(id));
        }
    }

    /// Gives each member of the fit its topic; members become the entries that vote from now on.
    pub(super) fn label(&mut self, fitted: &Fitted, plan: &Plan) {
        self.standings.values_mut().for_each(|standing| {
            standing.entry = false;
            standing.anchor = false;
        });
        for (fit, target) in fitted.members.iter().zip(&plan.labels) {
            let topic = target.map(|target| match target {
                Target::Old(id) => self.redirects.get(&id).copied().unwrap_or(id),
                Target::Born(index) => self.born[index],
            });
            if let Some(standing) = self.standings.get_mut(&fit.sequence) {
                standing.entry = true;
                standing.refits = standing.refits.saturating_add(1);
            }
            self.move_to(fit.sequence, topic);
        }
    }

    /// Moves a kept document to `topic`, with its share of sums and counts.
    fn move_to(&mut self, sequence: Sequence, topic: Option<TopicId>) {
        let (Some((kept, _)), Some(standing)) =
            (self.state.held.get(sequence), self.standings.get_mut(&sequence))
        else {
            return;
        };
        let before = standing.topic;
        standing.buffered = topic.is_none() && (standing.buffered || before.is_some());
        if before == topic {
            return;
        }
        standing.topic = topic;
        standing.revision = standing.revision.saturating_add(1);
        let revision = Revision {
            id: kept.id.clone(),
            position: kept.position.clone(),
            topic,
            before,
            embedding: kept.embedding.clone(),
            revision: standing.revision,
        };
        self.revisions.push(revision);
        if let Some(sums) = self.sums(before) {
            sums.remove(&kept.embedding);
        }
        if let Some(sums) = self.sums(topic) {
            sums.add(&kept.embedding);
        }
        self.counts.remove(before, &kept.words, 1.0);
        self.counts.add(topic, &kept.words, 1.0);
    }

    fn sums(&mut self, topic: Option<TopicId>) -> Option<&mut Sums> {
        match topic {
            None => Some(&mut self.outliers),
            Some(id) => self.topics.get_mut(&id).map(|record| &mut record.sums),
        }
    }

    /// Keeps further members of topics that the sample represents with fewer than `wanted`, lowest priority first.
    pub(super) fn choose_anchors(&mut self, wanted: usize) {
        let mut members: BTreeMap<TopicId, Vec<(bool, u64, Sequence)>> = BTreeMap::new();
        for (sequence, standing) in self.standings.iter().filter(|(_, standing)| standing.entry) {
            let (Some(topic), Some((kept, _))) = (standing.topic, self.state.held.get(*sequence)) else {
                continue;
            };
            members.entry(topic).or_default().push((!standing.sampled, kept.priority, *sequence));
        }
        for mut members in members.into_values() {
            members.sort_unstable();
            for (unsampled, _, sequence) in members.into_iter().take(wanted) {
                if let Some(standing) = self.standings.get_mut(&sequence).filter(|_| unsampled) {
                    standing.anchor = true;
                }
            }
        }
    }

    /// Brings centroid, floor, keywords, name and representative documents of every topic up to date.
    pub(super) fn publish(&mut self, params: &keywords::Params) {
        let mut members: BTreeMap<TopicId, Vec<&Kept>> = BTreeMap::new();
        for (sequence, standing) in self.standings.iter().filter(|(_, standing)| standing.entry) {
            if let (Some(topic), Some((kept, _))) = (standing.topic, self.state.held.get(*sequence)) {
                members.entry(topic).or_default().push(kept);
            }
        }
        let mut words = keywords::keywords(&self.counts, params);
        for (id, record) in &mut self.topics {
            if let Some(centroid) = record.sums.centroid() {
                record.topic.centroid = centroid;
            } else if record.topic.centroid.is_empty() {
                record.topic.centroid = direction(self.state.dim);
            }
            record.topic.size = record.sums.documents;
            record.topic.keywords = words.remove(&Some(*id)).unwrap_or_default();
            record.topic.name = name_of(&record.topic.keywords);
            if let Some(members) = members.get(id) {
                describe(&mut record.topic, members);
            }
            if record.announced.is_empty() {
                record.announced.clone_from(&record.topic.keywords);
            }
        }
    }

    /// What became of each topic.
    pub(super) fn fates(&self, plan: &Plan) -> Vec<(TopicId, Fate)> {
        let mut fates = Vec::new();
        for (id, before) in &self.state.topics {
            let after = self.topics.get(id);
            fates.push((
                *id,
                match (plan.merges.get(id), after) {
                    (Some(into), _) => Fate::MergedInto(*into),
                    (None, Some(after)) if plan.continued.contains(id) => {
                        Fate::Kept { drift: dot(&before.topic.centroid, &after.topic.centroid) }
                    }
                    _ => Fate::Unseen,
                },
            ));
        }
        let born = self.born.iter().zip(&plan.births);
        fates.extend(born.map(|(id, parent)| (*id, parent.map_or(Fate::Born, Fate::SplitFrom))));
        fates
    }

    /// The new version.
    pub(super) fn model(&self, version: u64) -> Result<TopicModel, BrokenEntry> {
        let entries: Vec<Entry> = (self.standings.iter())
            .filter(|(_, standing)| standing.entry)
            .filter_map(|(sequence, standing)| {
                let (kept, _) = self.state.held.get(*sequence)?;
                Some(Entry { embedding: kept.embedding.clone(), topic: standing.topic })
            })
            .collect();
        let topics = self.topics.iter().map(|(id, record)| (*id, record.topic.clone())).collect();
        let sampling = self.state.sampling();
        TopicModel::build(version, self.state.dim, topics, self.redirects.clone(), &entries, sampling)
    }

    /// Outliers that arrived while the refit ran get the topic that the new version gives them.
    pub(super) fn place_newcomers(&mut self, model: &TopicModel, params: &assign::Checked) {
        let newcomers: Vec<Sequence> = (self.standings.iter())
            .filter(|(_, standing)| standing.buffered && !standing.entry)
            .map(|(sequence, _)| *sequence)
            .collect();
        let embeddings = newcomers.iter().filter_map(|sequence| self.state.held.get(*sequence));
        let rows = UnitRows::from_rows(self.state.dim, embeddings.map(|(kept, _)| &*kept.embedding));
        let Ok(rows) = rows else { return };
        for (sequence, assignment) in newcomers.into_iter().zip(assign(model, &rows, params)) {
            if assignment.topic.is_some() {
                self.move_to(sequence, assignment.topic);
            }
        }
    }
}

/// The direction of a topic that lost every document and never had a centroid.
pub(super) fn direction(dim: usize) -> Vec<f32> {
    let mut first = vec![0.0; dim];
    if let Some(value) = first.first_mut() {
        *value = 1.0;
    }
    first
}

/// Floor and representative documents, from the members that are kept.
pub(super) fn describe(topic: &mut Topic, members: &[&Kept]) {
    let mut cosines: Vec<(f32, &Kept)> =
        members.iter().map(|kept| (dot(&topic.centroid, &kept.embedding), *kept)).collect();
    let n = cosines.len() as f32;
    let mean = cosines.iter().map(|(cosine, _)| cosine).sum::<f32>() / n;
    let variance = cosines.iter().map(|(cosine, _)| (cosine - mean).powi(2)).sum::<f32>() / n;
    topic.floor = (mean - FLOOR_DEVIATIONS * variance.sqrt()).max(0.0);
    cosines.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.id.cmp(&b.1.id)));
    let nearest = cosines.iter().take(REPRESENTATIVES).map(|(_, kept)| {
        let text = kept.text.as_str();
        Representative {
            id: kept.id.clone(),
            text: crate::document::start_of(text, REPRESENTATIVE_BYTES).to_owned(),
        }
    });
    topic.representative = nearest.collect();
}
