use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::adopt::{Circumstances, Rules};
use super::*;
use crate::checkpoint::{Partition, Position};
use crate::keywords::{self, Bag};
use crate::model::evidence::{Evidence, Kept};
use crate::model::refit::run::{Fit, Fitted};
use crate::model::refit::select::select;
use crate::model::refit::trigger::Trigger;
use crate::model::{assign, refit};

const DIM: usize = 4;

fn bounds() -> Bounds {
    Bounds { sample: 30, outliers: 20, anchors: 5, window: 10, seen: 50, vocabulary: 1000 }
}

/// Document `number`, whose direction is axis `axis`.
fn kept(number: u64, axis: usize) -> Kept {
    let mut embedding = vec![0.1; DIM];
    embedding[axis % DIM] = 1.0;
    let length = embedding.iter().map(|v| v * v).sum::<f32>().sqrt();
    embedding.iter_mut().for_each(|value| *value /= length);
    let id: Arc<str> = format!("d{number}").into();
    let mut words = Bag::default();
    words.add(&format!("word{}", axis % DIM), 2);
    words.add("all", 1);
    Kept {
        priority: Sampling::priority(&id),
        id,
        text: format!("text {number}"),
        embedding: embedding.into(),
        words,
        timestamp_ms: None,
        position: Position { partition: Partition::new("p"), offset: number },
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
        evidence.ids.push(u128::from(*number));
        if topic.is_none() || state.sampling().takes(&kept.id) {
            evidence.kept.push((kept, *topic));
        }
    }
    evidence
}

/// A fit that puts every member into the cluster that `cluster` names.
fn fitted(state: &State, cluster: impl Fn(&Kept) -> Option<u32>) -> Fitted {
    let members: Vec<Fit> = (select(state).members.iter())
        .map(|member| Fit {
            sequence: member.sequence,
            before: member.topic,
            cluster: cluster(state.held().get(member.sequence).unwrap().0),
            core: true,
        })
        .collect();
    let clusters = members.iter().filter_map(|fit| fit.cluster).max().map_or(0, |last| last + 1);
    Fitted { members, clusters, min_cluster_size: 2 }
}

fn axis_of(kept: &Kept) -> u32 {
    (0..DIM).max_by(|a, b| kept.embedding[*a].total_cmp(&kept.embedding[*b])).unwrap() as u32
}

fn told(state: &State) -> Circumstances {
    Circumstances {
        trigger: Trigger::Request,
        documents: state.totals().documents,
        stages: Vec::new(),
        now_ms: 7,
    }
}

fn adopt(state: &mut State, fitted: &Fitted) -> adopt::Adoption {
    let (assign, refit) =
        (assign::Params::default().check().unwrap(), refit::Params::default().check().unwrap());
    let keywords = keywords::Params::default();
    let rules = Rules { assign: &assign, refit: &refit, keywords: &keywords };
    let told = told(state);
    state.adopt(fitted, &told, rules).unwrap()
}

/// The counts add up: what topics and outliers hold is what came in.
fn check_sums(state: &State) {
    let topics: u64 = state.topics().values().map(|record| record.sums.documents).sum();
    assert_eq!(topics + state.outliers().documents, state.totals().documents);
    let words: f64 = state.counts().total("all");
    assert_eq!(words, state.totals().documents as f64);
    for target in state.redirects().values() {
        assert!(state.topics().contains_key(target), "redirect to {target}, which is no topic");
    }
}

#[test]
fn clusters_become_topics_and_keep_their_ids() {
    let mut state = State::new(DIM, bounds());
    let documents: Vec<_> = (0..20).map(|number| (number, number as usize % 2, None)).collect();
    state.absorb(evidence(&state, &documents), 1);
    let first = fitted(&state, |kept| Some(axis_of(kept)));
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
fn a_merge_needs_two_looks_and_leaves_a_redirect() {
    let mut state = State::new(DIM, bounds());
    let documents: Vec<_> = (0..20).map(|number| (number, number as usize % 2, None)).collect();
    state.absorb(evidence(&state, &documents), 1);
    let apart = fitted(&state, |kept| Some(axis_of(kept)));
    adopt(&mut state, &apart);
    // Most of topic 1, but not plainly all of it, lies with topic 0.
    let together = |kept: &Kept| Some(u32::from(axis_of(kept) == 1 && kept.position.offset > 15));
    let seen = fitted(&state, together);
    adopt(&mut state, &seen);
    assert_eq!(state.topics().len(), 2, "one look is not enough");
    let seen = fitted(&state, together);
    adopt(&mut state, &seen);
    assert_eq!(state.resolve(TopicId(1)), TopicId(0));
    assert!(state.events_after(0).any(|event| event.happened.kind() == "topic.merged"));
    check_sums(&state);
}

#[test]
fn a_topic_that_no_cluster_holds_stays_and_falls_asleep() {
    let mut state = State::new(DIM, bounds());
    let documents: Vec<_> = (0..10).map(|number| (number, number as usize % 2, None)).collect();
    state.absorb(evidence(&state, &documents), 1);
    let both = fitted(&state, |kept| Some(axis_of(kept)));
    adopt(&mut state, &both);
    let one = fitted(&state, |kept| (axis_of(kept) == 0).then_some(0));
    let adoption = adopt(&mut state, &one);
    assert_eq!(adoption.model.topics.len(), 2);
    assert_eq!(adoption.revisions, [], "nobody lost the topic");
    check_sums(&state);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The law of crash safety: changes rebuild the state, and counts add up on the way.
    #[test]
    fn changes_rebuild_the_state(steps in prop::collection::vec((0..4_usize, 1..12_u64, any::<u8>()), 1..14)) {
        let mut state = State::new(DIM, bounds());
        let mut rebuilt = State::new(DIM, bounds());
        let mut next = 0;
        for (step, (kind, size, salt)) in steps.into_iter().enumerate() {
            let change = if kind == 0 {
                let cluster = |kept: &Kept| {
                    let spread = (kept.position.offset ^ u64::from(salt)) % 5;
                    (spread > 0).then(|| (axis_of(kept) + u32::from(spread == 4 && salt % 2 == 0)) % 3)
                };
                let fitted = fitted(&state, cluster);
                adopt(&mut state, &fitted).change
            } else {
                let topics: Vec<TopicId> = state.topics().keys().copied().collect();
                let documents: Vec<_> = (next..next + size)
                    .map(|number| {
                        let topic = topics.get((number as usize + salt as usize) % (topics.len() + 1)).copied();
                        (number, number as usize % 3, topic)
                    })
                    .collect();
                next += size;
                state.absorb(evidence(&state, &documents), step as i64)
            };
            rebuilt.apply(&change);
            prop_assert!(rebuilt == state, "after step {step}");
            check_sums(&state);
            prop_assert!(state.held().sampled() <= bounds().sample);
            prop_assert!(state.held().buffered() <= bounds().outliers);
        }
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
