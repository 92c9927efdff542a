//! `topicd fit FILE`: the notebook's job.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{bail, ensure};
use clap::Args;

use crate::cli::faults::Faults;
use crate::cli::progress::Bars;
use crate::cli::{Settings, arguments, block_on, print_json, topics};
use crate::config::Config;
use crate::daemon;
use crate::document::Batch;
use crate::embed::Embedder;
use crate::model::state::change::Change;
use crate::pipeline::fit::{Fitted, fit};
use crate::pipeline::operator;
use crate::record::topic::TopicsRecord;
use crate::store::{Identity, Store};
use crate::telemetry::Telemetry;
use crate::transport::embedded::{self, Outputs, Seen, Source};
use crate::transport::{Records, arrived};

/// Fit a whole corpus at once: JSON Lines or plain lines, also .gz and .zst.
///
/// Topics and assignments go to `output.directory`, the model to `state.directory`, where `topicd topics`, `find` and
/// `assign` read it and from where `topicd run` can go on.
///
/// Example: topicd fit corpus.jsonl.gz --state /tmp/corpus --min-cluster-size 50
#[derive(Debug, Args)]
pub(super) struct Fit {
    /// The corpus
    file: PathBuf,
    /// Folder for the model and the outputs, in place of `state.directory` and `output.directory`; must be new
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The smallest group of documents that is a topic
    #[arg(long, value_name = "N", value_parser = arguments::count, allow_negative_numbers = true)]
    min_cluster_size: Option<usize>,
}

impl Fit {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let mut set = source_settings(settings, &self.file);
        exists(&self.file)?;
        if let Some(folder) = &self.state {
            set.push(format!("state.directory={}", folder.display()));
            set.push(format!("output.directory={}", folder.join("output").display()));
        }
        set.extend(self.min_cluster_size.map(|size| format!("refit.min_cluster_size={size}")));
        let config = settings.load_with(&set)?;
        let started = Instant::now();
        let bars = Bars::new(!settings.json);
        bars.say(&format!("loading the encoder from `{}`", config.embed_name()));
        let embedder = Arc::new(Embedder::open(&config.embed)?);
        let identity = Identity { encoder: embedder.name().to_owned(), dim: embedder.dim() };
        let mut store = Store::open(&config.state.directory, &identity, config.bounds.seen)?;
        if store.load(embedder.dim(), config.bounds)?.0.totals().documents > 0 {
            bail!(
                "state `{}` holds a model already; name a new folder with --state",
                config.state.directory.display()
            );
        }
        let mut outputs = Outputs::open(&config.output, &store.checkpoint()?, &Telemetry::new()?)?;
        // What is written from here on and not committed is cut off, should this end half-way.
        store.commit(&Change::default(), &outputs.lengths(), false)?;
        let corpus = block_on(read(&config, embedder.dim()))?;
        not_empty(&corpus, &self.file)?;
        let faults = Faults::of(&corpus);
        let seeds = daemon::seeds(&config.seeds, &embedder)?;
        let judge = daemon::judge(&config, embedder);
        let mut fitted = fit(corpus, &judge, &config.parameters, config.bounds, seeds, &bars)?;
        bars.say("describing the topics");
        fitted.describe(&daemon::chains(&config, judge.embedder.clone()), &config.wanted)?;
        bars.finish();
        let mut checkpoint = fitted.checkpoint.clone();
        checkpoint.merge(&outputs.deliver(records(&fitted))?);
        // All at once: half of a fit is none.
        store.commit(&fitted.change, &checkpoint, false)?;
        report(&fitted, &faults, settings, started)?;
        faults.fields().for_each(|fault| bars.warn(&fault));
        if let Some(refused) = faults.most_refused() {
            bail!(refused);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The settings that make `file` the source, read once and at once.
pub(super) fn source_settings(settings: &Settings, file: &Path) -> Vec<String> {
    let mut set = settings.set.clone();
    set.push("source.type=file".to_owned());
    set.push(format!("source.path={}", file.display()));
    set.push("source.paths=[]".to_owned());
    set.push("source.follow=false".to_owned());
    set.push("source.speed=0.0".to_owned());
    set
}

/// Refuses a file that is not there, before anything takes time. A pipe can be opened once only, so nothing is.
pub(super) fn exists(file: &Path) -> Result<(), embedded::Error> {
    file.metadata().map(drop).map_err(|source| embedded::Error::Read { path: file.to_owned(), source })
}

/// Refuses a corpus of nothing.
pub(super) fn not_empty(corpus: &Batch, file: &Path) -> anyhow::Result<()> {
    let file = file.display();
    let why = match corpus.rejections.first() {
        None => format!(
            "`{file}` is empty; write a document a line, such as {{\"id\": \"1\", \"text\": \"a text\"}}"
        ),
        Some(first) => format!(
            "`{file}` holds no document; all of its {} lines are refused, the first because: {}; see `source.fields` \
             and `source.format`",
            corpus.rejections.len(),
            first.reason.in_words()
        ),
    };
    ensure!(!corpus.documents.is_empty(), why);
    Ok(())
}

/// Everything that the source holds.
pub(super) async fn read(config: &Config, dim: usize) -> anyhow::Result<Batch> {
    let seen = Seen::new(usize::MAX);
    let mut source =
        Source::open(config.source.clone(), Some(dim), &crate::checkpoint::Checkpoint::new(), seen)?;
    let mut corpus = Batch::default();
    while let Some(batch) = source.receive().await? {
        corpus.documents.extend(batch.documents);
        corpus.rejections.extend(batch.rejections);
        corpus.checkpoint.merge(&batch.checkpoint);
    }
    Ok(corpus)
}

fn records(fitted: &Fitted) -> Records {
    Records {
        assignments: fitted.judged.iter().map(|judged| arrived(judged, &fitted.model)).collect(),
        topics: operator::topics(&fitted.model),
        events: operator::events(&fitted.change),
        dead_letters: operator::dead_letters(&fitted.rejections),
        ..Records::default()
    }
}

fn report(fitted: &Fitted, faults: &Faults, settings: &Settings, started: Instant) -> anyhow::Result<()> {
    let record = TopicsRecord::new(&fitted.model, &fitted.state.overview());
    let seconds = started.elapsed().as_secs_f64();
    if settings.json {
        let stages: serde_json::Map<_, _> =
            fitted.stages.iter().map(|(stage, seconds)| (stage.clone(), (*seconds).into())).collect();
        return print_json(&serde_json::json!({
            "model": record, "rejected": fitted.rejections.len(), "left_out": faults.fields_json(),
            "stages": stages, "seconds": seconds,
        }));
    }
    let stages: Vec<String> =
        fitted.stages.iter().map(|(stage, seconds)| format!("{stage} {seconds:.1} s")).collect();
    let took = format!("{seconds:.1} s: {}; {} lines refused", stages.join(", "), fitted.rejections.len());
    topics::table(&record, record.topics.len()).note(took).print()
}
