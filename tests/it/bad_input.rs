//! Every kind of bad input goes to the dead letters with its reason, and the stream goes on.

use base64::Engine;
use serde_json::json;

use crate::topicd::Home;

const DIM: usize = 384;

#[test]
fn a_tour_of_bad_input() {
    let good =
        |id: &str| json!({ "id": id, "text": "a good document about football" }).to_string().into_bytes();
    let embedding = |values: serde_json::Value| {
        json!({ "id": values.to_string().len(), "text": "with a vector", "embedding": values })
            .to_string()
            .into_bytes()
    };
    let mut nan = format!("{{\"id\":\"nan\",\"text\":\"x\",\"embedding\":[NaN{}]}}", ",1.0".repeat(DIM - 1))
        .into_bytes();
    let huge = format!("{{\"id\":\"huge\",\"text\":\"{}\"}}", "x".repeat(50 << 20)).into_bytes();
    let lines: Vec<(Option<&str>, Vec<u8>)> = vec![
        (None, good("first")),
        (Some("not_json"), b"not json at all".to_vec()),
        (Some("not_json"), b"{\"id\":\"cut\",\"text\":\"never ends".to_vec()),
        (Some("not_json"), b"[1,2,3]".to_vec()),
        (Some("no_text"), b"{\"id\":\"textless\"}".to_vec()),
        (Some("empty_text"), b"{\"id\":\"empty\",\"text\":\"  \\n \"}".to_vec()),
        (Some("wrong_type"), b"{\"id\":\"typed\",\"text\":42}".to_vec()),
        (Some("not_utf8"), b"{\"id\":\"bytes\",\"text\":\"\xff\xfe\"}".to_vec()),
        (Some("too_long"), huge),
        (Some("embedding_length"), embedding(json!([1.0, 2.0]))),
        (Some("embedding_value"), embedding(json!(vec![0.0; DIM]))),
        (Some("embedding_value"), std::mem::take(&mut nan)),
        (Some("duplicate_id"), good("first")),
        (None, good("last")),
    ];
    let home = Home::new("");
    let mut bytes = Vec::new();
    lines.iter().for_each(|(_, line)| {
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
    });
    fs_err::write(home.path("documents.jsonl"), &bytes).unwrap();
    home.good(&["run", "--exit-at-end"]);

    let assigned: Vec<String> = home
        .records("assignments.jsonl")
        .iter()
        .map(|record| record["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(assigned, ["first", "last"]);
    let letters = home.records("dead-letters.jsonl");
    let expected: Vec<(&str, &[u8])> = lines
        .iter()
        .filter_map(|(reason, line)| Some((reason.as_ref().copied()?, line.as_slice())))
        .collect();
    assert_eq!(letters.len(), expected.len());
    let mut offset = 0;
    let mut offsets = Vec::new();
    for (reason, line) in &lines {
        if reason.is_some() {
            offsets.push(offset);
        }
        offset += line.len() as u64 + 1;
    }
    for ((letter, (reason, line)), offset) in letters.iter().zip(expected).zip(offsets) {
        assert_eq!(letter["reason"], reason, "{letter}");
        assert_eq!(letter["offset"], offset, "{letter}");
        let original = match letter["original"].as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => base64::engine::general_purpose::STANDARD
                .decode(letter["original_base64"].as_str().unwrap())
                .unwrap(),
        };
        if reason == "too_long" {
            assert!(line.starts_with(&original) && !original.is_empty());
        } else {
            assert_eq!(original, line, "the original bytes of {reason}");
        }
        assert!(!letter["detail"].as_str().unwrap().is_empty());
    }
}
