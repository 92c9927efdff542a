//! The commands as a user types them.

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::topicd::{Home, check_pure, documents};

#[test]
fn fit_topics_find_and_assign() {
    let home = Home::new(&documents(400));
    let fitted: Value =
        serde_json::from_str(&home.good(&["fit", "documents.jsonl", "--min-cluster-size", "30", "--json"]))
            .unwrap();
    let topics = fitted["model"]["topics"].as_array().unwrap();
    check_pure(topics);
    let table = home.good(&["topics"]);
    assert!(table.contains(&format!("{} topics, 400 documents", topics.len())), "{table}");

    let found: Value = serde_json::from_str(&home.good(&["find", "a rocket to the moon", "--json"])).unwrap();
    let best = &found[0];
    assert!(
        best["keywords"].to_string().contains("orbit") || best["keywords"].to_string().contains("rocket"),
        "{found}"
    );
    let topic = home.good(&["topic", &best["id"].to_string()]);
    assert!(topic.contains("representative documents"), "{topic}");
    let missing = home.run(&["topic", "99"]);
    assert!(!missing.status.success());
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no topic `99`"));

    let mut assign = home.command(&["assign", "--json"]);
    let mut child = assign.stdin(Stdio::piped()).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"astronomy news: the comet and the orbit and the rocket and the moon.\n\n")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let assigned: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(assigned["topic"].as_i64().unwrap() >= 0, "{assigned}");
    assert!(assigned["weights"][0]["weight"].as_f64().unwrap() > 0.5, "{assigned}");

    let again = home.run(&["fit", "documents.jsonl"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("holds a model already"));
}

#[test]
fn check_names_every_mistake_at_once() {
    let home = Home::new("");
    fs_err::write(
        home.path("bad.toml"),
        "[refit]\nmin_cluster_sise = 3\nmin_samples = 0\n\n[sorce]\npath = \"x\"\n",
    )
    .unwrap();
    let output = home.run(&["check", "--config", "bad.toml"]);
    assert!(!output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("refit.min_cluster_sise") && text.contains("min_cluster_size"), "{text}");
    assert!(text.contains("bad.toml:2") && text.contains("refit.min_samples"), "{text}");
    assert!(text.contains("sorce") && text.contains("source"), "{text}");
    assert_eq!(home.good(&["check"]), "no mistakes\n");
}

#[test]
fn a_setting_from_the_environment_counts_and_its_mistake_is_named() {
    let home = Home::new("");
    let mut command = home.command(&["check"]);
    let output = command.env("TOPICD_REFIT__MIN_CLUSTER_SIZE", "1").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("TOPICD_REFIT__MIN_CLUSTER_SIZE"), "{text}");
}

#[test]
fn help_teaches() {
    let home = Home::new("");
    let help = home.good(&["--help"]);
    for word in ["run", "fit", "topics", "find", "assign", "check", "Examples"] {
        assert!(help.contains(word), "{help}");
    }
}
