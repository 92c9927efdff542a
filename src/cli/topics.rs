//! `topicd topics` and `topicd topic ID`.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use crate::cli::answers::Answers;
use crate::cli::compare::compare;
use crate::cli::{Settings, print, print_json, table};
use crate::keywords::Keyword;
use crate::keywords::representation::{CTFIDF, MAIN};
use crate::record::topic::TopicRecord;

/// Show the topics as a table.
#[derive(Debug, Args)]
pub(super) struct Topics {
    /// Show the largest so many; 0 for all
    #[arg(long, short = 'n', default_value_t = 0)]
    limit: usize,
    /// Show keywords side by side: of two aspects (main, c-tf-idf, or one that is configured), or of two versions
    #[arg(long, num_args = 2, value_names = ["A", "B"])]
    compare: Vec<String>,
}

impl Topics {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        let answers = Answers::find(&config)?;
        let mut record = answers.topics()?;
        if self.limit > 0 {
            record.topics.truncate(self.limit);
        }
        if !self.compare.is_empty() {
            compare(&self.compare, &record, &answers, settings)?;
        } else if settings.json {
            print_json(&record)?;
        } else {
            print(&table::topics(&record))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Show one topic.
#[derive(Debug, Args)]
pub(super) struct Topic {
    /// The topic's id, as `topicd topics` shows it
    id: u32,
}

impl Topic {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        let record = Answers::find(&config)?.topics()?;
        let Some(topic) = record.topics.iter().find(|topic| topic.id == self.id) else {
            bail!("there is no topic `{}`; `topicd topics` lists them", self.id);
        };
        if settings.json {
            print_json(topic)?;
        } else {
            print(&describe(topic)?)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn describe(topic: &TopicRecord) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    writeln!(text, "topic {}: {}", topic.id, topic.name)?;
    writeln!(text, "  {} documents, since version {}", topic.size, topic.created_version)?;
    if let Some(parent) = topic.split_from {
        writeln!(text, "  split from topic {parent}")?;
    }
    if let Some(summary) = &topic.summary {
        writeln!(text, "  {summary}")?;
    }
    let mut list = |name: &str, keywords: &[Keyword]| {
        writeln!(text, "\nkeywords ({name})")?;
        keywords.iter().try_for_each(|keyword| writeln!(text, "  {:<24} {:.4}", keyword.term, keyword.score))
    };
    list(if topic.aspects.contains_key(CTFIDF) { MAIN } else { CTFIDF }, &topic.keywords)?;
    topic.aspects.iter().try_for_each(|(name, keywords)| list(name, keywords))?;
    writeln!(text, "\nrepresentative documents")?;
    for document in &topic.representative {
        writeln!(text, "  {}: {}", document.id, table::one_line(&document.text, 300))?;
    }
    Ok(text)
}
