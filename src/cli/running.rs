//! The daemon that has the state open, asked over HTTP.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::http::Request;
use crate::client::http::header::AUTHORIZATION;
use crate::client::{self, Address, Client, Patience};
use crate::config::Config;
use crate::http::INSTANCE;
use crate::secret::Secret;
use crate::store::announcement::{self, Announcement};

/// How long the daemon may say nothing; an order that rewrites the state takes a while.
const PATIENCE: Duration = Duration::from_mins(5);
/// Bytes of an answer: the export of a large model.
const MOST_BYTES: u64 = 4 << 30;

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

    fn answer(
        &self,
        path: &str,
        query: &[(&str, &str)],
        mut request: Request<Vec<u8>>,
    ) -> anyhow::Result<Value> {
        let url = format!("{}/api/{path}", self.base);
        let bearer = client::bearer(self.token.reveal()).filter(|_| !self.token.is_empty());
        request.headers_mut().extend(bearer.map(|bearer| (AUTHORIZATION, bearer)));
        let client = Client::new(Patience::Step(PATIENCE));
        let address = Address::parse(&url)?.with_query(query)?;
        let answer = client.exchange(&address, request, MOST_BYTES).with_context(|| {
            format!(
                "the state is in use by another process, but no daemon answers at `{url}`; stop that process, or set \
                 `http.listen` to the daemon's address"
            )
        })?;
        let found = answer.headers.get(INSTANCE).and_then(|instance| instance.to_str().ok());
        ensure!(
            self.instance.is_none() || self.instance.as_deref() == found,
            "the daemon at `{}` has another state than this one, which another process has open; wait for that, or stop it",
            self.base
        );
        let told: Option<Value> = serde_json::from_slice(&answer.body).ok();
        match told {
            Some(told) if answer.status.is_success() => Ok(told),
            Some(told) => bail!("{}", told["detail"].as_str().unwrap_or("the daemon refused")),
            None => bail!("`{url}` answered {} and no JSON; is a topicd there?", answer.status),
        }
    }
}
