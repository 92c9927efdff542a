//! The modeler's port: evidence in; the state, the version and everything that is told in one transaction out.
//!
//! Kafka is where the state lives: each change of it is a transaction that holds the store's writes (in a compacted
//! topic, as Kafka Streams keeps its tables), the evidence's offset among them, and the events, revisions and version
//! that follow from it. The store writes only what Kafka has committed, so the folder on this machine is a copy that
//! saves reading: a modeler without a disk reads the topic and has the same state, to the byte. Between state and
//! publication there is nothing that could be done by halves, and so no outbox.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::producer::Producer as _;
use rdkafka::topic_partition_list::Offset;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::client::{Clients, Producer, Refused, Told};
use super::error::Error;
use super::log::{self, Found, Log, Record};
use super::produce::{Out, produce, until};
use super::thread::spawn;
use crate::checkpoint::{Checkpoint, Partition};
use crate::model::evidence::Evidence;
use crate::record::Keyed;
use crate::record::evidence::{ERASURES, ErasuresRecord, EvidenceRecord};
use crate::record::model::{self, Member, Published};
use crate::record::state::Write;
use crate::telemetry::Reading;
use crate::transport::{Lesson, ModelerPort, Records, Version};

/// Pieces of evidence that wait for the modeler: filled by the thread that reads, which waits while it is full.
const LESSONS: usize = 8;
const TICK: Duration = Duration::from_millis(100);
/// Records of the state that are written to the store at once while it is restored.
const RESTORED_AT_ONCE: usize = 2000;

/// Longer than a segment of the compacted topics lasts.
const ROLL: Duration = Duration::from_mins(61);
/// The key of a record that there never is.
const ROLLED: &[u8] = b"rolled";

/// The reign of one modeler: nobody else publishes while it lasts.
pub struct Reign {
    clients: Clients,
    encoder: String,
    producer: Producer,
    told: Arc<Told>,
    leading: watch::Receiver<bool>,
}

impl Reign {
    /// Ends the reign of whoever was the modeler before. Blocks until the brokers have done so.
    pub(super) fn begin(
        clients: &Clients,
        encoder: &str,
        leading: watch::Receiver<bool>,
    ) -> Result<Self, Error> {
        let id = clients.modeler();
        let (producer, told) = clients.producer(Some(&id))?;
        let timeout = clients.timeout();
        until(timeout, || producer.init_transactions(timeout))
            .map_err(|source| told.error("begin transactions as", &id, source))?;
        Ok(Self { clients: clients.clone(), encoder: encoder.to_owned(), producer, told, leading })
    }

    /// Calls `write` with everything that the state's topic holds, in order. Blocks.
    pub fn restore<E: From<Error>>(
        &self,
        mut write: impl FnMut(Vec<Write>) -> Result<(), E>,
    ) -> Result<(), E> {
        let topic = &self.clients.params.params().topics.state;
        let log = Log::open(&self.clients, topic, Offset::Beginning)?;
        let mut writes = Vec::new();
        log.read_to_end(self.clients.timeout(), |record| {
            writes.push(Write { key: record.key, value: record.value });
            if writes.len() < RESTORED_AT_ONCE {
                return Ok(());
            }
            write(std::mem::take(&mut writes))
        })?;
        if !writes.is_empty() {
            write(writes)?;
        }
        Ok(())
    }

    /// Gives up the evidence with which `checkpoint` would go on, if it is gone and was gone before offset `gap_ends`. Blocks.
    pub fn give_up(&self, checkpoint: &mut Checkpoint, gap_ends: i64) -> Result<(), Error> {
        let topic = &self.clients.params.params().topics.evidence;
        let partition = Partition::new(&format!("{topic}/0"));
        let wanted = checkpoint.position(&partition) as i64;
        let there = log::bounds(&self.clients, topic)?;
        let is_gone = checkpoint.knows(&partition) && !(there.start..=there.end).contains(&wanted);
        if is_gone && there.start <= gap_ends {
            self.clients.telemetry.evidence_given_up(partition.as_str(), wanted, &there);
            checkpoint.advance(partition, there.start as u64);
        }
        Ok(())
    }

    /// Begins to learn from where `checkpoint` says; `published` is what the model's topic holds.
    pub fn learn(
        self,
        checkpoint: &Checkpoint,
        published: Published,
        stop: CancellationToken,
    ) -> Result<Modeler, Error> {
        let topic = self.clients.params.params().topics.evidence.clone();
        let partition = Partition::new(&format!("{topic}/0"));
        let from = if checkpoint.knows(&partition) {
            Offset::Offset(checkpoint.position(&partition) as i64)
        } else {
            Offset::Beginning
        };
        let log = Log::open(&self.clients, &topic, from)?;
        let (send, lessons) = mpsc::channel(LESSONS);
        let reading = self.clients.telemetry.partition_read(&topic, 0);
        if let Offset::Offset(from) = from {
            reading.begins(from);
        }
        let reader =
            Reader { log, topic, partition: partition.clone(), encoder: self.encoder.clone(), lessons: send };
        spawn("evidence", move || reader.run())?;
        Ok(Modeler {
            reign: self,
            lessons,
            reading,
            partition,
            received: None,
            published,
            open: false,
            roll_at: None,
            stop,
        })
    }
}

/// The modeler that reigns.
pub struct Modeler {
    reign: Reign,
    lessons: mpsc::Receiver<Result<Lesson, Error>>,
    /// The evidence, up to what is committed.
    reading: Reading,
    partition: Partition,
    /// Where the evidence goes on after the last lesson.
    received: Option<i64>,
    published: Published,
    /// A transaction is open.
    open: bool,
    /// When the topics' last segments are old enough; none if nothing was written since.
    roll_at: Option<Instant>,
    stop: CancellationToken,
}

impl ModelerPort for Modeler {
    type Error = Error;

    async fn receive(&mut self) -> Result<Option<Lesson>, Error> {
        loop {
            let lesson = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(None),
                _ = self.reign.leading.wait_for(|leading| !leading) => return Err(Error::NotLeading),
                () = until_due(self.roll_at) => None,
                lesson = self.lessons.recv() => Some(lesson),
            };
            match lesson {
                None => tokio::task::block_in_place(|| self.roll())?,
                Some(None) => return Err(Error::Thread { name: "evidence" }),
                Some(Some(lesson)) => {
                    let lesson = lesson?;
                    self.received = Some(lesson.checkpoint.position(&self.partition) as i64);
                    return Ok(Some(lesson));
                }
            }
        }
    }

    fn deliver(&mut self, records: Records) -> Result<Checkpoint, Error> {
        let Records { assignments, topics, ended, events, dead_letters: _, version } = records;
        self.begin()?;
        let names = self.reign.clients.params.params().topics.clone();
        let told = [(&names.assignments, assignments), (&names.topics, topics), (&names.events, events)];
        for (topic, records) in told {
            for Keyed { key, line } in &records {
                self.put(topic, None, key.as_bytes(), Some(line))?;
            }
        }
        for Keyed { key, line } in &ended {
            self.put(&names.topics, None, key.as_bytes(), Some(line))?;
            // Who reads the newest records only sees no topic that is no more.
            self.put(&names.topics, None, key.as_bytes(), None)?;
        }
        if let Some(version) = version {
            self.publish(&names.model, &version)?;
        }
        Ok(Checkpoint::new())
    }

    fn seal(&mut self, writes: &[Write]) -> Result<(), Error> {
        self.begin()?;
        let topic = self.reign.clients.params.params().topics.state.clone();
        for Write { key, value } in writes {
            self.put(&topic, Some(0), key, value.as_deref())?;
        }
        self.close()
    }

    fn announce(&mut self, done: &Checkpoint) -> Result<(), Error> {
        self.begin()?;
        let topic = self.reign.clients.params.params().topics.model.clone();
        let broken = |source| Error::Broken { topic: topic.clone(), offset: -1, source };
        let Write { key, value } = model::learned(done).map_err(broken)?;
        self.put(&topic, Some(0), &key, value.as_deref())?;
        self.close()
    }

    fn waiting(&self) -> usize {
        self.lessons.len()
    }
}

impl Modeler {
    fn begin(&mut self) -> Result<(), Error> {
        if !self.open {
            let begun = self.reign.producer.begin_transaction();
            begun.map_err(|source| self.failed("begin a transaction as", source))?;
            self.open = true;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        let (producer, timeout) = (&self.reign.producer, self.reign.clients.timeout());
        let committed = until(timeout, || producer.commit_transaction(timeout));
        committed.map_err(|source| self.failed("commit a transaction as", source))?;
        self.open = false;
        self.received.into_iter().for_each(|end| self.reading.done(end));
        self.roll_at = Some(Instant::now() + ROLL);
        Ok(())
    }

    /// Writes what changes nothing: with it Kafka begins new segments, and the old ones can be cleaned. Without it what was
    /// erased last would stay as long as nothing happens.
    fn roll(&mut self) -> Result<(), Error> {
        let names = self.reign.clients.params.params().topics.clone();
        self.begin()?;
        self.put(&names.state, Some(0), ROLLED, None)?;
        self.put(&names.topics, None, ROLLED, None)?;
        let Write { key, value } = model::nothing();
        self.put(&names.model, Some(0), &key, value.as_deref())?;
        self.close()?;
        self.roll_at = None;
        Ok(())
    }

    fn publish(&mut self, topic: &str, version: &Version) -> Result<(), Error> {
        let members: Vec<Member<'_>> =
            version.members.iter().map(|member| (member.sequence, member.topic, &member.embedding)).collect();
        let writes = self.published.advance(&self.reign.encoder, &version.model, &members);
        let broken = |source| Error::Broken { topic: topic.to_owned(), offset: -1, source };
        for Write { key, value } in writes.map_err(broken)? {
            self.put(topic, Some(0), &key, value.as_deref())?;
        }
        Ok(())
    }

    /// Tells every node who publishes from now on: with the next commit.
    pub fn proclaim(&mut self, reigning: &model::Reigning) -> Result<(), Error> {
        self.begin()?;
        let topic = self.reign.clients.params.params().topics.model.clone();
        let broken = |source| Error::Broken { topic: topic.clone(), offset: -1, source };
        let Write { key, value } = model::reigning(reigning).map_err(broken)?;
        self.put(&topic, Some(0), &key, value.as_deref())
    }

    fn put(
        &self,
        topic: &str,
        partition: Option<i32>,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), Error> {
        let out = Out { topic, partition, key: Some(key), value, ..Out::default() };
        produce(&self.reign.producer, &out).map_err(|source| self.failed("write to", source))
    }

    fn failed(&self, doing: &'static str, source: KafkaError) -> Error {
        if let Some(Ok(unfit)) = self.reign.told.refused().map(Refused::for_good) {
            return unfit;
        }
        match self.reign.told.error(doing, &self.reign.clients.params.params().group, source) {
            // The successor's producer was initialised.
            Error::Fenced { .. } => Error::NotLeading,
            other => other,
        }
    }
}

async fn until_due(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// What the thread that reads evidence works with.
struct Reader {
    log: Log,
    topic: String,
    partition: Partition,
    encoder: String,
    lessons: mpsc::Sender<Result<Lesson, Error>>,
}

impl Reader {
    /// Reads until nobody takes it any more.
    fn run(self) {
        while !self.lessons.is_closed() {
            let lesson = match self.log.next(TICK) {
                Ok(Found::Record(record)) => self.lesson(&record),
                Ok(Found::End | Found::Nothing) => continue,
                Err(error) => Err(error),
            };
            let failed = lesson.is_err();
            if self.lessons.blocking_send(lesson).is_err() || failed {
                return;
            }
        }
    }

    fn lesson(&self, record: &Record) -> Result<Lesson, Error> {
        let broken = |source| Error::Broken { topic: self.topic.clone(), offset: record.offset, source };
        let value = record.value.as_deref().unwrap_or_default();
        let (evidence, erasures, ends) = if record.key == ERASURES {
            let ErasuresRecord { erasures, ends } = ErasuresRecord::decode(value).map_err(broken)?;
            (Evidence::default(), erasures, ends)
        } else {
            let EvidenceRecord { encoder, evidence, ends } = EvidenceRecord::decode(value).map_err(broken)?;
            if encoder != self.encoder {
                let (topic, wanted) = (self.topic.clone(), self.encoder.clone());
                return Err(Error::Encoder { topic, found: encoder, wanted });
            }
            (evidence, Vec::new(), ends)
        };
        let mut checkpoint = ends;
        checkpoint.advance(self.partition.clone(), (record.offset + 1) as u64);
        Ok(Lesson { evidence, erasures, arrivals: None, checkpoint })
    }
}
