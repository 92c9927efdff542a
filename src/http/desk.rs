//! Where questions about the state are worked out: beside the modeler, from the state at one moment.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::StatusCode;
use serde_json::json;
use tokio::sync::{Mutex, Semaphore};

use super::Sources;
use super::api::ask;
use super::passage::busy;
use super::problem::Failure;
use crate::embed::{self, Embedded, Embedder};
use crate::kernel::unit::UnitRows;
use crate::model::hierarchy::hierarchy;
use crate::model::state::State;
use crate::model::version::TopicModel;
use crate::transport::command::{Command, Moment};

/// Questions that are worked out at the same time. Each may take a core for a while, and a copy of the state.
const AT_ONCE: usize = 2;
/// Questions whose texts are embedded at the same time, beside the stream. Each takes the memory of a batch.
const EMBEDDED_AT_ONCE: usize = 2;
/// Questions whose texts wait for that.
const MOST_EMBEDDED: usize = 16;

/// Bounds the work, and remembers the last answers, as JSON, to what everybody asks in the same words.
#[derive(Debug)]
pub struct Desk {
    free: Arc<Semaphore>,
    /// Before the encoder.
    queue: Arc<Semaphore>,
    encoder: Arc<Semaphore>,
    /// Of this version.
    hierarchy: Mutex<Option<(Arc<TopicModel>, Bytes)>>,
    /// At the moment of this number.
    over_time: Mutex<Option<(u64, Bytes)>>,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            free: Arc::new(Semaphore::new(AT_ONCE)),
            queue: Arc::new(Semaphore::new(EMBEDDED_AT_ONCE + MOST_EMBEDDED)),
            encoder: Arc::new(Semaphore::new(EMBEDDED_AT_ONCE)),
            hierarchy: Mutex::default(),
            over_time: Mutex::default(),
        }
    }
}

/// As what texts are embedded: documents or queries.
pub(super) type Embed = fn(&Embedder, &[&str]) -> Result<Embedded, embed::Error>;

impl Desk {
    /// The embeddings of `texts`, or a refusal if too many others wait for theirs.
    pub(super) async fn embed(
        &self,
        embedder: &Arc<Embedder>,
        texts: Vec<String>,
        embed: Embed,
    ) -> Result<UnitRows, Failure> {
        let place = self
            .queue
            .clone()
            .try_acquire_owned()
            .map_err(|_| busy("too many texts wait for the encoder"))?;
        let turn = self.encoder.clone().acquire_owned().await;
        let embedder = embedder.clone();
        let embedded = run((place, turn), move || {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            embed(&embedder, &texts)
        });
        match embedded.await? {
            Ok(made) => Ok(made.rows),
            Err(error) if error.is_passing() => {
                Err(Failure(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
            }
            Err(error) => Err(Failure(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())),
        }
    }

    /// The answer to `question`, put to the state as it is now.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        sources: &Sources,
        question: impl FnOnce(&State, &TopicModel) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        self.look_at(sources, move |Moment { state, model, .. }| question(state, model)).await
    }

    /// The topics of the version in force as a tree.
    pub(super) async fn hierarchy(&self, sources: &Sources) -> Result<Bytes, Failure> {
        let model = sources.versions.borrow().clone();
        // Who asks while it is made waits here, and finds it made.
        let mut last = self.hierarchy.lock().await;
        if let Some((_, json)) = last.as_ref().filter(|(of, _)| Arc::ptr_eq(of, &model)) {
            return Ok(json.clone());
        }
        let of = model.clone();
        let tree = move || json!({ "version": of.number, "nodes": hierarchy(of.topics.values()) });
        let json = self.work(move || Bytes::from(tree().to_string())).await?;
        *last = Some((model, json.clone()));
        Ok(json)
    }

    /// Topics over time, not older than this call.
    pub(super) async fn over_time(&self, sources: &Sources) -> Result<Bytes, Failure> {
        let asked = sources.overviews.borrow().moment;
        let mut last = self.over_time.lock().await;
        if let Some((_, json)) = last.as_ref().filter(|(moment, _)| *moment >= asked) {
            return Ok(json.clone());
        }
        let keywords = sources.keywords.clone();
        let made = self.look_at(sources, move |Moment { number, state, .. }| {
            (*number, Bytes::from(json!(state.over_time(&keywords)).to_string()))
        });
        let (moment, json) = made.await?;
        *last = Some((moment, json.clone()));
        Ok(json)
    }

    async fn look_at<T: Send + 'static>(
        &self,
        sources: &Sources,
        question: impl FnOnce(&Moment) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        // A moment that is held makes the modeler copy its state: it is asked for when its turn has come.
        let turn = self.free.clone().acquire_owned().await;
        let moment = ask(sources, |reply| Command::Look { reply }).await?;
        run(turn, move || question(&moment)).await
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
        let turn = self.free.clone().acquire_owned().await;
        run(turn, work).await
    }
}

/// Runs `work` on a thread that may block. The turn lasts as long as it does, also when nobody waits for it any more.
async fn run<T: Send + 'static>(
    turn: impl Send + 'static,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let work = move || {
        let _turn = turn;
        work()
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}
