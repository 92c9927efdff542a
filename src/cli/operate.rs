//! What an operator does to the topics: `topicd merge`, `rename`, `pin`, `unpin`, `forget-topic`, `restore`,
//! `rollback` and `forget`.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use crate::cli::answers::Answers;
use crate::cli::{Settings, print, print_json};
use crate::model::operate::{Action, Holding};
use crate::model::topic::TopicId;
use crate::record::version::OperatedRecord;

/// Merge topics: the others end and redirect to the last one for ever, or until they are restored.
///
/// Undone by `topicd restore ID`.
///
/// Example: topicd merge 27 31 --into 22
#[derive(Debug, Args)]
pub(super) struct Merge {
    /// The topics that end
    #[arg(required = true, value_name = "ID")]
    from: Vec<u32>,
    /// The topic that stays
    #[arg(long, value_name = "ID")]
    into: u32,
}

/// Give a topic a label, which wins over its keywords; without a label it is named by its keywords again.
///
/// Example: topicd rename 7 "Travel bans"
#[derive(Debug, Args)]
pub(super) struct Rename {
    /// The topic's id
    id: u32,
    /// Its label
    label: Option<String>,
}

/// Keep a topic from being merged or split, by refits and by you.
///
/// Example: topicd pin 7
#[derive(Debug, Args)]
pub(super) struct Pin {
    /// The topic's id
    id: u32,
}

/// Let a pinned topic be merged and split again.
///
/// Example: topicd unpin 7
#[derive(Debug, Args)]
pub(super) struct Unpin {
    /// The topic's id
    id: u32,
}

/// End a topic: its documents are outliers, and a later refit may find the subject again, under a new id.
///
/// Undone by `topicd restore ID`.
///
/// Example: topicd forget-topic 7
#[derive(Debug, Args)]
pub(super) struct ForgetTopic {
    /// The topic's id
    id: u32,
}

/// Bring back a topic that was merged or forgotten, under its old id, with the documents whose records name it.
///
/// Works for as many versions as `state.versions` keeps. Pin it if the next refits shall not merge it again.
///
/// Example: topicd restore 27
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The topic's id
    id: u32,
}

/// Make the topics those of an earlier version, as a new version.
///
/// Topics that ended since come back under their ids. Topics born since end: in the topic that they were split from,
/// or in none. Documents that are kept get the topic that they had, by records of their own. Undone by rolling back to
/// the version before.
///
/// Example: topicd rollback 12
#[derive(Debug, Args)]
pub(super) struct Rollback {
    /// The version, as `topicd versions` shows it; without it, the one before the version in force
    version: Option<u64>,
}

/// Erase a document: its text, embedding and words leave the state and every sum and count. Cannot be undone.
///
/// The id goes out with a last assignment (topic null, `forgotten`) and an event, for everybody who holds something of
/// it; files that topicd has written before, and the source, are yours to clean. Of a document that is no longer kept
/// only the hash of its id is held, which is erased; it stays counted. The bytes leave the state's files at once if no
/// daemon runs, else when the daemon starts next.
///
/// Example: topicd forget user-4711
#[derive(Debug, Args)]
pub(super) struct Forget {
    /// The document's id
    id: String,
}

impl Merge {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        if self.from.contains(&self.into) {
            bail!("topic `{}` cannot be merged into itself; name another topic", self.into);
        }
        let from = self.from.into_iter().map(TopicId).collect();
        carry_out(settings, &Action::Merge { from, into: TopicId(self.into) })
    }
}

impl Rename {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        carry_out(settings, &Action::Rename { topic: TopicId(self.id), label: self.label })
    }
}

impl Pin {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        carry_out(settings, &Action::Pin { topic: TopicId(self.id) })
    }
}

impl Unpin {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        carry_out(settings, &Action::Unpin { topic: TopicId(self.id) })
    }
}

impl ForgetTopic {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        carry_out(settings, &Action::ForgetTopic { topic: TopicId(self.id) })
    }
}

impl Restore {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        carry_out(settings, &Action::Restore { topic: TopicId(self.id) })
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
    let done = Answers::find(&config)?.operate(action)?;
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
    format!("{}; version {}{moved}{held}\n", done.summary, done.version)
}
