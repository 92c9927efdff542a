//! Who answers a question about the topics, or carries out an order: the state on disk, or the daemon that has it open.

use std::sync::Arc;

use anyhow::{Context, bail};
use serde_json::json;

use crate::bertopic::write::Export;
use crate::cli::Settings;
use crate::cli::running::Running;
use crate::config::Config;
use crate::embed::Embedder;
use crate::model::breakdown::{self, Breakdown};
use crate::model::documents::{Page, Wanted};
use crate::model::explain::{Explanation, Subject, explain};
use crate::model::hierarchy::{Node, hierarchy};
use crate::model::operate::{Action, Refusal};
use crate::model::over_time::{ByTime, OverTime};
use crate::model::profile::calendar::Unit;
use crate::model::refit::report::Report;
use crate::model::state::State;
use crate::model::state::diff::Diff;
use crate::model::topic::TopicId;
use crate::model::version::TopicModel;
use crate::pipeline::operator;
use crate::record::answer::{self, AssignedRecord, FoundRecord};
use crate::record::notification::{Chosen, NotificationsRecord};
use crate::record::topic::{TopicRecord, TopicsRecord};
use crate::record::version::{ArchivedRecord, OperatedRecord, VersionRecord};
use crate::store::{self, Store};
use crate::telemetry::Telemetry;
use crate::transport::command::Operated;
use crate::transport::embedded::Outputs;

/// Texts in one question to the daemon.
const TEXTS: usize = 500;
/// Bytes of them, unless one alone has more.
const BYTES: usize = 2 << 20;

/// The answering party.
pub(super) enum Answers<'a> {
    /// Nobody else has the state open.
    State(Box<Here<'a>>),
    /// A running daemon.
    Daemon(Running),
}

/// What topics are looked for by.
#[derive(Debug)]
pub(super) enum Asked {
    /// A text.
    Text(String),
    /// The id of a kept document.
    Document(String),
    /// A word.
    Keyword(String),
}

/// The state in this process.
pub(super) struct Here<'a> {
    config: &'a Config,
    store: Store,
    state: State,
    model: TopicModel,
    encoder: String,
}

impl<'a> Answers<'a> {
    /// Finds out who can answer.
    pub(super) fn find(settings: &Settings, config: &'a Config) -> anyhow::Result<Self> {
        if let Some(url) = &settings.url {
            return Ok(Self::Daemon(Running::at(url, config)?));
        }
        match Store::open_existing(&config.state.directory, config.bounds.seen) {
            Ok((store, identity)) => {
                let (state, _) = store.load(identity.dim, config.bounds)?;
                let model = state.model()?;
                Ok(Self::State(Box::new(Here { config, store, state, model, encoder: identity.encoder })))
            }
            Err(store::Error::Locked { .. }) => Ok(Self::Daemon(Running::of(config)?)),
            Err(error @ store::Error::Empty { .. }) => match Running::named(config)? {
                Some(running) => Ok(Self::Daemon(running)),
                None => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn topics(&self) -> anyhow::Result<TopicsRecord> {
        match self {
            Self::State(here) => Ok(TopicsRecord::new(&here.model, &here.state.overview())),
            Self::Daemon(running) => running.got("topics", &[], None),
        }
    }

    /// The topics by the values of a field.
    pub(super) fn breakdown(&self, wanted: &breakdown::Wanted) -> anyhow::Result<Breakdown> {
        match self {
            Self::State(here) => Ok(here.state.breakdown(wanted)?),
            Self::Daemon(running) => {
                let values = wanted.values.to_string();
                let condition = wanted.r#where.as_ref().map(ToString::to_string);
                let mut query = vec![("values", &*values)];
                query.extend(wanted.by.as_deref().map(|by| ("by", by)));
                query.extend(condition.as_deref().map(|condition| ("where", condition)));
                running.got("v1/topics", &query, None)
            }
        }
    }

    /// The topic `id`, or the one that took it in.
    pub(super) fn topic(&self, id: TopicId) -> anyhow::Result<TopicRecord> {
        match self {
            Self::State(here) => {
                let living = here.state.whereabouts(id)?;
                let topics = TopicsRecord::new(&here.model, &here.state.overview()).topics;
                let found = topics.into_iter().find(|topic| topic.id == living.0);
                Ok(found.ok_or(Refusal::NoTopic { topic: id })?)
            }
            Self::Daemon(running) => running.got(&format!("topics/{id}"), &[], None),
        }
    }

    pub(super) fn nearest(&self, asked: &Asked, limit: usize) -> anyhow::Result<Vec<FoundRecord>> {
        match self {
            Self::State(here) => here.nearest(asked, limit),
            Self::Daemon(running) => {
                let (key, value) = match asked {
                    Asked::Text(text) => ("q", text),
                    Asked::Document(id) => ("document", id),
                    Asked::Keyword(term) => ("keyword", term),
                };
                let mut answer = running.post("find", &json!({ key: value, "limit": limit }))?;
                Ok(serde_json::from_value(answer["topics"].take())?)
            }
        }
    }

    pub(super) fn assign(&self, texts: &[&str]) -> anyhow::Result<Vec<AssignedRecord>> {
        match self {
            Self::State(here) => Ok(answer::assigned(
                &here.model,
                &here.open()?.embed(texts)?.rows,
                &here.config.parameters.assign,
            )),
            Self::Daemon(running) => {
                let mut assigned = Vec::with_capacity(texts.len());
                for texts in portions(texts) {
                    let asked = json!({ "texts": texts });
                    let mut answer = running.post("assign", &asked)?;
                    assigned
                        .extend(serde_json::from_value::<Vec<AssignedRecord>>(answer["assigned"].take())?);
                }
                Ok(assigned)
            }
        }
    }

    pub(super) fn documents(&self, wanted: &Wanted) -> anyhow::Result<Page> {
        match self {
            Self::State(here) => Ok(here.state.documents(wanted)?),
            Self::Daemon(running) => {
                let (page, limit) = (wanted.page.to_string(), wanted.limit.to_string());
                let topic = wanted.topic.map(|id| id.to_string());
                let mut query = vec![("q", &*wanted.q), ("page", &page), ("limit", &limit)];
                query.extend(wanted.nearest.then_some(("nearest", "true")));
                query.extend(topic.as_deref().map(|id| ("topic", id)));
                let condition = wanted.r#where.as_ref().map(ToString::to_string);
                query.extend(condition.as_deref().map(|condition| ("where", condition)));
                running.got("v1/documents", &query, None)
            }
        }
    }

    pub(super) fn explain(&self, id: &str) -> anyhow::Result<Explanation> {
        match self {
            Self::State(here) => {
                let subject = here.state.subject(id).with_context(|| {
                    format!("document `{id}` is not kept; give its text instead: echo \"its text\" | topicd explain -")
                })?;
                here.explain(&subject)
            }
            Self::Daemon(running) => running.got("explain", &[("id", id)], None),
        }
    }

    pub(super) fn explain_text(&self, text: &str) -> anyhow::Result<Explanation> {
        match self {
            Self::State(here) => {
                let embedding = Arc::from(here.open()?.embed(&[text])?.rows.row(0));
                let words = here.config.keywords.tokenizer().count(text);
                here.explain(&Subject { embedding, words, id: None })
            }
            Self::Daemon(running) => {
                let answer = running.post("explain", &json!({ "text": text }))?;
                Ok(serde_json::from_value(answer)?)
            }
        }
    }

    pub(super) fn hierarchy(&self) -> anyhow::Result<Vec<Node>> {
        match self {
            Self::State(here) => Ok(hierarchy(here.model.topics.values())),
            Self::Daemon(running) => running.got("hierarchy", &[], Some("nodes")),
        }
    }

    pub(super) fn over_time(&self) -> anyhow::Result<OverTime> {
        match self {
            Self::State(here) => Ok(here.state.over_time(&here.config.parameters.keywords)),
            Self::Daemon(running) => running.got("over-time", &[], None),
        }
    }

    pub(super) fn by_time(&self, by: Unit) -> anyhow::Result<ByTime> {
        match self {
            Self::State(here) => Ok(here.state.by_time(by)),
            Self::Daemon(running) => running.got("over-time", &[("by", by.name())], None),
        }
    }

    pub(super) fn versions(&self) -> anyhow::Result<Vec<VersionRecord>> {
        match self {
            Self::State(here) => Ok(VersionRecord::all(&here.state)),
            Self::Daemon(running) => running.got("versions", &[], Some("versions")),
        }
    }

    /// The topics of a kept version.
    pub(super) fn version(&self, number: u64) -> anyhow::Result<ArchivedRecord> {
        match self {
            Self::State(here) => Ok(ArchivedRecord::new(here.state.archived(Some(number))?)),
            Self::Daemon(running) => running.got(&format!("versions/{number}"), &[], None),
        }
    }

    pub(super) fn diff(&self, from: u64, to: u64) -> anyhow::Result<Diff> {
        match self {
            Self::State(here) => Ok(here.state.compare(from, to)?),
            Self::Daemon(running) => {
                running.got("diff", &[("from", &from.to_string()), ("to", &to.to_string())], None)
            }
        }
    }

    pub(super) fn refits(&self) -> anyhow::Result<Vec<Report>> {
        match self {
            Self::State(here) => {
                Ok(here.state.news().reports.iter().map(|report| Report::clone(report)).collect())
            }
            Self::Daemon(running) => running.got("refits", &[], Some("refits")),
        }
    }

    /// What has become of the events that the webhook is to receive.
    pub(super) fn notifications(&self) -> anyhow::Result<NotificationsRecord> {
        match self {
            Self::State(here) => Ok(here.store.notifications()?),
            Self::Daemon(running) => running.got("v1/notifications", &[], None),
        }
    }

    /// Has events sent again that were given up; how many.
    pub(super) fn send_again(self, chosen: &Chosen) -> anyhow::Result<usize> {
        match self {
            Self::State(mut here) => {
                here.refuse_copy()?;
                let (events, writes) = here.store.prepare_again(chosen, crate::pipeline::now_ms())??;
                here.store.apply(writes)?;
                Ok(events)
            }
            Self::Daemon(running) => {
                let mut answer = running.post("v1/notifications/retry", &serde_json::to_value(chosen)?)?;
                Ok(serde_json::from_value(answer["again"].take())?)
            }
        }
    }

    pub(super) fn export(&self) -> anyhow::Result<Export> {
        match self {
            Self::State(here) => Ok(Export::of(&here.state)),
            Self::Daemon(running) => running.got("export", &[], None),
        }
    }

    /// Carries out an operator's action; it is on disk when this returns.
    pub(super) fn operate(self, action: &Action) -> anyhow::Result<OperatedRecord> {
        match self {
            Self::State(here) => here.operate(action),
            Self::Daemon(running) => {
                let answer = running.post("operate", &serde_json::to_value(action)?)?;
                Ok(serde_json::from_value(answer)?)
            }
        }
    }
}

/// `texts` in questions that the daemon takes.
fn portions<'t>(texts: &'t [&'t str]) -> impl Iterator<Item = &'t [&'t str]> {
    let (mut count, mut bytes) = (1, texts.first().map_or(0, |first| first.len()));
    texts.chunk_by(move |_, next| {
        (count, bytes) = (count + 1, bytes + next.len());
        let fits = count <= TEXTS && bytes <= BYTES;
        if !fits {
            (count, bytes) = (1, next.len());
        }
        fits
    })
}

impl Here<'_> {
    /// The configured encoder, if it is the one that made the state.
    fn open(&self) -> anyhow::Result<Embedder> {
        let embedder = Embedder::open(&self.config.embed)?;
        if embedder.name() != self.encoder {
            bail!(
                "the state was made with encoder `{}`, not `{}`; set `embed.model` to the one that made it",
                self.encoder,
                embedder.name()
            );
        }
        Ok(embedder)
    }

    fn nearest(&self, asked: &Asked, limit: usize) -> anyhow::Result<Vec<FoundRecord>> {
        Ok(match asked {
            Asked::Text(text) => {
                let rows = self.open()?.embed_queries(&[text])?.rows;
                answer::find(&self.model, rows.row(0), limit)
            }
            Asked::Document(id) => {
                let subject = self.state.subject(id).with_context(|| answer::not_kept(id))?;
                answer::find(&self.model, &subject.embedding, limit)
            }
            Asked::Keyword(term) => {
                let topics = self.state.topics_of(term, &self.config.parameters.keywords, limit);
                answer::found(&self.model, topics.into_iter().map(|(id, score)| (id, score as f32)))
            }
        })
    }

    fn explain(&self, subject: &Subject) -> anyhow::Result<Explanation> {
        let parameters = &self.config.parameters;
        Ok(explain(&self.state, &self.model, subject, &parameters.assign, &parameters.keywords)?)
    }

    /// What is written here alone would be lost where the state stands in Kafka.
    fn refuse_copy(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.config.kafka.is_none(),
            "the state stands in Kafka; start the modeler, and ask it over http"
        );
        Ok(())
    }

    /// As the modeler does it: outputs first, then state, checkpoint and the outputs' lengths in one batch.
    fn operate(mut self, action: &Action) -> anyhow::Result<OperatedRecord> {
        self.refuse_copy()?;
        let mut checkpoint = self.store.checkpoint()?;
        let mut outputs = Outputs::open(&self.config.output, &checkpoint, &Telemetry::new()?)?;
        let rules = self.config.parameters.rules();
        let operation = self.state.operate(action, rules, crate::pipeline::now_ms())?;
        checkpoint.merge(&outputs.deliver(operator::records(&operation))?);
        self.store.commit(&operation.change, &checkpoint, self.config.webhook.is_some())?;
        if self.store.is_marked()? {
            let directory = self.config.state.directory.clone();
            drop(self.store);
            // Opening it rewrites the files.
            Store::open_existing(&directory, self.config.bounds.seen)?;
        }
        let Operated { version, summary, moved, held } = operator::operated(&operation);
        Ok(OperatedRecord { version, summary, moved, held })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_has_so_many_texts_and_bytes() {
        let sizes = |texts: &[&str]| portions(texts).map(<[&str]>::len).collect::<Vec<_>>();
        assert_eq!(sizes(&vec!["a"; 1200]), [500, 500, 200]);
        let long = "x".repeat(BYTES / 4);
        assert_eq!(sizes(&[long.as_str(); 9]), [4, 4, 1]);
        assert_eq!(sizes(&["x".repeat(3 * BYTES).as_str(), "a", "b"]), [1, 2]);
        assert!(sizes(&[]).is_empty());
    }
}
