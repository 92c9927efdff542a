//! Topics by the values of kept fields, and shares that shift.

use super::*;
use crate::model::breakdown::{Part, TIME, Wanted};

fn roomy() -> Bounds {
    Bounds { sample: 10_000, outliers: 10_000, fresh: 10_000, seen: 10_000, ..bounds() }
}

/// Documents `numbers`, one after the other of topic 0 and 1, each with the product that `product` gives it.
fn stream(state: &mut State, numbers: std::ops::Range<u64>, product: impl Fn(u64) -> &'static str) {
    let mut evidence = Evidence::default();
    for number in numbers {
        let axis = number as usize % 2;
        let topic = state.living(TopicId(axis as u32));
        let mut document = kept(number, axis);
        document.fields = Fields::default();
        document.fields.push("product".into(), Value::Text(product(number).into()));
        let learned = evidence.learned.entry(topic).or_default();
        learned.sums.add(&document.embedding);
        learned.words.merge(&document.words);
        learned.profile.add(document.timestamp_ms, &document.fields);
        evidence.ids.push(xxhash_rust::xxh3::xxh3_128(document.id.as_bytes()));
        evidence.kept.push((document, topic));
    }
    state.absorb(evidence, 1);
}

/// One of three, at random, the first as often as `share` of 100 say.
fn drawn(number: u64, share: u64) -> &'static str {
    let draw = Sampling::priority(&format!("draw {number}")) % 100;
    if draw < share { "phone" } else { ["radio", "camera"][draw as usize % 2] }
}

/// (topic, value, share before, share after) of each shift that was told.
fn told(state: &State) -> Vec<(u32, String, f64, f64)> {
    let shifts = state.news().events.iter().filter_map(|event| match &event.happened {
        Happened::FieldShifted { topic, value, before, after, .. } => {
            Some((topic.id.0, value.clone(), *before, *after))
        }
        _ => None,
    });
    shifts.collect()
}

fn refit(state: &mut State) {
    let found = apart(state);
    adopt(state, &found);
}

#[test]
fn a_shift_is_told_once_and_a_steady_stream_tells_none() {
    let mut state = State::new(DIM, roomy());
    let mut number = 0;
    let mut go_on = |state: &mut State, share: [u64; 2]| {
        stream(state, number..number + 120, |number| drawn(number, share[number as usize % 2]));
        number += 120;
        refit(state);
        check_sums(state);
    };
    (0..30).for_each(|_| go_on(&mut state, [20, 60]));
    assert_eq!(told(&state), []);
    go_on(&mut state, [80, 60]);
    let shifts = told(&state);
    let [(0, value, before, after)] = &shifts[..] else { panic!("{shifts:?}") };
    assert!(value == "phone" && (before - 0.2).abs() < 0.05 && (after - 0.8).abs() < 0.15, "{shifts:?}");
    (0..10).for_each(|_| go_on(&mut state, [80, 60]));
    assert_eq!(told(&state), shifts, "what was told is the norm");
    go_on(&mut state, [20, 60]);
    assert_eq!(told(&state).len(), 2, "the way back is a shift too");
}

#[test]
fn topics_are_broken_down_by_values_and_under_conditions() {
    let mut state = State::new(DIM, roomy());
    stream(&mut state, 0..200, |number| drawn(number, [10, 70][number as usize % 2]));
    refit(&mut state);
    stream(&mut state, 200..400, |number| drawn(number, [10, 70][number as usize % 2]));
    let by = |by: &str, condition: &str| {
        let r#where = Some(condition).filter(|text| !text.is_empty()).map(|text| text.parse().unwrap());
        state.breakdown(&Wanted { by: Some(by.to_owned()), r#where, values: 2 })
    };
    let count = |axis: u64, value: &str| {
        (0..400)
            .filter(|number| number % 2 == axis && drawn(*number, [10, 70][axis as usize]) == value)
            .count() as u64
    };
    let all = by("product", "").unwrap();
    assert_eq!((all.documents, all.looked_at, all.found, all.known_values), (400, 400, 400, 3));
    assert_eq!(all.values[0], "phone");
    let part = |parts: &[Part], id: i64| parts.iter().find(|part| part.id == id).cloned().unwrap();
    for axis in [0, 1] {
        let part = part(&all.topics, axis as i64);
        let expected: Vec<u64> = all.values.iter().map(|value| count(axis, value)).collect();
        assert_eq!((part.size, part.having, &part.documents), (200, 200, &expected));
        let over: Vec<&str> = part.over.iter().map(|over| &*over.value).collect();
        assert_eq!(over.contains(&"phone"), axis == 1, "{part:?}");
        assert!(part.over.iter().all(|over| over.share > over.elsewhere && over.p <= 0.01));
    }
    let only = by("product", "product != 'phone'").unwrap();
    assert_eq!(only.found, 400 - count(0, "phone") - count(1, "phone"));
    assert_eq!((only.looked_at, only.known_values), (400, 2));
    let months = by(TIME, "").unwrap();
    let dated = months.topics.iter().chain([&months.outliers]).map(|part| part.having).sum::<u64>();
    assert_eq!(
        (months.values.as_slice(), dated),
        (&["1970-01".to_owned()][..], (0..400).filter(|n| n % 3 > 0).count() as u64)
    );
    let refused = by("produkt", "").unwrap_err().to_string();
    assert!(refused.contains("no document has a field `produkt`; there are product, time"), "{refused}");
    assert!(by("product", "price < 3").is_err());
}
