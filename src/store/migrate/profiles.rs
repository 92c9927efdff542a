//! From format 6 to 7: topics count their documents by time and by the values of fields.
//!
//! Of documents that came before, only the kept ones have a known time. They are counted, because they may find another
//! topic or be forgotten; the others stay without a time.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::document::Fields;
use crate::keywords::{Bag, Keyword};
use crate::model::evidence::{Kept, Learned, Sums};
use crate::model::profile::Profile;
use crate::model::state::change::{Op, Standing};
use crate::model::state::describe::Described;
use crate::model::state::ended::{self, Ended};
use crate::model::topic::{Life, Topic, TopicId};
use crate::model::trend::History;
use crate::record::state::Write;
use crate::store::Error;
use crate::store::layout::{self, Kind};
use crate::store::ledger::Ledger;

/// A topic's record, to which the profile is added at the end.
type Record = (Topic, Sums, History, u64, bool, Vec<Keyword>, u64, Option<u64>);

/// What stands in the journal; the other changes never do.
#[derive(Deserialize)]
enum Journaled {
    Totals,
    Learn { documents: u64, learned: Vec<(Option<TopicId>, (Sums, Bag))> },
    Topic,
    Outliers,
    Counts,
    Fold,
    Life(TopicId, Life),
    Announced(TopicId),
    Described(TopicId, Box<Described>),
    Trended(TopicId, u64),
}

/// What the kept documents add.
#[derive(Default)]
struct Profiles {
    topics: BTreeMap<Option<TopicId>, Profile>,
    ended: BTreeMap<TopicId, Profile>,
}

/// What there is to write. O(all that is stored).
pub(super) fn add(ledger: &Ledger) -> Result<Vec<Write>, Error> {
    let mut writes = Vec::new();
    let mut ended = BTreeMap::new();
    each(ledger, Kind::Ended, |key, value| {
        let before: Ended = ledger.decode(key, &with_profile(ledger, key, value, &Profile::default())?)?;
        ended.insert(before.record.topic.id, (value.to_vec(), before));
        Ok(())
    })?;
    let chained = ended.iter().map(|(id, (_, ended))| (*id, ended.clone())).collect();
    let mut times = BTreeMap::new();
    each(ledger, Kind::Kept, |key, value| {
        let mut value = value.to_vec();
        value.extend(ledger.encode(key, &Fields::default())?);
        times.insert(Kind::number(key), ledger.decode::<Kept>(key, &value)?.timestamp_ms);
        set(&mut writes, key, value);
        Ok(())
    })?;
    let mut profiles = Profiles::default();
    each(ledger, Kind::Standing, |key, value| {
        let time = times.get(&Kind::number(key)).copied().flatten();
        profiles.add(time, ledger.decode(key, value)?, &chained);
        Ok(())
    })?;
    for (id, (value, _)) in &ended {
        let key = Kind::Ended.key(u64::from(id.0));
        let profile = profiles.ended.remove(id).unwrap_or_default();
        set(&mut writes, &key, with_profile(ledger, &key, value, &profile)?);
    }
    each(ledger, Kind::Topic, |key, value| {
        let id = u32::try_from(Kind::number(key)).ok().map(TopicId);
        let profile = profiles.topics.remove(&id).unwrap_or_default();
        set(&mut writes, key, with_profile(ledger, key, value, &profile)?);
        Ok(())
    })?;
    // Outliers stand there once a refit has written them.
    let outliers: Option<(Sums, History)> = read(ledger, layout::OUTLIERS)?;
    let (sums, history) = outliers.unwrap_or_default();
    let profile = profiles.topics.remove(&None).unwrap_or_default();
    set(&mut writes, layout::OUTLIERS, ledger.encode(layout::OUTLIERS, &(sums, history, profile))?);
    each(ledger, Kind::Journal, |key, value| {
        let ops: Vec<Journaled> = ledger.decode(key, value)?;
        let ops: Vec<Op> = ops.into_iter().filter_map(op).collect();
        set(&mut writes, key, ledger.encode(key, &ops)?);
        Ok(())
    })?;
    Ok(writes)
}

impl Profiles {
    fn add(&mut self, time: Option<i64>, standing: Standing, ended: &BTreeMap<TopicId, Ended>) {
        self.topics.entry(standing.topic).or_default().add(time, &Fields::default());
        for id in ended::chain(ended, standing.recorded) {
            self.ended.entry(id).or_default().add(time, &Fields::default());
        }
    }
}

/// `value`, which begins with a topic's record, with `profile` behind that.
fn with_profile(ledger: &Ledger, key: &[u8], value: &[u8], profile: &Profile) -> Result<Vec<u8>, Error> {
    let damaged = |error: postcard::Error| Error::damaged(&ledger.directory, error.to_string());
    let (_, rest) = postcard::take_from_bytes::<Record>(value).map_err(damaged)?;
    let (record, rest) = value.split_at(value.len() - rest.len());
    Ok([record, &ledger.encode(key, profile)?, rest].concat())
}

fn op(before: Journaled) -> Option<Op> {
    match before {
        Journaled::Learn { documents, learned } => {
            let learned = learned
                .into_iter()
                .map(|(topic, (sums, words))| (topic, Learned { sums, words, profile: Profile::default() }));
            Some(Op::Learn { documents, learned: learned.collect() })
        }
        Journaled::Life(id, life) => Some(Op::Life(id, life)),
        Journaled::Announced(id) => Some(Op::Announced(id)),
        Journaled::Described(id, described) => Some(Op::Described(id, described)),
        Journaled::Trended(id, window) => Some(Op::Trended(id, window)),
        Journaled::Totals | Journaled::Topic | Journaled::Outliers | Journaled::Counts | Journaled::Fold => {
            None
        }
    }
}

fn each(
    ledger: &Ledger,
    kind: Kind,
    found: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    ledger.scan(&[kind as u8], found)
}

fn read<T: DeserializeOwned>(ledger: &Ledger, key: &[u8]) -> Result<Option<T>, Error> {
    ledger.get(key)?.map(|value| ledger.decode(key, &value)).transpose()
}

fn set(writes: &mut Vec<Write>, key: &[u8], value: Vec<u8>) {
    writes.push(Write { key: key.to_vec(), value: Some(value) });
}
