//! The daemon that has the state open, asked over HTTP.

use std::io::Read as _;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::client::http::header::AUTHORIZATION;
use crate::client::http::{HeaderMap, Request, StatusCode};
use crate::client::{self, Address, Client, Patience};
use crate::config::Config;
use crate::http::INSTANCE;
use crate::secret::Secret;
use crate::store::announcement::{self, Announcement};

/// How long the daemon may say nothing; an order that rewrites the state takes a while.
const PATIENCE: Duration = Duration::from_mins(5);
/// Bytes of an answer: the export of a large model.
const MOST_BYTES: u64 = 4 << 30;
/// Bytes of an answer that says why not.
const MOST_ERROR_BYTES: u64 = 64 << 10;

/// A running daemon.
pub(super) struct Running {
    base: String,
    /// What the daemon of this state calls itself; none if it left no word.
    instance: Option<String>,
    token: Secret,
}

impl Running {
    /// The daemon that left its address in the state's folder, else the one at `http.listen`.
    pub(super) fn of(config: &Config) -> Self {
        let (base, instance) = match announcement::read(&config.state.directory) {
            Some(Announcement { url, instance }) => (url, Some(instance)),
            None => (config.http.base(), None),
        };
        Self { base, instance, token: config.http.token().clone() }
    }

    /// The answer to `/api/{path}?{query}`, or what it has under `key`.
    pub(super) fn got<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        key: Option<&str>,
    ) -> anyhow::Result<T> {
        let mut answer = self.answer(path, query, Request::new(Vec::new()))?;
        let answer = match key {
            Some(key) => answer[key].take(),
            None => answer,
        };
        Ok(serde_json::from_value(answer)?)
    }

    /// The answer to `body`, posted to `/api/{path}`.
    pub(super) fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.answer(path, &[], client::post_json(body))
    }

    /// Writes the answer to an order without particulars, posted to `/api/{path}`, into `into`.
    pub(super) fn save(&self, path: &str, into: &mut impl std::io::Write) -> anyhow::Result<()> {
        let (client, address, order) = self.prepared(path, &[], client::post_json(&json!({})))?;
        let (head, mut body) = client.open(&address, order).with_context(|| self.nobody(path))?.into_parts();
        self.recognise(&head.headers)?;
        if head.status.is_success() {
            std::io::copy(&mut body.as_reader(), into).context("the answer broke off")?;
            return Ok(());
        }
        let mut answer = Vec::new();
        body.as_reader().take(MOST_ERROR_BYTES).read_to_end(&mut answer)?;
        self.told(path, head.status, &answer).map(drop)
    }

    fn answer(&self, path: &str, query: &[(&str, &str)], request: Request<Vec<u8>>) -> anyhow::Result<Value> {
        let (client, address, request) = self.prepared(path, query, request)?;
        let answer = client.exchange(&address, request, MOST_BYTES).with_context(|| self.nobody(path))?;
        self.recognise(&answer.headers)?;
        self.told(path, answer.status, &answer.body)
    }

    /// `request` with the token, and where it goes.
    fn prepared(
        &self,
        path: &str,
        query: &[(&str, &str)],
        mut request: Request<Vec<u8>>,
    ) -> anyhow::Result<(Client, Address, Request<Vec<u8>>)> {
        let bearer = client::bearer(self.token.reveal()).filter(|_| !self.token.is_empty());
        request.headers_mut().extend(bearer.map(|bearer| (AUTHORIZATION, bearer)));
        let address = Address::parse(&self.url(path))?.with_query(query)?;
        Ok((Client::new(Patience::Step(PATIENCE)), address, request))
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/{path}", self.base)
    }

    fn nobody(&self, path: &str) -> String {
        format!(
            "the state is in use by another process, but no daemon answers at `{}`; stop that process, or set \
             `http.listen` to the daemon's address",
            self.url(path)
        )
    }

    /// Refuses the answer of another state's daemon.
    fn recognise(&self, headers: &HeaderMap) -> anyhow::Result<()> {
        let found = headers.get(INSTANCE).and_then(|instance| instance.to_str().ok());
        ensure!(
            self.instance.is_none() || self.instance.as_deref() == found,
            "the daemon at `{}` has another state than this one, which another process has open; wait for that, or stop it",
            self.base
        );
        Ok(())
    }

    fn told(&self, path: &str, status: StatusCode, answer: &[u8]) -> anyhow::Result<Value> {
        let told: Option<Value> = serde_json::from_slice(answer).ok();
        match told {
            Some(told) if status.is_success() => Ok(told),
            Some(told) => bail!("{}", told["detail"].as_str().unwrap_or("the daemon refused")),
            None => bail!("`{}` answered {status} and no JSON; is a topicd there?", self.url(path)),
        }
    }
}
