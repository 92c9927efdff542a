//! Takes over a new configuration while the daemon runs: all of it, or nothing.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config};
use crate::http::{Door, Refused, Reload, TlsError};
use crate::model::assign;
use crate::notify::webhook::Webhook;
use crate::pipeline::modeler::Settings;
use crate::telemetry::Telemetry;
use crate::telemetry::logs::Log;

/// How often the files are looked at. By their content: the files of a `ConfigMap` change by a link.
const LOOK: Duration = Duration::from_secs(5);

/// Reads the configuration from where it was read at the start.
pub type Load = Box<dyn Fn() -> Result<Config, config::Error> + Send + Sync>;

/// What each room sees of the configuration that may change.
pub(super) struct Live {
    settings: watch::Sender<Settings>,
    rule: watch::Sender<assign::Checked>,
    door: watch::Sender<Arc<Door>>,
    receivers: watch::Sender<Option<Webhook>>,
    instance: String,
}

impl Live {
    /// As `config` has it, for the daemon `instance`.
    pub(super) fn new(config: &Config, instance: &str) -> Result<Self, TlsError> {
        Ok(Self {
            settings: watch::Sender::new(settings(config)),
            rule: watch::Sender::new(config.parameters.assign.clone()),
            door: watch::Sender::new(Arc::new(config.http.door(instance)?)),
            receivers: watch::Sender::new(config.webhook.clone().map(Webhook::new)),
            instance: instance.to_owned(),
        })
    }

    /// For the modeler.
    pub(super) fn settings(&self) -> watch::Receiver<Settings> {
        self.settings.subscribe()
    }

    /// For whoever finds topics for texts.
    pub(super) fn rule(&self) -> watch::Receiver<assign::Checked> {
        self.rule.subscribe()
    }

    /// For the door.
    pub(super) fn door(&self) -> watch::Receiver<Arc<Door>> {
        self.door.subscribe()
    }

    /// For the notifier.
    pub(super) fn receivers(&self) -> watch::Receiver<Option<Webhook>> {
        self.receivers.subscribe()
    }

    fn set(&self, config: &Config, door: Door) {
        self.settings.send_replace(settings(config));
        self.rule.send_replace(config.parameters.assign.clone());
        self.door.send_replace(Arc::new(door));
        self.receivers.send_replace(config.webhook.clone().map(Webhook::new));
    }
}

fn settings(config: &Config) -> Settings {
    Settings { parameters: config.parameters.clone(), outbox: config.webhook.is_some() }
}

/// Whoever reads the configuration anew: on SIGHUP, when asked over HTTP, and when a file has changed.
pub(super) struct Reloader {
    pub load: Load,
    pub config: Config,
    pub live: Arc<Live>,
    pub log: Option<Arc<Log>>,
    pub asked: mpsc::Receiver<Reload>,
    pub telemetry: Telemetry,
}

impl Reloader {
    /// Runs until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) -> std::io::Result<()> {
        let mut hangups = signal(SignalKind::hangup())?;
        let mut look = tokio::time::interval(LOOK);
        let mut seen = contents(self.config.files());
        loop {
            let mut reply: Option<oneshot::Sender<_>> = None;
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = hangups.recv() => {}
                Some(asked) = self.asked.recv() => reply = Some(asked),
                _ = look.tick() => {
                    let found = contents(self.config.files());
                    if found == seen {
                        continue;
                    }
                }
            }
            let result = tokio::task::block_in_place(|| self.reload());
            // What was refused is not tried again before it changes again.
            seen = contents(self.config.files());
            match &result {
                Ok(changed) => self.telemetry.config_reloaded(changed),
                Err(refused) => self.telemetry.config_refused(refused),
            }
            // Whoever asked may have gone.
            reply.into_iter().for_each(|reply| drop(reply.send(result.clone())));
        }
    }

    fn reload(&mut self) -> Result<Vec<String>, Refused> {
        let broken = |error: &dyn std::error::Error| Refused::Broken(error.to_string());
        let config = (self.load)().map_err(|error| broken(&error))?;
        let changed = self.config.differences(&config);
        let fixed: Vec<String> = changed.iter().filter(|key| !config::is_reloaded(key)).cloned().collect();
        if !fixed.is_empty() {
            return Err(Refused::NeedsRestart(fixed));
        }
        let door = config.http.door(&self.live.instance);
        let door = door.map_err(|error| Refused::Broken(format!("{:#}", anyhow::Error::from(error))))?;
        if let Some(log) = &self.log {
            log.set_level(&config.log).map_err(|error| broken(&error))?;
        }
        self.live.set(&config, door);
        self.config = config;
        Ok(changed)
    }
}

/// A hash of each file's content; none for one that cannot be read.
fn contents(files: &[std::path::PathBuf]) -> Vec<Option<u64>> {
    let hash = |path: &Path| Some(xxhash_rust::xxh3::xxh3_64(&fs_err::read(path).ok()?));
    files.iter().map(|path| hash(path)).collect()
}
