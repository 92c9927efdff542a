//! Describes topics beside the stream: embeds candidate words and reranks them, and asks the chat endpoint for labels.
//!
//! It waits for a version, asks the modeler for a picture of the state, and sends back what it made, local lists at
//! once and labels as they come. Nobody waits for it: words are embedded a few at a time, so that documents are not
//! held up, and a topic keeps its name from keywords while the endpoint is down or the hour's requests are used up.

mod chains;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub use self::chains::{Chains, Words};
use crate::label::budget::Budget;
use crate::label::chat::{Chat, Next};
use crate::label::prompt::{Matter, Question};
use crate::model::state::describe::{Description, Picture, Subject, Wanted};
use crate::model::topic::{Label, TopicId};
use crate::model::version::TopicModel;
use crate::telemetry::Telemetry;
use crate::transport::command::{self, Command, NoModeler};

/// Labels that are published together while more are to come.
const LABELS: usize = 16;
/// The wait before lists are made again that could not be made.
const AGAIN: Duration = Duration::from_mins(1);

/// Describes the topics of each version.
#[derive(Clone)]
pub struct Describer {
    /// What is wanted.
    pub wanted: Arc<Wanted>,
    /// The local chains.
    pub chains: Arc<Chains>,
    /// The chat endpoint, if labels are wanted.
    pub chat: Option<Chat>,
    /// The version in force.
    pub versions: watch::Receiver<Arc<TopicModel>>,
    /// The way to the modeler.
    pub commands: mpsc::Sender<Command>,
    /// The last version of which nothing is left to do, but for labels that are put off.
    pub described: watch::Sender<u64>,
    /// Where is counted and logged.
    pub telemetry: Telemetry,
}

/// Why the describer stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A worker thread panicked.
    #[error("topics could not be described")]
    Worker(#[from] tokio::task::JoinError),
}

/// What goes from one round to the next.
struct Progress {
    words: Words,
    budget: Option<Budget>,
    /// The version whose lists are made.
    listed: Option<u64>,
    /// Topics about which the endpoint says nothing of use, with the version; they wait for the next one.
    mute: BTreeSet<(u64, TopicId)>,
}

/// How a round of labels ended.
enum Round {
    /// Every question was answered, or given up for the topic's own fault.
    Done,
    /// The endpoint fails, or the budget is used up: to be tried again after this.
    Later(Duration),
}

impl Describer {
    /// Runs until `stop` or until the modeler has gone.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let budget = self.chat.as_ref().map(|chat| Budget::new(chat.settings().requests_per_hour));
        let mut progress = Progress { words: Words::default(), budget, listed: None, mute: BTreeSet::new() };
        loop {
            let version = self.versions.borrow_and_update().number;
            let round = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                round = self.round(version, &mut progress, &stop) => round?,
            };
            let wait = match round {
                Err(NoModeler) => return Ok(()),
                Ok(Round::Done) => None,
                Ok(Round::Later(wait)) => Some(wait),
            };
            self.described.send_replace(version);
            let again = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = again => {}
                changed = self.versions.changed() => if changed.is_err() { return Ok(()) },
            }
        }
    }

    /// Makes the lists of `version`, if that is still to do, and then the labels that are wanted.
    async fn round(
        &self,
        version: u64,
        progress: &mut Progress,
        stop: &CancellationToken,
    ) -> Result<Result<Round, NoModeler>, Error> {
        let Ok(picture) = self.picture().await else { return Ok(Err(NoModeler)) };
        let Some(picture) = picture else { return Ok(Ok(Round::Done)) };
        let lists = progress.listed != Some(version);
        progress.mute.retain(|(of, _)| *of == version);
        let (wanted, chains, stop) = (self.wanted.clone(), self.chains.clone(), stop.clone());
        let mut words = std::mem::take(&mut progress.words);
        let (subjects, made, words) = tokio::task::spawn_blocking(move || {
            let subjects = picture.subjects(&wanted, lists);
            let made = chains.describe(&subjects, &mut words, &|| stop.is_cancelled());
            (subjects, made, words)
        })
        .await?;
        progress.words = words;
        progress.listed = made.is_ok().then_some(version);
        let made = made.unwrap_or_else(|error| {
            self.telemetry.description_failed(&error);
            Vec::new()
        });
        if !made.is_empty() && self.send(made.clone()).await.is_err() {
            return Ok(Err(NoModeler));
        }
        let round = self.labels(version, progress, &subjects, &made).await;
        Ok(round.map(|round| if progress.listed.is_some() { round } else { Round::Later(AGAIN) }))
    }

    /// Asks for the labels that are wanted, one after the other.
    async fn labels(
        &self,
        version: u64,
        progress: &mut Progress,
        subjects: &[Subject],
        made: &[Description],
    ) -> Result<Round, NoModeler> {
        let (Some(chat), Some(budget)) = (&self.chat, &mut progress.budget) else { return Ok(Round::Done) };
        let mut ready = Vec::new();
        let mut round = Round::Done;
        for subject in subjects.iter().filter(|subject| subject.wants_label) {
            if progress.mute.contains(&(version, subject.id)) {
                continue;
            }
            let lists = made.iter().find(|made| made.id == subject.id).and_then(|made| made.lists.as_ref());
            let keywords = lists.and_then(|lists| lists.main.as_ref()).unwrap_or(&subject.keywords);
            let matter = Matter {
                keywords: keywords.iter().map(|keyword| keyword.term.clone()).collect(),
                documents: subject.documents.iter().map(|kept| kept.text.clone()).collect(),
            };
            let question = Question::new(chat.settings(), &matter);
            match self.label(chat, budget, &question, u64::from(subject.id.0)).await {
                Ok(Some((text, summary))) => {
                    let label = Some(Label { text, summary, basis: keywords.clone() });
                    ready.push(Description { id: subject.id, lists: None, label });
                }
                Ok(None) => drop(progress.mute.insert((version, subject.id))),
                Err(wait) => {
                    round = Round::Later(wait);
                    break;
                }
            }
            if ready.len() >= LABELS {
                self.send(std::mem::take(&mut ready)).await?;
            }
        }
        if !ready.is_empty() {
            self.send(ready).await?;
        }
        Ok(round)
    }

    /// A label and its summary; none if the topic is put off; the wait if the endpoint or the budget is at fault.
    async fn label(
        &self,
        chat: &Chat,
        budget: &mut Budget,
        question: &Question,
        seed: u64,
    ) -> Result<Option<(String, String)>, Duration> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            budget.take(Instant::now())?;
            match chat.ask(question, attempt, seed).await {
                Ok(labelled) => {
                    self.telemetry.label_answered();
                    return Ok(Some((labelled.label, labelled.summary)));
                }
                Err(Next::Wait(wait, failure)) => {
                    self.telemetry.label_failed(&failure);
                    tokio::time::sleep(wait).await;
                }
                Err(Next::GiveUp(failure)) => {
                    if failure.is_the_topics() || self.is_refused(chat, budget, question, seed).await? {
                        self.telemetry.label_refused(&failure);
                        return Ok(None);
                    }
                    self.telemetry.labels_postponed(&failure);
                    return Err(chat.settings().max_wait());
                }
            }
        }
    }

    /// True if the endpoint fails at `question`, which has failed, and at no other one: if it fails again, and again,
    /// while a question that is known to be good is answered before and after.
    async fn is_refused(
        &self,
        chat: &Chat,
        budget: &mut Budget,
        question: &Question,
        seed: u64,
    ) -> Result<bool, Duration> {
        let good = &Question::good(chat.settings());
        for asked in [good, question, question, good] {
            budget.take(Instant::now())?;
            // As the last attempt: nobody waits between these.
            let is_answered = chat.ask(asked, u32::MAX, seed).await.is_ok();
            if is_answered != (asked == good) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn picture(&self) -> Result<Option<Picture>, NoModeler> {
        let moment = command::ask(&self.commands, |reply| Command::Look { reply }).await?;
        Ok(tokio::task::block_in_place(|| moment.state.picture(&self.wanted)))
    }

    async fn send(&self, descriptions: Vec<Description>) -> Result<(), NoModeler> {
        command::ask(&self.commands, |reply| Command::Describe { descriptions, reply }).await
    }
}
