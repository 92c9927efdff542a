//! `topicd check`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::cli::exit::{MISTAKE, Usage};
use crate::cli::{Settings, print, print_json};
use crate::client::http::Request;
use crate::client::{Address, Client, Patience};
use crate::config::{self, Config};
use crate::transport::brokers;

/// How long a daemon that is ready may take to say so.
const PATIENCE: Duration = Duration::from_secs(4);
/// Of its answer.
const MOST_BYTES: u64 = 1024;

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
    /// Also ask the daemon at `http.listen` whether it is ready
    #[arg(long)]
    ready: bool,
}

impl Check {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let (mistakes, bad) = match settings.load() {
            Ok(config) => {
                let mut mistakes = if self.ready { unready(&config.http) } else { Vec::new() };
                mistakes.extend(if self.connect { connect(config)? } else { Vec::new() });
                (mistakes, ExitCode::FAILURE)
            }
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

/// Why the daemon is not ready, if it is not.
fn unready(http: &config::Http) -> Vec<String> {
    let url = format!("{}/readyz", http.base());
    let answer = Address::parse(&url).map_err(|error| error.to_string()).and_then(|address| {
        let client = Client::new(Patience::Whole(PATIENCE));
        client.exchange(&address, Request::new(Vec::new()), MOST_BYTES).map_err(|error| error.to_string())
    });
    match answer {
        Ok(answer) if answer.status.is_success() => Vec::new(),
        Ok(answer) => {
            let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let missing = told["missing"].as_array().into_iter().flatten().filter_map(|why| why.as_str());
            let missing: Vec<String> =
                missing.map(|why| format!("the daemon at `{url}` is not ready: {why}")).collect();
            if missing.is_empty() {
                vec![format!("`{url}` answers {}; is a topicd there?", answer.status)]
            } else {
                missing
            }
        }
        Err(error) => {
            vec![format!("the daemon at `{url}`: {error}; start it, or set `http.listen` to its address")]
        }
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
