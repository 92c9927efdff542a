//! `kill -9` at random moments: nothing is lost, nothing is counted twice.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::kafka::daemon::document;
use crate::outcome::Outcome;
use crate::topicd::{Home, cache, documents, wait_for};

/// A source of numbers that differ from run to run, so that every run kills at other moments.
fn random(bound: u64) -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish() % bound
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
fn kills_over_the_news() {
    let news = cache().join("data/news.jsonl");
    let news =
        fs_err::read_to_string(news).expect("the news are there after `deploy/test` has set the machine up");
    let articles = news.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let with_text = articles.filter(|article| {
        !format!("{}{}", article["title"].as_str().unwrap(), article["text"].as_str().unwrap())
            .trim()
            .is_empty()
    });
    let ids: Vec<String> = with_text.map(|article| article["id"].as_str().unwrap().to_owned()).collect();
    let home = Home::new(&news).set("embed.max_tokens=32").set("source.batch_documents=16");
    // Twelve meet each part of the daemon some times; `deploy/test --all` has the long run.
    let kills = std::env::var("TOPICD_NEWS_KILLS").map_or(12, |kills| kills.parse().unwrap());
    kill_at_random_moments(&home, kills, 900);
    Outcome::of(&home).check_exactly_once(&ids);
}

#[test]
fn kills_while_outputs_rotate() {
    const MOST: u64 = 4096;
    let lines: Vec<String> = (0..1500).map(|n| document(n).to_string()).collect();
    let ids: Vec<String> = (0..1500).map(|number| format!("d{number}")).collect();
    let home = Home::new(&(lines.join("\n") + "\n"))
        .set("source.batch_documents=8")
        .set("source.speed=2000.0")
        .set("refit.first_documents=300")
        .set("refit.n_epochs=50")
        .set(&format!("output.segment_bytes={MOST}"));
    kill_at_random_moments(&home, 10, 900);
    Outcome::of(&home).check_exactly_once(&ids);
    let segments = home.segments("assignments.jsonl");
    assert!(segments.len() > 20, "{}", segments.len());
    // A refit is one commit, however many documents it moves.
    let large = segments.iter().filter(|path| fs_err::metadata(path).unwrap().len() > MOST).count();
    assert!(large <= 3, "{large} of {}", segments.len());

    // With fewer kept, the same daemon removes the others, and what is left is the end of the same records.
    let all = home.records("assignments.jsonl");
    let home = home.set("output.keep=4");
    home.good(&["run", "--exit-at-end"]);
    let kept = home.records("assignments.jsonl");
    assert_eq!(home.segments("assignments.jsonl").len(), 4);
    assert_eq!(all[all.len() - kept.len()..], kept);
}

#[test]
fn a_term_signal_ends_the_run_in_order() {
    let ids: Vec<String> = (0..600).map(|number| format!("d{number}")).collect();
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
    Outcome::of(&home).check_exactly_once(&ids);
}

#[test]
fn in_lockstep_a_killed_run_ends_like_one_that_was_not() {
    let ids: Vec<String> = (0..1500).map(|number| format!("d{number}")).collect();
    let run = |kills| {
        // With embeddings of their own: an encoder's last digits may depend on what else is in a batch.
        let lines: Vec<String> = (0..1500).map(|n| document(n).to_string()).collect();
        let home = Home::new(&(lines.join("\n") + "\n"))
            .set("refit.lockstep=true")
            .set("refit.n_epochs=50")
            .set("refit.first_documents=300")
            .set("refit.every_documents=400");
        kill_at_random_moments(&home, kills, 3000);
        let outcome = Outcome::of(&home);
        outcome.check_exactly_once(&ids);
        assert!(outcome.topics["version"].as_u64() >= Some(3), "several versions");
        outcome.story()
    };
    run(0).check_same(&run(8));
}
