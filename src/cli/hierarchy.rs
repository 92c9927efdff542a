//! `topicd hierarchy` and `topicd over-time`.

use std::process::ExitCode;

use clap::Args;

use crate::cli::answers::Answers;
use crate::cli::table::{Cell, Column, Table};
use crate::cli::{Settings, arguments, show};
use crate::model::hierarchy::Node;
use crate::model::over_time::{ByTime, Course, DocumentsByTime, OverTime as Windows};
use crate::model::profile::calendar::Unit;
use crate::visible::one_line;

/// Windows of a line that draws a topic's course.
const WINDOWS: usize = 24;

/// Show the topics as a tree: the nearest are joined first.
///
/// Example: topicd hierarchy --distance 0.6
#[derive(Debug, Args)]
pub(super) struct Hierarchy {
    /// Show branches further apart than this side by side, without their common root; cosine distance, 0 to 2
    #[arg(long, default_value = "2", value_parser = arguments::distance, allow_negative_numbers = true)]
    distance: f64,
}

/// Show each topic's documents per window of the stream, its trend, and how far it has drifted; or per hour, day, week,
/// month or year, by the documents' own times.
///
/// Drift is 1 − cosine of the topic's documents of the last windows to all of its documents: 0 where it stands still.
///
/// Example: topicd over-time -n 10 --by month
#[derive(Debug, Args)]
pub(super) struct OverTime {
    /// Show the largest so many topics; 0 for all
    #[arg(long, short = 'n', value_name = "N", default_value = "30", value_parser = arguments::limit, allow_negative_numbers = true)]
    limit: usize,
    /// Count by the documents' own times, in UTC: hour, day, week, month or year
    #[arg(long, value_name = "BIN")]
    by: Option<Unit>,
}

impl Hierarchy {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        let tree = Answers::find(settings, &config)?.hierarchy()?;
        show(settings, &tree, || drawn(&tree, self.distance))
    }
}

/// A row for each node, the root first, and the children of each below it.
fn drawn(nodes: &[Node], apart: f64) -> Table {
    let mut table = Table::new([
        Column::number("depth").in_pipe(),
        Column::number("distance"),
        Column::number("id"),
        Column::number("size"),
        Column::text("name"),
    ]);
    let mut row = |depth: usize, distance: Option<f64>, id: Option<u32>, size: u64, name: &str| {
        table.row([
            Cell::of(depth),
            distance.map_or_else(|| Cell::of(""), |distance| Cell::real(distance, 3)),
            id.map_or_else(|| Cell::of(""), Cell::of),
            Cell::of(size),
            Cell::short(format!("{}{}", "·".repeat(depth), one_line(name)), name),
        ]);
    };
    // The root is the last node. What is nearest to the top is drawn next.
    let mut open: Vec<(usize, usize)> =
        nodes.len().checked_sub(1).map(|root| (root, 0)).into_iter().collect();
    while let Some((at, depth)) = open.pop() {
        match nodes.get(at) {
            Some(Node::Topic { id, name, size }) => row(depth, None, Some(id.0), *size, name),
            Some(Node::Branch { name, size, distance, children: [first, second] }) => {
                let shown = *distance <= apart;
                if shown {
                    row(depth, Some(*distance), None, *size, name);
                }
                let below = depth + usize::from(shown);
                open.extend([(*second, below), (*first, below)]);
            }
            None => {}
        }
    }
    table
}

impl OverTime {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        let answers = Answers::find(settings, &config)?;
        if let Some(by) = self.by {
            let mut found = answers.by_time(by)?;
            let all = found.topics.len();
            found.topics.truncate(self.limit);
            return show(settings, &found, || calendar(&found, all));
        }
        let mut found = answers.over_time()?;
        let all = found.topics.len();
        found.topics.truncate(self.limit);
        show(settings, &found, || courses(&found, all))
    }
}

/// The topics of `found`, of `all` that there are, and the outliers, by the calendar.
fn calendar(found: &ByTime, all: usize) -> Table {
    let fixed = [
        Column::number("id"),
        Column::text("name"),
        Column::number("documents").where_room(),
        Column::number("latest").on_terminal().where_room(),
        Column::number("course").on_terminal(),
        Column::number("earlier").in_pipe(),
    ];
    let bins = found.bins.iter().map(|bin| Column::number(bin.clone()).in_pipe());
    let mut table = Table::new(fixed.into_iter().chain(bins).chain([Column::number("undated").where_room()]));
    let mut row = |id: Cell, name: &str, counted: &DocumentsByTime| {
        let DocumentsByTime { documents, earlier, undated } = counted;
        let start = [id, Cell::of(name)];
        table.row(start.into_iter().chain(counts(*earlier, documents)).chain([Cell::of(undated)]));
    };
    found.topics.iter().for_each(|topic| row(Cell::of(topic.id), &topic.name, &topic.counts));
    row(Cell::of(""), "outliers", &found.outliers);
    let span = match &found.bins[..] {
        [] => "no document has a time".to_owned(),
        [only] => format!("all of {only}"),
        [first, .., last] => {
            format!("{} by {}: {first} to {last}, in UTC", found.bins.len(), found.by.name())
        }
    };
    let shown = found.topics.len();
    let topics = if shown < all { format!("{shown} of {all} topics; ") } else { String::new() };
    table.note(format!("{topics}{span}"))
}

/// The topics of `found`, of `all` that there are, and the outliers.
fn courses(found: &Windows, all: usize) -> Table {
    let fixed = [
        Column::number("id"),
        Column::text("name"),
        Column::number("trend"),
        Column::number("drift"),
        Column::number("documents").where_room(),
        Column::number("latest").on_terminal().where_room(),
        Column::number("course").on_terminal(),
        Column::number("earlier").in_pipe(),
    ];
    let windows = found.windows.iter().map(|window| Column::number(format!("w{window}")).in_pipe());
    let mut table = Table::new(fixed.into_iter().chain(windows));
    for topic in &found.topics {
        let Course { id, name, trend, documents, earlier, drift, .. } = topic;
        let start = [
            Cell::of(id),
            Cell::of(name),
            Cell::of(format!("{trend:?}").to_lowercase()),
            Cell::maybe(*drift, |drift| Cell::real(drift, 2)),
        ];
        table.row(start.into_iter().chain(counts(*earlier, documents)));
    }
    let start = [Cell::of(""), Cell::of("outliers"), Cell::of(""), Cell::of("")];
    table.row(start.into_iter().chain(counts(0, &found.outliers)));
    let shown = found.topics.len();
    let topics = if shown < all { format!("{shown} of {all} topics; ") } else { String::new() };
    table.note(format!("{topics}a window is {} documents of the stream", found.window_documents))
}

/// Documents before the windows and in each: all, the last, their course, and one by one.
fn counts(earlier: u64, windows: &[u64]) -> impl Iterator<Item = Cell> {
    let all: u64 = earlier + windows.iter().sum::<u64>();
    let last = windows.last().copied().unwrap_or(0);
    let start = [Cell::of(all), Cell::of(last), Cell::short(course(windows), ""), Cell::of(earlier)];
    start.into_iter().chain(windows.iter().map(Cell::of))
}

/// The last windows as bars, the highest of them as high as a line.
fn course(windows: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let last = &windows[windows.len().saturating_sub(WINDOWS)..];
    let highest = last.iter().copied().max().unwrap_or(0).max(1);
    // The lowest bar is for none at all.
    last.iter().map(|count| BARS[(count * 7).div_ceil(highest) as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_course_is_as_high_as_its_highest_window() {
        assert_eq!(course(&[0, 1, 35, 70, 0]), "▁▂▅█▁");
        assert_eq!(course(&[0, 0]), "▁▁");
        assert_eq!(course(&[]), "");
        assert_eq!(course(&[1; 100]).chars().count(), WINDOWS);
    }
}
