//! The assigner's port: documents from the consumer's thread, outcomes to the producer's.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::client::{Clients, Place};
use super::consume::{Content, Item, Receiving};
use super::envelope::Envelopes;
use super::error::Error;
use super::share::{Readings, join};
use super::thread::spawn;
use super::topics::SourceTopics;
use super::transact::{self, Handed, Transactor};
use crate::checkpoint::Checkpoint;
use crate::document::Batch;
use crate::model::evidence::Outcome;
use crate::model::operate::Erasure;
use crate::transport::AssignerPort;
use crate::transport::brokers::Guarantee;
use crate::transport::embedded;

/// Judged batches on their way to the producer's thread: filled here, where the loop waits while it is full. As many as
/// are judged while a commit takes its time.
const BATCHES: usize = 16;
/// How long a batch in lockstep waits before it is looked whether it still counts.
const STEP: Duration = Duration::from_millis(50);
/// Never, for a wait without an end of its own.
const FAR: Duration = Duration::from_hours(24);

/// One member of the group of assigners.
pub struct Assigner {
    /// Filled by the thread that polls, which pauses its partitions while it is full: two batches of documents.
    items: mpsc::Receiver<Item>,
    handed: std::sync::mpsc::SyncSender<Handed>,
    batch_documents: usize,
    max_wait: Duration,
    /// In lockstep: what is learned, with everything in force that follows from it.
    learned: Option<watch::Receiver<Checkpoint>>,
    /// The epoch of what may be committed.
    epoch: Arc<AtomicU64>,
    /// What `receive` has gathered; it stays here if `receive` is dropped half-way.
    pending: Pending,
    /// When `pending` is given out even if it is not full.
    deadline: Option<Instant>,
    /// Batches that were given out and have not come back, in order.
    under_way: VecDeque<Ticket>,
    stop: CancellationToken,
    /// Cancelled when the producer's thread has ended.
    gone: CancellationToken,
    threads: Threads,
}

#[derive(Default)]
struct Pending {
    batch: Batch,
    ticket: Ticket,
}

/// What has to come back with a batch.
#[derive(Default)]
struct Ticket {
    epoch: u64,
    ends: BTreeMap<Place, i64>,
    /// What comes before the batch.
    before: Checkpoint,
    envelopes: Envelopes,
    tombstones: Vec<Option<Erasure>>,
}

struct Threads {
    polling: Option<JoinHandle<Result<(), Error>>>,
    producing: Option<JoinHandle<Result<(), Error>>>,
}

impl Assigner {
    /// Joins the group and begins to read. `source` says what stands in a message and how large batches are.
    pub(super) fn join(
        clients: &Clients,
        guarantee: Guarantee,
        source: &embedded::Params,
        learned: watch::Receiver<Checkpoint>,
        encoder: &str,
        dimension: usize,
    ) -> Result<Self, Error> {
        let readings = Readings::default();
        let transactor = Transactor::new(clients.clone(), guarantee, encoder, readings.clone());
        let epoch = transactor.epoch();
        let transactor = Arc::new(Mutex::new(transactor));
        let (consumer, told) = join(clients, transactor.clone(), readings, source.lockstep)?;
        let (read, items) = mpsc::channel(2 * source.batch_documents);
        let topics = SourceTopics::new(clients, source, dimension);
        let receiving = Receiving::new(clients, consumer.clone(), told, epoch.clone(), topics, read);
        let (stop, runtime) = (CancellationToken::new(), tokio::runtime::Handle::current());
        let stopped = stop.clone();
        let polling = spawn("documents", move || receiving.run(&runtime, &stopped))?;
        let (handed, taken) = std::sync::mpsc::sync_channel(BATCHES);
        let gone = CancellationToken::new();
        let going = gone.clone().drop_guard();
        let producing = spawn("assignments", move || {
            let _going = going;
            transact::run(&transactor, &consumer, &taken)
        })?;
        Ok(Self {
            items,
            handed,
            batch_documents: source.batch_documents,
            max_wait: Duration::from_millis(source.max_wait_ms),
            learned: source.lockstep.then_some(learned),
            epoch,
            pending: Pending::default(),
            deadline: None,
            under_way: VecDeque::new(),
            stop,
            gone,
            threads: Threads { polling: Some(polling), producing: Some(producing) },
        })
    }

    fn take(&mut self, item: Item) {
        let Pending { batch, ticket } = &mut self.pending;
        if ticket.epoch != item.epoch {
            // What was gathered before will be read again.
            (*batch, *ticket) = (Batch::default(), Ticket { epoch: item.epoch, ..Ticket::default() });
        }
        let end = item.position.offset + 1;
        if let Some(before) = item.before.filter(|_| !ticket.ends.contains_key(&item.place)) {
            ticket.before.advance(item.position.partition.clone(), before);
        }
        batch.checkpoint.advance(item.position.partition.clone(), end);
        ticket.ends.insert(item.place, end as i64);
        ticket.envelopes.push(item.position, item.envelope);
        match item.content {
            Content::Document(document) => batch.documents.push(document),
            Content::Refused(rejection) => batch.rejections.push(rejection),
            Content::Tombstone(erasure) => ticket.tombstones.push(erasure),
        }
        if self.learned.is_none() {
            self.deadline.get_or_insert_with(|| Instant::now() + self.max_wait);
        }
    }

    /// Waits, in lockstep, until everything before the pending batch is learned. False if the batch will be read again
    /// instead. Cancel safe.
    async fn in_step(&mut self) -> bool {
        let Some(learned) = &mut self.learned else { return true };
        loop {
            let void = self.pending.ticket.epoch != self.epoch.load(Ordering::SeqCst);
            if void || self.items.is_closed() || self.gone.is_cancelled() {
                self.pending = Pending::default();
                return false;
            }
            if learned.borrow_and_update().covers(&self.pending.ticket.before) {
                return true;
            }
            // Whoever announces is gone only when this process ends.
            if let Ok(Err(_gone)) = timeout(STEP, learned.changed()).await {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Fills the pending batch; false if there are no more documents, or nobody commits what becomes of them.
    async fn gather(&mut self) -> Result<bool, Error> {
        while self.pending.batch.documents.len() + self.pending.batch.rejections.len() < self.batch_documents
        {
            let Self { items, deadline, gone, .. } = self;
            let far = || Instant::now() + FAR;
            let item = tokio::select! {
                biased;
                () = gone.cancelled() => {
                    return ended(self.threads.producing.take(), "assignments").await.map(|()| false);
                }
                item = timeout_at(deadline.unwrap_or_else(far), items.recv()) => item,
            };
            let Ok(item) = item else {
                if deadline.is_none() {
                    continue;
                }
                break;
            };
            match item {
                Some(item) => self.take(item),
                None => return ended(self.threads.polling.take(), "documents").await.map(|()| false),
            }
        }
        Ok(true)
    }
}

impl AssignerPort for Assigner {
    type Error = Error;

    async fn receive(&mut self) -> Result<Option<Batch>, Error> {
        loop {
            if !self.gather().await? {
                return Ok(None);
            }
            if self.in_step().await {
                break;
            }
        }
        self.deadline = None;
        let Pending { batch, ticket } = std::mem::take(&mut self.pending);
        self.under_way.push_back(ticket);
        Ok(Some(batch))
    }

    async fn commit(&mut self, outcome: Outcome) -> Result<bool, Error> {
        let Some(Ticket { epoch, ends, envelopes, tombstones, before: _ }) = self.under_way.pop_front()
        else {
            return Ok(true);
        };
        let handed = Handed { epoch, ends, outcome, envelopes, tombstones };
        if tokio::task::block_in_place(|| self.handed.send(handed).is_ok()) {
            return Ok(true);
        }
        ended(self.threads.producing.take(), "assignments").await.map(|()| false)
    }

    async fn close(self) -> Result<(), Error> {
        let Self { handed, stop, threads, items, .. } = self;
        drop(handed);
        let committed = ended(threads.producing, "assignments").await;
        stop.cancel();
        drop(items);
        let polled = ended(threads.polling, "documents").await;
        committed.and(polled)
    }
}

/// What a thread came to.
async fn ended(thread: Option<JoinHandle<Result<(), Error>>>, name: &'static str) -> Result<(), Error> {
    let Some(thread) = thread else { return Ok(()) };
    let joined = tokio::task::spawn_blocking(|| thread.join()).await.ok().and_then(Result::ok);
    joined.unwrap_or(Err(Error::Thread { name }))
}
