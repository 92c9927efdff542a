//! `topicd notifications`: what the webhook did not take, and sending it again.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::answers::Answers;
use crate::cli::table::{Cell, Column, Table};
use crate::cli::{Settings, arguments, print, print_json};
use crate::record::notification::{Chosen, GivenUpRecord, NotificationsRecord};

/// List the events that the webhook did not take, or send them again.
///
/// An event is tried until it is `notify.max_age` old. Then it stands in this list, which holds the newest 1,000.
///
/// Example: topicd notifications retry --all
#[derive(Debug, Args)]
pub(super) struct Notifications {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send events again, as if they had just happened
    ///
    /// Example: topicd notifications retry 12 15
    Retry {
        /// The events' ids, as `topicd notifications` shows them
        #[arg(value_name = "ID", value_parser = arguments::event, required_unless_present = "all")]
        ids: Vec<u64>,
        /// All of them
        #[arg(long, conflicts_with = "ids")]
        all: bool,
    },
}

impl Notifications {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        let answers = Answers::find(settings, &config)?;
        match self.command {
            None => {
                let told = answers.notifications()?;
                if settings.json { print_json(&told)? } else { table(&told).print()? }
            }
            Some(Command::Retry { ids, all }) => {
                let again = answers.send_again(&Chosen { ids, all })?;
                if settings.json {
                    print_json(&json!({ "again": again }))?;
                } else {
                    print(&format!("sent again: {again}\n"))?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn table(told: &NotificationsRecord) -> Table {
    let mut table = Table::new([
        Column::number("id"),
        Column::number("time"),
        Column::number("gave up"),
        Column::text("type"),
        Column::number("topic").where_room(),
        Column::text("reason"),
        Column::text("summary").where_room(),
    ]);
    told.given_up.iter().for_each(|event| table.row(row(event)));
    let waiting = told.oldest.as_ref().map(|oldest| {
        format!("{} events wait for the next attempt, the oldest since {oldest}", told.waiting)
    });
    table.note(waiting.unwrap_or_else(|| "no event waits".to_owned()))
}

fn row(event: &GivenUpRecord) -> [Cell; 7] {
    [
        Cell::of(event.id),
        Cell::time(&event.time),
        Cell::time(&event.gave_up),
        Cell::of(&event.kind),
        Cell::maybe(event.topic, Cell::of),
        Cell::of(&event.reason),
        Cell::of(&event.summary),
    ]
}
