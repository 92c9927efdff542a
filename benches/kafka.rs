//! How fast do documents with given embeddings go from Kafka to Kafka, exactly once, beside a bare copy of the same records;
//! how late are they while a refit runs; does memory grow with the stream; and what do texts lose beside the bare encoder?
//!
//! `cargo bench --bench kafka -- copy|lateness|memory|texts [--documents 200000] [--encoder tiny|minilm] [--seconds 60]
//! [--rate 300] [--entries 1000]` starts a broker of its own and prints JSON lines. `tiny` has embeddings of 6 numbers,
//! `minilm` of 384. It needs what `deploy/setup --tests` fetches.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    dead_code,
    unreachable_pub
)]

#[path = "../tests/it/kafka/broker.rs"]
mod broker;
#[path = "../tests/it/topicd.rs"]
mod topicd;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use broker::Broker;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::json;
use topicd::{Daemon, Home, cache};

const PARTITIONS: i32 = 2;
const SUBJECTS: usize = 12;

struct Options {
    documents: usize,
    encoder: String,
    seconds: u64,
    rate: u64,
    entries: usize,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let option = |name: &str, default: &str| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).map_or(default, String::as_str).to_owned()
    };
    let options = Options {
        documents: option("--documents", "200000").parse().unwrap(),
        encoder: option("--encoder", "tiny"),
        seconds: option("--seconds", "60").parse().unwrap(),
        rate: option("--rate", "300").parse().unwrap(),
        entries: option("--entries", "1000").parse().unwrap(),
    };
    let mut broker = Broker::start();
    broker.create("documents", PARTITIONS);
    match arguments.first().map(String::as_str) {
        Some("lateness") => lateness(&mut broker, &options),
        Some("memory") => memory(&mut broker, &options),
        Some("texts") => embedded(&mut broker, &options),
        _ => copy(&mut broker, &options),
    }
}

fn home(broker: &Broker, options: &Options, settings: &[&str]) -> Home {
    let encoder = match options.encoder.as_str() {
        "tiny" => format!("{}/tests/fixtures/embed/tiny/static-plain", env!("CARGO_MANIFEST_DIR")),
        _ => cache().join("models/all-MiniLM-L6-v2").display().to_string(),
    };
    let mut home = Home::new("")
        .set("source.type=kafka")
        .set(&format!("embed.model={encoder}"))
        .set(&format!("kafka.brokers={}", broker.address()))
        .set("kafka.instance=bench")
        .set("source.batch_documents=512");
    for setting in settings {
        home = home.set(setting);
    }
    home
}

/// Small documents, each near to one of a few directions.
fn document(number: usize, numbers: usize) -> String {
    let mut state = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 24) as f32 - 0.5
    };
    let subject = number % SUBJECTS;
    let (axis, sign) = (subject % numbers.min(6), if subject < 6 { 1.0 } else { -1.0 });
    let spread = if numbers > 6 { 0.1 } else { 0.25 };
    let embedding: Vec<String> = (0..numbers)
        .map(|at| random() * spread + if at % 6 == axis { sign } else { 0.0 })
        .map(|value| format!("{value:.4}"))
        .collect();
    format!(
        "{{\"id\":\"d{number}\",\"text\":\"subject{subject} word{} number{}\",\"embedding\":[{}]}}",
        number % 97,
        number % 31,
        embedding.join(",")
    )
}

fn write(broker: &Broker, options: &Options, from: usize, to: usize) {
    let producer: ThreadedProducer<_> = broker
        .client()
        .set("linger.ms", "20")
        .set("compression.type", "lz4")
        .set("queue.buffering.max.messages", "20000")
        .create()
        .unwrap();
    for number in from..to {
        send(&producer, number, options);
    }
    producer.flush(Duration::from_mins(1)).unwrap();
}

type Writer = ThreadedProducer<rdkafka::producer::DefaultProducerContext>;

fn send(producer: &Writer, number: usize, options: &Options) {
    let numbers = if options.encoder == "tiny" { 6 } else { 384 };
    send_value(producer, number, &document(number, numbers));
}

fn send_value(producer: &Writer, number: usize, value: &str) {
    let key = format!("d{number}");
    let mut record = BaseRecord::to("documents").key(&key).payload(value);
    while let Err((_full, back)) = producer.send(record) {
        record = back;
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// The sum of the metric's values whose lines begin with `name`.
fn metric(daemon: &Daemon, name: &str) -> f64 {
    let metrics = daemon.get("/metrics").unwrap_or_default();
    let values =
        metrics.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit(' ').next());
    values.map(|value| value.parse::<f64>().unwrap_or(0.0)).sum()
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// Seconds of CPU that a process has used.
fn cpu(daemon: &Daemon) -> f64 {
    let stat = fs_err::read_to_string(format!("/proc/{}/stat", daemon.child.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn resident_mib(daemon: &Daemon) -> u64 {
    let status = fs_err::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// A version to assign by, learned from the first documents; returns how many there are.
fn learn(broker: &Broker, options: &Options) -> usize {
    let first = options.entries;
    write(broker, options, 0, first);
    let fit = format!("refit.first_documents={first}");
    let home = home(broker, options, &[&fit, "refit.every_documents=1000000000"]);
    let daemon = home.start();
    wait_until(|| metric(&daemon, "topicd_model_version") >= 1.0);
    first
}

/// What a daemon did after its first documents.
struct Done {
    count: f64,
    seconds: f64,
    /// Seconds of CPU.
    used: f64,
}

/// Waits until `documents` have gone through.
fn until_done(daemon: &Daemon, documents: usize) -> Done {
    let done = || metric(daemon, "topicd_documents_total");
    wait_until(|| done() > 0.0);
    let (began, from, used) = (Instant::now(), done(), cpu(daemon));
    wait_until(|| done() >= documents as f64);
    Done { seconds: began.elapsed().as_secs_f64(), count: done() - from, used: cpu(daemon) - used }
}

fn copy(broker: &mut Broker, options: &Options) {
    let first = learn(broker, options);
    write(broker, options, first, first + options.documents);
    let home = home(broker, options, &[]);
    let daemon = home.start_as(&["--role", "assigner"]);
    let Done { count, seconds, used } = until_done(&daemon, options.documents);
    let assigned = metric(&daemon, "topicd_documents_total{outcome=\"assigned\"}");
    drop(daemon);
    let bare = bare_copy(broker, options.documents);
    println!(
        "{}",
        json!({
            "what": "copy", "encoder": options.encoder, "documents": options.documents, "entries": options.entries,
            "assigned": assigned, "documents_per_s": (count / seconds).round(), "bare_copy_per_s": bare.round(),
            "ratio": count / seconds / bare, "cpu_us_per_document": used / count * 1e6,
            "documents_per_s_of_cpu": (count / used).round(),
        })
    );
}

/// Documents a second from Kafka to Kafka with the real encoder, and of the encoder alone on the same texts, as many at
/// a time, before and after.
fn embedded(broker: &mut Broker, options: &Options) {
    let options =
        Options { encoder: "minilm".to_owned(), documents: options.documents.min(2000), ..*options };
    // About 200 tokens each, no two alike.
    let text = |number: usize| {
        let words: Vec<&str> =
            (0..150).map(|at| ["model", "of", "topics", "in"][(number * 7 + at * at) % 4]).collect();
        format!("{} {number}", words.join(" "))
    };
    let texts: Vec<String> = (0..options.documents).map(text).collect();
    let before = bare_embedding(&texts);
    let producer: Writer = broker.client().create().unwrap();
    for (number, text) in texts.iter().enumerate() {
        send_value(&producer, number, &json!({ "id": format!("d{number}"), "text": text }).to_string());
    }
    producer.flush(Duration::from_mins(1)).unwrap();
    let home = home(broker, &options, &[&format!("source.batch_documents={CALL}")]);
    let daemon = home.start_as(&["--role", "assigner"]);
    let Done { count, seconds, .. } = until_done(&daemon, options.documents);
    let each_second = count / seconds;
    drop(daemon);
    let bare = f64::midpoint(before, bare_embedding(&texts));
    println!(
        "{}",
        json!({
            "what": "texts", "documents": options.documents, "documents_per_s": each_second,
            "bare_embedding_per_s": bare, "ratio": each_second / bare,
        })
    );
}

/// Texts of a batch.
const CALL: usize = 64;

fn bare_embedding(texts: &[String]) -> f64 {
    let config = ::topicd::config::load(None, &[]).unwrap();
    let embedder = ::topicd::embed::Embedder::open(&config.embed).unwrap();
    embedder.embed(&["warm", "up"]).unwrap();
    let began = Instant::now();
    for call in texts.chunks(CALL) {
        embedder.embed(&call.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    }
    texts.len() as f64 / began.elapsed().as_secs_f64()
}

/// Documents a second that a bare loop copies, a transaction every 100 ms.
fn bare_copy(broker: &Broker, documents: usize) -> f64 {
    broker.create("copy", PARTITIONS);
    let consumer: BaseConsumer = broker
        .client()
        .set("group.id", "bare")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&["documents"]).unwrap();
    let producer: ThreadedProducer<_> = broker
        .client()
        .set("transactional.id", "bare")
        .set("compression.type", "zstd")
        .set("linger.ms", "5")
        .create()
        .unwrap();
    let patience = Duration::from_mins(1);
    producer.init_transactions(patience).unwrap();
    let (mut copied, mut began) = (0, None);
    while copied < documents {
        producer.begin_transaction().unwrap();
        let opened = Instant::now();
        let mut ends = std::collections::BTreeMap::new();
        while opened.elapsed() < Duration::from_millis(100) && copied < documents {
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(20)) else { continue };
            began.get_or_insert_with(Instant::now);
            let key = message.key().unwrap();
            let mut record = BaseRecord::to("copy").key(key).payload(message.payload().unwrap());
            while let Err((_full, back)) = producer.send(record) {
                record = back;
                std::thread::park_timeout(Duration::from_millis(2));
            }
            ends.insert(message.partition(), message.offset() + 1);
            copied += 1;
        }
        let mut list = TopicPartitionList::new();
        for (partition, end) in ends {
            list.add_partition_offset("documents", partition, Offset::Offset(end)).unwrap();
        }
        let member = consumer.group_metadata().unwrap();
        producer.send_offsets_to_transaction(&list, &member, patience).unwrap();
        producer.commit_transaction(patience).unwrap();
    }
    documents as f64 / began.unwrap().elapsed().as_secs_f64()
}

/// The time from a message's own to when a reader of committed records sees its assignment, in ms.
fn lateness(broker: &mut Broker, options: &Options) {
    let first = learn(broker, options);
    let home =
        home(broker, options, &["refit.every_documents=2000", "source.max_wait_ms=20", "refit.n_epochs=500"]);
    let daemon = home.start();
    wait_until(|| daemon.get("/readyz").is_some());
    let address = broker.address();
    let reader = std::thread::spawn({
        let (count, address) = (options.rate as usize * options.seconds as usize, address.clone());
        move || read_lateness(&address, count)
    });
    let producer: ThreadedProducer<_> = broker.client().set("linger.ms", "1").create().unwrap();
    let (began, mut refits) = (Instant::now(), Vec::new());
    let mut running_since = None;
    for number in 0..(options.rate * options.seconds) {
        let due = Duration::from_secs_f64(number as f64 / options.rate as f64);
        if let Some(left) = due.checked_sub(began.elapsed()) {
            std::thread::park_timeout(left);
        }
        send(&producer, first + number as usize, options);
        if number % (options.rate / 10).max(1) == 0 {
            match (metric(&daemon, "topicd_refit_running") > 0.0, running_since) {
                (true, None) => running_since = Some(now_ms()),
                (false, Some(since)) => {
                    refits.push((since, now_ms()));
                    running_since = None;
                }
                _ => {}
            }
        }
    }
    producer.flush(Duration::from_mins(1)).unwrap();
    let seen = reader.join().unwrap();
    let in_refit = |at: i64| refits.iter().any(|(from, to)| (*from..=*to).contains(&at));
    let (during, without): (Vec<_>, Vec<_>) = seen.into_iter().partition(|(written, _)| in_refit(*written));
    let spread = |mut times: Vec<(i64, i64)>| {
        times.sort_by_key(|(_, late)| *late);
        let at = |share: f64| times.get((times.len() as f64 * share) as usize).map(|(_, late)| *late);
        json!({ "documents": times.len(), "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": times.last().map(|t| t.1) })
    };
    println!(
        "{}",
        json!({
            "what": "lateness", "encoder": options.encoder, "rate": options.rate, "refits": refits.len(),
            "refit_ms": refits.iter().map(|(from, to)| to - from).collect::<Vec<_>>(),
            "during_refits": spread(during), "without": spread(without),
        })
    );
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// When each document was written, and how late its first assignment was seen.
fn read_lateness(brokers: &str, count: usize) -> Vec<(i64, i64)> {
    let mut config = rdkafka::ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("group.id", "reader")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset("topicd.assignments", partition, Offset::End).unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut seen = Vec::new();
    while seen.len() < count {
        let Some(Ok(message)) = consumer.poll(Duration::from_secs(20)) else { break };
        // Revisions carry the time of their own.
        let value = message.payload().unwrap_or_default();
        if !value.windows(13).any(|part| part == b"\"revision\":1,") {
            continue;
        }
        let written = message.timestamp().to_millis().unwrap();
        seen.push((written, now_ms() - written));
    }
    seen
}

/// Memory and documents, as often as it pays, while documents come as fast as they are taken.
fn memory(broker: &mut Broker, options: &Options) {
    let first = learn(broker, options);
    // What is kept is full within the first minute, as it would be after a day: what grows then would grow for ever.
    let settings = [
        "refit.outlier_buffer=2000",
        "refit.remembered=5000",
        "refit.sample=5000",
        "refit.fresh=1000",
        "refit.every_documents=50000",
    ];
    let home = home(broker, options, &settings);
    let daemon = home.start();
    let began = Instant::now();
    let mut written = first;
    let done = || metric(&daemon, "topicd_documents_total") as usize;
    let mut next = Duration::ZERO;
    while began.elapsed() < Duration::from_secs(options.seconds) {
        // As far ahead as a broker's page cache likes.
        if written < first + done() + 200_000 {
            write(broker, options, written, written + 50_000);
            written += 50_000;
        } else {
            std::thread::park_timeout(Duration::from_millis(100));
        }
        if began.elapsed() >= next {
            next += Duration::from_secs((options.seconds / 24).max(1));
            println!(
                "{}",
                json!({
                    "what": "memory", "seconds": began.elapsed().as_secs(), "documents": done(),
                    "resident_mib": resident_mib(&daemon),
                    "version": metric(&daemon, "topicd_model_version"),
                    "evidence_lag": metric(&daemon, "topicd_kafka_lag_records{partition=\"0\",topic=\"topicd.evidence\"}"),
                })
            );
        }
    }
}
