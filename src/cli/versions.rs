//! `topicd versions` and `diff`: what the topics were.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use crate::cli::answers::Answers;
use crate::cli::table::{Cell, Column, Table};
use crate::cli::{Settings, arguments, show};
use crate::model::state::diff::{Both, Diff, One};
use crate::record::version::VersionRecord;

/// A topic that moved less is not told of.
const MOVED: f32 = 0.0005;

/// List the versions that are kept, newest first.
///
/// Example: topicd versions
#[derive(Debug, Args)]
pub(super) struct Versions {
    /// Show the newest so many; 0 for all
    #[arg(long, short = 'n', value_name = "N", default_value = "0", value_parser = arguments::limit, allow_negative_numbers = true)]
    limit: usize,
}

/// Compare two versions.
///
/// Shows topics that appeared, ended, were renamed, moved or grew, and how many documents changed topic. Drift is 1 − cosine of a topic's two centroids: 0 where it stands still.
///
/// Example: topicd diff
#[derive(Debug, Args)]
pub(super) struct Differences {
    /// The version that is compared; without it, the one before the version in force
    #[arg(value_parser = arguments::version, allow_negative_numbers = true)]
    from: Option<u64>,
    /// The version that it is compared with; without it, the one in force
    #[arg(value_parser = arguments::version, allow_negative_numbers = true)]
    to: Option<u64>,
}

impl Versions {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        let mut versions = Answers::find(settings, &config)?.versions()?;
        versions.truncate(self.limit);
        show(settings, &versions, || table(&versions))
    }
}

fn table(versions: &[VersionRecord]) -> Table {
    let mut table = Table::new([
        Column::number("version"),
        Column::number("time"),
        Column::text("made by"),
        Column::number("in force"),
        Column::number("topics"),
        Column::number("documents").where_room(),
        Column::number("outliers").where_room(),
    ]);
    for version in versions {
        table.row([
            Cell::of(version.version),
            Cell::time(&version.time),
            Cell::of(&version.cause),
            Cell::of(if version.in_force { "yes" } else { "no" }),
            Cell::of(version.topics),
            Cell::of(version.documents),
            Cell::of(version.outliers),
        ]);
    }
    table
}

impl Differences {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        let answers = Answers::find(settings, &config)?;
        let (from, to) = match (self.from, self.to) {
            (Some(from), Some(to)) => (from, to),
            (from, _) => {
                let versions: Vec<u64> = answers.versions()?.iter().map(|version| version.version).collect();
                match (from, &versions[..]) {
                    (Some(from), [newest, ..]) => (from, *newest),
                    (None, [newest, before, ..]) => (*before, *newest),
                    _ => bail!(
                        "there are no two versions to compare yet; `topicd versions` lists those that are kept"
                    ),
                }
            }
        };
        let diff = answers.diff(from, to)?;
        show(settings, &diff, || differences(&diff))
    }
}

/// The topics that are not what they were.
fn differences(diff: &Diff) -> Table {
    let mut table = Table::new([
        Column::number("change"),
        Column::number("id"),
        Column::text("name"),
        Column::number("documents").on_terminal(),
        Column::number("drift"),
        Column::text("what").on_terminal(),
        Column::text("name before").in_pipe(),
        Column::number("size before").in_pipe(),
        Column::number("size").in_pipe(),
        Column::number("mostly").in_pipe(),
        Column::text("new words").in_pipe(),
        Column::text("lost words").in_pipe(),
    ]);
    diff.appeared.iter().for_each(|topic| table.row(one("appeared", topic, None, Some(topic.size))));
    diff.ended.iter().for_each(|topic| table.row(one("ended", topic, Some(topic.size), None)));
    let changed = |topic: &&Both| {
        topic.name_before != topic.name
            || topic.size_before != topic.size
            || 1.0 - topic.similarity > MOVED
            || !topic.gained.is_empty()
    };
    diff.kept.iter().filter(changed).for_each(|topic| table.row(both(topic)));
    table.note(format!(
        "version {} → {}: {} of {} kept documents moved, AMI {:.3}",
        diff.from, diff.to, diff.moved, diff.documents, diff.agreement
    ))
}

/// A topic that only one version has.
fn one(change: &str, topic: &One, before: Option<u64>, after: Option<u64>) -> [Cell; 12] {
    let empty = || Cell::of("");
    [
        Cell::of(change),
        Cell::of(topic.id),
        Cell::of(&topic.name),
        Cell::of(topic.size),
        empty(),
        topic.mostly.map_or_else(empty, |id| Cell::of(format!("mostly topic {id} there"))),
        empty(),
        before.map_or_else(empty, Cell::of),
        after.map_or_else(empty, Cell::of),
        topic.mostly.map_or_else(empty, Cell::of),
        empty(),
        empty(),
    ]
}

/// A topic that both versions have.
fn both(topic: &Both) -> [Cell; 12] {
    let mut what = Vec::new();
    if topic.name_before != topic.name {
        what.push(format!("was called {}", topic.name_before));
    }
    if !topic.gained.is_empty() {
        what.push(format!("new words {}", topic.gained.join(", ")));
    }
    let grown = if topic.size_before == topic.size {
        topic.size.to_string()
    } else {
        format!("{} → {}", topic.size_before, topic.size)
    };
    [
        Cell::of("kept"),
        Cell::of(topic.id),
        Cell::of(&topic.name),
        Cell::of(grown),
        Cell::real(1.0 - topic.similarity, 3),
        Cell::of(what.join("; ")),
        Cell::of(&topic.name_before),
        Cell::of(topic.size_before),
        Cell::of(topic.size),
        Cell::of(""),
        Cell::of(topic.gained.join(", ")),
        Cell::of(topic.lost.join(", ")),
    ]
}
