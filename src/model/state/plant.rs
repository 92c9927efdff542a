//! The step that seeds topics before the stream, or when the configuration names new ones.

use std::collections::BTreeSet;

use crate::model::event::Happened;
use crate::model::seed::Seed;
use crate::model::state::adopt::Rules;
use crate::model::state::change::Change;
use crate::model::state::draft::Draft;
use crate::model::state::operate::Operation;
use crate::model::state::{Record, State};
use crate::model::topic::TopicId;
use crate::model::version::BrokenEntry;

impl State {
    /// Bears a topic for each seed whose label no topic carries or carried; none if there is no such seed.
    ///
    /// A seed that is known already changes nothing: its topic has gone its own way since.
    pub fn plant(
        &mut self,
        seeds: Vec<Seed>,
        rules: Rules<'_>,
        now_ms: i64,
    ) -> Result<Option<Operation>, BrokenEntry> {
        let ended = self.ended.values().map(|ended| &ended.record);
        let known: BTreeSet<String> = (self.topics.values().chain(ended))
            .flat_map(|record| record.topic.seeds.iter().map(|seed| seed.label.clone()))
            .collect();
        let new: Vec<Seed> = seeds.into_iter().filter(|seed| !known.contains(&seed.label)).collect();
        if new.is_empty() {
            return Ok(None);
        }
        let mut totals = self.totals;
        totals.version += 1;
        let mut draft = Draft::new(self);
        let mut born = Vec::new();
        for seed in new {
            let id = TopicId(totals.topics);
            totals.topics += 1;
            let mut record = Record::born(id, totals.version, None, totals.documents);
            record.topic.custom_label = Some(seed.label.clone());
            record.topic.centroid.clone_from(&seed.embedding);
            record.topic.seeds.push(seed);
            draft.next.topics.insert(id, record);
            born.push(id);
        }
        draft.publish(rules.keywords);
        let model = draft.model(totals.version, self.sampling())?;
        let next = draft.next;
        let mut change = Change::default();
        self.enact(&mut change, totals, next);
        for id in &born {
            self.tell(&mut change, Happened::Created { topic: self.portrait(*id) }, now_ms);
        }
        self.tell_published(&mut change, now_ms);
        let summary = format!("{} seeded topics", born.len());
        self.keep_version(&mut change, summary.clone(), now_ms);
        Ok(Some(Operation { change, revisions: Vec::new(), tombstones: Vec::new(), model, summary }))
    }
}
