//! How long does a refit take on real embeddings, stage by stage, and how good is its layout?
//!
//! `cargo bench --bench refit -- [acl|newsgroups|bbc] [--seeds 5] [--threads 2] [--dump folder]` prints a JSON line per
//! run. It reads `../shared/data` and says so and leaves where that is absent.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{path::Path, sync::Mutex, time::Instant};

use half::f16;
use ndarray::Array2;
use topicd::cluster::{
    hdbscan,
    knn::{self, Metric},
    umap,
    watch::Watch,
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let corpus =
        arguments.first().filter(|first| !first.starts_with("--")).map_or("newsgroups", String::as_str);
    let threads: usize = option("--threads").map_or(2, |threads| threads.parse().unwrap());
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().unwrap();
    let file = match corpus {
        "acl" => "acl-abstracts",
        "bbc" => "bbc-news",
        _ => "newsgroups-emerging",
    };
    let path = format!("../shared/data/{file}.minilm.f16.npy");
    if !Path::new(&path).exists() {
        println!("{path} is absent: nothing measured");
        return;
    }
    let rows = read_npy(&path);
    let seeds: u64 = option("--seeds").map_or(1, |seeds| seeds.parse().unwrap());
    for seed in 1..=seeds {
        let stopwatch = Stopwatch::default();
        let n_epochs = option("--epochs").map(|epochs| epochs.parse().unwrap());
        let params = umap::Params { seed, n_epochs, ..umap::Params::default() }.check().unwrap();
        let start = Instant::now();
        let graph = knn::nearest(rows.view(), 14, Metric::Cosine, &stopwatch).unwrap();
        let fitted = umap::fit_graph(&graph, rows.view(), &params, &stopwatch).unwrap();
        let hdbscan = hdbscan::Params { min_cluster_size: 50, ..hdbscan::Params::default() }.check().unwrap();
        let clustered = hdbscan::fit(fitted.layout.view(), &hdbscan, &stopwatch).unwrap();
        let total_s = start.elapsed().as_secs_f64();
        let clusters = clustered.labels.iter().flatten().max().map_or(0, |&label| label + 1);
        if let Some(queries) = option("--recall") {
            let queries = rows.slice(ndarray::s![..queries.parse::<usize>().unwrap(), ..]);
            // Among all rows each query finds itself too.
            let exact = knn::nearest_among(queries, rows.view(), 15, Metric::Cosine, &stopwatch).unwrap();
            let others =
                |row: usize| exact.indices.row(row).into_iter().filter(move |&&j| j as usize != row).take(14);
            let found =
                |row: usize| others(row).filter(|j| graph.indices.row(row).iter().any(|i| i == *j)).count();
            let found: usize = (0..exact.n()).map(found).sum();
            println!("{}", serde_json::json!({ "recall": found as f64 / (14 * exact.n()) as f64 }));
        }
        if let Some(folder) = option("--dump") {
            write_npy(&format!("{folder}/{corpus}-{seed}.npy"), &fitted.layout);
        }
        let mut line = serde_json::json!({
            "corpus": corpus, "n": rows.nrows(), "seed": seed, "threads": threads, "total_s": total_s,
            "clusters": clusters,
        });
        for (stage, seconds) in stopwatch.stages(start) {
            line[stage] = seconds.into();
        }
        println!("{line}");
    }
}

/// Notes when each stage was first and last heard of.
#[derive(Default)]
struct Stopwatch(Mutex<Vec<(&'static str, Instant)>>);

impl Watch for Stopwatch {
    fn progress(&self, stage: &'static str, _done: usize, _total: usize) {
        let mut heard = self.0.lock().unwrap();
        if heard.last().is_none_or(|last| last.0 != stage) {
            heard.push((stage, Instant::now()));
        }
    }
}

impl Stopwatch {
    /// Seconds from each stage's first word to the next stage's, summed by stage.
    fn stages(&self, start: Instant) -> Vec<(&'static str, f64)> {
        let heard = self.0.lock().unwrap();
        let mut stages = vec![("before", start)];
        stages.extend(heard.iter());
        let mut sums: Vec<(&'static str, f64)> = Vec::new();
        for (i, &(stage, from)) in stages.iter().enumerate() {
            let to = stages.get(i + 1).map_or_else(Instant::now, |next| next.1);
            let seconds = (to - from).as_secs_f64();
            match sums.iter_mut().find(|sum| sum.0 == stage) {
                Some(sum) => sum.1 += seconds,
                None => sums.push((stage, seconds)),
            }
        }
        sums
    }
}

fn write_npy(path: &str, array: &Array2<f32>) {
    let shape = format!(
        "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}",
        array.nrows(),
        array.ncols()
    );
    let length = (10 + shape.len() + 1).next_multiple_of(64) - 10;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(format!("{shape:<width$}\n", width = length - 1).bytes());
    bytes.extend(array.iter().flat_map(|value| value.to_le_bytes()));
    fs_err::write(path, bytes).unwrap();
}

/// An `n × d` array of `float16` as `NumPy` writes it.
fn read_npy(path: &str) -> Array2<f32> {
    let bytes = fs_err::read(path).unwrap();
    let header_length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..10 + header_length]).unwrap();
    assert!(header.contains("'<f2'") && header.contains("'fortran_order': False"), "{header}");
    let shape = header.split(['(', ')']).nth(1).unwrap();
    let shape: Vec<usize> = shape.split(',').filter_map(|side| side.trim().parse().ok()).collect();
    let values = bytes[10 + header_length..]
        .chunks_exact(2)
        .map(|pair| f16::from_le_bytes([pair[0], pair[1]]).to_f32());
    Array2::from_shape_vec((shape[0], shape[1]), values.collect()).unwrap()
}
