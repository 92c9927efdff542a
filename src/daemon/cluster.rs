//! Builds the part of a daemon that a process of a cluster is.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::daemon::assemble::{Daemon, Error, Role, Site, Windows, judge};
use crate::daemon::lead::Lead;
use crate::daemon::supervise::Loops;
use crate::model::version::{Sampling, TopicModel};
use crate::pipeline::assigner::Assigner;
use crate::store::Identity;
use crate::transport::command::{self, Command};
use crate::transport::kafka::{Checked, Cluster};

impl Daemon {
    /// Starts the loops of `role`: the model is followed in any case, so that questions about it can be answered.
    pub(super) async fn start_in_cluster(site: Site, kafka: Checked, role: Role) -> Result<Self, Error> {
        let Site { config, telemetry, stop, embedder, .. } = &site;
        let dim = embedder.dim();
        let identity = Identity { encoder: embedder.name().to_owned(), dim };
        let cluster = Cluster::new(kafka, identity.model(), dim, telemetry.clone());
        cluster.prepare().await?;
        let (versions, version) = watch::channel(Arc::new(TopicModel::empty(dim, Sampling::ALL)));
        let (overviews, overview) = watch::channel(Arc::default());
        let (told, told_last) = watch::channel(0);
        let (commands, queue) = command::queue();
        let mut loops = Loops::new(stop.clone(), telemetry.clone());
        let mut follower = cluster.follow(versions, stop.clone())?;
        if role != Role::Modeler {
            tokio::select! {
                () = stop.cancelled() => {}
                caught_up = follower.caught_up() => caught_up?,
            }
            let assigner = Assigner {
                port: cluster.assign(config.guarantee, config.source.params())?,
                judge: Arc::new(judge(config, embedder.clone())),
                versions: version.clone(),
                telemetry: telemetry.clone(),
            };
            loops.spawn_vital("assigner", assigner.run(stop.clone()));
        }
        loops.spawn("model", follower.ended());
        if role == Role::Assigner {
            loops.spawn("questions", turn_away(queue, stop.clone()));
        } else {
            let lead = Lead {
                cluster,
                config: config.clone(),
                identity,
                commands: queue,
                orders: commands.clone(),
                embedder: embedder.clone(),
                overviews,
                told,
                stop: stop.clone(),
                telemetry: telemetry.clone(),
            };
            if role == Role::Modeler {
                loops.spawn_vital("modeler", lead.run());
            } else {
                loops.spawn("modeler", lead.run());
            }
        }
        site.open_door(loops, Windows { version, overview, commands, told: told_last })
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
