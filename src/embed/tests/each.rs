//! Whose fault it is: an endpoint that fails in every way that was seen, and texts that no endpoint takes.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::remote_endpoint::{embedding, inputs, params};
use super::*;
use crate::embed::tests::server::{Answer, Request, Server};

/// An embedding for each input, whatever it is.
fn all(request: &Request, one: &Value) -> Answer {
    let data: Vec<Value> =
        (0..inputs(request).len()).map(|index| json!({ "index": index, "embedding": one })).collect();
    Answer::new(200, json!({ "data": data }).to_string())
}

/// Everything that an endpoint was seen to answer while it was not well.
fn ill(request: &Request, kind: usize) -> Answer {
    let status = [400, 401, 403, 404, 405, 408, 413, 422, 424, 429, 500, 501, 502, 503, 504];
    let rows = [json!([1]), json!([1, 2, 3]), json!([]), json!([0, 0]), json!([1e39, 0]), json!([null, 1])];
    let bodies = ["", "null", "{}", "<html>welcome", r#"{"data": []}"#, r#"{"data": null}"#];
    let kind = match status.get(kind) {
        Some(status) => return Answer::new(*status, "<html>no"),
        None => kind - status.len(),
    };
    if let Some(body) = bodies.get(kind) {
        return Answer::new(200, *body);
    }
    match kind - bodies.len() {
        0 => all(request, &Value::Null),
        1 => Answer::new(200, r#"{"data": [{"index": 0, "embedding": [NaN, 1]}]}"#),
        2 => Answer { cut: Some(3), ..embedding(request) },
        more => all(request, &rows[more - 3]),
    }
}

/// An endpoint that is ill in the way `kind` at the requests for which `is_ill` says so, counted from 0, and otherwise
/// refuses what holds "bad"; the first request asks for the dimension.
fn endpoint(kind: usize, is_ill: impl Fn(usize) -> bool + Send + Sync + 'static) -> (Server, Embedder) {
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        if number > 0 && is_ill(number - 1) {
            return ill(request, kind);
        }
        let is_bad = inputs(request).iter().any(|text| text.contains("bad"));
        if is_bad { Answer::new(400, "no such word") } else { embedding(request) }
    });
    let mut params = params(&server);
    params.remote = params.remote.map(|remote| remote::Params { max_attempts: 1, ..remote });
    let embedder = open(params);
    (server, embedder)
}

/// How many ways there are to be ill.
const KINDS: usize = 30;

#[test]
fn an_endpoint_that_is_ill_refuses_nobody() {
    for kind in 0..KINDS {
        let (_server, embedder) = endpoint(kind, |number| number < 7);
        let texts = ["one", "two", "three", "four", "five"];
        let mut waits = 0;
        let each = loop {
            match embedder.embed_each(&texts) {
                Ok(each) => break each,
                Err(error) => assert!(error.is_from_an_endpoint(), "{kind}: {error}"),
            }
            waits += 1;
        };
        assert!(waits >= 1 && each.of_text.iter().all(Result::is_ok), "{kind}: {waits} waits, {each:?}");
    }
}

/// Whatever an endpoint does, while it may do it for ever.
#[test]
fn an_endpoint_that_comes_and_goes_refuses_no_good_text() {
    let random = |number: usize| (number as u64 + 7).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 63 == 1;
    let goes: Vec<Box<dyn Fn(usize) -> bool + Send + Sync>> = vec![
        Box::new(|number| number % 2 == 0),
        Box::new(|number| number % 2 == 1),
        Box::new(|number| number % 3 == 0),
        Box::new(|number| number % 3 != 0),
        Box::new(|number| number % 4 < 2),
        Box::new(|number| number % 5 < 3),
        Box::new(|number| (number / 20) % 2 == 0),
        Box::new(random),
    ];
    for (pattern, goes) in goes.into_iter().enumerate() {
        let (_server, embedder) = endpoint(0, goes);
        let texts: Vec<String> = (0..12).map(|n| format!("text {n}")).collect();
        let (mut refused, mut made) = (0, 0);
        for _ in 0..60 {
            if let Ok(each) = embedder.embed_each(&strs(&texts)) {
                refused += each.of_text.iter().filter(|text| text.is_err()).count();
                made += 1;
            }
        }
        assert_eq!(refused, 0, "pattern {pattern}, {made} times made");
    }
}

#[test]
fn exactly_the_bad_texts_are_refused() {
    let (server, embedder) = endpoint(0, |_| false);
    let texts: Vec<String> = (0..40).map(|n| format!("text {n}")).collect();
    let mut mixed = texts.clone();
    mixed[7] = "a bad text".to_owned();
    mixed[33] = "another bad text".to_owned();
    let each = embedder.embed_each(&strs(&mixed)).unwrap();
    assert!(each.divided.is_some_and(|error| error.to_string().contains("400")));
    let good = embedder.embed(&strs(&texts)).unwrap().rows;
    for (at, made) in each.of_text.iter().enumerate() {
        match made {
            Ok(made) => assert_eq!(made.row, good.row(at)),
            Err(error) => assert!([7, 33].contains(&at) && error.to_string().contains("no such word")),
        }
    }
    assert_eq!(each.of_text.iter().filter(|made| made.is_err()).count(), 2);
    assert!(server.requests().len() < 120, "{} requests", server.requests().len());
}

#[test]
fn a_batch_that_is_too_large_is_halved() {
    let server = Server::start(|request| {
        if inputs(request).len() > 2 { Answer::new(413, "at most 2") } else { embedding(request) }
    });
    let mut params = params(&server);
    params.remote = params.remote.map(|remote| remote::Params { batch_texts: 64, ..remote });
    let embedder = open(params);
    let texts: Vec<String> = (0..16).map(|n| format!("text {n}")).collect();
    let each = embedder.embed_each(&strs(&texts)).unwrap();
    assert!(each.divided.is_some() && each.of_text.iter().all(Result::is_ok));
    let sizes: Vec<usize> = server.requests().iter().map(|request| inputs(request).len()).collect();
    assert_eq!(sizes, [1, 16, 1, 8, 4, 2, 2, 4, 2, 2, 8, 4, 2, 2, 4, 2, 2]);
}
