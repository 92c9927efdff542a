//! `topicd versions`, `diff` and `refits`: what the topics were, and how they became what they are.

use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;

use crate::cli::answers::Answers;
use crate::cli::{Settings, print, print_json, table};
use crate::model::refit::report::{Fate, Report};
use crate::model::state::diff::{Diff, One};

/// List the versions that are kept, newest first.
///
/// Example: topicd versions
#[derive(Debug, Args)]
pub(super) struct Versions {}

/// Compare two versions: topics that appeared, ended, were renamed, moved, grew, and the documents that changed topic.
///
/// Example: topicd diff 12 14
#[derive(Debug, Args)]
pub(super) struct Differences {
    /// The version that is compared; without it, the one before the version in force
    from: Option<u64>,
    /// The version that it is compared with; without it, the one in force
    to: Option<u64>,
}

/// List what refits decided: what asked for them, what they worked on, how long each stage took, and what became of
/// each topic.
///
/// Example: topicd refits --last 3
#[derive(Debug, Args)]
pub(super) struct Refits {
    /// Show the newest so many; 0 for all that are remembered
    #[arg(long, short = 'n', default_value_t = 10)]
    last: usize,
}

impl Versions {
    #[expect(clippy::unused_self, reason = "every command is run alike")]
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        let versions = Answers::find(&config)?.versions()?;
        if settings.json {
            print_json(&versions)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = table::table(&["version", "time", "made by", "topics", "documents", "outliers"]);
        for version in &versions {
            let star = if version.in_force { " (in force)" } else { "" };
            table.add_row([
                format!("{}{star}", version.version),
                version.time.clone(),
                version.cause.clone(),
                version.topics.to_string(),
                version.documents.to_string(),
                version.outliers.to_string(),
            ]);
        }
        print(&format!("{table}\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Differences {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        let answers = Answers::find(&config)?;
        let (from, to) = match (self.from, self.to) {
            (Some(from), Some(to)) => (from, to),
            (from, _) => {
                let versions = answers.versions()?;
                let number = |at: usize| versions.get(at).map_or(0, |version| version.version);
                (from.unwrap_or_else(|| number(1)), number(0))
            }
        };
        let diff = answers.diff(from, to)?;
        if settings.json {
            print_json(&diff)?;
        } else {
            print(&differences(&diff)?)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn differences(diff: &Diff) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    writeln!(
        text,
        "version {} → {}: {} of {} kept documents have another topic (AMI {:.3})",
        diff.from, diff.to, diff.moved, diff.documents, diff.agreement
    )?;
    let one = |one: &One| {
        let mostly = one.mostly.map_or_else(String::new, |id| format!(", mostly topic {id} there"));
        format!("{} ({}), {} documents{mostly}", one.id, one.name, one.size)
    };
    diff.appeared.iter().try_for_each(|topic| writeln!(text, "+ appeared {}", one(topic)))?;
    diff.ended.iter().try_for_each(|topic| writeln!(text, "− ended    {}", one(topic)))?;
    for topic in &diff.kept {
        let mut changes = Vec::new();
        if topic.name_before != topic.name {
            changes.push(format!("was called {}", topic.name_before));
        }
        if topic.size_before != topic.size {
            changes.push(format!("{} → {} documents", topic.size_before, topic.size));
        }
        if topic.similarity < 0.9995 {
            changes.push(format!("moved to cosine {:.3}", topic.similarity));
        }
        if !topic.gained.is_empty() {
            changes.push(format!("new words {}", topic.gained.join(", ")));
        }
        if !changes.is_empty() {
            writeln!(text, "  kept     {} ({}): {}", topic.id, topic.name, changes.join("; "))?;
        }
    }
    Ok(text)
}

impl Refits {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        let mut reports = Answers::find(&config)?.refits()?;
        if self.last > 0 {
            reports.drain(..reports.len().saturating_sub(self.last));
        }
        if settings.json {
            print_json(&reports)?;
        } else {
            for report in &reports {
                print(&refit(report)?)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn refit(report: &Report) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let verdict = match &report.rejected {
        Some(reason) => format!("rejected: {reason}"),
        None => format!("version {} → {}", report.before, report.after),
    };
    let time = crate::record::time(report.time_ms);
    writeln!(text, "refit {} ({}, {time}): {verdict}", report.number, report.trigger.as_str())?;
    writeln!(
        text,
        "  {} documents, outliers {} → {}, min_cluster_size {}, {} clusters, {} topics, {} documents moved",
        report.members,
        report.outliers_before,
        report.outliers_after,
        report.min_cluster_size,
        report.clusters,
        report.topics,
        report.moved
    )?;
    let compared = &report.comparison;
    let coherence = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"));
    writeln!(
        text,
        "  agreement {:.3}, churn {:.2}, coverage {:.2} → {:.2}, coherence {} → {}",
        compared.agreement,
        compared.churn,
        compared.coverage_before,
        compared.coverage_after,
        coherence(compared.coherence_before),
        coherence(compared.coherence_after)
    )?;
    let stages: Vec<String> =
        report.stages.iter().map(|(stage, seconds)| format!("{stage} {seconds:.2} s")).collect();
    writeln!(text, "  stages: {}", stages.join(", "))?;
    for (id, fate) in &report.fates {
        let fate = match fate {
            Fate::Kept { drift } => format!("kept, drifted to cosine {drift:.3}"),
            Fate::Unseen => "kept, no cluster held its members".to_owned(),
            Fate::Born => "new".to_owned(),
            Fate::SplitFrom(parent) => format!("split from {parent}"),
            Fate::Restored => "back after it had ended".to_owned(),
            Fate::MergedInto(taker) => format!("merged into {taker}"),
            Fate::Dormant => "dormant".to_owned(),
        };
        writeln!(text, "  topic {id}: {fate}")?;
    }
    Ok(text)
}
