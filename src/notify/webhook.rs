//! One event to one receiver: one attempt, and how long to wait for the next.

use std::error::Error as _;
use std::time::Duration;

use super::{Checked, sign};
use crate::client::http::header::{CONTENT_TYPE, RETRY_AFTER};
use crate::client::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use crate::client::{self, Client, Patience};
use crate::document::Value;

/// Bytes of an answer that are read; nothing in it counts but its status.
const MOST_BYTES: u64 = 64 << 10;
const ID: HeaderName = HeaderName::from_static(sign::ID);
const TIMESTAMP: HeaderName = HeaderName::from_static(sign::TIMESTAMP);
const SIGNATURE: HeaderName = HeaderName::from_static(sign::SIGNATURE);

/// A receiver of events.
///
/// An event is one POST of a CloudEvents JSON body (`application/cloudevents+json`), signed if there is a secret. Any
/// 2xx takes it. Whatever else comes back, the event may be posted again: a receiver that is being set up, moved or
/// repaired answers anything. A redirection is not followed, as that would turn the POST into a GET.
#[derive(Debug, Clone)]
pub struct Webhook {
    settings: Checked,
    client: Client,
}

/// An attempt that failed.
#[derive(Debug)]
pub struct Refusal {
    /// What was wrong.
    pub failure: Failure,
    /// The wait that the receiver asks for.
    pub retry_after: Option<Duration>,
}

/// Why an attempt failed. Holds no address: it may carry a token.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The receiver answered, but not with a 2xx.
    #[error("the receiver answered {0}")]
    Refused(StatusCode),
    /// There was no answer: no connection, a broken one, or too late.
    #[error("no answer from the receiver")]
    NoAnswer(#[source] client::Error),
}

impl Failure {
    /// With every cause.
    pub fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}

impl Webhook {
    /// A receiver as set; makes the client, opens no connection.
    pub fn new(settings: Checked) -> Self {
        let client = Client::new(Patience::Whole(settings.timeout));
        Self { settings, client }
    }

    /// True if the receiver wants the event of which `value_of` gives the parts by name.
    pub fn wants(&self, value_of: impl Fn(&str) -> Option<Value>) -> bool {
        self.settings.filter.as_ref().is_none_or(|filter| filter.holds(value_of))
    }

    /// For how long an event is tried.
    pub fn max_age(&self) -> Duration {
        self.settings.max_age
    }

    /// The wait after so many failed attempts in a row, the last of which was `refusal`.
    ///
    /// It doubles from `first_wait_ms`, shortened at random by up to a half; `Retry-After` lengthens it; it never
    /// exceeds `max_wait_ms`.
    pub fn wait(&self, failures: u32, refusal: &Refusal) -> Duration {
        self.drawn(failures, rand::random())
            .max(refusal.retry_after.unwrap_or_default())
            .min(self.settings.max_wait)
    }

    fn drawn(&self, failures: u32, random: f64) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        let wait = self.settings.first_wait.saturating_mul(doubled);
        wait.min(self.settings.max_wait).mul_f64(1.0 - random / 2.0)
    }

    /// One attempt to have the event `id` taken. It may have arrived even if it failed, or if the future is dropped.
    pub async fn post(&self, id: &str, body: Vec<u8>) -> Result<(), Refusal> {
        let request = self.request(id, jiff::Timestamp::now().as_second(), body);
        let refusal = match self.client.exchange_aside(&self.settings.url, request, MOST_BYTES).await {
            Ok(answer) if answer.status.is_success() => return Ok(()),
            // A success all the same, with a long body.
            Err(client::Error::TooLong(_)) => return Ok(()),
            Ok(answer) => Refusal {
                failure: Failure::Refused(answer.status),
                retry_after: retry_after(&answer.headers),
            },
            Err(error) => Refusal { failure: Failure::NoAnswer(error), retry_after: None },
        };
        Err(refusal)
    }

    fn request(&self, id: &str, timestamp: i64, body: Vec<u8>) -> Request<Vec<u8>> {
        let signature = self.settings.key.as_ref().and_then(|key| key.sign(id, timestamp, &body));
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        headers.extend(self.settings.headers.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/cloudevents+json"));
        headers.insert(TIMESTAMP, HeaderValue::from(timestamp));
        for (name, value) in [(ID, Some(id)), (SIGNATURE, signature.as_deref())] {
            let value = value.and_then(|value| HeaderValue::from_str(value).ok());
            headers.extend(value.map(|value| (name, value)));
        }
        request
    }
}

/// `Retry-After`, which is a number of seconds or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Duration::try_from(date.duration_since(jiff::Timestamp::now())).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::Bytes;
    use axum::response::IntoResponse;
    use axum::routing::post;

    use super::*;
    use crate::notify::Params;

    /// What arrived: the headers and the body.
    type Seen = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

    /// A receiver that answers `status`, at an address that it returns.
    async fn receiver(status: u16, wait: Option<&'static str>) -> (String, Seen) {
        let seen = Seen::default();
        let log = Arc::clone(&seen);
        let take = move |headers: HeaderMap, body: Bytes| async move {
            log.lock().unwrap().push((headers, body));
            let mut answer = StatusCode::from_u16(status).unwrap().into_response();
            if let Some(wait) = wait {
                answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(wait));
            }
            answer
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let app = Router::new().route("/hook", post(take));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        (url, seen)
    }

    fn webhook(url: &str, secret: &str) -> Webhook {
        let params = Params {
            url: url.into(),
            secret: secret.into(),
            headers: [("Authorization".to_owned(), "Bearer x".into())].into(),
            timeout_ms: 500,
            first_wait_ms: 20,
            max_wait_ms: 1_500,
            ..Params::default()
        };
        Webhook::new(params.check().unwrap().unwrap())
    }

    #[tokio::test]
    async fn a_request_is_an_event_with_its_signature() {
        let (url, seen) = receiver(202, None).await;
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        webhook(&url, secret).post("evt_7", b"{\"id\":\"7\"}".to_vec()).await.unwrap();
        webhook(&url, "").post("evt_8", b"{}".to_vec()).await.unwrap();
        let seen = seen.lock().unwrap();
        let (headers, body) = &seen[0];
        assert_eq!(&body[..], b"{\"id\":\"7\"}");
        assert_eq!(headers[CONTENT_TYPE], "application/cloudevents+json");
        assert_eq!(headers["authorization"], "Bearer x");
        assert_eq!(headers[ID], "evt_7");
        let timestamp: i64 = headers[TIMESTAMP].to_str().unwrap().parse().unwrap();
        assert!((jiff::Timestamp::now().as_second() - timestamp).abs() < 60, "{timestamp}");
        let key = sign::Key::parse(&secret.into()).unwrap().unwrap();
        assert_eq!(headers[SIGNATURE], key.sign("evt_7", timestamp, body).unwrap());
        let (headers, _) = &seen[1];
        assert!(headers[ID] == "evt_8" && !headers.contains_key(SIGNATURE));
    }

    #[tokio::test]
    async fn nothing_but_a_success_takes_an_event() {
        for status in [307, 308, 401, 404, 410, 429, 500, 503] {
            let (url, _) = receiver(status, None).await;
            let Refusal { failure: Failure::Refused(found), .. } =
                webhook(&url, "").post("evt_1", b"{}".to_vec()).await.unwrap_err()
            else {
                panic!("an answer")
            };
            assert_eq!(found, status);
        }
    }

    #[tokio::test]
    async fn retry_after_is_honoured_within_bounds() {
        for (asked, expected) in [("1", 1_000), ("86400", 1_500)] {
            let (url, _) = receiver(503, Some(asked)).await;
            let webhook = webhook(&url, "");
            let refusal = webhook.post("evt_1", b"{}".to_vec()).await.unwrap_err();
            assert_eq!(webhook.wait(1, &refusal), Duration::from_millis(expected));
        }
    }

    #[test]
    fn retry_after_may_be_a_date() {
        let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(100);
        let text = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&soon).unwrap();
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(&text).unwrap())]);
        let wait = retry_after(&headers).unwrap().as_secs();
        assert!((90..=100).contains(&wait), "{wait}");
        let past = HeaderValue::from_static("Wed, 21 Oct 2015 07:28:00 GMT");
        assert_eq!(retry_after(&HeaderMap::from_iter([(RETRY_AFTER, past)])), None);
    }

    #[tokio::test]
    async fn silence_is_a_failure_that_does_not_tell_the_address() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent = format!("http://{}/token", listener.local_addr().unwrap());
        let gone = receiver(200, None).await.0.replace("127.0.0.1", "127.0.0.2").replace("hook", "token");
        for url in [silent, gone] {
            let refusal = webhook(&url, "").post("evt_1", b"{}".to_vec()).await.unwrap_err();
            let why = refusal.failure.in_full();
            assert!(matches!(refusal.failure, Failure::NoAnswer(_)), "{why}");
            assert!(why.contains(": ") && !why.contains("token"), "{why}");
        }
    }

    #[test]
    fn waits_double_up_to_their_bound() {
        let webhook = webhook("http://localhost", "");
        let longest: Vec<u128> = (1..=9).map(|n| webhook.drawn(n, 0.0).as_millis()).collect();
        assert_eq!(longest, [20, 40, 80, 160, 320, 640, 1280, 1500, 1500]);
        assert_eq!(webhook.drawn(1, 1.0).as_millis(), 10);
        assert_eq!(webhook.drawn(1_000, 0.5).as_millis(), 1_125);
    }
}
