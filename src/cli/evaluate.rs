//! `topicd evaluate FILE`: judge settings on data that is known.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::progress::Bars;
use crate::cli::table::{Cell, Column, Table, terminal};
use crate::cli::{Settings, arguments, block_on, fit, print_json, refits};
use crate::config::Config;
use crate::daemon;
use crate::document::{Batch, Document};
use crate::embed::Embedder;
use crate::kernel::unit::UnitRows;
use crate::pipeline::replay::{Replayed, replay};
use crate::pipeline::score::score;

/// Replay a stream through the same code as the daemon, and print how good the topics were.
///
/// Labels (field `label`) are optional; without them only counts are printed. The same file, seed and settings give
/// the same answer.
///
/// Example: topicd evaluate stream.jsonl.gz --embeddings stream.npy --seeds 5
#[derive(Debug, Args)]
pub(super) struct Evaluate {
    /// The stream, JSON Lines, also .gz and .zst
    file: PathBuf,
    /// The documents' embeddings, one row a line: .npy with float16 or float32
    #[arg(long, value_name = "FILE.npy")]
    embeddings: Option<PathBuf>,
    /// Replays, each with a seed of its own
    #[arg(long, value_name = "N", default_value = "5", value_parser = arguments::count, allow_negative_numbers = true)]
    seeds: usize,
    /// Write each document's last topic, one a line, to this new file (with --seeds 1)
    #[arg(long, value_name = "FILE")]
    topics: Option<PathBuf>,
}

impl Evaluate {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let set = fit::source_settings(settings, &self.file);
        let config = settings.load_with(&set)?;
        fit::exists(&self.file)?;
        if let Some(path) = self.topics.as_ref().filter(|path| path.exists()) {
            bail!("`{}` is there already; name another file, or delete it", path.display());
        }
        let bars = Bars::new(!settings.json);
        let (documents, rows) = self.documents(&config, &bars)?;
        let mut all = Vec::new();
        for round in 0..self.seeds {
            let seed = config.parameters.refit.seed + round as u64;
            let mut set = set.clone();
            set.push(format!("refit.seed={seed}"));
            let config = settings.load_with(&set)?;
            let started = Instant::now();
            let (tokenizer, parameters) = (config.keywords.tokenizer(), config.parameters);
            let replayed = replay(&documents, &rows, &tokenizer, &parameters, config.bounds, &bars)?;
            bars.finish();
            if let Some(path) = &self.topics {
                write_topics(path, &replayed)?;
            }
            let figures = figures(&documents, &replayed, seed, started.elapsed().as_secs_f64())?;
            if !settings.json && terminal().is_some() {
                refits::table(replayed.refits.iter().map(|refit| &refit.report)).print()?;
            }
            show(&figures, settings.json, round > 0)?;
            all.push(figures);
        }
        show(&mean(&all), settings.json, true)?;
        Ok(ExitCode::SUCCESS)
    }

    fn documents(&self, config: &Config, bars: &Bars) -> anyhow::Result<(Vec<Document>, UnitRows)> {
        if let Some(path) = &self.embeddings {
            let rows = read_npy(path)?;
            let corpus = block_on(fit::read(config, rows.dim()))?;
            let (n, lines) = (rows.n(), corpus.documents.len() + corpus.rejections.len());
            let Some(rows) = rows_of_documents(rows, &corpus) else {
                bail!(
                    "`{}` has {n} rows but `{}` has {lines} lines; embed every line, in order",
                    path.display(),
                    self.file.display(),
                );
            };
            fit::not_empty(&corpus, &self.file)?;
            if let Some(first) = corpus.rejections.first() {
                let refused = corpus.rejections.len();
                bars.say(&format!(
                    "left out {refused} of {lines} lines, the first because: {}",
                    first.reason.in_words()
                ));
            }
            return Ok((corpus.documents, rows));
        }
        let embedder = Arc::new(Embedder::open(&config.embed)?);
        let corpus = block_on(fit::read(config, embedder.dim()))?;
        fit::not_empty(&corpus, &self.file)?;
        let judge = daemon::judge(config, embedder);
        let judged = crate::pipeline::fit::embed(corpus.documents, &judge, &mut Vec::new(), bars)?;
        let rows = UnitRows::from_rows(judge.embedder.dim(), judged.iter().map(|judged| &*judged.embedding))?;
        Ok((judged.into_iter().map(|judged| judged.document).collect(), rows))
    }
}

/// The rows of the documents among `rows`, one for each line of the file, refused ones too; `None` if they are not as
/// many.
fn rows_of_documents(rows: UnitRows, corpus: &Batch) -> Option<UnitRows> {
    let documents = corpus.documents.iter().map(|document| (&document.position, true));
    let refused = corpus.rejections.iter().map(|rejection| (&rejection.position, false));
    let mut lines: Vec<_> = documents.chain(refused).collect();
    lines.sort();
    let kept: Vec<usize> = (0..lines.len()).filter(|line| lines[*line].1).collect();
    (rows.n() == lines.len()).then(|| rows.select(&kept))
}

fn read_npy(path: &Path) -> anyhow::Result<UnitRows> {
    let why = || format!("cannot read embeddings from `{}`", path.display());
    let rows = crate::npy::parse(&fs_err::read(path)?).with_context(why)?;
    UnitRows::normalise(rows).with_context(why)
}

fn write_topics(path: &Path, replayed: &Replayed) -> anyhow::Result<()> {
    let lines: Vec<String> = replayed
        .last
        .iter()
        .map(|topic| crate::model::topic::TopicId::to_record(*topic).to_string())
        .collect();
    fs_err::write(path, lines.join("\n") + "\n")?;
    Ok(())
}

fn figures(
    documents: &[Document],
    replayed: &Replayed,
    seed: u64,
    seconds: f64,
) -> anyhow::Result<Map<String, Value>> {
    let Value::Object(mut figures) = serde_json::to_value(score(documents, replayed))? else {
        bail!("figures are an object");
    };
    let fits: Vec<f64> =
        replayed.refits.iter().flat_map(|refit| refit.report.stages.iter().map(|stage| stage.1)).collect();
    figures.insert("seed".to_owned(), json!(seed));
    figures.insert("seconds".to_owned(), json!(seconds));
    figures.insert("documents_per_second".to_owned(), json!(documents.len() as f64 / seconds));
    figures.insert("refits".to_owned(), json!(fits.len()));
    figures.insert("refit_seconds".to_owned(), json!(fits.iter().sum::<f64>()));
    figures.insert("peak_mib".to_owned(), json!(peak_mib()));
    Ok(figures)
}

/// The most memory that this process ever had, in MiB; 0 where the system doesn't say.
fn peak_mib() -> f64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

/// The mean of each figure; of delays for each label, and the worst where one never came.
fn mean(all: &[Map<String, Value>]) -> Map<String, Value> {
    let mut mean = Map::new();
    let Some(first) = all.first() else { return mean };
    for key in first.keys().filter(|key| *key != "seed") {
        let values: Vec<f64> = all.iter().filter_map(|figures| figures[key].as_f64()).collect();
        if values.len() == all.len() {
            mean.insert(key.clone(), json!(values.iter().sum::<f64>() / values.len() as f64));
        }
    }
    let mut delays = Map::new();
    for label in first["detection_delay"].as_object().into_iter().flat_map(Map::keys) {
        let each: Option<Vec<f64>> =
            all.iter().map(|figures| figures["detection_delay"][label].as_f64()).collect();
        delays.insert(label.clone(), json!(each.map(|each| each.iter().sum::<f64>() / each.len() as f64)));
    }
    mean.insert("detection_delay".to_owned(), Value::Object(delays));
    mean.insert("mean_of".to_owned(), json!(all.len()));
    mean
}

/// A row for each figure; `continues` where others were shown before.
fn show(figures: &Map<String, Value>, json: bool, continues: bool) -> anyhow::Result<()> {
    if json {
        return print_json(figures);
    }
    let seed = figures.get("seed").map_or("mean".to_owned(), ToString::to_string);
    let mut table = Table::new([Column::number("seed"), Column::text("figure"), Column::number("value")]);
    let mut row = |name: &str, value: &Value| {
        let value = match value.as_f64() {
            Some(_) if value.is_u64() => Cell::of(value),
            number => Cell::maybe(number, |number| Cell::real(number, 3)),
        };
        table.row([Cell::of(&seed), Cell::of(name), value]);
    };
    for (key, value) in figures.iter().filter(|(key, _)| *key != "seed") {
        match value {
            Value::Object(each) => each.iter().for_each(|(name, value)| row(&format!("{key} {name}"), value)),
            value => row(key, value),
        }
    }
    if continues { table.continues().print() } else { table.print() }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::checkpoint::{Partition, Position};
    use crate::document::{Fields, Original, Reason, Rejection};

    #[test]
    fn a_refused_line_takes_its_row_with_it() {
        let position = |offset| Position { partition: Partition::new("stream.jsonl"), offset };
        let document = |offset: u64| Document {
            id: offset.to_string().into(),
            text: "text".to_owned(),
            timestamp_ms: None,
            label: None,
            embedding: None,
            fields: Fields::default(),
            left_out: Vec::new(),
            position: position(offset),
            original: Original::default(),
        };
        let corpus = Batch {
            documents: vec![document(0), document(20)],
            rejections: vec![Rejection {
                position: position(10),
                reason: Reason::DuplicateId { id: "0".into() },
                original: Original::default(),
            }],
            checkpoint: crate::checkpoint::Checkpoint::new(),
        };
        let rows = |rows| UnitRows::normalise(rows).unwrap();
        let kept = rows_of_documents(rows(array![[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), &corpus).unwrap();
        assert_eq!(kept.view(), array![[1.0, 0.0], [-1.0, 0.0]]);
        assert!(rows_of_documents(rows(array![[1.0, 0.0], [0.0, 1.0]]), &corpus).is_none());
    }
}
