//! Documents from a file or from standard input, in batches.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::error::Error;
use super::fields::Fields;
use super::file::Regular;
use super::parse::{Format, Parser};
use super::paths::Paths;
use super::places::{self, Places};
use super::reader::{Bytes, Reader};
use super::seen::Seen;
use super::sink::{Item, Sink};
use super::time;
use crate::checkpoint::Checkpoint;
use crate::document::Batch;
use crate::transport::subscription::Subscription;

/// Where the documents are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Standard input. It cannot be read twice: what was received but not committed at a crash is lost, and its
    /// positions go on from the recorded one, so that no two documents ever have the same.
    Stdin,
    /// A file with one document a line; unpacked if it is packed with gzip or zstd.
    File(PathBuf),
    /// Likewise the files at several paths, of which each is a file, a folder or a pattern such as `logs/**/*.jsonl`; in
    /// the order of the paths, and of the names at each. Followed, more of them may come.
    Files(Vec<PathBuf>),
}

impl Input {
    /// True if what is written to `path` would be read.
    pub fn takes(&self, path: &Path) -> bool {
        self.paths().ok().flatten().is_some_and(|paths| paths.take(path))
    }

    /// Where the files are; none for standard input.
    fn paths(&self) -> Result<Option<Paths>, Error> {
        match self {
            Self::Stdin => Ok(None),
            Self::File(path) => Paths::one(path).map(Some),
            Self::Files(patterns) => Paths::patterns(patterns).map(Some),
        }
    }
}

/// What to read and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// Where the documents are.
    pub input: Input,
    /// What stands in a line.
    pub format: Format,
    /// The names of a JSON object's fields.
    pub fields: Fields,
    /// The names of the fields in messages of these Kafka topics; the first counts that takes a topic.
    pub topic_fields: Vec<(Subscription, Fields)>,
    /// A notation of time that is tried before all others, as `strptime` has them; none if empty.
    pub time_format: String,
    /// Whether to wait at the file's end for more. A last line without its end is then not taken until it has one.
    pub follow: bool,
    /// Documents a second; 0 is as fast as they are taken.
    pub speed: f64,
    /// The longest line that is read, in bytes.
    pub max_document_bytes: u64,
    /// The greatest number of documents and rejections in a batch.
    pub batch_documents: usize,
    /// How long a batch waits to be full after its first document, in ms.
    pub max_wait_ms: u64,
    /// A batch waits until it is full, or the input ends, and until everything before it is learned.
    pub lockstep: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            input: Input::File(PathBuf::new()),
            format: Format::Json,
            fields: Fields::default(),
            topic_fields: Vec::new(),
            time_format: String::new(),
            follow: false,
            speed: 0.0,
            max_document_bytes: 1 << 20,
            batch_documents: 64,
            max_wait_ms: 50,
            lockstep: false,
        }
    }
}

/// Parameters that can be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked(Params);

impl Checked {
    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.0
    }

    /// The same, in lockstep or not.
    #[must_use]
    pub fn in_lockstep(mut self, lockstep: bool) -> Self {
        self.0.lockstep = lockstep;
        self
    }
}

impl Params {
    /// What reads messages of the Kafka topic `topic`; embeddings must have `dimension` numbers, if given.
    pub fn parser_of(&self, topic: &str, dimension: Option<usize>) -> Parser {
        let own = self.topic_fields.iter().find(|(topics, _)| topics.takes(topic));
        self.parser(own.map_or(&self.fields, |(_, fields)| fields).clone(), dimension)
    }

    fn parser(&self, fields: Fields, dimension: Option<usize>) -> Parser {
        Parser {
            format: self.format,
            fields,
            max_document_bytes: self.max_document_bytes,
            dimension,
            time_format: self.time_format.clone(),
        }
    }

    /// Checks every parameter; that the input is there, only [`Source::open`] does.
    ///
    /// # Errors
    /// [`Error::Parameter`] for the first that is wrong.
    pub fn check(self) -> Result<Checked, Error> {
        let refuse = |key, value: String, must| Err(Error::Parameter { key, value, must });
        if self.follow && self.input == Input::Stdin {
            return refuse("follow", "true".into(), "false for stdin, which ends when its writer closes it");
        }
        for fields in self.topic_fields.iter().map(|(_, fields)| fields).chain([&self.fields]) {
            if fields.text.is_empty() {
                let must = "the name of the field that holds the text";
                return refuse("fields.text", "empty".into(), must);
            }
            if let Some((wrong, must)) = fields.mistake() {
                return refuse("fields.keep", wrong, must);
            }
        }
        if let Some(mistake) = time::mistake(&self.time_format) {
            let value = format!("{:?} ({mistake})", self.time_format);
            return refuse("time_format", value, "a notation of `strptime`, such as \"%d.%m.%Y %H:%M\"");
        }
        if !(self.speed.is_finite() && self.speed >= 0.0) {
            return refuse("speed", self.speed.to_string(), "0 or a positive number of documents a second");
        }
        if !(1024..=1 << 30).contains(&self.max_document_bytes) {
            return refuse("max_document_bytes", self.max_document_bytes.to_string(), "1024 to 1073741824");
        }
        if !(1..=65_536).contains(&self.batch_documents) {
            return refuse("batch_documents", self.batch_documents.to_string(), "1 to 65536");
        }
        if !(1..=60_000).contains(&self.max_wait_ms) {
            return refuse("max_wait_ms", self.max_wait_ms.to_string(), "1 to 60000");
        }
        Ok(Checked(self))
    }
}

/// Reads documents in source order from where the last run was committed.
pub struct Source {
    /// For messages.
    path: PathBuf,
    /// Where the files are, if they are files.
    paths: Option<Paths>,
    /// What comes before the batch under way in this run.
    before: Checkpoint,
    /// How far each file is committed.
    done: Arc<Mutex<Checkpoint>>,
    batch_documents: usize,
    max_wait: Duration,
    lockstep: bool,
    /// What `receive` has gathered; it stays here if `receive` is dropped half-way.
    pending: Batch,
    /// When `pending` is given out even if it is not full.
    deadline: Option<Instant>,
    pace: Option<Pace>,
    /// One batch ahead: filled by the reader, which waits while it is full.
    items: mpsc::Receiver<Item>,
    reader: Option<JoinHandle<Result<(), Error>>>,
    /// Wakes the reader of a followed file when the source is dropped.
    _stop: std::sync::mpsc::SyncSender<()>,
}

impl Source {
    /// Opens the input at the position that `recorded` has for it; embeddings must have `dimension` numbers, if
    /// given, and ids must not be among `seen`.
    ///
    /// The partition is the file's absolute path and its fingerprint, or the path of a pipe, or `stdin`. Positions are
    /// byte offsets; in a packed file, those of the unpacked stream, which is unpacked and dropped up to the recorded
    /// one. Files that stood at the path before and hold more than was read of them are read first.
    ///
    /// # Errors
    /// The file cannot be opened, or holds no lines of text. Nothing need stand at a followed path.
    pub fn open(
        params: Checked,
        dimension: Option<usize>,
        recorded: &Checkpoint,
        seen: Seen,
    ) -> Result<Self, Error> {
        let Some(paths) = params.0.input.paths()? else {
            return Self::stream(params, dimension, recorded, seen, std::io::stdin());
        };
        let known = Places(recorded.clone()).know(&paths.name());
        let wait = params.0.follow && (known || matches!(paths, Paths::Patterns(_)));
        let bytes = Bytes::at(paths, wait)?;
        Self::start(params, dimension, recorded, seen, bytes)
    }

    /// Whether the input can be opened now; reads nothing of it but its start.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn look(params: &Checked) -> Result<(), Error> {
        let Some(paths) = params.0.input.paths()? else { return Ok(()) };
        let wait = params.0.follow && matches!(paths, Paths::Patterns(_));
        Bytes::at(paths, wait).map(drop)
    }

    /// Reads `bytes` as if they were standard input.
    ///
    /// # Errors
    /// The reader's thread cannot be started.
    pub fn stream(
        params: Checked,
        dimension: Option<usize>,
        recorded: &Checkpoint,
        seen: Seen,
        bytes: impl Read + Send + 'static,
    ) -> Result<Self, Error> {
        let bytes = Bytes::Stream { path: PathBuf::from("stdin"), bytes: Box::new(bytes) };
        Self::start(params, dimension, recorded, seen, bytes)
    }

    fn start(
        Checked(params): Checked,
        dimension: Option<usize>,
        recorded: &Checkpoint,
        seen: Seen,
        bytes: Bytes,
    ) -> Result<Self, Error> {
        let path = bytes.path();
        let paths = match &bytes {
            Bytes::Stream { .. } => None,
            Bytes::Files(paths) => Some(paths.clone()),
        };
        let parser = params.parser(params.fields.clone(), dimension);
        let (filled, items) = mpsc::channel(params.batch_documents);
        let (stop, stopped) = std::sync::mpsc::sync_channel(0);
        let sink = Sink { places: Places(recorded.clone()), parser, seen, items: filled };
        let reader = Reader { sink, follow: params.follow, stop: stopped };
        let reader = std::thread::Builder::new()
            .name("source".into())
            .spawn(move || reader.run(bytes))
            .map_err(|source| Error::Read { path: path.clone(), source })?;
        Ok(Self {
            path,
            paths,
            before: Checkpoint::new(),
            done: Arc::new(Mutex::new(recorded.clone())),
            batch_documents: params.batch_documents,
            max_wait: Duration::from_millis(params.max_wait_ms),
            lockstep: params.lockstep,
            pending: Batch::default(),
            deadline: None,
            pace: (params.speed > 0.0).then(|| Pace::new(params.speed)),
            items,
            reader: Some(reader),
            _stop: stop,
        })
    }

    /// The next batch, never empty: it is full, or `max_wait_ms` have passed since its first document, or the input
    /// ends. `None` at the end; a followed file and an open pipe have none.
    ///
    /// Cancel safe: what was gathered by a call that is dropped is in the next one's batch.
    ///
    /// # Errors
    /// The input cannot be read on; everything before the fault has been given out.
    pub async fn receive(&mut self) -> Result<Option<Batch>, Error> {
        while self.pending.documents.len() + self.pending.rejections.len() < self.batch_documents {
            let next = next_item(&mut self.items, &mut self.pace);
            let item = match self.deadline {
                None => next.await,
                Some(deadline) => match timeout_at(deadline, next).await {
                    Ok(item) => item,
                    Err(_elapsed) => break,
                },
            };
            let Some(Item { parsed, partition, end, before }) = item else {
                if self.pending.is_empty() {
                    return self.end();
                }
                break;
            };
            match parsed {
                Ok(document) => self.pending.documents.push(document),
                Err(rejection) => self.pending.rejections.push(rejection),
            }
            places::record(&mut self.pending.checkpoint, &partition, end, before);
            if !self.lockstep {
                self.deadline.get_or_insert_with(|| Instant::now() + self.max_wait);
            }
        }
        let batch = std::mem::take(&mut self.pending);
        self.deadline = None;
        self.before = batch.checkpoint.clone();
        Ok(Some(batch))
    }

    /// Whether each batch waits until everything before it is learned.
    pub(super) fn in_lockstep(&self) -> bool {
        self.lockstep
    }

    /// What comes before the next batch in this run.
    pub(super) fn before(&self) -> Checkpoint {
        self.before.clone()
    }

    /// How much of the file is not committed, for those who ask while it is read.
    pub fn lag(&self) -> Lag {
        Lag { paths: self.paths.clone(), done: self.done.clone() }
    }

    /// Where whoever commits writes down how far that is.
    pub(super) fn done(&self) -> Arc<Mutex<Checkpoint>> {
        self.done.clone()
    }

    /// The reader has sent all it had: says whether it came to the input's end.
    fn end(&mut self) -> Result<Option<Batch>, Error> {
        match self.reader.take().map(JoinHandle::join) {
            None => Ok(None),
            Some(Ok(ended)) => ended.map(|()| None),
            Some(Err(_panic)) => Err(Error::ReaderPanicked { path: self.path.clone() }),
        }
    }
}

/// What waits in the files.
#[derive(Debug, Clone)]
pub struct Lag {
    /// None where nobody knows.
    paths: Option<Paths>,
    done: Arc<Mutex<Checkpoint>>,
}

impl Lag {
    /// Of the files that `params` name, of which as much is committed as `recorded` says; none for standard input.
    pub fn of(Checked(params): &Checked, recorded: &Checkpoint) -> Option<Self> {
        let paths = params.input.paths().ok()??;
        Some(Self { paths: Some(paths), done: Arc::new(Mutex::new(recorded.clone())) })
    }

    /// Bytes of the files behind what is committed; `None` where nobody knows: a pipe, nothing but packed files.
    pub fn bytes(&self) -> Option<u64> {
        let done = Places(self.done.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let files = self.paths.as_ref()?.list().into_iter();
        let unread = files.filter_map(|path| {
            fs_err::metadata(&path).ok().filter(std::fs::Metadata::is_file)?;
            let Some(file) = Regular::open(&path, true).ok()? else { return Some(0) };
            let length = file.length()?;
            let place = done.find(&file, |_| false).ok()?;
            Some(length - place.map_or(0, |place| place.position))
        });
        unread.reduce(|a, b| a + b)
    }
}

/// The next item, not before the pace allows it. Cancel safe: nothing waits after the item is taken.
async fn next_item(items: &mut mpsc::Receiver<Item>, pace: &mut Option<Pace>) -> Option<Item> {
    let Some(pace) = pace else {
        return items.recv().await;
    };
    sleep_until(pace.due).await;
    let item = items.recv().await;
    pace.advance();
    item
}

/// When the next document is due.
struct Pace {
    due: Instant,
    interval: Duration,
}

impl Pace {
    /// A second's worth of documents may be caught up after a pause, no more.
    const CATCH_UP: Duration = Duration::from_secs(1);

    fn new(documents_per_second: f64) -> Self {
        let interval = Duration::try_from_secs_f64(documents_per_second.recip()).unwrap_or(Duration::MAX);
        Self { due: Instant::now(), interval }
    }

    fn advance(&mut self) {
        let earliest = Instant::now().checked_sub(Self::CATCH_UP).unwrap_or(self.due);
        let due = self.due.max(earliest);
        self.due = due.checked_add(self.interval).unwrap_or(due);
    }
}

#[cfg(test)]
mod tests;
