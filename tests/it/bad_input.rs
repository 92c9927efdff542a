//! Every kind of bad input goes to the dead letters with its reason, and the stream goes on.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::topicd::Home;

const DIM: usize = 384;

/// A reason and a line that must be refused for it; none where the line is good.
fn lines() -> Vec<(Option<&'static str>, Vec<u8>)> {
    let good =
        |id: &str| json!({ "id": id, "text": "a good document about football" }).to_string().into_bytes();
    let embedding = |id: &str, values: &str| {
        format!(r#"{{"id":"{id}","text":"with a vector","embedding":[{values}]}}"#).into_bytes()
    };
    vec![
        (None, good("first")),
        (Some("not_json"), b"not json at all".to_vec()),
        (Some("not_json"), b"{\"id\":\"cut\",\"text\":\"never ends".to_vec()),
        (Some("not_json"), b"[1,2,3]".to_vec()),
        (Some("no_text"), b"{\"id\":\"textless\"}".to_vec()),
        (Some("empty_text"), b"{\"id\":\"empty\",\"text\":\"  \\n \"}".to_vec()),
        (Some("wrong_type"), b"{\"id\":\"typed\",\"text\":42}".to_vec()),
        (Some("not_utf8"), b"{\"id\":\"bytes\",\"text\":\"\xff\xfe\"}".to_vec()),
        (Some("too_long"), format!(r#"{{"id":"huge","text":"{}"}}"#, "x".repeat(50 << 20)).into_bytes()),
        (Some("embedding_length"), embedding("short", "1.0,2.0")),
        (Some("embedding_value"), embedding("zero", &format!("0.0{}", ",0.0".repeat(DIM - 1)))),
        (Some("embedding_value"), embedding("nan", &format!("NaN{}", ",1.0".repeat(DIM - 1)))),
        (Some("duplicate_id"), good("first")),
        (Some("id_too_long"), good(&"i".repeat(1 << 20 >> 1))),
        (Some("not_json"), format!("\"{}\"", "x".repeat(100_000)).into_bytes()),
        (None, good("last")),
    ]
}

#[test]
fn a_tour_of_bad_input() {
    let lines = lines();
    let home = Home::new("");
    let all: Vec<&[u8]> = lines.iter().map(|(_, line)| &**line).collect();
    fs_err::write(home.path("documents.jsonl"), [&all.join(&b'\n')[..], b"\n"].concat()).unwrap();
    home.good(&["run", "--exit-at-end"]);

    let assignments = home.records("assignments.jsonl");
    let assigned: Vec<&str> = assignments.iter().map(|record| record["id"].as_str().unwrap()).collect();
    assert_eq!(assigned, ["first", "last"]);

    let offsets = lines.iter().scan(0, |end, (_, line)| {
        let offset = *end;
        *end += line.len() + 1;
        Some(offset)
    });
    let expected: Vec<(&str, usize, &[u8])> = lines
        .iter()
        .zip(offsets)
        .filter_map(|((reason, line), offset)| Some(((*reason)?, offset, &**line)))
        .collect();
    let letters = home.records("dead-letters.jsonl");
    crate::schemas::check("dead_letter", &letters);
    assert_eq!(letters.len(), expected.len());
    for (letter, (reason, offset, line)) in letters.iter().zip(expected) {
        assert_eq!(letter["reason"], reason, "{letter}");
        assert_eq!(letter["offset"], offset, "{letter}");
        let original = original(letter);
        if reason == "too_long" {
            assert!(line.starts_with(&original) && !original.is_empty());
            assert_eq!(letter["cut_from_bytes"], line.len(), "{reason}");
        } else {
            assert_eq!(original, line, "the original bytes of {reason}");
        }
        let detail = letter["detail"].as_str().unwrap().len();
        assert!((1..2000).contains(&detail), "{detail} bytes of detail");
    }
}

fn original(letter: &Value) -> Vec<u8> {
    match letter["original"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => STANDARD.decode(letter["original_base64"].as_str().unwrap()).unwrap(),
    }
}
