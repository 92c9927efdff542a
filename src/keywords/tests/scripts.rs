//! Keywords that a reader of the language accepts, of corpora small enough to be read.

use std::collections::BTreeMap;

use super::*;

/// The best `n` keywords of every topic of every corpus in `scripts.json`.
fn best(n: usize) -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
    let text = include_str!("../../../tests/fixtures/keywords/scripts.json");
    let corpora: BTreeMap<String, BTreeMap<String, Vec<String>>> = serde_json::from_str(text).unwrap();
    let params = Params { top_n_words: n, ..Params::default() };
    let words = params.clone().check().unwrap().tokenizer();
    let of = |topics: BTreeMap<String, Vec<String>>| {
        let names: Vec<String> = topics.keys().cloned().collect();
        let mut counts = Counts::new(10_000);
        for (class, texts) in topics.values().enumerate() {
            texts.iter().for_each(|text| counts.add(class, &words.count(text), 1.0));
        }
        let found = keywords(&counts, &params).into_values();
        let terms = found.map(|list| list.into_iter().map(|keyword| keyword.term).collect());
        names.into_iter().zip(terms).collect()
    };
    corpora.into_iter().map(|(language, topics)| (language, of(topics))).collect()
}

#[test]
fn a_reader_of_the_language_accepts_the_keywords() {
    let best = best(6);
    let expected: [(&str, &str, &[&str]); 13] = [
        ("korean", "economy", &["금리", "물가", "대출", "시장", "환율"]),
        ("korean", "football", &["경기", "선수", "감독", "월드컵"]),
        ("korean", "medicine", &["백신", "병원", "환자", "바이러스", "접종"]),
        ("chinese", "economy", &["利率", "经济", "银行", "企业", "增长"]),
        ("chinese", "football", &["比赛", "球员", "教练", "球队"]),
        ("chinese", "medicine", &["患者", "疫苗", "医生", "医院", "感染"]),
        ("japanese", "economy", &["金利", "上昇", "物価", "銀行"]),
        ("japanese", "football", &["選手", "ゴール", "勝利", "監督", "試合"]),
        ("japanese", "medicine", &["ワクチン", "患者", "ウイルス", "感染", "治療", "病院"]),
        ("mixed", "korean economy", &["금리", "대출", "기준금리"]),
        ("mixed", "chinese football", &["比赛", "球员"]),
        ("mixed", "japanese medicine", &["患者", "ワクチン", "病院", "ウイルス"]),
        ("mixed", "english space", &["agency", "orbit", "pictures", "rocket", "space"]),
    ];
    for (language, topic, expected) in expected {
        let found = &best[language][topic];
        for word in expected {
            assert!(found.iter().any(|term| term == word), "{language} {topic}: {word} in {found:?}");
        }
    }
}

/// What is no word of its own: particles and endings of Korean, particles and auxiliaries of Japanese, function words of
/// Chinese.
#[test]
fn no_keyword_is_a_particle_or_carries_one() {
    let korean = ["은", "는", "을", "를", "에서", "에게", "했다", "었다", "하였다"];
    let others = ["する", "した", "ため", "いる", "的", "了", "在", "这名", "以", "for", "the", "of"];
    for (language, topics) in best(8) {
        for (topic, found) in topics {
            for term in found {
                let wrong = |ending: &&str| term.chars().count() > 2 && term.ends_with(*ending);
                assert!(!korean.iter().any(wrong), "{language} {topic}: {term}");
                assert!(!others.contains(&term.as_str()), "{language} {topic}: {term}");
            }
        }
    }
}
