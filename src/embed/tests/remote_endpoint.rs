//! The client of `/v1/embeddings` against a server that behaves and one that does not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};

use super::*;
use crate::embed::each::GOOD;
use crate::embed::tests::server::{Answer, Request, Server};

pub(super) fn params(server: &Server) -> Params {
    let remote = remote::Params {
        url: server.url.as_str().into(),
        token: "hush".into(),
        batch_texts: 3,
        first_wait_ms: 1,
        max_wait_ms: 5,
        max_attempts: 4,
        document_prompt: "passage: ".to_owned(),
        query_prompt: "query: ".to_owned(),
        ..remote::Params::default()
    };
    Params { model: "e5".into(), remote: Some(remote), cache_texts: 0, ..Params::default() }
}

pub(super) fn inputs(request: &Request) -> Vec<String> {
    let asked: Value = serde_json::from_slice(&request.body).unwrap();
    serde_json::from_value(asked["input"].clone()).unwrap()
}

/// Each text's row is made of its length and its first byte; the last comes first, as it may.
pub(super) fn embedding(request: &Request) -> Answer {
    let inputs = inputs(request);
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .rev()
        .map(|(index, text)| json!({ "index": index, "embedding": [text.len(), text.as_bytes()[0]] }))
        .collect();
    Answer::new(200, json!({ "data": data, "usage": { "prompt_tokens": 7 } }).to_string())
}

fn rows(texts: &[&str]) -> UnitRows {
    let row = |text: &&str| [text.len() as f32, f32::from(text.as_bytes()[0])];
    let rows: Vec<[f32; 2]> = texts.iter().map(row).collect();
    UnitRows::from_rows(2, rows.iter().map(<[f32; 2]>::as_slice)).unwrap()
}

#[test]
fn texts_go_in_batches_and_come_back_in_order() {
    let server = Server::start(embedding);
    let embedder = open(params(&server));
    assert_eq!((embedder.dim(), embedder.name()), (2, "e5@remote"));
    let texts = ["a", "bb", "ccc", "dddd", "eeeee", "ffffff", "g"];
    let made = embedder.embed(&texts).unwrap();
    let prompted: Vec<String> = texts.iter().map(|text| format!("passage: {text}")).collect();
    assert_eq!(made.rows, rows(&strs(&prompted)));
    assert_eq!(made.counts.tokens, 21);
    assert_eq!(embedder.embed_queries(&["a"]).unwrap().rows, rows(&["query: a"]));

    let requests = server.requests();
    let mut sizes: Vec<usize> = requests[1..4].iter().map(|request| inputs(request).len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 3, 3]);
    for request in &requests {
        assert_eq!(request.path, "/v1/embeddings");
        assert_eq!(request.headers["authorization"], "Bearer hush");
        let asked: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(asked["model"], "e5");
    }
}

#[test]
fn what_passes_is_tried_again_and_what_does_not_is_told() {
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |request| match asked.fetch_add(1, Ordering::Relaxed) {
        0 | 4.. => embedding(request),
        1 => Answer::new(503, "starting"),
        2 => Answer::new(429, "").header("retry-after", 0),
        _ => Answer { cut: Some(3), ..embedding(request) },
    });
    let embedder = open(params(&server));
    assert_eq!(embedder.embed(&["a"]).unwrap().rows, rows(&["passage: a"]));
    assert_eq!(server.requests().len(), 5);
}

#[test]
fn an_endpoint_that_stays_away_is_a_passing_error() {
    let server = Server::start(|_| Answer::new(502, "bad gateway"));
    let error = Embedder::open(&params(&server).check().unwrap()).err().unwrap();
    assert!(error.is_passing());
    assert_eq!(
        error.to_string(),
        format!(
            "`{}/v1/embeddings` gave no embeddings after 4 attempts: status 502, bad gateway; see `embed.remote`",
            server.url
        )
    );
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_refusal_and_a_strange_answer_are_told_at_once() {
    let refuse = |answer: fn(&Request) -> Answer| {
        let server = Server::start(answer);
        let error = Embedder::open(&params(&server).check().unwrap()).err().unwrap();
        assert!(!error.is_passing());
        assert_eq!(server.requests().len(), 1);
        error.to_string().replace(&server.url, "URL")
    };
    assert_eq!(
        refuse(|_| Answer::new(401, "who are you?")),
        "`URL/v1/embeddings` refused: 401, who are you?; see `embed.remote` and the endpoint's log"
    );
    let html = refuse(|_| Answer::new(200, "<html>"));
    assert!(html.starts_with("`URL/v1/embeddings` answered with no such JSON ("), "{html}");
    assert_eq!(
        refuse(|_| Answer::new(200, r#"{"data": []}"#)),
        "`URL/v1/embeddings` answered with 0 embeddings but must answer with one for each of 1 texts; is it an \
         OpenAI-compatible endpoint?"
    );
}

#[test]
fn an_embedding_of_another_length_is_refused() {
    let server = Server::start(|request| {
        let length = if inputs(request)[0] == GOOD { 2 } else { 3 };
        let row = vec![1.0; length];
        Answer::new(200, json!({ "data": [{ "index": 0, "embedding": row }] }).to_string())
    });
    let error = open(params(&server)).embed(&["a"]).unwrap_err().to_string();
    assert!(error.contains("answered with 3 numbers but must answer with 2, as before"), "{error}");
}

#[test]
fn requests_under_way_are_bounded() {
    let under_way = Arc::new((Mutex::new((0, 0)), Condvar::new()));
    let seen = under_way.clone();
    let server = Server::start(move |request| {
        let (counts, changed) = &*seen;
        let mut now = counts.lock().unwrap();
        now.0 += 1;
        now.1 = now.1.max(now.0);
        changed.notify_all();
        // Wait for company, so that the bound is reached; the dimension's request and the last one get none.
        let (mut now, _) = changed
            .wait_timeout_while(now, std::time::Duration::from_millis(300), |(now, _)| *now < 2)
            .unwrap();
        now.0 -= 1;
        drop(now);
        embedding(request)
    });
    let mut params = params(&server);
    params.remote = params.remote.map(|remote| remote::Params { batch_texts: 1, concurrency: 2, ..remote });
    open(params).embed(&["a", "b", "c", "d", "e", "f"]).unwrap();
    assert_eq!(under_way.0.lock().unwrap().1, 2);
}

#[test]
fn the_address_may_be_given_in_three_ways_and_the_token_is_never_shown() {
    let server = Server::start(embedding);
    for end in ["", "/", "/v1", "/v1/embeddings"] {
        let mut params = params(&server);
        params.remote = params
            .remote
            .map(|remote| remote::Params { url: format!("{}{end}", server.url).as_str().into(), ..remote });
        assert!(!format!("{params:?}").contains("hush"));
        open(params);
    }
    assert!(server.requests().iter().all(|request| request.path == "/v1/embeddings"));
}

#[test]
fn settings_out_of_range_are_refused() {
    let refused = |remote: remote::Params| {
        let params = Params { remote: Some(remote), ..Params::default() };
        params.check().unwrap_err().to_string()
    };
    let base = || remote::Params { url: "http://gpu".into(), ..remote::Params::default() };
    assert_eq!(
        refused(remote::Params { url: "user:hush@gpu".into(), ..base() }),
        "`embed.remote.url` is something else but must be a URL that starts with http:// or https://"
    );
    assert_eq!(
        refused(remote::Params { concurrency: 0, ..base() }),
        "`embed.remote.concurrency` is 0 but must be 1 to 256"
    );
    let windows = Params { remote: Some(base()), long_documents: LongDocuments::Mean, ..Params::default() };
    assert!(windows.check().is_err());
}
