//! Handlers of what the webhook did not take.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::http::Sources;
use crate::http::api::{Answer, ask};
use crate::http::problem::Failure;
use crate::record::notification::{Chosen, NotificationsRecord};
use crate::transport::command::Command;

pub(super) async fn list(State(sources): State<Sources>) -> Answer<NotificationsRecord> {
    Ok(Json(ask(&sources, |reply| Command::Notifications { reply }).await?))
}

pub(super) async fn retry(State(sources): State<Sources>, Json(chosen): Json<Chosen>) -> Answer<Value> {
    let again = ask(&sources, |reply| Command::SendAgain { chosen, reply }).await?;
    let again = again.map_err(|refusal| Failure(StatusCode::NOT_FOUND, refusal.to_string()))?;
    Ok(Json(json!({ "again": again })))
}
