//! The handlers of the API.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::embed::Embedder;
use crate::http::Sources;
use crate::http::opening::Readiness;
use crate::http::problem::Failure;
use crate::model::event::Event;
use crate::record::answer;
use crate::record::topic::TopicsRecord;
use crate::telemetry::{Progress, Telemetry};
use crate::transport::command::{self, Command, NoModeler};

/// Events in one answer, at most.
const MOST_EVENTS: usize = 500;
/// Texts in one question, at most.
const MOST_TEXTS: usize = 1000;

pub(super) type Answer<T> = Result<Json<T>, Failure>;

/// The answer of a process that lives.
pub(super) const ALIVE: &str = "ok\n";

pub(super) async fn healthz() -> &'static str {
    ALIVE
}

pub(super) async fn readyz(State(sources): State<Sources>) -> Readiness {
    let stopping = sources.stop.is_cancelled() || sources.commands.is_closed();
    let stopping = stopping.then(|| "the daemon is stopping".to_owned());
    Readiness::of(stopping.into_iter().chain(sources.telemetry.obstacles()).collect())
}

pub(super) async fn metrics(State(sources): State<Sources>) -> Response {
    rendered(&sources.telemetry)
}

pub(super) fn rendered(telemetry: &Telemetry) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, telemetry.render()).into_response()
}

/// The topics, and how far the daemon is.
#[derive(Serialize)]
pub(super) struct Known {
    #[serde(flatten)]
    topics: TopicsRecord,
    #[serde(flatten)]
    progress: Progress,
}

pub(super) async fn topics(State(sources): State<Sources>) -> Json<Known> {
    Json(Known { topics: all(&sources), progress: sources.telemetry.progress() })
}

pub(super) fn all(sources: &Sources) -> TopicsRecord {
    let (model, overview) = (sources.versions.borrow().clone(), sources.overviews.borrow().clone());
    TopicsRecord::new(&model, &overview)
}

#[derive(Deserialize)]
pub(super) struct After {
    #[serde(default)]
    after: u64,
    #[serde(default = "most_events")]
    limit: usize,
}

fn most_events() -> usize {
    MOST_EVENTS
}

#[derive(Serialize)]
pub(super) struct Line {
    seq: u64,
    #[serde(rename = "type")]
    kind: &'static str,
    time: String,
    version: u64,
    topic: Option<u32>,
    summary: String,
}

impl Line {
    fn new(event: &Event) -> Self {
        Self {
            seq: event.number,
            kind: event.happened.kind(),
            time: crate::record::time(event.time_ms),
            version: event.version,
            topic: event.happened.topic().map(|topic| topic.id.0),
            summary: event.happened.summary(),
        }
    }
}

pub(super) async fn events(State(sources): State<Sources>, Query(asked): Query<After>) -> Json<Value> {
    let news = sources.news.borrow().clone();
    let events = news.events_after(asked.after, asked.limit.min(MOST_EVENTS));
    Json(json!({ "events": events.map(|event| Line::new(event)).collect::<Vec<_>>() }))
}

pub(super) async fn refits(State(sources): State<Sources>) -> Json<Value> {
    Json(json!({ "refits": sources.news.borrow().reports }))
}

pub(super) async fn refit(State(sources): State<Sources>) -> Answer<Value> {
    if ask(&sources, |reply| Command::Refit { reply }).await? {
        Ok(Json(json!({ "started": true })))
    } else {
        Err(Failure(StatusCode::CONFLICT, "a refit is running already".to_owned()))
    }
}

pub(super) async fn ask<T>(
    sources: &Sources,
    order: impl FnOnce(oneshot::Sender<T>) -> Command,
) -> Result<T, Failure> {
    let stopping = |NoModeler| Failure(StatusCode::SERVICE_UNAVAILABLE, "the daemon is stopping".to_owned());
    command::ask(&sources.commands, order).await.map_err(stopping)
}

#[derive(Deserialize)]
pub(super) struct Texts {
    texts: Vec<String>,
}

pub(super) async fn assign(State(sources): State<Sources>, Json(asked): Json<Texts>) -> Answer<Value> {
    if asked.texts.len() > MOST_TEXTS {
        let why = format!("{} texts; send at most {MOST_TEXTS} at once", asked.texts.len());
        return Err(Failure(StatusCode::PAYLOAD_TOO_LARGE, why));
    }
    let rows = sources.desk.embed(&sources.embedder, asked.texts, Embedder::embed).await?;
    let model = sources.versions.borrow().clone();
    Ok(Json(
        json!({ "version": model.number, "assigned": answer::assigned(&model, &rows, &sources.assign.borrow()) }),
    ))
}
