//! `topicd topics` and `topicd topic ID`.

use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;

use crate::cli::answers::Answers;
use crate::cli::compare::compare;
use crate::cli::table::{Cell, Column, Table};
use crate::cli::{Settings, arguments, breakdown, print, print_json, show};
use crate::keywords::Keyword;
use crate::keywords::representation::{CTFIDF, MAIN};
use crate::model::breakdown::Wanted;
use crate::model::filter::Filter;
use crate::model::topic::TopicId;
use crate::record::topic::{TopicRecord, TopicsRecord};
use crate::visible::one_line;

/// Show the topics as a table, largest first; or by the values of a kept field.
///
/// With --where, the documents of the uniform sample that the state keeps are counted, otherwise all. A value is marked where it is more frequent than in all other documents, beyond chance.
///
/// Examples: topicd topics -n 10; topicd topics --by product --where 'rating < 3 and country = "DE"'
#[derive(Debug, Args)]
pub(super) struct Topics {
    /// Show the largest so many; 0 for all
    #[arg(long, short = 'n', value_name = "N", default_value = "0", value_parser = arguments::limit, allow_negative_numbers = true)]
    limit: usize,
    /// Show keywords side by side: of two aspects (main, c-tf-idf, or one that is configured), or of two versions
    #[arg(long, num_args = 2, value_names = ["A", "B"])]
    compare: Vec<String>,
    /// Show the values of this kept field in each topic: shares, or of numbers mean and quantiles; `time` for months
    #[arg(long, value_name = "FIELD", conflicts_with = "compare")]
    by: Option<String>,
    /// Count only documents whose kept fields fulfil this
    #[arg(long, value_name = "CONDITION", conflicts_with = "compare")]
    r#where: Option<Filter>,
    /// Show so many values, the most frequent ones
    #[arg(long, value_name = "N", default_value = "10", requires = "by", value_parser = arguments::count)]
    values: usize,
}

impl Topics {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        let answers = Answers::find(settings, &config)?;
        if self.by.is_some() || self.r#where.is_some() {
            let Self { by, r#where, values, limit, .. } = self;
            let wanted = Wanted { by, r#where, values };
            let mut found = answers.breakdown(&wanted)?;
            let all = found.topics.len();
            found.topics.truncate(limit);
            return show(settings, &found, || breakdown::table(&found, &wanted, all));
        }
        let mut record = answers.topics()?;
        let all = record.topics.len();
        record.topics.truncate(self.limit);
        if !self.compare.is_empty() {
            compare(&self.compare, &record, &answers, settings)?;
            return Ok(ExitCode::SUCCESS);
        }
        show(settings, &record, || table(&record, all))
    }
}

/// The topics of `record`, of `all` that there are.
pub(super) fn table(record: &TopicsRecord, all: usize) -> Table {
    let mut table = Table::new([
        Column::number("id"),
        Column::number("size"),
        Column::text("name"),
        Column::text("keywords"),
        Column::text("representative document").where_room(),
    ]);
    for topic in &record.topics {
        let document = topic.representative.first().map_or("", |first| &first.text);
        table.row([
            Cell::of(topic.id),
            Cell::of(topic.size),
            Cell::of(&topic.name),
            Cell::words(&topic.keywords),
            Cell::of(document),
        ]);
    }
    table.note(summary(record, all))
}

fn summary(record: &TopicsRecord, all: usize) -> String {
    let TopicsRecord { version, documents, outliers, topics, refit_at } = record;
    if *version == 0 {
        let when = refit_at.map_or_else(String::new, |at| format!(", at {at}"));
        return format!("no topics yet after {documents} documents; the first refit finds them{when}");
    }
    let topics = if topics.len() == all { all.to_string() } else { format!("{} of {all}", topics.len()) };
    let share = *outliers as f64 / (*documents).max(1) as f64 * 100.0;
    format!("version {version}: {topics} topics, {documents} documents, {share:.0} % outliers")
}

/// Show one topic with its keywords and representative documents.
///
/// A topic that was merged into another is found under its old id too.
///
/// Example: topicd topic 3
#[derive(Debug, Args)]
pub(super) struct Topic {
    /// The topic's id, as `topicd topics` shows it
    #[arg(value_parser = arguments::topic_id, allow_negative_numbers = true)]
    id: TopicId,
}

impl Topic {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        let topic = Answers::find(settings, &config)?.topic(self.id)?;
        if settings.json {
            print_json(&topic)?;
        } else {
            print(&describe(&topic, self.id)?)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn describe(topic: &TopicRecord, asked: TopicId) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    if topic.id != asked.0 {
        writeln!(text, "topic {asked} was merged into topic {}", topic.id)?;
    }
    writeln!(text, "topic {}: {}", topic.id, one_line(&topic.name))?;
    writeln!(text, "  {} documents, since version {}", topic.size, topic.created_version)?;
    if let Some(parent) = topic.split_from {
        writeln!(text, "  split from topic {parent}")?;
    }
    if let Some(summary) = &topic.summary {
        writeln!(text, "  {}", one_line(summary))?;
    }
    let mut list = |name: &str, keywords: &[Keyword]| {
        let mut table = Table::new([Column::text(format!("keywords ({name})")), Column::number("score")]);
        keywords.iter().for_each(|one| table.row([Cell::of(&one.term), Cell::real(one.score, 4)]));
        write!(text, "\n{}", table.in_text())
    };
    list(if topic.aspects.contains_key(CTFIDF) { MAIN } else { CTFIDF }, &topic.keywords)?;
    topic.aspects.iter().try_for_each(|(name, keywords)| list(name, keywords))?;
    let mut documents = Table::new([Column::number("id"), Column::text("representative documents")]);
    topic.representative.iter().for_each(|one| documents.row([Cell::of(&one.id), Cell::of(&one.text)]));
    write!(text, "\n{}", documents.in_text())?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_says_how_many_of_how_many() {
        let topic: TopicRecord = serde_json::from_value(serde_json::json!({
            "id": 1, "name": "a", "size": 9, "state": "live", "keywords": [], "representative": [],
            "created_version": 1, "version": 4,
        }))
        .unwrap();
        let record = |version, topics| TopicsRecord {
            version,
            documents: 200,
            outliers: 50,
            topics,
            refit_at: Some(500),
        };
        let three = vec![topic.clone(), topic.clone(), topic.clone()];
        assert_eq!(
            summary(&record(4, three.clone()), 56),
            "version 4: 3 of 56 topics, 200 documents, 25 % outliers"
        );
        assert!(summary(&record(4, three), 3).starts_with("version 4: 3 topics, "));
        assert_eq!(
            summary(&record(0, vec![]), 0),
            "no topics yet after 200 documents; the first refit finds them, at 500"
        );
    }
}
