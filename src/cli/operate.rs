//! What an operator does to the topics: `topicd merge`, `rename`, `pin`, `unpin`, `forget-topic`, `restore`,
//! `rollback` and `forget`.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use crate::cli::answers::Answers;
use crate::cli::exit::Usage;
use crate::cli::{Settings, arguments, print, print_json};
use crate::model::operate::{Action, Holding};
use crate::model::topic::TopicId;
use crate::record::version::OperatedRecord;
use crate::visible::one_line;

/// Merge topics.
///
/// The others end and redirect to the one after --into, for ever or until they are restored. Undone by `topicd restore ID`.
///
/// Example: topicd merge 5 6 --into 4
#[derive(Debug, Args)]
pub(super) struct Merge {
    /// The topics that end
    #[arg(required = true, value_name = "ID", value_parser = arguments::topic_id, allow_negative_numbers = true)]
    from: Vec<TopicId>,
    /// The topic that stays
    #[arg(long, value_name = "ID", value_parser = arguments::topic_id, allow_negative_numbers = true)]
    into: TopicId,
}

/// Give a topic a label.
///
/// It wins over the topic's keywords; without a label the topic is named by its keywords again.
///
/// Example: topicd rename 3 "Travel bans"
#[derive(Debug, Args)]
pub(super) struct Rename {
    /// The topic's id
    #[arg(value_parser = arguments::topic_id, allow_negative_numbers = true)]
    id: TopicId,
    /// Its label
    label: Option<String>,
}

/// Keep a topic from being merged or split, by refits and by you.
///
/// Example: topicd pin 3
#[derive(Debug, Args)]
pub(super) struct Pin {
    /// The topic's id
    #[arg(value_parser = arguments::topic_id, allow_negative_numbers = true)]
    id: TopicId,
}

/// Let a pinned topic be merged and split again.
///
/// Example: topicd unpin 3
#[derive(Debug, Args)]
pub(super) struct Unpin {
    /// The topic's id
    #[arg(value_parser = arguments::topic_id, allow_negative_numbers = true)]
    id: TopicId,
}

/// End a topic: its documents are outliers.
///
/// A later refit may find the subject again, under a new id. Undone by `topicd restore ID`.
///
/// Example: topicd forget-topic 3
#[derive(Debug, Args)]
pub(super) struct ForgetTopic {
    /// The topic's id
    #[arg(value_parser = arguments::topic_id, allow_negative_numbers = true)]
    id: TopicId,
}

/// Bring back a topic that was merged or forgotten.
///
/// It comes back under its old id, with the documents whose records name it. Works for as many versions as `state.versions` keeps. Pin it if the next refits shall not merge it again.
///
/// Example: topicd restore 5
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The topic's id
    #[arg(value_parser = arguments::topic_id, allow_negative_numbers = true)]
    id: TopicId,
}

/// Make the topics those of an earlier version, as a new version.
///
/// Topics that ended since come back under their ids. Topics born since end: in the topic that they were split from,
/// or in none. Documents that are kept get the topic that they had, by records of their own. Undone by rolling back to
/// the version before.
///
/// Example: topicd rollback
#[derive(Debug, Args)]
pub(super) struct Rollback {
    /// The version, as `topicd versions` shows it; without it, the one before the version in force
    #[arg(value_parser = arguments::version, allow_negative_numbers = true)]
    version: Option<u64>,
}

/// Erase a document. Cannot be undone.
///
/// Its text, embedding and words leave the state and every sum and count. The id goes out with a last assignment (topic null, `forgotten`) and an event, for everybody who holds something of
/// it; files that topicd has written before, and the source, are yours to clean. Of a document that is no longer kept
/// only the hash of its id is held, which is erased; it stays counted. The bytes leave the state's files at once if no
/// daemon runs, else when the daemon starts next.
///
/// Example: topicd forget news-0042
#[derive(Debug, Args)]
pub(super) struct Forget {
    /// The document's id
    id: String,
}

impl Merge {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        if self.from.contains(&self.into) {
            let why = format!("topic `{}` cannot be merged into itself; name another topic", self.into);
            bail!(Usage(why));
        }
        carry_out(settings, &Action::Merge { from: self.from, into: self.into })
    }
}

impl Rename {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        carry_out(settings, &Action::Rename { topic: self.id, label: self.label })
    }
}

impl Pin {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        carry_out(settings, &Action::Pin { topic: self.id })
    }
}

impl Unpin {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        carry_out(settings, &Action::Unpin { topic: self.id })
    }
}

impl ForgetTopic {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        carry_out(settings, &Action::ForgetTopic { topic: self.id })
    }
}

impl Restore {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        carry_out(settings, &Action::Restore { topic: self.id })
    }
}

impl Rollback {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        carry_out(settings, &Action::Rollback { version: self.version })
    }
}

impl Forget {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        carry_out(settings, &Action::Forget { document: self.id })
    }
}

fn carry_out(settings: &Settings, action: &Action) -> anyhow::Result<ExitCode> {
    let config = settings.load()?;
    let done = Answers::find(settings, &config)?.operate(action)?;
    if settings.json {
        print_json(&done)?;
    } else {
        print(&in_words(&done))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn in_words(done: &OperatedRecord) -> String {
    let held = match done.held {
        Some(Holding::Kept) => "\nits text, embedding and words are out of the state, its sums and counts",
        Some(Holding::Counted) => {
            "\nonly the hash of its id was held, which is gone; it stays counted in sizes and sums"
        }
        None => "",
    };
    let moved =
        if done.moved > 0 { format!(", {} documents have a new record", done.moved) } else { String::new() };
    format!("{}; version {}{moved}{held}\n", one_line(&done.summary), done.version)
}
