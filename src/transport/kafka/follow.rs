//! Follows the model through its compacted topic.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::client::Clients;
use super::error::Error;
use super::log::{Found, Log, Record};
use super::thread::spawn;
use crate::checkpoint::Checkpoint;
use crate::model::version::TopicModel;
use crate::record::Broken;
use crate::record::model::{Gathering, Reigning};
use crate::telemetry::{Reading, Telemetry};

const TICK: Duration = Duration::from_millis(100);

/// Puts each version into force as soon as it is closed.
pub struct Follower {
    thread: Option<JoinHandle<Result<(), Error>>>,
    caught_up: watch::Receiver<bool>,
    learned: watch::Receiver<Checkpoint>,
    reigning: watch::Receiver<Option<Reigning>>,
}

impl Follower {
    /// Reads the model's topic from its start and goes on until `stop`; versions of another encoder are refused.
    pub(super) fn start(
        clients: &Clients,
        encoder: &str,
        versions: watch::Sender<Arc<TopicModel>>,
        stop: CancellationToken,
    ) -> Result<Self, Error> {
        let topic = clients.params.params().topics.model.clone();
        let log = Log::follow(clients, &topic)?;
        clients.telemetry.model_awaited(Some(&topic));
        let (ready, caught_up) = watch::channel(false);
        let (announced, learned) = watch::channel(Checkpoint::new());
        let (proclaimed, reigning) = watch::channel(None);
        let following = Following {
            log,
            reading: clients.telemetry.partition_read(&topic, 0),
            telemetry: clients.telemetry.clone(),
            topic,
            encoder: encoder.to_owned(),
            versions,
            ready,
            learned: announced,
            reigning: proclaimed,
            gathering: Gathering::default(),
        };
        let thread = spawn("model", move || following.run(&stop))?;
        Ok(Self { thread: Some(thread), caught_up, learned, reigning })
    }

    /// In lockstep, what is learned, with everything in force that follows from it.
    pub fn learned(&self) -> watch::Receiver<Checkpoint> {
        self.learned.clone()
    }

    /// Who publishes the model, as it said itself.
    pub fn reigning(&self) -> watch::Receiver<Option<Reigning>> {
        self.reigning.clone()
    }

    /// Waits until everything that was published at the start is in force. Cancel safe.
    pub async fn caught_up(&mut self) -> Result<(), Error> {
        if self.caught_up.wait_for(|ready| *ready).await.is_ok() { Ok(()) } else { self.end().await }
    }

    /// Waits for its end, which comes with `stop` or an error.
    pub async fn ended(mut self) -> Result<(), Error> {
        while self.caught_up.changed().await.is_ok() {}
        self.end().await
    }

    async fn end(&mut self) -> Result<(), Error> {
        let gone = || Error::Thread { name: "model" };
        let thread = self.thread.take().ok_or_else(gone)?;
        tokio::task::spawn_blocking(|| thread.join()).await.ok().and_then(Result::ok).ok_or_else(gone)?
    }
}

struct Following {
    log: Log,
    reading: Reading,
    telemetry: Telemetry,
    topic: String,
    encoder: String,
    versions: watch::Sender<Arc<TopicModel>>,
    ready: watch::Sender<bool>,
    learned: watch::Sender<Checkpoint>,
    reigning: watch::Sender<Option<Reigning>>,
    gathering: Gathering,
}

impl Following {
    fn run(mut self, stop: &CancellationToken) -> Result<(), Error> {
        let (mut caught_up, mut closed) = (false, None);
        while !stop.is_cancelled() {
            match self.log.next(TICK)? {
                Found::Record(record) => {
                    let offset = record.offset;
                    if self.take(&record).map_err(|source| self.broken(offset, source))? {
                        closed = Some(offset);
                    }
                    self.reading.done(offset + 1);
                }
                Found::End => caught_up = true,
                Found::Nothing => {}
            }
            // Versions on the way to the newest need not be built.
            if caught_up && let Some(offset) = closed.take() {
                self.put_into_force(offset)?;
            }
            if caught_up && self.learned.borrow().ne(self.gathering.learned()) {
                self.learned.send_replace(self.gathering.learned().clone());
            }
            if caught_up && self.reigning.borrow().as_ref() != self.gathering.reigning() {
                self.reigning.send_replace(self.gathering.reigning().cloned());
            }
            if caught_up && !*self.ready.borrow() {
                self.ready.send_replace(true);
                self.telemetry.model_awaited(None);
            }
        }
        Ok(())
    }

    fn take(&mut self, record: &Record) -> Result<bool, Broken> {
        self.gathering.take(&record.key, record.value.as_deref())
    }

    fn put_into_force(&mut self, offset: i64) -> Result<(), Error> {
        if let Some(found) = self.gathering.encoder().filter(|found| *found != self.encoder) {
            let (topic, found, wanted) = (self.topic.clone(), found.to_owned(), self.encoder.clone());
            return Err(Error::Encoder { topic, found, wanted });
        }
        let model = self.gathering.model().map_err(|source| self.broken(offset, source))?;
        if let Some(model) = model {
            self.versions.send_replace(Arc::new(model));
        }
        Ok(())
    }

    fn broken(&self, offset: i64, source: Broken) -> Error {
        Error::Broken { topic: self.topic.clone(), offset, source }
    }
}
