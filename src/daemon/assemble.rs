//! Builds the rooms, lowest first, and starts the loops.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::daemon::describe::describer;
use crate::daemon::descriptors;
use crate::daemon::reload::{Live, Load, Reloader};
use crate::daemon::seeds::{self, seeds};
use crate::daemon::supervise::{Loops, keep};
use crate::daemon::systemd::Systemd;
use crate::embed::{self, Embedder};
use crate::http::{self, Modeling, Reload};
use crate::model::seed::Seed;
use crate::model::state::State;
use crate::model::state::overview::{News, Overview};
use crate::model::version::{BrokenEntry, TopicModel};
use crate::pipeline::assigner::{Assigner, Judge};
use crate::pipeline::modeler::Modeler;
use crate::pipeline::notifier::Notifier;
use crate::pipeline::{self, operator, pauses};
#[cfg(feature = "kafka")]
use crate::record::model::Reigning;
use crate::store::announcement::{self, Announcement};
use crate::store::{self, Identity, Store};
use crate::telemetry::Telemetry;
use crate::telemetry::logs::Log;
use crate::transport::command::{self, Command};
use crate::transport::embedded::{self, Lag, Outputs, Seen, Source, ports};
#[cfg(feature = "kafka")]
use crate::transport::kafka;

/// A daemon that is running.
pub struct Daemon {
    /// Where HTTP is served: scheme, host and port.
    pub url: String,
    /// What was told last.
    pub news: watch::Receiver<News>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) loops: Loops,
}

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The encoder cannot be loaded.
    #[error("the encoder cannot be loaded")]
    Embed(#[from] embed::Error),
    /// The state cannot be used.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Source or outputs cannot be used.
    #[error(transparent)]
    Transport(#[from] embedded::Error),
    /// Kafka cannot be used.
    #[cfg(feature = "kafka")]
    #[error(transparent)]
    Kafka(#[from] kafka::Error),
    /// Parts of a daemon need something to talk over.
    #[error("`--role` is for documents from Kafka; set `source.type` to \"kafka\", or leave it out")]
    Role,
    /// A topic has no end.
    #[error("`--exit-at-end` is for files; documents from Kafka have no end, stop it with Ctrl-C")]
    NoEnd,
    /// There is no evidence that could be gone, or none that may be.
    #[error(
        "`--accept-gap` is for a modeler whose documents come from Kafka, without `refit.lockstep`, whose replays have no gaps; \
         leave it out"
    )]
    NoGap,
    /// The state holds a broken version.
    #[error(transparent)]
    Version(#[from] BrokenEntry),
    /// The address of HTTP is taken or not ours.
    #[error("cannot listen on `{address}`; set `http.listen` to another address, or port 0 for a free one")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Certificate and key of TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] http::TlsError),
    /// Commands could not learn where this daemon is.
    #[error("the daemon's address cannot be written beside its state")]
    Announce(#[source] std::io::Error),
    /// Topics cannot be seeded.
    #[error("topics cannot be seeded")]
    Seeds(#[from] seeds::Error),
    /// A worker thread panicked while the daemon started.
    #[error("the start was interrupted")]
    Start(#[from] tokio::task::JoinError),
}

/// What the state's folder held.
struct Opened {
    store: Store,
    state: State,
    checkpoint: Checkpoint,
    outputs: Outputs,
}

/// What a process does. Only where documents come from Kafka can it be a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Finds topics for documents, and stands for modeler
    All,
    /// Finds topics for documents
    Assigner,
    /// Stands for modeler: one at a time learns, refits and publishes
    Modeler,
}

/// What a daemon is started with.
pub struct Launch {
    /// The configuration.
    pub config: Config,
    /// Reads it again.
    pub load: Load,
    /// The log, whose levels may change, if there is one.
    pub log: Option<Arc<Log>>,
    /// Where is counted and logged.
    pub telemetry: Telemetry,
    /// Ends it.
    pub stop: CancellationToken,
    /// What this process does.
    pub role: Role,
    /// It also ends with the stream.
    pub exit_at_end: bool,
    /// Evidence that is gone from Kafka by now is given up.
    pub accept_gap: bool,
}

/// What both ways to assemble a daemon begin with.
pub(super) struct Site {
    pub config: Config,
    pub live: Arc<Live>,
    pub reloads: mpsc::Sender<Reload>,
    pub telemetry: Telemetry,
    pub stop: CancellationToken,
    pub embedder: Arc<Embedder>,
    /// The seeds that the configuration names.
    pub seeds: Vec<Seed>,
    pub door: OpenDoor,
}

/// A door at which so far only the process's health is told.
pub(super) struct OpenDoor {
    address: SocketAddr,
    instance: String,
    inside: http::Inside,
}

impl OpenDoor {
    /// Who reigns if this process does, and where it answers.
    #[cfg(feature = "kafka")]
    pub(super) fn reigning(&self, http: &crate::config::Http) -> Reigning {
        let (url, instance) = (http.advertised(self.address), self.instance.clone());
        Reigning { url, instance, since_ms: pipeline::now_ms() }
    }

    /// What this process calls itself.
    #[cfg(feature = "kafka")]
    pub(super) fn instance(&self) -> &str {
        &self.instance
    }

    /// Listens and serves, as one of `loops`.
    async fn open(
        config: &Config,
        live: &Live,
        instance: String,
        loops: &mut Loops,
        telemetry: Telemetry,
    ) -> Result<Self, Error> {
        let address = config.http.listen;
        let failed = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let inside = http::Inside::new(telemetry);
        let limits = http::Limits::new(descriptors::for_connections());
        loops.spawn("http", http::serve(listener, live.door(), inside.clone(), limits, loops.late_stop()));
        Ok(Self { address, instance, inside })
    }
}

impl Daemon {
    /// Starts every loop of its role.
    pub async fn start(launch: Launch) -> Result<Self, Error> {
        let (systemd, stop) = (Systemd::of_environment(), launch.stop.clone());
        let mut daemon = tokio::select! {
            daemon = Self::begin(launch) => daemon?,
            never = systemd.starting() => match never {},
        };
        daemon.loops.spawn("watchdog", systemd.run(daemon.commands.clone(), stop));
        Ok(daemon)
    }

    async fn begin(launch: Launch) -> Result<Self, Error> {
        let Launch { config, load, log, telemetry, stop, role, exit_at_end, accept_gap } = launch;
        if config.kafka.is_none() && role != Role::All {
            return Err(Error::Role);
        }
        if config.kafka.is_some() && exit_at_end {
            return Err(Error::NoEnd);
        }
        let learns = config.kafka.is_some() && role != Role::Assigner;
        if accept_gap && (!learns || config.parameters.refit.lockstep) {
            return Err(Error::NoGap);
        }
        let mut loops = Loops::new(stop.clone(), config.shutdown, telemetry.clone());
        let instance = format!("{:016x}", rand::random::<u64>());
        let live = Arc::new(Live::new(&config, &instance)?);
        let (reloads, asked) = mpsc::channel(1);
        let (again, changes) = (config.clone(), live.clone());
        let reloader =
            Reloader { load, config: again, live: changes, log, asked, telemetry: telemetry.clone() };
        loops.spawn("reloader", reloader.run(stop.clone()));
        let door = OpenDoor::open(&config, &live, instance, &mut loops, telemetry.clone()).await?;
        let (embedder, seeds) = encoder(&config, &telemetry, role != Role::Assigner).await?;
        telemetry.encoder_loaded(embedder.name(), embedder.report());
        let site = Site { config, live, reloads, telemetry, stop, embedder, seeds, door };
        #[cfg(feature = "kafka")]
        if let Some(kafka) = site.config.kafka.clone() {
            return Box::pin(Self::start_in_cluster(site, loops, kafka, role, accept_gap)).await;
        }
        Self::start_embedded(site, loops, exit_at_end)
    }

    fn start_embedded(site: Site, mut loops: Loops, exit_at_end: bool) -> Result<Self, Error> {
        let Site { config, live, telemetry, stop, embedder, seeds, .. } = &site;
        let opened = tokio::task::block_in_place(|| open(config, embedder, seeds, telemetry))?;
        let seen = Seen::restore(config.bounds.seen, opened.state.seen());
        let params = config.source.clone().in_lockstep(config.parameters.refit.lockstep);
        let source = Source::open(params, Some(embedder.dim()), &opened.checkpoint, seen)?;
        let lag = source.lag();
        telemetry.source_opened(move || lag.bytes());
        let (assigner_port, modeler_port) = ports(source, opened.outputs);
        telemetry.state_opened(&opened.state.totals());
        telemetry.modeler_is_here(true);

        let (versions, version) = watch::channel(Arc::new(opened.state.model()?));
        let (overviews, overview) = watch::channel(Arc::new(opened.state.overview()));
        let (news, told) = watch::channel(opened.state.news().clone());
        let (commands, mut command_queue) = command::queue();
        let (outbox, until) = (opened.store.outbox(), loops.late_stop());
        let notifier = Notifier {
            outbox,
            receivers: live.receivers(),
            news: news.subscribe(),
            telemetry: telemetry.clone(),
        };
        let start = move || notifier.clone().run(until.clone());
        loops.spawn("notifier", keep("notifier", start, loops.late_stop(), telemetry.clone()));
        let (describer, described) =
            describer(config, embedder.clone(), version.clone(), commands.clone(), telemetry.clone());
        let until = stop.clone();
        let start = move || describer.clone().run(until.clone());
        loops.spawn("describer", keep("describer", start, stop.clone(), telemetry.clone()));
        let modeler = Modeler {
            port: modeler_port,
            state: Arc::new(opened.state),
            store: opened.store,
            checkpoint: opened.checkpoint,
            announced: None,
            settings: live.settings(),
            parameters: config.parameters.clone(),
            versions,
            overviews,
            news,
            moment: 0,
            outbox: config.webhook.is_some(),
            described,
            exit_at_end,
            telemetry: telemetry.clone(),
        };
        let until = stop.clone();
        loops.spawn_vital("modeler", async move { modeler.run(&mut command_queue, until).await });
        let assigner = Assigner {
            port: assigner_port,
            judge: Arc::new(site.judge()),
            versions: version.clone(),
            telemetry: telemetry.clone(),
        };
        loops.spawn("assigner", assigner.run(stop.clone()));
        let modeling = Modeling::alone(site.door.instance.clone());
        site.open_door(loops, Windows { version, overview, commands, news: told, modeling })
    }

    /// Waits until every loop has ended; the first one's error, if any failed.
    pub async fn ended(self) -> anyhow::Result<()> {
        self.loops.ended().await
    }
}

/// What the outside gets to see.
pub(super) struct Windows {
    pub version: watch::Receiver<Arc<TopicModel>>,
    pub overview: watch::Receiver<Arc<Overview>>,
    pub commands: mpsc::Sender<Command>,
    pub news: watch::Receiver<News>,
    pub modeling: Modeling,
}

impl Site {
    /// The parts that judge a document, under a rule that may change.
    pub(super) fn judge(&self) -> Judge {
        Judge { rule: self.live.rule(), ..judge(&self.config, self.embedder.clone()) }
    }

    /// Lets everybody see what `windows` show.
    pub(super) fn open_door(self, loops: Loops, windows: Windows) -> Result<Daemon, Error> {
        let Self { config, live, reloads, telemetry, stop, embedder, door, .. } = self;
        let OpenDoor { address, instance, inside } = door;
        let Windows { version, overview, commands, news, modeling } = windows;
        let directory = &config.state.directory;
        let url = config.http.base_at(address);
        // An assigner has no state.
        if directory.is_dir() {
            let announcement = Announcement { url: url.clone(), instance };
            announcement::write(directory, &announcement).map_err(Error::Announce)?;
        }
        let sources = http::Sources {
            versions: version,
            overviews: overview,
            news: news.clone(),
            commands: commands.clone(),
            desk: Arc::default(),
            embedder,
            tokenizer: Arc::new(config.keywords.tokenizer()),
            keywords: config.parameters.keywords,
            assign: live.rule(),
            reloads,
            doors: live.door(),
            modeling,
            telemetry,
            stop,
        };
        inside.open(sources);
        Ok(Daemon { url, news, commands, loops })
    }
}

/// The parts that judge a document, from the configuration.
pub fn judge(config: &Config, embedder: Arc<Embedder>) -> Judge {
    let (_never_changes, rule) = watch::channel(config.parameters.assign.clone());
    Judge { embedder, tokenizer: config.keywords.tokenizer(), rule }
}

/// The encoder, and with `seeded` the seeds that it makes of the configuration's; waits while its endpoint is away, or
/// answers what makes no sense.
async fn encoder(
    config: &Config,
    telemetry: &Telemetry,
    seeded: bool,
) -> Result<(Arc<Embedder>, Vec<Seed>), Error> {
    let (mut pauses, mut first) = (pauses(), true);
    loop {
        let (embed, wanted) = (config.embed.clone(), config.seeds.clone());
        let open = move || -> Result<_, Error> {
            let embedder = Embedder::open(&embed)?;
            let seeds = if seeded { seeds(&wanted, &embedder)? } else { Vec::new() };
            Ok((Arc::new(embedder), seeds))
        };
        match (tokio::task::spawn_blocking(open).await?, pauses.next()) {
            (Err(Error::Embed(error) | Error::Seeds(seeds::Error::Embed(error))), Some(pause))
                if error.is_from_an_endpoint() =>
            {
                telemetry.embedding_postponed(&error);
                if first && let Some(lag) = tokio::task::block_in_place(|| waiting(config)) {
                    telemetry.source_opened(move || lag.bytes());
                }
                first = false;
                tokio::time::sleep(pause).await;
            }
            (opened, _) => return opened,
        }
    }
}

/// What waits in the source, as far as that can be known before the state is opened for good.
fn waiting(config: &Config) -> Option<Lag> {
    if config.kafka.is_some() {
        return None;
    }
    let existing = Store::open_existing(&config.state.directory, config.bounds.seen);
    let recorded = existing.and_then(|(store, _)| store.checkpoint()).unwrap_or_default();
    Lag::of(&config.source, &recorded)
}

fn open(
    config: &Config,
    embedder: &Embedder,
    seeds: &[Seed],
    telemetry: &Telemetry,
) -> Result<Opened, Error> {
    let identity = Identity { encoder: embedder.name().to_owned(), dim: embedder.dim() };
    let mut store = Store::open(&config.state.directory, &identity, config.bounds.seen)?;
    let (mut state, mut checkpoint) = store.load(embedder.dim(), config.bounds)?;
    let outputs = Outputs::open(&config.output, &checkpoint, telemetry)?;
    // From here on the lengths of the outputs are recorded, so that whatever is written and not committed is cut off.
    checkpoint.merge(&outputs.lengths());
    let cut = state.bound(config.bounds);
    store.commit(&cut, &checkpoint, false)?;
    let mut opened = Opened { store, state, checkpoint, outputs };
    plant(config, seeds, &mut opened)?;
    Ok(opened)
}

/// Seeds the topics that the configuration names and the state does not know.
fn plant(config: &Config, seeds: &[Seed], opened: &mut Opened) -> Result<(), Error> {
    let planted = opened.state.plant(seeds.to_vec(), config.parameters.rules(), pipeline::now_ms())?;
    let Some(operation) = planted else { return Ok(()) };
    opened.checkpoint.merge(&opened.outputs.deliver(operator::records(&operation))?);
    opened.store.commit(&operation.change, &opened.checkpoint, config.webhook.is_some())?;
    Ok(())
}
