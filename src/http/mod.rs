//! What the outside sees over HTTP: health, metrics, an API, and the live page. Reads the version in force and the
//! counts of the last batch; everything else it asks the modeler.

mod api;
mod backup;
mod connection;
mod desk;
mod door;
mod forward;
mod limits;
mod notifications;
mod opening;
mod page;
mod passage;
mod problem;
mod questions;
mod reload;
mod seats;
#[cfg(feature = "https")]
mod tls;
#[cfg(not(feature = "https"))]
#[path = "no_tls.rs"]
mod tls;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub use self::connection::serve;
pub use self::desk::Desk;
pub use self::door::Door;
pub use self::forward::Modeling;
pub use self::limits::Limits;
pub use self::opening::Inside;
pub use self::reload::{Refused, Reload};
pub use self::tls::{Tls, TlsError};
use crate::embed::Embedder;
use crate::keywords::{self, Tokenizer};
use crate::model::assign;
use crate::model::state::overview::{News, Overview};
use crate::model::version::TopicModel;
use crate::telemetry::Telemetry;
use crate::transport::command::Command;

/// What the handlers read.
#[derive(Clone)]
pub struct Sources {
    /// The version in force.
    pub versions: watch::Receiver<Arc<TopicModel>>,
    /// The counts after the last batch.
    pub overviews: watch::Receiver<Arc<Overview>>,
    /// What was told last.
    pub news: watch::Receiver<News>,
    /// The way to the modeler.
    pub commands: mpsc::Sender<Command>,
    /// The way to whoever reads the configuration anew.
    pub reloads: mpsc::Sender<Reload>,
    /// The door in force.
    pub doors: watch::Receiver<Arc<Door>>,
    /// Who has the state.
    pub modeling: Modeling,
    /// Where questions about the state are worked out.
    pub desk: Arc<Desk>,
    /// The encoder, for questions about a text.
    pub embedder: Arc<Embedder>,
    /// The rule of the vote.
    pub assign: watch::Receiver<assign::Checked>,
    /// How keywords are found.
    pub keywords: keywords::Params,
    /// Splits texts into the words that count.
    pub tokenizer: Arc<Tokenizer>,
    /// The metrics.
    pub telemetry: Telemetry,
    /// Cancelled once the daemon stops: from then on it is not ready.
    pub stop: CancellationToken,
}

/// The header of each answer that says which daemon gave it.
pub const INSTANCE: &str = "x-topicd-instance";

fn router(sources: Sources) -> Router {
    Router::new()
        .route("/", get(page::index))
        .route("/page/{file}", get(page::file))
        .route("/healthz", get(api::healthz))
        .route("/readyz", get(api::readyz))
        .route("/metrics", get(api::metrics))
        .route("/api/assign", post(api::assign))
        .route("/api/v1/cluster", get(forward::cluster))
        .route("/api/v1/reload", post(reload::reload))
        // Too large to be passed on.
        .route("/api/v1/state/backup", post(backup::backup))
        .merge(of_the_modeler().route_layer(from_fn_with_state(sources.clone(), forward::to_modeler)))
        // The passage has bounded it.
        .layer(DefaultBodyLimit::disable())
        .with_state(sources)
}

/// What only the modeler can answer.
fn of_the_modeler() -> Router<Sources> {
    Router::new()
        .route("/api/topics", get(api::topics))
        .route("/api/topics/{id}", get(questions::topic))
        .route("/api/events", get(api::events))
        .route("/api/refits", get(api::refits))
        .route("/api/refit", post(api::refit))
        .route("/api/operate", post(questions::operate))
        .route("/api/versions", get(questions::versions))
        .route("/api/versions/{number}", get(questions::version))
        .route("/api/diff", get(questions::differences))
        .route("/api/hierarchy", get(questions::tree))
        .route("/api/over-time", get(questions::over_time))
        .route("/api/export", get(questions::export))
        .route("/api/explain", get(questions::explain_document).post(questions::explain_text))
        .route("/api/find", get(questions::find).post(questions::find_long))
        .route("/api/v1/documents", get(questions::documents))
        .route("/api/v1/topics", get(questions::breakdown))
        .route("/api/v1/notifications", get(notifications::list))
        .route("/api/v1/notifications/retry", post(notifications::retry))
}

#[cfg(test)]
mod tests;
