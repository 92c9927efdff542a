//! The modeler of a cluster: waits for its turn, restores the state, reigns, and starts over when it is deposed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::daemon::cluster::Fenced;
use crate::daemon::describe::describer;
use crate::daemon::reload::Live;
use crate::daemon::supervise::keep;
use crate::embed::Embedder;
use crate::label;
use crate::model::seed::Seed;
use crate::model::state::State;
use crate::model::state::overview::{News, Overview};
use crate::model::version::BrokenEntry;
use crate::pipeline::modeler::{self, Modeler};
use crate::pipeline::notifier::Notifier;
use crate::pipeline::{now_ms, operator};
use crate::record::model::{Published, Reigning};
use crate::record::state::Write;
use crate::store::{self, Identity, Store};
use crate::telemetry::Telemetry;
use crate::transport::command::Command;
use crate::transport::kafka::{self, Candidate, Cluster, Reign};
use crate::transport::{ModelerPort, Records, Version};

/// The wait before this process stands again after it stumbled.
const AGAIN: Duration = Duration::from_secs(1);

/// Stands for modeler, again and again.
pub(super) struct Lead {
    pub cluster: Cluster,
    /// Evidence that was gone before this offset when the process started may be given up.
    pub gap_ends: Option<i64>,
    pub config: Config,
    pub live: Arc<Live>,
    /// How the others reach this process.
    pub reigning: Reigning,
    /// True while this process reigns.
    pub leads: watch::Sender<bool>,
    pub identity: Identity,
    pub commands: mpsc::Receiver<Command>,
    /// The way into `commands`, for who describes topics beside the modeler.
    pub orders: mpsc::Sender<Command>,
    pub embedder: Arc<Embedder>,
    pub seeds: Vec<Seed>,
    pub overviews: watch::Sender<Arc<Overview>>,
    pub news: watch::Sender<News>,
    pub stop: CancellationToken,
    pub telemetry: Telemetry,
}

/// Why a process cannot be the modeler, now or ever.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Kafka failed.
    #[error(transparent)]
    Kafka(#[from] kafka::Error),
    /// The copy of the state failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The state holds a broken version.
    #[error(transparent)]
    Version(#[from] BrokenEntry),
    /// The loop failed.
    #[error(transparent)]
    Modeler(#[from] modeler::Error<kafka::Error>),
    /// The webhook's client cannot be made.
    #[error(transparent)]
    Notify(#[from] crate::notify::Error),
    /// The client of the chat endpoint cannot be made.
    #[error(transparent)]
    Label(#[from] label::Error),
}

impl Error {
    /// True if standing again may help.
    fn passes(&self, fenced: &mut Fenced) -> bool {
        match self {
            Self::Kafka(error) | Self::Modeler(modeler::Error::Port(error)) => {
                error.passes() || fenced.may_pass(error)
            }
            _ => false,
        }
    }
}

/// What a modeler begins with.
struct Restored {
    store: Store,
    state: State,
    checkpoint: Checkpoint,
    keys: usize,
}

impl Lead {
    /// Runs until `stop`, or until an error that will not go away.
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let mut fenced = Fenced::default();
        while !self.stop.is_cancelled() {
            match self.reign_once().await {
                Err(error) if error.passes(&mut fenced) => {
                    self.telemetry.role_interrupted("modeler", &error.to_string());
                    tokio::select! {
                        () = self.stop.cancelled() => {}
                        () = tokio::time::sleep(AGAIN) => {}
                    }
                }
                ended => return ended,
            }
        }
        Ok(())
    }

    async fn reign_once(&mut self) -> Result<(), Error> {
        let mut candidate = self.cluster.stand()?;
        self.telemetry.standing_by();
        let won = self.wait(&mut candidate).await;
        let reigned = match won {
            Ok(true) => self.reign(&candidate).await,
            Ok(false) => Ok(()),
            Err(error) => Err(error.into()),
        };
        self.leads.send_replace(false);
        self.telemetry.modeler_is_here(false);
        tokio::task::block_in_place(|| candidate.withdraw());
        reigned
    }

    /// Waits for the turn; whoever asks the modeler meanwhile is told that it is not here. False if `stop` came first.
    async fn wait(&mut self, candidate: &mut Candidate) -> Result<bool, kafka::Error> {
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(false),
                won = candidate.won() => return won.map(|()| true),
                Some(command) = self.commands.recv() => drop(command),
            }
        }
    }

    async fn reign(&mut self, candidate: &Candidate) -> Result<(), Error> {
        let started = Instant::now();
        let (reign, restored) = tokio::task::block_in_place(|| self.restore(candidate))?;
        let Restored { mut store, mut state, mut checkpoint, keys } = restored;
        if let Some(gap_ends) = self.gap_ends {
            tokio::task::block_in_place(|| reign.give_up(&mut checkpoint, gap_ends))?;
        }
        let published = if keys > 0 { published(&state) } else { Published::default() };
        let mut port = reign.learn(&checkpoint, published, self.stop.clone())?;
        if keys == 0 {
            tokio::task::block_in_place(|| found(&mut port, &mut store, &state))?;
        }
        let cut = state.bound(self.config.bounds);
        port.proclaim(&Reigning { since_ms: now_ms(), ..self.reigning.clone() })?;
        let writes = store.prepare(&cut, &checkpoint, false)?;
        tokio::task::block_in_place(|| port.seal(&writes))?;
        store.apply(writes)?;
        tokio::task::block_in_place(|| self.plant(&mut port, &mut store, &mut state, &checkpoint))?;
        let over = self.stop.child_token();
        let _silence = over.clone().drop_guard();
        // They end with this reign.
        let mut beside = JoinSet::new();
        let (outbox, receivers, news) = (store.outbox(), self.live.receivers(), self.news.subscribe());
        let notifier = Notifier { outbox, receivers, news, telemetry: self.telemetry.clone() };
        let until = over.clone();
        let start = move || notifier.clone().run(until.clone());
        beside.spawn(keep("notifier", start, over.clone(), self.telemetry.clone()));
        let (versions, version) = watch::channel(Arc::new(state.model()?));
        let (embedder, orders) = (self.embedder.clone(), self.orders.clone());
        let (describer, described) =
            describer(&self.config, embedder, version, orders, self.telemetry.clone());
        let until = over.clone();
        let start = move || describer.clone().run(until.clone());
        beside.spawn(keep("describer", start, over, self.telemetry.clone()));
        self.news.send_replace(state.news().clone());
        self.leads.send_replace(true);
        self.telemetry.leading(keys, started.elapsed());
        self.telemetry.state_opened(&state.totals());
        let modeler = Modeler {
            port,
            versions,
            state: Arc::new(state),
            store,
            checkpoint,
            announced: None,
            settings: self.live.settings(),
            parameters: self.config.parameters.clone(),
            overviews: self.overviews.clone(),
            news: self.news.clone(),
            moment: 0,
            outbox: self.config.webhook.is_some(),
            described,
            exit_at_end: false,
            telemetry: self.telemetry.clone(),
        };
        Ok(modeler.run(&mut self.commands, self.stop.clone()).await?)
    }

    /// Seeds the topics that the state does not know.
    fn plant(
        &self,
        port: &mut kafka::Modeler,
        store: &mut Store,
        state: &mut State,
        checkpoint: &Checkpoint,
    ) -> Result<(), Error> {
        let Some(operation) = state.plant(self.seeds.clone(), self.config.parameters.rules(), now_ms())?
        else {
            return Ok(());
        };
        let mut records = operator::records(&operation);
        records.version = Some(Version::of(state, Arc::new(operation.model)));
        port.deliver(records)?;
        let writes = store.prepare(&operation.change, checkpoint, self.config.webhook.is_some())?;
        port.seal(&writes)?;
        Ok(store.apply(writes)?)
    }

    /// Ends the reign before, and writes what Kafka holds of the state into the folder.
    fn restore(&self, candidate: &Candidate) -> Result<(Reign, Restored), Error> {
        let (directory, seen) = (&self.config.state.directory, self.config.bounds.seen);
        let mut store = Store::open(directory, &self.identity, seen)?;
        let reign = candidate.reign()?;
        let mut keys = 0;
        reign.restore(|writes: Vec<Write>| {
            if let (0, Some(first)) = (keys, writes.first()) {
                store.begin_copy(first)?;
            }
            keys += writes.len();
            Ok::<_, Error>(store.apply(writes)?)
        })?;
        if keys > 0 {
            // Opening it checks format and encoder, and finds the numbers with which the next commit goes on.
            drop(store);
            store = Store::open(directory, &self.identity, seen)?;
        }
        let (state, checkpoint) = store.load(self.identity.dim, self.config.bounds)?;
        Ok((reign, Restored { store, state, checkpoint, keys }))
    }
}

/// What the model's topic holds when the state's topic holds `state`: both are written in one transaction.
fn published(state: &State) -> Published {
    let members = state.held().iter().filter(|(_, _, standing)| standing.entry);
    Published {
        members: members.map(|(sequence, ..)| sequence).collect(),
        topics: state.topics().keys().copied().collect(),
    }
}

/// Makes Kafka's state of the folder's, which is empty or was made by `topicd fit`.
fn found(port: &mut kafka::Modeler, store: &mut Store, state: &State) -> Result<(), Error> {
    let writes = store.found(rand::random())?;
    if state.totals().version > 0 {
        let version = Version::of(state, Arc::new(state.model()?));
        port.deliver(Records { version: Some(version), ..Records::default() })?;
    }
    port.seal(&writes)?;
    Ok(store.apply(writes)?)
}
