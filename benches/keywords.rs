//! How long do counting, weighing and republishing take, on one core?
//!
//! - 44,949 abstracts in 150 classes, read from `../shared/data/acl-abstracts.jsonl.gz`; skipped with a word where that
//!   is absent. `countvectorizer.py` beside this file takes the time of scikit-learn's on the same.
//! - 1,000 classes over 100,000 terms, made up: what a republish costs when 10 of them changed, beside weighing all.

use std::io::BufRead;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use topicd::keywords::{Bag, Counts, Params, Ranking, Weights, keywords};

/// As the daemon's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(serde::Deserialize)]
struct Line {
    text: String,
}

fn abstracts() -> Option<Vec<String>> {
    let folders = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let path =
        folders.map(|folder| folder.join("shared/data/acl-abstracts.jsonl.gz")).find(|path| path.exists())?;
    let file = fs_err::File::open(path).ok()?;
    let lines = std::io::BufReader::new(flate2::read::GzDecoder::new(file)).lines();
    lines.map(|line| serde_json::from_str::<Line>(&line.ok()?).ok().map(|line| line.text)).collect()
}

fn counting_and_weighing(criterion: &mut Criterion) {
    let Some(texts) = abstracts() else {
        return criterion.bench_function("skipped: no ../shared/data", |_| {}).final_summary();
    };
    let bytes = texts.iter().map(|text| text.len() as u64).sum();
    let mut group = criterion.benchmark_group("keywords of 44,949 abstracts");
    group.sample_size(10).measurement_time(Duration::from_secs(15)).throughput(Throughput::Bytes(bytes));
    for n_gram_range in [(1, 1), (1, 2)] {
        let params = Params { n_gram_range, ..Params::default() };
        let Ok(checked) = params.check() else { return };
        let (params, tokenizer) = (checked.params(), checked.tokenizer());
        let count = || {
            let mut counts = Counts::new(params.max_vocabulary);
            for (i, text) in texts.iter().enumerate() {
                counts.add(i % 150, &tokenizer.count(text), 1.0);
            }
            counts
        };
        let n = n_gram_range.1;
        group.bench_function(format!("tokenize, up to {n}"), |bench| {
            bench.iter(|| texts.iter().map(|text| tokenizer.count(text).len()).sum::<usize>());
        });
        group.bench_function(format!("tokenize and count, up to {n}"), |bench| bench.iter(count));
        let counts = count();
        group.bench_function(format!("weigh all classes, up to {n}"), |bench| {
            bench.iter(|| keywords(&counts, params));
        });
        group.bench_function(format!("weigh 10 classes, up to {n}"), |bench| {
            bench.iter(|| {
                let weights = Weights::new(&counts, params);
                (0..10).map(|class| weights.keywords(class, 10).len()).sum::<usize>()
            });
        });
    }
    group.finish();
}

const CLASSES: u32 = 1_000;
const TERMS: u32 = 100_000;

/// `words` words of a class, as frequent as words are: half of them general, half the class's own.
fn bag(class: u32, words: usize, random: &mut SmallRng) -> Bag {
    let mut bag = Bag::default();
    for word in 0..words {
        let rank = (f64::from(TERMS).powf(random.random::<f64>())) as u32 - 1;
        let own = if word % 2 == 0 { 0 } else { class.wrapping_mul(7_919) };
        bag.add(&format!("term{:05}", (rank + own) % TERMS), 1);
    }
    bag
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let statm = fs_err::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn republishing(criterion: &mut Criterion) {
    let mut random = SmallRng::seed_from_u64(1);
    let before = resident();
    let mut counts = Counts::new(200_000);
    for class in 0..CLASSES {
        counts.add(class, &bag(class, 20_000, &mut random), 1.0);
    }
    let pairs: usize = counts.classes().map(|class| counts.terms(class).count()).sum();
    let megabytes = (resident() - before) >> 20;
    eprintln!("{} terms, {pairs} counts of a term in a class: {megabytes} MB", counts.vocabulary());
    let params = Params { top_n_words: 10, ..Params::default() };
    let mut group = criterion.benchmark_group("keywords of 1,000 classes, 100,000 terms");
    group.sample_size(20).measurement_time(Duration::from_secs(10));
    group.bench_function("weigh all", |bench| bench.iter(|| keywords(&counts, &params).len()));
    let mut ranking = Ranking::default();
    ranking.update(&counts, &params);
    let news: Vec<Bag> = (0..CLASSES).map(|class| bag(class, 300, &mut random)).collect();
    let mut next = 0;
    group.bench_function("republish after 10 classes changed", |bench| {
        bench.iter(|| {
            // As the state does it: in a draft, so that the version in force stays whole until the next one is.
            let (mut draft, mut ranked) = (counts.clone(), ranking.clone());
            for _ in 0..10 {
                draft.add(next, &news[next as usize], 1.0);
                next = (next + 1) % CLASSES;
            }
            let words = ranked.update(&draft, &params).len();
            (counts, ranking) = (draft, ranked);
            words
        });
    });
    group.finish();
}

// The republishing first: its memory is measured in a process that has none to use again.
criterion_group!(benches, republishing, counting_and_weighing);
criterion_main!(benches);
