//! A running daemon, asked over HTTP.

use std::io::Read as _;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::client::http::header::AUTHORIZATION;
use crate::client::http::{HeaderMap, Request, StatusCode};
use crate::client::{self, Address, Client, Patience, Trouble};
use crate::config::{self, Config};
use crate::http::INSTANCE;
use crate::secret::Secret;
use crate::store::announcement::{self, Announcement};

/// How long the daemon may say nothing: a little longer than it takes at most.
const PATIENCE: Duration = Duration::from_secs(130);
/// How long the daemon may take to say that it is there.
const GREETING: Duration = Duration::from_secs(4);
/// Bytes of an answer: the export of a large model.
const MOST_BYTES: u64 = 4 << 30;
/// Bytes of an answer that says why not.
const MOST_ERROR_BYTES: u64 = 64 << 10;

/// A running daemon.
pub(super) struct Running {
    /// Scheme, host and port, and a path if it is behind one.
    base: String,
    /// What the daemon of this state calls itself; none if it left no word.
    instance: Option<String>,
    token: Secret,
    client: Client,
    /// What is so if nobody answers, and the way out.
    unanswered: &'static str,
}

impl Running {
    /// The daemon that left its address in the state's folder, else the one at `http.listen`.
    pub(super) fn of(config: &Config) -> anyhow::Result<Self> {
        let (base, instance) = match announcement::read(&config.state.directory) {
            Some(Announcement { url, instance }) => (url, Some(instance)),
            None => (config.http.base(), None),
        };
        let unanswered = "the state is in use by another process, but no daemon answers; stop that process, or set \
                          `http.listen` to the daemon's address";
        Self::new(base, instance, config, unanswered)
    }

    /// The daemon at `url`, wherever its state is.
    pub(super) fn at(url: &str, config: &Config) -> anyhow::Result<Self> {
        Address::parse(url).context("`--url` cannot be used; write it as https://HOST:PORT")?;
        let unanswered = "no daemon answers; is it started, and is `--url` right?";
        Self::new(url.trim_end_matches('/').to_owned(), None, config, unanswered)
    }

    /// The daemon at `http.listen`, if somebody set that and a daemon is there.
    pub(super) fn named(config: &Config) -> anyhow::Result<Option<Self>> {
        if !config.names_daemon() {
            return Ok(None);
        }
        let base = config.http.base();
        let address = Address::parse(&format!("{base}/healthz"))?;
        let client = client(&config.http, &base, Patience::Whole(GREETING))?;
        let greeted = client.exchange(&address, Request::new(Vec::new()), MOST_BYTES);
        let is_there = greeted.is_ok_and(|answer| answer.headers.contains_key(INSTANCE));
        is_there.then(|| Self::new(base, None, config, "the daemon is gone; start it again")).transpose()
    }

    fn new(
        base: String,
        instance: Option<String>,
        config: &Config,
        unanswered: &'static str,
    ) -> anyhow::Result<Self> {
        let client = client(&config.http, &base, Patience::Step(PATIENCE))?;
        Ok(Self { base, instance, token: config.http.token().clone(), client, unanswered })
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
        let (address, order) = self.prepared(path, &[], client::post_json(&json!({})))?;
        let opened = self.client.open(&address, order).map_err(|error| self.failed(&address, error))?;
        let (head, mut body) = opened.into_parts();
        if head.status.is_success() {
            self.recognise(&address, &head.headers)?;
            std::io::copy(&mut body.as_reader(), into).context("the answer broke off")?;
            return Ok(());
        }
        let mut answer = Vec::new();
        body.as_reader().take(MOST_ERROR_BYTES).read_to_end(&mut answer)?;
        self.judge(&address, head.status, &head.headers, &answer).map(drop)
    }

    fn answer(&self, path: &str, query: &[(&str, &str)], request: Request<Vec<u8>>) -> anyhow::Result<Value> {
        let (address, request) = self.prepared(path, query, request)?;
        let answer = self.client.exchange(&address, request, MOST_BYTES);
        let answer = answer.map_err(|error| self.failed(&address, error))?;
        self.judge(&address, answer.status, &answer.headers, &answer.body)
    }

    /// `request` with the token, and where it goes.
    fn prepared(
        &self,
        path: &str,
        query: &[(&str, &str)],
        mut request: Request<Vec<u8>>,
    ) -> anyhow::Result<(Address, Request<Vec<u8>>)> {
        let bearer = client::bearer(self.token.reveal()).filter(|_| !self.token.is_empty());
        request.headers_mut().extend(bearer.map(|bearer| (AUTHORIZATION, bearer)));
        Ok((Address::parse(&format!("{}/api/{path}", self.base))?.with_query(query)?, request))
    }

    /// What it means that there is no answer.
    fn failed(&self, address: &Address, error: client::Error) -> anyhow::Error {
        let origin = address.origin();
        let why = match error.trouble() {
            Trouble::Late => format!(
                "the daemon at `{origin}` gave no answer within {} s; it hangs or has too much to do: its log says more",
                PATIENCE.as_secs()
            ),
            Trouble::Tls => format!(
                "`{origin}` cannot be trusted, or speaks no TLS; set `http.tls_certificate` to the daemon's certificate, \
                 or write http:// if it has none"
            ),
            Trouble::Away | Trouble::Other => format!("`{origin}`: {}", self.unanswered),
        };
        anyhow::Error::from(error).context(why)
    }

    /// The answer's value, if it is one of this daemon and no refusal.
    fn judge(
        &self,
        address: &Address,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> anyhow::Result<Value> {
        let origin = address.origin();
        let told: Value = serde_json::from_slice(body).unwrap_or_default();
        let detail = told["detail"].as_str();
        if !headers.contains_key(INSTANCE) {
            let detail = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
            bail!("`{origin}` answered {status}{detail}; is a topicd there?");
        }
        self.recognise(address, headers)?;
        match status {
            _ if status.is_success() => Ok(told),
            StatusCode::UNAUTHORIZED => bail!(
                "the daemon at `{origin}` {}; set `http.read_token` or `http.write_token` to one of its tokens, or \
                 TOPICD_HTTP__WRITE_TOKEN_FILE to a file with it",
                if self.token.is_empty() { "asks for a token" } else { "refuses this token" }
            ),
            StatusCode::MISDIRECTED_REQUEST => bail!(
                "the daemon at `{origin}` does not go by this name; add it to `http.hosts` in the daemon's \
                 configuration, or ask it by its IP address"
            ),
            _ => bail!("{}", detail.unwrap_or("the daemon refused")),
        }
    }

    /// Refuses the answer of another state's daemon.
    fn recognise(&self, address: &Address, headers: &HeaderMap) -> anyhow::Result<()> {
        let found = headers.get(INSTANCE).map(client::http::HeaderValue::as_bytes);
        ensure!(
            self.instance.is_none() || self.instance.as_deref().map(str::as_bytes) == found,
            "the daemon at `{}` has another state than this one, which another process has open; wait for that, or stop it",
            address.origin()
        );
        Ok(())
    }
}

/// A client for a daemon at `base`.
#[cfg_attr(not(feature = "https"), expect(clippy::unnecessary_wraps, unused_variables))]
pub(super) fn client(http: &config::Http, base: &str, patience: Patience) -> anyhow::Result<Client> {
    #[cfg(feature = "https")]
    if let Some(certificate) = http.certificate().filter(|_| base.starts_with("https:")) {
        let trusted = fs_err::read(certificate)
            .map_err(anyhow::Error::from)
            .and_then(|pem| Ok(Client::trusting(patience, &pem)?));
        return trusted.with_context(|| {
            format!(
                "`{}` cannot be read; set `http.tls_certificate` to the daemon's certificate",
                certificate.display()
            )
        });
    }
    Ok(Client::new(patience))
}
