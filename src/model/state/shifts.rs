//! Shares of values in topics that changed between two refits, beyond chance.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::document::{Sequence, Value};
use crate::model::event::Happened;
use crate::model::profile::fisher;
use crate::model::state::State;
use crate::model::state::change::{Change, Standing};
use crate::model::topic::TopicId;

/// Probability that a refit of a stream that doesn't change tells of any shift.
const CHANCE: f64 = 0.001;
/// With fewer documents on a side nothing can be told from chance.
const NEEDED: u64 = 8;

/// In a topic, the share of a value of a field is another one than before.
#[derive(Debug)]
pub(super) struct Shift {
    topic: TopicId,
    field: Arc<str>,
    value: String,
    before: Share,
    since: Share,
    /// Documents absorbed at the refit before.
    from: u64,
}

/// Documents with a value, and all that have the field.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    with: u64,
    all: u64,
}

/// Documents of a topic that have a field: before the refit before, and since.
#[derive(Default)]
struct Counted {
    all: [u64; 2],
    values: BTreeMap<String, [u64; 2]>,
}

impl State {
    /// Compares the documents that came between the snapshots of the last refit and of this one with those before, in
    /// each topic as the next version, `next`, has it; `until` are the documents absorbed at this snapshot.
    ///
    /// Both are uniform samples of the stream, and the same version names their topics: what differs is the stream. A
    /// shift that was told is the norm from then on, so documents before it are not compared any more. Of a field, the
    /// value that shifted most surely speaks for the others. O(kept documents × fields).
    ///
    /// Two-sided by Fisher's exact test, with Bonferroni's correction for the number of values tested.
    pub(super) fn shifts(&self, next: &BTreeMap<Sequence, Standing>, until: u64) -> Vec<Shift> {
        let (norms, from) = (self.norms(), self.totals.refitted_at);
        let mut counted: BTreeMap<(TopicId, &Arc<str>), Counted> = BTreeMap::new();
        for (sequence, kept, standing) in self.held.iter().filter(|(_, kept, _)| kept.arrived <= until) {
            let came_since = kept.arrived > from;
            // Fresh documents are a sample of those that came since; anchors and outliers are none of anything.
            let is_sample = standing.sampled || (came_since && standing.fresh);
            let topic = next.get(&sequence).and_then(|standing| standing.topic);
            let Some(topic) = topic.filter(|id| is_sample && self.topics.contains_key(id)) else { continue };
            for (field, value) in kept.fields.iter() {
                if norms.get(&(topic, &**field)).is_none_or(|norm| kept.arrived > *norm) {
                    counted.entry((topic, field)).or_default().add(usize::from(came_since), value);
                }
            }
        }
        let mut shifts: Vec<Shift> = Vec::new();
        for ((topic, field), Counted { all, values }) in counted {
            for (value, with) in values {
                let [before, since] = [0, 1].map(|at| Share { with: with[at], all: all[at] });
                shifts.push(Shift { topic, field: Arc::clone(field), value, before, since, from });
            }
        }
        shifts.retain(Shift::is_testable);
        let tests = shifts.len() as f64;
        let judged = shifts.into_iter().map(|shift| (shift.p(), shift));
        let mut sure: Vec<(f64, Shift)> = judged.filter(|(p, _)| p * tests <= CHANCE).collect();
        sure.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut told = BTreeSet::new();
        sure.retain(|(_, shift)| told.insert((shift.topic, Arc::clone(&shift.field))));
        sure.into_iter().map(|(_, shift)| shift).collect()
    }

    /// From which document on the shares of a topic's field are as they were told last.
    fn norms(&self) -> BTreeMap<(TopicId, &str), u64> {
        let told = self.news.events.iter().filter_map(|event| match &event.happened {
            Happened::FieldShifted { topic, field, from, .. } => Some(((topic.id, &**field), *from)),
            _ => None,
        });
        told.collect()
    }

    pub(super) fn tell_shifts(&mut self, change: &mut Change, shifts: Vec<Shift>, now_ms: i64) {
        for Shift { topic, field, value, before, since, from } in shifts {
            let happened = Happened::FieldShifted {
                topic: self.portrait(topic),
                field: field.to_string(),
                value,
                before: before.share(),
                after: since.share(),
                documents: since.all,
                from,
            };
            self.tell(change, happened, now_ms);
        }
    }
}

impl Counted {
    fn add(&mut self, at: usize, value: &Value) {
        self.all[at] += 1;
        let values: BTreeSet<String> = (value.each().iter())
            .filter(|value| !matches!(value, Value::Time(_)))
            .map(ToString::to_string)
            .collect();
        values.into_iter().for_each(|value| self.values.entry(value).or_default()[at] += 1);
    }
}

impl Share {
    fn share(self) -> f64 {
        self.with as f64 / self.all.max(1) as f64
    }
}

impl Shift {
    /// True if there are enough documents; decided without a look at how the value is shared between before and since.
    fn is_testable(&self) -> bool {
        let with = self.before.with + self.since.with;
        let without = self.before.all + self.since.all - with;
        [with, without, self.before.all, self.since.all].iter().all(|documents| *documents >= NEEDED)
    }

    /// Probability of shares that differ as much by chance.
    fn p(&self) -> f64 {
        let (before, since) = (self.before, self.since);
        let (with, all) = (before.with + since.with, before.all + since.all);
        let more = fisher::at_least(since.with, since.all, with, all);
        let fewer = fisher::at_least(since.all - since.with, since.all, all - with, all);
        (2.0 * more.min(fewer)).min(1.0)
    }
}
