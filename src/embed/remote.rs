//! Embeddings from an OpenAI-compatible endpoint: text-embeddings-inference, vLLM, Ollama, OpenAI itself.

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ndarray::ArrayView1;
use serde::Deserialize;

use super::each::GOOD;
use super::error::in_full;
use super::{Backend, Error, Run};
use crate::client::http::header::{AUTHORIZATION, RETRY_AFTER};
use crate::client::{self, Address, AddressError, Client, Patience};
use crate::secret::Secret;

/// Bytes of an answer: 4,096 numbers of 20 digits for each of some hundred texts still fit.
const MOST_BYTES: u64 = 256 << 20;

/// Where embeddings are made, and how it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params {
    /// `http://gpu:8080`, `http://gpu:8080/v1` or the whole `http://gpu:8080/v1/embeddings`.
    pub url: Secret,
    /// Sent as a bearer token; empty for none.
    pub token: Secret,
    /// Texts in one request, at most. At least 1.
    pub batch_texts: usize,
    /// Requests under way at once, at most. At least 1.
    pub concurrency: usize,
    /// How long one attempt may take, in ms. At least 1.
    pub timeout_ms: u64,
    /// Attempts of one request before the caller is told. At least 1.
    pub max_attempts: u32,
    /// The wait after the first failed attempt, in ms; it doubles with each further one.
    pub first_wait_ms: u64,
    /// The longest wait between two attempts, in ms, whatever the endpoint asks for.
    pub max_wait_ms: u64,
    /// Put before each document: e5's `passage: `, where the endpoint does not do it.
    pub document_prompt: String,
    /// Put before each query: e5's `query: `.
    pub query_prompt: String,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            token: Secret::default(),
            batch_texts: 32,
            concurrency: 4,
            timeout_ms: 30_000,
            max_attempts: 5,
            first_wait_ms: 500,
            max_wait_ms: 10_000,
            document_prompt: String::new(),
            query_prompt: String::new(),
        }
    }
}

impl Params {
    /// Checks every value.
    pub(super) fn check(&self) -> Result<(), Error> {
        let wrong = |key, value: &dyn fmt::Display, expected| {
            Err(Error::Setting { key, value: value.to_string(), expected })
        };
        self.address()?;
        if self.batch_texts == 0 {
            return wrong("remote.batch_texts", &0, "at least 1");
        }
        if !(1..=256).contains(&self.concurrency) {
            return wrong("remote.concurrency", &self.concurrency, "1 to 256");
        }
        if !(1..=3_600_000).contains(&self.timeout_ms) {
            return wrong("remote.timeout_ms", &self.timeout_ms, "1 to 3600000");
        }
        if !(1..=1000).contains(&self.max_attempts) {
            return wrong("remote.max_attempts", &self.max_attempts, "1 to 1000");
        }
        Ok(())
    }

    fn address(&self) -> Result<Address, Error> {
        Address::parse(&self.endpoint()).map_err(|error| match error {
            AddressError::NoAddress => Error::Setting {
                key: "remote.url",
                value: "something else".to_owned(),
                expected: "a URL that starts with http:// or https://",
            },
            AddressError::NoTls(without) => without.into(),
        })
    }

    /// The address that is asked.
    fn endpoint(&self) -> String {
        let url = self.url.reveal().trim_end_matches('/');
        match url {
            whole if whole.ends_with("/embeddings") => whole.to_owned(),
            version if version.ends_with("/v1") => format!("{version}/embeddings"),
            host => format!("{host}/v1/embeddings"),
        }
    }
}

/// A client of one endpoint and model.
pub(super) struct Remote {
    client: Client,
    address: Address,
    url: String,
    model: String,
    params: Params,
    dim: usize,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<usize>,
}

/// Why one attempt failed.
enum Failure {
    /// Another attempt may succeed; not before so long, if the endpoint says so.
    Passing { detail: String, retry_after: Option<Duration> },
    /// It will fail again.
    Final(Error),
}

impl Remote {
    /// Asks the endpoint for the embedding of one word, and so for the dimension.
    pub(super) fn open(params: &Params, model: &str) -> Result<Self, Error> {
        let client = Client::new(Patience::Whole(Duration::from_millis(params.timeout_ms)));
        let address = params.address()?;
        let url = address.to_string();
        let mut remote =
            Self { client, address, url, model: model.to_owned(), params: params.clone(), dim: 0 };
        let answer = remote.ask(&[GOOD])?;
        remote.dim = answer.data.first().map_or(0, |item| item.embedding.len());
        Ok(remote)
    }

    /// Length of a row.
    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    /// The address that is asked, as it may be shown.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// One request, as often as it takes.
    fn ask(&self, texts: &[&str]) -> Result<Answer, Error> {
        let longest = Duration::from_millis(self.params.max_wait_ms);
        let mut wait = Duration::from_millis(self.params.first_wait_ms);
        let mut attempt = 1;
        loop {
            match self.attempt(texts) {
                Ok(answer) => return self.checked(answer, texts.len()),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing { detail, .. }) if attempt >= self.params.max_attempts => {
                    return Err(Error::Unreachable { url: self.url.clone(), attempts: attempt, detail });
                }
                Err(Failure::Passing { retry_after, .. }) => {
                    // A back-off, not a race: waking up early does no harm.
                    std::thread::park_timeout(wait.max(retry_after.unwrap_or_default()).min(longest));
                    wait = (wait * 2).min(longest);
                    attempt += 1;
                }
            }
        }
    }

    fn attempt(&self, texts: &[&str]) -> Result<Answer, Failure> {
        let passing = |error: client::Error| Failure::Passing { detail: in_full(&error), retry_after: None };
        let asked = serde_json::json!({ "model": self.model, "input": texts, "encoding_format": "float" });
        let mut request = client::post_json(&asked);
        if let Some(bearer) =
            client::bearer(self.params.token.reveal()).filter(|_| !self.params.token.is_empty())
        {
            request.headers_mut().insert(AUTHORIZATION, bearer);
        }
        let answer = self.client.exchange(&self.address, request, MOST_BYTES).map_err(passing)?;
        let status = answer.status.as_u16();
        if status == 200 {
            return serde_json::from_slice(&answer.body).map_err(|error| {
                let found = format!("no such JSON ({error})");
                Failure::Final(self.misfit(&found, "{\"data\": [{\"index\": 0, \"embedding\": […]}]}"))
            });
        }
        let seconds = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let detail: String = String::from_utf8_lossy(&answer.body).chars().take(300).collect();
        // 500 is also how some servers refuse a single text.
        match status {
            408 | 425 | 429 | 502.. => Err(Failure::Passing {
                detail: format!("status {status}, {detail}"),
                retry_after: seconds.map(Duration::from_secs),
            }),
            _ => Err(Failure::Final(Error::Refused { url: self.url.clone(), status, detail })),
        }
    }

    /// The answer in the texts' order, if it has an embedding of the right length for each.
    fn checked(&self, mut answer: Answer, texts: usize) -> Result<Answer, Error> {
        answer.data.sort_by_key(|item| item.index);
        if answer.data.len() != texts || answer.data.iter().enumerate().any(|(at, item)| item.index != at) {
            let found = format!("{} embeddings", answer.data.len());
            return Err(self.misfit(&found, &format!("one for each of {texts} texts")));
        }
        let lengths = answer.data.iter().map(|item| item.embedding.len());
        let other = lengths.into_iter().find(|length| self.dim > 0 && *length != self.dim);
        if let Some(length) = other {
            return Err(self.misfit(&format!("{length} numbers"), &format!("{}, as before", self.dim)));
        }
        // Beyond its square an `f32` is infinite: such a row has no direction either.
        let squares = answer.data.iter().map(|item| item.embedding.iter().map(|x| x * x).sum::<f32>());
        if squares.into_iter().any(|square| !square.is_normal()) {
            return Err(
                self.misfit("an embedding of zeros or of infinite numbers", "one that has a direction")
            );
        }
        Ok(answer)
    }

    fn misfit(&self, found: &str, expected: &str) -> Error {
        Error::Answer { url: self.url.clone(), found: found.to_owned(), expected: expected.to_owned() }
    }
}

impl Backend for Remote {
    /// Some threads share the requests; the first error ends them all.
    fn run(&self, texts: &[&str]) -> Result<Run, Error> {
        let requests: Vec<&[&str]> = texts.chunks(self.params.batch_texts).collect();
        let next = AtomicUsize::new(0);
        let answers = Mutex::new(Vec::with_capacity(requests.len()));
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(request) = requests.get(at) else { return };
                let answer = self.ask(request);
                if answer.is_err() {
                    next.store(requests.len(), Ordering::Relaxed);
                }
                answers.lock().unwrap_or_else(PoisonError::into_inner).push((at, answer));
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.params.concurrency.min(requests.len()) {
                scope.spawn(work);
            }
            work();
        });
        let mut run = Run::new(texts.len(), self.dim);
        for (at, answer) in answers.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let answer = answer?;
            run.tokens += answer.usage.and_then(|usage| usage.prompt_tokens).unwrap_or_default();
            for item in answer.data {
                let row = at * self.params.batch_texts + item.index;
                run.rows.row_mut(row).assign(&ArrayView1::from(&item.embedding));
            }
        }
        Ok(run)
    }
}
