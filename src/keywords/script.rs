//! What a document's script says of its language: which stop words it needs, and where words begin.

use hashbrown::HashSet;

use super::stop_words;

/// A script, as far as it matters for finding words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    /// Spaces part words, and many languages are written in it.
    Spaced,
    /// Han characters without Kana: Chinese.
    Han,
    /// Hiragana or Katakana, and Han in a document that holds one of them: Japanese.
    Kana,
    /// Korean.
    Hangul,
    /// Thai.
    Thai,
    /// Lao, Khmer, Burmese: no spaces, and no stop words that we know of.
    Unspaced,
}

impl Script {
    /// The script of one letter.
    pub(super) fn of(c: char) -> Self {
        // Most letters by far: no need to look further.
        if c < '\u{0E00}' {
            return Self::Spaced;
        }
        match c {
            '\u{0E00}'..='\u{0E7F}' => Self::Thai,
            '\u{0E80}'..='\u{0EFF}'         // Lao
            | '\u{1000}'..='\u{109F}'       // Burmese
            | '\u{1780}'..='\u{17FF}'       // Khmer
            | '\u{A9E0}'..='\u{A9FF}'       // Burmese, extended
            | '\u{AA60}'..='\u{AA7F}' => Self::Unspaced,
            '\u{3040}'..='\u{30FF}' | '\u{31F0}'..='\u{31FF}' | '\u{FF66}'..='\u{FF9F}' => Self::Kana,
            '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}' => {
                Self::Han
            }
            '\u{1100}'..='\u{11FF}' | '\u{3130}'..='\u{318F}' | '\u{A960}'..='\u{A97F}' | '\u{AC00}'..='\u{D7FF}' => {
                Self::Hangul
            }
            _ => Self::Spaced,
        }
    }

    /// True if no space parts its words.
    pub(super) fn is_unspaced(self) -> bool {
        !matches!(self, Self::Spaced | Self::Hangul)
    }
}

/// The stop words of languages that a script gives away.
#[derive(Debug, Clone)]
pub(super) struct ByScript {
    chinese: HashSet<String>,
    japanese: HashSet<String>,
    korean: HashSet<String>,
    thai: HashSet<String>,
}

impl ByScript {
    pub(super) fn new() -> Self {
        let of = |language| stop_words::of(language).unwrap_or_default();
        Self { chinese: of("chinese"), japanese: of("japanese"), korean: of("korean"), thai: of("thai") }
    }

    /// True if `word` says nothing in the language that `script` gives away.
    pub(super) fn drops(&self, script: Script, word: &str) -> bool {
        match script {
            Script::Spaced | Script::Unspaced => false,
            Script::Han => self.chinese.contains(word),
            Script::Kana => self.japanese.contains(word) || is_inflection(word),
            Script::Hangul => self.korean.contains(word),
            Script::Thai => self.thai.contains(word),
        }
    }
}

/// What a Japanese word of grammar begins with, in Hiragana.
const GRAMMAR: [&str; 20] = [
    "です", "ます", "でし", "まし", "ませ", "して", "され", "てい", "とい", "ため", "より", "など", "これ",
    "それ", "あれ", "ここ", "そこ", "もの", "こと", "よう",
];

/// What is left of a Japanese verb or adjective, or stands for grammar: in Hiragana throughout and short, or with the
/// start of a word of grammar, or with the end of a verb. Nouns are mostly written in Han or Katakana; `りんご` stays.
/// A word that begins in Han and ends as verbs do (`決め`, `上がる`) is one; that takes a few nouns along (`流れ`).
fn is_inflection(word: &str) -> bool {
    let hiragana = word.chars().all(|c| matches!(c, '\u{3041}'..='\u{309F}' | 'ー'));
    let ends = ['る', 'た', 'て', 'で', 'だ', 'い', 'す', 'く', 'う', 'ん', 'ば'];
    let verb = [
        'え', 'け', 'げ', 'せ', 'て', 'で', 'ね', 'べ', 'め', 'れ', 'う', 'く', 'す', 'つ', 'ぬ', 'ぶ', 'む',
        'る', 'た', 'だ',
    ];
    if word.ends_with(verb) && word.chars().next().is_some_and(|first| Script::of(first) == Script::Han) {
        return true;
    }
    hiragana
        && (word.chars().count() < 3
            || GRAMMAR.iter().any(|start| word.starts_with(start))
            || word.ends_with(ends))
}

#[cfg(test)]
mod tests {
    use super::Script::{Han, Hangul, Kana, Spaced, Thai, Unspaced};
    use super::*;

    #[test]
    fn letters_give_their_script_away() {
        let scripts = ['a', 'ж', '学', 'ア', 'の', '정', 'ภ', 'ລ'].map(Script::of);
        assert_eq!(scripts, [Spaced, Spaced, Han, Kana, Kana, Hangul, Thai, Unspaced]);
    }

    #[test]
    fn japanese_grammar_is_dropped_and_nouns_are_not() {
        let words = ByScript::new();
        for word in ["です", "している", "られた", "という", "それ", "決め", "上がる", "買った"]
        {
            assert!(words.drops(Script::Kana, word), "{word}");
        }
        for word in ["りんご", "機械", "サッカー", "新しい", "お茶", "見直し", "動き"] {
            assert!(!words.drops(Script::Kana, word), "{word}");
        }
    }
}
