//! Over a real Kafka: what goes in comes out once, whoever dies.

mod broker;
mod chaos;
pub(crate) mod daemon;
mod exactly_once;
mod members;
mod messages;
mod refusals;
mod registry;
mod replicas;
mod silence;
mod sources;
mod webhook;

use std::sync::{LazyLock, Mutex, PoisonError};

use broker::Broker;

/// One broker for the tests that neither kill it nor count its topics; each of them has topics of its own.
static SHARED: LazyLock<Mutex<Option<Broker>>> = LazyLock::new(|| Mutex::new(Some(Broker::start())));

/// Something to do with the shared broker.
fn with_broker<T>(work: impl FnOnce(&Broker) -> T) -> T {
    let shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    work(shared.as_ref().unwrap())
}
