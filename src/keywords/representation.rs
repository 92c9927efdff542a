//! What is made of a topic's c-TF-IDF keywords: chains of steps, one for the main list and one for each aspect.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Keyword;

/// One step of a chain: terms in, terms out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Ranks candidates by the cosine of their embeddings to that of the representative documents:
    /// [`keybert`](super::keybert).
    Keybert,
    /// Picks terms near to the topic and far from each other: [`mmr`](super::mmr).
    Mmr,
    /// Drops what its form gives away as no noun: [`is_noun_by_form`].
    Nouns,
}

/// Settings of the representations; the names are BERTopic's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Steps to a topic's keywords; none: c-TF-IDF's own.
    pub main: Vec<Step>,
    /// Further lists beside them: name → steps.
    pub aspects: BTreeMap<String, Vec<Step>>,
    /// Words among which KeyBERT-inspired chooses, the best by c-TF-IDF.
    pub nr_candidate_words: usize,
    /// Documents that stand for a topic.
    pub nr_repr_docs: usize,
    /// Documents of a topic among which those are chosen.
    pub nr_samples: usize,
    /// How much MMR prefers different words to near ones, in 0..=1.
    pub diversity: f32,
    /// Show MMR's words in the order that they had before, as BERTopic does, not in that of picking.
    pub keep_order: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            main: Vec::new(),
            aspects: BTreeMap::new(),
            nr_candidate_words: 100,
            nr_repr_docs: 5,
            nr_samples: 500,
            diversity: 0.1,
            keep_order: false,
        }
    }
}

/// The name under which c-TF-IDF's own list stands beside a main list of other steps.
pub const CTFIDF: &str = "c-tf-idf";
/// The name of the main list where aspects are compared.
pub const MAIN: &str = "main";
/// Terms that go from one step to the next, as BERTopic has it.
pub const BETWEEN_STEPS: usize = 30;

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A number below its least sensible value.
    #[error("`representation.{name}` is {value} but must be at least {least}; leave it out for the default")]
    TooSmall {
        /// The setting's name.
        name: &'static str,
        /// As the user set it.
        value: usize,
        /// The least value allowed.
        least: usize,
    },
    /// Not a share.
    #[error("`representation.diversity` is {value} but must be from 0 to 1; 0.1 is the default")]
    Diversity {
        /// As the user set it.
        value: f32,
    },
    /// A name that means something else.
    #[error(
        "`representation.aspects` holds `{name}`, which is the name of a list that is always there; give it another"
    )]
    Name {
        /// As the user wrote it.
        name: String,
    },
}

impl Params {
    /// Checks every setting; the first mistake is returned.
    pub fn check(self) -> Result<Self, Error> {
        let least = [
            ("nr_candidate_words", self.nr_candidate_words, 10),
            ("nr_repr_docs", self.nr_repr_docs, 1),
            ("nr_samples", self.nr_samples, 1),
        ];
        for (name, value, least) in least {
            if value < least {
                return Err(Error::TooSmall { name, value, least });
            }
        }
        if !(0.0..=1.0).contains(&self.diversity) {
            return Err(Error::Diversity { value: self.diversity });
        }
        let taken = |name: &&String| [CTFIDF, MAIN].contains(&name.as_str()) || name.parse::<u64>().is_ok();
        match self.aspects.keys().find(taken) {
            Some(name) => Err(Error::Name { name: name.clone() }),
            None => Ok(self),
        }
    }

    /// True if there is anything to do beyond c-TF-IDF.
    pub fn is_any(&self) -> bool {
        !self.main.is_empty() || !self.aspects.is_empty()
    }
}

/// Ends of English words that are adverbs, adjectives or verbs, with the letters that must stand before.
const NO_NOUN_ENDS: [(&str, usize); 14] = [
    ("ly", 4),
    ("ous", 3),
    ("ful", 4),
    ("able", 3),
    ("ible", 3),
    ("less", 3),
    ("ize", 3),
    ("ized", 3),
    ("ised", 4),
    ("izing", 3),
    ("ify", 3),
    ("ified", 3),
    ("ish", 5),
    ("ical", 3),
];

/// Nouns with such an end. Words in `-ise` and `-ising` are too often nouns (enterprise, advertising) to be told by it.
const NOUNS_ALL_THE_SAME: [&str; 15] = [
    "anomaly",
    "assembly",
    "butterfly",
    "chemical",
    "dragonfly",
    "family",
    "homily",
    "italy",
    "melancholy",
    "monopoly",
    "musical",
    "oligopoly",
    "periodical",
    "variable",
    "vegetable",
];

/// False for a term whose last word is by its form an English adverb, adjective or verb, or has no letter at all.
///
/// A model-free stand-in for part-of-speech patterns: an n-gram that ends in a noun is mostly a noun phrase, and the
/// endings that make English adverbs and adjectives are few. Korean words are nouns already
/// ([`Tokenizer`](super::Tokenizer)); a Japanese word that ends in Hiragana behind Han is a verb or adjective. Verbs
/// without an ending (`said`, `go`) pass.
pub fn is_noun_by_form(term: &str) -> bool {
    let last = term.rsplit(' ').next().unwrap_or(term);
    if !last.chars().any(char::is_alphabetic) {
        return false;
    }
    let mut backwards = last.chars().rev();
    let okurigana = backwards.next().is_some_and(|c| matches!(c, '\u{3041}'..='\u{309F}'))
        && backwards.any(|c| matches!(c, '\u{3400}'..='\u{9FFF}'));
    let english = |(end, before): &(&str, usize)| {
        last.is_ascii() && last.strip_suffix(end).is_some_and(|stem| stem.len() >= *before)
    };
    !okurigana && (NOUNS_ALL_THE_SAME.contains(&last) || !NO_NOUN_ENDS.iter().any(english))
}

/// The terms that are nouns by their form, in their order.
pub fn nouns(mut terms: Vec<Keyword>) -> Vec<Keyword> {
    terms.retain(|keyword| is_noun_by_form(&keyword.term));
    terms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_name_the_setting_and_the_way_out() {
        let aspects = |name: &str| BTreeMap::from([(name.to_owned(), vec![Step::Mmr])]);
        for (params, expected) in [
            (Params { nr_candidate_words: 3, ..Params::default() }, "nr_candidate_words` is 3"),
            (Params { diversity: 1.5, ..Params::default() }, "diversity` is 1.5"),
            (Params { aspects: aspects("main"), ..Params::default() }, "`main`"),
            (Params { aspects: aspects("12"), ..Params::default() }, "`12`"),
        ] {
            let text = params.check().unwrap_err().to_string();
            assert!(text.contains(expected) && text.contains(';'), "{text}");
        }
        assert!(!Params::default().check().unwrap().is_any());
        assert!(Params { aspects: aspects("diverse"), ..Params::default() }.check().unwrap().is_any());
    }

    #[test]
    fn the_form_of_a_word_gives_many_away() {
        for noun in [
            "bank",
            "interest rates",
            "royal family",
            "enterprise",
            "grapefruit",
            "研究",
            "table",
            "정부",
            "サッカー",
            "french",
        ] {
            assert!(is_noun_by_form(noun), "{noun}");
        }
        for other in ["quickly", "dangerous", "realize", "political", "2024", "買った", "新しい"] {
            assert!(!is_noun_by_form(other), "{other}");
        }
    }
}
