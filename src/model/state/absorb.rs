//! The step of every batch: count, keep what is worth keeping, within bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::document::Sequence;
use crate::keywords::Counts;
use crate::model::event::{Event, Happened};
use crate::model::evidence::{Evidence, Kept};
use crate::model::state::adopt::Revision;
use crate::model::state::change::{Change, Op, Standing};
use crate::model::state::ended::{self, Ended};
use crate::model::state::{Bounds, State};
use crate::model::topic::{Life, TopicId};

/// Windows between two words about the same trend.
const TREND_QUIET: u64 = 4;

impl State {
    /// Takes in what a batch teaches; `now_ms` stamps the events.
    ///
    /// Topics that ended since the batch was judged are followed to where they redirect. O(batch) in time.
    pub fn absorb(&mut self, evidence: Evidence, now_ms: i64) -> Change {
        let mut change = Change::default();
        let mut totals = self.totals;
        let window_before = self.window();
        totals.documents += evidence.ids.len() as u64;
        totals.rejected += evidence.rejected;
        self.step(&mut change, Op::Totals(totals));

        let touched: BTreeSet<TopicId> =
            evidence.learned.keys().flatten().map(|topic| self.resolve(*topic)).collect();
        let learned = evidence.learned.into_iter().collect();
        self.step(&mut change, Op::Learn { documents: totals.documents, learned });
        for (kept, topic) in evidence.kept {
            self.keep(&mut change, kept, topic);
        }
        if !evidence.ids.is_empty() {
            self.step(&mut change, Op::Seen(evidence.ids));
        }
        self.revive(&mut change, &touched, now_ms);
        if self.window() != window_before {
            self.tell_trends(&mut change, window_before, now_ms);
        }
        change
    }

    /// Changes the bounds; what they don't allow any more leaves. Words that were counted under another half-life weigh
    /// as if they had come now.
    pub fn bound(&mut self, bounds: Bounds) -> Change {
        let mut change = Change::default();
        self.bounds = bounds;
        self.counts.limit(bounds.vocabulary);
        if self.counts.half_life() != bounds.half_life {
            let (mut counts, mut ended) = (self.counts.clone(), self.ended.clone());
            ended::fade(&mut ended, counts.decay_from(self.totals.documents, bounds.half_life));
            self.fold(&mut change, counts, ended);
        }
        self.cut_back(&mut change);
        change
    }

    /// Writes all that is counted anew, so that what the journal of the store held before is needed no more.
    fn fold(
        &mut self,
        change: &mut Change,
        counts: Counts<Option<TopicId>>,
        ended: BTreeMap<TopicId, Ended>,
    ) {
        let records: Vec<_> = self.topics.values().cloned().collect();
        records.into_iter().for_each(|record| self.step(change, Op::Topic(Box::new(record))));
        ended.into_iter().for_each(|(id, ended)| self.step(change, Op::Ended(id, Box::new(ended))));
        let (sums, history) = (self.outliers.clone(), self.outlier_history.clone());
        self.step(change, Op::Outliers(sums, history, Box::new(self.outlier_profile.clone())));
        self.step(change, Op::Dictionary(Arc::new(self.dictionary.clone())));
        self.step(change, Op::Counts(Arc::new(counts)));
        self.step(change, Op::Fold);
    }

    /// The window of the stream that is not over yet.
    pub(super) fn window(&self) -> u64 {
        self.window_of(self.totals.documents)
    }

    /// The window in which document number `arrived` came.
    pub(in crate::model) fn window_of(&self, arrived: u64) -> u64 {
        arrived / self.bounds.window.max(1)
    }

    fn keep(&mut self, change: &mut Change, mut kept: Kept, recorded: Option<TopicId>) {
        kept.arrived = self.totals.documents;
        let topic = recorded.and_then(|id| self.living(id));
        let sampled = self.bounds.sample > 0 && kept.priority <= self.sample_bound();
        let fresh = self.bounds.fresh > 0 && kept.priority <= self.fresh_bound();
        let buffered = topic.is_none() && self.bounds.outliers > 0;
        let standing = Standing {
            topic,
            recorded,
            sampled,
            buffered,
            fresh,
            anchor: false,
            entry: false,
            refits: 0,
            revision: 1,
        };
        if !standing.holds() {
            return;
        }
        let mut totals = self.totals;
        totals.kept += 1;
        self.step(change, Op::Totals(totals));
        self.step(change, Op::Hold(Sequence(totals.kept), Arc::new(kept), standing));
        self.cut_back(change);
    }

    /// Brings the sample, the fresh documents and the outlier buffer back within their bounds.
    pub(super) fn cut_back(&mut self, change: &mut Change) {
        while self.held.sampled() > self.bounds.sample {
            let Some((_, sequence)) = self.held.last_sampled() else { break };
            self.restand(change, sequence, |standing| standing.sampled = false);
        }
        while self.held.fresh() > self.bounds.fresh {
            let Some((_, sequence)) = self.held.last_fresh() else { break };
            self.restand(change, sequence, |standing| standing.fresh = false);
        }
        while self.held.buffered() > self.bounds.outliers {
            let Some(sequence) = self.held.first_buffered() else { break };
            let mut totals = self.totals;
            totals.dropped_outliers += 1;
            self.step(change, Op::Totals(totals));
            self.restand(change, sequence, |standing| standing.buffered = false);
        }
    }

    /// Changes a kept document's standing, and releases it when no reason to keep it is left. An outlier that is
    /// released stays one for ever, which is told.
    pub(super) fn restand(
        &mut self,
        change: &mut Change,
        sequence: Sequence,
        edit: impl FnOnce(&mut Standing),
    ) {
        let Some((kept, before)) = self.held.get(sequence) else { return };
        let mut standing = before;
        edit(&mut standing);
        if !standing.holds() {
            if standing.topic.is_none() {
                change.settled.push(Revision::settled(kept, standing));
            }
            self.step(change, Op::Release(sequence));
        } else if standing != before {
            self.step(change, Op::Stand(sequence, standing));
        }
    }

    pub(super) fn tell(&mut self, change: &mut Change, happened: Happened, now_ms: i64) {
        let event =
            Event { number: self.totals.events + 1, time_ms: now_ms, version: self.totals.version, happened };
        self.step(change, Op::Event(event));
    }

    fn revive(&mut self, change: &mut Change, touched: &BTreeSet<TopicId>, now_ms: i64) {
        for id in touched {
            if self.topics.get(id).is_none_or(|record| record.topic.life == Life::Live) {
                continue;
            }
            self.step(change, Op::Life(*id, Life::Live));
            self.tell(change, Happened::Revived { topic: self.portrait(*id) }, now_ms);
        }
    }

    fn tell_trends(&mut self, change: &mut Change, window: u64, now_ms: i64) {
        let bursts: Vec<_> = (self.topics.iter())
            .filter(|(_, record)| record.trended.is_none_or(|at| window >= at + TREND_QUIET))
            .filter_map(|(id, record)| record.history.burst(window).map(|burst| (*id, burst)))
            .collect();
        for (id, (documents, expected)) in bursts {
            self.step(change, Op::Trended(id, window));
            self.tell(change, Happened::Trending { topic: self.portrait(id), documents, expected }, now_ms);
        }
    }
}
