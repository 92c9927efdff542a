//! Descriptions that come back from beside the stream.

use super::operations::two_topics;
use super::*;
use crate::keywords::representation::{CTFIDF, Step};
use crate::model::event::Happened;
use crate::model::state::describe::{Description, Lists, Subject, Wanted};
use crate::model::topic::Label;

fn wanted() -> Wanted {
    let representation = keywords::representation::Params {
        main: vec![Step::Nouns],
        ..keywords::representation::Params::default()
    };
    Wanted { keywords: keywords::Params::default(), representation, label_documents: Some(2) }
}

fn subjects(state: &State) -> Vec<Subject> {
    state.picture(&wanted()).unwrap().subjects(&wanted(), true)
}

fn words(words: &[&str]) -> Vec<Keyword> {
    words.iter().map(|word| Keyword { term: (*word).to_owned(), score: 1.0 }).collect()
}

fn described(subject: &Subject, list: &[&str], label: &str) -> Description {
    let aspects = BTreeMap::from([("Other".to_owned(), words(&["other"]))]);
    let lists = Lists { basis: subject.basis, main: Some(words(list)), aspects };
    let label = Label { text: label.to_owned(), summary: String::new(), basis: words(list) };
    Description { id: subject.id, lists: Some(lists), label: Some(label) }
}

#[test]
fn a_topic_is_described_once_and_labelled_until_its_keywords_change() {
    let mut state = two_topics();
    let plain = Wanted {
        label_documents: None,
        representation: keywords::representation::Params::default(),
        ..wanted()
    };
    assert!(state.picture(&plain).is_none(), "nothing is wanted");
    let found = subjects(&state);
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|subject| subject.wants_label && subject.documents.len() == 5), "{found:?}");
    assert_eq!(found[0].candidates[0].term, found[0].keywords[0].term);

    let (version, events) = (state.totals().version, state.totals().events);
    let mut rebuilt = state.clone();
    let both: Vec<Description> =
        found.iter().map(|subject| described(subject, &["first", "second"], "Money")).collect();
    let ended = Description { id: TopicId(77), ..both[0].clone() };
    let change = state.describe([both.clone(), vec![ended]].concat(), 3).unwrap();
    rebuilt.apply(&change);
    assert!(rebuilt == state, "the change tells all of it");
    let names: Vec<&str> = state.topics().values().map(|record| &*record.topic.name).collect();
    assert_eq!(names, ["Money", "Money (first)"]);
    let topic = &state.topics()[&TopicId(0)].topic;
    assert_eq!((topic.aspects[CTFIDF].len(), topic.aspects["Other"].len()), (2, 1));
    assert_eq!((state.totals().version, state.totals().events), (version, events), "no version, no news");
    let archived = &state.archived(Some(version)).unwrap().topics[&TopicId(0)];
    assert_eq!((archived.name.as_str(), &archived.keywords), ("Money", &words(&["first", "second"])));

    assert!(subjects(&state).is_empty(), "all is said");
    assert!(state.describe(both, 4).is_none(), "and nothing new");
    let other = described(&found[0], &["third", "fourth"], "Sport");
    let change = state.describe(vec![Description { label: None, ..other }], 5).unwrap();
    let told = change.ops.iter().any(
        |op| matches!(op, Op::Event(event) if matches!(event.happened, Happened::KeywordsChanged { .. })),
    );
    assert!(told, "{change:?}");
    let wanting: Vec<TopicId> =
        subjects(&state).iter().filter(|subject| subject.wants_label).map(|subject| subject.id).collect();
    assert_eq!(wanting, [TopicId(0)], "its label was made from other words");
    assert_eq!(state.topics()[&TopicId(0)].topic.name, "Money", "it keeps its label until it has another");
}

#[test]
fn what_a_label_was_made_of_can_be_forgotten_and_a_custom_label_wins() {
    let mut state = two_topics();
    let both: Vec<Description> =
        subjects(&state).iter().map(|subject| described(subject, &["first"], "Money")).collect();
    state.describe(both, 3).unwrap();
    let of_first = |kept: &Kept| axis_of(kept) == 0;
    let document =
        state.held().iter().find(|(_, kept, _)| of_first(kept)).map(|(_, kept, _)| kept.id.to_string());
    let topic =
        state.held().iter().find(|(_, kept, _)| of_first(kept)).and_then(|(.., standing)| standing.topic);
    operate(&mut state, &Action::Forget { document: document.unwrap() }).unwrap();
    let named = |state: &State, id: TopicId| state.topics()[&id].topic.name.clone();
    assert_eq!(named(&state, topic.unwrap()), format!("{}_first", topic.unwrap()));
    for archive in state.archives() {
        assert!(archive.topics[&topic.unwrap()].name.starts_with(&format!("{}_", topic.unwrap())));
    }
    let other = TopicId(1 - topic.unwrap().0);
    assert_eq!(named(&state, other), "Money");
    operate(&mut state, &Action::Rename { topic: other, label: Some("Ours".to_owned()) }).unwrap();
    assert_eq!(named(&state, other), "Ours");
    assert!(subjects(&state).iter().all(|subject| subject.id != other || !subject.wants_label));
}

#[test]
fn a_changed_half_life_starts_now_and_is_written_whole() {
    let mut state = two_topics();
    let mut rebuilt = state.clone();
    let before = state.counts().total("all");
    let decaying = Bounds { half_life: 10, ..state.bounds() };
    let change = state.bound(decaying);
    rebuilt.apply(&change);
    assert!(change.ops.contains(&Op::Fold) && rebuilt.counts() == state.counts());
    assert_eq!(state.counts().total("all"), before, "what was counted weighs as if it had come now");
    let documents: Vec<_> = (100..110).map(|number| (number, 0, Some(TopicId(0)))).collect();
    state.absorb(evidence(&state, &documents), 1);
    let all_apart = apart(&state);
    adopt(&mut state, &all_apart);
    assert!((state.counts().total("all") - (before / 2.0 + 10.0)).abs() < 1e-9);
}
