//! `topicd run`: the daemon.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cli::{Settings, print, print_json};
use crate::config::Config;
use crate::daemon::{Daemon, Launch, Role};
use crate::model::event::Event;
use crate::model::state::overview::News;
use crate::record::event::EventRecord;
use crate::telemetry::Telemetry;
use crate::telemetry::logs::{self, Log};
use crate::visible::one_line;

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
    /// Go on without the evidence that retention has deleted by now, where documents come from Kafka; the log names what
    /// is lost. Documents in it stay assigned, but are counted nowhere
    #[arg(long)]
    accept_gap: bool,
    /// Print a line for each event: new topics, merges, changed keywords
    #[arg(long)]
    events: bool,
}

impl Run {
    /// The daemon that prints its events.
    pub(super) fn with_events(exit_at_end: bool) -> Self {
        Self { exit_at_end, role: Role::All, accept_gap: false, events: true }
    }

    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        let log = Arc::new(logs::init(&config.log)?);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let ended = runtime.block_on(self.daemon(config, settings.clone(), log.clone()));
        // A thread that still waits for an endpoint or a pipe is left behind.
        runtime.shutdown_background();
        log.flush();
        ended.map(|()| ExitCode::SUCCESS)
    }

    async fn daemon(self, config: Config, settings: Settings, log: Arc<Log>) -> anyhow::Result<()> {
        let json = settings.json;
        let stop = CancellationToken::new();
        stop_on_signal(&stop, config.shutdown)?;
        let start = Daemon::start(Launch {
            config,
            load: Box::new(move || settings.load()),
            log: Some(log),
            telemetry: Telemetry::new()?,
            stop: stop.clone(),
            role: self.role,
            exit_at_end: self.exit_at_end,
            accept_gap: self.accept_gap,
        });
        let daemon = tokio::select! {
            daemon = start => daemon?,
            // Nothing is under way before the start has ended.
            () = stop.cancelled() => return Ok(()),
        };
        if self.events {
            print(&format!("live page: {}/\n", daemon.url))?;
            tokio::spawn(show_events(daemon.news.clone(), json));
        }
        daemon.ended().await
    }
}

/// The first signal stops the loops, the second ends the process at once, and so does `timeout` after the first.
fn stop_on_signal(stop: &CancellationToken, timeout: Duration) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        // Whatever hangs, a thread that nobody else uses does not. Without it a loop that is late is named and left.
        drop(std::thread::Builder::new().name("deadline".into()).spawn(move || end_after(timeout)));
        stop.cancel();
        // The state is that of the last commit.
        tokio::select! {
            _ = interrupt.recv() => std::process::exit(130),
            _ = terminate.recv() => std::process::exit(143),
        }
    });
    Ok(())
}

fn end_after(timeout: Duration) {
    let end = Instant::now() + timeout;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
    logs::say(&format!(
        "topicd: not stopped after {} ms (`shutdown.timeout_ms`); what was not committed is done again at the next start",
        timeout.as_millis()
    ));
    std::process::exit(1)
}

/// Prints events as they happen, until the modeler is gone.
async fn show_events(mut news: watch::Receiver<News>, json: bool) -> anyhow::Result<()> {
    let mut after = 0;
    loop {
        let told: Vec<Arc<Event>> =
            news.borrow_and_update().events_after(after, usize::MAX).cloned().collect();
        for event in told {
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
        news.changed().await?;
    }
}
