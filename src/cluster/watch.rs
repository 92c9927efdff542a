//! How a caller watches a long computation, and stops it between steps.

/// Receives the progress of a computation and may cancel it.
///
/// Implementations must be cheap: a stage reports some hundred times at most, from one thread at a time.
pub trait Watch: Sync {
    /// `done` of `total` steps of the stage `stage` (the papers' name for it) are finished.
    fn progress(&self, stage: &'static str, done: usize, total: usize);

    /// True once the caller no longer wants the result; asked between steps.
    fn cancelled(&self) -> bool {
        false
    }
}

/// Nobody watches: progress is dropped and nothing is cancelled.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn progress(&self, _stage: &'static str, _done: usize, _total: usize) {}
}

/// The watcher asked for the computation to stop; nothing was produced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// Returns [`Cancelled`] if `watch` no longer wants the result.
pub fn check(watch: &dyn Watch) -> Result<(), Cancelled> {
    if watch.cancelled() { Err(Cancelled) } else { Ok(()) }
}
