//! `topicd check`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::cli::exit::{MISTAKE, Usage, in_full};
use crate::cli::{Settings, print, print_json, running};
use crate::client::http::Request;
use crate::client::{Address, Answer, Patience};
use crate::config::{self, Config};
use crate::daemon;
use crate::http::INSTANCE;
use crate::store::announcement::{self, Announcement};
use crate::transport::brokers;
use crate::transport::embedded;

/// How long a daemon that is ready may take to say so.
const PATIENCE: Duration = Duration::from_secs(4);
/// Of its answer.
const MOST_BYTES: u64 = 4096;

/// Check a configuration, and whether the daemon could start with it now. Prints everything that is wrong.
///
/// Looks at the source, the model, the state, the outputs and the address, as `topicd run` would. Makes, changes and holds
/// nothing. Ends with status 2 if there is a mistake in the configuration, with 1 if something else is wrong.
///
/// Example: topicd check --config topicd.toml
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Also connect to Kafka, and try rights and topics; nothing is left behind
    #[arg(long)]
    connect: bool,
    /// Ask the running daemon whether it is ready, in place of looking whether it could start
    #[arg(long)]
    ready: bool,
}

/// What was found.
#[derive(Default)]
struct Findings {
    mistakes: Vec<String>,
    /// What is no mistake, but good to know.
    notes: Vec<String>,
}

impl Check {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let (findings, bad) = match settings.load() {
            Ok(config) => {
                let mut findings =
                    if self.ready { Findings::unready(&config) } else { Findings::of(&config) };
                if self.connect {
                    connect(config, &mut findings)?;
                }
                (findings, ExitCode::FAILURE)
            }
            Err(config::Error::Mistakes(mistakes)) => {
                let mistakes = mistakes.0.iter().map(ToString::to_string).collect();
                (Findings { mistakes, notes: Vec::new() }, ExitCode::from(MISTAKE))
            }
            Err(error) => return Err(error.into()),
        };
        let Findings { mistakes, notes } = findings;
        let good = mistakes.is_empty();
        if settings.json {
            print_json(&serde_json::json!({ "mistakes": mistakes, "notes": notes }))?;
        } else {
            let said = if good { vec!["no mistakes".to_owned()] } else { mistakes };
            said.iter().try_for_each(|line| print(&format!("{line}\n")))?;
            notes.iter().try_for_each(|note| print(&format!("note: {note}\n")))?;
        }
        Ok(if good { ExitCode::SUCCESS } else { bad })
    }
}

impl Findings {
    /// Why the daemon could not start.
    fn of(config: &Config) -> Self {
        let mut findings = Self::default();
        for refused in daemon::look(config) {
            match refused {
                // Many give it on the command line of `run` alone.
                daemon::Error::Transport(embedded::Error::NoInput) => findings.notes.push(in_full(refused)),
                _ => findings.mistakes.push(in_full(refused)),
            }
        }
        findings
    }

    /// Why the daemon is not ready, if it is not.
    fn unready(config: &Config) -> Self {
        let announced =
            announcement::read(&config.state.directory).and_then(|Announcement { url, instance }| {
                let answer = readiness(&config.http, &url).ok()?;
                let is_own =
                    answer.headers.get(INSTANCE).is_some_and(|found| found.as_bytes() == instance.as_bytes());
                is_own.then_some((url, Ok(answer)))
            });
        // While it starts, it has announced nothing yet.
        let (url, answer) = announced.unwrap_or_else(|| {
            let base = config.http.base();
            let answer = readiness(&config.http, &base);
            (base, answer)
        });
        let mistakes = match answer {
            Ok(answer) if answer.status.is_success() => Vec::new(),
            Ok(answer) => not_ready(&url, &answer),
            Err(error) => {
                vec![format!("the daemon at `{url}`: {error}; start it, or set `http.listen` to its address")]
            }
        };
        Self { mistakes, notes: Vec::new() }
    }
}

fn readiness(http: &config::Http, url: &str) -> Result<Answer, String> {
    let address = Address::parse(&format!("{url}/readyz")).map_err(|error| error.to_string())?;
    let client =
        running::client(http, url, Patience::Whole(PATIENCE)).map_err(|error| format!("{error:#}"))?;
    client.exchange(&address, Request::new(Vec::new()), MOST_BYTES).map_err(|error| error.to_string())
}

/// What the daemon lacks, a line each.
fn not_ready(url: &str, answer: &Answer) -> Vec<String> {
    let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let missing = told["missing"].as_array().into_iter().flatten().filter_map(|why| why.as_str());
    let missing: Vec<String> =
        missing.map(|why| format!("the daemon at `{url}` is not ready: {why}")).collect();
    if missing.is_empty() {
        return vec![format!("`{url}` answers {}; is a topicd there?", answer.status)];
    }
    missing
}

/// What is in Kafka, and what it refuses.
fn connect(config: Config, findings: &mut Findings) -> anyhow::Result<()> {
    let Some(kafka) = config.kafka else {
        let why =
            "nothing to connect to; `--connect` is for documents from Kafka, such as --set source.type=kafka";
        anyhow::bail!(Usage(why.to_owned()));
    };
    examine(kafka, config.parameters.refit.lockstep, findings)
}

#[cfg(not(feature = "kafka"))]
fn examine(_: brokers::Checked, _: bool, _: &mut Findings) -> anyhow::Result<()> {
    Err(crate::built::Without("kafka").into())
}

#[cfg(feature = "kafka")]
fn examine(kafka: brokers::Checked, lockstep: bool, findings: &mut Findings) -> anyhow::Result<()> {
    let telemetry = crate::telemetry::Telemetry::new()?;
    let survey = crate::cli::block_on(async move {
        Ok(crate::transport::kafka::examine(kafka, lockstep, telemetry).await)
    })?;
    findings.mistakes.extend(survey.faults.iter().map(ToString::to_string));
    findings.notes.extend(survey.blemishes.iter().map(ToString::to_string));
    if !survey.brokers.is_empty() {
        findings.notes.push(format!("brokers: {}", survey.brokers.join(", ")));
    }
    for (topic, partitions) in &survey.topics {
        findings.notes.push(match partitions {
            Some(1) => format!("`{topic}` has 1 partition"),
            Some(partitions) => format!("`{topic}` has {partitions} partitions"),
            None => format!("`{topic}` is made at the start"),
        });
    }
    for (partition, records) in survey.waiting.iter().filter(|(_, records)| **records > 0) {
        findings.notes.push(format!("{records} records of the documents wait in partition `{partition}`"));
    }
    Ok(())
}
