//! The step of every refit: its clusters become the topics of the next version.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::checkpoint::Position;
use crate::document::Fields;
use crate::keywords::{self, Keyword};
use crate::model::assign;
use crate::model::event::{Happened, Portrait};
use crate::model::evidence::Kept;
use crate::model::refit;
use crate::model::refit::policy::{self, Comparison, Reason};
use crate::model::refit::reconcile::{Grounds, Plan, reconcile};
use crate::model::refit::report::{Fate, Report};
use crate::model::refit::run::Fitted;
use crate::model::refit::trigger::Trigger;
use crate::model::state::change::{Change, Op, Standing};
use crate::model::state::draft::Draft;
use crate::model::state::{State, Totals};
use crate::model::topic::{Life, TopicId};
use crate::model::version::{BrokenEntry, TopicModel};

/// Rank-weighted overlap of keywords below which people are told that they changed.
pub(super) const SAME_KEYWORDS: f64 = 0.5;
/// A later assignment of a document whose first one has long been written.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// The document's id.
    pub id: Arc<str>,
    /// Where it stands in its source.
    pub position: Position,
    /// Its topic from now on.
    pub topic: Option<TopicId>,
    /// Its topic before.
    pub before: Option<TopicId>,
    /// Its embedding, of length 1.
    pub embedding: Arc<[f32]>,
    /// 2 for the first revision of a document, one more for each.
    pub revision: u16,
    /// No refit will look at it again.
    pub settled: bool,
    /// Its kept fields.
    pub fields: Fields,
}

impl Revision {
    /// The last word on an outlier that is kept no longer.
    pub(super) fn settled(kept: &Kept, standing: Standing) -> Self {
        Self {
            id: kept.id.clone(),
            position: kept.position.clone(),
            topic: None,
            before: None,
            embedding: kept.embedding.clone(),
            revision: standing.revision.saturating_add(1),
            settled: true,
            fields: kept.fields.clone(),
        }
    }
}

/// What becomes of a refit's result.
#[derive(Debug)]
pub enum Decision {
    /// It is the version in force from now on.
    Promoted(Box<Adoption>),
    /// The version in force stays.
    Rejected(Rejection),
}

/// A result that is not promoted.
#[derive(Debug)]
pub struct Rejection {
    /// For the store.
    pub change: Change,
    /// Why, in words.
    pub reason: String,
    /// Documents whose topic changed: after the last refit, outliers to which the version in force gives one.
    pub revisions: Vec<Revision>,
}

/// A result that is promoted.
#[derive(Debug)]
pub struct Adoption {
    /// For the store.
    pub change: Change,
    /// Documents whose topic changed.
    pub revisions: Vec<Revision>,
    /// The new version, ready for assigners.
    pub model: TopicModel,
}

/// What the caller knows of a refit besides its clusters.
#[derive(Debug, Clone, PartialEq)]
pub struct Circumstances {
    /// What asked for it.
    pub trigger: Trigger,
    /// Documents absorbed when its snapshot was taken.
    pub documents: u64,
    /// Stage → seconds.
    pub stages: Vec<(String, f64)>,
    /// Now, in ms since 1970.
    pub now_ms: i64,
}

/// The parameters that shape topics.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// How documents find their topic.
    pub assign: &'a assign::Checked,
    /// How refits are done.
    pub refit: &'a refit::Checked,
    /// How keywords are found.
    pub keywords: &'a keywords::Params,
    /// When a refit's result is promoted.
    pub policy: &'a policy::Checked,
}

impl State {
    /// Makes the clusters of `fitted` the topics of the next version, under stable ids, if they are worth it.
    /// O(kept documents × d + words).
    pub fn adopt(
        &mut self,
        fitted: &Fitted,
        told: &Circumstances,
        rules: Rules<'_>,
    ) -> Result<Decision, BrokenEntry> {
        let pinned: BTreeSet<TopicId> =
            self.topics.iter().filter(|(_, record)| record.pinned).map(|(id, _)| *id).collect();
        let fitted = &self.up_to_date(fitted);
        let returning = &self.returning(fitted);
        let [ended, joined] = &self.decided();
        let grounds = Grounds { pinned: &pinned, joined, ended, returning };
        let plan = reconcile(fitted, &grounds);
        let version = self.totals.version + 1;
        let mut draft = Draft::new(self);
        plan.restored.iter().for_each(|id| _ = draft.restore(*id));
        draft.bear(&plan, version);
        plan.merges.iter().for_each(|(from, into)| draft.end(*from, Some(*into), version));
        draft.label(fitted, &plan);
        draft.unite_copies();
        draft.choose_anchors(self.bounds.anchors);
        draft.publish(rules.keywords);
        let fates = draft.fates(&plan);
        let comparison = draft.compare(fitted);
        if let Err(reason) = rules.policy.judge(&comparison, self.totals.rejected_refits) {
            let report = self.report(fitted, told, fates, comparison);
            return Ok(Decision::Rejected(self.reject(report, &reason, told, rules.assign)?));
        }
        let model = draft.model(version, self.sampling_after(told.documents))?.with_vote(fitted.vote);
        draft.place_newcomers(&model, rules.assign);
        let mut next = draft.next;
        let shifts = self.shifts(&next.standings, told.documents);
        let revisions: Vec<_> = std::mem::take(&mut next.revisions).into_values().collect();
        let born = std::mem::take(&mut next.born);
        let portraits: BTreeMap<TopicId, Portrait> =
            self.topics.keys().map(|id| (*id, self.portrait(*id))).collect();
        let mut change = Change::default();
        let mut totals = self.totals;
        totals.version = version;
        totals.refits += 1;
        totals.rejected_refits = 0;
        totals.vote = fitted.vote;
        totals.topics += born.len() as u32;
        totals.refitted_at = told.documents;
        self.enact(&mut change, totals, next);
        self.tell_adoption(&mut change, &plan, &born, &portraits, told.now_ms);
        self.tell_shifts(&mut change, shifts, told.now_ms);
        self.sleep(&mut change, rules.refit.dormant_after_documents, told.now_ms);
        self.tell_published(&mut change, told.now_ms);
        self.keep_version(&mut change, format!("refit {}", self.totals.refits), told.now_ms);
        let fates = fates.into_iter().map(|(id, fate)| (id, self.asleep(id, fate))).collect();
        let report = Report {
            number: self.totals.refits,
            before: version - 1,
            moved: revisions.len(),
            topics: self.topics.len(),
            ..self.report(fitted, told, fates, comparison)
        };
        self.step(&mut change, Op::Refitted(Box::new(report)));
        Ok(Decision::Promoted(Box::new(Adoption { change, revisions, model })))
    }

    /// The fate of a topic that this refit found asleep, or sent to sleep.
    fn asleep(&self, id: TopicId, fate: Fate) -> Fate {
        let dormant = self.topics.get(&id).is_some_and(|record| record.topic.life == Life::Dormant);
        if dormant && fate == Fate::Unseen { Fate::Dormant } else { fate }
    }

    /// The fit with the topics that its members have now: an operator may have changed them while it ran.
    fn up_to_date(&self, fitted: &Fitted) -> Fitted {
        let mut fitted = fitted.clone();
        for fit in &mut fitted.members {
            fit.before = match self.held.get(fit.sequence) {
                Some((_, standing)) => standing.topic,
                None => fit.before.and_then(|id| self.living(id)),
            };
        }
        fitted
    }

    /// The topics in force stay; people are told why. No refit after the last one looks at the outliers, so the version
    /// in force judges them.
    fn reject(
        &mut self,
        mut report: Report,
        reason: &Reason,
        told: &Circumstances,
        judging: &assign::Checked,
    ) -> Result<Rejection, BrokenEntry> {
        let mut change = Change::default();
        let mut totals = self.totals;
        totals.refits += 1;
        totals.rejected_refits += 1;
        totals.refitted_at = told.documents;
        let revisions = if told.trigger == Trigger::EndOfStream {
            self.judge_outliers(&mut change, totals, judging)?
        } else {
            self.step(&mut change, Op::Totals(totals));
            Vec::new()
        };
        let reason = reason.to_string();
        let happened = Happened::Rejected { refit: totals.refits, reason: reason.clone() };
        self.tell(&mut change, happened, told.now_ms);
        report.number = totals.refits;
        report.rejected = Some(reason.clone());
        self.step(&mut change, Op::Refitted(Box::new(report)));
        Ok(Rejection { change, reason, revisions })
    }

    /// The version in force judges the outliers that came since, and their copies; documents whose topic changed.
    fn judge_outliers(
        &mut self,
        change: &mut Change,
        totals: Totals,
        judging: &assign::Checked,
    ) -> Result<Vec<Revision>, BrokenEntry> {
        let model = self.model()?;
        let mut draft = Draft::new(self);
        draft.place_newcomers(&model, judging);
        draft.unite_copies();
        let mut next = draft.next;
        let revisions = std::mem::take(&mut next.revisions).into_values().collect();
        self.enact(change, totals, next);
        Ok(revisions)
    }

    fn tell_adoption(
        &mut self,
        change: &mut Change,
        plan: &Plan,
        born: &[TopicId],
        before: &BTreeMap<TopicId, Portrait>,
        now_ms: i64,
    ) {
        for (id, parent) in born.iter().zip(&plan.births) {
            let topic = self.portrait(*id);
            let happened = match parent.and_then(|parent| before.get(&parent)) {
                Some(from) => Happened::Split { topic, from: from.clone() },
                None => Happened::Created { topic },
            };
            self.tell(change, happened, now_ms);
        }
        for id in &plan.restored {
            self.tell(change, Happened::Restored { topic: self.portrait(*id) }, now_ms);
        }
        let takers: BTreeSet<TopicId> = plan.merges.values().copied().collect();
        for into in takers {
            let from = plan.merges.iter().filter(|(_, taker)| **taker == into);
            let from = from.filter_map(|(ended, _)| before.get(ended).cloned()).collect();
            self.tell(change, Happened::Merged { into: self.portrait(into), from }, now_ms);
        }
        self.tell_keywords(change, born, now_ms);
    }

    fn tell_keywords(&mut self, change: &mut Change, born: &[TopicId], now_ms: i64) {
        let changed: Vec<(TopicId, f64)> = (self.topics.iter())
            .filter(|(id, _)| !born.contains(id))
            .map(|(id, record)| (*id, overlap(&record.announced, &record.topic.keywords)))
            .filter(|(_, overlap)| *overlap < SAME_KEYWORDS)
            .collect();
        for (id, overlap) in changed {
            let before = self.topics.get(&id).map(|record| record.announced.clone()).unwrap_or_default();
            self.step(change, Op::Announced(id));
            self.tell(
                change,
                Happened::KeywordsChanged { topic: self.portrait(id), before, overlap },
                now_ms,
            );
        }
    }

    fn sleep(&mut self, change: &mut Change, after: u64, now_ms: i64) {
        let quiet: Vec<TopicId> = (self.topics.iter())
            .filter(|(_, record)| record.topic.life == Life::Live)
            .filter(|(_, record)| self.totals.documents >= record.last_seen + after)
            .map(|(id, _)| *id)
            .collect();
        for id in quiet {
            self.step(change, Op::Life(id, Life::Dormant));
            self.tell(change, Happened::Dormant { topic: self.portrait(id) }, now_ms);
        }
    }

    /// The report of a refit that changes nothing.
    fn report(
        &self,
        fitted: &Fitted,
        told: &Circumstances,
        fates: Vec<(TopicId, Fate)>,
        comparison: Comparison,
    ) -> Report {
        let outliers = |of: fn(&refit::run::Fit) -> bool| fitted.members.iter().filter(|fit| of(fit)).count();
        Report {
            number: self.totals.refits,
            time_ms: told.now_ms,
            trigger: told.trigger,
            before: self.totals.version,
            after: self.totals.version,
            members: fitted.members.len(),
            outliers_before: outliers(|fit| fit.before.is_none()),
            outliers_after: outliers(|fit| fit.cluster.is_none()),
            moved: 0,
            clusters: fitted.clusters as u32,
            topics: self.topics.len(),
            min_cluster_size: fitted.min_cluster_size,
            comparison,
            rejected: None,
            stages: told.stages.clone(),
            fates,
        }
    }
}

/// How alike two keyword lists are, in [0, 1]: the first word weighs 1, the second 1/2, the third 1/3 …
pub(super) fn overlap(before: &[Keyword], after: &[Keyword]) -> f64 {
    let weight = |rank: usize| 1.0 / (rank + 1) as f64;
    let all: f64 = (0..before.len().max(after.len())).map(weight).sum();
    let shared: f64 = (before.iter().enumerate())
        .filter_map(|(rank, word)| {
            let other = after.iter().position(|candidate| candidate.term == word.term)?;
            Some(weight(rank).min(weight(other)))
        })
        .sum();
    if all > 0.0 { shared / all } else { 1.0 }
}
