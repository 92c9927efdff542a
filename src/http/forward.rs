//! Of a cluster's nodes only the modeler has the state. The others pass on to it what only it can answer.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::Sources;
use super::problem::Failure;
use crate::client::{self, Address, Patience};
use crate::record::model::Reigning;

/// The header of an answer that the modeler gave in this node's place: the modeler's address.
const ANSWERED_BY: HeaderName = HeaderName::from_static("x-topicd-modeler");
/// The header of a request that was passed on, so that it is not passed on again.
const PASSED_ON: HeaderName = HeaderName::from_static("x-topicd-passed-on");
/// How long the modeler may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of an answer: the export of a large model.
const MOST_ANSWERED: u64 = 4 << 30;
/// What a node can answer by itself, from the newest version, while no modeler answers.
const ALSO_HERE: &str = "/api/topics";

/// Who has the state.
#[derive(Debug, Clone)]
pub struct Modeling {
    /// This process has it.
    pub here: watch::Receiver<bool>,
    /// Who published last that it has.
    pub proclaimed: watch::Receiver<Option<Reigning>>,
    /// What this process calls itself.
    pub instance: String,
}

impl Modeling {
    /// Of a daemon that shares its state with nobody.
    pub fn alone(instance: String) -> Self {
        let ((_, here), (_, proclaimed)) = (watch::channel(true), watch::channel(None));
        Self { here, proclaimed, instance }
    }

    fn elsewhere(&self) -> Option<Reigning> {
        self.proclaimed.borrow().clone().filter(|reigning| reigning.instance != self.instance)
    }
}

/// Answers here, or has the modeler answer.
pub(super) async fn to_modeler(State(sources): State<Sources>, request: Request, next: Next) -> Response {
    if *sources.modeling.here.borrow() {
        return next.run(request).await;
    }
    let also_here = request.method() == Method::GET && request.uri().path() == ALSO_HERE;
    let (parts, body) = request.into_parts();
    let again = also_here.then(|| Request::from_parts(parts.clone(), Body::empty()));
    match (passed_on(&sources, Request::from_parts(parts, body)).await, again) {
        (Ok(response), _) => response,
        (Err(_), Some(request)) => next.run(request).await,
        (Err(failure), None) => failure.into_response(),
    }
}

async fn passed_on(sources: &Sources, request: Request) -> Result<Response, Failure> {
    let unavailable = |why: String| Failure(StatusCode::SERVICE_UNAVAILABLE, why);
    let Some(reigning) = sources.modeling.elsewhere() else {
        return Err(unavailable(
            "no process of the cluster is the modeler now; ask again in a while".to_owned(),
        ));
    };
    let Reigning { url, .. } = reigning;
    if request.headers().contains_key(PASSED_ON) {
        return Err(unavailable("this process is not the modeler any more; ask again in a while".to_owned()));
    }
    let (parts, body) = request.into_parts();
    // It is here, and bounded, already.
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let mut passed = client::http::Request::new(body.to_vec());
    *passed.method_mut() = parts.method;
    for name in [header::AUTHORIZATION, header::CONTENT_TYPE, header::ACCEPT] {
        passed.headers_mut().extend(parts.headers.get(&name).cloned().map(|value| (name, value)));
    }
    passed.headers_mut().insert(PASSED_ON, HeaderValue::from_static("1"));
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let away = |why: String| unavailable(format!("the modeler at `{url}` does not answer: {why}"));
    let address = Address::parse(&format!("{url}{path}")).map_err(|error| away(error.to_string()))?;
    let client = sources.doors.borrow().client(Patience::Step(PATIENCE));
    let answer = client.exchange_aside(&address, passed, MOST_ANSWERED).await;
    let answer = answer.map_err(|error| away(format!("{:#}", anyhow::Error::new(error))))?;
    let mut response = (answer.status, answer.body).into_response();
    for name in [header::CONTENT_TYPE, header::RETRY_AFTER] {
        let value = answer.headers.get(&name).cloned();
        response.headers_mut().extend(value.map(|value| (name, value)));
    }
    response.headers_mut().extend(HeaderValue::from_str(&url).ok().map(|url| (ANSWERED_BY, url)));
    Ok(response)
}

/// Who is the modeler, and what this process is.
pub(super) async fn cluster(State(sources): State<Sources>) -> Json<Value> {
    let Modeling { here, proclaimed, instance } = &sources.modeling;
    let modeler = proclaimed.borrow().as_ref().map(|Reigning { url, instance, since_ms }| {
        json!({ "url": url, "instance": instance, "since": crate::record::time(*since_ms) })
    });
    Json(json!({
        "instance": instance,
        "is_modeler": *here.borrow(),
        "modeler": modeler,
        "version": sources.versions.borrow().number,
    }))
}
