//! The next version while it is made, by a refit or an operator; the state itself is untouched until the draft is
//! whole.

use std::collections::BTreeMap;

use crate::cluster::agreement;
use crate::document::Sequence;
use crate::kernel::dot::dot;
use crate::kernel::unit::UnitRows;
use crate::keywords::{self, Counts, Keyword, Ranking};
use crate::model::assign::{self, assign};
use crate::model::evidence::{Kept, Sums};
use crate::model::profile::Profile;
use crate::model::profile::dictionary::Dictionary;
use crate::model::refit::coherence::coherence;
use crate::model::refit::policy::Comparison;
use crate::model::refit::reconcile::{Plan, Target};
use crate::model::refit::report::Fate;
use crate::model::refit::run::{Fit, Fitted};
use crate::model::state::adopt::Revision;
use crate::model::state::change::Standing;
use crate::model::state::ended::{self, Ended};
use crate::model::state::{Record, State};
use crate::model::topic::{Representative, Topic, TopicId, name_all};
use crate::model::trend::History;
use crate::model::version::{BrokenEntry, Entry, Sampling, TopicModel};

/// Representative documents of a topic.
const REPRESENTATIVES: usize = 3;
/// Bytes of a representative document's text.
const REPRESENTATIVE_BYTES: usize = 300;
/// Standard deviations below the members' mean cosine to the centroid at which a topic ends.
const FLOOR_DEVIATIONS: f32 = 3.0;

/// Documents in which keywords are looked for together, at most.
const COHERENCE_DOCUMENTS: usize = 5000;

/// Copies of what makes up the next version.
pub(super) struct Draft<'a> {
    pub(super) state: &'a State,
    pub(super) next: Next,
}

/// All that a version changes in the state.
pub(super) struct Next {
    pub(super) topics: BTreeMap<TopicId, Record>,
    pub(super) outliers: Sums,
    pub(super) outlier_history: History,
    pub(super) outlier_profile: Profile,
    pub(super) dictionary: Dictionary,
    pub(super) counts: Counts<Option<TopicId>>,
    pub(super) ranking: Ranking<Option<TopicId>>,
    pub(super) redirects: BTreeMap<TopicId, TopicId>,
    pub(super) ended: BTreeMap<TopicId, Ended>,
    pub(super) standings: BTreeMap<Sequence, Standing>,
    /// The next record of each document that has another topic than its last record says.
    pub(super) revisions: BTreeMap<Sequence, Revision>,
    pub(super) born: Vec<TopicId>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(state: &'a State) -> Self {
        let standings = state.held.iter().map(|(sequence, _, standing)| (sequence, standing));
        let (mut counts, mut ended) = (state.counts.clone(), state.ended.clone());
        ended::fade(&mut ended, counts.advance(state.totals.documents));
        let next = Next {
            topics: state.topics.clone(),
            outliers: state.outliers.clone(),
            outlier_history: state.outlier_history.clone(),
            outlier_profile: state.outlier_profile.clone(),
            dictionary: state.dictionary.clone(),
            counts,
            ranking: state.ranking.clone(),
            redirects: state.redirects.clone(),
            ended,
            standings: standings.collect(),
            revisions: BTreeMap::new(),
            born: Vec::new(),
        };
        Self { state, next }
    }

    /// Gives the plan's births their ids.
    pub(super) fn bear(&mut self, plan: &Plan, version: u64) {
        for (index, parent) in plan.births.iter().enumerate() {
            let id = TopicId(self.state.totals.topics + index as u32);
            let record = Record::born(id, version, *parent, self.state.totals.documents);
            self.next.topics.insert(id, record);
            self.next.born.push(id);
        }
    }

    /// Gives each member of the fit its topic; members become the entries that vote from now on.
    pub(super) fn label(&mut self, fitted: &Fitted, plan: &Plan) {
        self.next.standings.values_mut().for_each(|standing| {
            standing.entry = false;
            standing.anchor = false;
        });
        for (fit, target) in fitted.members.iter().zip(&plan.labels) {
            let topic = target.map(|target| match target {
                Target::Old(id) => self.next.redirects.get(&id).copied().unwrap_or(id),
                Target::Born(index) => self.next.born[index],
            });
            if let Some(standing) = self.next.standings.get_mut(&fit.sequence) {
                standing.entry = fit.votes;
                standing.fresh = false;
                standing.refits = standing.refits.saturating_add(1);
            }
            self.move_to(fit.sequence, topic);
        }
    }

    /// Moves a kept document to `topic`, with its share of sums and counts; its next record says so. However often it moves,
    /// it gets one record, and none if its last one says `topic` already.
    pub(super) fn move_to(&mut self, sequence: Sequence, topic: Option<TopicId>) {
        let topic = topic.filter(|id| self.next.topics.contains_key(id));
        let (Some((kept, first)), Some(standing)) =
            (self.state.held.get(sequence), self.next.standings.get_mut(&sequence))
        else {
            return;
        };
        let before = *standing;
        standing.buffered = topic.is_none() && (standing.buffered || before.topic.is_some());
        if before.topic == topic {
            return;
        }
        standing.topic = topic;
        standing.recorded = topic;
        if topic == first.recorded {
            standing.revision = first.revision;
            self.next.revisions.remove(&sequence);
        } else {
            standing.revision = first.revision.saturating_add(1);
            let revision = Revision {
                id: kept.id.clone(),
                position: kept.position.clone(),
                topic,
                before: first.topic,
                embedding: kept.embedding.clone(),
                revision: standing.revision,
                settled: false,
                fields: kept.fields.clone(),
            };
            self.next.revisions.insert(sequence, revision);
        }
        self.take_out(kept, before);
        self.put_in(kept, topic);
    }

    /// Takes a document out of all that is counted of its topic.
    pub(super) fn take_out(&mut self, kept: &Kept, standing: Standing) {
        let (window, sums) = (self.state.window_of(kept.arrived), Sums::of(&kept.embedding));
        let (weight, profile) = (self.next.counts.weight(kept.arrived), self.profile_of(kept));
        for id in ended::chain(&self.next.ended, standing.recorded) {
            if let Some(ended) = self.next.ended.get_mut(&id) {
                ended.remove(window, &sums, &profile, &kept.words, weight);
            }
        }
        if let Some((all, history, counted)) = self.ledger(standing.topic) {
            all.unmerge(&sums);
            history.remove(window, &sums);
            counted.unmerge(&profile);
        }
        self.next.counts.remove(standing.topic, &kept.words, weight);
    }

    fn put_in(&mut self, kept: &Kept, topic: Option<TopicId>) {
        let (window, sums) = (self.state.window_of(kept.arrived), Sums::of(&kept.embedding));
        let profile = self.profile_of(kept);
        if let Some((all, history, counted)) = self.ledger(topic) {
            all.merge(&sums);
            history.add(window, &sums);
            counted.merge(&profile);
        }
        self.next.counts.add_at(topic, &kept.words, kept.arrived);
    }

    /// What a kept document adds to the times and fields that are counted.
    fn profile_of(&self, kept: &Kept) -> Profile {
        let mut profile = Profile::of(kept.timestamp_ms, &kept.fields);
        self.next.dictionary.limit(&mut profile);
        profile
    }

    /// What is counted of `topic`.
    pub(super) fn ledger(
        &mut self,
        topic: Option<TopicId>,
    ) -> Option<(&mut Sums, &mut History, &mut Profile)> {
        let next = &mut self.next;
        let Some(id) = topic else {
            return Some((&mut next.outliers, &mut next.outlier_history, &mut next.outlier_profile));
        };
        let record = next.topics.get_mut(&id)?;
        Some((&mut record.sums, &mut record.history, &mut record.profile))
    }

    /// Changes a topic that is there.
    pub(super) fn edit(&mut self, id: TopicId, edit: impl FnOnce(&mut Record)) {
        if let Some(record) = self.next.topics.get_mut(&id) {
            edit(record);
        }
    }

    /// Documents absorbed in all.
    pub(super) fn documents(&self) -> u64 {
        self.state.totals.documents
    }

    /// Keeps further members of topics that the sample represents with fewer than `wanted`, lowest priority first.
    pub(super) fn choose_anchors(&mut self, wanted: usize) {
        let mut members: BTreeMap<TopicId, Vec<(bool, u64, Sequence)>> = BTreeMap::new();
        for (sequence, standing) in self.next.standings.iter().filter(|(_, standing)| standing.entry) {
            let (Some(topic), Some((kept, _))) = (standing.topic, self.state.held.get(*sequence)) else {
                continue;
            };
            members.entry(topic).or_default().push((!standing.sampled, kept.priority, *sequence));
        }
        for mut members in members.into_values() {
            members.sort_unstable();
            for (unsampled, _, sequence) in members.into_iter().take(wanted) {
                if let Some(standing) = self.next.standings.get_mut(&sequence).filter(|_| unsampled) {
                    standing.anchor = true;
                }
            }
        }
    }

    /// Brings centroid, floor, keywords, name and representative documents of every topic up to date. Words are weighed
    /// at the cost of what changed: [`Ranking`].
    pub(super) fn publish(&mut self, params: &keywords::Params) {
        let mut members: BTreeMap<TopicId, Vec<&Kept>> = BTreeMap::new();
        for (sequence, standing) in self.next.standings.iter().filter(|(_, standing)| standing.entry) {
            if let (Some(topic), Some((kept, _))) = (standing.topic, self.state.held.get(*sequence)) {
                members.entry(topic).or_default().push(kept);
            }
        }
        let sampled: Vec<&Kept> = (self.state.held.iter())
            .filter(|(_, _, standing)| standing.sampled)
            .map(|(_, kept, _)| &**kept)
            .collect();
        let mut words = self.next.ranking.update(&self.next.counts, params);
        for (id, record) in &mut self.next.topics {
            if let Some(centroid) = record.sums.centroid() {
                record.topic.centroid = centroid;
            } else if record.topic.centroid.is_empty() {
                record.topic.centroid = direction(self.state.dim);
            }
            record.topic.size = record.sums.documents;
            record.topic.take_ctfidf(words.remove(&Some(*id)).unwrap_or_default());
            let documents = || sampled.iter().map(|kept| &*kept.embedding);
            record.topic.seeds.iter_mut().for_each(|seed| seed.calibrate(documents()));
            if let Some(members) = members.get(id) {
                describe(&mut record.topic, members);
            }
            if record.announced.is_empty() {
                record.announced.clone_from(&record.topic.keywords);
            }
        }
        name_all(self.next.topics.values_mut().map(|record| &mut record.topic));
    }

    /// What became of each topic.
    pub(super) fn fates(&self, plan: &Plan) -> Vec<(TopicId, Fate)> {
        let mut fates = Vec::new();
        for (id, before) in &self.state.topics {
            let after = self.next.topics.get(id);
            fates.push((
                *id,
                match (plan.merges.get(id), after) {
                    (Some(into), _) => Fate::MergedInto(*into),
                    (None, Some(after)) if plan.continued.contains(id) => {
                        Fate::Kept { similarity: dot(&before.topic.centroid, &after.topic.centroid) }
                    }
                    _ => Fate::Unseen,
                },
            ));
        }
        let born = self.next.born.iter().zip(&plan.births);
        fates.extend(born.map(|(id, parent)| (*id, parent.map_or(Fate::Born, Fate::SplitFrom))));
        fates.extend(plan.restored.iter().map(|id| (*id, Fate::Restored)));
        fates
    }

    /// How this draft compares with the version in force, over the documents of the fit.
    pub(super) fn compare(&self, fitted: &Fitted) -> Comparison {
        let after = |fit: &Fit| self.next.standings.get(&fit.sequence).and_then(|standing| standing.topic);
        let lead = |id: TopicId| self.next.redirects.get(&id).copied().unwrap_or(id);
        let had: Vec<(TopicId, Option<TopicId>)> =
            fitted.members.iter().filter_map(|fit| Some((fit.before?, after(fit)))).collect();
        let (left, right): (Vec<_>, Vec<_>) = had.iter().copied().unzip();
        let moved = had.iter().filter(|(before, after)| Some(lead(*before)) != *after).count();
        let covered = fitted.members.iter().filter(|fit| after(fit).is_some()).count();
        // One topic alone can be found again but not agreed with: its mutual information with anything is 0.
        let several = left.iter().any(|topic| *topic != left[0]);
        let agreement = if several { agreement::adjusted_mutual_information(&left, &right) } else { Ok(1.0) };
        let share = |part: usize, of: usize| part as f64 / of.max(1) as f64;
        let every = fitted.members.len().div_ceil(COHERENCE_DOCUMENTS).max(1);
        let documents: Vec<&Kept> = (fitted.members.iter().step_by(every))
            .filter_map(|fit| self.state.held.get(fit.sequence).map(|(kept, _)| &**kept))
            .collect();
        let mean = |topics: &BTreeMap<TopicId, Record>| {
            let lists: Vec<&[Keyword]> = topics.values().map(|record| &*record.topic.keywords).collect();
            let found = coherence(&lists, documents.iter().map(|kept| &kept.words));
            let found: Vec<f64> = found.into_iter().flatten().collect();
            (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
        };
        Comparison {
            agreement: agreement.unwrap_or(1.0),
            churn: share(moved, had.len()),
            coverage_before: share(had.len(), fitted.members.len()),
            coverage_after: share(covered, fitted.members.len()),
            coherence_before: mean(&self.state.topics),
            coherence_after: mean(&self.next.topics),
        }
    }

    /// The new version, under which `sampling` holds.
    pub(super) fn model(&self, version: u64, sampling: Sampling) -> Result<TopicModel, BrokenEntry> {
        let entries: Vec<Entry> = (self.next.standings.iter())
            .filter(|(_, standing)| standing.entry)
            .filter_map(|(sequence, standing)| {
                let (kept, _) = self.state.held.get(*sequence)?;
                Some(Entry { embedding: kept.embedding.clone(), topic: standing.topic })
            })
            .collect();
        let topics = self.next.topics.iter().map(|(id, record)| (*id, record.topic.clone())).collect();
        TopicModel::build(version, self.state.dim, topics, self.next.redirects.clone(), &entries, sampling)
    }

    /// Outliers that arrived while the refit ran get the topic that the new version gives them.
    pub(super) fn place_newcomers(&mut self, model: &TopicModel, params: &assign::Checked) {
        let newcomers: Vec<Sequence> = (self.next.standings.iter())
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
