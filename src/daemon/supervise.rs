//! The loops that run, and how they end: the source first, then whoever lives on what it gave, the door last.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::telemetry::Telemetry;

/// The wait before a loop is started again; it doubles with each failure that follows soon.
const FIRST_WAIT: Duration = if cfg!(test) { Duration::from_millis(10) } else { Duration::from_secs(1) };
/// The longest such wait, and how long a loop must run before a failure counts as the first again.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Runs a loop that nobody else depends on, until it ends by itself or `stop` is cancelled: one that fails or panics is
/// started again. When this future is dropped, the loop ends too.
pub(super) async fn keep<F, E>(
    name: &'static str,
    mut start: impl FnMut() -> F + Send,
    stop: CancellationToken,
    telemetry: Telemetry,
) -> Result<(), Infallible>
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut wait = FIRST_WAIT;
    loop {
        let started = Instant::now();
        let Err(error) = outcome(start()).await else { return Ok(()) };
        if started.elapsed() > LONGEST_WAIT {
            wait = FIRST_WAIT;
        }
        telemetry.loop_failed(name, &format!("{error:#}"), wait);
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(wait) => {}
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// How `run` ended; a panic ends it alone. When this future is dropped, `run` is too.
async fn outcome<E>(run: impl Future<Output = Result<(), E>> + Send + 'static) -> anyhow::Result<()>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let mut running = JoinSet::new();
    running.spawn(run);
    match running.join_next().await {
        None => Ok(()),
        Some(ended) => Ok(ended??),
    }
}

/// Named loops.
pub(super) struct Loops {
    running: JoinSet<(&'static str, anyhow::Result<()>)>,
    names: Vec<&'static str>,
    vital: Option<&'static str>,
    /// Those that commit something, the vital one among them.
    committing: Vec<&'static str>,
    stop: CancellationToken,
    /// Ends those that serve the others, once the vital one has ended.
    late: CancellationToken,
    /// How long the loops may take to end after they were told to.
    deadline: Duration,
    telemetry: Telemetry,
}

/// The loop that commits did not end.
#[derive(Debug, thiserror::Error)]
#[error(
    "the {names} did not end within `shutdown.timeout_ms`; what was not committed is done again at the next start",
    names = .0.join(", the ")
)]
struct Late(Vec<&'static str>);

impl Loops {
    /// `timeout`: after this time since the stop the process ends, whatever runs.
    pub(super) fn new(stop: CancellationToken, timeout: Duration, telemetry: Telemetry) -> Self {
        let late = CancellationToken::new();
        // A tenth is left to say who is late.
        let deadline = timeout.mul_f64(0.9);
        let (names, committing) = (Vec::new(), Vec::new());
        Self { running: JoinSet::new(), names, vital: None, committing, stop, late, deadline, telemetry }
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
        let failed = move || format!("the {name} failed");
        self.running.spawn(async move { (name, outcome(run).await.with_context(failed)) });
    }

    /// Starts the loop whose end is the daemon's end.
    pub(super) fn spawn_vital<E>(
        &mut self,
        name: &'static str,
        run: impl Future<Output = Result<(), E>> + Send + 'static,
    ) where
        E: std::error::Error + Send + Sync + 'static,
    {
        self.depend_on(name);
        self.spawn_committing(name, run);
    }

    /// Starts a loop that commits something, which may not be done if it is late.
    pub(super) fn spawn_committing<E>(
        &mut self,
        name: &'static str,
        run: impl Future<Output = Result<(), E>> + Send + 'static,
    ) where
        E: std::error::Error + Send + Sync + 'static,
    {
        self.committing.push(name);
        self.spawn(name, run);
    }

    /// The end of the loop `name` is the daemon's end.
    pub(super) fn depend_on(&mut self, name: &'static str) {
        self.vital = Some(name);
    }

    /// Waits for all of them. A loop that fails, or the end of the vital one, stops the others; one that is late is
    /// named in the log and left behind. That is an error if it commits: something may not be done.
    pub(super) async fn ended(mut self) -> anyhow::Result<()> {
        let mut first_error = Ok(());
        let mut overdue = pin!(overdue(self.stop.clone(), self.deadline));
        loop {
            let next = tokio::select! {
                next = self.running.join_next() => next,
                () = &mut overdue => {
                    self.telemetry.loops_late(&self.names);
                    let is_done = !self.names.iter().any(|running| self.committing.contains(running));
                    return if is_done { first_error } else { first_error.and(Err(Late(self.names).into())) };
                }
            };
            let Some(joined) = next else { return first_error };
            // Nothing around a loop panics.
            let Ok((name, result)) = joined else { continue };
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

async fn overdue(stop: CancellationToken, deadline: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(deadline).await;
}

#[cfg(test)]
mod tests;
