//! Every error, whoever finds it, as a problem after RFC 9457 (`application/problem+json`).

use axum::body::to_bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

const KIND: HeaderValue = HeaderValue::from_static("application/problem+json");
/// Seconds after which it makes sense to ask again what could not be answered now.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");
/// Of what a library says of an error.
const MOST_BYTES: usize = 4096;

/// A question that has no answer, and whose fault it is.
#[derive(Debug)]
pub(super) struct Failure(pub(super) StatusCode, pub(super) String);

/// The members of a problem.
#[derive(Debug, Serialize)]
pub(super) struct Problem<'a> {
    /// That the status says what kind of problem it is.
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
}

impl<'a> Problem<'a> {
    pub(super) fn new(status: StatusCode, detail: &'a str) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { r#type: "about:blank", title, status: status.as_u16(), detail }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self(status, detail) = self;
        respond(status, &Problem::new(status, &detail))
    }
}

/// The answer `status`, which is an error, with `problem` or more as its body.
pub(super) fn respond(status: StatusCode, problem: &impl Serialize) -> Response {
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut response = (status, [(header::CONTENT_TYPE, KIND)], body).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    response
}

/// `response`, but an error that axum found as a problem too.
pub(super) async fn uniform(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || response.headers().get(header::CONTENT_TYPE) == Some(&KIND) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let said = to_bytes(body, MOST_BYTES).await.unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let detail = match (status, said.trim()) {
        (StatusCode::NOT_FOUND, "") => {
            "there is no such path; `GET /` is the page, `GET /api/topics` the topics".into()
        }
        (StatusCode::METHOD_NOT_ALLOWED, "") => {
            let allowed = parts.headers.get(header::ALLOW).and_then(|allowed| allowed.to_str().ok());
            format!("this path takes {}", allowed.unwrap_or("another method"))
        }
        (_, said) => said.to_owned(),
    };
    let (problem, body) = Failure(status, detail).into_response().into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(problem.headers);
    Response::from_parts(parts, body)
}

/// The answer to what is no whole request, as it goes over the wire.
pub(super) fn on_the_wire(status: StatusCode, detail: &str) -> Vec<u8> {
    let body = serde_json::to_string(&Problem::new(status, detail)).unwrap_or_default();
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}
