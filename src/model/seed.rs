//! Topics that are there before the stream: a label and examples, or a topic of a saved model.
//!
//! A document near enough to a seed goes to its topic before any vote (zero-shot). "Near enough" is measured, because
//! a cosine means something else for every encoder: the threshold stands three deviations above the median cosine of
//! the seed to documents at large. The deviation is taken from the lower half of the cosines (median − 16th
//! percentile), which the documents that do belong to the seed cannot widen. Documents at large are the uniform sample
//! of the stream, once it holds [`ENOUGH`]; before that [`BACKGROUND`].
//!
//! From then on a seeded topic obeys the same rules as any other: refits drift, merge and split it, and its seed goes
//! with it.

use serde::{Deserialize, Serialize};

use crate::kernel::dot::dot;
use crate::model::topic::{Topic, TopicId};

/// Documents of the stream that say what its background is.
pub const ENOUGH: usize = 200;
/// Deviations above the background at which a document is near a seed; 1.3 of 1,000 others are so by chance.
const DEVIATIONS: f32 = 3.0;

/// What a topic is expected to be about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seed {
    /// Its label, by which it is known again after a restart.
    pub label: String,
    /// The mean direction of its examples, of length 1 (`d` numbers).
    pub embedding: Vec<f32>,
    /// The cosine from which on a document is near to it.
    pub threshold: f32,
}

impl Seed {
    /// The seed `label` whose examples have the mean direction `embedding`; `background` are its cosines to texts at
    /// large.
    pub fn new(label: String, embedding: Vec<f32>, background: &[f32]) -> Self {
        Self { label, embedding, threshold: threshold(background) }
    }

    /// Stands where its topic stands in the space of another encoder; near to nothing until `documents` are enough.
    pub(super) fn move_to<'a>(&mut self, centroid: &[f32], documents: impl Iterator<Item = &'a [f32]>) {
        self.embedding = centroid.to_vec();
        self.threshold = f32::INFINITY;
        self.calibrate(documents);
    }

    /// Measures anew how near is near, by its cosines to `documents` at large, if they are enough.
    pub fn calibrate<'a>(&mut self, documents: impl Iterator<Item = &'a [f32]>) {
        let cosines: Vec<f32> = documents.map(|document| dot(&self.embedding, document)).collect();
        if cosines.len() >= ENOUGH {
            self.threshold = threshold(&cosines);
        }
    }
}

/// The cosine above which texts are hardly near by chance; above every cosine for no background.
fn threshold(background: &[f32]) -> f32 {
    let mut cosines = background.to_vec();
    cosines.sort_unstable_by(f32::total_cmp);
    let at = |share: f64| cosines.get(((cosines.len() as f64 - 1.0) * share).round() as usize).copied();
    let (Some(median), Some(low)) = (at(0.5), at(0.16)) else { return f32::INFINITY };
    median + DEVIATIONS * (median - low)
}

/// The seeds of a version, for the assigners.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seeds(Vec<(TopicId, Seed)>);

impl Seeds {
    /// The seeds of `topics`.
    pub fn of<'a>(topics: impl Iterator<Item = &'a Topic>) -> Self {
        let of = |topic: &'a Topic| topic.seeds.iter().map(|seed| (topic.id, seed.clone()));
        Self(topics.flat_map(of).collect())
    }

    /// The topic whose seed `row` is near to; of several the one whose threshold it clears by most. O(seeds × d).
    pub fn near(&self, row: &[f32]) -> Option<TopicId> {
        let clear = |(id, seed): &(TopicId, Seed)| (*id, dot(&seed.embedding, row) - seed.threshold);
        let near = self.0.iter().map(clear).filter(|(_, above)| *above >= 0.0);
        near.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))).map(|(id, _)| id)
    }
}

/// Texts of many subjects, which say what cosine texts without anything in common have to a seed.
pub const BACKGROUND: [&str; 40] = [
    "The council approved the new budget after a long debate.",
    "She scored twice in the second half and the visitors lost.",
    "Mix the flour with two eggs and let the dough rest.",
    "The satellite entered its orbit on Tuesday morning.",
    "Interest rates are expected to stay where they are.",
    "The patient was treated with antibiotics for ten days.",
    "We propose a method that needs no labelled data.",
    "The old bridge will be closed for repairs until May.",
    "My printer does not respond after the update.",
    "The novel tells the story of three sisters in Lisbon.",
    "Heavy rain is forecast for the northern coast.",
    "The court rejected the appeal of the company.",
    "He plays the violin in a small orchestra.",
    "The battery lasts about nine hours with the screen on.",
    "Farmers fear for the harvest after a dry spring.",
    "The museum shows paintings from the seventeenth century.",
    "Please return the book to the library by Friday.",
    "The airline cancelled forty flights because of the strike.",
    "A new species of frog was found in the rain forest.",
    "The teacher asked the pupils to write an essay.",
    "Shares of the car maker fell by four per cent.",
    "The hotel is close to the station and very quiet.",
    "The experiment was repeated with a larger sample.",
    "They married in June and moved to the country.",
    "The recipe works best with ripe tomatoes.",
    "The minister met his colleague in Geneva.",
    "The engine makes a strange noise when it is cold.",
    "A film about the first women in space opens this week.",
    "The software crashes whenever I open two windows.",
    "The river flooded the lower part of the town.",
    "Children under six travel free of charge.",
    "The trial will compare two vaccines in adults.",
    "The band announced a tour of twelve cities.",
    "The dog was found two days later in the woods.",
    "The theorem holds for every finite group.",
    "Workers went on strike for higher wages.",
    "The telescope sees galaxies that are far away.",
    "The shop sells shoes, coats and bags.",
    "He was born in a village near the border.",
    "The goalkeeper signed a contract for three years.",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_follows_the_encoder_and_not_the_subject() {
        // A background around 0.1, and the same with a tenth of the documents on the subject.
        let background: Vec<f32> = (0..300).map(|i| 0.1 + ((i * 37 % 101) as f32 - 50.0) / 500.0).collect();
        let alone = threshold(&background);
        assert!((0.2..0.4).contains(&alone), "{alone}");
        let mixed: Vec<f32> = background.iter().copied().chain([0.8; 30]).collect();
        assert!((threshold(&mixed) - alone).abs() < 0.05);
        let shifted: Vec<f32> = background.iter().map(|cosine| cosine / 4.0 + 0.7).collect();
        assert!((threshold(&shifted) - (0.7 + alone / 4.0)).abs() < 1e-4);
        assert_eq!(threshold(&[]), f32::INFINITY);
    }
}
