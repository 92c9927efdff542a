//! `topicd find`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use crate::cli::answers::{Answers, Asked};
use crate::cli::exit::Usage;
use crate::cli::table::{Cell, Column, Table};
use crate::cli::{Settings, arguments, show};
use crate::record::answer::FoundRecord;

/// Find topics by a text, by an example document, or by a keyword.
///
/// By text or document, topics come with the cosine of their centroid to it; by keyword, with its c-TF-IDF in them.
///
/// Examples: topicd find "climate change"; topicd find --document news-0042; topicd find --keyword carbon
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("by").required(true))]
pub(super) struct Find {
    /// A text, e.g. "topic modeling"
    #[arg(group = "by")]
    text: Option<String>,
    /// An example: a file with a text, or the id of a document that the state keeps
    #[arg(long, group = "by", value_name = "FILE|ID")]
    document: Option<String>,
    /// A word that topics shall be about, whether it is among their best keywords or not
    #[arg(long, group = "by", value_name = "WORD")]
    keyword: Option<String>,
    /// Show the best so many; 0 for all
    #[arg(long, short = 'n', value_name = "N", default_value = "5", value_parser = arguments::limit, allow_negative_numbers = true)]
    limit: usize,
}

impl Find {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        let by_keyword = self.keyword.is_some();
        let asked = match (self.text, self.document, self.keyword) {
            (Some(text), ..) => Asked::Text(text),
            (None, Some(document), _) if Path::new(&document).is_file() => {
                Asked::Text(fs_err::read_to_string(document)?)
            }
            (None, Some(document), _) => Asked::Document(document),
            (None, None, keyword) => Asked::Keyword(keyword.unwrap_or_default()),
        };
        let (Asked::Text(text) | Asked::Document(text) | Asked::Keyword(text)) = &asked;
        if text.trim().is_empty() {
            bail!(Usage(
                "the text to find topics by is empty; write e.g. topicd find \"climate change\"".to_owned()
            ));
        }
        let found = Answers::find(settings, &config)?.nearest(&asked, self.limit)?;
        show(settings, &found, || table(&found, if by_keyword { "c-TF-IDF" } else { "cosine" }))
    }
}

fn table(found: &[FoundRecord], measure: &'static str) -> Table {
    let mut table = Table::new([
        Column::number(measure),
        Column::number("id"),
        Column::number("size"),
        Column::text("name"),
        Column::text("keywords"),
    ]);
    for topic in found {
        table.row([
            Cell::real(topic.similarity, 4),
            Cell::of(topic.id),
            Cell::of(topic.size),
            Cell::of(&topic.name),
            Cell::words(&topic.keywords),
        ]);
    }
    table.note(if found.is_empty() {
        "no topic is found; `topicd topics` lists them".to_owned()
    } else {
        String::new()
    })
}
