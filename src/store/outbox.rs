//! Events that somebody still has to be told: they stay on disk until they are taken. One that was given up stays too,
//! marked as such, until it is sent again or `MOST_GIVEN_UP` younger ones were given up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::model::event::Event;
use crate::model::topic::TopicId;
use crate::record::notification::{Chosen, GivenUpRecord, NotGivenUp, NotificationsRecord};
use crate::record::state::Write;
use crate::store::layout::Kind;
use crate::store::ledger::Ledger;
use crate::store::{Error, Store};

/// Events that were given up and are kept. The oldest leave.
const MOST_GIVEN_UP: usize = 1000;

/// What stands beside an event of the outbox that does not just wait for the first time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mark {
    /// It was given up.
    GivenUp {
        /// When, in ms since 1970.
        at_ms: i64,
        /// Why the last attempt failed.
        reason: String,
    },
    /// Somebody wanted it sent again.
    Again {
        /// When, in ms since 1970: its age counts from then.
        since_ms: i64,
    },
}

/// An event that waits to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Its number.
    pub number: u64,
    /// The topic that it is about; none for the model as a whole.
    pub topic: Option<TopicId>,
    /// From when its age counts, in ms since 1970.
    pub since_ms: i64,
}

/// A handle on the outbox alone; the notifier has one while the modeler owns the store.
#[derive(Debug, Clone)]
pub struct Outbox {
    ledger: Ledger,
    written: Written,
}

/// What the notifier wrote here and whoever copies this store does not know yet; as much as is written between two
/// commits.
#[derive(Debug, Clone, Default)]
pub(super) struct Written(Arc<Mutex<Vec<Write>>>);

impl Written {
    pub(super) fn take(&self) -> Vec<Write> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn extend(&self, writes: Vec<Write>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(writes);
    }
}

impl Store {
    /// The outbox of this state.
    pub fn outbox(&self) -> Outbox {
        Outbox { ledger: self.ledger.clone(), written: self.written.clone() }
    }

    /// What has become of the events in the outbox.
    pub fn notifications(&self) -> Result<NotificationsRecord, Error> {
        let (outbox, mut told) = (self.outbox(), NotificationsRecord::default());
        let waiting = outbox.waiting(|_| false)?;
        told.waiting = waiting.len();
        told.oldest = waiting.iter().map(|waiting| waiting.since_ms).min().map(crate::record::time);
        for (number, mark) in outbox.marks()? {
            if let (Mark::GivenUp { at_ms, reason }, Some(event)) = (mark, outbox.event(number)?) {
                told.given_up.push(GivenUpRecord::new(&event, at_ms, reason));
            }
        }
        Ok(told)
    }

    /// What there is to write for the events `chosen` to be sent again, and how many they are; nothing is written yet.
    pub fn prepare_again(
        &self,
        chosen: &Chosen,
        now_ms: i64,
    ) -> Result<Result<(usize, Vec<Write>), NotGivenUp>, Error> {
        let mut marks = self.outbox().marks()?;
        marks.retain(|_, mark| matches!(mark, Mark::GivenUp { .. }));
        if let Some(missing) = chosen.ids.iter().find(|number| !marks.contains_key(number)) {
            return Ok(Err(NotGivenUp(*missing)));
        }
        marks.retain(|number, _| chosen.all || chosen.ids.contains(number));
        let again = Mark::Again { since_ms: now_ms };
        let write = |number: &u64| -> Result<Write, Error> {
            let key = Kind::Mark.key(*number).to_vec();
            let value = self.ledger.encode(&key, &again)?;
            Ok(Write { key, value: Some(value) })
        };
        let writes = marks.keys().map(write).collect::<Result<Vec<_>, _>>()?;
        Ok(Ok((writes.len(), writes)))
    }
}

impl Outbox {
    /// The events that wait to be taken and are not `known` by their numbers, oldest first.
    pub fn waiting(&self, known: impl Fn(u64) -> bool) -> Result<Vec<Waiting>, Error> {
        let (marks, mut found) = (self.marks()?, Vec::new());
        self.ledger.scan(&[Kind::Outbox as u8], |key, value| {
            let number = Kind::number(key);
            let mark = marks.get(&number);
            if known(number) || matches!(mark, Some(Mark::GivenUp { .. })) {
                return Ok(());
            }
            let event: Event = self.ledger.decode(key, value)?;
            let since_ms = if let Some(Mark::Again { since_ms }) = mark { *since_ms } else { event.time_ms };
            found.push(Waiting { number, topic: event.happened.topic().map(|topic| topic.id), since_ms });
            Ok(())
        })?;
        Ok(found)
    }

    /// Event `number`, if it is here.
    pub fn event(&self, number: u64) -> Result<Option<Event>, Error> {
        let key = Kind::Outbox.key(number);
        self.ledger.get(&key)?.map(|value| self.ledger.decode(&key, &value)).transpose()
    }

    /// Event `number` was taken and leaves.
    pub fn done(&self, number: u64) -> Result<(), Error> {
        self.write(removal(number).into())
    }

    /// Event `number` is not sent again unless somebody wants it.
    pub fn give_up(&self, number: u64, at_ms: i64, reason: String) -> Result<(), Error> {
        let key = Kind::Mark.key(number).to_vec();
        let mark = Mark::GivenUp { at_ms, reason };
        let value = self.ledger.encode(&key, &mark)?;
        let mut writes = vec![Write { key, value: Some(value) }];
        let mut marks = self.marks()?;
        marks.retain(|_, mark| matches!(mark, Mark::GivenUp { .. }));
        let too_many = (marks.len() + 1).saturating_sub(MOST_GIVEN_UP);
        writes.extend(marks.keys().take(too_many).flat_map(|number| removal(*number)));
        self.write(writes)
    }

    pub(super) fn marks(&self) -> Result<BTreeMap<u64, Mark>, Error> {
        let mut marks = BTreeMap::new();
        self.ledger.scan(&[Kind::Mark as u8], |key, value| {
            marks.insert(Kind::number(key), self.ledger.decode(key, value)?);
            Ok(())
        })?;
        Ok(marks)
    }

    /// Writes here at once, and with the next commit wherever else the state lies. If the process is killed, an event
    /// that was taken may be sent once more.
    fn write(&self, writes: Vec<Write>) -> Result<(), Error> {
        self.ledger.write(&writes)?;
        self.written.extend(writes);
        self.ledger.flush()
    }
}

/// An event leaves, with its mark.
fn removal(number: u64) -> [Write; 2] {
    [Kind::Outbox, Kind::Mark].map(|kind| Write { key: kind.key(number).to_vec(), value: None })
}
