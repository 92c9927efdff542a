//! The log: one line an event, to standard error. Nobody waits for it.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::visible::log_line;

/// How much is logged and how it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A level, or levels by module: `info,topicd::pipeline=debug`.
    pub level: String,
    /// How a line is written.
    pub format: Format,
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Params {
    fn default() -> Self {
        Self { level: "info,ort=warn".into(), format: Format::Text }
    }
}

/// The log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The level is none.
    #[error(
        "`level` is \"{level}\" but must be error, warn, info, debug or trace, or one for each module; \
         for example \"info,topicd::pipeline=debug\""
    )]
    Level {
        /// As given.
        level: String,
    },
    /// Another log has been set up in this process.
    #[error("the log is set up already; set it up once, at the door")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
    /// The system gives no thread.
    #[error("no thread for the log")]
    Thread(#[source] io::Error),
}

/// Parameters that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked(Params);

impl Params {
    /// These parameters, if the level can be read.
    ///
    /// # Errors
    /// [`Error::Level`].
    pub fn check(self) -> Result<Checked, Error> {
        let unknown = |directive: &str| {
            let level = directive.rsplit('=').next().unwrap_or_default();
            level.trim().is_empty() || level.trim().parse::<LevelFilter>().is_err()
        };
        if self.level.split(',').any(unknown) || self.level.parse::<EnvFilter>().is_err() {
            return Err(Error::Level { level: self.level });
        }
        Ok(Checked(self))
    }
}

/// Lines that wait to be written, at most: a pipe that nobody reads costs lines, not documents.
const WAITING: usize = 4096;
/// How long the end of the process waits until what it has said is written.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// The log of this process.
pub struct Log {
    lines: SyncSender<Line>,
    levels: reload::Handle<EnvFilter, Registry>,
}

/// What the thread that writes is told.
enum Line {
    Text(Vec<u8>),
    /// Everything before it is written once this is dropped.
    End(#[expect(dead_code, reason = "only its end is waited for")] SyncSender<()>),
}

/// Sends every event of this process to standard error from now on, and panics too.
///
/// # Errors
/// [`Error::Twice`], [`Error::Thread`], and [`Error::Level`] never for what has been checked.
pub fn init(checked: &Checked) -> Result<Log, Error> {
    let filter = checked.filter()?;
    let (lines, waiting) = sync_channel(WAITING);
    let lost = Arc::new(AtomicU64::new(0));
    let writer = Writer { lines: lines.clone(), lost: lost.clone() };
    let thread = std::thread::Builder::new().name("log".to_owned());
    thread.spawn(move || write(&waiting, &lost)).map_err(Error::Thread)?;
    let (filter, levels) = reload::Layer::new(filter);
    let log = fmt::layer().with_writer(writer).log_internal_errors(false);
    let log: Box<dyn Layer<_> + Send + Sync> = match checked.0.format {
        Format::Text => log.with_target(false).boxed(),
        Format::Json => log.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(log).try_init()?;
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a thread panicked; please report it")));
    Ok(Log { lines, levels })
}

impl Checked {
    fn filter(&self) -> Result<EnvFilter, Error> {
        let level = &self.0.level;
        level.parse().map_err(|_| Error::Level { level: level.clone() })
    }
}

impl Log {
    /// Takes over the levels of `checked`; the format stays.
    ///
    /// # Errors
    /// [`Error::Level`] never for what has been checked.
    pub fn set_level(&self, checked: &Checked) -> Result<(), Error> {
        let filter = checked.filter()?;
        // The log of a process lasts as long as the process.
        drop(self.levels.reload(filter));
        Ok(())
    }

    /// Waits until everything is written that was logged before, or a second has passed.
    pub fn flush(&self) {
        let (end, written) = sync_channel(1);
        if self.lines.try_send(Line::End(end)).is_ok() {
            // An error says that it is done, or that nobody reads.
            let _written_or_not = written.recv_timeout(LAST_WAIT);
        }
    }
}

/// Writes `text` and a line feed to standard error, but waits no more than a second until somebody reads it.
pub fn say(text: &str) {
    let line = format!("{text}\n");
    let (end, written) = sync_channel::<()>(1);
    let spawned = std::thread::Builder::new().spawn(move || {
        let _end = end;
        // Nobody is left to tell when stderr is gone.
        drop(io::stderr().write_all(line.as_bytes()));
    });
    if spawned.is_ok() {
        let _written_or_not = written.recv_timeout(LAST_WAIT);
    }
}

/// What the events are written to.
#[derive(Clone)]
struct Writer {
    lines: SyncSender<Line>,
    /// Lines that found no place.
    lost: Arc<AtomicU64>,
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

impl Write for &Writer {
    /// Takes one line: the formatter writes each event with one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(TrySendError::Full(_)) = self.lines.try_send(Line::Text(line.to_vec())) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what comes, for ever. A line that cannot be written is lost: there is nobody to tell.
fn write(waiting: &Receiver<Line>, lost: &AtomicU64) {
    let mut stderr = io::stderr();
    while let Ok(line) = waiting.recv() {
        let Line::Text(line) = line else { continue };
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            drop(writeln!(stderr, "{lost} lines of the log were lost here: nobody read standard error"));
        }
        drop(stderr.write_all(shown(&line).as_bytes()));
    }
}

/// `line` without control characters: parts of it come from strangers.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    log_line(text.strip_suffix('\n').unwrap_or(&text)) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_checked_before_they_are_used() {
        let check = |level: &str| Params { level: level.into(), ..Params::default() }.check();
        for level in ["info", "WARN", "off", "info,topicd::pipeline=debug", "topicd=trace"] {
            assert!(check(level).is_ok(), "{level}");
        }
        for level in ["", "loud", "info,topicd=loud", "info,,"] {
            assert!(check(level).unwrap_err().to_string().contains(level), "{level}");
        }
    }
}
