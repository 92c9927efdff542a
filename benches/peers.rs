//! topicd's side of `benches/peers`, which runs it: one job a process, so that its peak memory is its own.
//!
//! `peers all-in rows.npy min_cluster_size repetitions labels.npy layout.npy` lays out and clusters,
//! `peers layout rows.npy seed layout.npy` lays out once, `peers hdbscan rows.npy min_cluster_size repetitions
//! labels.npy linkage.npy` clusters, `peers recall rows.npy queries` compares neighbours. Each prints a JSON object with the seconds of each repetition.
#![allow(clippy::print_stdout, missing_docs)]

use std::error::Error;
use std::time::Instant;

use ndarray::Array2;
use topicd::cluster::hdbscan::{self, Hdbscan};
use topicd::cluster::knn::{self, Method, Metric};
use topicd::cluster::umap;
use topicd::cluster::watch::Unwatched;
use topicd::npy;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let answer = match arguments[..] {
        ["all-in", rows, size, repetitions, labels, layout] => {
            all_in(&read(rows)?, size.parse()?, repetitions.parse()?, labels, layout)?
        }
        ["layout", rows, seed, layout] => {
            let start = Instant::now();
            let fitted = lay_out(&read(rows)?, seed.parse()?)?;
            write_array(layout, &fitted)?;
            serde_json::json!({ "seconds": [start.elapsed().as_secs_f64()] })
        }
        ["hdbscan", rows, size, repetitions, labels, linkage] => {
            cluster_only(&read(rows)?, size.parse()?, repetitions.parse()?, labels, linkage)?
        }
        ["recall", rows, queries] => recall(&read(rows)?, queries.parse()?)?,
        _ => {
            println!("this is topicd's side of benches/peers; run that");
            return Ok(());
        }
    };
    println!("{}", with_peak(answer)?);
    Ok(())
}

/// Adds the largest resident set that this process had.
fn with_peak(mut answer: serde_json::Value) -> Outcome<serde_json::Value> {
    let status = fs_err::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no `VmHWM`")?;
    answer["peak_kib"] = line.trim_end_matches("kB").trim().parse::<u64>()?.into();
    Ok(answer)
}

fn all_in(
    rows: &Array2<f32>,
    min_cluster_size: usize,
    repetitions: usize,
    labels: &str,
    layout: &str,
) -> Outcome<serde_json::Value> {
    let (mut seconds, mut layout_seconds) = (Vec::new(), Vec::new());
    for repetition in 0..repetitions {
        let start = Instant::now();
        let laid_out = lay_out(rows, 42)?;
        layout_seconds.push(start.elapsed().as_secs_f64());
        let found = cluster(&laid_out, min_cluster_size)?;
        seconds.push(start.elapsed().as_secs_f64());
        if repetition + 1 == repetitions {
            write_array(layout, &laid_out)?;
            write_labels(labels, &found)?;
        }
    }
    Ok(serde_json::json!({ "seconds": seconds, "layout_seconds": layout_seconds }))
}

fn cluster_only(
    rows: &Array2<f32>,
    min_cluster_size: usize,
    repetitions: usize,
    labels: &str,
    linkage: &str,
) -> Outcome<serde_json::Value> {
    let (mut seconds, mut weight) = (Vec::new(), 0.0);
    for repetition in 0..repetitions {
        let start = Instant::now();
        let found = cluster(rows, min_cluster_size)?;
        seconds.push(start.elapsed().as_secs_f64());
        weight = found.single_linkage.iter().map(|merge| merge.distance).sum::<f64>();
        if repetition + 1 == repetitions {
            write_labels(labels, &found)?;
            write_linkage(linkage, &found)?;
        }
    }
    Ok(serde_json::json!({ "seconds": seconds, "weight": [weight] }))
}

/// Both methods' seconds, and the share of the 15 nearest others of some rows, evenly drawn, that each finds.
fn recall(rows: &Array2<f32>, queries: usize) -> Outcome<serde_json::Value> {
    const K: usize = 15;
    let step = (rows.nrows() / queries).max(1);
    let asked: Vec<usize> = (0..rows.nrows()).step_by(step).collect();
    let queries = rows.select(ndarray::Axis(0), &asked);
    // Each finds itself as well.
    let truth = knn::nearest_among(queries.view(), rows.view(), K + 1, Metric::Cosine, &Unwatched)?;
    let mut answer = serde_json::json!({});
    for (name, method) in [("exact", Method::Exact), ("approximate", Method::Approximate)] {
        let start = Instant::now();
        let found = knn::nearest_by(method, rows.view(), K, Metric::Cosine, &Unwatched)?;
        answer["seconds"] = serde_json::json!([start.elapsed().as_secs_f64()]);
        answer[format!("{name}_s")] = answer["seconds"].clone();
        // By distance, so that which of several equally near rows was taken does not matter.
        let farthest = truth.distances.column(K).mapv(|distance| distance + 1e-6);
        let hits: usize = (asked.iter().zip(&farthest))
            .map(|(&row, farthest)| found.distances.row(row).iter().filter(|&own| own <= farthest).count())
            .sum();
        answer[format!("{name}_recall")] = serde_json::json!([hits as f64 / (K * asked.len()) as f64]);
    }
    Ok(answer)
}

fn lay_out(rows: &Array2<f32>, seed: u64) -> Outcome<Array2<f32>> {
    let params = umap::Params { seed, ..umap::Params::default() }.check()?;
    Ok(umap::fit(rows.view(), &params, &Unwatched)?.layout)
}

fn cluster(layout: &Array2<f32>, min_cluster_size: usize) -> Outcome<Hdbscan> {
    let params = hdbscan::Params { min_cluster_size, ..hdbscan::Params::default() }.check()?;
    Ok(hdbscan::fit(layout.view(), &params, &Unwatched)?)
}

/// An `n × d` array of `float16` or `float32`.
fn read(path: &str) -> Outcome<Array2<f32>> {
    Ok(npy::parse(&fs_err::read(path)?)?)
}

fn write_array(path: &str, array: &Array2<f32>) -> Outcome<()> {
    let values = array.iter().flat_map(|value| value.to_le_bytes());
    Ok(fs_err::write(path, npy::write("<f4", array.shape(), values))?)
}

fn write_labels(path: &str, found: &Hdbscan) -> Outcome<()> {
    let labels = found.labels.iter().map(|label| label.map_or(-1, |label| label as i32));
    let values = labels.flat_map(i32::to_le_bytes);
    Ok(fs_err::write(path, npy::write("<i4", &[found.labels.len()], values))?)
}

/// The merges as scipy's linkage matrix.
fn write_linkage(path: &str, found: &Hdbscan) -> Outcome<()> {
    let values = found.single_linkage.iter().flat_map(|merge| {
        [f64::from(merge.left), f64::from(merge.right), merge.distance, f64::from(merge.size)]
    });
    let values = values.flat_map(f64::to_le_bytes);
    Ok(fs_err::write(path, npy::write("<f8", &[found.single_linkage.len(), 4], values))?)
}
