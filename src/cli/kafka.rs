//! `topicd kafka`: where the group of the assigners stands.

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};

use crate::cli::exit::Usage;
use crate::cli::table::{Cell, Column, Table};
use crate::cli::{Settings, show};
use crate::transport::brokers;
use crate::transport::start::Start;

/// Look after what topicd keeps in Kafka.
///
/// Example: topicd kafka reset --to beginning
#[derive(Debug, Args)]
pub(super) struct Kafka {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Move the offsets of the group; refused while a daemon is in it
    ///
    /// Documents that are read again are new documents: they are assigned and counted again. Documents that are passed
    /// over are never read.
    ///
    /// Example: topicd kafka reset --to 2026-11-29T08:00:00Z
    Reset {
        /// beginning, end, a time in RFC 3339, or offsets such as documents/0=17,documents/1=4, which move these partitions
        /// only
        #[arg(long, value_name = "PLACE", value_parser = place)]
        to: Start,
    },
}

fn place(text: &str) -> Result<Start, String> {
    Start::parse(text).map_err(|must| format!("write {must}"))
}

impl Kafka {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let Command::Reset { to } = self.command;
        let Some(kafka) = settings.load()?.kafka else {
            bail!(Usage("documents do not come from Kafka; set `source.type` to \"kafka\"".to_owned()));
        };
        let moved = reset(kafka, &to)?;
        show(settings, &moved, || table(&moved))
    }
}

fn table(moved: &Moved) -> Table {
    let mut table = Table::new([Column::text("partition"), Column::number("offset")]);
    for (partition, offset) in moved {
        table.row([Cell::of(partition), Cell::of(offset)]);
    }
    table
}

/// Each partition that was moved, with its offset.
type Moved = std::collections::BTreeMap<String, i64>;

#[cfg(not(feature = "kafka"))]
fn reset(_: brokers::Checked, _: &Start) -> anyhow::Result<Moved> {
    Err(crate::built::Without("kafka").into())
}

#[cfg(feature = "kafka")]
fn reset(kafka: brokers::Checked, to: &Start) -> anyhow::Result<Moved> {
    let telemetry = crate::telemetry::Telemetry::new()?;
    Ok(crate::transport::kafka::reset(kafka, to, telemetry)?)
}
