//! Texts to terms, as scikit-learn's `CountVectorizer` makes them, in any script.

use std::collections::HashSet;

use icu_segmenter::options::WordBreakInvariantOptions;
use icu_segmenter::{WordSegmenter, WordSegmenterBorrowed};
use regex::Regex;

use super::Bag;

/// Turns a text into terms: lower case, words of two or more word characters, without stop words, then n-grams.
///
/// A word is a longest run of letters, numbers and underscores, at least two long: scikit-learn's default
/// `token_pattern` `(?u)\b\w\w+\b`. n-grams are built from what is left after the stop words are gone and are
/// joined by one space, as there. Two differences, both where the reference gives scraps of words:
/// - a combining mark stays with its letter (Python's `\w` excludes marks, which cuts Hindi or Tamil words apart
///   at their vowel signs, and decomposed `é` at its accent);
/// - a run that holds Chinese, Japanese, Thai, Lao, Khmer or Burmese is cut into words by ICU's dictionaries and
///   models; a word of one character is dropped there, too.
///
/// Cost: linear in the text, one copy of it in lower case. Cloning is cheap next to making one.
///
/// Source: scikit-learn 1.9, `CountVectorizer._word_ngrams`; Unicode UAX #29.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    word: Regex,
    segmenter: WordSegmenterBorrowed<'static>,
    stop_words: HashSet<String>,
    n_gram_range: (usize, usize),
}

impl Tokenizer {
    pub(super) fn new(
        stop_words: HashSet<String>,
        n_gram_range: (usize, usize),
    ) -> Result<Self, regex::Error> {
        Ok(Self {
            word: Regex::new(r"[\p{L}\p{N}_][\p{L}\p{N}\p{M}_]+")?,
            segmenter: WordSegmenter::new_auto(WordBreakInvariantOptions::default()),
            stop_words,
            n_gram_range,
        })
    }

    /// The terms of `text` and how often each occurs.
    pub fn count(&self, text: &str) -> Bag {
        let mut bag = Bag::default();
        self.count_into(text, &mut bag);
        bag
    }

    /// Adds the terms of `text` to `bag`; cheaper than a bag a document where documents of a class come together.
    pub fn count_into(&self, text: &str, bag: &mut Bag) {
        let lower = text.to_lowercase();
        let words = self.words(&lower);
        let (shortest, longest) = self.n_gram_range;
        let mut term = String::new();
        for n in shortest..=longest {
            if n == 1 {
                for word in &words {
                    bag.add(word, 1);
                }
                continue;
            }
            for gram in words.windows(n) {
                term.clear();
                for (i, word) in gram.iter().enumerate() {
                    if i > 0 {
                        term.push(' ');
                    }
                    term.push_str(word);
                }
                bag.add(&term, 1);
            }
        }
    }

    /// Words of a text in lower case that are no stop words, in their order.
    fn words<'t>(&self, lower: &'t str) -> Vec<&'t str> {
        let mut words = Vec::new();
        for run in self.word.find_iter(lower) {
            let run = run.as_str();
            if run.is_ascii() || !run.chars().any(is_written_without_spaces) {
                self.keep(run, &mut words);
            } else {
                self.cut(run, &mut words);
            }
        }
        words
    }

    /// Cuts a run of a script without spaces into words.
    fn cut<'t>(&self, run: &'t str, words: &mut Vec<&'t str>) {
        for piece in at_okurigana(run) {
            let mut start = 0;
            for (end, kind) in self.segmenter.segment_str(piece).iter_with_word_type() {
                let word = &piece[start..end];
                start = end;
                if kind.is_word_like() && word.chars().nth(1).is_some() && !word.starts_with(NEVER_FIRST) {
                    self.keep(word, words);
                }
            }
        }
    }

    fn keep<'t>(&self, word: &'t str, words: &mut Vec<&'t str>) {
        if !self.stop_words.contains(word) {
            words.push(word);
        }
    }
}

/// No Japanese word begins with one of these: such a piece is what is left of a verb.
const NEVER_FIRST: [char; 6] = ['っ', 'ん', 'ゃ', 'ゅ', 'ょ', 'ー'];

/// Cuts Japanese where Hiragana ends and Han begins, which is where a word begins unless the Hiragana is an honorific
/// `お` or `ご`. ICU's dictionary misses many of these: it reads `買った機械` as `買|った機|械`.
fn at_okurigana(run: &str) -> impl Iterator<Item = &str> {
    let mut rest = run;
    std::iter::from_fn(move || {
        let mut before = ' ';
        let cut = rest.char_indices().find(|&(_, c)| {
            let ends = matches!(before, '\u{3041}'..='\u{309F}') && !matches!(before, 'お' | 'ご');
            before = c;
            ends && matches!(c, '\u{3400}'..='\u{9FFF}')
        });
        let (piece, left) = rest.split_at(cut.map_or(rest.len(), |(at, _)| at));
        rest = left;
        (!piece.is_empty()).then_some(piece)
    })
}

/// True for letters of scripts that put no space between words.
fn is_written_without_spaces(c: char) -> bool {
    matches!(c,
        '\u{0E00}'..='\u{0EFF}'       // Thai, Lao
        | '\u{1000}'..='\u{109F}'     // Burmese
        | '\u{1780}'..='\u{17FF}'     // Khmer
        | '\u{3040}'..='\u{30FF}'     // Hiragana, Katakana
        | '\u{31F0}'..='\u{31FF}'
        | '\u{3400}'..='\u{4DBF}'     // Han
        | '\u{4E00}'..='\u{9FFF}'
        | '\u{A9E0}'..='\u{A9FF}'     // Burmese, extended
        | '\u{AA60}'..='\u{AA7F}'
        | '\u{F900}'..='\u{FAFF}'     // Han, compatibility
        | '\u{FF66}'..='\u{FF9F}'     // Katakana, half width
        | '\u{20000}'..='\u{3FFFF}'   // Han, supplementary
    )
}

#[cfg(test)]
mod tests {
    use crate::keywords::{Params, Tokenizer};

    fn tokenizer(languages: &[&str], n_gram_range: (usize, usize)) -> Tokenizer {
        let languages = languages.iter().map(|&language| language.to_owned()).collect();
        Params { languages, n_gram_range, ..Params::default() }.check().unwrap().tokenizer()
    }

    fn terms(tokenizer: &Tokenizer, text: &str) -> Vec<String> {
        tokenizer.count(text).iter().map(|(term, _)| term.to_owned()).collect()
    }

    #[test]
    fn stop_words_go_before_n_grams_are_built() {
        let bag = tokenizer(&["english"], (1, 2)).count("The Bank of England; the bank of the river");
        let expected = [
            ("bank", 2),
            ("bank england", 1),
            ("bank river", 1),
            ("england", 1),
            ("england bank", 1),
            ("river", 1),
        ];
        assert_eq!(bag.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn single_characters_and_punctuation_are_no_words() {
        assert_eq!(
            terms(&tokenizer(&[], (1, 1)), "I don't x_1 a 3.14 e\u{301}te\u{301}"),
            ["14", "don", "e\u{301}te\u{301}", "x_1"]
        );
    }

    #[test]
    fn vowel_signs_stay_in_their_word() {
        assert_eq!(terms(&tokenizer(&[], (1, 1)), "हिन्दी भाषा"), ["भाषा", "हिन्दी"]);
    }

    #[test]
    fn scripts_without_spaces_are_cut_into_words() {
        let any = tokenizer(&[], (1, 1));
        assert_eq!(
            terms(&any, "今天天气很好,我们去公园散步"),
            ["今天", "公园", "天气", "很好", "我们", "散步"]
        );
        assert_eq!(terms(&any, "iPhone15を買った機械学習"), ["iphone15", "学習", "機械"]);
        assert_eq!(terms(&any, "お茶とご飯を使った新しい研究"), ["お茶", "ご飯", "新しい", "研究"]);
        assert!(terms(&any, "ภาษาไทยไม่มีการเว้นวรรค").contains(&"ภาษา".to_owned()));
        assert!(terms(&any, "ພາສາລາວ").contains(&"ລາວ".to_owned()));
        assert!(terms(&any, "ភាសាខ្មែរមិនមានដកឃ្លា").contains(&"មាន".to_owned()));
        assert!(terms(&any, "မြန်မာစာ").contains(&"မြန်မာ".to_owned()));
        assert_eq!(terms(&tokenizer(&["chinese"], (1, 1)), "我们的深度学习"), ["学习", "深度"]);
    }

    #[test]
    fn empty_texts_give_empty_bags() {
        for text in ["", " \n\t", "?!", "a b c", "the"] {
            assert!(tokenizer(&["english"], (1, 3)).count(text).is_empty(), "{text:?}");
        }
    }
}
