//! A draft becomes the version in force: the same steps whether a refit or an operator made it.

use std::sync::Arc;

use crate::model::event::Happened;
use crate::model::state::change::{Change, Op};
use crate::model::state::draft::Next;
use crate::model::state::ended::Ended;
use crate::model::state::{State, Totals};
use crate::model::topic::Life;

/// Topics that can come back however long ago they ended: the last ones, and those that an operator ended.
const MOST_ENDED: usize = 100;

impl State {
    /// Puts all of `next` in force. Everything stands whole in the change, so that what the journal of the store held
    /// before is needed no more.
    pub(super) fn enact(&mut self, change: &mut Change, totals: Totals, next: Next) {
        self.step(change, Op::Totals(totals));
        let ended: Vec<_> = self.topics.keys().filter(|id| !next.topics.contains_key(id)).copied().collect();
        ended.into_iter().for_each(|id| self.step(change, Op::EndTopic(id)));
        next.topics.into_values().for_each(|record| self.step(change, Op::Topic(Box::new(record))));
        let mut ends: Vec<u64> = next.ended.values().map(|ended| ended.version).collect();
        ends.sort_unstable_by(|a, b| b.cmp(a));
        let horizon = totals.version.saturating_sub(self.bounds.versions as u64);
        let horizon = horizon.min(ends.get(MOST_ENDED).copied().unwrap_or(0));
        let kept = |ended: &Ended| ended.decided || ended.version > horizon;
        let settled: Vec<_> = (self.ended.keys())
            .filter(|id| next.ended.get(id).is_none_or(|ended| !kept(ended)))
            .copied()
            .collect();
        settled.into_iter().for_each(|id| self.step(change, Op::Settle(id)));
        for (id, ended) in next.ended.into_iter().filter(|(_, ended)| kept(ended)) {
            self.step(change, Op::Ended(id, Box::new(ended)));
        }
        self.step(change, Op::Outliers(next.outliers, next.outlier_history, Box::new(next.outlier_profile)));
        self.step(change, Op::Dictionary(Arc::new(next.dictionary)));
        self.step(change, Op::Counts(Arc::new(next.counts)));
        self.ranking = next.ranking;
        self.step(change, Op::Fold);
        self.step(change, Op::Redirects(next.redirects));
        let gone: Vec<_> = (self.held.iter())
            .map(|(sequence, ..)| sequence)
            .filter(|sequence| !next.standings.contains_key(sequence))
            .collect();
        gone.into_iter().for_each(|sequence| self.step(change, Op::Release(sequence)));
        for (sequence, standing) in next.standings {
            self.restand(change, sequence, |present| *present = standing);
        }
        self.cut_back(change);
    }

    /// Keeps the version that has just come into force, in place of the oldest.
    pub(super) fn keep_version(&mut self, change: &mut Change, cause: String, now_ms: i64) {
        let archive = self.archive(cause, now_ms);
        self.step(change, Op::Archive(Box::new(archive)));
        while self.archives.len() > self.bounds.versions.max(1) {
            let Some(oldest) = self.archives.front().map(|archive| archive.number) else { break };
            self.step(change, Op::Unarchive(oldest));
        }
    }

    pub(super) fn tell_published(&mut self, change: &mut Change, now_ms: i64) {
        let live = self.topics.values().filter(|record| record.topic.life == Life::Live).count();
        let (documents, outliers) = (self.counted(), self.outliers.documents);
        self.tell(change, Happened::Published { topics: live, documents, outliers }, now_ms);
    }

    /// Documents that sizes and outliers add up to: all that were absorbed, without those forgotten.
    pub fn counted(&self) -> u64 {
        self.totals.documents.saturating_sub(self.totals.forgotten)
    }
}
