//! A topic, and the id that it keeps for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::keywords::Keyword;
use crate::keywords::representation::CTFIDF;
use crate::model::seed::Seed;

/// The name of a topic for machines: from 0, in order of birth, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TopicId(pub u32);

impl TopicId {
    /// How an outlier's topic is written in records, as BERTopic's users know it.
    pub const OUTLIER: i64 = -1;

    /// The number that stands in records: the id, or −1 for no topic.
    pub fn to_record(topic: Option<TopicId>) -> i64 {
        topic.map_or(Self::OUTLIER, |id| i64::from(id.0))
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether documents still come to a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    /// Documents come.
    Live,
    /// None has come for `refit.dormant_after_documents`; it wakes up with the next one.
    Dormant,
}

/// A document that shows what a topic is about: one of the members nearest to its centroid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Representative {
    /// The document's id.
    pub id: Arc<str>,
    /// The start of its text.
    pub text: String,
}

/// One topic as a model version publishes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Topic {
    /// Its id.
    pub id: TopicId,
    /// What it is called: its custom label, else its label told apart from the others', else BERTopic's name.
    pub name: String,
    /// The label that an operator gave it, or that it was seeded with; wins over every other name.
    pub custom_label: Option<String>,
    /// What a chat endpoint called it.
    pub label: Option<Label>,
    /// Documents that were assigned to it so far.
    pub size: u64,
    /// Whether documents still come.
    pub life: Life,
    /// The mean direction of its members, of length 1 (`d` numbers).
    pub centroid: Vec<f32>,
    /// A document whose cosine to the centroid is below this is an outlier whatever its neighbours say.
    pub floor: f32,
    /// By c-TF-IDF, or what `representation.main` made of it; best first.
    pub keywords: Vec<Keyword>,
    /// Other lists beside them: name → keywords, best first. c-TF-IDF's is among them where the main list is another.
    pub aspects: BTreeMap<String, Vec<Keyword>>,
    /// Members nearest to the centroid, nearest first.
    pub representative: Vec<Representative>,
    /// The version that first held it.
    pub created_version: u64,
    /// The topic that it was split from, if it was.
    pub split_from: Option<TopicId>,
    /// What it was expected to be about before the stream; its own, and those of topics that it took in.
    pub seeds: Vec<Seed>,
}

/// What a chat endpoint said of a topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// A few words.
    pub text: String,
    /// A sentence; empty for none.
    pub summary: String,
    /// The keywords that it was made from.
    pub basis: Vec<Keyword>,
}

impl Topic {
    /// Its keywords by c-TF-IDF.
    pub fn ctfidf(&self) -> &[Keyword] {
        self.aspects.get(CTFIDF).unwrap_or(&self.keywords)
    }

    /// Takes what the chains made of its keywords by c-TF-IDF: a main list, if it is another, and further ones.
    pub fn take_lists(&mut self, main: Option<Vec<Keyword>>, aspects: BTreeMap<String, Vec<Keyword>>) {
        let ctfidf = self.ctfidf().to_vec();
        self.aspects = aspects;
        match main {
            Some(main) => {
                self.aspects.insert(CTFIDF.to_owned(), ctfidf);
                self.keywords = main;
            }
            None => self.keywords = ctfidf,
        }
    }

    /// Takes new keywords by c-TF-IDF; a main list made of the old ones stays until it is made anew.
    pub fn take_ctfidf(&mut self, keywords: Vec<Keyword>) {
        match self.aspects.get_mut(CTFIDF) {
            Some(list) => *list = keywords,
            None => self.keywords = keywords,
        }
    }
}

/// Keywords that make up a topic's name.
const WORDS_IN_NAME: usize = 4;

/// Names every topic: by its custom label as it is, else by its label, else as BERTopic does.
///
/// Of labels that are the same but for case, each but the first by id gets the best of its keywords that none of the
/// others has in its name, in brackets; its id where there is none.
pub fn name_all<'t>(topics: impl Iterator<Item = &'t mut Topic>) {
    let mut topics: Vec<&mut Topic> = topics.collect();
    let mut taken: BTreeSet<String> =
        topics.iter().filter_map(|topic| Some(topic.custom_label.as_ref()?.to_lowercase())).collect();
    for topic in &mut topics {
        topic.name = match (&topic.custom_label, &topic.label) {
            (Some(label), _) => label.clone(),
            (None, Some(label)) => told_apart(&label.text, topic, &taken),
            (None, None) => name_of(topic.id, &topic.keywords),
        };
        taken.insert(topic.name.to_lowercase());
    }
}

fn told_apart(label: &str, topic: &Topic, taken: &BTreeSet<String>) -> String {
    let free = |name: &String| !taken.contains(&name.to_lowercase());
    let with = |word: &str| format!("{label} ({word})");
    let lower = label.to_lowercase();
    let words = topic.keywords.iter().filter(|keyword| !lower.contains(&keyword.term.to_lowercase()));
    std::iter::once(label.to_owned())
        .chain(words.map(|keyword| with(&keyword.term)))
        .find(free)
        .unwrap_or_else(|| with(&topic.id.to_string()))
}

/// A topic's name from its id and best keywords, as BERTopic makes it: `27_topic_topics_lda_latent`.
pub fn name_of(id: TopicId, keywords: &[Keyword]) -> String {
    let words = keywords.iter().take(WORDS_IN_NAME).map(|keyword| keyword.term.as_str());
    std::iter::once(id.to_string().as_str()).chain(words).collect::<Vec<_>>().join("_")
}

/// The best keywords for people to read: `trump, ban, travel, court`.
pub fn best_words(keywords: &[Keyword]) -> String {
    let words: Vec<&str> = keywords.iter().take(WORDS_IN_NAME).map(|keyword| keyword.term.as_str()).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(id: u32, label: Option<&str>, words: &[&str]) -> Topic {
        Topic {
            id: TopicId(id),
            name: String::new(),
            custom_label: None,
            label: label.map(|text| Label {
                text: text.to_owned(),
                summary: String::new(),
                basis: Vec::new(),
            }),
            size: 1,
            life: Life::Live,
            centroid: Vec::new(),
            floor: 0.0,
            keywords: words.iter().map(|word| Keyword { term: (*word).to_owned(), score: 1.0 }).collect(),
            aspects: BTreeMap::new(),
            representative: Vec::new(),
            created_version: 1,
            split_from: None,
            seeds: Vec::new(),
        }
    }

    #[test]
    fn names_are_bertopics_labels_are_told_apart_and_custom_labels_win() {
        let mut topics = [
            topic(27, None, &["topic", "topics", "lda", "latent", "model"]),
            topic(28, Some("Interest rates"), &["rates", "bank"]),
            topic(29, Some("interest Rates"), &["rates", "bank"]),
            topic(30, Some("Interest rates"), &["rates", "bank", "bond"]),
            topic(31, Some("Interest rates"), &["rates"]),
            topic(32, Some("Football"), &["goal", "cup"]),
            topic(33, Some("unused"), &["goal"]),
        ];
        topics[6].custom_label = Some("football".to_owned());
        name_all(topics.iter_mut());
        let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "27_topic_topics_lda_latent",
                "Interest rates",
                "interest Rates (bank)",
                "Interest rates (bond)",
                "Interest rates (31)",
                "Football (goal)",
                "football",
            ]
        );
        assert_eq!(name_of(TopicId(3), &[]), "3");
    }

    #[test]
    fn a_main_list_of_other_steps_stays_when_ctfidf_moves() {
        let list = |word: &str| vec![Keyword { term: word.to_owned(), score: 1.0 }];
        let mut topic = topic(1, None, &["old"]);
        topic.take_ctfidf(list("new"));
        assert_eq!((&topic.keywords, topic.ctfidf()), (&list("new"), &*list("new")));
        topic.take_lists(Some(list("chosen")), BTreeMap::new());
        topic.take_ctfidf(list("newer"));
        assert_eq!((&topic.keywords, topic.ctfidf()), (&list("chosen"), &*list("newer")));
        topic.take_lists(None, BTreeMap::new());
        assert_eq!((&topic.keywords, topic.aspects.len()), (&list("newer"), 0));
    }
}
