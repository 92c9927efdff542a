//! The door is open before the daemon knows anything: whoever watches it hears from the first moment whether the process
//! lives, and what it still lacks.

use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde::Serialize;
use tower_service::Service as _;

use super::problem::{self, Failure, Problem};
use super::{Sources, api, router};
use crate::telemetry::Telemetry;

/// Whether documents are taken, and if not, why.
#[derive(Debug, Serialize)]
pub(super) struct Readiness {
    ready: bool,
    /// What is missing; nothing if it is ready.
    missing: Vec<String>,
}

impl Readiness {
    pub(super) fn of(missing: Vec<String>) -> Self {
        Self { ready: missing.is_empty(), missing }
    }
}

impl IntoResponse for Readiness {
    fn into_response(self) -> Response {
        if self.ready {
            return Json(self).into_response();
        }
        let (status, detail) = (StatusCode::SERVICE_UNAVAILABLE, self.missing.join("; "));
        problem::respond(status, &Unready { problem: Problem::new(status, &detail), readiness: self })
    }
}

/// The problem of a daemon that takes no documents, with what is missing one by one.
#[derive(Serialize)]
struct Unready<'a> {
    #[serde(flatten)]
    problem: Problem<'a>,
    #[serde(flatten)]
    readiness: Readiness,
}

/// What is behind the door, once the daemon has started.
#[derive(Clone)]
pub struct Inside {
    router: Arc<OnceLock<Router>>,
    /// Knows what keeps the daemon from starting.
    telemetry: Telemetry,
}

impl Inside {
    /// Nothing yet.
    pub fn new(telemetry: Telemetry) -> Self {
        Self { router: Arc::default(), telemetry }
    }

    /// Lets everybody in; from now on the handlers answer.
    pub fn open(&self, sources: Sources) {
        self.router.get_or_init(|| router(sources));
    }

    /// The handlers' answer; before [`Inside::open`], only health, readiness and metrics have one.
    pub(super) async fn answer(&self, request: Request) -> Response {
        let Some(router) = self.router.get() else { return self.starting(request.uri().path()) };
        match router.clone().call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    fn starting(&self, path: &str) -> Response {
        let why = "the daemon is starting: it loads its encoder and its state".to_owned();
        match path {
            "/healthz" => api::ALIVE.into_response(),
            "/readyz" => {
                let obstacles = self.telemetry.obstacles();
                Readiness::of(std::iter::once(why).chain(obstacles).collect()).into_response()
            }
            "/metrics" => api::rendered(&self.telemetry),
            _ => Failure(StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
        }
    }
}
