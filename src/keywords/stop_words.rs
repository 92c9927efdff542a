//! Words that say nothing about a topic, per language.

use hashbrown::HashSet;

/// ISO 639-1 codes with a list, and the names a reader would write.
const LANGUAGES: [(&str, &str); 66] = [
    ("af", "afrikaans"),
    ("ar", "arabic"),
    ("az", "azerbaijani"),
    ("be", "belarusian"),
    ("bg", "bulgarian"),
    ("bn", "bengali"),
    ("br", "breton"),
    ("ca", "catalan"),
    ("cs", "czech"),
    ("da", "danish"),
    ("de", "german"),
    ("el", "greek"),
    ("en", "english"),
    ("eo", "esperanto"),
    ("es", "spanish"),
    ("et", "estonian"),
    ("eu", "basque"),
    ("fa", "persian"),
    ("fi", "finnish"),
    ("fr", "french"),
    ("ga", "irish"),
    ("gl", "galician"),
    ("gu", "gujarati"),
    ("ha", "hausa"),
    ("he", "hebrew"),
    ("hi", "hindi"),
    ("hr", "croatian"),
    ("hu", "hungarian"),
    ("hy", "armenian"),
    ("id", "indonesian"),
    ("it", "italian"),
    ("ja", "japanese"),
    ("kk", "kazakh"),
    ("ko", "korean"),
    ("ku", "kurdish"),
    ("la", "latin"),
    ("lt", "lithuanian"),
    ("lv", "latvian"),
    ("mr", "marathi"),
    ("ms", "malay"),
    ("ne", "nepali"),
    ("nl", "dutch"),
    ("no", "norwegian"),
    ("pl", "polish"),
    ("pt", "portuguese"),
    ("ro", "romanian"),
    ("ru", "russian"),
    ("sk", "slovak"),
    ("sl", "slovenian"),
    ("so", "somali"),
    ("sq", "albanian"),
    ("st", "sotho"),
    ("sv", "swedish"),
    ("sw", "swahili"),
    ("ta", "tamil"),
    ("tg", "tajik"),
    ("th", "thai"),
    ("tl", "tagalog"),
    ("tr", "turkish"),
    ("uk", "ukrainian"),
    ("ur", "urdu"),
    ("uz", "uzbek"),
    ("vi", "vietnamese"),
    ("yo", "yoruba"),
    ("zh", "chinese"),
    ("zu", "zulu"),
];

/// The stop words of `language`, an ISO 639-1 code or an English name in lower case (`"de"`, `"german"`); `None`
/// where no list is known.
///
/// English is scikit-learn's `ENGLISH_STOP_WORDS` (318 words) together with NLTK's list, which adds what the
/// token pattern leaves of contractions (`don`, `didn`, `ve`). The others are NLTK's, and where it has none those of
/// the stopwords-iso project; all come compiled into the crates `stop-words` and `stopwords`.
pub(super) fn of(language: &str) -> Option<HashSet<String>> {
    let (code, _) = LANGUAGES.iter().find(|(code, name)| *code == language || *name == language)?;
    let mut words: HashSet<String> =
        stop_words::lookup(code)?.iter().map(|word| word.to_lowercase()).collect();
    if *code == "en" {
        words.extend(scikit_learn_english());
    }
    Some(words)
}

/// The known language whose code or name is nearest to a misspelt one.
pub(super) fn nearest(language: &str) -> &'static str {
    let names = LANGUAGES.iter().map(|&(_, name)| name);
    names.min_by_key(|name| strsim::damerau_levenshtein(name, language)).unwrap_or("english")
}

/// scikit-learn's `ENGLISH_STOP_WORDS`; the crate holds the list as it was before scikit-learn 0.21 corrected
/// `fify` and took `computer` out.
pub(super) fn scikit_learn_english() -> impl Iterator<Item = String> {
    use stopwords::Stopwords as _;
    let words = stopwords::SkLearn::stopwords(stopwords::Language::English).unwrap_or_default();
    words.iter().filter(|&&word| word != "computer").map(|&word| match word {
        "fify" => "fifty".to_owned(),
        word => word.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_words() {
        for (code, name) in LANGUAGES {
            let words = of(code).unwrap_or_default();
            assert!(words.len() >= 20, "{name} has {} words", words.len());
            assert_eq!(of(name), Some(words));
        }
        assert_eq!(of("klingon"), None);
        assert_eq!(nearest("englsh"), "english");
    }

    #[test]
    fn english_is_that_of_scikit_learn_and_what_contractions_leave() {
        let (english, reference) = (of("english").unwrap(), scikit_learn_english().collect::<HashSet<_>>());
        assert_eq!(reference.len(), 318);
        assert!(reference.is_subset(&english) && english.contains("fifty") && english.contains("didn"));
        assert!(!english.contains("computer") && english.len() < 420, "{} words", english.len());
    }
}
