//! A thread that is nobody else's, for calls of librdkafka that may block.

use std::thread::JoinHandle;

use super::error::Error;

/// Starts the thread `name`.
pub(super) fn spawn<T: Send + 'static>(
    name: &'static str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Error> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.map_err(|source| Error::NoThread { name, source })
}
