//! Documents from Kafka, results into Kafka, and everything that passes between the roles through Kafka, so that a
//! second machine changes nothing.
//!
//! - `consume` reads documents of the source's `topics` on a thread of its own, as far as they are this process's `share`; `transact` commits
//!   what became of them, with their offsets, in one transaction; [`Assigner`] is the port over both;
//! - `offsets` moves the group, `retry` gives dead letters back to the documents;
//! - `elect` finds the one modeler; [`Reign`] restores its state and [`Modeler`], the port, publishes what it decides;
//! - [`Follower`] puts each published version into force;
//! - `registry` turns Avro and `protobuf` into JSON; `log` reads topicd's own topics, `client`, `produce` and `thread` hold
//!   what all share, `admin` makes the topics as `kinds` says, `survey` tries what a run would need, `pulse` feels
//!   whether brokers answer.
//!
//! Every call of librdkafka that may block stands on a thread that is nobody else's.

mod admin;
mod assigner;
mod client;
mod consume;
mod elect;
mod envelope;
mod error;
mod follow;
mod kinds;
mod log;
mod modeler;
mod offsets;
mod produce;
mod protobuf;
mod pulse;
mod registry;
mod retry;
mod share;
mod survey;
mod thread;
mod topics;
mod transact;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use assigner::Assigner;
pub use error::Error;
pub use follow::Follower;
pub use modeler::{Modeler, Reign};
pub use survey::Survey;

use crate::checkpoint::Checkpoint;
use crate::model::version::TopicModel;
use crate::telemetry::Telemetry;
use crate::transport::brokers::{Checked, Guarantee};
use crate::transport::embedded;
use crate::transport::retry::Sorted;
use crate::transport::start::Start;

/// The way to one cluster, for one process.
#[derive(Clone)]
pub struct Cluster {
    clients: client::Clients,
    encoder: String,
    dimension: usize,
}

/// A candidate for modeler.
pub struct Candidate {
    cluster: Cluster,
    election: elect::Election,
}

/// What is there of the cluster of `params`, and all that is wrong with connection, rights and topics' settings; nothing is
/// made.
pub async fn examine(params: Checked, lockstep: bool, telemetry: Telemetry) -> Survey {
    let clients = client::Clients::new(params, telemetry);
    match admin::Admin::new(&clients) {
        Ok(admin) => Survey::make(&admin, lockstep).await,
        Err(error) => Survey { faults: vec![error], ..Survey::default() },
    }
}

/// Moves the group of `params` to where `to` is, while nobody is in it: each partition that was moved, with its offset. Blocks.
pub fn reset(params: Checked, to: &Start, telemetry: Telemetry) -> Result<BTreeMap<String, i64>, Error> {
    let clients = client::Clients::new(params, telemetry);
    let documents = admin::Admin::new(&clients)?.documents(false)?;
    let moved = offsets::reset(&clients, &documents, to)?;
    Ok(moved.into_iter().map(|(place, offset)| (place.to_string(), offset)).collect())
}

/// Gives dead letters with `reasons`, or all but duplicates, back to the topics that they came from, each once. Blocks.
pub fn retry(params: Checked, reasons: &[String], telemetry: Telemetry) -> Result<Sorted, Error> {
    let clients = client::Clients::new(params, telemetry);
    let admin = admin::Admin::new(&clients)?;
    let topic = &clients.params.params().topics.dead_letters;
    let partitions = admin.partitions(topic)?.ok_or_else(|| admin.missing(topic, "dead_letters"))?;
    retry::retry(&clients, partitions, reasons)
}

impl Cluster {
    /// The cluster of `params`, for embeddings of `encoder` with `dimension` numbers. Nothing is connected yet.
    pub fn new(params: Checked, encoder: &str, dimension: usize, telemetry: Telemetry) -> Self {
        Self { clients: client::Clients::new(params, telemetry), encoder: encoder.to_owned(), dimension }
    }

    /// Makes the topics that are missing, if that is allowed; refuses those that are not as they must be. A group of which
    /// nothing is committed begins where `kafka.start` says.
    pub async fn prepare(&self, lockstep: bool) -> Result<(), Error> {
        let documents = admin::Admin::new(&self.clients)?.ensure(lockstep).await?;
        let start = self.clients.params.start();
        tokio::task::block_in_place(|| offsets::begin(&self.clients, &documents, start))
    }

    /// Puts each published version into force until `stop`.
    pub fn follow(
        &self,
        versions: watch::Sender<Arc<TopicModel>>,
        stop: CancellationToken,
    ) -> Result<Follower, Error> {
        Follower::start(&self.clients, &self.encoder, versions, stop)
    }

    /// Joins the assigners, of whose documents `learned` are; needs a tokio runtime around it.
    pub fn assign(
        &self,
        guarantee: Guarantee,
        source: &embedded::Params,
        learned: watch::Receiver<Checkpoint>,
    ) -> Result<Assigner, Error> {
        Assigner::join(&self.clients, guarantee, source, learned, &self.encoder, self.dimension)
    }

    /// The offset of the first piece of evidence that is there. Blocks.
    pub fn first_evidence(&self) -> Result<i64, Error> {
        Ok(log::bounds(&self.clients, &self.clients.params.params().topics.evidence)?.start)
    }

    /// Stands for modeler.
    pub fn stand(&self) -> Result<Candidate, Error> {
        Ok(Candidate { cluster: self.clone(), election: elect::Election::stand(&self.clients)? })
    }
}

impl Candidate {
    /// Waits until this process is to be the modeler. Cancel safe.
    pub async fn won(&mut self) -> Result<(), Error> {
        self.election.won().await
    }

    /// Begins to reign. Blocks until the modeler before cannot publish any more.
    pub fn reign(&self) -> Result<Reign, Error> {
        Reign::begin(&self.cluster.clients, &self.cluster.encoder, self.election.leading())
    }

    /// Makes way for another candidate at once. Blocks for a moment.
    pub fn withdraw(self) {
        self.election.close();
    }
}
