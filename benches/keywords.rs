//! How long do counting and weighing take? 44,949 abstracts in 150 classes, one core.
//!
//! Reads `../shared/data/acl-abstracts.jsonl.gz`; says so and stops where it is absent.

use std::io::BufRead;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use topicd::keywords::{Counts, Params, Weights, keywords};

#[derive(serde::Deserialize)]
struct Line {
    text: String,
}

fn abstracts() -> Option<Vec<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/acl-abstracts.jsonl.gz");
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

criterion_group!(benches, counting_and_weighing);
criterion_main!(benches);
