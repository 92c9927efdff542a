//! Whose turn it is: the events of a topic go one after the other, and no topic waits for another.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::model::topic::TopicId;
use crate::store::outbox::Waiting;

/// Events that wait to be taken, in a lane for each topic, and one for the model as a whole.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: BTreeMap<Option<TopicId>, Lane>,
    events: BTreeMap<u64, Waiting>,
}

#[derive(Debug)]
struct Lane {
    /// By number, which is the order in which they happened.
    events: BTreeSet<u64>,
    /// An attempt for one of them is under way.
    busy: bool,
    /// Attempts that failed since the last one that did not.
    failures: u32,
    /// No attempt begins before.
    due: Instant,
}

impl Lanes {
    /// These wait too.
    pub(super) fn add(&mut self, events: impl IntoIterator<Item = Waiting>, now: Instant) {
        for event in events {
            let lane = self.lanes.entry(event.topic).or_insert_with(|| Lane {
                events: BTreeSet::new(),
                busy: false,
                failures: 0,
                due: now,
            });
            lane.events.insert(event.number);
            self.events.insert(event.number, event);
        }
    }

    /// True if event `number` waits here.
    pub(super) fn holds(&self, number: u64) -> bool {
        self.events.contains_key(&number)
    }

    /// How many events wait.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Since when the event waits that has done so for longest, in ms since 1970.
    pub(super) fn oldest_ms(&self) -> Option<i64> {
        self.events.values().map(|event| event.since_ms).min()
    }

    /// The event whose turn it is, of the lane that has waited longest; its lane is busy until one of the methods below
    /// is called.
    pub(super) fn begin(&mut self, now: Instant) -> Option<u64> {
        let lane = self.lanes.values_mut().filter(|lane| !lane.busy && lane.due <= now);
        let lane = lane.min_by_key(|lane| lane.due)?;
        lane.busy = true;
        lane.events.first().copied()
    }

    /// When the next lane is due; none while all are busy.
    pub(super) fn due(&self) -> Option<Instant> {
        self.lanes.values().filter(|lane| !lane.busy).map(|lane| lane.due).min()
    }

    /// Event `number` was taken, or is gone.
    pub(super) fn taken(&mut self, number: u64, now: Instant) {
        self.end(number, |lane| (lane.failures, lane.due) = (0, now), true);
    }

    /// An attempt for event `number` failed. Returns how many did in a row, and since when the event waits.
    pub(super) fn failed(&mut self, number: u64) -> (u32, i64) {
        let mut failures = 0;
        let count = |lane: &mut Lane| {
            lane.failures = lane.failures.saturating_add(1);
            failures = lane.failures;
        };
        let since_ms = self.events.get(&number).map_or(0, |event| event.since_ms);
        self.end(number, count, false);
        (failures, since_ms)
    }

    /// The lane of event `number` waits for so long.
    pub(super) fn postpone(&mut self, number: u64, wait: Duration, now: Instant) {
        self.end(number, |lane| lane.due = now + wait, false);
    }

    /// Event `number` waits no longer. The next one of its lane may well be taken.
    pub(super) fn give_up(&mut self, number: u64, now: Instant) {
        self.end(number, |lane| lane.due = now, true);
    }

    /// The attempt for event `number` has ended.
    fn end(&mut self, number: u64, change: impl FnOnce(&mut Lane), leaves: bool) {
        let Some(topic) = self.events.get(&number).map(|event| event.topic) else { return };
        let Some(lane) = self.lanes.get_mut(&topic) else { return };
        lane.busy = false;
        change(lane);
        if leaves {
            self.events.remove(&number);
            lane.events.remove(&number);
            if lane.events.is_empty() {
                self.lanes.remove(&topic);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Option<TopicId> = Some(TopicId(1));
    const B: Option<TopicId> = Some(TopicId(2));

    fn waiting(number: u64, topic: Option<TopicId>) -> Waiting {
        Waiting { number, topic, since_ms: number as i64 }
    }

    fn lanes(now: Instant) -> Lanes {
        let mut lanes = Lanes::default();
        lanes.add([waiting(4, A), waiting(3, B), waiting(2, A), waiting(5, None)], now);
        lanes
    }

    #[test]
    fn a_topic_that_fails_holds_up_no_other_and_keeps_its_order() {
        let now = Instant::now();
        let mut lanes = lanes(now);
        let wait = Duration::from_secs(1);
        let first: BTreeSet<u64> = std::iter::from_fn(|| lanes.begin(now)).collect();
        assert_eq!(first, [2, 3, 5].into(), "one of each lane");
        assert_eq!(lanes.due(), None, "all are busy");
        assert_eq!(lanes.failed(2), (1, 2));
        lanes.postpone(2, wait, now);
        lanes.taken(3, now);
        lanes.taken(5, now);
        assert_eq!((lanes.begin(now), lanes.due(), lanes.len()), (None, Some(now + wait), 2));
        lanes.add([waiting(6, B), waiting(7, A)], now);
        assert_eq!((lanes.begin(now), lanes.begin(now)), (Some(6), None));
        assert_eq!(lanes.begin(now + wait), Some(2));
        assert_eq!(lanes.failed(2).0, 2);
        lanes.give_up(2, now + wait);
        assert_eq!(lanes.begin(now + wait), Some(4), "at once, as it may be taken");
        assert_eq!(lanes.failed(4).0, 3, "the waits go on growing");
        lanes.postpone(4, wait, now);
        assert_eq!(lanes.begin(now + wait), Some(4));
        lanes.taken(4, now + wait);
        assert_eq!(lanes.begin(now + wait), Some(7));
        assert_eq!(lanes.failed(7).0, 1);
    }

    #[test]
    fn an_event_that_is_sent_again_takes_its_turn() {
        let now = Instant::now();
        let mut lanes = lanes(now);
        lanes.give_up(2, now);
        assert!(!lanes.holds(2) && lanes.holds(4));
        let busy: Vec<u64> = std::iter::from_fn(|| lanes.begin(now)).collect();
        assert!(busy.contains(&4));
        lanes.add([waiting(2, A)], now);
        lanes.taken(4, now);
        assert_eq!(lanes.begin(now), Some(2));
        assert_eq!(lanes.oldest_ms(), Some(2));
    }
}
