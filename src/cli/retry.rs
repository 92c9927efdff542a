//! `topicd retry`: dead letters, once more.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use xxhash_rust::xxh3::xxh3_64;

use crate::checkpoint::Position;
use crate::cli::Settings;
use crate::cli::exit::Usage;
use crate::record::dead_letter::DeadLetterRecord;
use crate::transport::brokers;
use crate::transport::embedded::{Letters, retried};
use crate::transport::retry::Sorted;
use crate::visible::{one_line, visible_json};

/// Try dead letters again, after their cause is mended: prints them as lines that `topicd run` and `topicd fit` read.
///
/// Each line holds the original bytes, where they stood, and how often they were tried. So a document keeps its id, and
/// one that was taken in before is refused as a duplicate. Append the lines to a file that the daemon follows, or read
/// them from a file of their own, with the state of the first run. Duplicates are left out unless `--reason` names them.
///
/// Where documents come from Kafka, it reads the topic of dead letters, and writes each of them back into the topic and
/// partition that it came from, once.
///
/// Example: topicd retry topicd-data/output/dead-letters.jsonl >> posts.jsonl
#[derive(Debug, Args)]
pub(super) struct Retry {
    /// Files of dead letters, all segments; also .gz and .zst. None where documents come from Kafka
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only those that were refused for this reason, such as `no_text`; may be given several times
    #[arg(long, value_name = "REASON")]
    reason: Vec<String>,
}

/// The same input at the same place.
type Piece = (Position, u64);

impl Retry {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let sorted = match settings.load()?.kafka {
            Some(kafka) if self.files.is_empty() => from_kafka(kafka, &self.reason)?,
            Some(_) => {
                bail!(Usage("documents come from Kafka, and so do dead letters; name no file".to_owned()))
            }
            None if self.files.is_empty() => {
                let files = "topicd-data/output/dead-letters*.jsonl";
                bail!(Usage(format!("name files of dead letters, such as {files}")))
            }
            None => self.reprint()?,
        };
        self.report(&sorted, settings.json)
    }

    /// Prints the letters of files; of several about the same piece of input, the last.
    fn reprint(&self) -> anyhow::Result<Sorted> {
        let mut last: BTreeMap<Piece, u32> = BTreeMap::new();
        self.each(|letter| {
            let tries = last.entry(piece(letter)?).or_default();
            *tries = letter.tries.max(*tries);
            Ok(true)
        })?;
        let mut sorted = Sorted::default();
        let mut out = std::io::stdout().lock();
        self.each(|letter| {
            let piece = piece(letter)?;
            if last.get(&piece) != Some(&letter.tries) {
                return Ok(true);
            }
            last.remove(&piece);
            let whole = letter.cut_from_bytes.is_none();
            let taken = sorted.take(&letter.reason, whole, &self.reason);
            if taken { print(&mut out, letter) } else { Ok(true) }
        })?;
        Ok(sorted)
    }

    /// Calls `work` with each letter, until it says that this is enough.
    fn each(&self, mut work: impl FnMut(&DeadLetterRecord) -> anyhow::Result<bool>) -> anyhow::Result<()> {
        for file in &self.files {
            for letter in Letters::open(file)? {
                if !work(&letter?)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Says on stderr what is done; what was asked for and is not done is a failure.
    fn report(&self, sorted: &Sorted, json: bool) -> anyhow::Result<ExitCode> {
        let said =
            if json { visible_json(serde_json::to_string(sorted)?) } else { one_line(&in_words(sorted)) };
        // Whoever closed stderr needs no summary.
        drop(writeln!(std::io::stderr(), "{said}"));
        let nothing = sorted.retried == 0 && !self.reason.is_empty();
        Ok(if nothing || sorted.cut > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

/// What was done, for people.
fn in_words(sorted: &Sorted) -> String {
    let Sorted { retried, left_out, cut } = sorted;
    let all = retried + cut + left_out.values().sum::<usize>();
    let mut said = vec![format!("{retried} of {all} dead letters are tried again")];
    if !left_out.is_empty() {
        let reasons: Vec<String> =
            left_out.iter().map(|(reason, letters)| format!("{reason}: {letters}")).collect();
        said.push(format!("left out: {}", reasons.join(", ")));
    }
    if *cut > 0 {
        said.push(format!(
            "{cut} are not whole: raise `source.max_document_bytes`, and feed these documents again"
        ));
    }
    said.join("; ")
}

fn piece(letter: &DeadLetterRecord) -> anyhow::Result<Piece> {
    Ok((letter.position.clone(), xxh3_64(&letter.original()?)))
}

/// Prints one line by one write, so that lines of others stand before or after it; false if nobody reads any more.
fn print(out: &mut impl Write, letter: &DeadLetterRecord) -> anyhow::Result<bool> {
    let mut line = retried(letter.clone());
    line.push(b'\n');
    match out.write_all(&line) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true).map_err(Into::into),
    }
}

#[cfg(not(feature = "kafka"))]
fn from_kafka(_: brokers::Checked, _: &[String]) -> anyhow::Result<Sorted> {
    Err(crate::built::Without("kafka").into())
}

#[cfg(feature = "kafka")]
fn from_kafka(kafka: brokers::Checked, reasons: &[String]) -> anyhow::Result<Sorted> {
    let telemetry = crate::telemetry::Telemetry::new()?;
    Ok(crate::transport::kafka::retry(kafka, reasons, telemetry)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_said() {
        let letters = [("no_text", true), ("duplicate_id", true), ("too_long", false)];
        let sorted = |reasons: &[&str]| {
            let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
            let mut sorted = Sorted::default();
            for (reason, whole) in letters {
                sorted.take(reason, whole, &reasons);
            }
            sorted
        };
        let said = in_words(&sorted(&[]));
        assert!(
            said.starts_with(
                "1 of 3 dead letters are tried again; left out: duplicate_id: 1; 1 are not whole"
            )
        );
        assert_eq!(sorted(&["duplicate_id", "no_text"]).retried, 2);
        let said = in_words(&sorted(&["not_json"]));
        assert_eq!(
            said,
            "0 of 3 dead letters are tried again; left out: duplicate_id: 1, no_text: 1, too_long: 1"
        );
    }
}
