//! `topicd run`: the daemon.

use std::process::ExitCode;

use clap::Args;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::cli::visible::one_line;
use crate::cli::{Settings, block_on, print, print_json};
use crate::daemon::{Daemon, Role};
use crate::record::event::EventRecord;
use crate::telemetry::{Telemetry, logs};
use crate::transport::command::Command;

/// Events that are asked for at once.
const EVENTS: usize = 500;

/// Run the daemon: source → embed → assign → refit → outputs, until Ctrl-C.
///
/// It goes on where it was stopped, however it was stopped. When a file has been read to its end, the daemon stays
/// up for questions until Ctrl-C. A second Ctrl-C stops it at once.
///
/// Example: topicd run --events --set source.path=posts.jsonl
#[derive(Debug, Args)]
pub(super) struct Run {
    /// Stop when the source has ended and the last refit is done
    #[arg(long)]
    exit_at_end: bool,
    /// What this process does, where documents come from Kafka
    #[arg(long, value_enum, default_value_t = Role::All)]
    role: Role,
    /// Print a line for each event: new topics, merges, changed keywords
    #[arg(long)]
    events: bool,
}

impl Run {
    /// The daemon that prints its events.
    pub(super) fn with_events(exit_at_end: bool) -> Self {
        Self { exit_at_end, role: Role::All, events: true }
    }

    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        logs::init(&config.log)?;
        let json = settings.json;
        block_on(async move {
            let stop = CancellationToken::new();
            stop_on_signal(&stop)?;
            let daemon = Daemon::start(config, Telemetry::new()?, stop, self.role, self.exit_at_end).await?;
            if self.events {
                print(&format!("live page: http://{}/\n", daemon.address))?;
                tokio::spawn(show_events(daemon.commands.clone(), daemon.told.clone(), json));
            }
            daemon.ended().await?;
            Ok(ExitCode::SUCCESS)
        })
    }
}

fn stop_on_signal(stop: &CancellationToken) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.cancel();
        // A second signal means that waiting is over; the state is that of the last commit.
        tokio::select! {
            _ = interrupt.recv() => std::process::exit(130),
            _ = terminate.recv() => std::process::exit(143),
        }
    });
    Ok(())
}

/// Prints events as they happen, until the modeler is gone.
async fn show_events(
    commands: tokio::sync::mpsc::Sender<Command>,
    mut told: tokio::sync::watch::Receiver<u64>,
    json: bool,
) -> anyhow::Result<()> {
    let mut after = 0;
    loop {
        let (reply, answer) = oneshot::channel();
        commands.send(Command::Events { after, limit: EVENTS, reply }).await?;
        for event in answer.await? {
            after = event.number;
            if json {
                print_json(&EventRecord::new(&event))?;
            } else {
                let time = crate::record::time(event.time_ms);
                let clock = time.get(11..19).unwrap_or(&time);
                print(&format!(
                    "{clock}  {:<22} {}\n",
                    event.happened.kind(),
                    one_line(&event.happened.summary())
                ))?;
            }
        }
        told.changed().await?;
    }
}
