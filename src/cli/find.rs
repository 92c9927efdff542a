//! `topicd find TEXT`.

use std::process::ExitCode;

use clap::Args;

use crate::cli::answers::Answers;
use crate::cli::{Settings, print, print_json, table};

/// Find the topics nearest to a text, with the cosine of text and centroid.
#[derive(Debug, Args)]
pub(super) struct Find {
    /// The text, e.g. "topic modeling"
    text: String,
    /// How many topics
    #[arg(long, short = 'n', default_value_t = 5)]
    limit: usize,
}

impl Find {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        let found = Answers::find(&config)?.nearest(&self.text, self.limit)?;
        if settings.json {
            print_json(&found)?;
        } else {
            print(&table::found(&found))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
