//! `topicd retry`: dead letters, once more.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use crate::checkpoint::Position;
use crate::cli::Settings;
use crate::cli::exit::Usage;
use crate::record::dead_letter::DeadLetterRecord;
use crate::transport::embedded::{Letters, retried};
use crate::visible::{one_line, visible_json};

/// Try dead letters again, after their cause is mended: prints them as lines that `topicd run` and `topicd fit` read.
///
/// Each line holds the original bytes, where they stood, and how often they were tried. So a document keeps its id, and
/// one that was taken in before is refused as a duplicate. Append the lines to a file that the daemon follows, or read
/// them from a file of their own, with the state of the first run. Duplicates are left out unless `--reason` names them.
///
/// Example: topicd retry topicd-data/output/dead-letters.jsonl >> posts.jsonl
#[derive(Debug, Args)]
pub(super) struct Retry {
    /// Files of dead letters, all segments; also .gz and .zst
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only those that were refused for this reason, such as `no_text`; may be given several times
    #[arg(long, value_name = "REASON")]
    reason: Vec<String>,
}

/// What became of the letters that were found; of several about the same piece of input, the last counts.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Sorted {
    /// They are tried again.
    retried: usize,
    /// They have reasons that are not asked for.
    left_out: BTreeMap<String, usize>,
    /// Only a part of the original stands in them.
    cut: usize,
}

/// The same input at the same place.
type Piece = (Position, u64);

/// The reason of what came before; it would be refused again.
const DUPLICATE: &str = "duplicate_id";

impl Retry {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        if settings.load()?.kafka.is_some() {
            bail!(Usage(
                "documents come from Kafka, and so do dead letters; `topicd retry` reads files".into()
            ));
        }
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
            if sorted.take(letter, &self.reason) { print(&mut out, letter) } else { Ok(true) }
        })?;
        self.report(&sorted, settings.json)
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
            if json { visible_json(serde_json::to_string(sorted)?) } else { one_line(&sorted.in_words()) };
        // Whoever closed stderr needs no summary.
        drop(writeln!(std::io::stderr(), "{said}"));
        let nothing = sorted.retried == 0 && !self.reason.is_empty();
        Ok(if nothing || sorted.cut > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

impl Sorted {
    /// Whether `letter` is tried again, if `reasons` are asked for.
    fn take(&mut self, letter: &DeadLetterRecord, reasons: &[String]) -> bool {
        let asked =
            if reasons.is_empty() { letter.reason != DUPLICATE } else { reasons.contains(&letter.reason) };
        if !asked {
            *self.left_out.entry(letter.reason.clone()).or_default() += 1;
        } else if letter.cut_from_bytes.is_some() {
            self.cut += 1;
        } else {
            self.retried += 1;
            return true;
        }
        false
    }

    fn in_words(&self) -> String {
        let Self { retried, left_out, cut } = self;
        let all = retried + cut + left_out.values().sum::<usize>();
        let mut said = vec![format!("{retried} of {all} dead letters are tried again")];
        if !left_out.is_empty() {
            let reasons: Vec<String> =
                left_out.iter().map(|(reason, letters)| format!("{reason}: {letters}")).collect();
            said.push(format!("left out: {}", reasons.join(", ")));
        }
        if *cut > 0 {
            said.push(format!(
                "{cut} hold only the start of a line that was too long: raise `source.max_document_bytes` and feed these \
                 documents again"
            ));
        }
        said.join("; ")
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Partition;

    fn letter(reason: &str, cut_from_bytes: Option<u64>) -> DeadLetterRecord {
        DeadLetterRecord {
            reason: reason.to_owned(),
            detail: String::new(),
            position: Position { partition: Partition::new("p"), offset: 1 },
            cut_from_bytes,
            tries: 1,
            original: Some(String::new()),
            original_base64: None,
        }
    }

    #[test]
    fn what_is_left_out_is_said() {
        let letters = [letter("no_text", None), letter("duplicate_id", None), letter("too_long", Some(9))];
        let sorted = |reasons: &[&str]| {
            let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
            let mut sorted = Sorted::default();
            for letter in &letters {
                sorted.take(letter, &reasons);
            }
            sorted
        };
        let said = sorted(&[]).in_words();
        assert!(said.starts_with("1 of 3 dead letters are tried again; left out: duplicate_id: 1; 1 hold"));
        assert_eq!(sorted(&["duplicate_id", "no_text"]).retried, 2);
        let said = sorted(&["not_json"]).in_words();
        assert_eq!(
            said,
            "0 of 3 dead letters are tried again; left out: duplicate_id: 1, no_text: 1, too_long: 1"
        );
    }
}
