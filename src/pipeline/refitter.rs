//! A refit on its own thread: assignment never waits for it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::oneshot;

use crate::cluster::watch::Watch;
use crate::model::assign;
use crate::model::refit::Checked;
use crate::model::refit::run::{self, Fitted};
use crate::model::refit::select::Snapshot;
use crate::model::refit::trigger::Trigger;
use crate::telemetry::Telemetry;

/// Stage → seconds, in the order in which they ran.
pub type Stages = Vec<(String, f64)>;

/// The priority of a refit's threads, from −20 (first) to 19 (last); 0 is that of all others.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// A refit under way.
#[derive(Debug)]
pub struct Refitting {
    /// What asked for it.
    pub trigger: Trigger,
    /// Documents absorbed when its snapshot was taken.
    pub documents: u64,
    /// When it was started.
    pub started: Instant,
    finished: oneshot::Receiver<(Result<Fitted, run::Error>, Stages)>,
    cancelled: Arc<AtomicBool>,
}

/// What a refit came to.
#[derive(Debug)]
pub enum Ended {
    /// Clusters, and the seconds that each stage took.
    Fitted(Fitted, Stages),
    /// Nothing; the version in force stays.
    Failed(run::Error),
    /// Its thread is gone.
    Died,
}

impl Refitting {
    /// Starts a refit on `snapshot`.
    pub fn start(
        snapshot: Snapshot,
        (refit, judging): (Checked, assign::Checked),
        telemetry: Telemetry,
    ) -> std::io::Result<Self> {
        let (send, finished) = oneshot::channel();
        let cancelled = Arc::new(AtomicBool::new(false));
        let watch = Stopwatch { telemetry, cancelled: cancelled.clone(), stages: Mutex::default() };
        let (trigger, documents) = (snapshot.trigger, snapshot.documents);
        let threads = threads()?;
        std::thread::Builder::new().name("refit".to_owned()).spawn(move || {
            let fitted = threads.install(|| run::run(&snapshot, &refit, &judging, &watch));
            // A receiver that is gone wants no result.
            drop(send.send((fitted, watch.finish())));
        })?;
        Ok(Self { trigger, documents, started: Instant::now(), finished, cancelled })
    }

    /// Waits for its end. Cancel safe.
    pub async fn ended(&mut self) -> Ended {
        match (&mut self.finished).await {
            Ok((Ok(fitted), stages)) => Ended::Fitted(fitted, stages),
            Ok((Err(error), _)) => Ended::Failed(error),
            Err(_) => Ended::Died,
        }
    }
}

/// A refit's own threads: in a pool that all share, a batch to judge would wait for pieces of the refit. They take what
/// others leave of the cores.
fn threads() -> std::io::Result<rayon::ThreadPool> {
    let builder = rayon::ThreadPoolBuilder::new().thread_name(|number| format!("refit-{number}"));
    builder.start_handler(|_| step_back()).build().map_err(std::io::Error::other)
}

/// Gives this thread a low priority; where that cannot be done it runs as it is.
fn step_back() {
    #[cfg(target_os = "linux")]
    let _as_it_is = rustix::process::setpriority_process(None, NICE);
}

impl Drop for Refitting {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

/// Takes the time of each stage.
struct Stopwatch {
    telemetry: Telemetry,
    cancelled: Arc<AtomicBool>,
    stages: Mutex<Vec<(&'static str, Instant, f64)>>,
}

impl Stopwatch {
    fn finish(&self) -> Stages {
        let stages = self.stages.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (stage, _, seconds) in stages.iter() {
            self.telemetry.refit_stage_finished(stage, *seconds);
        }
        stages.iter().map(|(stage, _, seconds)| ((*stage).to_owned(), *seconds)).collect()
    }
}

impl Watch for Stopwatch {
    fn progress(&self, stage: &'static str, _done: usize, _total: usize) {
        let now = Instant::now();
        let mut stages = self.stages.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match stages.last_mut() {
            Some((last, started, seconds)) if *last == stage => *seconds = (now - *started).as_secs_f64(),
            last => {
                if let Some((_, started, seconds)) = last {
                    *seconds = (now - *started).as_secs_f64();
                }
                stages.push((stage, now, 0.0));
            }
        }
    }

    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}
