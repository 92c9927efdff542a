//! Dead letters are tried again, once their cause is mended.

use std::collections::BTreeSet;
use std::io::Write;

use serde_json::{Value, json};

use crate::topicd::{Home, wait_for};

/// Documents whose text stands in the field `body`, every second without an id, and a line that is none.
fn documents() -> String {
    let document = |n: usize| match n % 2 {
        0 => json!({ "id": format!("d{n}"), "body": "a match of football" }),
        _ => json!({ "body": format!("the bank \"raised\" its rates {n} times") }),
    };
    let lines: Vec<String> = (0..10).map(|n| document(n).to_string()).collect();
    lines.join("\n") + "\nnot json\n"
}

/// What `topicd retry` of all dead letters prints, and what it says.
fn retry(home: &Home, arguments: &[&str]) -> (String, String) {
    let letters = home.segments("dead-letters.jsonl");
    let files: Vec<&str> = letters.iter().map(|path| path.to_str().unwrap()).collect();
    let output = home.run(&[&["retry"], arguments, &files].concat());
    assert!(output.status.success());
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn append(home: &Home, lines: &str) {
    let mut file = fs_err::OpenOptions::new().append(true).open(home.path("documents.jsonl")).unwrap();
    file.write_all(lines.as_bytes()).unwrap();
}

fn reasons(letters: &[Value], reason: &str) -> usize {
    letters.iter().filter(|letter| letter["reason"] == reason).count()
}

#[test]
fn documents_that_were_refused_are_taken_in_once_whatever_is_tried_again() {
    let home = Home::new(&documents()).set("output.segment_bytes=1024");
    home.good(&["run", "--exit-at-end"]);
    assert_eq!(reasons(&home.records("dead-letters.jsonl"), "no_text"), 10);
    let home = home.set("source.fields.text=body").set("source.follow=true");
    let _daemon = home.start();
    let (lines, said) = retry(&home, &["--reason", "no_text"]);
    assert_eq!(said.trim(), "10 of 11 dead letters are tried again; left out: not_json: 1");
    append(&home, &lines);
    let assigned = wait_for("ten documents", || {
        let assigned: BTreeSet<String> = home
            .records("assignments.jsonl")
            .iter()
            .map(|record| record["id"].as_str().unwrap().to_owned())
            .collect();
        (assigned.len() == 10).then_some(assigned)
    });
    assert!(assigned.contains("d8"));
    // An id that is made is that of the place where the document stood first.
    let second = documents().find('\n').unwrap() + 1;
    let made = assigned.iter().find(|id| id.ends_with(&format!("@{second}")));
    assert!(made.is_some_and(|id| id.starts_with("documents.jsonl")), "{assigned:?}");

    let (lines, said) = retry(&home, &[]);
    assert_eq!(said.trim(), "11 of 11 dead letters are tried again");
    append(&home, &lines);
    let letters = wait_for("eleven refusals", || {
        let letters = home.records("dead-letters.jsonl");
        (letters.len() == 22).then_some(letters)
    });
    crate::schemas::check("dead_letter", &letters);
    assert_eq!((reasons(&letters, "duplicate_id"), reasons(&letters, "not_json")), (10, 2));
    let bad = letters.last().unwrap();
    assert_eq!((&bad["original"], &bad["tries"]), (&json!("not json"), &json!(2)));
    assert_eq!(bad["offset"], documents().find("not json").unwrap());

    let (lines, said) = retry(&home, &[]);
    assert_eq!(said.trim(), "1 of 11 dead letters are tried again; left out: duplicate_id: 10");
    append(&home, &lines);
    wait_for("the third try", || {
        home.records("dead-letters.jsonl").iter().any(|letter| letter["tries"] == 3).then_some(())
    });
    assert_eq!(home.records("assignments.jsonl").len(), 10);
}

#[test]
fn what_cannot_be_tried_again_is_said() {
    let long = "x".repeat(10_000);
    let home = Home::new(&format!("{{\"text\":\"{long}\"}}\n")).set("source.max_document_bytes=1024");
    home.good(&["run", "--exit-at-end"]);
    let letters = home.segments("dead-letters.jsonl");
    let file = letters[0].to_str().unwrap();
    let cut = home.run(&["retry", file]);
    assert_eq!((cut.status.code(), cut.stdout.len()), (Some(1), 0));
    let said = String::from_utf8(cut.stderr).unwrap();
    assert!(said.contains("1 are not whole") && said.contains("source.max_document_bytes"), "{said}");
    let none = home.run(&["retry", "--json", "--reason", "no_text", file]);
    assert_eq!(none.status.code(), Some(1));
    let said: Value = serde_json::from_slice(&none.stderr).unwrap();
    assert_eq!(said, json!({ "retried": 0, "left_out": { "too_long": 1 }, "cut": 0 }));
    let wrong = home.run(&["retry", "documents.jsonl"]);
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(
        !wrong.status.success() && said.contains("line 1 of `documents.jsonl` is no dead letter"),
        "{said}"
    );
    assert_eq!(home.run(&["retry", "--set", "source.type=kafka", file]).status.code(), Some(2));
}
