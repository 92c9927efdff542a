//! `topicd check`.

use std::process::ExitCode;

use clap::Args;

use crate::cli::exit::{MISTAKE, Usage};
use crate::cli::{Settings, print, print_json};
use crate::config::{self, Config};
use crate::transport::brokers;

/// Check a configuration and print every mistake, each with its key and where it stands.
///
/// Ends with status 2 if there is one, with 1 if Kafka refuses something.
///
/// Example: topicd check --config topicd.toml
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Also connect to Kafka, and try rights and topics; nothing is left behind
    #[arg(long)]
    connect: bool,
}

impl Check {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let (mistakes, bad) = match settings.load() {
            Ok(config) if self.connect => (connect(config)?, ExitCode::FAILURE),
            Ok(_) => (Vec::new(), ExitCode::SUCCESS),
            Err(config::Error::Mistakes(mistakes)) => {
                (mistakes.0.iter().map(ToString::to_string).collect(), ExitCode::from(MISTAKE))
            }
            Err(error) => return Err(error.into()),
        };
        let good = mistakes.is_empty();
        if settings.json {
            print_json(&serde_json::json!({ "mistakes": mistakes }))?;
        } else if good {
            print("no mistakes\n")?;
        } else {
            mistakes.iter().try_for_each(|mistake| print(&format!("{mistake}\n")))?;
        }
        Ok(if good { ExitCode::SUCCESS } else { bad })
    }
}

/// What Kafka refuses.
fn connect(config: Config) -> anyhow::Result<Vec<String>> {
    let Some(kafka) = config.kafka else {
        let why =
            "nothing to connect to; `--connect` is for documents from Kafka, such as --set source.type=kafka";
        anyhow::bail!(Usage(why.to_owned()));
    };
    examine(kafka, config.parameters.refit.lockstep)
}

#[cfg(not(feature = "kafka"))]
fn examine(_: brokers::Checked, _: bool) -> anyhow::Result<Vec<String>> {
    Err(crate::built::Without("kafka").into())
}

#[cfg(feature = "kafka")]
fn examine(kafka: brokers::Checked, lockstep: bool) -> anyhow::Result<Vec<String>> {
    let telemetry = crate::telemetry::Telemetry::new()?;
    crate::cli::block_on(async move {
        let faults = crate::transport::kafka::examine(kafka, lockstep, telemetry).await;
        Ok(faults.iter().map(ToString::to_string).collect())
    })
}
