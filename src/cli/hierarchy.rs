//! `topicd hierarchy` and `topicd over-time`.

use std::process::ExitCode;

use clap::Args;

use crate::cli::answers::Answers;
use crate::cli::{Settings, print, print_json, table};
use crate::model::hierarchy::Node;

/// Windows in a row of the table.
const WINDOWS: usize = 12;

/// Show the topics as a tree: the nearest are joined first.
///
/// Example: topicd hierarchy --distance 0.6
#[derive(Debug, Args)]
pub(super) struct Hierarchy {
    /// Show branches further apart than this side by side, without their common root; cosine distance, 0 to 2
    #[arg(long, default_value_t = 2.0)]
    distance: f64,
}

/// Show each topic's documents per window of the stream, its trend, and how far it has drifted.
///
/// Example: topicd over-time --json
#[derive(Debug, Args)]
pub(super) struct OverTime {
    /// Show the largest so many topics; 0 for all
    #[arg(long, short = 'n', default_value_t = 30)]
    limit: usize,
}

impl Hierarchy {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        let tree = Answers::find(&config)?.hierarchy()?;
        if settings.json {
            print_json(&tree)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut lines = Vec::new();
        if let Some(tree) = &tree {
            draw(tree, 0, self.distance, &mut lines);
        }
        print(&lines.concat())?;
        Ok(ExitCode::SUCCESS)
    }
}

fn draw(node: &Node, depth: usize, apart: f64, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    match node {
        Node::Topic { id, name, size } => lines.push(format!("{indent}topic {id} ({name}), {size}\n")),
        Node::Branch { name, size, distance, children } => {
            let shown = *distance <= apart;
            if shown {
                lines.push(format!("{indent}┬ {distance:.3}  {name}, {size}\n"));
            }
            children.iter().for_each(|child| draw(child, depth + usize::from(shown), apart, lines));
        }
    }
}

impl OverTime {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        let mut found = Answers::find(&config)?.over_time()?;
        if self.limit > 0 {
            found.topics.truncate(self.limit);
        }
        if settings.json {
            print_json(&found)?;
            return Ok(ExitCode::SUCCESS);
        }
        let from = found.windows.len().saturating_sub(WINDOWS);
        let row =
            |counts: &[u64]| -> Vec<String> { counts[from..].iter().map(ToString::to_string).collect() };
        let windows: Vec<String> = found.windows[from..].iter().map(|window| format!("w{window}")).collect();
        let mut header = vec!["id", "name", "trend", "drift", "earlier"];
        header.extend(windows.iter().map(String::as_str));
        let mut table = table::table(&header);
        for topic in &found.topics {
            let earlier: u64 = topic.earlier + topic.documents[..from].iter().sum::<u64>();
            let mut cells = vec![
                topic.id.to_string(),
                table::one_line(&topic.name, 32),
                format!("{:?}", topic.trend).to_lowercase(),
                topic.drift.map_or_else(|| "–".to_owned(), |drift| format!("{drift:.2}")),
                earlier.to_string(),
            ];
            cells.extend(row(&topic.documents));
            table.add_row(cells);
        }
        let mut outliers = vec![String::new(), "outliers".to_owned(), String::new(), String::new()];
        outliers.push(found.outliers[..from].iter().sum::<u64>().to_string());
        outliers.extend(row(&found.outliers));
        table.add_row(outliers);
        print(&format!("{table}\na window is {} documents of the stream\n", found.window_documents))?;
        Ok(ExitCode::SUCCESS)
    }
}
