//! Texts to terms, as scikit-learn's `CountVectorizer` makes them, in any script.

use std::borrow::Cow;

use hashbrown::HashSet;
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use icu_segmenter::options::WordBreakInvariantOptions;
use icu_segmenter::{WordSegmenter, WordSegmenterBorrowed};
use regex::Regex;

use super::script::{ByScript, Script};
use super::{Bag, korean};

/// Turns a text into terms: lower case, words of two or more word characters, without stop words, then n-grams.
///
/// A word is a longest run of letters, numbers and underscores, at least two long: scikit-learn's default
/// `token_pattern` `(?u)\b\w\w+\b`. n-grams are built from what is left after the stop words are gone and are
/// joined by one space, as there. Differences, each where the reference gives scraps of words:
/// - a combining mark stays with its letter (Python's `\w` excludes marks, which cuts Hindi or Tamil words apart
///   at their vowel signs, and decomposed `é` at its accent);
/// - a run that holds Chinese, Japanese, Thai, Lao, Khmer or Burmese is cut into words by ICU's dictionaries and
///   models; a word of one character is dropped there, too;
/// - with `detect_script`, Korean words lose their particles and the endings of verbs, and the stop words of Korean,
///   Japanese, Chinese and Thai are dropped where they are written, whatever languages are set. A document with
///   Kana is Japanese, one with Han and no Kana is Chinese;
/// - a word of more than 256 bytes is no word that people read, but encoded data, and is dropped;
/// - with `strip_accents`, marks of Latin, Greek and Cyrillic letters go, but the dots that make another Kana and the
///   parts of a Hangul syllable stay, and stop words are stripped as well.
///
/// Cost: linear in the text, one copy of it in lower case. Cloning is cheap next to making one.
///
/// Source: scikit-learn 1.9, `CountVectorizer._word_ngrams`; Unicode UAX #29.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    /// Combining marks that are no letters by themselves.
    mark: Regex,
    segmenter: WordSegmenterBorrowed<'static>,
    stop_words: HashSet<String>,
    by_script: Option<ByScript>,
    n_gram_range: (usize, usize),
    strip_accents: bool,
}

/// Bytes of a word, at most: a keyword stands in names, records and events.
const MOST_WORD_BYTES: usize = 256;

/// What a tokenizer is made of.
pub(super) struct Recipe {
    pub(super) stop_words: HashSet<String>,
    pub(super) n_gram_range: (usize, usize),
    pub(super) detect_script: bool,
    pub(super) strip_accents: bool,
}

/// What is known of a document before its words are looked at.
#[derive(Clone, Copy)]
struct Document {
    is_japanese: bool,
}

impl Tokenizer {
    pub(super) fn new(recipe: Recipe) -> Result<Self, regex::Error> {
        let Recipe { mut stop_words, n_gram_range, detect_script, strip_accents } = recipe;
        if strip_accents {
            stop_words = stop_words.iter().map(|word| without_accents(word).into_owned()).collect();
        }
        Ok(Self {
            mark: Regex::new(r"^\p{M}$")?,
            segmenter: WordSegmenter::new_auto(WordBreakInvariantOptions::default()),
            stop_words,
            by_script: detect_script.then(ByScript::new),
            n_gram_range,
            strip_accents,
        })
    }

    /// The terms of `text` and how often each occurs.
    pub fn count(&self, text: &str) -> Bag {
        let lower = prepared(text, self.strip_accents);
        let words = self.words(&lower);
        let (shortest, longest) = self.n_gram_range;
        if longest == 1 {
            return Bag::of(&words);
        }
        // All n-grams lie in one string: an allocation each would cost more than the rest of the counting.
        let mut joined = String::with_capacity(lower.len() * longest);
        let mut ends = Vec::new();
        for n in shortest..=longest {
            for gram in words.windows(n) {
                for (i, word) in gram.iter().enumerate() {
                    joined.push_str(if i > 0 { " " } else { "" });
                    joined.push_str(word);
                }
                ends.push(joined.len());
            }
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let terms: Vec<&str> = starts.zip(&ends).map(|(start, &end)| &joined[start..end]).collect();
        Bag::of(&terms)
    }

    /// Words of a text in lower case that are no stop words, in their order.
    fn words<'t>(&self, lower: &'t str) -> Vec<&'t str> {
        let is_japanese = !lower.is_ascii() && lower.chars().any(|c| Script::of(c) == Script::Kana);
        let document = Document { is_japanese };
        let mut words = Vec::with_capacity(lower.len() / 8);
        let mut rest = lower;
        while let Some(start) = first_letter(rest) {
            let (run, after) = rest[start..].split_at(self.end(&rest[start..]));
            rest = after;
            if run.is_ascii() {
                self.keep(run, &mut words);
            } else if run.chars().any(|c| Script::of(c).is_unspaced()) {
                self.cut(run, document, &mut words);
            } else {
                self.keep_in_script(run, document, &mut words);
            }
        }
        words
    }

    /// Where the word ends that `text` begins with: behind its letters and their marks.
    fn end(&self, text: &str) -> usize {
        let ascii = text.bytes().position(|byte| !is_ascii_letter(byte)).unwrap_or(text.len());
        text[ascii..].find(|c| !self.is_inside_word(c)).map_or(text.len(), |further| ascii + further)
    }

    fn is_inside_word(&self, c: char) -> bool {
        is_letter(c) || (!c.is_ascii() && self.mark.is_match(c.encode_utf8(&mut [0; 4])))
    }

    /// Cuts a run of a script without spaces into words.
    fn cut<'t>(&self, run: &'t str, document: Document, words: &mut Vec<&'t str>) {
        for piece in at_okurigana(run) {
            let mut start = 0;
            for (end, kind) in self.segmenter.segment_str(piece).iter_with_word_type() {
                let word = &piece[start..end];
                start = end;
                if kind.is_word_like() && !word.starts_with(NEVER_FIRST) {
                    self.keep_in_script(word, document, words);
                }
            }
        }
    }

    /// Keeps `word` as the language that its script gives away writes it.
    fn keep_in_script<'t>(&self, word: &'t str, document: Document, words: &mut Vec<&'t str>) {
        let Some(by_script) = &self.by_script else { return self.keep(word, words) };
        let script = match Script::of(word.chars().next_back().unwrap_or_default()) {
            Script::Han if document.is_japanese => Script::Kana,
            script => script,
        };
        if by_script.drops(script, word) {
            return;
        }
        if script != Script::Hangul {
            return self.keep(word, words);
        }
        if let Some(noun) = korean::noun(word).filter(|noun| !by_script.drops(script, noun)) {
            self.keep(noun, words);
        }
    }

    fn keep<'t>(&self, word: &'t str, words: &mut Vec<&'t str>) {
        let is_one_letter = word.len() == 1 || (!word.is_ascii() && word.chars().nth(1).is_none());
        if !is_one_letter && word.len() <= MOST_WORD_BYTES && !self.stop_words.contains(word) {
            words.push(word);
        }
    }
}

/// `term` as texts are counted: in lower case, without accents if they are stripped, white space as one space.
pub(super) fn normalise(term: &str, strip_accents: bool) -> String {
    let words: Vec<&str> = term.split_whitespace().collect();
    prepared(&words.join(" "), strip_accents)
}

fn prepared(text: &str, strip_accents: bool) -> String {
    let lower = text.to_lowercase();
    if !strip_accents {
        return lower;
    }
    match without_accents(&lower) {
        Cow::Borrowed(_) => lower,
        Cow::Owned(stripped) => stripped,
    }
}

/// Where the first word of `text` begins. Most texts are mostly ASCII, where a byte tells by itself what it is.
fn first_letter(text: &str) -> Option<usize> {
    let near = text.bytes().position(|byte| !byte.is_ascii() || is_ascii_letter(byte))?;
    text[near..].find(is_letter).map(|further| near + further)
}

fn is_ascii_letter(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// What a word may begin with.
fn is_letter(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// `text` decomposed (NFKD), without the combining marks of Latin, Greek and Cyrillic, and composed again.
fn without_accents(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let decomposed = DecomposingNormalizerBorrowed::new_nfkd().normalize(text);
    let bare: String = decomposed.chars().filter(|c| !is_accent(*c)).collect();
    Cow::Owned(ComposingNormalizerBorrowed::new_nfc().normalize(&bare).into_owned())
}

fn is_accent(c: char) -> bool {
    matches!(c, '\u{0300}'..='\u{036F}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}')
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

#[cfg(test)]
mod tests {
    use crate::keywords::{Params, Tokenizer};

    fn params(languages: &[&str], n_gram_range: (usize, usize)) -> Params {
        let languages = languages.iter().map(|&language| language.to_owned()).collect();
        Params { languages, n_gram_range, detect_script: false, ..Params::default() }
    }

    fn tokenizer(languages: &[&str], n_gram_range: (usize, usize)) -> Tokenizer {
        params(languages, n_gram_range).check().unwrap().tokenizer()
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
    fn a_document_is_read_in_the_language_of_its_script() {
        let by_script =
            Params { detect_script: true, ..params(&["english"], (1, 1)) }.check().unwrap().tokenizer();
        assert_eq!(
            terms(&by_script, "정부는 새로운 정책을 발표했다. The government은 그 정책에 대해 설명했다."),
            ["government", "발표", "설명", "정부", "정책"]
        );
        assert_eq!(terms(&by_script, "これは新しい研究ですが、研究している人がいます"), ["新しい", "研究"]);
        assert_eq!(terms(&by_script, "我们的深度学习和他们的研究"), ["学习", "深度", "研究"]);
        assert_eq!(terms(&by_script, "เราเป็นมหาวิทยาลัย"), ["มหาวิทยาลัย"]);
    }

    #[test]
    fn accents_are_stripped_and_other_marks_are_not() {
        let params = Params { strip_accents: true, ..params(&["french"], (1, 1)) };
        let bare = params.clone().check().unwrap().tokenizer();
        assert_eq!(terms(&bare, "Été café, ÅNGSTRÖM été; Ελλάδα"), ["angstrom", "cafe", "ελλαδα"]);
        assert_eq!(terms(&bare, "ガラス 한국어 हिन्दी"), ["हिन्दी", "ガラス", "한국어"]);
        assert_eq!(params.normalise("  Crème\nBrûlée "), "creme brulee");
    }

    #[test]
    fn empty_texts_give_empty_bags() {
        for text in ["", " \n\t", "?!", "a b c", "the"] {
            assert!(tokenizer(&["english"], (1, 3)).count(text).is_empty(), "{text:?}");
        }
    }
}
