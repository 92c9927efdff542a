//! Topics by the values of a kept field, and by conditions on the kept fields.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::document::Value;
use crate::model::evidence::Kept;
use crate::model::filter::Filter;
use crate::model::profile::calendar::{Calendar, Reach, Unit};
use crate::model::profile::distribution::Distribution;
use crate::model::profile::{Profile, fisher};
use crate::model::state::State;
use crate::model::topic::TopicId;

/// The name of a document's own time among its fields.
pub const TIME: &str = "time";
/// Values of a field that an answer has columns for, if it is not asked for more.
const COLUMNS: usize = 10;
/// Over-represented values of a topic, at most.
const MOST_OVER: usize = 5;
/// Probability that an answer calls any value over-represented by chance.
const CHANCE: f64 = 0.01;

/// What topics are broken down by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wanted {
    /// A kept field; [`TIME`] for the months in which the documents were written.
    pub by: Option<String>,
    /// Only documents for which this holds.
    pub r#where: Option<Filter>,
    /// So many values have a column, the most frequent ones.
    pub values: usize,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { by: None, r#where: None, values: COLUMNS }
    }
}

/// Topics by the values of a field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Breakdown {
    /// Documents of the stream.
    pub documents: u64,
    /// Of these, documents that were looked at: all, or with a condition the uniform sample that the state keeps.
    pub looked_at: u64,
    /// Of these, documents that fulfil the condition.
    pub found: u64,
    /// The values that have a column, the most frequent first.
    pub values: Vec<String>,
    /// Different values that are counted one by one.
    pub known_values: usize,
    /// Topics, largest first.
    pub topics: Vec<Part>,
    /// Documents without a topic; their id is −1.
    pub outliers: Part,
}

/// One topic, or the outliers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Its id; −1 for the outliers.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its documents.
    pub size: u64,
    /// Of these, documents that were looked at.
    pub looked_at: u64,
    /// Of these, documents that fulfil the condition.
    pub found: u64,
    /// Of these, documents that have the field.
    pub having: u64,
    /// Documents with each value that has a column.
    pub documents: Vec<u64>,
    /// Documents with a value that is not counted one by one.
    pub others: u64,
    /// Values that are more frequent here than in all other documents, the surest first, at most 5.
    pub over: Vec<Over>,
    /// The numbers of the field, if it has some.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub numbers: Option<Numbers>,
}

/// A value that is more frequent in a topic than elsewhere, beyond chance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Over {
    /// The value.
    pub value: String,
    /// Its share here, of the documents that have the field.
    pub share: f64,
    /// Its share in all other documents that have the field.
    pub elsewhere: f64,
    /// Probability of as many or more by chance (Fisher's exact test), times the number of values tested in all topics
    /// (Bonferroni's correction): at most 0.01.
    pub p: f64,
}

/// Numbers in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    /// How many.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// A tenth of them is smaller.
    pub p10: f64,
    /// The median.
    pub p50: f64,
    /// A tenth of them is larger.
    pub p90: f64,
}

/// A field that no document has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no document has a field `{field}`; {known}")]
pub struct NoField {
    field: String,
    known: String,
}

/// A topic's documents by the values of one field.
#[derive(Default)]
struct Counted {
    having: u64,
    values: BTreeMap<String, u64>,
    others: u64,
    numbers: Distribution,
}

/// One topic while it is counted.
struct Subject<'a> {
    id: i64,
    name: &'a str,
    size: u64,
    looked_at: u64,
    found: u64,
    profile: Cow<'a, Profile>,
}

/// Values and their documents in all topics together.
struct Total {
    having: u64,
    values: BTreeMap<String, u64>,
    /// Pairs of a topic and a value.
    tests: usize,
}

impl State {
    /// Topics by the values of a field. Without a condition all documents are counted, exactly; with one, those of the
    /// uniform sample. O(topics × values × √documents), and O(kept documents) with a condition.
    ///
    /// # Errors
    /// No document has the field, or one of the condition.
    pub fn breakdown(&self, wanted: &Wanted) -> Result<Breakdown, NoField> {
        let asked = wanted.r#where.iter().flat_map(Filter::fields).chain(wanted.by.as_deref());
        asked.into_iter().try_for_each(|field| self.need_field(field))?;
        let subjects = match &wanted.r#where {
            None => self.whole(),
            Some(filter) => self.sampled(filter),
        };
        let reach =
            subjects.iter().fold(Reach::default(), |reach, one| reach.with(one.times(wanted).reach()));
        let counted: Vec<Counted> = (subjects.iter())
            .map(|subject| {
                wanted.by.as_ref().map(|by| Counted::of(&subject.profile, by, reach)).unwrap_or_default()
            })
            .collect();
        let total = Total::of(&counted);
        let mut values: Vec<(&String, u64)> =
            total.values.iter().map(|(value, count)| (value, *count)).collect();
        values.sort_by_key(|(value, count)| (Reverse(*count), *value));
        let values: Vec<String> =
            values.into_iter().take(wanted.values).map(|(value, _)| value.clone()).collect();
        let mut parts: Vec<Part> = subjects
            .iter()
            .zip(counted)
            .map(|(subject, counted)| subject.part(counted, &values, &total))
            .collect();
        let outliers = parts.remove(0);
        let sum = |of: fn(&Part) -> u64| parts.iter().chain([&outliers]).map(of).sum();
        Ok(Breakdown {
            documents: self.counted(),
            looked_at: sum(|part| part.looked_at),
            found: sum(|part| part.found),
            known_values: total.values.len(),
            values,
            topics: parts,
            outliers,
        })
    }

    fn need_field(&self, field: &str) -> Result<(), NoField> {
        let profiles =
            || self.topics().values().map(|record| &record.profile).chain([self.outlier_profile()]);
        if field == TIME || profiles().any(|profile| profile.facets().contains_key(field)) {
            return Ok(());
        }
        let mut names: Vec<&str> = profiles()
            .flat_map(|profile| profile.facets().keys().map(|name| &**name))
            .chain([TIME])
            .collect();
        names.sort_unstable();
        names.dedup();
        let known = format!("there are {}; `source.fields.keep` names those that are kept", names.join(", "));
        Err(NoField { field: field.to_owned(), known })
    }

    /// The outliers, and the topics from the largest on, with all their documents.
    fn whole(&self) -> Vec<Subject<'_>> {
        let subject =
            |id, name, size, profile| Subject { id, name, size, looked_at: size, found: size, profile };
        let outliers = subject(
            TopicId::OUTLIER,
            "outliers",
            self.outliers().documents,
            Cow::Borrowed(self.outlier_profile()),
        );
        let topics = self.largest().map(|(id, record)| {
            let profile = Cow::Borrowed(&record.profile);
            subject(i64::from(id.0), &*record.topic.name, record.sums.documents, profile)
        });
        std::iter::once(outliers).chain(topics).collect()
    }

    /// The same, with the documents of the uniform sample for which `filter` holds.
    fn sampled(&self, filter: &Filter) -> Vec<Subject<'_>> {
        let mut subjects = self.whole();
        for subject in &mut subjects {
            (subject.looked_at, subject.found, subject.profile) = (0, 0, Cow::default());
        }
        let places: BTreeMap<i64, usize> =
            subjects.iter().enumerate().map(|(place, subject)| (subject.id, place)).collect();
        for (_, kept, standing) in self.held().iter().filter(|(.., standing)| standing.sampled) {
            let Some(place) = places.get(&TopicId::to_record(standing.topic)) else { continue };
            let subject = &mut subjects[*place];
            subject.looked_at += 1;
            if filter.holds(|field| field_of(kept, field)) {
                subject.found += 1;
                let mut profile = Profile::of(kept.timestamp_ms, &kept.fields);
                self.dictionary().limit(&mut profile);
                subject.profile.to_mut().merge(&profile);
            }
        }
        subjects
    }
}

/// What a kept document's field holds.
pub(in crate::model) fn field_of(kept: &Kept, field: &str) -> Option<Value> {
    let own = kept.fields.get(field).cloned();
    own.or_else(|| kept.timestamp_ms.filter(|_| field == TIME).map(Value::Time))
}

impl Counted {
    fn of(profile: &Profile, by: &str, reach: Reach) -> Self {
        let mut counted = Self::default();
        let mut add = |times: &Calendar| {
            let bins = times.bins(Unit::Month, reach);
            let months = bins.documents.into_iter().map(|(bin, count)| (Unit::Month.label(bin), count));
            counted.values.extend(months);
            counted.others += bins.earlier;
        };
        match profile.facets().get(by) {
            Some(facet) => {
                add(&facet.times);
                counted.having = facet.documents;
                counted.others += facet.others;
                counted.values.extend(facet.values.iter().map(|(value, count)| (value.to_string(), *count)));
                counted.numbers = facet.numbers.clone();
            }
            None if by == TIME => {
                add(&profile.calendar);
                counted.having = profile.calendar.documents();
            }
            None => {}
        }
        counted
    }
}

impl Total {
    fn of(counted: &[Counted]) -> Self {
        let mut total = Self { having: 0, values: BTreeMap::new(), tests: 0 };
        for one in counted {
            total.having += one.having;
            total.tests += one.values.len();
            one.values
                .iter()
                .for_each(|(value, count)| *total.values.entry(value.clone()).or_insert(0) += count);
        }
        total
    }

    /// Values of `counted` that are more frequent there than elsewhere, the surest first.
    fn over(&self, counted: &Counted) -> Vec<Over> {
        let (here, all) = (counted.having, self.having);
        let mut over: Vec<Over> = (counted.values.iter())
            .filter_map(|(value, count)| {
                let with = self.values.get(value).copied()?;
                let p = fisher::at_least(*count, here, with, all) * self.tests as f64;
                (p <= CHANCE).then(|| Over {
                    value: value.clone(),
                    share: *count as f64 / here as f64,
                    elsewhere: (with - count) as f64 / (all - here).max(1) as f64,
                    p,
                })
            })
            .collect();
        over.sort_by(|a, b| a.p.total_cmp(&b.p).then_with(|| b.share.total_cmp(&a.share)));
        over.truncate(MOST_OVER);
        over
    }
}

impl Subject<'_> {
    /// The calendar by which the values are counted, if they are times.
    fn times(&self, wanted: &Wanted) -> Cow<'_, Calendar> {
        match wanted.by.as_deref() {
            Some(TIME) => Cow::Borrowed(&self.profile.calendar),
            Some(by) => {
                self.profile.facets().get(by).map_or_else(Cow::default, |facet| Cow::Borrowed(&facet.times))
            }
            None => Cow::default(),
        }
    }

    fn part(&self, counted: Counted, values: &[String], total: &Total) -> Part {
        Part {
            id: self.id,
            name: self.name.to_owned(),
            size: self.size,
            looked_at: self.looked_at,
            found: self.found,
            having: counted.having,
            documents: values.iter().map(|value| counted.values.get(value).copied().unwrap_or(0)).collect(),
            others: counted.others,
            over: total.over(&counted),
            numbers: Numbers::of(&counted.numbers),
        }
    }
}

impl Numbers {
    fn of(numbers: &Distribution) -> Option<Self> {
        Some(Self {
            count: numbers.count(),
            mean: numbers.mean()?,
            p10: numbers.quantile(0.1)?,
            p50: numbers.quantile(0.5)?,
            p90: numbers.quantile(0.9)?,
        })
    }
}
