//! The loops that run, and how they end: the source first, then whoever lives on what it gave, the door last.

use std::future::Future;
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::telemetry::Telemetry;

/// How long the loops may take to end after they were told to.
const DEADLINE: Duration = Duration::from_secs(20);

/// Named loops.
pub(super) struct Loops {
    running: JoinSet<(&'static str, anyhow::Result<()>)>,
    names: Vec<&'static str>,
    vital: Option<&'static str>,
    stop: CancellationToken,
    /// Ends those that serve the others, once the vital one has ended.
    late: CancellationToken,
    telemetry: Telemetry,
}

impl Loops {
    pub(super) fn new(stop: CancellationToken, telemetry: Telemetry) -> Self {
        let late = CancellationToken::new();
        Self { running: JoinSet::new(), names: Vec::new(), vital: None, stop, late, telemetry }
    }

    /// Cancelled after the vital loop has ended.
    pub(super) fn late_stop(&self) -> CancellationToken {
        self.late.clone()
    }

    /// Starts a loop.
    pub(super) fn spawn<E>(
        &mut self,
        name: &'static str,
        run: impl Future<Output = Result<(), E>> + Send + 'static,
    ) where
        E: std::error::Error + Send + Sync + 'static,
    {
        self.names.push(name);
        self.running.spawn(async move { (name, run.await.with_context(|| format!("the {name} failed"))) });
    }

    /// Starts the loop whose end is the daemon's end.
    pub(super) fn spawn_vital<E>(
        &mut self,
        name: &'static str,
        run: impl Future<Output = Result<(), E>> + Send + 'static,
    ) where
        E: std::error::Error + Send + Sync + 'static,
    {
        self.vital = Some(name);
        self.spawn(name, run);
    }

    /// Waits for all of them. A loop that fails, or the end of the vital one, stops the others; one that is late is
    /// named in the log and left behind.
    pub(super) async fn ended(mut self) -> anyhow::Result<()> {
        let mut first_error = Ok(());
        loop {
            let next = tokio::select! {
                next = self.running.join_next() => next,
                () = overdue(&self.stop) => {
                    self.telemetry.loops_late(&self.names);
                    return first_error;
                }
            };
            let Some(joined) = next else { return first_error };
            let (name, result) = match joined {
                Ok((name, result)) => (name, result),
                Err(panic) => ("loop", Err(anyhow::Error::new(panic).context("a loop panicked"))),
            };
            self.names.retain(|running| *running != name);
            if result.is_err() && first_error.is_ok() {
                first_error = result;
                self.stop.cancel();
            }
            if self.vital == Some(name) || !self.names.iter().any(|running| Some(*running) == self.vital) {
                self.stop.cancel();
                self.late.cancel();
            }
        }
    }
}

async fn overdue(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(DEADLINE).await;
}
