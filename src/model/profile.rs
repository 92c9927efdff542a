//! What the documents of a topic say of themselves, counted: when they were written, and what their kept fields hold.

pub mod calendar;
pub mod dictionary;
pub mod distribution;
pub mod fisher;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::document::{Fields, Value};
use crate::model::profile::calendar::Calendar;
use crate::model::profile::distribution::Distribution;

/// Bytes of an entry beside its value, about.
const ENTRY_BYTES: usize = 8;

/// Documents by their times and fields; bounded, and exact: what was added can be taken away.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// By the time at which they were written. Documents without a time are not here.
    pub calendar: Calendar,
    facets: BTreeMap<Arc<str>, Facet>,
}

/// Documents by the values of one field.
///
/// At most [`MOST_KNOWN`](dictionary::MOST_KNOWN) values, some 60 bytes each beside their text, a distribution and a
/// calendar.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facet {
    /// Documents that have the field.
    pub documents: u64,
    /// Value → documents; of strings and booleans. A document with an array counts once for each of its values.
    pub values: BTreeMap<Arc<str>, u64>,
    /// Likewise, of values that are not counted one by one.
    pub others: u64,
    /// The numbers.
    pub numbers: Distribution,
    /// The times.
    pub times: Calendar,
}

impl Profile {
    /// What one document adds.
    pub fn of(timestamp_ms: Option<i64>, fields: &Fields) -> Self {
        let mut profile = Self::default();
        profile.add(timestamp_ms, fields);
        profile
    }

    /// Adds one document, whatever its values.
    pub fn add(&mut self, timestamp_ms: Option<i64>, fields: &Fields) {
        timestamp_ms.into_iter().for_each(|ms| self.calendar.add(ms));
        for (name, value) in fields.iter() {
            match self.facets.get_mut(name) {
                Some(facet) => facet.add(value),
                None => self.facets.entry(Arc::clone(name)).or_default().add(value),
            }
        }
    }

    /// Adds all that `other` counts.
    pub fn merge(&mut self, other: &Self) {
        self.calendar.merge(&other.calendar);
        for (name, facet) in &other.facets {
            match self.facets.get_mut(name) {
                Some(present) => present.merge(facet),
                None => _ = self.facets.insert(Arc::clone(name), facet.clone()),
            }
        }
    }

    /// Takes away all that `other` counts, which was added before.
    pub fn unmerge(&mut self, other: &Self) {
        self.calendar.unmerge(&other.calendar);
        for (name, facet) in &other.facets {
            if let Some(present) = self.facets.get_mut(name) {
                present.unmerge(facet);
                if present.documents == 0 {
                    self.facets.remove(name);
                }
            }
        }
    }

    /// The kept fields by name.
    pub fn facets(&self) -> &BTreeMap<Arc<str>, Facet> {
        &self.facets
    }

    /// True if a document with this value is counted under it.
    pub fn has(&self, field: &str, value: &str) -> bool {
        self.facets.get(field).is_some_and(|facet| facet.values.contains_key(value))
    }

    /// False if no document can have this value: none is counted under it, and it is no number and none of many.
    pub fn may_have(&self, field: &str, value: &str) -> bool {
        self.facets.get(field).is_some_and(|facet| {
            facet.values.contains_key(value) || facet.others > 0 || facet.numbers.count() > 0
        })
    }

    pub(in crate::model) fn facets_mut(&mut self) -> impl Iterator<Item = (&Arc<str>, &mut Facet)> {
        self.facets.iter_mut()
    }

    /// The same in parts that add up to it, of at most about `bytes` each where values are many.
    pub fn cut(mut self, bytes: usize) -> Vec<Self> {
        let mut values = Vec::new();
        for (name, facet) in &mut self.facets {
            let taken = std::mem::take(&mut facet.values);
            values.extend(taken.into_iter().map(|(value, count)| (Arc::clone(name), value, count)));
        }
        let mut parts = vec![self];
        let mut size = 0;
        for (name, value, count) in values {
            let more = name.len() + value.len() + ENTRY_BYTES;
            if size > 0 && size + more > bytes {
                parts.push(Self::default());
                size = 0;
            }
            size += more;
            let last = parts.len() - 1;
            parts[last].facets.entry(name).or_default().values.insert(value, count);
        }
        parts
    }

    /// Bytes that it takes where it travels, about.
    pub fn size(&self) -> usize {
        let facets = self.facets.iter().map(|(name, facet)| {
            let values: usize = facet.values.keys().map(|value| value.len() + ENTRY_BYTES).sum();
            let numbers = facet.numbers.count().min(facet.documents) as usize;
            name.len() + values + 2 * ENTRY_BYTES * numbers + ENTRY_BYTES * facet.times.documents() as usize
        });
        ENTRY_BYTES * self.calendar.documents() as usize + facets.sum::<usize>()
    }
}

impl Facet {
    fn add(&mut self, value: &Value) {
        self.documents += 1;
        let values = value.each();
        for (at, value) in values.iter().enumerate() {
            match value {
                Value::Number(number) => self.numbers.add(*number),
                Value::Time(ms) => self.times.add(*ms),
                // An array has few values.
                _ if values[..at].contains(value) => {}
                Value::Text(text) => self.count(text),
                Value::Boolean(truth) => self.count(if *truth { "true" } else { "false" }),
                Value::Array(_) => {}
            }
        }
    }

    fn count(&mut self, value: &str) {
        match self.values.get_mut(value) {
            Some(documents) => *documents += 1,
            None => _ = self.values.insert(value.into(), 1),
        }
    }

    fn merge(&mut self, other: &Self) {
        self.documents += other.documents;
        self.others += other.others;
        for (value, documents) in &other.values {
            match self.values.get_mut(value) {
                Some(present) => *present += documents,
                None => _ = self.values.insert(Arc::clone(value), *documents),
            }
        }
        self.numbers.merge(&other.numbers);
        self.times.merge(&other.times);
    }

    fn unmerge(&mut self, other: &Self) {
        self.documents = self.documents.saturating_sub(other.documents);
        self.others = self.others.saturating_sub(other.others);
        for (value, documents) in &other.values {
            let Some(present) = self.values.get_mut(value) else { continue };
            *present = present.saturating_sub(*documents);
            if *present == 0 {
                self.values.remove(value);
            }
        }
        self.numbers.unmerge(&other.numbers);
        self.times.unmerge(&other.times);
    }

    /// Values that are not known are counted together.
    fn limit(&mut self, mut is_known: impl FnMut(&Arc<str>) -> bool) {
        let others = &mut self.others;
        self.values.retain(|value, documents| {
            let known = is_known(value);
            *others += if known { 0 } else { *documents };
            known
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::dictionary::{Dictionary, MOST_KNOWN};
    use super::*;

    fn text(value: &str) -> Value {
        Value::Text(value.into())
    }

    fn fields(named: impl IntoIterator<Item = (&'static str, Value)>) -> Fields {
        let mut fields = Fields::default();
        named.into_iter().for_each(|(name, value)| fields.push(name.into(), value));
        fields
    }

    #[test]
    fn each_type_is_counted_in_its_way() {
        let mut profile = Profile::default();
        let array =
            Value::Array([text("a"), text("b"), text("a"), Value::Number(2.0), Value::Time(0)].into());
        profile.add(Some(7), &fields([("tags", array), ("new", Value::Boolean(true))]));
        profile.add(None, &fields([("tags", text("a"))]));
        let tags = &profile.facets()["tags"];
        let counts: Vec<(&str, u64)> = tags.values.iter().map(|(value, count)| (&**value, *count)).collect();
        assert_eq!(
            (tags.documents, &counts[..]),
            (2, &[("a", 2), ("b", 1)][..]),
            "a document counts once for a value"
        );
        assert_eq!((tags.numbers.mean(), tags.times.documents()), (Some(2.0), 1));
        assert_eq!(profile.facets()["new"].values["true"], 1);
        assert_eq!(profile.calendar.documents(), 1);
    }

    #[test]
    fn values_beyond_the_first_are_counted_together_for_ever() {
        let mut dictionary = Dictionary::default();
        let one = |number: usize| Profile::of(None, &fields([("customer", text(&number.to_string()))]));
        let mut all = Profile::default();
        for number in 0..MOST_KNOWN + 5 {
            let mut profile = one(number);
            dictionary.admit(&mut profile);
            all.merge(&profile);
        }
        let facet = |all: &Profile| (all.facets()["customer"].values.len(), all.facets()["customer"].others);
        assert_eq!(facet(&all), (MOST_KNOWN, 5));
        let mut gone = one(3);
        dictionary.limit(&mut gone);
        all.unmerge(&gone);
        assert!(!all.has("customer", "3") && all.has("customer", "4"));
        dictionary.erase("customer", "3");
        assert!(!format!("{dictionary:?}").contains("\"3\""), "an erased value leaves no trace");
        // Its place is not free: the others' documents are counted already.
        let mut again = one(MOST_KNOWN + 2);
        dictionary.admit(&mut again);
        assert_eq!(facet(&again), (0, 1));
        all.unmerge(&again);
        assert_eq!(facet(&all), (MOST_KNOWN - 1, 4));
    }

    proptest! {
        #[test]
        fn parts_add_up_and_can_be_taken_away(
            documents in prop::collection::vec(("[a-d]{1,2}", -9.0..9.0_f64, any::<bool>(), 0..9_i64), 0..40),
            bytes in 1..200_usize,
        ) {
            let mut all = Profile::default();
            for (value, number, truth, time) in &documents {
                let named = [("a", text(value)), ("b", Value::Number(number.round())), ("c", Value::Boolean(*truth))];
                all.add(Some(*time), &fields(named));
            }
            let mut sum = Profile::default();
            for part in all.clone().cut(bytes) {
                sum.merge(&part);
            }
            prop_assert_eq!(&sum, &all);
            sum.unmerge(&all);
            prop_assert!(sum.calendar.is_empty() && sum.facets().is_empty());
        }
    }
}
