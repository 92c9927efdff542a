//! One event to one receiver: posted, and posted again while there is hope.

use std::fmt;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use super::{Checked, sign};
use crate::client::http::header::{CONTENT_TYPE, RETRY_AFTER};
use crate::client::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use crate::client::{self, Client, Patience};

/// Bytes of an answer that are read; nothing in it counts but its status.
const MOST_BYTES: u64 = 64 << 10;
const SIGNATURE: HeaderName = HeaderName::from_static(sign::HEADER);

/// A receiver of events.
///
/// An event is one POST of a CloudEvents JSON body (`application/cloudevents+json`), signed if there is a secret. Any
/// 2xx takes it. It is posted again after a connection that failed, a timeout, and the answers 408, 425, 429 and 5xx;
/// any other answer is final, a redirection too, as following it would turn the POST into a GET. Waits double from
/// `first_wait_ms`, each shortened at random by up to a half; `Retry-After` lengthens them; none exceeds
/// `max_wait_ms`. So a receiver sees an event at least once, and may see it twice when its answer got lost.
#[derive(Debug, Clone)]
pub struct Webhook {
    settings: Checked,
    client: Client,
}

/// How a delivery ended.
#[derive(Debug)]
pub enum Outcome {
    /// The receiver took the event.
    Delivered {
        /// How many attempts that took.
        attempts: u32,
    },
    /// The event was not taken and will not be posted again.
    GaveUp {
        /// How many attempts were made.
        attempts: u32,
        /// What was wrong with the last.
        last: Failure,
    },
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

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivered { attempts } => write!(f, "delivered after {attempts} attempts"),
            Self::GaveUp { attempts, last } => {
                write!(f, "given up after {attempts} attempts: {last}")?;
                let mut cause = std::error::Error::source(last);
                while let Some(error) = cause {
                    write!(f, ": {error}")?;
                    cause = error.source();
                }
                Ok(())
            }
        }
    }
}

impl Webhook {
    /// A receiver as set; makes the client, opens no connection.
    pub fn new(settings: Checked) -> Self {
        let client = Client::new(Patience::Whole(settings.timeout));
        Self { settings, client }
    }

    /// Posts `body` until it is taken, refused for good, or the attempts are used up.
    ///
    /// `seed` draws the random part of the waits; the event's number will do. Dropping the future ends the delivery;
    /// an attempt under way may have arrived.
    pub async fn deliver(&self, body: &[u8], seed: u64) -> Outcome {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (last, asked) = match self.post(body).await {
                Ok(()) => return Outcome::Delivered { attempts },
                Err(failed) => failed,
            };
            if attempts == self.settings.max_attempts || !may_pass(&last) {
                return Outcome::GaveUp { attempts, last };
            }
            let wait = self.wait(attempts, random.random()).max(asked.unwrap_or_default());
            tokio::time::sleep(wait.min(self.settings.max_wait)).await;
        }
    }

    /// One attempt; if it fails, with the wait that the receiver asks for.
    async fn post(&self, body: &[u8]) -> Result<(), (Failure, Option<Duration>)> {
        let mut request = Request::new(body.to_vec());
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        headers.extend(self.settings.headers.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/cloudevents+json"));
        if let Some(signature) = sign::signature(self.settings.secret.reveal(), body) {
            headers.extend(HeaderValue::from_str(&signature).ok().map(|signature| (SIGNATURE, signature)));
        }
        match self.client.exchange_aside(&self.settings.url, request, MOST_BYTES).await {
            Ok(answer) if answer.status.is_success() => Ok(()),
            // A success all the same, with a long body.
            Err(client::Error::TooLong(_)) => Ok(()),
            Ok(answer) => Err((Failure::Refused(answer.status), retry_after(&answer.headers))),
            Err(error) => Err((Failure::NoAnswer(error), None)),
        }
    }

    /// The wait after `attempts` failed ones, shortened by up to a half as `random` in 0..1 says.
    fn wait(&self, attempts: u32, random: f64) -> Duration {
        let doubled = self.settings.first_wait.saturating_mul(2_u32.saturating_pow(attempts - 1));
        doubled.min(self.settings.max_wait).mul_f64(1.0 - random / 2.0)
    }
}

/// True if the same request may be taken later.
fn may_pass(failure: &Failure) -> bool {
    match failure {
        Failure::NoAnswer(_) => true,
        Failure::Refused(status) => status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429),
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
    use std::time::Instant;

    use axum::Router;
    use axum::body::Bytes;
    use axum::response::IntoResponse;
    use axum::routing::post;

    use super::*;
    use crate::notify::Params;

    /// What arrived: when, the headers and the body.
    type Seen = Arc<Mutex<Vec<(Instant, HeaderMap, Bytes)>>>;

    /// A receiver that gives each answer once, the last one for ever, at an address that it returns.
    async fn receiver(answers: Vec<(u16, Option<&'static str>)>) -> (String, Seen) {
        let seen = Seen::default();
        let log = Arc::clone(&seen);
        let take = move |headers: HeaderMap, body: Bytes| async move {
            let mut seen = log.lock().unwrap();
            let (status, wait) = answers[seen.len().min(answers.len() - 1)];
            seen.push((Instant::now(), headers, body));
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

    fn webhook(url: &str) -> Webhook {
        let params = Params {
            url: url.into(),
            secret: "Jefe".into(),
            headers: [("Authorization".to_owned(), "Bearer x".into())].into(),
            timeout_ms: 500,
            max_attempts: 4,
            first_wait_ms: 20,
            max_wait_ms: 1_500,
        };
        Webhook::new(params.check().unwrap().unwrap())
    }

    #[tokio::test]
    async fn an_event_is_posted_until_it_is_taken() {
        let (url, seen) = receiver(vec![(500, None), (429, None), (202, None)]).await;
        let outcome = webhook(&url).deliver(b"{\"id\":\"7\"}", 7).await;
        assert!(matches!(outcome, Outcome::Delivered { attempts: 3 }), "{outcome}");
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 3);
        for (_, headers, body) in &*seen {
            assert_eq!(&body[..], b"{\"id\":\"7\"}");
            assert_eq!(headers[sign::HEADER], sign::signature("Jefe", body).unwrap());
            assert_eq!(headers[CONTENT_TYPE], "application/cloudevents+json");
            assert_eq!(headers["authorization"], "Bearer x");
        }
        let waits = [seen[1].0 - seen[0].0, seen[2].0 - seen[1].0];
        assert!(waits[0] >= Duration::from_millis(10) && waits[1] >= Duration::from_millis(20), "{waits:?}");
    }

    #[tokio::test]
    async fn attempts_are_bounded_and_some_answers_are_final() {
        for (status, expected) in [(503, 4), (404, 1), (410, 1), (307, 1)] {
            let (url, seen) = receiver(vec![(status, None)]).await;
            let outcome = webhook(&url).deliver(b"{}", 1).await;
            let Outcome::GaveUp { attempts, last: Failure::Refused(last) } = outcome else {
                panic!("{outcome}")
            };
            assert_eq!(
                (attempts, last.as_u16(), seen.lock().unwrap().len()),
                (expected, status, expected as usize)
            );
        }
    }

    #[tokio::test]
    async fn retry_after_is_honoured_within_bounds() {
        let (url, seen) = receiver(vec![(503, Some("1")), (200, None)]).await;
        assert!(matches!(webhook(&url).deliver(b"{}", 1).await, Outcome::Delivered { attempts: 2 }));
        let waited = {
            let seen = seen.lock().unwrap();
            seen[1].0 - seen[0].0
        };
        assert!(waited >= Duration::from_secs(1), "{waited:?}");

        let (url, _) = receiver(vec![(503, Some("86400")), (200, None)]).await;
        let begun = Instant::now();
        assert!(matches!(webhook(&url).deliver(b"{}", 1).await, Outcome::Delivered { attempts: 2 }));
        assert!(begun.elapsed() < Duration::from_secs(4));
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
    async fn silence_is_retried_and_the_address_is_not_told() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent = format!("http://{}/token", listener.local_addr().unwrap());
        let gone =
            receiver(vec![(200, None)]).await.0.replace("127.0.0.1", "127.0.0.2").replace("hook", "token");
        for url in [silent, gone] {
            let outcome = webhook(&url).deliver(b"{}", 1).await;
            assert!(
                matches!(outcome, Outcome::GaveUp { attempts: 4, last: Failure::NoAnswer(_) }),
                "{outcome}"
            );
            assert!(!outcome.to_string().contains("token"), "{outcome}");
        }
    }

    #[test]
    fn waits_double_up_to_their_bound_and_are_the_seeds() {
        let webhook = webhook("http://localhost");
        let longest: Vec<u128> = (1..=9).map(|n| webhook.wait(n, 0.0).as_millis()).collect();
        assert_eq!(longest, [20, 40, 80, 160, 320, 640, 1280, 1500, 1500]);
        assert_eq!(webhook.wait(1, 1.0).as_millis(), 10);
        assert_eq!(webhook.wait(1_000, 0.5).as_millis(), 1_125);
    }
}
