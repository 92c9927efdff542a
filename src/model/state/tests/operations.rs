//! What operators, the policy and the bounds do to a state, compared with a count from scratch.

use std::collections::BTreeMap;

use super::*;
use crate::kernel::unit::UnitRows;
use crate::model::assign::assign;
use crate::model::event::Happened;
use crate::model::operate::Erasure;
use crate::model::over_time::DocumentsByTime;
use crate::model::profile::calendar::Unit;
use crate::model::seed::Seed;

/// Everything is kept, so that everything can be counted anew.
fn roomy() -> Bounds {
    Bounds { sample: 1000, outliers: 1000, seen: 1000, ..bounds() }
}

/// One random step: documents, a refit, or an action.
fn play(state: &mut State, next: &mut u64, (kind, size, salt): (usize, u64, u8)) {
    match kind {
        0 => {
            let cluster = |kept: &Kept| {
                let spread = (kept.position.offset ^ u64::from(salt)) % 5;
                (spread > 0).then(|| (axis_of(kept) + u32::from(spread == 4)) % 3)
            };
            let fitted = fitted(state, cluster);
            adopt(state, &fitted);
        }
        1 | 2 => {
            let order = action(state, salt, *next);
            drop(operate(state, &order));
        }
        _ => {
            let topics: Vec<TopicId> = state.topics().keys().chain(state.ended().keys()).copied().collect();
            let documents: Vec<_> = (*next..*next + size)
                .map(|number| {
                    let at = (number as usize + salt as usize) % (topics.len() + 1);
                    (number, number as usize % 3, topics.get(at).copied())
                })
                .collect();
            *next += size;
            state.absorb(evidence(state, &documents), 1);
        }
    }
}

/// (documents, sum of embeddings, documents per window, words, times and fields) of the kept documents for which `holds`.
type Ledger = (u64, Vec<f64>, BTreeMap<u64, u64>, BTreeMap<String, f64>, Profile);

fn recount(state: &State, holds: impl Fn(change::Standing) -> bool) -> Ledger {
    let mut ledger = Ledger::default();
    for (_, kept, _) in state.held().iter().filter(|(.., standing)| holds(*standing)) {
        ledger.0 += 1;
        ledger.4.add(kept.timestamp_ms, &kept.fields);
        ledger.1.resize(DIM, 0.0);
        ledger.1.iter_mut().zip(&*kept.embedding).for_each(|(sum, value)| *sum += f64::from(*value));
        *ledger.2.entry(kept.arrived / bounds().window).or_insert(0) += 1;
        let weight = state.counts().weight(kept.arrived);
        for (word, count) in kept.words.iter() {
            *ledger.3.entry(word.to_owned()).or_insert(0.0) += f64::from(count) * weight;
        }
    }
    ledger
}

fn check_ledger(
    what: &str,
    (sums, history, profile): (&Sums, &History, &Profile),
    words: BTreeMap<String, f64>,
    counted: &Ledger,
) {
    assert_eq!(sums.documents, counted.0, "{what}");
    assert_eq!(profile, &counted.4, "{what}");
    for (sum, counted) in sums.sum.iter().zip(&counted.1) {
        assert!((sum - counted).abs() < 1e-6, "{what}: {:?} {:?}", sums.sum, counted);
    }
    let windows: BTreeMap<u64, u64> = history.windows().filter(|(_, documents)| *documents > 0).collect();
    assert_eq!(windows, counted.2, "{what}");
    let (some, all): (Vec<&String>, Vec<&String>) = (words.keys().collect(), counted.3.keys().collect());
    assert_eq!(some, all, "{what}");
    for (word, count) in &words {
        assert!((count - counted.3[word]).abs() < 1e-9 * count.max(1.0), "{what}: {word} {count}");
    }
}

fn check_recount(state: &State) {
    let words = |class| state.counts().terms(class).map(|(word, count)| (word.to_owned(), count)).collect();
    let outliers = recount(state, |standing| standing.topic.is_none());
    let ledger = (state.outliers(), state.outlier_history(), state.outlier_profile());
    check_ledger("outliers", ledger, words(None), &outliers);
    for (id, record) in state.topics() {
        let counted = recount(state, |standing| standing.topic == Some(*id));
        let ledger = (&record.sums, &record.history, &record.profile);
        check_ledger(&format!("topic {id}"), ledger, words(Some(*id)), &counted);
    }
    for (id, one) in state.ended() {
        let below = |standing: change::Standing| ended::chain(state.ended(), standing.recorded).contains(id);
        let counted = recount(state, below);
        let ledger = (&one.record.sums, &one.record.history, &one.record.profile);
        check_ledger(&format!("ended {id}"), ledger, one.words.clone(), &counted);
    }
    let by_time = state.by_time(Unit::Hour);
    for topic in &by_time.topics {
        let DocumentsByTime { documents, earlier, undated } = &topic.counts;
        let all = documents.iter().sum::<u64>() + earlier + undated;
        assert_eq!(all, state.topics()[&topic.id].sums.documents, "topic {}", topic.id);
    }
}

#[test]
fn a_value_that_only_a_forgotten_document_had_leaves_no_trace() {
    let mut state = two_topics_of(20, roomy());
    let mut secret = kept(77, 0);
    secret.fields = Fields::default();
    secret.fields.push("customer".into(), Value::Text("Jane Roe".into()));
    let mut learned = Learned { words: secret.words.clone(), ..Learned::default() };
    learned.sums.add(&secret.embedding);
    learned.profile.add(secret.timestamp_ms, &secret.fields);
    let (topic, ids) = (Some(TopicId(0)), vec![xxhash_rust::xxh3::xxh3_128(secret.id.as_bytes())]);
    let learned = BTreeMap::from([(topic, learned)]);
    state.absorb(Evidence { learned, kept: vec![(secret, topic)], ids, rejected: 0 }, 1);
    assert!(state.topics()[&TopicId(0)].profile.has("customer", "Jane Roe"));
    check_recount(&state);
    operate(&mut state, &Action::Forget { document: "d77".to_owned() }).unwrap();
    assert!(!format!("{state:?}").contains("Jane Roe"));
    check_recount(&state);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever merged, split, moved, came back or was forgotten: what is known of each topic is what counting its
    /// documents gives, embeddings, windows and words, whether words decay or not.
    #[test]
    fn statistics_are_those_of_counting_anew(
        steps in prop::collection::vec((0..5_usize, 1..9_u64, any::<u8>()), 1..16),
        half_life in prop_oneof![Just(0_u64), 15..60_u64],
    ) {
        let mut state = State::new(DIM, Bounds { half_life, ..roomy() });
        let mut next = 0;
        for step in steps {
            play(&mut state, &mut next, step);
            check_recount(&state);
        }
    }

    /// Going back to a version gives its topics, and every document that is still kept the topic that it had.
    #[test]
    fn a_rollback_restores_topics_and_documents(
        before in prop::collection::vec((0..5_usize, 1..9_u64, any::<u8>()), 3..9),
        after in prop::collection::vec((0..5_usize, 1..9_u64, any::<u8>()), 1..6),
    ) {
        let mut state = State::new(DIM, Bounds { versions: 20, ..roomy() });
        let mut next = 0;
        before.into_iter().for_each(|step| play(&mut state, &mut next, step));
        // Of versions that differ by forgotten documents only the last one is kept.
        let lasting = |archive: &&Archive| archive.cause != "documents forgotten";
        let Some(then) = state.archives().rev().find(lasting).cloned() else { return Ok(()) };
        after.into_iter().for_each(|step| play(&mut state, &mut next, step));
        operate(&mut state, &Action::Rollback { version: Some(then.number) }).unwrap();
        let topics: Vec<TopicId> = state.topics().keys().copied().collect();
        prop_assert_eq!(topics, then.topics.keys().copied().collect::<Vec<_>>());
        for (sequence, topic, _) in &then.labels {
            if let Some((_, standing)) = state.held().get(*sequence) {
                // An outlier of then may have found one of the topics meanwhile restored.
                prop_assert!(standing.topic == *topic || topic.is_none(), "{sequence}");
            }
        }
        let diff = state.compare(then.number, state.totals().version).unwrap();
        prop_assert!(diff.appeared.is_empty() && diff.ended.is_empty());
        check_recount(&state);
    }
}

/// A topic took in another, ended, and outlived the memory of the other; its documents are still counted.
#[test]
fn what_a_forgotten_end_led_to_is_still_known() {
    let mut state = State::new(DIM, roomy());
    let mut next = 0;
    for step in [(3, 7, 0), (0, 1, 94), (0, 1, 177), (0, 1, 57), (1, 1, 57), (1, 1, 227), (1, 1, 157)] {
        play(&mut state, &mut next, step);
        check_recount(&state);
    }
}

pub(super) fn two_topics() -> State {
    two_topics_of(24, roomy())
}

#[test]
fn a_collapse_is_rejected_and_told_until_it_has_come_three_times() {
    let mut state = two_topics();
    let topics = state.topics().clone();
    let scrambled = fitted(&state, |kept| Some((kept.position.offset / 2 % 3) as u32));
    let parameters = Parameters::new(policy::Params { min_agreement: 0.9, ..policy::Params::default() });
    for round in 1..=2 {
        let told = told(&state);
        let decision = state.adopt(&scrambled, &told, parameters.rules()).unwrap();
        let adopt::Decision::Rejected(rejection) = decision else { panic!("round {round}") };
        assert!(rejection.reason.contains("policy.min_agreement"), "{}", rejection.reason);
        assert_eq!(*state.topics(), topics);
        let report = state.news().reports.back().unwrap();
        assert_eq!((report.before, report.after, report.rejected.is_some()), (1, 1, true));
        let event = state.news().events.back().unwrap();
        assert!(matches!(event.happened, Happened::Rejected { refit, .. } if refit == round + 1));
    }
    let told = told(&state);
    let decision = state.adopt(&scrambled, &told, parameters.rules()).unwrap();
    assert!(matches!(decision, adopt::Decision::Promoted(_)), "the stream has changed");
}

#[test]
fn outliers_that_leave_have_a_last_record_and_refitted_ones_leave_first() {
    let mut state = State::new(DIM, Bounds { sample: 0, outliers: 3, fresh: 0, ..bounds() });
    let outliers = |numbers: std::ops::Range<u64>| -> Vec<_> { numbers.map(|n| (n, 0, None)).collect() };
    let ids = |change: &Change| -> Vec<String> {
        change.settled.iter().map(|revision| format!("{} {}", revision.id, revision.revision)).collect()
    };
    let change = state.absorb(evidence(&state, &outliers(0..5)), 1);
    assert_eq!(ids(&change), ["d0 2", "d1 2"], "the oldest, for want of refitted ones");
    let nothing = fitted(&state, |_| None);
    adopt(&mut state, &nothing);
    state.absorb(evidence(&state, &outliers(5..6)), 1);
    state.absorb(evidence(&state, &outliers(6..7)), 1);
    let buffered: Vec<u64> = (state.held().iter())
        .filter(|(.., standing)| standing.buffered)
        .map(|(_, kept, _)| kept.position.offset)
        .collect();
    assert_eq!(buffered, [4, 5, 6], "2 and 3 took part in a refit and left");
    assert_eq!(state.totals().dropped_outliers, 4);
    let nothing = fitted(&state, |_| None);
    // Until now they voted as noise.
    assert_eq!(ids(&adopt(&mut state, &nothing).change), ["d2 2", "d3 2"]);
}

#[test]
fn a_seeded_topic_is_there_from_document_one_and_obeys_the_same_rules() {
    let mut state = State::new(DIM, roomy());
    let axis = |axis: usize| kept(0, axis).embedding.to_vec();
    let background: Vec<f32> = (0..50).map(|i| 0.1 + i as f32 / 200.0).collect();
    let seed = |label: &str, at: usize| Seed::new(label.to_owned(), axis(at), &background);
    let seeds = || vec![seed("one", 0), seed("two", 1)];
    let parameters = Parameters::new(anything());
    let planted = state.plant(seeds(), parameters.rules(), 1).unwrap().expect("two new topics");
    let rows = UnitRows::from_rows(DIM, [&*axis(0), &*axis(1), &*axis(2)]).unwrap();
    let topics = |model: &TopicModel| -> Vec<Option<u32>> {
        let found = assign(model, &rows, &parameters.assign);
        found.into_iter().map(|assignment| assignment.topic.map(|id| id.0)).collect()
    };
    assert_eq!(topics(&planted.model), [Some(0), Some(1), None]);
    assert_eq!(planted.model.topics[&TopicId(1)].name, "two");
    assert!(state.plant(seeds(), parameters.rules(), 1).unwrap().is_none(), "known already");

    let merged = operate(&mut state, &Action::Merge { from: vec![TopicId(1)], into: TopicId(0) }).unwrap();
    assert_eq!(topics(&merged.model), [Some(0), Some(0), None], "the seed goes with its topic");
    assert!(state.plant(seeds(), parameters.rules(), 1).unwrap().is_none(), "still known");
    let restored = operate(&mut state, &Action::Restore { topic: TopicId(1) }).unwrap();
    assert_eq!(topics(&restored.model), [Some(0), Some(1), None]);
    let ended = operate(&mut state, &Action::ForgetTopic { topic: TopicId(0) }).unwrap();
    assert_eq!(topics(&ended.model), [None, Some(1), None]);
    check_sums(&state);
}

#[test]
fn what_an_operator_merged_or_ended_stays_so_until_it_is_restored() {
    let mut state = two_topics_of(28, bounds());
    let ids = |state: &State| -> Vec<u32> { state.topics().keys().map(|id| id.0).collect() };
    let refit = |state: &mut State| {
        for _ in 0..3 {
            let fitted = apart(state);
            adopt(state, &fitted);
            check_sums(state);
        }
        ids(state)
    };
    // Either way: the largest cluster of the taker's documents may be its own or the other's.
    for (from, into) in [(1, 0), (0, 1)] {
        let merge = Action::Merge { from: vec![TopicId(from)], into: TopicId(into) };
        operate(&mut state, &merge).unwrap();
        assert_eq!(refit(&mut state), [into], "no refit parts them");
        operate(&mut state, &Action::Restore { topic: TopicId(from) }).unwrap();
        assert_eq!(refit(&mut state), [0, 1]);
    }
    operate(&mut state, &Action::ForgetTopic { topic: TopicId(1) }).unwrap();
    assert_eq!((refit(&mut state), state.outliers().documents), (vec![0], 14), "nor finds it again");
    operate(&mut state, &Action::Restore { topic: TopicId(1) }).unwrap();
    assert_eq!(refit(&mut state), [0, 1]);
    assert_eq!(state.totals().topics, 2, "no other id was given");
}

#[test]
fn a_label_is_one_line_of_bounded_length() {
    let mut state = two_topics_of(20, bounds());
    let rename = |label: &str| Action::Rename { topic: TopicId(0), label: Some(label.to_owned()) };
    operate(&mut state, &rename(" Travel \n\tbans ")).unwrap();
    assert_eq!(state.topics()[&TopicId(0)].topic.custom_label.as_deref(), Some("Travel bans"));
    let refused = operate(&mut state, &rename(&"x".repeat(201))).unwrap_err();
    assert!(matches!(refused, Refusal::LongLabel { characters: 201, .. }), "{refused}");
    assert!(matches!(operate(&mut state, &rename(" \n ")), Err(Refusal::EmptyLabel { .. })));
}

#[test]
fn the_stream_erases_what_came_before_under_the_id() {
    let mut state = two_topics_of(20, roomy());
    let versions = state.archives().count();
    let mut again = evidence(&state, &[(30, 1, None)]);
    again.kept[0].0.id = "d1".into();
    state.absorb(again, 1);
    let order = |id: &str, partition: &str, offset: u64| Erasure {
        document: id.into(),
        position: Position { partition: Partition::new(partition), offset },
    };
    let rules = Parameters::new(anything());
    let mut erase = |orders: &[Erasure]| state.erase(orders, rules.rules(), 9).unwrap();
    assert!(erase(&[order("nobody", "p", 99)]).is_none());
    let erased = erase(&[order("d1", "p", 25), order("d2", "other", 0), order("nobody", "p", 99)]).unwrap();
    let ids: Vec<&str> = erased.tombstones.iter().map(|tombstone| &*tombstone.id).collect();
    assert_eq!(ids, ["d1", "d2"]);
    assert_eq!(erased.model.number, state.totals().version);
    assert_eq!(state.totals().forgotten, 2);
    let left: Vec<u64> = (state.held().iter().map(|(_, kept, _)| kept.position.offset))
        .filter(|offset| [1, 2, 30].contains(offset))
        .collect();
    assert_eq!(left, [30], "what came after the order stays");
    check_recount(&state);
    operate(&mut state, &Action::Forget { document: "d1".to_owned() }).unwrap();
    assert_eq!(state.held().iter().filter(|(_, kept, _)| &*kept.id == "d1").count(), 0);
    check_recount(&state);
    assert_eq!(state.archives().count(), versions + 1, "erasures push out no other version");
}
