//! How fast is embedding, and what is lost on the way to an assignment? topicd's side of `benches/embedding`, which
//! runs it: one job a process, so that its peak memory is its own, and texts from a JSON Lines file.
//!
//! `ort FILE` runs the model through plain `ort`, batches of 32 sorted by length; `bare FILE ROWS` through this crate,
//! all texts at once; `calls FILE` 64 at a time, as the daemon does; `daemon FILE` from JSON Lines to assignments;
//! `latency FILE RATE SECONDS` the same with documents that arrive at random. Each prints one JSON object.
#![allow(clippy::print_stdout, missing_docs)]

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ndarray::Array2;
use ort::session::Session;
use ort::value::Tensor;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use topicd::checkpoint::Checkpoint;
use topicd::config::{self, Config};
use topicd::daemon::{self, Daemon, Launch, Role};
use topicd::document::Batch;
use topicd::embed::{self, Counts, Embedder};
use topicd::model::evidence::Outcome;
use topicd::model::version::{Sampling, TopicModel};
use topicd::pipeline::assigner::Assigner;
use topicd::telemetry::Telemetry;
use topicd::transport::AssignerPort;
use topicd::transport::embedded::{self, Seen, Source};

type Answer<T> = Result<T, Box<dyn Error>>;

/// Texts in a call of the daemon: `source.batch_documents`.
const CALL: usize = 64;
/// Texts in a batch of the peers.
const PEERS_BATCH: usize = 32;

fn main() -> Answer<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut answer = match arguments[..] {
        ["ort", file] => plain_ort(&texts(file)?)?,
        ["bare", file, rows] => bare(&texts(file)?, Path::new(rows))?,
        ["calls", file] => calls(&texts(file)?)?,
        ["daemon", file] => whole(file)?,
        ["latency", file, rate, seconds] => latency(&texts(file)?, rate.parse()?, seconds.parse()?)?,
        _ => {
            println!("this is topicd's side of benches/embedding; run that");
            return Ok(());
        }
    };
    if answer["peak_mib"].is_null() {
        answer["peak_mib"] = peak_mib()?.into();
    }
    println!("{answer}");
    Ok(())
}

/// The most memory that this process has had.
fn peak_mib() -> Answer<u64> {
    let status = fs_err::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no `VmHWM`")?;
    Ok(line.trim_end_matches("kB").trim().parse::<u64>()? >> 10)
}

fn texts(file: &str) -> Answer<Vec<String>> {
    let text =
        |line: &str| Ok(serde_json::from_str::<Value>(line)?["text"].as_str().ok_or("no text")?.to_owned());
    fs_err::read_to_string(file)?.lines().map(text).collect()
}

fn strs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// The configuration with `set`, two threads and no cache, which would know the texts of the first round.
fn configured(set: &[&str]) -> Answer<Config> {
    let mut all = vec!["embed.threads=2".to_owned(), "embed.cache_texts=0".to_owned()];
    all.extend(set.iter().map(ToString::to_string));
    Ok(config::load(None, &all)?)
}

fn plain_ort(texts: &[String]) -> Answer<Value> {
    let cache = embed::cache().ok_or("no cache")?;
    let folder = cache.join("models/all-MiniLM-L6-v2");
    let libraries: Vec<PathBuf> = fs_err::read_dir(cache.join("onnxruntime"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    let library = libraries.into_iter().find(|path| path.to_string_lossy().contains("libonnxruntime.so"));
    let environment = ort::init_from(library.ok_or("no library")?)?.build()?;
    let mut session = Session::builder(&environment)?.commit_from_file(folder.join("onnx/model.onnx"))?;
    let mut tokenizer =
        tokenizers::Tokenizer::from_file(folder.join("tokenizer.json")).map_err(|error| error.to_string())?;
    let truncation =
        tokenizers::TruncationParams { max_length: 256, ..tokenizers::TruncationParams::default() };
    tokenizer.with_padding(None).with_truncation(Some(truncation)).map_err(|error| error.to_string())?;
    let mut run = |texts: &[String]| -> Answer<f32> {
        let mut ids: Vec<Vec<u32>> = Vec::new();
        for text in texts {
            let encoding = tokenizer.encode_fast(text.as_str(), true).map_err(|error| error.to_string())?;
            ids.push(encoding.get_ids().to_vec());
        }
        ids.sort_by_key(|ids| std::cmp::Reverse(ids.len()));
        let mut sum = 0.0;
        for batch in ids.chunks(PEERS_BATCH) {
            let shape = (batch.len(), batch[0].len());
            let (mut padded, mut mask) = (Array2::<i64>::zeros(shape), Array2::<i64>::zeros(shape));
            for (row, ids) in batch.iter().enumerate() {
                for (column, &id) in ids.iter().enumerate() {
                    (padded[[row, column]], mask[[row, column]]) = (i64::from(id), 1);
                }
            }
            let outputs = session.run(ort::inputs![
                "input_ids" => Tensor::from_array(padded)?,
                "attention_mask" => Tensor::from_array(mask)?,
                "token_type_ids" => Tensor::from_array(Array2::<i64>::zeros(shape))?,
            ])?;
            sum += outputs[0].try_extract_array::<f32>()?.mean().unwrap_or_default();
        }
        Ok(sum)
    };
    run(&texts[..PEERS_BATCH])?;
    let start = Instant::now();
    std::hint::black_box(run(texts)?);
    Ok(json!({ "seconds": start.elapsed().as_secs_f64() }))
}

fn open() -> Answer<Embedder> {
    let embedder = Embedder::open(&configured(&[])?.embed)?;
    embedder.embed(&["warm", "up"])?;
    Ok(embedder)
}

fn padding(counts: Counts) -> f64 {
    counts.padding as f64 / (counts.padding + counts.tokens) as f64
}

fn bare(texts: &[String], rows: &Path) -> Answer<Value> {
    let embedder = open()?;
    embedder.embed(&strs(&texts[..CALL]))?;
    let start = Instant::now();
    let made = embedder.embed(&strs(texts))?;
    let seconds = start.elapsed().as_secs_f64();
    let values: Vec<u8> = made.rows.view().iter().flat_map(|value| value.to_le_bytes()).collect();
    fs_err::write(rows, values)?;
    let report = embedder.report().to_string();
    Ok(json!({ "seconds": seconds, "padding": padding(made.counts), "runs_on": report }))
}

fn calls(texts: &[String]) -> Answer<Value> {
    let embedder = open()?;
    embedder.embed(&strs(&texts[..CALL]))?;
    let start = Instant::now();
    let mut counts = Counts::default();
    for call in texts.chunks(CALL) {
        counts += embedder.embed(&strs(call))?.counts;
    }
    Ok(json!({ "seconds": start.elapsed().as_secs_f64(), "padding": padding(counts) }))
}

/// The real daemon, in this process: from the moment that it is up until the last document is committed. The refit
/// with which it ends is not counted, in time or in memory.
fn whole(file: &str) -> Answer<Value> {
    let documents = texts(file)?.len() as u64;
    let folder = tempfile::tempdir()?;
    let state = format!("state.directory={}", folder.path().join("state").display());
    let output = format!("output.directory={}", folder.path().join("output").display());
    let source = format!("source.path={file}");
    // No refit: the question is what the way costs.
    let config = configured(&[
        &state,
        &output,
        &source,
        "http.listen=127.0.0.1:0",
        "refit.first_documents=100000000",
    ])?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let telemetry = Telemetry::new()?;
        let daemon = Box::pin(Daemon::start(Launch {
            load: Box::new(|| config::load(None, &[])),
            config,
            log: None,
            telemetry: telemetry.clone(),
            stop: CancellationToken::new(),
            role: Role::All,
            exit_at_end: true,
            accept_gap: false,
        }))
        .await?;
        let start = Instant::now();
        while assigned(&telemetry.render()) < documents {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (seconds, peak_mib) = (start.elapsed().as_secs_f64(), peak_mib()?);
        daemon.ended().await?;
        Ok(json!({ "seconds": seconds, "peak_mib": peak_mib }))
    })
}

/// Documents that have an assignment, by the metrics.
fn assigned(metrics: &str) -> u64 {
    let counts = metrics.lines().filter(|line| line.starts_with("topicd_documents_total{"));
    counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// The source as the daemon has it; what is committed is noted with its time.
struct Timed {
    source: Source,
    committed: Arc<Mutex<Vec<(usize, Instant)>>>,
}

impl AssignerPort for Timed {
    type Error = embedded::Error;

    async fn receive(&mut self) -> Result<Option<Batch>, embedded::Error> {
        self.source.receive().await
    }

    async fn commit(&mut self, outcome: Outcome) -> Result<bool, embedded::Error> {
        let now = Instant::now();
        let mut committed = self.committed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        committed.extend(outcome.judged.iter().filter_map(|it| Some((it.document.id.parse().ok()?, now))));
        Ok(true)
    }

    async fn close(self) -> Result<(), embedded::Error> {
        Ok(())
    }
}

/// Documents that arrive as a Poisson process of `rate` a second; how long after its arrival each is assigned.
fn latency(texts: &[String], rate: f64, seconds: f64) -> Answer<Value> {
    let config = configured(&["source.path=unused"])?;
    let embedder = Arc::new(open()?);
    let mut random = rand::rngs::StdRng::seed_from_u64(1);
    let mut due = Duration::from_millis(100);
    let mut arrivals = Vec::new();
    while due.as_secs_f64() < seconds {
        arrivals.push(due);
        due += Duration::from_secs_f64(-(1.0 - random.random::<f64>()).ln() / rate);
    }
    let (reader, mut writer) = std::io::pipe()?;
    let source = Source::stream(
        config.source.clone(),
        Some(embedder.dim()),
        &Checkpoint::new(),
        Seen::new(1 << 20),
        reader,
    )?;
    let committed = Arc::new(Mutex::new(Vec::new()));
    let model = Arc::new(TopicModel::empty(embedder.dim(), Sampling::ALL));
    let (_keep, versions) = tokio::sync::watch::channel(model);
    let assigner = Assigner {
        port: Timed { source, committed: committed.clone() },
        judge: Arc::new(daemon::judge(&config, embedder)),
        versions,
        telemetry: Telemetry::new()?,
    };
    let start = Instant::now();
    let (schedule, lines) = (arrivals.clone(), texts.to_vec());
    let sender = std::thread::spawn(move || -> std::io::Result<()> {
        for (id, due) in schedule.iter().enumerate() {
            std::thread::park_timeout((start + *due).saturating_duration_since(Instant::now()));
            let line = json!({ "id": id.to_string(), "text": lines[id % lines.len()] });
            writeln!(writer, "{line}")?;
        }
        Ok(())
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(assigner.run(CancellationToken::new()))?;
    sender.join().map_err(|_| "the sender panicked")??;
    let committed = committed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // By the schedule, not by when the line was written: a late writer must not flatter.
    let mut waits: Vec<f64> = (committed.iter())
        .map(|(id, at)| at.saturating_duration_since(start + arrivals[*id]).as_secs_f64() * 1000.0)
        .collect();
    waits.sort_by(f64::total_cmp);
    let quantile = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
    Ok(json!({
        "documents": waits.len(), "rate": rate, "p50_ms": quantile(0.5), "p99_ms": quantile(0.99),
        "max_ms": quantile(1.0),
    }))
}
