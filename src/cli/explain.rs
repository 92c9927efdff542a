//! `topicd explain ID|-`.

use std::fmt::Write;
use std::io::Read;
use std::process::ExitCode;

use clap::Args;

use crate::cli::answers::Answers;
use crate::cli::{Settings, print, print_json, table};
use crate::model::explain::{Candidate, Explanation};

/// Explain why a document has its topic, or none: votes, margin, floor, nearest members, and the words that speak for it.
///
/// Works for every document that the state keeps (its sample, outliers and anchors); for any other give its text.
///
/// Example: topicd explain d42, or: echo "a text" | topicd explain -
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The document's id, or - to read a text from stdin
    id: String,
}

impl Explain {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        let answers = Answers::find(&config)?;
        let explanation = if self.id == "-" {
            let mut bytes = Vec::new();
            std::io::stdin().lock().read_to_end(&mut bytes)?;
            answers.explain_text(String::from_utf8_lossy(&bytes).trim())?
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
        |topic| format!("topic {} ({}), cosine {:.3}", topic.id, topic.name, topic.similarity),
    );
    writeln!(text, "{verdict}: {}", explained.why)?;
    if let Some(known) = &explained.document {
        let has = known.topic.map_or_else(|| "an outlier".to_owned(), |id| format!("in topic {id}"));
        writeln!(
            text,
            "  by its records it is {has}, revision {}; it came as document {}, {} have come since, {} refits looked at it",
            known.revision, known.arrived, known.since, known.refits
        )?;
    }
    writeln!(text, "  margin {:.2}, votes needed {:.2}", explained.margin, explained.needed)?;
    let line = |one: &Candidate| {
        format!(
            "topic {} ({}): votes {:.2}, cosine {:.3}, floor {:.3}",
            one.id, one.name, one.share, one.similarity, one.floor
        )
    };
    explained.candidates.iter().try_for_each(|one| writeln!(text, "  {}", line(one)))?;
    if let Some(other) = &explained.alternative {
        writeln!(text, "nearest alternative: {}", line(other))?;
    }
    if !explained.terms.is_empty() {
        let terms: Vec<String> =
            explained.terms.iter().map(|term| format!("{} {:.3}", term.term, term.score)).collect();
        writeln!(text, "words that speak for it: {}", terms.join(", "))?;
    }
    writeln!(text, "nearest members:")?;
    for near in &explained.nearest {
        let topic = near.topic.map_or_else(|| "noise".to_owned(), |id| format!("topic {id}"));
        let quote = table::one_line(&near.text, 70);
        writeln!(text, "  {:.3}  {topic:<10} {}: {quote}", near.similarity, near.id)?;
    }
    Ok(text)
}
