//! Topics that end and topics that come back: the two ways of one door, so that each undoes the other exactly.

use std::collections::BTreeSet;

use crate::model::seed::Seed;
use crate::model::state::archive::Archive;
use crate::model::state::draft::Draft;
use crate::model::state::ended::{self, Ended};
use crate::model::topic::{Life, TopicId};

impl Draft<'_> {
    /// Ends `from`; all that is known of it goes to `into`, or to the outliers.
    pub(super) fn end(&mut self, from: TopicId, into: Option<TopicId>, version: u64) {
        let Some(record) = self.next.topics.remove(&from) else { return };
        let into = into.map(|id| self.next.redirects.get(&id).copied().unwrap_or(id));
        let words =
            self.next.counts.terms(Some(from)).map(|(term, count)| (term.to_owned(), count)).collect();
        if let Some((sums, history, profile)) = self.ledger(into) {
            sums.merge(&record.sums);
            history.merge(&record.history);
            profile.merge(&record.profile);
        }
        self.next.counts.merge_classes(Some(from), into);
        if let Some(taker) = into.and_then(|id| self.next.topics.get_mut(&id)) {
            taker.last_seen = taker.last_seen.max(record.last_seen);
            taker.topic.seeds.extend(record.topic.seeds.iter().cloned());
        }
        let redirects = &mut self.next.redirects;
        let took: BTreeSet<TopicId> =
            redirects.iter().filter(|(_, target)| **target == from).map(|(id, _)| *id).collect();
        for id in took.iter().chain([&from]) {
            match into {
                Some(into) => redirects.insert(*id, into),
                None => redirects.remove(id),
            };
        }
        let members = (self.next.standings.iter())
            .filter(|(_, standing)| standing.entry && standing.topic == Some(from))
            .map(|(sequence, _)| *sequence)
            .collect();
        self.next.ended.insert(from, Ended { record, words, into, took, version, members, decided: false });
        self.follow();
    }

    /// The same, because an operator said so: no refit brings it back.
    pub(super) fn end_for_good(&mut self, from: TopicId, into: Option<TopicId>, version: u64) {
        self.end(from, into, version);
        if let Some(ended) = self.next.ended.get_mut(&from) {
            ended.decided = true;
        }
    }

    /// Brings back a topic that ended, with the documents whose records name it. False if that is no longer known.
    pub(super) fn restore(&mut self, id: TopicId) -> bool {
        let Some(back) = self.next.ended.remove(&id) else { return false };
        for holder in ended::chain(&self.next.ended, back.into) {
            if let Some(holder) = self.next.ended.get_mut(&holder) {
                holder.part(&back);
            }
        }
        let holder = self.living(back.into);
        if let Some((sums, history, profile)) = self.ledger(holder) {
            sums.unmerge(&back.record.sums);
            history.unmerge(&back.record.history);
            profile.unmerge(&back.record.profile);
        }
        if let Some(holder) = holder.and_then(|id| self.next.topics.get_mut(&id)) {
            let theirs = |seed: &Seed| back.record.topic.seeds.iter().any(|own| own.label == seed.label);
            holder.topic.seeds.retain(|seed| !theirs(seed));
        }
        let words = || back.words.iter().map(|(term, count)| (term.as_str(), *count));
        self.next.counts.remove_terms(holder, words());
        self.next.counts.add_terms(Some(id), words());
        self.next.redirects.remove(&id);
        for taken in &back.took {
            // One that came back itself, or that another took since, goes its own way.
            if !self.next.topics.contains_key(taken) && self.leads(*taken, id) {
                self.next.redirects.insert(*taken, id);
            }
        }
        let mut record = back.record;
        record.topic.life = Life::Live;
        record.last_seen = self.documents();
        self.next.topics.insert(id, record);
        self.follow();
        true
    }

    /// True if the ends of topics lead from `from` to `to`, or if it ended too long ago to know.
    fn leads(&self, from: TopicId, to: TopicId) -> bool {
        let chain = ended::chain(&self.next.ended, Some(from));
        chain.last().is_none_or(|last| self.next.ended[last].into == Some(to))
    }

    fn living(&self, id: Option<TopicId>) -> Option<TopicId> {
        let id = id?;
        let id = self.next.redirects.get(&id).copied().unwrap_or(id);
        self.next.topics.contains_key(&id).then_some(id)
    }

    /// Each kept document has the topic that its newest record leads to.
    fn follow(&mut self) {
        let (topics, redirects) = (&self.next.topics, &self.next.redirects);
        for standing in self.next.standings.values_mut() {
            let Some(recorded) = standing.recorded else { continue };
            let id = redirects.get(&recorded).copied().unwrap_or(recorded);
            standing.topic = topics.contains_key(&id).then_some(id);
            standing.buffered = standing.topic.is_none();
        }
    }

    /// Makes the topics those of `then`: topics that ended since come back, topics born since end in the topic that
    /// they were split from or in none, and each document kept since then has the topic that it had.
    ///
    /// Topics that end here are returned, with what took them in.
    pub(super) fn roll_back(&mut self, then: &Archive, version: u64) -> Vec<(TopicId, Option<TopicId>)> {
        let mut back: Vec<(u64, TopicId)> = (self.next.ended.iter())
            .filter(|(id, _)| then.topics.contains_key(id))
            .map(|(id, ended)| (ended.version, *id))
            .collect();
        back.sort_unstable();
        for (_, id) in back.into_iter().rev() {
            self.restore(id);
        }
        for standing in self.next.standings.values_mut() {
            standing.entry = false;
            standing.anchor = false;
        }
        for (sequence, topic, voted) in &then.labels {
            if let Some(standing) = self.next.standings.get_mut(sequence) {
                standing.entry = *voted;
            }
            self.move_to(*sequence, *topic);
        }
        let since: Vec<TopicId> =
            self.next.topics.keys().filter(|id| !then.topics.contains_key(id)).copied().collect();
        let mut ends = Vec::new();
        for id in since.into_iter().rev() {
            let into = self.parent(id, then);
            self.end(id, into, version);
            ends.push((id, into));
        }
        for (id, archived) in &then.topics {
            if let Some(record) = self.next.topics.get_mut(id) {
                record.topic.custom_label.clone_from(&archived.custom_label);
                record.pinned = archived.pinned;
            }
        }
        ends
    }

    /// The topic of `then` from which `id` was split, perhaps by way of others.
    fn parent(&self, id: TopicId, then: &Archive) -> Option<TopicId> {
        let mut id = id;
        loop {
            id = self.next.topics.get(&id)?.topic.split_from?;
            if then.topics.contains_key(&id) {
                return self.living(Some(id));
            }
        }
    }
}
