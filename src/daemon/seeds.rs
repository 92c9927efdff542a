//! Seeds from the configuration: examples are embedded, saved models are read, and the encoder's background measured.

use std::path::PathBuf;

use crate::bertopic;
use crate::config::Seeds;
use crate::embed::{self, Embedder};
use crate::kernel::dot::dot;
use crate::kernel::unit::{self, UnitRows};
use crate::model::evidence::Sums;
use crate::model::seed::{BACKGROUND, Seed};

/// Why topics cannot be seeded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The encoder embeds nothing now.
    #[error("the examples of `seeds.topic` cannot be embedded")]
    Embed(#[from] embed::Error),
    /// The encoder refuses an example.
    #[error("an example of `seeds.topic` \"{label}\" cannot be embedded; change it, or leave it out")]
    Example {
        /// The topic's label.
        label: String,
        /// What the encoder says.
        source: Box<embed::Error>,
    },
    /// The saved model cannot be read.
    #[error("`seeds.bertopic` cannot be read")]
    Saved(#[from] bertopic::Error),
    /// The saved model was made with another encoder.
    #[error(
        "`seeds.bertopic` = `{}` holds embeddings of {found} numbers, the encoder makes {wanted}; set `embed.model` to the one that made it",
        folder.display()
    )]
    Dimension {
        /// The saved model.
        folder: PathBuf,
        /// Numbers in its embeddings.
        found: usize,
        /// Numbers in the encoder's.
        wanted: usize,
    },
    /// An embedding has no direction.
    #[error("an embedding of `seeds` has no direction; leave that topic out")]
    Direction(#[from] unit::Error),
}

/// The seeds that `wanted` names, each with its threshold; empty at no cost if it names none.
pub fn seeds(wanted: &Seeds, embedder: &Embedder) -> Result<Vec<Seed>, Error> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let background = embedder.embed_each(&BACKGROUND)?.of_text;
    let plant = |label: String, embedding: Vec<f32>| {
        let cosines: Vec<f32> =
            background.iter().flatten().map(|other| dot(&embedding, &other.row)).collect();
        Seed::new(label, embedding, &cosines)
    };
    let mut seeds = Vec::new();
    for topic in &wanted.topic {
        let mut texts: Vec<&str> = topic.texts.iter().map(String::as_str).collect();
        let words = topic.words.join(" ");
        if !words.is_empty() {
            texts.push(&words);
        }
        let mut sums = Sums::default();
        for made in embedder.embed_each(&texts)?.of_text {
            let refused = |error| Error::Example { label: topic.label.clone(), source: Box::new(error) };
            sums.add(&made.map_err(refused)?.row);
        }
        seeds.extend(sums.centroid().map(|embedding| plant(topic.label.clone(), embedding)));
    }
    if let Some(folder) = wanted.saved() {
        for topic in bertopic::read::read(folder)?.topics {
            if topic.embedding.len() != embedder.dim() {
                let (found, wanted) = (topic.embedding.len(), embedder.dim());
                return Err(Error::Dimension { folder: folder.to_owned(), found, wanted });
            }
            let row = ndarray::Array2::from_shape_vec((1, topic.embedding.len()), topic.embedding);
            let Ok(row) = row else { continue };
            seeds.push(plant(topic.label, UnitRows::normalise(row)?.row(0).to_vec()));
        }
    }
    Ok(seeds)
}
