use std::sync::Arc;

use super::*;
use crate::checkpoint::{Checkpoint, Partition, Position};
use crate::keywords::{self, Bag};
use crate::model::evidence::{Evidence, Kept};
use crate::model::refit::run::{Fit, Fitted};
use crate::model::refit::select::select;
use crate::model::refit::trigger::Trigger;
use crate::model::state::adopt::{Circumstances, Rules};
use crate::model::state::change::Change;
use crate::model::state::{Bounds, State};
use crate::model::version::Sampling;
use crate::model::{assign, refit};

const DIM: usize = 3;

fn bounds() -> Bounds {
    Bounds { sample: 8, outliers: 6, anchors: 2, window: 4, seen: 10, vocabulary: 100 }
}

fn identity() -> Identity {
    Identity { encoder: "test@1".to_owned(), dim: DIM }
}

fn absorb(state: &mut State, numbers: std::ops::Range<u64>) -> Change {
    let mut evidence = Evidence::default();
    for number in numbers {
        let id: Arc<str> = format!("d{number}").into();
        let mut words = Bag::default();
        words.add(&format!("w{}", number % 5), 1);
        let mut embedding = vec![0.0; DIM];
        embedding[number as usize % 2] = 1.0;
        let kept = Kept {
            priority: Sampling::priority(&id),
            id,
            text: "text".to_owned(),
            embedding: embedding.into(),
            words,
            timestamp_ms: Some(number as i64),
            position: Position { partition: Partition::new("p"), offset: number },
        };
        let learned = evidence.learned.entry(None).or_default();
        learned.sums.add(&kept.embedding);
        learned.words.merge(&kept.words);
        evidence.ids.push(u128::from(number));
        evidence.kept.push((kept, None));
    }
    state.absorb(evidence, 1)
}

fn adopt(state: &mut State) -> Change {
    let members = select(state).members.into_iter().map(|member| Fit {
        sequence: member.sequence,
        before: member.topic,
        cluster: Some(u32::from(member.embedding[0] < 0.5)),
        core: true,
    });
    let fitted = Fitted { members: members.collect(), clusters: 2, min_cluster_size: 2 };
    let told = Circumstances {
        trigger: Trigger::Documents,
        documents: state.totals().documents,
        stages: vec![("umap".to_owned(), 0.5)],
        now_ms: 3,
    };
    let (assign, refit) =
        (assign::Params::default().check().unwrap(), refit::Params::default().check().unwrap());
    let keywords = keywords::Params::default();
    state.adopt(&fitted, &told, Rules { assign: &assign, refit: &refit, keywords: &keywords }).unwrap().change
}

fn done(position: u64) -> Checkpoint {
    let mut checkpoint = Checkpoint::new();
    checkpoint.advance(Partition::new("p"), position);
    checkpoint
}

#[test]
fn what_was_committed_is_there_again_after_every_step() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = State::new(DIM, bounds());
    for step in 0..9_u64 {
        let mut store = Store::open(folder.path(), &identity(), bounds().seen).unwrap();
        let (loaded, checkpoint) = store.load(DIM, bounds()).unwrap();
        assert_eq!(checkpoint.position(&Partition::new("p")), step);
        assert!(loaded == state, "before step {step}");
        let change =
            if step % 3 == 2 { adopt(&mut state) } else { absorb(&mut state, step * 5..step * 5 + 5) };
        store.commit(&change, &done(step + 1), false).unwrap();
    }
}

#[test]
fn events_wait_in_the_outbox_until_they_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = State::new(DIM, bounds());
    let mut store = Store::open(folder.path(), &identity(), bounds().seen).unwrap();
    store.commit(&absorb(&mut state, 0..6), &done(1), true).unwrap();
    store.commit(&adopt(&mut state), &done(2), true).unwrap();
    drop(store);
    let store = Store::open(folder.path(), &identity(), bounds().seen).unwrap();
    let outbox = store.outbox();
    let mut kinds = Vec::new();
    while let Some(event) = outbox.first().unwrap() {
        kinds.push(event.happened.kind());
        outbox.done(event.number).unwrap();
    }
    assert_eq!(kinds, ["topic.created", "topic.created", "model.published"]);
}

#[test]
fn a_state_of_another_encoder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(folder.path(), &identity(), 10).unwrap());
    let other = Identity { encoder: "other@2".to_owned(), dim: 5 };
    let error = Store::open(folder.path(), &other, 10).unwrap_err();
    assert!(matches!(&error, Error::Encoder { found, .. } if found == "test@1"), "{error}");
}

#[test]
fn a_state_in_use_is_refused_and_so_is_one_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let held = Store::open(folder.path(), &identity(), 10).unwrap();
    assert!(matches!(Store::open(folder.path(), &identity(), 10).unwrap_err(), Error::Locked { .. }));
    drop(held);
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(Store::open_existing(empty.path(), 10).unwrap_err(), Error::Empty { .. }));
}
