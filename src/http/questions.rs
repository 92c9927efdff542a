//! Handlers of what an operator asks and orders: everything that only the modeler's state can answer.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bertopic::write::Export;
use crate::embed::Embedder;
use crate::http::Sources;
use crate::http::api::{Answer, all, ask};
use crate::http::problem::Failure;
use crate::model::breakdown::{self, Breakdown};
use crate::model::documents::{self, Wanted};
use crate::model::explain::{Subject, explain};
use crate::model::operate::{Action, Refusal};
use crate::model::profile::calendar::Unit;
use crate::model::topic::TopicId;
use crate::record::answer;
use crate::record::topic::TopicRecord;
use crate::record::version::{ArchivedRecord, OperatedRecord, VersionRecord};
use crate::transport::command::{Command, Operated};

/// Topics in one answer to a search, if it doesn't say.
const FOUND: usize = 10;

/// A topic, or the one that took it in.
pub(super) async fn topic(State(sources): State<Sources>, Path(id): Path<u32>) -> Answer<TopicRecord> {
    let id = TopicId(id);
    let living = sources.desk.look(&sources, move |state, _| state.whereabouts(id)).await?;
    let missing = |refusal: Refusal| Failure(StatusCode::NOT_FOUND, refusal.to_string());
    let living = living.map_err(missing)?;
    let found = all(&sources).topics.into_iter().find(|topic| topic.id == living.0);
    found.map(Json).ok_or_else(|| missing(Refusal::NoTopic { topic: id }))
}

pub(super) async fn operate(
    State(sources): State<Sources>,
    Json(action): Json<Action>,
) -> Answer<OperatedRecord> {
    let done = ask(&sources, |reply| Command::Operate { action, reply }).await?;
    let Operated { version, summary, moved, held } = done.map_err(|refusal| {
        let status = match refusal {
            Refusal::NoTopic { .. } | Refusal::NoVersion { .. } | Refusal::NoDocument { .. } => {
                StatusCode::NOT_FOUND
            }
            Refusal::Version(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::CONFLICT,
        };
        Failure(status, refusal.to_string())
    })?;
    Ok(Json(OperatedRecord { version, summary, moved, held }))
}

pub(super) async fn versions(State(sources): State<Sources>) -> Answer<Value> {
    let versions = sources.desk.look(&sources, |state, _| VersionRecord::all(state)).await?;
    Ok(Json(json!({ "versions": versions })))
}

pub(super) async fn version(State(sources): State<Sources>, Path(number): Path<u64>) -> Answer<Value> {
    let found = sources
        .desk
        .look(&sources, move |state, _| state.archived(Some(number)).map(ArchivedRecord::new))
        .await?;
    let found = found.map_err(|refusal| Failure(StatusCode::NOT_FOUND, refusal.to_string()))?;
    Ok(Json(json!(found)))
}

#[derive(Deserialize)]
pub(super) struct Sought {
    /// A text.
    q: Option<String>,
    /// The id of a kept document.
    document: Option<String>,
    /// A word.
    keyword: Option<String>,
    limit: Option<usize>,
}

/// The same question where it is too long for an address.
pub(super) async fn find_long(sources: State<Sources>, Json(sought): Json<Sought>) -> Answer<Value> {
    find(sources, Query(sought)).await
}

pub(super) async fn find(State(sources): State<Sources>, Query(sought): Query<Sought>) -> Answer<Value> {
    let limit = sought.limit.unwrap_or(FOUND);
    let model = sources.versions.borrow().clone();
    let found = match (sought.q, sought.document, sought.keyword) {
        (Some(text), None, None) => {
            let rows = sources.desk.embed(&sources.embedder, vec![text], Embedder::embed_queries).await?;
            answer::find(&model, rows.row(0), limit)
        }
        (None, Some(document), None) => {
            let unknown = Failure(StatusCode::NOT_FOUND, answer::not_kept(&document));
            let subject = sources.desk.look(&sources, move |state, _| state.subject(&document)).await?;
            answer::find(&model, &subject.ok_or(unknown)?.embedding, limit)
        }
        (None, None, Some(term)) => {
            let keywords = sources.keywords.clone();
            let topics =
                sources.desk.look(&sources, move |state, _| state.topics_of(&term, &keywords, limit)).await?;
            answer::found(&model, topics.into_iter().map(|(id, score)| (id, score as f32)))
        }
        _ => {
            let why = "ask by one of `q` (a text), `document` (an id) and `keyword`".to_owned();
            return Err(Failure(StatusCode::BAD_REQUEST, why));
        }
    };
    Ok(Json(json!({ "topics": found })))
}

#[derive(Deserialize)]
pub(super) struct Pair {
    from: u64,
    to: u64,
}

pub(super) async fn differences(State(sources): State<Sources>, Query(pair): Query<Pair>) -> Answer<Value> {
    let found = sources.desk.look(&sources, move |state, _| state.compare(pair.from, pair.to)).await?;
    let found = found.map_err(|refusal| Failure(StatusCode::NOT_FOUND, refusal.to_string()))?;
    Ok(Json(json!(found)))
}

pub(super) async fn tree(State(sources): State<Sources>) -> Result<Response, Failure> {
    sources.desk.hierarchy(&sources).await.map(written)
}

#[derive(Deserialize)]
pub(super) struct Bins {
    /// A bin of the calendar; if none, windows of the stream.
    by: Option<Unit>,
}

pub(super) async fn over_time(
    State(sources): State<Sources>,
    Query(Bins { by }): Query<Bins>,
) -> Result<Response, Failure> {
    let Some(by) = by else { return sources.desk.over_time(&sources).await.map(written) };
    let found = sources.desk.look(&sources, move |state, _| state.by_time(by)).await?;
    Ok(Json(found).into_response())
}

/// JSON that stands already.
fn written(json: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}

pub(super) async fn export(State(sources): State<Sources>) -> Result<Response, Failure> {
    sources.desk.look(&sources, |state, _| Json(Export::of(state)).into_response()).await
}

pub(super) async fn documents(
    State(sources): State<Sources>,
    Query(wanted): Query<Wanted>,
) -> Answer<documents::Page> {
    let page = sources.desk.look(&sources, move |state, _| state.documents(&wanted)).await?;
    let refused = |error: documents::Error| match error {
        documents::Error::Topic(refusal) => Failure(StatusCode::NOT_FOUND, refusal.to_string()),
        documents::Error::Nearest => Failure(StatusCode::BAD_REQUEST, error.to_string()),
    };
    page.map(Json).map_err(refused)
}

/// Topics by the values of a field.
pub(super) async fn breakdown(
    State(sources): State<Sources>,
    Query(wanted): Query<breakdown::Wanted>,
) -> Answer<Breakdown> {
    let found = sources.desk.look(&sources, move |state, _| state.breakdown(&wanted)).await?;
    found.map(Json).map_err(|error| Failure(StatusCode::NOT_FOUND, error.to_string()))
}

#[derive(Deserialize)]
pub(super) struct Document {
    id: String,
}

pub(super) async fn explain_document(
    State(sources): State<Sources>,
    Query(Document { id }): Query<Document>,
) -> Answer<Value> {
    let (rule, keywords) = (sources.assign.borrow().clone(), sources.keywords.clone());
    let found = sources.desk.look(&sources, move |state, model| {
        let subject = state.subject(&id);
        subject.map(|subject| explain(state, model, &subject, &rule, &keywords)).ok_or_else(|| not_kept(&id))
    });
    let found = found.await?.map_err(|why| Failure(StatusCode::NOT_FOUND, why))?;
    explained(found)
}

fn not_kept(id: &str) -> String {
    format!("document `{id}` is not kept; ask with its text instead")
}

#[derive(Deserialize)]
pub(super) struct Text {
    text: String,
}

pub(super) async fn explain_text(
    State(sources): State<Sources>,
    Json(Text { text }): Json<Text>,
) -> Answer<Value> {
    let words = sources.tokenizer.count(&text);
    let rows = sources.desk.embed(&sources.embedder, vec![text], Embedder::embed).await?;
    let subject = Subject { embedding: Arc::from(rows.row(0)), words, id: None };
    let (rule, keywords) = (sources.assign.borrow().clone(), sources.keywords.clone());
    let found = sources
        .desk
        .look(&sources, move |state, model| explain(state, model, &subject, &rule, &keywords))
        .await?;
    explained(found)
}

fn explained(found: Result<crate::model::explain::Explanation, crate::kernel::unit::Error>) -> Answer<Value> {
    let found = found.map_err(|error| Failure(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    Ok(Json(json!(found)))
}
