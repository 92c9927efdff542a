//! How good a replay was, judged by what humans called the documents.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;

use serde::Serialize;

use crate::cluster::agreement;
use crate::document::Document;
use crate::model::refit::report::Fate;
use crate::model::topic::TopicId;
use crate::pipeline::replay::{Refit, Replayed};

/// Documents at a stream's start whose label on arrival is not judged: there are no topics yet.
const WARM_UP: usize = 5120;
/// A label is new if its first document comes after this share of the stream.
const NEW_AFTER: f64 = 0.05;
/// The document of a new label from which on its topic is expected.
const EXPECTED_FROM: usize = 100;

/// The figures; `None` where the stream has no labels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// Adjusted mutual information of labels and last topics, outliers counted as one more topic.
    pub ami_all: Option<f64>,
    /// The same over documents that have a topic.
    pub ami_in: Option<f64>,
    /// Adjusted Rand index over documents that have a topic.
    pub ari_in: Option<f64>,
    /// Adjusted mutual information of labels and topics on arrival, after the first 5,120 documents.
    pub arrival_ami_all: Option<f64>,
    /// Share of those documents that had a topic on arrival.
    pub arrival_coverage: f64,
    /// Topics at the end that hold a document.
    pub topics: usize,
    /// Share of documents without a topic at the end.
    pub outliers: f64,
    /// Documents whose topic changed while nothing said so.
    pub silent_moves: usize,
    /// Topics that ended and came back under another id: born with most of an ended topic's documents, and those most
    /// of the new one's.
    pub returned: usize,
    /// New label → documents from its 100th to a topic whose majority it is; absent if none came.
    pub detection_delay: BTreeMap<String, Option<usize>>,
}

/// Judges `replayed` by the labels of `documents`.
pub fn score(documents: &[Document], replayed: &Replayed) -> Score {
    let labels: Option<Vec<&str>> = documents.iter().map(|document| document.label.as_deref()).collect();
    let late = WARM_UP.min(documents.len());
    let arrived = &replayed.arrival[late..];
    let topics: BTreeSet<TopicId> = replayed.last.iter().flatten().copied().collect();
    let outliers = replayed.last.iter().filter(|topic| topic.is_none()).count();
    let mut score = Score {
        ami_all: None,
        ami_in: None,
        ari_in: None,
        arrival_ami_all: None,
        arrival_coverage: share(arrived.iter().filter(|topic| topic.is_some()).count(), arrived.len()),
        topics: topics.len(),
        outliers: share(outliers, documents.len()),
        silent_moves: replayed.silent_moves,
        returned: returned(replayed),
        detection_delay: BTreeMap::new(),
    };
    if let Some(labels) = labels {
        let labels: Vec<i64> = numbered(&labels);
        let inside: Vec<usize> = (0..labels.len()).filter(|row| replayed.last[*row].is_some()).collect();
        let pick = |all: &[i64]| -> Vec<i64> { inside.iter().map(|row| all[*row]).collect() };
        let last = as_numbers(&replayed.last);
        score.ami_all = agreement::adjusted_mutual_information(&labels, &last).ok();
        score.ami_in = agreement::adjusted_mutual_information(&pick(&labels), &pick(&last)).ok();
        score.ari_in = agreement::adjusted_rand_index(&pick(&labels), &pick(&last)).ok();
        let arrival = as_numbers(arrived);
        score.arrival_ami_all = agreement::adjusted_mutual_information(&labels[late..], &arrival).ok();
        score.detection_delay = delays(documents, replayed);
    }
    score
}

fn share(part: usize, of: usize) -> f64 {
    part as f64 / of.max(1) as f64
}

fn as_numbers(topics: &[Option<TopicId>]) -> Vec<i64> {
    topics.iter().map(|topic| TopicId::to_record(*topic)).collect()
}

fn numbered<T: Hash + Eq + Copy>(labels: &[T]) -> Vec<i64> {
    let mut numbers = std::collections::HashMap::new();
    labels
        .iter()
        .map(|label| {
            let next = numbers.len() as i64;
            *numbers.entry(*label).or_insert(next)
        })
        .collect()
}

fn returned(replayed: &Replayed) -> usize {
    let mut ended: BTreeMap<TopicId, BTreeSet<usize>> = BTreeMap::new();
    let mut before: BTreeMap<TopicId, BTreeSet<usize>> = BTreeMap::new();
    let mut born = BTreeSet::new();
    let mut returned = 0;
    for Refit { report, topics } in replayed.refits.iter().filter(|refit| refit.report.rejected.is_none()) {
        let mut now: BTreeMap<TopicId, BTreeSet<usize>> = BTreeMap::new();
        for (row, topic) in topics.iter().enumerate() {
            if let Some(topic) = topic {
                now.entry(*topic).or_default().insert(row);
            }
        }
        for (id, _) in report.fates.iter().filter(|(_, fate)| *fate == Fate::Restored) {
            ended.remove(id);
        }
        for (_, documents) in now.iter().filter(|(id, _)| born.insert(**id)) {
            let same = |old: &&BTreeSet<usize>| {
                let shared = documents.intersection(old).count() * 2;
                shared > documents.len() && shared > old.len()
            };
            returned += usize::from(ended.values().any(|old| same(&old)));
        }
        for (id, fate) in &report.fates {
            if let (Fate::MergedInto(_), Some(documents)) = (fate, before.get(id)) {
                ended.insert(*id, documents.clone());
            }
        }
        before = now;
    }
    returned
}

fn delays(documents: &[Document], replayed: &Replayed) -> BTreeMap<String, Option<usize>> {
    let mut rows: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (row, document) in documents.iter().enumerate() {
        rows.entry(document.label.as_deref().unwrap_or_default()).or_default().push(row);
    }
    let after = (documents.len() as f64 * NEW_AFTER) as usize;
    let new = rows.into_iter().filter(|(_, rows)| rows[0] >= after && rows.len() >= EXPECTED_FROM);
    new.map(|(label, rows)| (label.to_owned(), delay(documents, replayed, label, rows[EXPECTED_FROM - 1])))
        .collect()
}

/// Documents from row `from` to the first version in which most of some topic's documents are called `label`.
fn delay(documents: &[Document], replayed: &Replayed, label: &str, from: usize) -> Option<usize> {
    let found = replayed.refits.iter().find(|refit| {
        let mut counts: BTreeMap<TopicId, (usize, usize)> = BTreeMap::new();
        for (document, topic) in documents.iter().zip(&refit.topics) {
            let Some(topic) = topic else { continue };
            let (ours, all) = counts.entry(*topic).or_insert((0, 0));
            *ours += usize::from(document.label.as_deref() == Some(label));
            *all += 1;
        }
        counts.values().any(|(ours, all)| ours * 2 > *all)
    });
    found.map(|refit| refit.topics.len().saturating_sub(from + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Partition, Position};
    use crate::model::refit::policy::Comparison;
    use crate::model::refit::report::Report;
    use crate::model::refit::trigger::Trigger;
    use crate::model::state::{Bounds, State};

    fn report(fates: &[(u32, Fate)]) -> Report {
        let comparison = Comparison {
            agreement: 1.0,
            churn: 0.0,
            coverage_before: 1.0,
            coverage_after: 1.0,
            coherence_before: None,
            coherence_after: None,
        };
        Report {
            number: 1,
            time_ms: 0,
            trigger: Trigger::Documents,
            before: 0,
            after: 1,
            members: 0,
            outliers_before: 0,
            outliers_after: 0,
            moved: 0,
            clusters: 0,
            topics: 0,
            min_cluster_size: 2,
            comparison,
            rejected: None,
            stages: Vec::new(),
            fates: fates.iter().map(|(id, fate)| (TopicId(*id), fate.clone())).collect(),
        }
    }

    type Topics = Vec<Option<TopicId>>;

    fn topics(n: usize, topic: impl Fn(usize) -> Option<u32>) -> Topics {
        (0..n).map(|row| topic(row).map(TopicId)).collect()
    }

    fn refit(topics: Topics) -> Refit {
        Refit { report: report(&[]), topics }
    }

    /// What these refits come to.
    fn replayed(refits: Vec<Refit>) -> Replayed {
        let last = refits.last().map(|refit| refit.topics.clone()).unwrap_or_default();
        let state = State::new(2, Bounds::default());
        Replayed { arrival: last.clone(), last, refits, silent_moves: 0, state }
    }

    fn documents(n: usize, label: impl Fn(usize) -> &'static str) -> Vec<Document> {
        let document = |row: usize| Document {
            id: format!("d{row}").into(),
            text: String::new(),
            timestamp_ms: None,
            label: Some(label(row).into()),
            embedding: None,
            fields: crate::document::Fields::default(),
            left_out: Vec::new(),
            position: Position { partition: Partition::new("p"), offset: row as u64 },
            original: crate::document::Original::default(),
        };
        (0..n).map(document).collect()
    }

    #[test]
    fn a_topic_that_comes_back_under_another_id_is_counted_and_under_its_own_is_not() {
        let merged = || report(&[(1, Fate::MergedInto(TopicId(0)))]);
        // After each refit, the topic of the second ten documents.
        let returned = |refits: Vec<(u32, Report)>| {
            let with = |topic| topics(20, |row| Some(if row < 10 { 0 } else { topic }));
            let refits = refits.into_iter().map(|(id, report)| Refit { report, topics: with(id) });
            returned(&replayed(refits.collect()))
        };
        let split = |id: u32, from: u32| (id, report(&[(id, Fate::SplitFrom(TopicId(from)))]));
        let (begin, back) = (|| (1, report(&[])), (1, report(&[(1, Fate::Restored)])));
        assert_eq!(returned(vec![begin(), (0, merged()), split(2, 0)]), 1);
        assert_eq!(returned(vec![begin(), (0, merged()), back, split(2, 1)]), 0, "it is back itself");
        let rejected = Report { rejected: Some("churn".to_owned()), ..merged() };
        assert_eq!(returned(vec![begin(), (1, rejected), split(2, 1)]), 0, "it never ended");
    }

    #[test]
    fn a_delay_counts_from_the_hundredth_document_of_a_new_label_to_its_topic() {
        // From document 1,000 on every second is called new: the hundredth is number 1,198.
        let documents = documents(2000, |row| if row >= 1000 && row % 2 == 0 { "new" } else { "old" });
        let is_new = |row: usize| row >= 1000 && row.is_multiple_of(2);
        let hidden = |n: usize| topics(n, |_| Some(0));
        let found = |n: usize| topics(n, |row| Some(u32::from(is_new(row))));
        let delay =
            |versions: Vec<Topics>| delays(&documents, &replayed(versions.into_iter().map(refit).collect()));
        let of = |found: Option<usize>| BTreeMap::from([("new".to_owned(), found)]);
        assert_eq!(delay(vec![hidden(1100), hidden(1400), found(1700)]), of(Some(501)));
        assert_eq!(delay(vec![found(1100)]), of(Some(0)), "before the hundredth");
        assert_eq!(delay(vec![hidden(1400)]), of(None));
    }

    #[test]
    fn outliers_count_as_a_topic_or_not_at_all() {
        let documents = documents(40, |row| ["a", "b"][row % 2]);
        let topics = topics(40, |row| (row < 30).then_some((row % 2) as u32));
        let score = score(&documents, &replayed(vec![refit(topics)]));
        assert_eq!((score.topics, score.outliers), (2, 0.25));
        assert!((score.ami_in.unwrap() - 1.0).abs() < 1e-9 && (score.ari_in.unwrap() - 1.0).abs() < 1e-9);
        assert!((0.3..0.9).contains(&score.ami_all.unwrap()), "{:?}", score.ami_all);
    }
}
