//! The step of every refit: its clusters become the topics of the next version.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::checkpoint::Position;
use crate::keywords::{self, Keyword};
use crate::model::assign;
use crate::model::event::{Happened, Portrait};
use crate::model::refit;
use crate::model::refit::reconcile::{Plan, reconcile};
use crate::model::refit::report::{Fate, Report};
use crate::model::refit::run::Fitted;
use crate::model::refit::trigger::Trigger;
use crate::model::state::State;
use crate::model::state::change::{Change, Op};
use crate::model::state::draft::Draft;
use crate::model::topic::{Life, TopicId};
use crate::model::version::{BrokenEntry, TopicModel};

/// Rank-weighted overlap of keywords below which people are told that they changed.
const SAME_KEYWORDS: f64 = 0.5;
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
}

/// What a refit comes to.
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
}

impl State {
    /// Makes the clusters of `fitted` the topics of the next version, under stable ids. O(kept documents × d + words).
    pub fn adopt(
        &mut self,
        fitted: &Fitted,
        told: &Circumstances,
        rules: Rules<'_>,
    ) -> Result<Adoption, BrokenEntry> {
        let pinned: BTreeSet<TopicId> =
            self.topics.iter().filter(|(_, record)| record.pinned).map(|(id, _)| *id).collect();
        let plan = reconcile(fitted, &self.suspicions, &pinned);
        let version = self.totals.version + 1;
        let mut draft = Draft::new(self);
        draft.bear(&plan, version);
        draft.merge(&plan);
        draft.label(fitted, &plan);
        draft.choose_anchors(self.bounds.anchors);
        draft.publish(rules.keywords);
        let fates = draft.fates(&plan);
        let model = draft.model(version)?;
        draft.place_newcomers(&model, rules.assign);
        let Draft { topics, outliers, counts, redirects, standings, revisions, born, .. } = draft;

        let portraits: BTreeMap<TopicId, Portrait> =
            self.topics.keys().map(|id| (*id, self.portrait(*id))).collect();
        let mut change = Change::default();
        let mut totals = self.totals;
        totals.version = version;
        totals.refits += 1;
        totals.topics += born.len() as u32;
        totals.refitted_at = told.documents;
        self.step(&mut change, Op::Totals(totals));
        plan.merges.keys().for_each(|id| self.step(&mut change, Op::EndTopic(*id)));
        topics.into_values().for_each(|record| self.step(&mut change, Op::Topic(Box::new(record))));
        self.step(&mut change, Op::Outliers(outliers));
        self.step(&mut change, Op::Counts(Arc::new(counts)));
        self.step(&mut change, Op::Fold);
        self.step(&mut change, Op::Redirects(redirects));
        self.step(&mut change, Op::Suspicions(plan.suspicions.clone()));
        for (sequence, standing) in standings {
            self.restand(&mut change, sequence, |present| *present = standing);
        }
        self.cut_back(&mut change);
        self.tell_adoption(&mut change, &plan, &born, &portraits, told.now_ms);
        self.sleep(&mut change, rules.refit.dormant_after_documents, told.now_ms);
        self.tell_published(&mut change, told.now_ms);
        let report = self.report(fitted, told, fates, revisions.len());
        self.step(&mut change, Op::Refitted(Box::new(report)));
        Ok(Adoption { change, revisions, model })
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

    fn tell_published(&mut self, change: &mut Change, now_ms: i64) {
        let live = self.topics.values().filter(|record| record.topic.life == Life::Live).count();
        let (documents, outliers) = (self.totals.documents, self.outliers.documents);
        self.tell(change, Happened::Published { topics: live, documents, outliers }, now_ms);
    }

    fn report(
        &self,
        fitted: &Fitted,
        told: &Circumstances,
        fates: Vec<(TopicId, Fate)>,
        moved: usize,
    ) -> Report {
        let outliers = |of: fn(&refit::run::Fit) -> bool| fitted.members.iter().filter(|fit| of(fit)).count();
        Report {
            number: self.totals.refits,
            time_ms: told.now_ms,
            trigger: told.trigger,
            before: self.totals.version - 1,
            after: self.totals.version,
            members: fitted.members.len(),
            outliers_before: outliers(|fit| fit.before.is_none()),
            outliers_after: outliers(|fit| fit.cluster.is_none()),
            moved,
            clusters: fitted.clusters,
            topics: self.topics.len(),
            min_cluster_size: fitted.min_cluster_size,
            stages: told.stages.clone(),
            fates,
        }
    }
}

/// How alike two keyword lists are, in [0, 1]: the first word weighs 1, the second 1/2, the third 1/3 …
fn overlap(before: &[Keyword], after: &[Keyword]) -> f64 {
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
