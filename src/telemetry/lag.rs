//! How far this process is behind in Kafka: computed when somebody asks, from what the clients heard last and from what
//! is done by now.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Error, IntGaugeVec, Opts};

/// No offset is known.
const UNKNOWN: i64 = -1;

type Partition = (String, i32);

/// The partitions that this process reads.
#[derive(Clone)]
pub(super) struct Lags {
    options: Opts,
    desc: Desc,
    read: Arc<Mutex<BTreeMap<Partition, Arc<Positions>>>>,
}

/// What is known of a partition.
#[derive(Debug)]
struct Positions {
    /// The offset behind the last record that is done.
    done: AtomicI64,
    heard: Mutex<Option<Heard>>,
}

/// What a client heard of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The offset behind all that is committed there.
    pub end: i64,
    /// The offset behind the last record that the client has given out; negative if it gave none.
    pub given: i64,
    /// The offset up to which there is nothing more to give out, if the client has nothing ready: behind the last record
    /// may stand marks of transactions.
    pub empty_to: i64,
}

/// A partition that this process reads. It is no business of this process any more when this is dropped.
pub struct Reading {
    partition: Partition,
    positions: Arc<Positions>,
    lags: Lags,
}

impl Positions {
    fn lag(&self) -> Option<i64> {
        let heard = (*self.heard.lock().unwrap_or_else(PoisonError::into_inner))?;
        let done = Some(self.done.load(Ordering::Relaxed)).filter(|done| *done >= 0).unwrap_or(heard.given);
        let reached = if done >= heard.given { done.max(heard.empty_to) } else { done };
        (reached >= 0).then(|| (heard.end - reached).max(0))
    }
}

impl Lags {
    pub(super) fn new(options: Opts) -> Result<Self, Error> {
        let labels = ["topic", "partition"].map(str::to_owned).to_vec();
        let desc =
            Desc::new(full_name(&options), options.help.clone(), labels, std::collections::HashMap::new())?;
        Ok(Self { options, desc, read: Arc::default() })
    }

    /// This process reads partition `partition` of `topic`.
    pub(super) fn read(&self, topic: &str, partition: i32) -> Reading {
        let positions = Arc::new(Positions { done: AtomicI64::new(UNKNOWN), heard: Mutex::default() });
        let partition = (topic.to_owned(), partition);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.insert(partition.clone(), positions.clone());
        Reading { partition, positions, lags: self.clone() }
    }

    /// What a client heard of a partition; dropped if this process doesn't read it.
    pub(super) fn hear(&self, topic: &str, partition: i32, heard: Heard) {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(positions) = read.get(&(topic.to_owned(), partition)) {
            let mut known = positions.heard.lock().unwrap_or_else(PoisonError::into_inner);
            // Asked for and fetched, an end may be heard of in another order.
            let end = known.map_or(heard.end, |known| known.end.max(heard.end));
            *known = Some(Heard { end, ..heard });
        }
    }

    /// The end of a partition, asked for while nothing is fetched.
    pub(super) fn ends(&self, topic: &str, partition: i32, end: i64) {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(positions) = read.get(&(topic.to_owned(), partition)) {
            let mut known = positions.heard.lock().unwrap_or_else(PoisonError::into_inner);
            let before = known.unwrap_or(Heard { end, given: UNKNOWN, empty_to: UNKNOWN });
            *known = Some(Heard { end: before.end.max(end), ..before });
        }
    }

    /// Records that wait, in all partitions.
    pub(super) fn records(&self) -> u64 {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.values().filter_map(|positions| positions.lag()).map(|lag| lag as u64).sum()
    }
}

fn full_name(options: &Opts) -> String {
    format!("{}_{}", options.namespace, options.name)
}

impl Reading {
    /// Everything before `offset` was done before this process came.
    pub fn begins(&self, offset: i64) {
        // It may have begun before, and gone back since.
        if !self.has_begun() {
            self.done(offset);
        }
    }

    /// Whether it is known what is done.
    pub fn has_begun(&self) -> bool {
        self.positions.done.load(Ordering::Relaxed) != UNKNOWN
    }

    /// Everything before `offset` is done.
    pub fn done(&self, offset: i64) {
        self.positions.done.store(offset, Ordering::Relaxed);
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut read = self.lags.read.lock().unwrap_or_else(PoisonError::into_inner);
        // Another reader may have come in the meantime.
        if read.get(&self.partition).is_some_and(|present| Arc::ptr_eq(present, &self.positions)) {
            read.remove(&self.partition);
        }
    }
}

impl Collector for Lags {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(gauges) = IntGaugeVec::new(self.options.clone(), &["topic", "partition"]) else {
            return Vec::new();
        };
        for ((topic, partition), positions) in &*self.read.lock().unwrap_or_else(PoisonError::into_inner) {
            if let Some(lag) = positions.lag() {
                gauges.with_label_values(&[topic.as_str(), &partition.to_string()]).set(lag);
            }
        }
        gauges.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lags() -> Lags {
        Lags::new(Opts::new("lag", "what waits").namespace("topicd")).unwrap()
    }

    fn shown(lags: &Lags) -> Vec<i64> {
        let families = lags.collect();
        families[0].get_metric().iter().map(|metric| metric.get_gauge().get_value() as i64).collect()
    }

    #[test]
    fn what_waits_in_the_client_and_what_is_not_committed_yet_waits() {
        let lags = lags();
        let reading = lags.read("documents", 3);
        assert_eq!(shown(&lags), [0_i64; 0], "nothing is known");
        lags.hear("documents", 3, Heard { end: 7000, given: -1001, empty_to: -1001 });
        assert_eq!(shown(&lags), [0_i64; 0]);
        reading.begins(100);
        reading.begins(600);
        assert_eq!(shown(&lags), [6900]);
        // The client has fetched all of it, and gave out a part.
        lags.hear("documents", 3, Heard { end: 7000, given: 700, empty_to: 700 });
        assert_eq!(shown(&lags), [6900]);
        reading.done(600);
        assert_eq!((shown(&lags), lags.records()), (vec![6400], 6400));
        // The last record has offset 6998, and a mark of a transaction follows it.
        lags.hear("documents", 3, Heard { end: 7000, given: 6999, empty_to: 7000 });
        assert_eq!(shown(&lags), [6400]);
        reading.done(6999);
        assert_eq!(shown(&lags), [0]);
        lags.ends("documents", 3, 7010);
        let unread = lags.read("documents", 4);
        lags.ends("documents", 4, 50);
        unread.begins(8);
        assert_eq!(shown(&lags), [10, 42]);
        drop(unread);
        lags.hear("documents", 3, Heard { end: 7000, given: 6999, empty_to: 7000 });
        assert_eq!(shown(&lags), [10], "what nobody has fetched waits too");
    }

    #[test]
    fn a_partition_that_went_away_is_told_no_more() {
        let lags = lags();
        let (old, heard) = (lags.read("documents", 0), Heard { end: 9, given: 4, empty_to: 4 });
        lags.hear("documents", 0, heard);
        assert_eq!(shown(&lags), [5]);
        let new = lags.read("documents", 0);
        drop(old);
        lags.hear("documents", 0, heard);
        assert_eq!(shown(&lags), [5], "it came back before it was let go");
        drop(new);
        lags.hear("documents", 0, heard);
        assert_eq!(shown(&lags), [0_i64; 0]);
    }
}
