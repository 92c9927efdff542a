//! KeyBERT-inspired keywords: the candidate words whose embeddings are nearest to the topic's documents.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};

use super::{Bag, Weights};

/// The `n` of `documents` that represent `class`: those whose c-TF-IDF is nearest to the class's, nearest first, ties
/// to the earlier one; as positions. O(terms of the class + terms of all documents).
pub fn representative<'b, C: Ord + Copy>(
    weights: &Weights<'_, C>,
    class: C,
    documents: impl Iterator<Item = &'b Bag>,
    n: usize,
) -> Vec<usize> {
    let topic = weights.class_vector(class);
    let mut near: Vec<(usize, f64)> =
        documents.map(|document| weights.document_vector(document).cosine(&topic)).enumerate().collect();
    near.sort_by(|a, b| b.1.total_cmp(&a.1));
    near.into_iter().take(n).map(|(position, _)| position).collect()
}

/// Ranks `k × d` embeddings of candidate words by cosine to the mean of the `m × d` embeddings of a topic's
/// representative documents: indices of the best `n` with their cosines, best first.
///
/// Ties go to the earlier candidate, which is the better one by c-TF-IDF if the caller keeps its order. Without
/// documents the candidates keep their order, with cosine 0. O((k + m) d).
///
/// Source: BERTopic 0.17.4, `KeyBERTInspired`, as `update_topics` runs it: candidates are the 100 best words by
/// c-TF-IDF, embedded as documents are; representative documents are the 5 of up to 500 sampled whose c-TF-IDF is
/// nearest to the topic's ([`representative`]). Inside its `fit_transform`
/// the reference averages the wrong documents; that is not copied.
pub fn rank(documents: &ArrayView2<f32>, candidates: &ArrayView2<f32>, n: usize) -> Vec<(usize, f32)> {
    let Some(mean) = documents.mean_axis(Axis(0)) else {
        return (0..candidates.nrows().min(n)).map(|i| (i, 0.0)).collect();
    };
    let mut ranked: Vec<(usize, f32)> =
        unit_rows(candidates).outer_iter().map(|row| cosine(&row, &mean.view())).enumerate().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranked.truncate(n);
    ranked
}

/// Rows scaled to length 1; rows of zeros stay.
pub(super) fn unit_rows(rows: &ArrayView2<f32>) -> Array2<f32> {
    let mut unit = rows.to_owned();
    for mut row in unit.outer_iter_mut() {
        let length = row.dot(&row).sqrt();
        if length > 0.0 {
            row /= length;
        }
    }
    unit
}

/// Cosine of a row of length 1 (or 0) to any vector; 0 where that is zero.
pub(super) fn cosine(unit: &ArrayView1<f32>, other: &ArrayView1<f32>) -> f32 {
    let length = other.dot(other).sqrt();
    if length > 0.0 { unit.dot(other) / length } else { 0.0 }
}
