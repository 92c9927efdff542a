//! Korean words without what grammar puts behind them: nouns instead of a form of each noun for every particle.
//!
//! Korean writes particles (`정부는`, `정부가`, `정부에서`) and the endings of verbs made of nouns (`발표했다`,
//! `발표하는`) into the word. Without a dictionary, rules still know most of them, because most particles have a form
//! after a consonant and one after a vowel: `은` behind a vowel is no particle. What looks like a form of any other
//! verb is no word for a topic.
//!
//! Measured and left: lindera's ko-dic is fetched while building, `mecab-ko` and `madi` need a dictionary from
//! elsewhere (87 MB). Known limits: a noun that ends like a particle loses its end unless it stands in
//! [`KEPT_WHOLE`] or ends as [`KEPT_ENDS`] say; verbs in the form that modifies a noun (`가는`) pass for nouns.

/// What the syllable before a particle must end with.
#[derive(Clone, Copy)]
enum After {
    Any,
    Vowel,
    Consonant,
    /// A vowel or ㄹ.
    VowelOrL,
}

use After::{Any, Consonant, Vowel, VowelOrL};

/// Particles that end a word; at most one of them is taken off.
const LAST: [(&str, After); 11] = [
    ("은", Consonant),
    ("는", Vowel),
    ("이", Consonant),
    ("가", Vowel),
    ("을", Consonant),
    ("를", Vowel),
    ("과", Consonant),
    ("와", Vowel),
    ("의", Any),
    ("도", Any),
    ("만", Any),
];

/// Particles that may stand before one of [`LAST`]; the longer of two that fit comes first.
const INNER: [(&str, After); 34] = [
    ("이라는", Consonant),
    ("이라고", Consonant),
    ("이라도", Consonant),
    ("이라면", Consonant),
    ("으로서", Consonant),
    ("으로써", Consonant),
    ("에게서", Any),
    ("이지만", Consonant),
    ("에서", Any),
    ("에게", Any),
    ("한테", Any),
    ("께서", Any),
    ("까지", Any),
    ("부터", Any),
    ("처럼", Any),
    ("보다", Any),
    ("마다", Any),
    ("조차", Any),
    ("마저", Any),
    ("밖에", Any),
    ("만큼", Any),
    ("대로", Any),
    ("라는", Vowel),
    ("라고", Vowel),
    ("라도", Vowel),
    ("로서", VowelOrL),
    ("로써", VowelOrL),
    ("으로", Consonant),
    ("이나", Consonant),
    ("이며", Consonant),
    ("하고", Any),
    ("에", Any),
    ("로", VowelOrL),
    ("며", Vowel),
];

/// `is` and `was` behind a noun.
const COPULAS: [(&str, After); 4] =
    [("이었습니다", Consonant), ("이었다", Consonant), ("입니다", Any), ("이다", Consonant)];

/// Words that stand for a relation between others.
const RELATIONS: [&str; 14] = [
    "대해",
    "대한",
    "위해",
    "위한",
    "통해",
    "통한",
    "따라",
    "따른",
    "관해",
    "관한",
    "의해",
    "의한",
    "인해",
    "대해서",
];

/// Adverbs and determiners that end like a noun, or like a noun with a particle.
const ADVERBS: [&str; 24] = [
    "가장",
    "거의",
    "결국",
    "계속",
    "그대로",
    "다른",
    "다만",
    "다시",
    "더욱",
    "또한",
    "매우",
    "모두",
    "모든",
    "바로",
    "새로",
    "새로운",
    "서로",
    "아주",
    "아직",
    "여러",
    "이미",
    "특히",
    "함께",
    "현재의",
];

/// Nouns that end like a noun with a particle.
const KEPT_WHOLE: [&str; 34] = [
    "고양이",
    "어린이",
    "호랑이",
    "원숭이",
    "젊은이",
    "늙은이",
    "떡볶이",
    "목걸이",
    "귀걸이",
    "물놀이",
    "어버이",
    "경기도",
    "강원도",
    "충청도",
    "전라도",
    "경상도",
    "제주도",
    "황해도",
    "평안도",
    "함경도",
    "여의도",
    "만족도",
    "지지도",
    "인지도",
    "신뢰도",
    "완성도",
    "선호도",
    "난이도",
    "중요도",
    "가속도",
    "정치가",
    "지난해",
    "남북한",
    "캐나다",
];

/// Ends of compound nouns that hold no particle, from four syllables on.
const KEPT_ENDS: [&str; 8] = ["주의", "상회의", "국회의원", "도로", "속도", "온도", "제도", "놀이"];

/// Ends by which a verb, adjective or connective is known.
const PREDICATE: [&str; 44] = [
    "다",
    "어요",
    "아요",
    "해요",
    "세요",
    "네요",
    "예요",
    "에요",
    "지요",
    "군요",
    "나요",
    "까요",
    "데요",
    "워요",
    "와요",
    "여요",
    "돼요",
    "봐요",
    "니까",
    "면서",
    "으면",
    "지만",
    "려고",
    "으며",
    "어서",
    "아서",
    "는데",
    "은데",
    "던",
    "도록",
    "거나",
    "므로",
    "았고",
    "었고",
    "였고",
    "겠고",
    "있는",
    "없는",
    "않는",
    "죠",
    "로운",
    "롭게",
    "스러운",
    "스럽게",
];

/// Nouns that end like a predicate.
const NO_PREDICATE: [&str; 6] = ["바다", "캐나다", "우간다", "르완다", "소다", "판다"];

/// The first syllable of `하다` or `되다` behind a noun, and what may follow it; empty: it may end the word.
const VERB_FORMS: [(&str, &[&str]); 11] = [
    (
        "하",
        &[
            "다", "는", "고", "며", "면", "지", "기", "게", "여", "였", "던", "도", "려", "자", "거", "므",
            "니", "겠", "십", "세", "라",
        ],
    ),
    ("했", &["다", "고", "으", "지", "던", "습", "는", "을", "음", "어", "기"]),
    ("한", &["", "다"]),
    ("할", &["", "지", "수", "까"]),
    ("해", &["서", "야", "왔", "온", "요", "졌", "진", "지"]),
    ("합", &["니", "시"]),
    (
        "되",
        &[
            "다", "는", "고", "며", "면", "지", "기", "게", "어", "었", "던", "도", "자", "거", "므", "니",
            "겠",
        ],
    ),
    ("된", &["", "다"]),
    ("될", &["", "지", "수", "까"]),
    ("됐", &["다", "고", "으", "지", "던", "습", "는", "을", "음", "어", "기"]),
    ("시", &["키", "켰", "킨", "킬", "켜"]),
];

/// The noun in `word`, a run of letters that holds Hangul: a part of it from its start; `None` for what is no noun.
///
/// At least two letters are left of a word from which something is taken. O(length × rules).
pub(super) fn noun(word: &str) -> Option<&str> {
    if let Some(known) = KEPT_WHOLE.iter().find(|known| word.strip_prefix(**known).is_some_and(is_particles))
    {
        return Some(&word[..known.len()]);
    }
    if ADVERBS.contains(&word) {
        return None;
    }
    if NO_PREDICATE.contains(&word) {
        return Some(word);
    }
    let adjective = || word.strip_suffix("적인").or_else(|| word.strip_suffix("적으로"));
    if let Some(noun) = before_verb(word).or_else(adjective).filter(|noun| two_letters(noun)) {
        return Some(noun);
    }
    let word = strip(word, &COPULAS).unwrap_or(word);
    if RELATIONS.contains(&word) || PREDICATE.iter().any(|end| word.ends_with(end)) {
        return None;
    }
    let mut bare = strip(word, &LAST).unwrap_or(word);
    while let Some(stem) = strip(bare, &INNER) {
        bare = stem;
    }
    Some(bare.strip_suffix("들").filter(|singular| two_letters(singular)).unwrap_or(bare))
}

/// True for particles in a row, or nothing.
fn is_particles(mut rest: &str) -> bool {
    let all = || INNER.iter().chain(&LAST).chain(&COPULAS);
    while let Some(left) = all().find_map(|(particle, _)| rest.strip_prefix(particle)) {
        rest = left;
    }
    rest.is_empty()
}

fn strip<'w>(word: &'w str, particles: &[(&str, After)]) -> Option<&'w str> {
    let syllables = word.chars().count();
    if syllables >= 4 && KEPT_ENDS.iter().any(|end| word.ends_with(end)) {
        return None;
    }
    particles.iter().find_map(|(particle, after)| {
        let stem = word.strip_suffix(particle)?;
        (two_letters(stem) && after.fits(stem.chars().next_back()?)).then_some(stem)
    })
}

/// The noun of a verb such as `발표했다`, with at least two syllables before the verb.
fn before_verb(word: &str) -> Option<&str> {
    let (at, _) = word.char_indices().nth(2)?;
    word[at..].char_indices().find_map(|(offset, _)| {
        let (noun, verb) = word.split_at(at + offset);
        let (_, rests) = VERB_FORMS.iter().find(|(first, _)| verb.starts_with(first))?;
        let rest = &verb[verb.chars().next()?.len_utf8()..];
        let fits = |begin: &&str| if begin.is_empty() { rest.is_empty() } else { rest.starts_with(begin) };
        rests.iter().any(fits).then_some(noun)
    })
}

fn two_letters(stem: &str) -> bool {
    stem.chars().nth(1).is_some()
}

impl After {
    /// True if a particle of this kind may follow `last`. Of letters other than Hangul the sound is not known.
    fn fits(self, last: char) -> bool {
        let Some(end) = final_consonant(last) else { return true };
        match self {
            Any => true,
            Vowel => end == 0,
            Consonant => end != 0,
            VowelOrL => end == 0 || end == 8,
        }
    }
}

/// The number of the consonant that closes a Hangul syllable, 0 for none, 8 for ㄹ; `None` for other letters.
fn final_consonant(c: char) -> Option<u32> {
    let syllable = (c as u32).checked_sub(0xAC00).filter(|syllable| *syllable < 11_172)?;
    Some(syllable % 28)
}

#[cfg(test)]
mod tests {
    use super::noun;

    #[test]
    fn particles_leave_the_noun() {
        let all = [
            "정부는",
            "정부가",
            "정부를",
            "정부의",
            "정부와",
            "정부도",
            "정부에서",
            "정부에서는",
            "정부까지도",
            "정부로부터",
        ];
        all.into_iter().for_each(|word| assert_eq!(noun(word), Some("정부"), "{word}"));
        let all = [
            "대통령은",
            "대통령이",
            "대통령을",
            "대통령과",
            "대통령으로서의",
            "대통령에게",
            "대통령입니다",
            "대통령이라고",
        ];
        all.into_iter().for_each(|word| assert_eq!(noun(word), Some("대통령"), "{word}"));
        assert_eq!(noun("학생들이"), Some("학생"));
        assert_eq!(noun("서울로"), Some("서울"));
        assert_eq!(noun("kbs는"), Some("kbs"));
    }

    #[test]
    fn a_particle_fits_the_sound_before_it() {
        // 전문 ends in a consonant, so 가 is no particle; neither is 과 behind the vowel of 외.
        ["전문가", "소설가", "정형외과", "인공지능"]
            .into_iter()
            .for_each(|word| assert_eq!(noun(word), Some(word)));
    }

    #[test]
    fn nouns_that_end_like_a_particle_stay() {
        ["고양이", "경기도", "민주주의", "고속도로", "회의", "결과", "바다"]
            .into_iter()
            .for_each(|word| assert_eq!(noun(word), Some(word)));
        assert_eq!(
            (noun("고양이가"), noun("경기도에서"), noun("고양이라는")),
            (Some("고양이"), Some("경기도"), Some("고양이"))
        );
    }

    #[test]
    fn verbs_of_nouns_are_their_nouns_and_other_verbs_are_none() {
        ["발표했다", "발표하는", "발표한", "발표하고", "발표된", "발표됐다", "발표합니다", "발표했습니다"]
            .into_iter()
            .for_each(|word| assert_eq!(noun(word), Some("발표"), "{word}"));
        assert_eq!((noun("경제적인"), noun("경제적으로")), (Some("경제"), Some("경제")));
        ["그대로", "다시", "먹었다", "갔습니다", "좋아요", "그렇지만", "있는"]
            .into_iter()
            .for_each(|word| assert_eq!(noun(word), None, "{word}"));
    }
}
