//! `topicd find`.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use crate::cli::answers::{Answers, Asked};
use crate::cli::{Settings, print, print_json, table};

/// Find topics by a text, by an example document, or by a keyword.
///
/// By text or document, topics come with the cosine of their centroid to it; by keyword, with its c-TF-IDF in them.
///
/// Examples: topicd find "climate change"; topicd find --document post-4711; topicd find --keyword carbon
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
    /// How many topics
    #[arg(long, short = 'n', default_value_t = 5)]
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
        let found = Answers::find(&config)?.nearest(&asked, self.limit)?;
        if settings.json {
            print_json(&found)?;
        } else {
            print(&table::found(&found, if by_keyword { "c-TF-IDF" } else { "cosine" }))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
