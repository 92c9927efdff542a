use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::adopt::{Circumstances, Rules};
use super::change::Op;
use super::*;
use crate::checkpoint::{Partition, Position};
use crate::document::{Fields, Value};
use crate::keywords::{self, Bag};
use crate::model::event::Happened;
use crate::model::evidence::{Evidence, Kept};
use crate::model::operate::{Action, Refusal};
use crate::model::refit::policy;
use crate::model::refit::report::Fate;
use crate::model::refit::run::{Fit, Fitted};
use crate::model::refit::select::select;
use crate::model::refit::trigger::Trigger;
use crate::model::version::Sampling;
use crate::model::{assign, refit};

mod describe;
mod fields;
mod last;
mod operations;

const DIM: usize = 4;

fn bounds() -> Bounds {
    Bounds {
        sample: 30,
        outliers: 20,
        fresh: 10,
        anchors: 5,
        window: 10,
        seen: 50,
        vocabulary: 1000,
        versions: 4,
        half_life: 0,
    }
}

/// Document `number`, whose direction is about axis `axis`; no two are copies.
fn kept(number: u64, axis: usize) -> Kept {
    let mut embedding = vec![0.1; DIM];
    embedding[(axis + 1) % DIM] += (number * 7 % 97) as f32 * 1e-4;
    embedding[axis % DIM] = 1.0;
    let length = embedding.iter().map(|v| v * v).sum::<f32>().sqrt();
    embedding.iter_mut().for_each(|value| *value /= length);
    let id: Arc<str> = format!("d{number}").into();
    let mut words = Bag::default();
    words.add(&format!("word{}", axis % DIM), 2);
    words.add("all", 1);
    let mut fields = Fields::default();
    fields.push("parity".into(), Value::Text(["even", "odd"][number as usize % 2].into()));
    fields.push("number".into(), Value::Number((number % 5) as f64));
    Kept {
        priority: Sampling::priority(&id),
        id,
        text: format!("text {number}"),
        embedding: embedding.into(),
        words,
        timestamp_ms: (!number.is_multiple_of(3)).then_some(number as i64 * 3_600_000),
        position: Position { partition: Partition::new("p"), offset: number },
        arrived: 0,
        fields,
    }
}

/// A batch of documents (number, axis, topic) as an assigner would report it.
fn evidence(state: &State, documents: &[(u64, usize, Option<TopicId>)]) -> Evidence {
    let mut evidence = Evidence::default();
    for (number, axis, topic) in documents {
        let kept = kept(*number, *axis);
        let learned = evidence.learned.entry(*topic).or_default();
        learned.sums.add(&kept.embedding);
        learned.words.merge(&kept.words);
        learned.profile.add(kept.timestamp_ms, &kept.fields);
        evidence.ids.push(xxhash_rust::xxh3::xxh3_128(kept.id.as_bytes()));
        if topic.is_none() || state.sampling().takes(&kept.id) {
            evidence.kept.push((kept, *topic));
        }
    }
    evidence
}

/// A fit that puts every member into the cluster that `cluster` names.
fn fitted(state: &State, cluster: impl Fn(&Kept) -> Option<u32>) -> Fitted {
    let members: Vec<Fit> = (select(state, usize::MAX, Trigger::Request).members.iter())
        .map(|member| Fit {
            sequence: member.sequence,
            before: member.topic,
            cluster: cluster(state.held().get(member.sequence).unwrap().0),
            votes: true,
        })
        .collect();
    let clusters = members.iter().filter_map(|fit| fit.cluster).max().map_or(0, |last| last as usize + 1);
    Fitted { members, clusters, min_cluster_size: 2, vote: None }
}

fn axis_of(kept: &Kept) -> u32 {
    (0..DIM).max_by(|a, b| kept.embedding[*a].total_cmp(&kept.embedding[*b])).unwrap() as u32
}

/// A fit that finds a cluster along each axis.
fn apart(state: &State) -> Fitted {
    fitted(state, |kept| Some(axis_of(kept)))
}

fn told(state: &State) -> Circumstances {
    Circumstances {
        trigger: Trigger::Request,
        documents: state.totals().documents,
        stages: Vec::new(),
        now_ms: 7,
    }
}

/// The parameters by which these tests' topics are made; everything is promoted.
struct Parameters {
    assign: assign::Checked,
    refit: refit::Checked,
    keywords: keywords::Params,
    policy: policy::Checked,
}

impl Parameters {
    fn new(policy: policy::Params) -> Self {
        Self {
            assign: assign::Params::default().check().unwrap(),
            refit: refit::Params::default().check().unwrap(),
            keywords: keywords::Params::default(),
            policy: policy.check().unwrap(),
        }
    }

    fn rules(&self) -> Rules<'_> {
        Rules { assign: &self.assign, refit: &self.refit, keywords: &self.keywords, policy: &self.policy }
    }
}

fn anything() -> policy::Params {
    policy::Params { max_rejections: 0, ..policy::Params::default() }
}

fn adopt(state: &mut State, fitted: &Fitted) -> adopt::Adoption {
    let told = told(state);
    match state.adopt(fitted, &told, Parameters::new(anything()).rules()).unwrap() {
        adopt::Decision::Promoted(adoption) => *adoption,
        adopt::Decision::Rejected(rejection) => panic!("{}", rejection.reason),
    }
}

fn operate(state: &mut State, action: &Action) -> Result<operate::Operation, Refusal> {
    state.operate(action, Parameters::new(anything()).rules(), 9)
}

/// A topic along each of two axes, of every other of so many documents.
fn two_topics_of(documents: u64, bounds: Bounds) -> State {
    let mut state = State::new(DIM, bounds);
    let documents: Vec<_> = (0..documents).map(|number| (number, number as usize % 2, None)).collect();
    state.absorb(evidence(&state, &documents), 1);
    let first = apart(&state);
    adopt(&mut state, &first);
    state
}

/// The counts add up: what topics and outliers hold is what came in.
fn check_sums(state: &State) {
    let topics: u64 = state.topics().values().map(|record| record.sums.documents).sum();
    assert_eq!(topics + state.outliers().documents, state.counted());
    let words: f64 = state.counts().total("all");
    assert_eq!(words, state.counted() as f64);
    for target in state.redirects().values() {
        assert!(state.topics().contains_key(target), "redirect to {target}, which is no topic");
    }
    for record in state.topics().values() {
        assert_eq!(record.sums.documents, record.history.documents(), "topic {}", record.topic.id);
        let words = state.counts().terms(Some(record.topic.id)).find(|(term, _)| *term == "all");
        assert_eq!(words.map_or(0, |(_, count)| count as u64), record.sums.documents);
        assert!(record.topic.id.0 < state.totals().topics, "an id that was never given out");
    }
    assert_eq!(state.outliers().documents, state.outlier_history().documents());
    for (id, ended) in state.ended() {
        assert!(!state.topics().contains_key(id), "topic {id} has ended and lives");
        assert_eq!(ended.record.sums.documents, ended.record.history.documents(), "ended {id}");
        assert_eq!(ended.words.get("all").map_or(0, |count| *count as u64), ended.record.sums.documents);
    }
    for (sequence, _, standing) in state.held().iter() {
        let led = standing.recorded.and_then(|id| state.living(id));
        assert_eq!(led, standing.topic, "the record of {sequence} leads to its topic");
    }
}

#[test]
fn clusters_become_topics_and_keep_their_ids() {
    let mut state = State::new(DIM, bounds());
    let documents: Vec<_> = (0..20).map(|number| (number, number as usize % 2, None)).collect();
    state.absorb(evidence(&state, &documents), 1);
    let first = apart(&state);
    let adoption = adopt(&mut state, &first);
    assert_eq!(adoption.model.topics.keys().copied().collect::<Vec<_>>(), [TopicId(0), TopicId(1)]);
    assert_eq!(adoption.revisions.len(), 20);
    assert_eq!(adoption.model.topics[&TopicId(0)].keywords[0].term, "word0");
    // The same clusters under other numbers are the same topics.
    let second = fitted(&state, |kept| Some(1 - axis_of(kept)));
    let adoption = adopt(&mut state, &second);
    assert_eq!(adoption.revisions, []);
    assert_eq!(state.totals().topics, 2);
    check_sums(&state);
}

#[test]
fn a_topic_that_ended_and_is_found_again_comes_back_under_its_id() {
    let mut state = two_topics_of(28, bounds());
    let together = fitted(&state, |_| Some(0));
    adopt(&mut state, &together);
    assert_eq!(state.topics().keys().copied().collect::<Vec<_>>(), [TopicId(0)]);
    let again = apart(&state);
    let mut rebuilt = state.clone();
    let adoption = adopt(&mut state, &again);
    rebuilt.apply(&adoption.change);
    assert!(rebuilt == state, "the change tells all of it");
    assert_eq!(state.topics().keys().copied().collect::<Vec<_>>(), [TopicId(0), TopicId(1)]);
    assert_eq!((state.totals().topics, state.redirects().len(), state.ended().len()), (2, 0, 0));
    assert_eq!(adoption.revisions, [], "their records name it already");
    let told =
        |op: &Op| matches!(op, Op::Event(event) if matches!(event.happened, Happened::Restored { .. }));
    assert!(adoption.change.ops.iter().any(told));
    assert!(state.news().reports.back().unwrap().fates.contains(&(TopicId(1), Fate::Restored)));
    check_sums(&state);
    // What takes a few of its documents is something else.
    let together = fitted(&state, |_| Some(0));
    adopt(&mut state, &together);
    let few = fitted(&state, |kept| Some(u32::from(axis_of(kept) == 1 && kept.position.offset < 9)));
    adopt(&mut state, &few);
    assert_eq!(state.topics().keys().copied().collect::<Vec<_>>(), [TopicId(0), TopicId(2)]);
    check_sums(&state);
}

#[test]
fn a_topic_that_ended_comes_back_though_its_documents_went_other_ways_meanwhile() {
    let mut state = two_topics_of(28, bounds());
    let together = fitted(&state, |_| Some(0));
    adopt(&mut state, &together);
    let outliers = fitted(&state, |kept| (axis_of(kept) == 0).then_some(0));
    adopt(&mut state, &outliers);
    assert_eq!(state.outliers().documents, 14);
    let again = apart(&state);
    adopt(&mut state, &again);
    assert_eq!(state.topics().keys().copied().collect::<Vec<_>>(), [TopicId(0), TopicId(1)]);
    check_sums(&state);
}

#[test]
fn the_last_topics_that_ended_can_come_back_after_all_versions_are_gone() {
    let mut state = two_topics_of(28, Bounds { versions: 2, ..bounds() });
    for _ in 0..4 {
        let together = fitted(&state, |_| Some(0));
        adopt(&mut state, &together);
    }
    let again = apart(&state);
    adopt(&mut state, &again);
    assert_eq!(state.topics().keys().copied().collect::<Vec<_>>(), [TopicId(0), TopicId(1)]);
    check_sums(&state);
}

/// The cluster of a document where most of topic 1, but not all of it, lies with topic 0.
fn mostly_together(kept: &Kept) -> u32 {
    match kept.position.offset {
        25 => 1,
        27 => 2,
        _ => 0,
    }
}

#[test]
fn a_merge_leaves_a_redirect() {
    let mut state = two_topics_of(28, bounds());
    let seen = fitted(&state, |kept| Some(mostly_together(kept)));
    adopt(&mut state, &seen);
    assert_eq!(state.resolve(TopicId(1)), TopicId(0));
    assert!(state.news().events.iter().any(|event| event.happened.kind() == "topic.merged"));
    check_sums(&state);
}

#[test]
fn a_topic_that_no_cluster_holds_stays_and_falls_asleep() {
    let mut state = two_topics_of(10, bounds());
    let one = fitted(&state, |kept| (axis_of(kept) == 0).then_some(0));
    let adoption = adopt(&mut state, &one);
    assert_eq!(adoption.model.topics.len(), 2);
    assert_eq!(adoption.revisions, [], "nobody lost the topic");
    check_sums(&state);
}

/// The clusters of `fitted` numbered without a gap.
fn compact(mut fitted: Fitted) -> Fitted {
    let used: BTreeSet<u32> = fitted.members.iter().filter_map(|fit| fit.cluster).collect();
    for fit in &mut fitted.members {
        fit.cluster =
            fit.cluster.and_then(|cluster| used.iter().position(|one| *one == cluster)).map(|at| at as u32);
    }
    fitted.clusters = used.len();
    fitted
}

/// Something that an operator may try.
fn action(state: &State, salt: u8, documents: u64) -> Action {
    let pick = |shift: u8| TopicId(u32::from(salt >> shift) % state.totals().topics.max(1));
    let topic = pick(3);
    match salt % 8 {
        0 => Action::Merge { from: vec![pick(4)], into: topic },
        1 => Action::Restore { topic: state.ended().keys().next().copied().unwrap_or(topic) },
        2 => Action::Restore { topic: state.ended().keys().last().copied().unwrap_or(topic) },
        3 => Action::ForgetTopic { topic },
        4 => Action::Rollback { version: state.archives().nth(usize::from(salt >> 6)).map(|one| one.number) },
        5 => Action::Forget { document: format!("d{}", u64::from(salt) % documents.max(1)) },
        6 => Action::Rename { topic, label: (salt > 99).then(|| format!("label {salt}")) },
        _ => {
            if salt > 99 {
                Action::Pin { topic }
            } else {
                Action::Unpin { topic }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// The law of crash safety: changes rebuild the state, counts add up on the way, and ids are never used twice,
    /// whatever refits and operators do.
    #[test]
    fn changes_rebuild_the_state(steps in prop::collection::vec((0..6_usize, 1..12_u64, any::<u8>()), 1..20)) {
        let mut state = State::new(DIM, bounds());
        let mut rebuilt = State::new(DIM, bounds());
        let (mut next, mut all) = (0, Vec::new());
        let mut born = BTreeSet::new();
        for (step, (kind, size, salt)) in steps.into_iter().enumerate() {
            let before: BTreeSet<TopicId> = state.topics().keys().copied().collect();
            let ended: BTreeSet<TopicId> = state.ended().keys().copied().collect();
            let change = match kind {
                0 => {
                    let cluster = |kept: &Kept| {
                        let spread = (kept.position.offset ^ u64::from(salt)) % 5;
                        (spread > 0).then(|| (axis_of(kept) + u32::from(spread == 4 && salt % 2 == 0)) % 3)
                    };
                    let fitted = fitted(&state, cluster);
                    adopt(&mut state, &fitted).change
                }
                1 | 2 => match operate(&mut state, &action(&rebuilt, salt, next)) {
                    Ok(operation) => operation.change,
                    Err(_) => change::Change::default(),
                },
                _ => {
                    // Some of them were judged by a version whose topics have ended since.
                    let topics: Vec<TopicId> =
                        state.topics().keys().chain(state.ended().keys()).copied().collect();
                    let documents: Vec<_> = (next..next + size)
                        .map(|number| {
                            let topic = topics.get((number as usize + salt as usize) % (topics.len() + 1));
                            (number, number as usize % 3, topic.copied())
                        })
                        .collect();
                    next += size;
                    state.absorb(evidence(&state, &documents), step as i64)
                }
            };
            rebuilt.apply(&change);
            all.push(change);
            prop_assert!(rebuilt == state, "after step {step}");
            check_sums(&state);
            prop_assert!(state.held().sampled() <= bounds().sample);
            prop_assert!(state.held().buffered() <= bounds().outliers);
            for id in state.topics().keys().filter(|id| !before.contains(id)) {
                prop_assert!(born.insert(*id) || ended.contains(id), "topic {id} was born twice");
            }
        }
        let mut at_once = State::new(DIM, bounds());
        at_once.apply(&change::Change::all(all));
        prop_assert!(at_once == state, "all changes as one");
    }

    /// Twice the documents, twice every count.
    #[test]
    fn doubling_every_document_doubles_every_count(topics in prop::collection::vec(0..4_u32, 1..25)) {
        let play = |times: u64| {
            let roomy = Bounds { sample: 100, outliers: 100, ..bounds() };
            let mut state = State::new(DIM, roomy);
            let documents: Vec<_> = (0..topics.len() as u64 * times)
                .map(|number| (number, topics[(number / times) as usize] as usize, None))
                .collect();
            state.absorb(evidence(&state, &documents), 1);
            let first = fitted(&state, |kept| Some(axis_of(kept)).filter(|axis| *axis < 3));
            let first = compact(first);
            adopt(&mut state, &first);
            let mut counts: Vec<(u64, u64)> = (state.topics().values())
                .map(|record| (record.sums.documents, record.history.documents()))
                .collect();
            counts.push((state.outliers().documents, state.outlier_history().documents()));
            let words: Vec<u64> =
                (0..4).map(|axis| state.counts().total(&format!("word{axis}")) as u64).collect();
            (counts, words)
        };
        let (once, twice) = (play(1), play(2));
        let double = |counts: &[(u64, u64)]| -> Vec<(u64, u64)> {
            counts.iter().map(|(sums, history)| (sums * 2, history * 2)).collect()
        };
        prop_assert_eq!(double(&once.0), twice.0);
        prop_assert_eq!(once.1.iter().map(|count| count * 2).collect::<Vec<_>>(), twice.1);
    }

    /// The sample depends on which documents came, not on when or in which batches.
    #[test]
    fn the_sample_is_the_same_in_any_order(order in Just((0..80_u64).collect::<Vec<_>>()).prop_shuffle()) {
        let sample = |order: &[u64]| {
            let mut state = State::new(DIM, bounds());
            for numbers in order.chunks(7) {
                let documents: Vec<_> = numbers.iter().map(|number| (*number, 0, None)).collect();
                state.absorb(evidence(&state, &documents), 1);
            }
            let sampled: BTreeSet<Arc<str>> = (state.held().iter())
                .filter(|(_, _, standing)| standing.sampled)
                .map(|(_, kept, _)| kept.id.clone())
                .collect();
            sampled
        };
        let sorted: Vec<u64> = (0..80).collect();
        prop_assert_eq!(sample(&order), sample(&sorted));
    }
}
