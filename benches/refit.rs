//! How long does a refit take on real embeddings, stage by stage, and how good is its layout?
//!
//! `cargo bench --bench refit -- [acl|newsgroups|bbc] [--seeds 5] [--threads 2] [--dump folder]` prints a JSON line per
//! run. It reads `../shared/data` and says so and leaves where that is absent.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{path::Path, time::Instant};

use half::f16;
use ndarray::Array2;
use topicd::cluster::{
    knn::{self, Metric},
    watch::Unwatched,
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
    let start = Instant::now();
    let graph = knn::nearest(rows.view(), 15, Metric::Cosine, &Unwatched).unwrap();
    let knn_s = start.elapsed().as_secs_f64();
    println!(
        "{}",
        serde_json::json!({ "corpus": corpus, "n": rows.nrows(), "knn_s": knn_s, "k": graph.k() })
    );
}

/// An `n × d` array of `float16` as NumPy writes it.
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
