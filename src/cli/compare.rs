//! `topicd topics --compare A B`: two aspects or versions of the topics, side by side.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use serde_json::json;

use crate::cli::answers::Answers;
use crate::cli::exit::Usage;
use crate::cli::table::{Cell, Column, Table};
use crate::cli::{Settings, print_json};
use crate::keywords::Keyword;
use crate::keywords::representation::{CTFIDF, MAIN};
use crate::record::topic::{TopicRecord, TopicsRecord};

/// One side: each topic's keywords, by id.
type Side = BTreeMap<u32, Vec<Keyword>>;

/// Prints both sides, the topics of `record` and those that only an older version has.
pub(super) fn compare(
    sides: &[String],
    record: &TopicsRecord,
    answers: &Answers<'_>,
    settings: &Settings,
) -> anyhow::Result<()> {
    let [before, after] = sides else {
        bail!(Usage(
            "two things are compared; write e.g. --compare main c-tf-idf, or --compare 3 4".to_owned()
        ))
    };
    let (left, right) = (side(before, record, answers)?, side(after, record, answers)?);
    let ids: BTreeSet<u32> = left.keys().chain(right.keys()).copied().collect();
    if settings.json {
        let rows = ids.iter().map(|id| json!({ "id": id, "before": left.get(id), "after": right.get(id) }));
        return print_json(&json!({ "before": before, "after": after, "topics": rows.collect::<Vec<_>>() }));
    }
    let mut table = Table::new([
        Column::number("id"),
        Column::text(before.clone()),
        Column::text(after.clone()),
        Column::number("in both"),
    ]);
    for id in &ids {
        let cell = |side: &Side| Cell::maybe(side.get(id), |words| Cell::words(words));
        table.row([Cell::of(id), cell(&left), cell(&right), Cell::of(shared(left.get(id), right.get(id)))]);
    }
    table.print()
}

/// How many terms two lists share, of how many in the longer one.
fn shared(left: Option<&Vec<Keyword>>, right: Option<&Vec<Keyword>>) -> String {
    let (Some(left), Some(right)) = (left, right) else { return String::new() };
    let both = left.iter().filter(|word| right.iter().any(|other| other.term == word.term)).count();
    format!("{both}/{}", left.len().max(right.len()))
}

fn side(name: &str, record: &TopicsRecord, answers: &Answers<'_>) -> anyhow::Result<Side> {
    if let Ok(version) = name.parse::<u64>() {
        let topics = answers.version(version)?.topics.into_iter();
        return Ok(topics.map(|topic| (topic.id, topic.keywords)).collect());
    }
    let list = |topic: &TopicRecord| match (name, topic.aspects.get(name)) {
        // Where the main list is c-TF-IDF's, there is no other.
        (MAIN, _) | (CTFIDF, None) => Some(topic.keywords.clone()),
        (_, aspect) => aspect.cloned(),
    };
    let side: Side = record.topics.iter().filter_map(|topic| Some((topic.id, list(topic)?))).collect();
    if side.is_empty() && !record.topics.is_empty() {
        let known: BTreeSet<&str> = record
            .topics
            .iter()
            .flat_map(|topic| topic.aspects.keys().map(String::as_str))
            .chain([MAIN, CTFIDF])
            .collect();
        let known: Vec<&str> = known.into_iter().collect();
        bail!(
            "no topic has an aspect `{name}`; there are {}, and versions by their number",
            known.join(", ")
        );
    }
    Ok(side)
}
