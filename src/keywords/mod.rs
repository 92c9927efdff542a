//! From texts to keywords: tokens, counts per class, class-based TF-IDF, and the rerankings over it.
//!
//! A text becomes a [`Bag`] of terms ([`Tokenizer`]); bags are added to the [`Counts`] of a class, or taken away
//! again; [`Weights`] of these counts give the [`Keyword`]s of each class, and a [`Ranking`] keeps them up to date. [`keybert`] and [`mmr`] rerank
//! candidate words by their embeddings. A class is whatever the caller says it is: any ordered, copyable key.

mod bag;
mod class_counts;
mod counts;
mod ctfidf;
pub mod keybert;
mod korean;
pub mod latent;
pub mod mmr;
mod params;
mod ranking;
pub mod representation;
mod script;
mod stop_words;
mod tokenizer;
mod vocabulary;

pub use bag::Bag;
pub use class_counts::ClassCounts;
pub use counts::Counts;
pub use ctfidf::{Keyword, TermVector, Weights, keywords};
pub use params::{Checked, Error, Params};
pub use ranking::Ranking;
pub use tokenizer::Tokenizer;

#[cfg(test)]
mod tests;
