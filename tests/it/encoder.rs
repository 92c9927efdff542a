//! Encoders as a user meets them: tried, changed under a state, and on documents longer than they read.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};

use crate::topicd::{Home, cache, documents};

/// The model that the set-up installs, pooled by the first token: another model with the same weights.
fn other_model(home: &Home) -> String {
    let (from, to) = (cache().join("models/all-MiniLM-L6-v2"), home.path("cls"));
    for file in
        ["config.json", "tokenizer.json", "modules.json", "sentence_bert_config.json", "onnx/model.onnx"]
    {
        fs_err::create_dir_all(to.join(file).parent().unwrap()).unwrap();
        fs_err::copy(from.join(file), to.join(file)).unwrap();
    }
    fs_err::create_dir_all(to.join("1_Pooling")).unwrap();
    fs_err::write(to.join("1_Pooling/config.json"), r#"{"pooling_mode_cls_token": true}"#).unwrap();
    format!("embed.model={}", to.display())
}

#[test]
fn check_says_what_a_model_is() {
    let home = Home::new("");
    let facts: Value = serde_json::from_str(&home.good(&["model", "check", "--json"])).unwrap();
    assert_eq!((facts["dimension"].as_u64(), facts["pooling"].as_str()), (Some(384), Some("mean")));
    assert_eq!(facts["max_tokens"], 256);
    assert!(facts["documents_per_second"].as_f64().unwrap() > 0.0, "{facts}");
    let missing = home.run(&["model", "check", "no/such"]);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("`topicd model pull`"));
}

#[test]
fn a_state_goes_over_to_another_encoder() {
    let home = Home::new(&documents(400));
    let fitted: Value =
        serde_json::from_str(&home.good(&["fit", "documents.jsonl", "--min-cluster-size", "30", "--json"]))
            .unwrap();
    let other = other_model(&home);
    let refused = home.run(&["run", "--exit-at-end", "--set", &other]);
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && why.contains("`topicd reembed NEW_FOLDER`"), "{why}");

    let carried: Value =
        serde_json::from_str(&home.good(&["reembed", "other-state", "--set", &other, "--json"])).unwrap();
    assert_eq!(carried["documents"], 400);
    let state = ["--set", &other, "--set", "state.directory=other-state"];
    let topics: Value =
        serde_json::from_str(&home.good(&[&["topics", "--json"][..], &state].concat())).unwrap();
    let names = |topics: &Value| -> Vec<(Value, Value, Value)> {
        let topics = topics["topics"].as_array().unwrap();
        topics.iter().map(|it| (it["id"].clone(), it["name"].clone(), it["size"].clone())).collect()
    };
    assert_eq!(names(&topics), names(&fitted["model"]));
    let found = home.good(&[&["find", "a rocket to the moon", "--json"][..], &state].concat());
    let found: Value = serde_json::from_str(&found).unwrap();
    let keywords = found[0]["keywords"].to_string();
    assert!(keywords.contains("orbit") || keywords.contains("rocket"), "{found}");
    // The stream goes on in the new state: everything in the source was read before.
    home.good(&[&["run", "--exit-at-end"][..], &state].concat());

    let again = home.run(&[&["reembed", "third"][..], &state].concat());
    assert!(String::from_utf8_lossy(&again.stderr).contains("already"));
}

#[test]
fn a_long_document_has_the_topics_of_its_parts() {
    let both = "the football and the goal and the league and the striker and the coach and the stadium and the penalty. \
                the rocket and the orbit and the planet and the moon and the comet and the galaxy and the telescope.";
    let home = Home::new(&documents(400))
        .set("source.path=more.jsonl")
        .set("embed.max_tokens=16")
        .set("embed.window_overlap=2")
        .set("embed.long_documents=max_sim");
    home.good(&["fit", "documents.jsonl", "--min-cluster-size", "30"]);
    let short = documents(1).replace("d0", "short");
    let long = json!({ "id": "both", "text": both });
    fs_err::write(home.path("more.jsonl"), format!("{short}{long}\n")).unwrap();
    home.good(&["run", "--exit-at-end"]);
    let records = home.records("assignments.jsonl");
    let record = records.iter().find(|record| record["id"] == "both").unwrap();
    let further = record["further"].as_array();
    assert!(record["topic"].as_i64() >= Some(0) && further.is_some_and(|it| !it.is_empty()), "{record}");
    let short = records.iter().find(|record| record["id"] == "short").unwrap();
    assert!(short["further"].is_null(), "one part, one topic: {short}");
}

/// Answers one request of `/v1/embeddings`, or says 503; a client that goes away is its own affair.
fn answer(mut stream: TcpStream, busy: bool) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        lines.read_line(&mut line)?;
        match line.trim().to_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            None if line.trim().is_empty() => break,
            Some(_) | None => {}
        }
    }
    let mut body = vec![0; length];
    lines.read_exact(&mut body)?;
    let asked: Value = serde_json::from_slice(&body)?;
    let texts = asked["input"].as_array().unwrap().iter().enumerate();
    let data = texts.map(|(index, text)| json!({ "index": index, "embedding": [1, text.to_string().len()] }));
    let body = json!({ "data": data.collect::<Vec<_>>() }).to_string();
    let status = if busy { "503 Busy" } else { "200 OK" };
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

#[test]
fn the_stream_waits_for_an_endpoint_that_is_away_and_loses_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("embed.remote.url=http://{}", listener.local_addr().unwrap());
    // The first request asks for the dimension, the second is the first batch.
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            std::thread::spawn(move || answer(stream, number == 1));
        }
    });
    let home = Home::new(&documents(20)).set(&url).set("embed.model=far").set("embed.remote.max_attempts=1");
    home.good(&["run", "--exit-at-end"]);
    assert_eq!(home.records("assignments.jsonl").len(), 20);
    assert!(home.records("dead-letters.jsonl").is_empty());
}
