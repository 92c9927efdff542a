//! Topics over time: documents of each topic in each window of the stream, and the words that set a window apart; or by
//! the times at which they were written.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::keywords::{self, Counts};
use crate::model::evidence::Sums;
use crate::model::profile::Profile;
use crate::model::profile::calendar::{Bins, Reach, Unit};
use crate::model::state::{Record, State};
use crate::model::topic::TopicId;
use crate::model::trend::{History, Signal};

/// Words of a topic in a window.
const WORDS: usize = 5;

/// The remembered windows of the stream. A window is counted while it passes and changes later only where a document
/// gets another topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OverTime {
    /// Documents of the stream in a window.
    pub window_documents: u64,
    /// The remembered windows, oldest first; window `w` begins with document `w × window_documents`. The last one may
    /// not be over.
    pub windows: Vec<u64>,
    /// Topics, largest first.
    pub topics: Vec<Course>,
    /// Documents without a topic in each window.
    pub outliers: Vec<u64>,
}

/// One topic over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// Its id.
    pub id: TopicId,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub trend: Signal,
    /// Its documents in each window.
    pub documents: Vec<u64>,
    /// Its documents before the first window.
    pub earlier: u64,
    /// In each window the words that set it apart from the topic's other windows, by c-TF-IDF over the documents that
    /// are kept; empty where none is.
    pub words: Vec<Vec<String>>,
    /// 1 − cosine of its documents of the last windows to all of them: how far it has drifted; none for a silent topic.
    pub drift: Option<f32>,
    /// Mean cosine of its documents to their centroid, in [0, 1].
    pub cohesion: f64,
}

/// Topics by the times at which their documents were written, which they say themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ByTime {
    /// The length of a bin.
    pub by: Unit,
    /// The bins in which a document was written, oldest first, in UTC: `2021-05-18T13`, `2021-05-18`, `2021-W20`,
    /// `2021-05` or `2021`.
    pub bins: Vec<String>,
    /// Topics, largest first.
    pub topics: Vec<TopicByTime>,
    /// Documents without a topic.
    pub outliers: DocumentsByTime,
}

/// One topic by time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopicByTime {
    /// Its id.
    pub id: TopicId,
    /// Its name.
    pub name: String,
    /// Its documents.
    #[serde(flatten)]
    pub counts: DocumentsByTime,
}

/// Documents by time: together all that there are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DocumentsByTime {
    /// Documents in each bin.
    pub documents: Vec<u64>,
    /// Documents of long ago, whose times are known by longer bins only.
    pub earlier: u64,
    /// Documents without a time.
    pub undated: u64,
}

impl State {
    /// Topics by the calendar. What is long ago is known by longer bins only, for all topics alike: see
    /// [`Calendar`](crate::model::profile::calendar::Calendar). O(topics × bins).
    pub fn by_time(&self, by: Unit) -> ByTime {
        let calendars = self.topics().values().map(|record| &record.profile.calendar);
        let reach = calendars
            .chain([&self.outlier_profile().calendar])
            .fold(Reach::default(), |reach, calendar| reach.with(calendar.reach()));
        let counted = |profile: &Profile| profile.calendar.bins(by, reach);
        let topics: Vec<(TopicId, &Record, Bins)> =
            self.largest().map(|(id, record)| (id, record, counted(&record.profile))).collect();
        let outliers = counted(self.outlier_profile());
        let all = topics.iter().map(|(.., counted)| counted).chain([&outliers]);
        let bins: BTreeSet<i32> = all.flat_map(|counted| counted.documents.keys().copied()).collect();
        let counts = |sums: &Sums, profile: &Profile, counted: &Bins| DocumentsByTime {
            documents: bins.iter().map(|bin| counted.documents.get(bin).copied().unwrap_or(0)).collect(),
            earlier: counted.earlier,
            undated: sums.documents.saturating_sub(profile.calendar.documents()),
        };
        let topics = topics.iter().map(|(id, record, counted)| TopicByTime {
            id: *id,
            name: record.topic.name.clone(),
            counts: counts(&record.sums, &record.profile, counted),
        });
        ByTime {
            by,
            topics: topics.collect(),
            outliers: counts(self.outliers(), self.outlier_profile(), &outliers),
            bins: bins.iter().map(|bin| by.label(*bin)).collect(),
        }
    }

    /// Topics, largest first.
    pub(in crate::model) fn largest(&self) -> impl Iterator<Item = (TopicId, &Record)> {
        let mut topics: Vec<(TopicId, &Record)> =
            self.topics().iter().map(|(id, record)| (*id, record)).collect();
        topics.sort_by_key(|(id, record)| (Reverse(record.sums.documents), *id));
        topics.into_iter()
    }

    /// Topics over time. O(kept documents + topics × windows).
    pub fn over_time(&self, params: &keywords::Params) -> OverTime {
        let histories = self.topics().values().map(|record| &record.history);
        let remembered = histories.chain([self.outlier_history()]).flat_map(History::windows);
        let (first, end) = remembered
            .fold((u64::MAX, 0), |(first, end), (window, _)| (first.min(window), end.max(window + 1)));
        let windows: Vec<u64> = (first..end).collect();
        let series = |history: &History| windows.iter().map(|window| history.count(*window)).collect();
        let mut words = self.words_by_window(params);
        let topics: Vec<Course> = (self.largest())
            .map(|(id, record)| {
                let documents: Vec<u64> = series(&record.history);
                let mut words = words.remove(&id).unwrap_or_default();
                let recent = record.history.recent().centroid().zip(record.sums.centroid());
                Course {
                    id,
                    name: record.topic.name.clone(),
                    trend: record.history.signal(self.window_of(self.totals().documents)),
                    earlier: record.sums.documents.saturating_sub(documents.iter().sum()),
                    documents,
                    words: windows.iter().map(|window| words.remove(window).unwrap_or_default()).collect(),
                    drift: recent
                        .map(|(recent, all)| (1.0 - crate::kernel::dot::dot(&recent, &all)).max(0.0)),
                    cohesion: record.sums.cohesion(),
                }
            })
            .collect();
        OverTime {
            window_documents: self.bounds().window,
            outliers: series(self.outlier_history()),
            windows,
            topics,
        }
    }

    fn words_by_window(&self, params: &keywords::Params) -> BTreeMap<TopicId, BTreeMap<u64, Vec<String>>> {
        let mut counts: BTreeMap<TopicId, Counts<u64>> = BTreeMap::new();
        for (_, kept, standing) in self.held().iter() {
            let Some(topic) = standing.topic else { continue };
            let counts = counts.entry(topic).or_insert_with(|| Counts::new(params.max_vocabulary));
            counts.add(self.window_of(kept.arrived), &kept.words, 1.0);
        }
        let few = keywords::Params { top_n_words: WORDS, ..params.clone() };
        let words = counts.into_iter().map(|(id, counts)| {
            let windows = keywords::keywords(&counts, &few).into_iter().map(|(window, keywords)| {
                (window, keywords.into_iter().map(|keyword| keyword.term).collect())
            });
            (id, windows.collect())
        });
        words.collect()
    }
}
