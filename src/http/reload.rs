//! Reading the configuration anew, as asked over HTTP.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::Sources;
use super::api::Answer;
use super::problem::Failure;

/// Asks for the configuration to be read anew; with the way back for the keys that changed.
pub type Reload = oneshot::Sender<Result<Vec<String>, Refused>>;

/// Why a new configuration was not taken over; nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It cannot be used.
    #[error("the configuration cannot be used: {0}")]
    Broken(String),
    /// Keys that need a restart have new values.
    #[error("nothing was taken over: a new value of `{}` needs a restart; restart topicd, or set it back",
        .0.join("`, `"))]
    NeedsRestart(Vec<String>),
}

pub(super) async fn reload(State(sources): State<Sources>) -> Answer<Value> {
    let stopping = || Failure(StatusCode::SERVICE_UNAVAILABLE, "the daemon is stopping".to_owned());
    let (reply, answer) = oneshot::channel();
    sources.reloads.send(reply).await.map_err(|_| stopping())?;
    match answer.await.map_err(|_| stopping())? {
        Ok(changed) => Ok(Json(json!({ "changed": changed }))),
        Err(refused @ Refused::Broken(_)) => {
            Err(Failure(StatusCode::UNPROCESSABLE_ENTITY, refused.to_string()))
        }
        Err(refused @ Refused::NeedsRestart(_)) => Err(Failure(StatusCode::CONFLICT, refused.to_string())),
    }
}
