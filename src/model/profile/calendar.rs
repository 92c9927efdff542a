//! Documents by the time at which they were written, in bins of the calendar.

use std::collections::BTreeMap;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

/// Hours that are told apart.
const HOURS: usize = 14 * 24;
/// Days that are told apart, of those before these hours.
const DAYS: usize = 2 * 366;
/// Months that are told apart, of those before these days.
const MONTHS: usize = 100 * 12;

const HOUR_MS: i64 = 3_600_000;
const DAY_SECONDS: i64 = 86_400;

/// A bin of the calendar, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// `2021-05-18T13`
    Hour,
    /// `2021-05-18`
    Day,
    /// `2021-W20`, from Monday on (ISO 8601).
    Week,
    /// `2021-05`
    Month,
    /// `2021`
    Year,
}

/// Documents by hour, day and month; bounded, and exact: what was added can be taken away.
///
/// The newest 336 hours that have documents are told apart; of those before, the newest 732 days; then the newest 1,200
/// months. What is older still is only counted. So a calendar holds 2,268 bins at most, some 50 KB; of a stream that
/// began three years ago it holds some 1,100, about 25 KB in memory and 5 KB on disk.
///
/// Counts never become finer again, so a part of the documents is never known by longer bins than all of them. That
/// makes every merge exact, and every later removal of what was merged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Calendar {
    from: Reach,
    hours: BTreeMap<i32, u64>,
    days: BTreeMap<i32, u64>,
    months: BTreeMap<i32, u64>,
    /// Documents before the first month.
    earlier: u64,
}

/// How far back bins of each length go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// The first day whose hours are told apart, from 1 January 1970.
    day: i32,
    /// The first month whose days are told apart, from January of the year 0.
    month: i32,
    /// The first month that is told apart.
    earliest: i32,
}

/// Documents in each bin of one length, by its number; [`Unit::label`] names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bins {
    /// Documents in each bin that has any.
    pub documents: BTreeMap<i32, u64>,
    /// Documents of earlier times, which are not known so finely.
    pub earlier: u64,
}

impl Default for Reach {
    /// As far as there is time.
    fn default() -> Self {
        Self { day: i32::MIN, month: i32::MIN, earliest: i32::MIN }
    }
}

impl Reach {
    /// As far back as both go.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            day: self.day.max(other.day),
            month: self.month.max(other.month),
            earliest: self.earliest.max(other.earliest),
        }
    }
}

impl Calendar {
    /// Adds a document that was written at `ms` since 1970. O(log bins).
    pub fn add(&mut self, ms: i64) {
        self.put_hour(hour_of(ms), 1, u64::saturating_add);
        self.fold();
    }

    /// Adds another calendar's documents. O(bins).
    pub fn merge(&mut self, other: &Self) {
        self.put(other, u64::saturating_add);
        self.fold();
    }

    /// Takes documents away that were added before. O(bins).
    pub fn unmerge(&mut self, other: &Self) {
        self.put(other, u64::saturating_sub);
    }

    /// Documents in all.
    pub fn documents(&self) -> u64 {
        let bins = self.hours.values().chain(self.days.values()).chain(self.months.values());
        self.earlier + bins.sum::<u64>()
    }

    /// True if there is no document.
    pub fn is_empty(&self) -> bool {
        self.documents() == 0
    }

    /// How far back its bins go.
    pub fn reach(&self) -> Reach {
        self.from
    }

    /// Documents by `unit`, as far back as `reach` goes at most. O(bins).
    pub fn bins(&self, unit: Unit, reach: Reach) -> Bins {
        let reach = reach.with(self.from);
        let mut bins = Bins { earlier: self.earlier, ..Bins::default() };
        let hours = self.hours.iter().map(|(hour, count)| {
            let day = hour.div_euclid(24);
            (unit.of_hour(*hour), day, *count)
        });
        let days = self.days.iter().map(|(day, count)| (unit.of_day(*day), *day, *count));
        let months =
            self.months.iter().map(|(month, count)| (unit.of_month(*month), first_day(*month), *count));
        for (bin, day, count) in hours.chain(days).chain(months) {
            match bin.filter(|_| unit.reaches(day, reach)) {
                Some(bin) => *bins.documents.entry(bin).or_insert(0) += count,
                None => bins.earlier += count,
            }
        }
        bins
    }

    fn put(&mut self, other: &Self, change: fn(u64, u64) -> u64) {
        self.from = self.from.with(other.from);
        self.settle();
        other.hours.iter().for_each(|(hour, count)| self.put_hour(*hour, *count, change));
        other.days.iter().for_each(|(day, count)| self.put_day(*day, *count, change));
        other.months.iter().for_each(|(month, count)| self.put_month(*month, *count, change));
        self.earlier = change(self.earlier, other.earlier);
    }

    fn put_hour(&mut self, hour: i32, count: u64, change: fn(u64, u64) -> u64) {
        let day = hour.div_euclid(24);
        if day >= self.from.day {
            put(&mut self.hours, hour, count, change);
        } else {
            self.put_day(day, count, change);
        }
    }

    fn put_day(&mut self, day: i32, count: u64, change: fn(u64, u64) -> u64) {
        let month = month_of(day);
        if month >= self.from.month {
            put(&mut self.days, day, count, change);
        } else {
            self.put_month(month, count, change);
        }
    }

    fn put_month(&mut self, month: i32, count: u64, change: fn(u64, u64) -> u64) {
        if month >= self.from.earliest {
            put(&mut self.months, month, count, change);
        } else {
            self.earlier = change(self.earlier, count);
        }
    }

    /// Makes longer bins of the oldest ones that are too many: of all hours of a day, of all days of a month.
    fn fold(&mut self) {
        while let Some(hour) = first_of_too_many(&self.hours, HOURS) {
            self.from.day = hour.div_euclid(24) + 1;
            self.settle();
        }
        while let Some(day) = first_of_too_many(&self.days, DAYS) {
            self.from.month = month_of(day) + 1;
            self.settle();
        }
        while let Some(month) = first_of_too_many(&self.months, MONTHS) {
            self.from.earliest = month + 1;
            self.settle();
        }
    }

    /// Moves what lies before the reach of its bins into longer ones.
    fn settle(&mut self) {
        while let Some(hour) =
            self.hours.first_entry().filter(|hour| hour.key().div_euclid(24) < self.from.day)
        {
            let (hour, count) = hour.remove_entry();
            self.put_day(hour.div_euclid(24), count, u64::saturating_add);
        }
        while let Some(day) = self.days.first_entry().filter(|day| month_of(*day.key()) < self.from.month) {
            let (day, count) = day.remove_entry();
            self.put_month(month_of(day), count, u64::saturating_add);
        }
        while let Some(month) = self.months.first_entry().filter(|month| *month.key() < self.from.earliest) {
            self.earlier += month.remove();
        }
    }
}

fn put(bins: &mut BTreeMap<i32, u64>, bin: i32, count: u64, change: fn(u64, u64) -> u64) {
    let present = bins.entry(bin).or_insert(0);
    *present = change(*present, count);
    if *present == 0 {
        bins.remove(&bin);
    }
}

fn first_of_too_many(bins: &BTreeMap<i32, u64>, most: usize) -> Option<i32> {
    bins.first_key_value().filter(|_| bins.len() > most).map(|(first, _)| *first)
}

impl Unit {
    /// Every unit, the shortest first.
    pub const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// What people call the bin of this number.
    pub fn label(self, bin: i32) -> String {
        match self {
            Self::Hour => format!("{}T{:02}", date_of(bin.div_euclid(24)), bin.rem_euclid(24)),
            Self::Day => date_of(bin).to_string(),
            Self::Week => {
                let week = date_of(bin * 7 - MONDAY).iso_week_date();
                format!("{:04}-W{:02}", week.year(), week.week())
            }
            Self::Month => format!("{:04}-{:02}", bin.div_euclid(12), bin.rem_euclid(12) + 1),
            Self::Year => format!("{bin:04}"),
        }
    }

    fn of_hour(self, hour: i32) -> Option<i32> {
        if self == Self::Hour { Some(hour) } else { self.of_day(hour.div_euclid(24)) }
    }

    fn of_day(self, day: i32) -> Option<i32> {
        match self {
            Self::Hour => None,
            Self::Day => Some(day),
            Self::Week => Some((day + MONDAY).div_euclid(7)),
            Self::Month | Self::Year => self.of_month(month_of(day)),
        }
    }

    fn of_month(self, month: i32) -> Option<i32> {
        match self {
            Self::Month => Some(month),
            Self::Year => Some(month.div_euclid(12)),
            Self::Hour | Self::Day | Self::Week => None,
        }
    }

    /// True if all of the bin in which `day` lies is known in bins no longer than it.
    fn reaches(self, day: i32, reach: Reach) -> bool {
        match self {
            Self::Hour => day >= reach.day,
            Self::Day => month_of(day) >= reach.month,
            Self::Week => month_of((day + MONDAY).div_euclid(7) * 7 - MONDAY) >= reach.month,
            Self::Month => month_of(day) >= reach.earliest,
            Self::Year => month_of(day).div_euclid(12) * 12 >= reach.earliest,
        }
    }
}

impl FromStr for Unit {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|unit| unit.name() == name);
        found.ok_or_else(|| "a bin of the calendar is one of hour, day, week, month and year".to_owned())
    }
}

/// Days from a Monday to 1 January 1970, a Thursday.
const MONDAY: i32 = 3;

fn hour_of(ms: i64) -> i32 {
    let known = ms.clamp(Timestamp::MIN.as_millisecond(), Timestamp::MAX.as_millisecond());
    i32::try_from(known.div_euclid(HOUR_MS)).unwrap_or_default()
}

fn date_of(day: i32) -> Date {
    let seconds = i64::from(day) * DAY_SECONDS;
    let known = seconds.clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    Offset::UTC.to_datetime(Timestamp::from_second(known).unwrap_or_default()).date()
}

fn month_of(day: i32) -> i32 {
    let date = date_of(day);
    i32::from(date.year()) * 12 + i32::from(date.month()) - 1
}

fn first_day(month: i32) -> i32 {
    let year = i16::try_from(month.div_euclid(12)).unwrap_or_default();
    let first = Date::new(year, month.rem_euclid(12) as i8 + 1, 1).ok();
    let first = first
        .and_then(|first| Offset::UTC.to_timestamp(first.to_datetime(jiff::civil::Time::midnight())).ok());
    first.map_or(i32::MIN, |first| first.as_second().div_euclid(DAY_SECONDS) as i32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY_MS: i64 = 24 * HOUR_MS;

    fn of(times: impl IntoIterator<Item = i64>) -> Calendar {
        let mut calendar = Calendar::default();
        times.into_iter().for_each(|ms| calendar.add(ms));
        calendar
    }

    fn labels(calendar: &Calendar, unit: Unit) -> Vec<(String, u64)> {
        let bins = calendar.bins(unit, Reach::default());
        bins.documents.iter().map(|(bin, count)| (unit.label(*bin), *count)).collect()
    }

    #[test]
    fn a_moment_lies_in_the_bins_that_a_calendar_has() {
        // 1969-12-31T23:59:59.999Z, 2021-01-01T13:00Z, 2021-01-04T00:00Z
        let calendar = of([-1, 1_609_506_000_000, 1_609_718_400_000]);
        let named = |names: [&str; 3]| names.map(|name| (name.to_owned(), 1)).to_vec();
        assert_eq!(labels(&calendar, Unit::Hour), named(["1969-12-31T23", "2021-01-01T13", "2021-01-04T00"]));
        assert_eq!(labels(&calendar, Unit::Day), named(["1969-12-31", "2021-01-01", "2021-01-04"]));
        assert_eq!(labels(&calendar, Unit::Week), named(["1970-W01", "2020-W53", "2021-W01"]));
        let two = |names: [(&str, u64); 2]| names.map(|(name, count)| (name.to_owned(), count)).to_vec();
        assert_eq!(labels(&calendar, Unit::Month), two([("1969-12", 1), ("2021-01", 2)]));
        assert_eq!(labels(&calendar, Unit::Year), two([("1969", 1), ("2021", 2)]));
    }

    #[test]
    fn what_is_long_ago_is_known_by_longer_bins() {
        // A document each hour of 150 years; the first are forgotten but for their number.
        let hours = 150 * 366 * 24;
        let calendar = of((0..hours).map(|hour| hour * HOUR_MS));
        assert_eq!(calendar.documents(), hours as u64);
        assert!(calendar.hours.len() <= HOURS && calendar.hours.len() > HOURS - 24);
        assert!(calendar.days.len() <= DAYS && calendar.days.len() > DAYS - 31);
        assert_eq!(calendar.months.len(), MONTHS);
        for unit in Unit::ALL {
            let bins = calendar.bins(unit, Reach::default());
            assert_eq!(bins.documents.values().sum::<u64>() + bins.earlier, hours as u64, "{unit:?}");
            let whole: Vec<u64> = bins.documents.values().copied().collect();
            let least = match unit {
                Unit::Hour => 1,
                Unit::Day => 24,
                Unit::Week => 168,
                Unit::Month => 28 * 24,
                Unit::Year => 365 * 24,
            };
            let cut = whole.split_last().map_or(&[][..], |(_, others)| others);
            assert!(cut.iter().all(|count| *count >= least), "{unit:?}: only whole bins are shown");
        }
    }

    #[test]
    fn one_wrong_date_costs_no_other_its_bin() {
        let mut calendar = of((0..100).map(|hour| hour * HOUR_MS));
        calendar.add(Timestamp::MAX.as_millisecond());
        calendar.add(Timestamp::MIN.as_millisecond());
        assert_eq!(calendar.hours.len(), 102);
        assert_eq!(labels(&calendar, Unit::Day).len(), 7);
    }

    /// Times over years, with more hours, days and months than are told apart.
    fn times() -> impl Strategy<Value = Vec<i64>> {
        prop_oneof![
            prop::collection::vec(0..30 * DAY_MS, 0..600),
            prop::collection::vec(-4000 * DAY_MS..4000 * DAY_MS, 0..1500),
            prop::collection::vec(-70_000 * DAY_MS..70_000 * DAY_MS, 0..1800),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// What was merged can be taken out again, however much time went by: what is left is as if it had never been
        /// there, as far back as bins go.
        #[test]
        fn counts_add_up(ours in times(), theirs in times(), later in times()) {
            let mut ended = of(theirs.iter().copied());
            let mut all = of(ours.iter().copied());
            all.merge(&ended);
            for ms in &later {
                ended.add(*ms);
                all.add(*ms);
            }
            prop_assert_eq!(all.documents() as usize, ours.len() + theirs.len() + later.len());
            prop_assert_eq!(ended.from.with(all.from), all.from, "a part is known as finely as all");
            all.unmerge(&ended);
            let left = of(ours.iter().copied());
            for unit in Unit::ALL {
                prop_assert_eq!(all.bins(unit, all.from), left.bins(unit, all.from), "{:?}", unit);
            }
            ours.iter().for_each(|ms| all.unmerge(&of([*ms])));
            prop_assert!(all.is_empty());
        }
    }
}
