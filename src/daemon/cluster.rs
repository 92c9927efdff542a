//! Builds the part of a daemon that a process of a cluster is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::checkpoint::Checkpoint;
use crate::daemon::assemble::{Daemon, Error, Role, Site, Windows};
use crate::daemon::lead::Lead;
use crate::daemon::supervise::Loops;
use crate::http::Modeling;
use crate::model::state::overview::News;
use crate::model::version::{Sampling, TopicModel};
use crate::pipeline::assigner::{self, Assigner, Judge};
use crate::store::Identity;
use crate::telemetry::Telemetry;
use crate::transport::brokers::{Checked, Guarantee};
use crate::transport::command::{self, Command};
use crate::transport::embedded;
use crate::transport::kafka::{self, Cluster};

impl Daemon {
    /// Starts the loops of `role`: the model is followed in any case, so that questions about it can be answered.
    pub(super) async fn start_in_cluster(
        site: Site,
        mut loops: Loops,
        kafka: Checked,
        role: Role,
        accept_gap: bool,
    ) -> Result<Self, Error> {
        let Site { config, live, telemetry, stop, embedder, seeds, .. } = &site;
        let dim = embedder.dim();
        let identity = Identity { encoder: embedder.name().to_owned(), dim };
        let cluster = Cluster::new(kafka, identity.model(), dim, telemetry.clone());
        let lockstep = config.parameters.refit.lockstep;
        cluster.prepare(lockstep).await?;
        let gap_ends =
            accept_gap.then(|| tokio::task::block_in_place(|| cluster.first_evidence())).transpose()?;
        let (versions, version) = watch::channel(Arc::new(TopicModel::empty(dim, Sampling::ALL)));
        let (overviews, overview) = watch::channel(Arc::default());
        let (news, told) = watch::channel(News::default());
        let (commands, queue) = command::queue();
        let mut follower = cluster.follow(versions, stop.clone())?;
        let ((leads, here), proclaimed) = (watch::channel(false), follower.reigning());
        if role != Role::Modeler {
            tokio::select! {
                () = stop.cancelled() => {}
                caught_up = follower.caught_up() => caught_up?,
            }
            let member = Member {
                cluster: cluster.clone(),
                guarantee: config.guarantee,
                source: config.source.clone().in_lockstep(lockstep),
                learned: follower.learned(),
                judge: Arc::new(site.judge()),
                versions: version.clone(),
                telemetry: telemetry.clone(),
            };
            loops.spawn_vital("assigner", member.run(stop.clone()));
        }
        loops.spawn("model", follower.ended());
        if role == Role::Assigner {
            loops.spawn("questions", turn_away(queue, stop.clone()));
        } else {
            let lead = Lead {
                cluster,
                gap_ends,
                config: config.clone(),
                live: live.clone(),
                reigning: site.door.reigning(&config.http),
                leads,
                identity,
                embedder: embedder.clone(),
                seeds: seeds.clone(),
                commands: queue,
                orders: commands.clone(),
                overviews,
                news,
                stop: stop.clone(),
                telemetry: telemetry.clone(),
            };
            if role == Role::Modeler {
                loops.depend_on("modeler");
            }
            loops.spawn_committing("modeler", lead.run());
        }
        let modeling = Modeling { here, proclaimed, instance: site.door.instance().to_owned() };
        site.open_door(loops, Windows { version, overview, commands, news: told, modeling })
    }
}

/// A member of the assigners' group.
struct Member {
    cluster: Cluster,
    guarantee: Guarantee,
    source: embedded::Checked,
    learned: watch::Receiver<Checkpoint>,
    judge: Arc<Judge>,
    versions: watch::Receiver<Arc<TopicModel>>,
    telemetry: Telemetry,
}

impl Member {
    /// Assigns until `stop`. When its place is taken it joins again, unless that was so a moment ago: then another
    /// process really has its name.
    async fn run(self, stop: CancellationToken) -> Result<(), assigner::Error<kafka::Error>> {
        let mut fenced = Fenced::default();
        loop {
            let port = self.cluster.assign(self.guarantee, self.source.params(), self.learned.clone());
            let assigner = Assigner {
                port: port.map_err(assigner::Error::Port)?,
                judge: self.judge.clone(),
                versions: self.versions.clone(),
                telemetry: self.telemetry.clone(),
            };
            match assigner.run(stop.clone()).await {
                Err(assigner::Error::Port(error)) if fenced.may_pass(&error) => {
                    self.telemetry.role_interrupted("assigner", &error.to_string());
                }
                ended => return ended,
            }
        }
    }
}

/// When this process was told last that another one has its name.
#[derive(Debug, Default)]
pub(super) struct Fenced(Option<Instant>);

impl Fenced {
    /// How long it must be ago for the next time to be chance again.
    const AGAIN: Duration = Duration::from_mins(1);

    /// True if `error` says so, and did not a moment ago.
    pub(super) fn may_pass(&mut self, error: &kafka::Error) -> bool {
        error.is_fenced()
            && self.0.replace(Instant::now()).is_none_or(|before| before.elapsed() > Self::AGAIN)
    }
}

/// Tells whoever asks the modeler that it is not here, by dropping the way back.
async fn turn_away(
    mut commands: mpsc::Receiver<Command>,
    stop: CancellationToken,
) -> Result<(), std::convert::Infallible> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            command = commands.recv() => if command.is_none() { return Ok(()) },
        }
    }
}
