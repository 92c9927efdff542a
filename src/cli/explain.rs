//! `topicd explain ID|-`.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use crate::cli::answers::Answers;
use crate::cli::exit::Usage;
use crate::cli::table::{Cell, Column, Table};
use crate::cli::{Settings, arguments, print, print_json};
use crate::model::explain::{Candidate, Explanation};
use crate::visible::one_line;

/// Explain why a document has its topic, or none.
///
/// Shows votes, margin, floor, nearest members, and the words that speak for it. Works for every document that the state keeps (its sample, outliers and anchors); for any other give its text.
///
/// Examples: topicd explain news-0042; echo "the president signed the order" | topicd explain -
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The document's id, or - to read a text from stdin
    id: String,
}

impl Explain {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        let answers = Answers::find(settings, &config)?;
        let explanation = if self.id == "-" {
            let text = arguments::stdin()?;
            if text.trim().is_empty() {
                bail!(Usage("stdin holds no text; write e.g. echo \"a text\" | topicd explain -".to_owned()));
            }
            answers.explain_text(text.trim())?
        } else {
            answers.explain(&self.id)?
        };
        if settings.json {
            print_json(&explanation)?;
        } else {
            print(&in_words(&explanation)?)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn in_words(explained: &Explanation) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let verdict = explained.topic.as_ref().map_or_else(
        || "outlier".to_owned(),
        |topic| format!("topic {} ({}), cosine {:.3}", topic.id, one_line(&topic.name), topic.similarity),
    );
    writeln!(text, "{verdict}\n  {}", one_line(&explained.why))?;
    if let Some(known) = &explained.document {
        let has = known.topic.map_or_else(|| "an outlier".to_owned(), |id| format!("in topic {id}"));
        writeln!(
            text,
            "  by its records it is {has}, revision {}\n  it came as document {}; {} have come since, {} refits looked at it",
            known.revision, known.arrived, known.since, known.refits
        )?;
    }
    writeln!(text, "  margin {:.2}, votes needed {:.2}", explained.margin, explained.needed)?;
    write!(text, "\n{}", candidates(explained).in_text())?;
    if !explained.terms.is_empty() {
        let mut terms = Table::new([Column::text("words that speak for it"), Column::number("score")]);
        explained.terms.iter().for_each(|one| terms.row([Cell::of(&one.term), Cell::real(one.score, 3)]));
        write!(text, "\n{}", terms.in_text())?;
    }
    let mut nearest = Table::new([
        Column::number("cosine"),
        Column::number("topic"),
        Column::number("id"),
        Column::text("nearest members"),
    ]);
    for near in &explained.nearest {
        nearest.row([
            Cell::real(near.similarity, 3),
            near.topic.map_or_else(|| Cell::of("noise"), Cell::of),
            Cell::of(&near.id),
            Cell::of(&near.text),
        ]);
    }
    write!(text, "\n{}", nearest.in_text())?;
    Ok(text)
}

/// The topics that it may have, best first, and the one that it is nearest to beside them.
fn candidates(explained: &Explanation) -> Table {
    let mut table = Table::new([
        Column::number("topic"),
        Column::number("votes"),
        Column::number("cosine"),
        Column::number("floor"),
        Column::text("name"),
    ]);
    let mut row = |one: &Candidate| {
        table.row([
            Cell::of(one.id),
            Cell::real(one.share, 2),
            Cell::real(one.similarity, 3),
            Cell::real(one.floor, 3),
            Cell::of(&one.name),
        ]);
    };
    explained.candidates.iter().for_each(&mut row);
    let beside =
        explained.alternative.iter().filter(|one| explained.candidates.iter().all(|c| c.id != one.id));
    beside.for_each(row);
    table
}
