//! Who answers a question about the topics: the state on disk, or the daemon that has it open.

use std::sync::Arc;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::cli::block_on;
use crate::config::Config;
use crate::embed::Embedder;
use crate::model::state::overview::Overview;
use crate::model::version::TopicModel;
use crate::record::answer::{self, AssignedRecord, FoundRecord};
use crate::record::topic::TopicsRecord;
use crate::store::{self, Store};

/// Texts in one question to the daemon.
const TEXTS: usize = 500;

/// The answering party.
pub(super) enum Answers<'a> {
    /// Nobody else has the state open.
    State { config: &'a Config, model: Box<TopicModel>, overview: Arc<Overview>, encoder: String },
    /// A running daemon.
    Daemon { base: String },
}

impl<'a> Answers<'a> {
    /// Finds out who can answer.
    pub(super) fn find(config: &'a Config) -> anyhow::Result<Self> {
        match Store::open_existing(&config.state.directory, config.bounds.seen) {
            Ok((store, identity)) => {
                let (state, _) = store.load(identity.dim, config.bounds)?;
                let (model, overview) = (Box::new(state.model()?), Arc::new(state.overview()));
                Ok(Self::State { config, model, overview, encoder: identity.encoder })
            }
            Err(store::Error::Locked { .. }) => {
                Ok(Self::Daemon { base: format!("http://{}", config.http.listen) })
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn topics(&self) -> anyhow::Result<TopicsRecord> {
        match self {
            Self::State { model, overview, .. } => Ok(TopicsRecord::new(model, overview)),
            Self::Daemon { base } => Ok(serde_json::from_value(get(format!("{base}/api/topics"))?)?),
        }
    }

    pub(super) fn nearest(&self, text: &str, limit: usize) -> anyhow::Result<Vec<FoundRecord>> {
        match self {
            Self::State { config, model, encoder, .. } => {
                let embedder = open(config, encoder)?;
                let rows = embedder.embed_queries(&[text])?.rows;
                Ok(answer::find(model, rows.row(0), limit))
            }
            Self::Daemon { base } => {
                let mut url = reqwest::Url::parse(&format!("{base}/api/find"))?;
                url.query_pairs_mut().append_pair("q", text).append_pair("limit", &limit.to_string());
                let mut answer = get(url.into())?;
                Ok(serde_json::from_value(answer["topics"].take())?)
            }
        }
    }

    pub(super) fn assign(&self, texts: &[&str]) -> anyhow::Result<Vec<AssignedRecord>> {
        match self {
            Self::State { config, model, encoder, .. } => {
                let rows = open(config, encoder)?.embed(texts)?.rows;
                Ok(answer::assigned(model, &rows, &config.parameters.assign))
            }
            Self::Daemon { base } => {
                let mut assigned = Vec::with_capacity(texts.len());
                for texts in texts.chunks(TEXTS) {
                    let asked = serde_json::json!({ "texts": texts });
                    let mut answer = post(format!("{base}/api/assign"), &asked)?;
                    assigned
                        .extend(serde_json::from_value::<Vec<AssignedRecord>>(answer["assigned"].take())?);
                }
                Ok(assigned)
            }
        }
    }
}

/// The configured encoder, if it is the one that made the state.
fn open(config: &Config, encoder: &str) -> anyhow::Result<Embedder> {
    let embedder = Embedder::open(&config.embed)?;
    if embedder.name() != encoder {
        bail!(
            "the state was made with encoder `{encoder}`, not `{}`; set `embed.model` to the one that made it",
            embedder.name()
        );
    }
    Ok(embedder)
}

fn get(url: String) -> anyhow::Result<Value> {
    block_on(async move { answer_of(&url, reqwest::Client::new().get(&url)).await })
}

fn post(url: String, body: &Value) -> anyhow::Result<Value> {
    let request = reqwest::Client::new().post(&url).json(body);
    block_on(async move { answer_of(&url, request).await })
}

async fn answer_of(url: &str, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
    let why = || {
        format!(
            "the state is in use by another process, but no daemon answers at `{url}`; set `http.listen` to the daemon's address"
        )
    };
    let response = request.send().await.with_context(why)?;
    let status = response.status();
    let answer: Value = response.json().await.with_context(why)?;
    if !status.is_success() {
        bail!("{}", answer["error"].as_str().unwrap_or("the daemon refused"));
    }
    Ok(answer)
}
