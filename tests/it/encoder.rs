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

/// What an endpoint is told to do with a request.
type Treatment = fn(number: usize, texts: &[String]) -> Option<(u16, &'static str)>;

/// An endpoint for embeddings; what `treatment` has for a request, counted from 0, is answered in place of embeddings.
fn endpoint(treatment: Treatment) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("embed.remote.url=http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            // A client that goes away is its own affair.
            std::thread::spawn(move || answer(stream, number, treatment));
        }
    });
    url
}

fn answer(mut stream: TcpStream, number: usize, treatment: Treatment) -> std::io::Result<()> {
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
    let texts: Vec<String> = serde_json::from_value(asked["input"].clone())?;
    let rows = texts.iter().enumerate();
    let data = rows.map(|(index, text)| json!({ "index": index, "embedding": [1, text.len()] }));
    let made = json!({ "data": data.collect::<Vec<_>>() }).to_string();
    let (status, body) = treatment(number, &texts).unwrap_or((200, &made));
    write!(stream, "HTTP/1.1 {status} S\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn far(documents: &str, url: &str) -> Home {
    Home::new(documents).set(url).set("embed.model=far").set("embed.remote.max_attempts=1")
}

#[test]
fn the_stream_waits_for_an_endpoint_that_is_ill_and_refuses_nobody() {
    // The first request asks for the dimension, the second is the first batch, the third looks at the endpoint.
    let url = endpoint(|number, _| match number {
        1 | 4 => Some((400, "<html>no")),
        2 => Some((401, "who are you?")),
        3 => Some((503, "busy")),
        5 => Some((200, r#"{"data": [{"index": 0, "embedding": [1, 2, 3]}]}"#)),
        _ => None,
    });
    let home = far(&documents(20), &url);
    home.good(&["run", "--exit-at-end"]);
    assert_eq!(home.arrivals().len(), 20);
    assert!(home.records("dead-letters.jsonl").is_empty());
}

#[test]
fn only_the_text_that_an_endpoint_never_takes_is_a_dead_letter() {
    let url = endpoint(|_, texts| {
        texts.iter().any(|text| text.contains("unspeakable")).then_some((400, "an unspeakable word"))
    });
    let bad = json!({ "id": "bad", "text": "this is unspeakable" });
    let home = far(&format!("{}{bad}\n{}", documents(9), documents(12).replace("\"d", "\"e")), &url);
    home.good(&["run", "--exit-at-end"]);
    assert_eq!(home.arrivals().len(), 21);
    let letters = home.records("dead-letters.jsonl");
    assert_eq!((letters.len(), &letters[0]["reason"]), (1, &json!("embedding_failed")), "{letters:?}");
    assert!(letters[0]["detail"].as_str().unwrap().contains("an unspeakable word"), "{letters:?}");
    assert_eq!(letters[0]["original"], bad.to_string(), "the whole line, not its text alone");
}

#[test]
fn the_daemon_starts_while_its_endpoint_is_ill_and_a_command_does_not() {
    let url = endpoint(|number, _| match number {
        0 => Some((404, "no such model")),
        1 => Some((503, "loading")),
        _ => None,
    });
    let home = far(&documents(20), &url);
    home.good(&["run", "--exit-at-end"]);
    assert_eq!(home.arrivals().len(), 20);

    let away = far(&documents(20), &endpoint(|_, _| Some((401, "who are you?"))));
    let refused = away.run(&["fit", "documents.jsonl"]);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && why.contains("401, who are you?"), "{why}");
    assert!(why.contains("`embed.remote`"), "{why}");
}

#[test]
fn a_fit_that_ends_half_way_is_none() {
    let home = Home::new(&documents(200)).set("embed.model=far").set("embed.remote.max_attempts=1");
    let fit = |url: &str| home.run(&["fit", "documents.jsonl", "--min-cluster-size", "20", "--set", url]);
    let half = fit(&endpoint(|number, _| (number > 0).then_some((503, "gone"))));
    assert!(String::from_utf8_lossy(&half.stderr).contains("503, gone"));
    // As if it had been killed while it wrote.
    fs_err::write(home.path("topicd-data/output/assignments.jsonl"), "{\"id\": \"d0\"}\n{\"id").unwrap();
    assert!(home.good(&["topics", "--json"]).contains("\"documents\":0"));
    let whole = fit(&endpoint(|_, _| None));
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
    assert_eq!(home.arrivals().len(), 200);
    let topics: Value = serde_json::from_str(&home.good(&["topics", "--json"])).unwrap();
    assert_eq!(topics["documents"], 200);
}
