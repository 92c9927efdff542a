//! The one owner of the state: absorbs evidence, refits, publishes versions. One `select!`.

mod describe;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::checkpoint::Checkpoint;
use crate::keywords;
use crate::model::event::Event;
use crate::model::operate::{Action, Erasure, Refusal};
use crate::model::refit::policy;
use crate::model::refit::run::Fitted;
use crate::model::refit::select::select;
use crate::model::refit::trigger::Trigger;
use crate::model::refit::{self, trigger};
use crate::model::state::State;
use crate::model::state::adopt::{Circumstances, Decision, Rules};
use crate::model::state::change::{Change, Op};
use crate::model::state::overview::{News, Overview};
use crate::model::version::TopicModel;
use crate::model::{assign, topic::Life};
use crate::pipeline::now_ms;
use crate::pipeline::operator;
use crate::pipeline::refitter::{Ended, Refitting};
use crate::record::notification::{Chosen, NotGivenUp};
use crate::store::{self, Store};
use crate::telemetry::Telemetry;
use crate::transport::command::{Command, Moment, Operated, Pieces};
use crate::transport::{Arrivals, Lesson, ModelerPort, Records, Version};

/// The parameters of the model.
#[derive(Debug, Clone)]
pub struct Parameters {
    /// How documents find their topic.
    pub assign: assign::Checked,
    /// How refits are triggered and done.
    pub refit: refit::Checked,
    /// How keywords are found.
    pub keywords: keywords::Params,
    /// When a refit's result is promoted.
    pub policy: policy::Checked,
}

impl Parameters {
    /// As the state wants them.
    pub fn rules(&self) -> Rules<'_> {
        Rules { assign: &self.assign, refit: &self.refit, keywords: &self.keywords, policy: &self.policy }
    }
}

/// What a reload may change of a modeler that runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The parameters of the model.
    pub parameters: Parameters,
    /// Events also go to the outbox, for the notifier.
    pub outbox: bool,
}

/// Owns state and store, and everything that others may see of them.
pub struct Modeler<P> {
    /// Where evidence comes from and records go to.
    pub port: P,
    /// The state; who asks gets it as it is at that moment, and nobody else changes it.
    pub state: Arc<State>,
    /// Where each change goes before anybody hears of it.
    pub store: Store,
    /// What is done.
    pub checkpoint: Checkpoint,
    /// In lockstep, what was announced last; none at first.
    pub announced: Option<Checkpoint>,
    /// What a reload may change.
    pub settings: watch::Receiver<Settings>,
    /// The parameters of the model.
    pub parameters: Parameters,
    /// Each new version, for assigners and HTTP.
    pub versions: watch::Sender<Arc<TopicModel>>,
    /// Counts after each batch, for HTTP.
    pub overviews: watch::Sender<Arc<Overview>>,
    /// What was told last, for those who wait for more.
    pub news: watch::Sender<News>,
    /// As in `settings`.
    pub outbox: bool,
    /// The last version of which nothing was left to describe.
    pub described: watch::Receiver<u64>,
    /// Stop when the stream has ended and the last refit is done.
    pub exit_at_end: bool,
    /// Counts what was published.
    pub moment: u64,
    /// Where is counted and logged.
    pub telemetry: Telemetry,
}

/// Commands that are carried out between two lessons, at most: questions don't wait for documents, nor the stream for
/// people who ask again and again.
const COMMANDS: usize = 16;

/// Why the modeler stopped; the state on disk is that of the last commit.
#[derive(Debug, thiserror::Error)]
pub enum Error<P: std::error::Error + 'static> {
    /// Records could not be brought out.
    #[error("records cannot be delivered")]
    Port(#[source] P),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A version could not be made.
    #[error(transparent)]
    Version(#[from] crate::model::version::BrokenEntry),
    /// The system gives no thread for a refit.
    #[error("no thread for a refit")]
    Thread(#[source] std::io::Error),
}

impl<P: ModelerPort> Modeler<P> {
    /// Runs until `stop` is cancelled and every outcome under way is committed, or, with `exit_at_end`, until the
    /// stream has ended and the last refit is done.
    pub async fn run(
        mut self,
        commands: &mut mpsc::Receiver<Command>,
        stop: CancellationToken,
    ) -> Result<(), Error<P::Error>> {
        let mut refitting: Option<Refitting> = None;
        let mut ended = false;
        let mut rested = Instant::now();
        self.publish_counts();
        let mut answered = 0;
        loop {
            if stop.is_cancelled() {
                refitting = None;
            }
            let Settings { parameters, outbox } = self.settings.borrow_and_update().clone();
            (self.parameters, self.outbox) = (parameters, outbox);
            if refitting.is_none() {
                match self.due(ended, rested).filter(|_| !stop.is_cancelled()) {
                    Some(trigger) => refitting = Some(self.refit(trigger)?),
                    None if ended && stop.is_cancelled() => return Ok(()),
                    None if ended && self.exit_at_end && self.is_described() => return Ok(()),
                    None => self.announce()?,
                }
            }
            let held_up = self.parameters.refit.lockstep && refitting.is_some();
            tokio::select! {
                biased;
                () = stop.cancelled(), if ended || held_up => {}
                fitted = ended_refit(&mut refitting) => {
                    let done = refitting.take();
                    if let Some(refit) = done {
                        rested = Instant::now() + refit.started.elapsed().mul_f64(self.parameters.refit.rest);
                        tokio::task::block_in_place(|| self.adopt(&refit, fitted))?;
                    }
                }
                next = next(&mut self.port, commands, !ended && !held_up, answered < COMMANDS) => match next {
                    Next::Command(command) => {
                        answered += 1;
                        self.answer(command, &mut refitting)?;
                    }
                    Next::Lesson(lesson) => {
                        answered = 0;
                        if let Some(lesson) = lesson.map_err(Error::Port)? {
                            tokio::task::block_in_place(|| self.absorb(lesson))?;
                        } else {
                            ended = true;
                            self.telemetry.stream_ended();
                        }
                    }
                },
                Ok(()) = self.described.changed(), if ended => {}
                Ok(()) = self.settings.changed() => {}
                // Documents may have come while it rested, and no more after.
                () = tokio::time::sleep_until(rested.into()), if rested > Instant::now() => {}
            }
        }
    }

    /// In lockstep, lets whoever waits go on: everything that follows from what is learned is in force.
    fn announce(&mut self) -> Result<(), Error<P::Error>> {
        if !self.parameters.refit.lockstep || self.announced.as_ref() == Some(&self.checkpoint) {
            return Ok(());
        }
        let announced = tokio::task::block_in_place(|| self.port.announce(&self.checkpoint));
        announced.map_err(Error::Port)?;
        self.announced = Some(self.checkpoint.clone());
        Ok(())
    }

    /// The refit that is due; `rested` is the time before which documents trigger none.
    fn due(&self, ended: bool, rested: Instant) -> Option<Trigger> {
        let totals = self.state.totals();
        let lockstep = self.parameters.refit.lockstep;
        let due = trigger::due(&totals, &self.parameters.refit);
        let due = due.filter(|_| lockstep || Instant::now() >= rested);
        if ended { due.or_else(|| trigger::due_at_end(&totals, &self.parameters.refit)) } else { due }
    }

    fn refit(&self, trigger: Trigger) -> Result<Refitting, Error<P::Error>> {
        self.telemetry.refit_started(trigger.as_str());
        let params = (self.parameters.refit.clone(), self.parameters.assign.clone());
        let telemetry = self.telemetry.clone();
        let snapshot = select(&self.state, self.parameters.refit.sample, trigger);
        Refitting::start(snapshot, params, telemetry).map_err(Error::Thread)
    }

    fn absorb(&mut self, lesson: Lesson) -> Result<(), Error<P::Error>> {
        let started = Instant::now();
        let Lesson { evidence, erasures, arrivals, checkpoint } = lesson;
        self.checkpoint.merge(&checkpoint);
        if !erasures.is_empty() {
            return self.erase(&erasures);
        }
        let change = Arc::make_mut(&mut self.state).absorb(evidence, now_ms());
        let in_force = self.versions.borrow().clone();
        let Arrivals { mut assignments, assigned, outliers, rejections, received } =
            arrivals.unwrap_or_default();
        assignments.extend(operator::settled(&change, &in_force));
        let dead_letters = operator::dead_letters(&rejections);
        self.commit(&change, Records { assignments, dead_letters, ..Records::default() })?;
        self.telemetry.documents_assigned(assigned, outliers);
        self.telemetry.documents_rejected(assigned + outliers, &rejections);
        let received = received.unwrap_or(started);
        self.telemetry.batch_committed(started.elapsed(), assigned + outliers, received);
        self.publish_counts();
        Ok(())
    }

    /// Erases documents as the stream orders it; whoever holds an assignment of them is told, also where nothing is held
    /// here.
    fn erase(&mut self, erasures: &[Erasure]) -> Result<(), Error<P::Error>> {
        let operation = Arc::make_mut(&mut self.state).erase(erasures, self.parameters.rules(), now_ms())?;
        let mut ids: BTreeSet<&str> = erasures.iter().map(|erasure| &*erasure.document).collect();
        let in_force = self.versions.borrow().clone();
        let Some(operation) = operation else {
            let assignments = ids.iter().map(|id| operator::tombstone(id, &in_force)).collect();
            return self.commit(&Change::default(), Records { assignments, ..Records::default() });
        };
        ids.retain(|id| operation.tombstones.iter().all(|held| *held.id != **id));
        let mut records = operator::records(&operation);
        records.assignments.extend(ids.iter().map(|id| operator::tombstone(id, &operation.model)));
        self.carry_out(&operation.change, records, operation.model)
    }

    /// Brings out what an operation came to, and puts `model` into force.
    fn carry_out(
        &mut self,
        change: &Change,
        mut records: Records,
        model: TopicModel,
    ) -> Result<(), Error<P::Error>> {
        let model = Arc::new(model);
        records.version = Some(Version::of(&self.state, model.clone()));
        self.commit(change, records)?;
        self.versions.send_replace(model);
        self.publish_counts();
        Ok(())
    }

    fn adopt(&mut self, refit: &Refitting, ended: Ended) -> Result<(), Error<P::Error>> {
        let (fitted, stages) = match ended {
            Ended::Fitted(fitted, stages) => (fitted, stages),
            Ended::Failed(error) => return self.give_up(refit, &error.to_string()),
            Ended::Died => return self.give_up(refit, "the refit's thread panicked"),
        };
        let told =
            Circumstances { trigger: refit.trigger, documents: refit.documents, stages, now_ms: now_ms() };
        self.promote(&fitted, &told)
    }

    fn promote(&mut self, fitted: &Fitted, told: &Circumstances) -> Result<(), Error<P::Error>> {
        let started = Instant::now();
        let adoption = match Arc::make_mut(&mut self.state).adopt(fitted, told, self.parameters.rules())? {
            Decision::Promoted(adoption) => *adoption,
            Decision::Rejected(rejection) => {
                let in_force = self.versions.borrow().clone();
                let revised = operator::revised(&rejection.revisions, &in_force);
                let assignments = revised.chain(operator::settled(&rejection.change, &in_force)).collect();
                self.commit(&rejection.change, Records { assignments, ..Records::default() })?;
                self.telemetry.refit_rejected(&rejection.reason);
                self.publish_counts();
                return Ok(());
            }
        };
        let model = Arc::new(adoption.model);
        let records = Records {
            assignments: operator::revised(&adoption.revisions, &model)
                .chain(operator::settled(&adoption.change, &model))
                .collect(),
            topics: operator::topics(&model),
            ended: operator::ended(&adoption.change, &model),
            version: Some(Version::of(&self.state, model.clone())),
            ..Records::default()
        };
        self.commit(&adoption.change, records)?;
        self.telemetry.refit_finished(
            model.number,
            model.topics.len(),
            adoption.revisions.len(),
            started.elapsed(),
        );
        self.versions.send_replace(model);
        self.publish_counts();
        Ok(())
    }

    /// The version in force stays; the next refit waits for new documents, as if this one had been promoted.
    fn give_up(&mut self, refit: &Refitting, why: &str) -> Result<(), Error<P::Error>> {
        self.telemetry.refit_failed(why);
        let mut totals = self.state.totals();
        totals.refitted_at = refit.documents;
        let change = Change { ops: vec![Op::Totals(totals)], ..Change::default() };
        Arc::make_mut(&mut self.state).apply(&change);
        self.commit(&change, Records::default())
    }

    /// Outputs first, then state, checkpoint and the outputs' lengths in one batch; then the world may know.
    fn commit(&mut self, change: &Change, mut records: Records) -> Result<(), Error<P::Error>> {
        let events: Vec<&Event> = change
            .ops
            .iter()
            .filter_map(|op| if let Op::Event(event) = op { Some(event) } else { None })
            .collect();
        records.events = operator::events(change);
        let delivered = self.port.deliver(records).map_err(Error::Port)?;
        self.checkpoint.merge(&delivered);
        let writes = self.store.prepare(change, &self.checkpoint, self.outbox)?;
        self.port.seal(&writes).map_err(Error::Port)?;
        self.store.apply(writes)?;
        self.telemetry.outliers_settled(change.settled.len());
        for event in &events {
            self.telemetry.event_emitted(event.happened.kind(), &event.happened.summary());
        }
        if change.ops.iter().any(|op| matches!(op, Op::Event(_) | Op::Reword(_) | Op::Refitted(_))) {
            self.news.send_replace(self.state.news().clone());
        }
        Ok(())
    }

    fn publish_counts(&mut self) {
        self.moment += 1;
        let mut overview = self.state.overview();
        overview.moment = self.moment;
        overview.refit_at = trigger::due_at(&overview.totals, &self.parameters.refit);
        let live = overview.lives.values().filter(|life| **life == Life::Live).count();
        self.telemetry.topics_changed(live, overview.lives.len() - live, overview.totals.version);
        self.telemetry.buffers_changed(overview.buffered, overview.sampled);
        self.telemetry.queue_changed("modeler", self.port.waiting());
        self.overviews.send_replace(Arc::new(overview));
    }

    /// Carries out an operator's action; the answer comes when it is on disk and in force.
    fn operate(&mut self, action: &Action) -> Result<Result<Operated, Refusal>, Error<P::Error>> {
        let operation =
            match Arc::make_mut(&mut self.state).operate(action, self.parameters.rules(), now_ms()) {
                Ok(operation) => operation,
                Err(refusal) => return Ok(Err(refusal)),
            };
        let (records, operated) = (operator::records(&operation), operator::operated(&operation));
        self.carry_out(&operation.change, records, operation.model)?;
        Ok(Ok(operated))
    }

    /// What is on disk now, to be read while it is written further.
    fn backup(&self) -> Result<Pieces, String> {
        let backup = self.store.backup().map_err(|error| error.to_string())?;
        Ok(Pieces(Box::new(backup.map(|piece| piece.map_err(std::io::Error::other)))))
    }

    /// Events that were given up wait for the webhook again.
    fn send_again(&mut self, chosen: &Chosen) -> Result<Result<usize, NotGivenUp>, Error<P::Error>> {
        let (events, writes) = match self.store.prepare_again(chosen, now_ms())? {
            Ok(prepared) => prepared,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.port.seal(&writes).map_err(Error::Port)?;
        self.store.apply(writes)?;
        // The notifier looks once more.
        self.news.send_modify(|_| {});
        Ok(Ok(events))
    }

    fn answer(&mut self, command: Command, refitting: &mut Option<Refitting>) -> Result<(), Error<P::Error>> {
        // Whoever asked may have gone; then nobody needs the answer.
        match command {
            Command::Describe { descriptions, reply } => {
                tokio::task::block_in_place(|| self.describe(descriptions))?;
                if reply.send(()).is_err() { // The describer has stopped.
                }
            }
            Command::Backup { reply } => drop(reply.send(self.backup())),
            Command::Notifications { reply } => drop(reply.send(self.store.notifications()?)),
            Command::SendAgain { chosen, reply } => {
                drop(reply.send(tokio::task::block_in_place(|| self.send_again(&chosen))?));
            }
            Command::Operate { action, reply } => {
                drop(reply.send(tokio::task::block_in_place(|| self.operate(&action))?));
            }
            Command::Look { reply } => {
                let (state, model) = (self.state.clone(), self.versions.borrow().clone());
                drop(reply.send(Moment { number: self.moment, state, model }));
            }
            Command::Refit { reply } => {
                let starts = refitting.is_none();
                if starts {
                    *refitting = Some(self.refit(Trigger::Request)?);
                }
                if reply.send(starts).is_err() { // Nobody waits any more.
                }
            }
        }
        Ok(())
    }
}

/// What the modeler does next.
enum Next<E> {
    Command(Command),
    Lesson(Result<Option<Lesson>, E>),
}

/// The next command or lesson, whichever is there; if both are, the command with `commands_first`. Cancel safe.
async fn next<P: ModelerPort>(
    port: &mut P,
    commands: &mut mpsc::Receiver<Command>,
    learns: bool,
    commands_first: bool,
) -> Next<P::Error> {
    if commands_first && let Ok(command) = commands.try_recv() {
        return Next::Command(command);
    }
    tokio::select! {
        biased;
        lesson = port.receive(), if learns => Next::Lesson(lesson),
        Some(command) = commands.recv() => Next::Command(command),
        else => std::future::pending().await,
    }
}

async fn ended_refit(refitting: &mut Option<Refitting>) -> Ended {
    match refitting {
        Some(refitting) => refitting.ended().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
