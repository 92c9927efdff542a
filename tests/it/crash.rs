//! `kill -9` at random moments: nothing is lost, nothing is counted twice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::topicd::{Home, documents, wait_for};

/// A source of numbers that differ from run to run, so that every run kills at other moments.
fn random(bound: u64) -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish() % bound
}

/// Each document's newest topic, redirects of merged topics followed.
fn check_exactly_once(home: &Home, ids: &[String]) {
    let mut arrivals: BTreeMap<String, u32> = BTreeMap::new();
    let mut last: BTreeMap<String, (u64, i64)> = BTreeMap::new();
    for record in home.records("assignments.jsonl") {
        let id = record["id"].as_str().unwrap().to_owned();
        let revision = record["revision"].as_u64().unwrap();
        if revision == 1 {
            *arrivals.entry(id.clone()).or_insert(0) += 1;
        }
        let before = last.insert(id.clone(), (revision, record["topic"].as_i64().unwrap()));
        assert_eq!(
            revision,
            before.map_or(1, |(revision, _)| revision + 1),
            "revisions of {id} follow each other"
        );
    }
    assert_eq!(arrivals.keys().cloned().collect::<Vec<_>>(), ids, "every document has an assignment");
    assert!(arrivals.values().all(|count| *count == 1), "and only one");

    let events = home.records("events.jsonl");
    let numbers: Vec<u64> =
        events.iter().map(|event| event["id"].as_str().unwrap().parse().unwrap()).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>(), "no event is missing or doubled");

    let merged: BTreeMap<i64, i64> = (events.iter())
        .filter(|event| event["type"] == "topic.merged")
        .flat_map(|event| {
            let into = event["data"]["topic"]["id"].as_i64().unwrap();
            let from = event["data"]["merged"].as_array().unwrap().clone();
            from.into_iter().map(move |topic| (topic["id"].as_i64().unwrap(), into))
        })
        .collect();
    let mut sizes: BTreeMap<i64, u64> = BTreeMap::new();
    for (_, topic) in last.values() {
        let mut topic = *topic;
        while let Some(into) = merged.get(&topic) {
            topic = *into;
        }
        *sizes.entry(topic).or_insert(0) += 1;
    }
    let model: Value = serde_json::from_str(&home.good(&["topics", "--json"])).unwrap();
    assert_eq!(model["documents"], ids.len());
    assert_eq!(model["outliers"], sizes.remove(&-1).unwrap_or(0));
    for topic in model["topics"].as_array().unwrap() {
        let counted = sizes.remove(&topic["id"].as_i64().unwrap()).unwrap_or(0);
        assert_eq!(topic["size"], counted, "the count of topic {} is that of its records", topic["id"]);
    }
    assert_eq!(sizes, BTreeMap::new(), "no record names a topic that is not there");
}

fn kill_at_random_moments(home: &Home, kills: usize, longest_ms: u64) {
    for _ in 0..kills {
        let mut daemon = home.start();
        let until = Instant::now() + Duration::from_millis(random(longest_ms));
        wait_for("the moment", || (Instant::now() >= until).then_some(()));
        daemon.child.kill().unwrap();
        daemon.child.wait().unwrap();
    }
    home.good(&["run", "--exit-at-end"]);
}

#[test]
fn fifty_kills_over_the_news() {
    let cache = std::env::var_os("TOPICD_CACHE").map_or_else(
        || std::path::PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/topicd"),
        std::path::PathBuf::from,
    );
    let news = cache.join("data/news.jsonl");
    let news =
        fs_err::read_to_string(news).expect("the news are there after `deploy/test` has set the machine up");
    let mut ids: Vec<String> = news
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort_unstable();
    let home = Home::new(&news).set("embed.max_tokens=32").set("source.batch_documents=16");
    kill_at_random_moments(&home, 50, 900);
    check_exactly_once(&home, &ids);
}

#[test]
fn a_term_signal_ends_the_run_in_order() {
    let mut ids: Vec<String> = (0..600).map(|number| format!("d{number}")).collect();
    ids.sort_unstable();
    let home = Home::new(&documents(600)).set("refit.first_documents=100").set("source.speed=400.0");
    let mut daemon = home.start();
    wait_for("some documents", || {
        daemon.json("/api/topics").filter(|topics| topics["documents"].as_u64() > Some(50))
    });
    let pid = daemon.child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(daemon.child.wait().unwrap().success());
    drop(daemon);
    home.good(&["run", "--exit-at-end"]);
    check_exactly_once(&home, &ids);
}
