//! Who may come in, looked at before any handler.
//!
//! - The `Host` must be an IP address, `localhost`, or a name that is allowed: otherwise a page on a name of its own
//!   that is made to point here (DNS rebinding) could ask in the reader's browser.
//! - What changes something must be JSON, and from no other origin: a foreign page can send neither unasked.
//! - Where tokens are set, one must be shown: as a bearer, or as the password of basic authentication, for which a
//!   browser asks by itself.

use std::net::IpAddr;

use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::INSTANCE;
use super::problem::Failure;
use super::tls::Tls;
use crate::client::{Client, Patience};
use crate::secret::Secret;

/// Whom the door lets in.
#[derive(Debug, Clone, Default)]
pub struct Door {
    /// What this daemon calls itself in each answer.
    pub instance: String,
    /// Names of this host, beside IP addresses and `localhost`.
    pub hosts: Vec<String>,
    /// Lets in whoever reads; empty for everybody, unless `write` is set.
    pub read: Secret,
    /// Lets in whoever reads or changes something; empty for everybody, unless `read` is set: then for nobody.
    pub write: Secret,
    /// The daemon's own proof; none for plain HTTP.
    pub tls: Option<Tls>,
}

const INSTANCE_HEADER: header::HeaderName = header::HeaderName::from_static(INSTANCE);

/// Paths that stay open: who watches whether the daemon lives has no token.
pub(super) const OPEN: [&str; 2] = ["/healthz", "/readyz"];
/// Questions that come as a POST for their length.
const QUESTIONS: [&str; 3] = ["/api/assign", "/api/explain", "/api/find"];

impl Door {
    /// `response` with what this daemon calls itself, and with the question for a token where one is missing.
    pub(super) fn sign(&self, mut response: Response) -> Response {
        let name = header::HeaderValue::from_str(&self.instance).ok();
        response.headers_mut().extend(name.map(|name| (INSTANCE_HEADER, name)));
        if response.status() == StatusCode::UNAUTHORIZED {
            let ask = header::HeaderValue::from_static("Basic realm=\"topicd\", charset=\"UTF-8\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
        }
        response
    }

    /// Asks another node, which may show the same certificate.
    pub(super) fn client(&self, patience: Patience) -> Client {
        self.tls.as_ref().map_or_else(|| Client::new(patience), |tls| tls.client(patience))
    }

    /// Why a request may not come in.
    pub(super) fn judge(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Failure> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let host = text(header::HOST).unwrap_or_default();
        if !self.knows(host) {
            let why = format!("`{host}` is no name of this daemon; add it to `http.hosts` if it is");
            return Err(Failure(StatusCode::MISDIRECTED_REQUEST, why));
        }
        let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        if !reads {
            let foreign = text(header::ORIGIN).is_some_and(|origin| !is_origin_of(origin, host))
                || matches!(
                    text(header::HeaderName::from_static("sec-fetch-site")),
                    Some("cross-site" | "same-site")
                );
            if foreign {
                let why = "a page of another origin may not change anything here".to_owned();
                return Err(Failure(StatusCode::FORBIDDEN, why));
            }
            let kind = text(header::CONTENT_TYPE).unwrap_or_default();
            if !kind
                .split(';')
                .next()
                .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
            {
                let why = "send JSON, with the header `content-type: application/json`".to_owned();
                return Err(Failure(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
            }
        }
        if OPEN.contains(&path) {
            return Ok(());
        }
        self.admit(reads || QUESTIONS.contains(&path), text(header::AUTHORIZATION))
    }

    /// True if `host`, with or without a port, is a name of this daemon's.
    fn knows(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.rsplit_once(':').map_or(host, |(name, _)| name),
        };
        let is = |known: &str| known.eq_ignore_ascii_case(name);
        is("localhost") || name.parse::<IpAddr>().is_ok() || self.hosts.iter().any(|known| is(known))
    }

    fn admit(&self, reads: bool, shown: Option<&str>) -> Result<(), Failure> {
        if self.read.is_empty() && self.write.is_empty() {
            return Ok(());
        }
        let shown = shown.and_then(token).unwrap_or_default();
        let is = |secret: &Secret| !secret.is_empty() && secret.is(&shown);
        match (is(&self.write), is(&self.read)) {
            (true, _) => Ok(()),
            (_, true) if reads => Ok(()),
            (_, true) => Err(Failure(
                StatusCode::FORBIDDEN,
                "this token may only read; show the one of `http.write_token`".to_owned(),
            )),
            _ => Err(Failure(
                StatusCode::UNAUTHORIZED,
                "show a token: `authorization: Bearer TOKEN`; it stands in `http.read_token` or `http.write_token`"
                    .to_owned(),
            )),
        }
    }
}

/// The token in a header `Authorization`.
fn token(shown: &str) -> Option<Vec<u8>> {
    let (scheme, rest) = shown.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().as_bytes().to_vec());
    }
    let pair = STANDARD.decode(rest.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(pair[colon + 1..].to_vec())
}

/// True if `origin` is that of a page from `host`.
fn is_origin_of(origin: &str, host: &str) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(door: &Door, method: Method, path: &str, headers: &[(&'static str, &str)]) -> u16 {
        let headers = headers.iter().map(|(name, value)| {
            (header::HeaderName::from_static(name), header::HeaderValue::from_str(value).unwrap())
        });
        door.judge(&method, path, &headers.collect()).map_or_else(|failure| failure.0.as_u16(), |()| 200)
    }

    const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

    #[test]
    fn a_foreign_name_is_not_this_daemon() {
        let door = Door { hosts: vec!["topicd.internal".to_owned()], ..Door::default() };
        for (host, expected) in [
            ("127.0.0.1:9464", 200),
            ("[::1]:9464", 200),
            ("LOCALHOST", 200),
            ("10.1.2.3:80", 200),
            ("topicd.internal:9464", 200),
            ("evil.example:9464", 421),
            ("localhost.evil.example", 421),
            ("", 421),
        ] {
            assert_eq!(judged(&door, Method::GET, "/api/topics", &[("host", host)]), expected, "{host}");
        }
    }

    #[test]
    fn a_foreign_page_changes_nothing() {
        let (door, host) = (Door::default(), ("host", "127.0.0.1:9464"));
        let post = |headers: &[(&'static str, &str)]| {
            judged(&door, Method::POST, "/api/refit", &[&[host], headers].concat())
        };
        assert_eq!(post(&[JSON]), 200);
        assert_eq!(post(&[JSON, ("origin", "http://127.0.0.1:9464")]), 200);
        assert_eq!(post(&[]), 415);
        assert_eq!(post(&[("content-type", "text/plain")]), 415);
        for origin in ["http://evil.example", "null", "http://127.0.0.1:9465", "http://127.0.0.1:9464.evil"] {
            assert_eq!(post(&[JSON, ("origin", origin)]), 403, "{origin}");
        }
        assert_eq!(post(&[JSON, ("sec-fetch-site", "cross-site")]), 403);
    }

    #[test]
    fn tokens_have_scopes() {
        let door = Door { read: "r3ad".into(), write: "wr1te".into(), ..Door::default() };
        let host = ("host", "localhost");
        let asked = |method: Method, path: &str, shown: &str| {
            judged(&door, method, path, &[host, JSON, ("authorization", shown)])
        };
        let basic = format!("Basic {}", STANDARD.encode("anybody:wr1te"));
        assert_eq!(judged(&door, Method::GET, "/api/topics", &[host]), 401);
        assert_eq!(judged(&door, Method::GET, "/healthz", &[host]), 200);
        assert_eq!(asked(Method::GET, "/metrics", "Bearer r3ad"), 200);
        assert_eq!(asked(Method::POST, "/api/assign", "bearer r3ad"), 200);
        assert_eq!(asked(Method::POST, "/api/operate", "Bearer r3ad"), 403);
        assert_eq!(asked(Method::POST, "/api/operate", "Bearer wr1te"), 200);
        assert_eq!(asked(Method::POST, "/api/operate", &basic), 200);
        for wrong in ["Bearer ", "Bearer r3a", "wr1te", "Basic !", "Digest wr1te"] {
            assert_eq!(asked(Method::GET, "/api/topics", wrong), 401, "{wrong}");
        }
        let read_only = Door { read: "r3ad".into(), ..Door::default() };
        let headers = [host, JSON, ("authorization", "Bearer r3ad")];
        assert_eq!(judged(&read_only, Method::POST, "/api/refit", &headers), 403);
    }
}
