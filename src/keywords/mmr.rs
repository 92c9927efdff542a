//! Maximal marginal relevance: keywords that are near to the topic and far from each other.

use ndarray::{ArrayView1, ArrayView2};

use super::keybert::{cosine, unit_rows};

/// Picks up to `n` of the `k × d` candidates for a topic's vector of length d, in the order of picking.
///
/// The first is the nearest to the topic; each next has the largest
/// `(1 − diversity) · cos(candidate, topic) − diversity · max cos(candidate, picked)`. `diversity` lies in 0..=1: at 0
/// the candidates are ranked by nearness alone. Ties go to the earlier candidate. O(n k d) time, O(k d) memory; no
/// candidates, no picks. A row of zeros has cosine 0 to everything.
///
/// Source: Carbonell and Goldstein 1998; BERTopic 0.17.4, `mmr`. That function's caller throws the order of picking
/// away and shows the words in their old order; sort the indices to have that.
pub fn select(topic: &ArrayView1<f32>, candidates: &ArrayView2<f32>, diversity: f32, n: usize) -> Vec<usize> {
    let rows = unit_rows(candidates);
    let relevance: Vec<f32> = rows.outer_iter().map(|row| cosine(&row, topic)).collect();
    let mut nearest_picked = vec![f32::NEG_INFINITY; rows.nrows()];
    let mut left: Vec<usize> = (0..rows.nrows()).collect();
    let mut picked: Vec<usize> = Vec::with_capacity(n.min(left.len()));
    while picked.len() < n && !left.is_empty() {
        let score = |&i: &usize| {
            if picked.is_empty() {
                return relevance[i];
            }
            (1.0 - diversity) * relevance[i] - diversity * nearest_picked[i]
        };
        let mut best = 0;
        for place in 1..left.len() {
            if score(&left[place]) > score(&left[best]) {
                best = place;
            }
        }
        let chosen = left.remove(best);
        for &i in &left {
            nearest_picked[i] = nearest_picked[i].max(rows.row(i).dot(&rows.row(chosen)));
        }
        picked.push(chosen);
    }
    picked
}
