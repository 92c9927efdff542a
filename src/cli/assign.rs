//! `topicd assign`.

use std::process::ExitCode;

use clap::Args;

use crate::cli::answers::Answers;
use crate::cli::table::{Cell, Column, Table};
use crate::cli::{Settings, arguments, print_json};
use crate::record::answer::AssignedRecord;

/// Read texts from stdin, one a line, and print their topics with weights; nothing is stored.
///
/// Example: echo "the president signed the order" | topicd assign
#[derive(Debug, Args)]
pub(super) struct Assign {
    /// Take all of stdin as one text, in place of one text a line
    #[arg(long)]
    whole: bool,
}

impl Assign {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        let answers = Answers::find(settings, &config)?;
        let text = arguments::stdin()?;
        let texts: Vec<&str> =
            if self.whole { vec![text.trim()] } else { text.lines().map(str::trim).collect() };
        let texts: Vec<&str> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        let assigned = if texts.is_empty() { Vec::new() } else { answers.assign(&texts)? };
        if settings.json {
            assigned.iter().try_for_each(print_json)?;
        } else {
            table(&texts, &assigned).print()?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn table(texts: &[&str], assigned: &[AssignedRecord]) -> Table {
    let mut table = Table::new([
        Column::number("topic"),
        Column::number("cosine"),
        Column::text("name"),
        Column::text("text"),
        Column::text("weights").where_room(),
    ]);
    for (text, one) in texts.iter().zip(assigned) {
        let weights: Vec<String> =
            one.weights.iter().map(|weight| format!("{} {:.2}", weight.topic, weight.weight)).collect();
        table.row([
            Cell::of(one.topic),
            Cell::real(one.similarity, 3),
            if one.topic < 0 { Cell::short("outlier", "") } else { Cell::of(&one.label) },
            Cell::of(text),
            Cell::of(weights.join(", ")),
        ]);
    }
    let outlier = assigned.iter().any(|one| one.topic < 0);
    table.note(if outlier {
        "-1 is an outlier; its cosine is that to the nearest topic".to_owned()
    } else {
        String::new()
    })
}
