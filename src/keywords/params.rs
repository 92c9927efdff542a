//! What a user may set about keywords, and its check.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::tokenizer::{Recipe, normalise};
use super::{Tokenizer, stop_words};

/// Settings of tokenising, counting and weighting; the names are scikit-learn's and BERTopic's.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own, under the name users know")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Languages whose stop words are dropped: ISO 639-1 codes or English names; empty for none.
    pub languages: Vec<String>,
    /// Further words to drop.
    pub stop_words: Vec<String>,
    /// A file of further words to drop, one a line; empty for none. Who reads it passes its words to
    /// [`Params::with_stop_words`]; this room opens no files.
    pub stop_words_file: PathBuf,
    /// Read a document in the language that its script gives away: see [`Tokenizer`].
    pub detect_script: bool,
    /// Take the accents from letters.
    pub strip_accents: bool,
    /// Shortest and longest run of words that makes a term.
    pub n_gram_range: (usize, usize),
    /// Terms that occur less often than this in all classes together are no keywords and don't count as words.
    ///
    /// Occurrences, as `delete_min_df` of BERTopic's `OnlineCountVectorizer`; with BERTopic's default vectorizer
    /// `min_df` counts topics instead, which would silence a stream that has few of them.
    pub min_df: u32,
    /// Terms that occur in more than this share of the classes are no keywords; scikit-learn's `max_df` as BERTopic
    /// applies it. In (0, 1].
    pub max_df: f64,
    /// Only this many terms, the most frequent in all classes together, can be keywords; 0 for all. Equally frequent
    /// ones: the first in the alphabet.
    pub max_features: usize,
    /// Keywords kept for a class.
    pub top_n_words: usize,
    /// Weigh terms by BM25's formula instead of c-TF-IDF's; a term more frequent than a mean class goes.
    pub bm25_weighting: bool,
    /// Take the square root of term frequencies, against words that are frequent everywhere.
    pub reduce_frequent_words: bool,
    /// Terms whose weight is multiplied.
    pub seed_words: Vec<String>,
    /// What the weight of seed words is multiplied with.
    pub seed_multiplier: f64,
    /// Documents of the stream after which a word counts half; 0: always whole.
    pub half_life_documents: u64,
    /// Different terms that are counted, at most; about 60 bytes a term, and 12 for each topic that has it. What is
    /// evicted: see [`Counts`](super::Counts).
    pub max_vocabulary: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            languages: vec!["english".to_owned()],
            stop_words: Vec::new(),
            stop_words_file: PathBuf::new(),
            detect_script: true,
            strip_accents: false,
            n_gram_range: (1, 1),
            min_df: 1,
            max_df: 1.0,
            max_features: 0,
            top_n_words: 10,
            bm25_weighting: false,
            reduce_frequent_words: false,
            seed_words: Vec::new(),
            seed_multiplier: 2.0,
            half_life_documents: 0,
            max_vocabulary: 200_000,
        }
    }
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// No list of stop words is known for a language.
    #[error(
        "`keywords.languages` holds `{language}`, for which no stop words are known; did you mean `{nearest}`?"
    )]
    UnknownLanguage {
        /// As the user wrote it.
        language: String,
        /// The known name that is spelt most alike.
        nearest: &'static str,
    },
    /// An n-gram range that is empty or too wide.
    #[error("`keywords.n_gram_range` is [{shortest}, {longest}]; it takes two numbers from 1 to 5 in order")]
    NGramRange {
        /// Words in the shortest term.
        shortest: usize,
        /// Words in the longest term.
        longest: usize,
    },
    /// A number below its least sensible value.
    #[error("`keywords.{name}` is {value} but must be at least {least}; leave it out for the default")]
    TooSmall {
        /// The setting's name.
        name: &'static str,
        /// As the user set it.
        value: usize,
        /// The least value allowed.
        least: usize,
    },
    /// A share outside its range.
    #[error("`keywords.max_df` is {value} but must be above 0 and at most 1; 1.0 keeps every term")]
    MaxDf {
        /// As the user set it.
        value: f64,
    },
    /// A factor that is not a positive, finite number.
    #[error("`keywords.seed_multiplier` is {value} but must be a number above 0; 2.0 is the default")]
    SeedMultiplier {
        /// As the user set it.
        value: f64,
    },
    /// The pattern of words didn't compile: a fault of the build, not of the settings.
    #[error("the pattern of words cannot be compiled; build with the unicode features of `regex`")]
    Pattern(#[from] regex::Error),
}

impl Params {
    /// These settings with the words of a stop word file: one a line, white space around it ignored, as are lines that
    /// are empty or begin with `#`.
    #[must_use]
    pub fn with_stop_words(mut self, file: &str) -> Self {
        let words = file.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        self.stop_words.extend(words.map(str::to_owned));
        self
    }

    /// `term` as it stands in the counts: in lower case, without accents if they are stripped.
    pub fn normalise(&self, term: &str) -> String {
        normalise(term, self.strip_accents)
    }

    /// Checks every setting; the first mistake is returned.
    pub fn check(self) -> Result<Checked, Error> {
        let (shortest, longest) = self.n_gram_range;
        if shortest < 1 || shortest > longest || longest > 5 {
            return Err(Error::NGramRange { shortest, longest });
        }
        let at_least = [("top_n_words", self.top_n_words, 1), ("max_vocabulary", self.max_vocabulary, 1_000)];
        for (name, value, least) in at_least {
            if value < least {
                return Err(Error::TooSmall { name, value, least });
            }
        }
        if !(self.max_df > 0.0 && self.max_df <= 1.0) {
            return Err(Error::MaxDf { value: self.max_df });
        }
        if !(self.seed_multiplier.is_finite() && self.seed_multiplier > 0.0) {
            return Err(Error::SeedMultiplier { value: self.seed_multiplier });
        }
        let mut dropped: hashbrown::HashSet<String> =
            self.stop_words.iter().map(|word| word.to_lowercase()).collect();
        for language in &self.languages {
            let name = language.to_lowercase();
            dropped.extend(stop_words::of(&name).ok_or_else(|| Error::UnknownLanguage {
                language: language.clone(),
                nearest: stop_words::nearest(&name),
            })?);
        }
        let tokenizer = Tokenizer::new(Recipe {
            stop_words: dropped,
            n_gram_range: self.n_gram_range,
            detect_script: self.detect_script,
            strip_accents: self.strip_accents,
        })?;
        Ok(Checked { params: self, tokenizer })
    }
}

/// Settings that have passed [`Params::check`].
#[derive(Debug, Clone)]
pub struct Checked {
    params: Params,
    tokenizer: Tokenizer,
}

impl Checked {
    /// The tokenizer that these settings ask for.
    pub fn tokenizer(&self) -> Tokenizer {
        self.tokenizer.clone()
    }

    /// The settings as given.
    pub fn params(&self) -> &Params {
        &self.params
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_name_the_setting_and_the_way_out() {
        let default = Params::default;
        let wrong = [
            (Params { languages: vec!["Englsh".into()], ..default() }, "`Englsh`"),
            (Params { n_gram_range: (0, 1), ..default() }, "[0, 1]"),
            (Params { n_gram_range: (2, 1), ..default() }, "[2, 1]"),
            (Params { n_gram_range: (1, 6), ..default() }, "[1, 6]"),
            (Params { top_n_words: 0, ..default() }, "top_n_words` is 0"),
            (Params { max_vocabulary: 10, ..default() }, "max_vocabulary` is 10"),
            (Params { max_df: 0.0, ..default() }, "max_df` is 0"),
            (Params { seed_multiplier: f64::NAN, ..default() }, "seed_multiplier` is NaN"),
        ];
        for (params, expected) in wrong {
            let text = params.check().unwrap_err().to_string();
            assert!(text.contains(expected) && text.contains(';'), "{text}");
        }
        assert!(default().check().is_ok());
    }

    #[test]
    fn a_file_adds_stop_words() {
        let params = Params::default().with_stop_words("# ours\n\n  Reuters \r\nsaid so\n");
        assert_eq!(params.stop_words, ["Reuters", "said so"]);
    }

    #[test]
    fn own_stop_words_are_dropped_in_any_case() {
        let params = Params { stop_words: vec!["BBC".into()], ..Params::default() };
        let bag = params.check().unwrap().tokenizer().count("BBC News, bbc sport");
        assert_eq!(bag.iter().collect::<Vec<_>>(), [("news", 1), ("sport", 1)]);
    }
}
