//! `topicd refits`: how the topics became what they are.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use crate::cli::answers::Answers;
use crate::cli::table::{Cell, Column, Table};
use crate::cli::{Settings, arguments, print, print_json, show};
use crate::model::refit::report::{Fate, Report};

/// List what refits decided, or show one in full.
///
/// In full: what asked for it, what it worked on, how long each stage took, and what became of each topic. Drift is 1 − cosine of a topic's centroids before and after: 0 where it stands still.
///
/// Examples: topicd refits -n 3; topicd refits 1
#[derive(Debug, Args)]
pub(super) struct Refits {
    /// The refit to show in full; without it, a line for each
    #[arg(value_parser = arguments::refit, allow_negative_numbers = true)]
    number: Option<u64>,
    /// Show the newest so many; 0 for all that are remembered
    #[arg(long, short = 'n', value_name = "N", default_value = "10", value_parser = arguments::limit, allow_negative_numbers = true)]
    limit: usize,
}

impl Refits {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        let mut reports = Answers::find(settings, &config)?.refits()?;
        if let Some(number) = self.number {
            let found = reports.into_iter().find(|report| report.number == number);
            let report = found.with_context(|| {
                format!("refit `{number}` is not remembered; `topicd refits -n 0` lists those that are")
            })?;
            if settings.json {
                print_json(&report)?;
            } else {
                print(&in_full(&report)?)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        reports.drain(..reports.len().saturating_sub(self.limit));
        show(settings, &reports, || table(&reports).note("topicd refits NUMBER shows one in full".to_owned()))
    }
}

/// A row for each refit.
pub(super) fn table<'a>(reports: impl IntoIterator<Item = &'a Report>) -> Table {
    let mut table = Table::new([
        Column::number("refit"),
        Column::number("time"),
        Column::number("version"),
        Column::number("documents"),
        Column::number("topics"),
        Column::number("moved").where_room(),
        Column::number("seconds").where_room(),
        Column::number("born").where_room(),
        Column::number("split").where_room(),
        Column::number("merged").where_room(),
        Column::number("back").where_room(),
        Column::number("outliers").where_room(),
        Column::number("agreement").where_room(),
        Column::number("clusters").where_room(),
        Column::number("min cluster size").where_room(),
        Column::number("asked by").where_room(),
        Column::number("version before").in_pipe(),
        Column::number("outliers before").in_pipe(),
        Column::number("churn").in_pipe(),
        Column::number("coverage before").in_pipe(),
        Column::number("coverage").in_pipe(),
        Column::number("coherence before").in_pipe(),
        Column::number("coherence").in_pipe(),
        Column::text("rejected").in_pipe(),
    ]);
    reports.into_iter().for_each(|report| table.row(row(report)));
    table
}

fn row(report: &Report) -> [Cell; 24] {
    let compared = &report.comparison;
    let count = |is: fn(&Fate) -> bool| Cell::of(report.fates.iter().filter(|(_, fate)| is(fate)).count());
    let seconds: f64 = report.stages.iter().map(|(_, seconds)| seconds).sum();
    let version = if report.rejected.is_some() { "rejected".to_owned() } else { report.after.to_string() };
    let maybe = |value: Option<f64>| Cell::maybe(value, |value| Cell::real(value, 3));
    [
        Cell::of(report.number),
        // A replay has no clock.
        if report.time_ms == 0 { Cell::of("") } else { Cell::time(&crate::record::time(report.time_ms)) },
        Cell::short(version, report.after),
        Cell::of(report.members),
        Cell::of(report.topics),
        Cell::of(report.moved),
        Cell::real(seconds, 1),
        count(|fate| matches!(fate, Fate::Born)),
        count(|fate| matches!(fate, Fate::SplitFrom(_))),
        count(|fate| matches!(fate, Fate::MergedInto(_))),
        count(|fate| matches!(fate, Fate::Restored)),
        Cell::of(report.outliers_after),
        Cell::real(compared.agreement, 3),
        Cell::of(report.clusters),
        Cell::of(report.min_cluster_size),
        Cell::of(report.trigger.as_str()),
        Cell::of(report.before),
        Cell::of(report.outliers_before),
        Cell::real(compared.churn, 2),
        Cell::real(compared.coverage_before, 2),
        Cell::real(compared.coverage_after, 2),
        maybe(compared.coherence_before),
        maybe(compared.coherence_after),
        Cell::of(report.rejected.as_deref().unwrap_or_default()),
    ]
}

fn in_full(report: &Report) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let verdict = match &report.rejected {
        Some(reason) => format!("rejected: {reason}"),
        None => format!("version {} → {}", report.before, report.after),
    };
    let time = crate::record::time(report.time_ms);
    writeln!(text, "refit {} ({}, {time}): {verdict}", report.number, report.trigger.as_str())?;
    writeln!(
        text,
        "  {} documents, {} of them moved; outliers {} → {}",
        report.members, report.moved, report.outliers_before, report.outliers_after
    )?;
    writeln!(
        text,
        "  {} clusters at min_cluster_size {}, {} topics",
        report.clusters, report.min_cluster_size, report.topics
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
    let mut stages = Table::new([Column::text("stage"), Column::number("seconds")]);
    report.stages.iter().for_each(|(stage, seconds)| stages.row([Cell::of(stage), Cell::real(*seconds, 2)]));
    let mut topics = Table::new([Column::number("topic"), Column::text("became"), Column::number("drift")]);
    for (id, fate) in &report.fates {
        let (became, similarity) = match fate {
            Fate::Kept { similarity } => ("kept".to_owned(), Some(similarity)),
            Fate::Unseen => ("kept, no cluster held its members".to_owned(), None),
            Fate::Born => ("new".to_owned(), None),
            Fate::SplitFrom(parent) => (format!("split from {parent}"), None),
            Fate::Restored => ("back after it had ended".to_owned(), None),
            Fate::MergedInto(taker) => (format!("merged into {taker}"), None),
            Fate::Dormant => ("dormant".to_owned(), None),
        };
        let drift = similarity.map_or_else(|| Cell::of(""), |similarity| Cell::real(1.0 - similarity, 3));
        topics.row([Cell::of(id), Cell::of(became), drift]);
    }
    write!(text, "\n{}\n{}", stages.in_text(), topics.in_text())?;
    Ok(text)
}
