//! Seeds and small topics, copies, and the last refit.

use super::*;
use crate::model::seed::Seed;

/// A state whose first topic is a seed to which `near` of 30 documents along axis 0 are near by chance.
fn seeded(near: u64) -> State {
    let mut state = State::new(DIM, Bounds { sample: 100, ..bounds() });
    let mut embedding = vec![0.0; DIM];
    embedding[3] = 1.0;
    let seed = Seed::new("volcanoes".into(), embedding, &[]);
    state.plant(vec![seed], Parameters::new(anything()).rules(), 1).unwrap();
    let documents: Vec<_> =
        (0..30).map(|number| (number, 0, (number < near).then_some(TopicId(0)))).collect();
    state.absorb(evidence(&state, &documents), 1);
    state
}

#[test]
fn a_seed_that_a_cluster_holds_by_chance_does_not_name_it() {
    for (near, id, documents) in [(2, TopicId(1), 0), (3, TopicId(0), 30)] {
        let mut state = seeded(near);
        let all = fitted(&state, |_| Some(0));
        adopt(&mut state, &all);
        let topics: BTreeSet<Option<TopicId>> =
            state.held().iter().map(|(_, _, standing)| standing.topic).collect();
        assert_eq!(topics, BTreeSet::from([Some(id)]), "{near} of 30");
        let seed = &state.topics()[&TopicId(0)];
        assert_eq!((seed.topic.name.as_str(), seed.sums.documents), ("volcanoes", documents), "{near} of 30");
        check_sums(&state);
    }
}

#[test]
fn a_pinned_topic_keeps_its_members_where_it_is_too_small_for_their_cluster() {
    let mut state = seeded(2);
    operate(&mut state, &Action::Pin { topic: TopicId(0) }).unwrap();
    let all = fitted(&state, |_| Some(0));
    adopt(&mut state, &all);
    let sizes: Vec<u64> = state.topics().values().map(|record| record.sums.documents).collect();
    assert_eq!(sizes, [2, 28]);
    check_sums(&state);
}

#[test]
fn copies_have_one_topic_after_a_refit() {
    let mut state = State::new(DIM, Bounds { sample: 100, outliers: 100, ..bounds() });
    let documents: Vec<_> = (0..28).map(|number| (number, number as usize % 2, None)).collect();
    let mut evidence = evidence(&state, &documents);
    for (kept, _) in &mut evidence.kept {
        kept.embedding = super::kept(0, kept.position.offset as usize % 2).embedding;
    }
    state.absorb(evidence, 1);
    // Of the copies along axis 0 most have a topic, of those along axis 1 only one has.
    let split = fitted(&state, |kept| match (axis_of(kept), kept.position.offset) {
        (0, offset) => (offset > 9).then_some(0),
        (_, offset) => (offset == 1).then_some(0),
    });
    let adoption = adopt(&mut state, &split);
    for (_, kept, standing) in state.held().iter() {
        assert_eq!(standing.topic, (axis_of(kept) == 0).then_some(TopicId(0)), "{}", kept.id);
        assert_eq!(standing.recorded, standing.topic, "{}", kept.id);
    }
    // Document 1 had a topic for a moment: its last record still says that it has none. The others moved once or twice.
    let expected: Vec<_> =
        (0..28).step_by(2).map(|number| (format!("d{number}"), Some(TopicId(0)), None, 2)).collect();
    let revisions = adoption.revisions.iter();
    let found: Vec<_> = revisions
        .map(|revision| (revision.id.to_string(), revision.topic, revision.before, revision.revision))
        .collect();
    assert_eq!(found, expected);
    check_sums(&state);
}

#[test]
fn a_last_refit_that_is_rejected_leaves_the_outliers_to_the_version_in_force() {
    let nothing = policy::Params { max_churn: 0.0, min_agreement: 1.0, ..policy::Params::default() };
    let after = |trigger: Trigger| {
        let mut state = two_topics_of(28, Bounds { sample: 100, outliers: 100, ..bounds() });
        let late: Vec<_> = (28..34).map(|number| (number, number as usize % 2, None)).collect();
        state.absorb(evidence(&state, &late), 1);
        let mut rebuilt = state.clone();
        let mixed = fitted(&state, |kept| Some((kept.position.offset / 2 % 2) as u32));
        let told = Circumstances { trigger, ..told(&state) };
        let decision = state.adopt(&mixed, &told, Parameters::new(nothing.clone()).rules()).unwrap();
        let adopt::Decision::Rejected(rejection) = decision else { panic!("{decision:?}") };
        rebuilt.apply(&rejection.change);
        assert!(rebuilt == state, "the change tells all of it");
        check_sums(&state);
        assert_eq!(state.totals().version, 1);
        (rejection.revisions.len(), state.outliers().documents)
    };
    assert_eq!(after(Trigger::Documents), (0, 6));
    assert_eq!(after(Trigger::EndOfStream), (6, 0));
}
