//! `topicd documents`.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use crate::cli::answers::Answers;
use crate::cli::exit::Usage;
use crate::cli::table::{Cell, Column, Table};
use crate::cli::{Settings, arguments, show};
use crate::model::documents::{MOST, Page, Wanted};
use crate::model::filter::Filter;
use crate::model::topic::TopicId;
use crate::record;

/// List the documents that the state keeps, page by page, the newest first.
///
/// The state keeps a sample of the stream, the outliers that wait for a refit, and the representatives of topics. The last line says how many of a topic's documents these are.
///
/// Examples: topicd documents --topic 7 --nearest; topicd documents --query "interest rates"
#[derive(Debug, Args)]
pub(super) struct Documents {
    /// Only of this topic; -1 for the outliers
    #[arg(long, value_name = "ID", allow_negative_numbers = true, value_parser = topic)]
    topic: Option<i64>,
    /// Only those in which all these words stand, in any case; a part of a word counts too
    #[arg(long, value_name = "WORDS", default_value = "", hide_default_value = true)]
    query: String,
    /// Only those whose kept fields fulfil this, such as 'rating < 3 and country = "DE"'; `time` is the document's own
    #[arg(long, value_name = "CONDITION")]
    r#where: Option<Filter>,
    /// Show the nearest to the topic's centroid first
    #[arg(long, requires = "topic")]
    nearest: bool,
    /// Show so many on a page, at most 1000
    #[arg(long, short = 'n', value_name = "N", default_value = "20", value_parser = on_a_page)]
    limit: usize,
    /// Show this page
    #[arg(long, value_name = "N", default_value = "1", value_parser = arguments::count)]
    page: usize,
}

/// A topic's id, or −1.
fn topic(text: &str) -> Result<i64, String> {
    if text.parse() == Ok(TopicId::OUTLIER) {
        return Ok(TopicId::OUTLIER);
    }
    arguments::topic_id(text).map(|id| i64::from(id.0))
}

/// Documents on a page.
fn on_a_page(text: &str) -> Result<usize, String> {
    let limit = arguments::count(text)?;
    if limit <= MOST {
        Ok(limit)
    } else {
        Err(format!("a page has at most {MOST} documents; --page shows the next"))
    }
}

impl Documents {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let Self { topic, query, r#where, nearest, limit, page } = self;
        if nearest && topic == Some(TopicId::OUTLIER) {
            bail!(Usage("outliers have no centroid; leave out --nearest".to_owned()));
        }
        let config = settings.load()?;
        let wanted = Wanted { topic, q: query, r#where, nearest, page, limit };
        let found = Answers::find(settings, &config)?.documents(&wanted)?;
        show(settings, &found, || table(&found, &wanted))
    }
}

fn table(found: &Page, wanted: &Wanted) -> Table {
    let mut table = Table::new([
        Column::number("id"),
        Column::number("topic"),
        Column::number("time").where_room(),
        Column::number("cosine"),
        Column::text("text"),
    ]);
    for document in &found.documents {
        table.row([
            Cell::of(&document.id),
            Cell::of(document.topic),
            Cell::maybe(document.timestamp_ms, |ms| Cell::time(&record::time(ms))),
            Cell::maybe(document.similarity, |similarity| Cell::real(similarity, 3)),
            Cell::of(&document.text),
        ]);
    }
    table.note(summary(found, wanted))
}

fn summary(found: &Page, wanted: &Wanted) -> String {
    let Page { topic, size, kept, found, .. } = found;
    let whose = match topic {
        None => "documents".to_owned(),
        Some(TopicId::OUTLIER) => "outliers".to_owned(),
        Some(id) => format!("documents of topic {id}"),
    };
    let all = wanted.q.is_empty() && wanted.r#where.is_none();
    let with = if all { String::new() } else { format!(", {found} of them as wanted") };
    let pages = found.div_ceil(wanted.limit).max(1);
    format!("page {} of {pages}; the state keeps {kept} of {size} {whose}{with}", wanted.page)
}
