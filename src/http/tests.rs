//! The door against clients that keep no rule, over real sockets.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(30);

fn limits() -> Limits {
    let short = Duration::from_millis(200);
    Limits { silent: short, head: short, body: short, ..Limits::new(8) }
}

/// A daemon that is starting; where it listens.
async fn starting(limits: Limits) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let door = Arc::new(Door { write: "hush".into(), ..Door::default() });
    tokio::spawn(serve(
        listener,
        tokio::sync::watch::channel(door).1,
        Inside::new(Telemetry::new().unwrap()),
        limits,
        CancellationToken::new(),
    ));
    address
}

/// All that comes back on a connection over which `request` went.
async fn told(address: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    rest(stream).await
}

async fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

fn check(answer: &str, status: u16, detail: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{status}: {answer:?}"));
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
    assert!(head.to_ascii_lowercase().contains("content-type: application/problem+json"), "{answer}");
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem["status"], status, "{answer}");
    assert_eq!(problem["type"], "about:blank");
    assert!(problem["title"].is_string(), "{answer}");
    assert!(problem["detail"].as_str().unwrap().contains(detail), "{answer}");
}

const JSON: &str = "Host: localhost\r\nAuthorization: Bearer hush\r\nContent-Type: application/json\r\n";

fn post(headers: &str, body: &str) -> Vec<u8> {
    format!("POST /api/assign HTTP/1.1\r\n{JSON}Connection: close\r\n{headers}\r\n{body}").into_bytes()
}

#[tokio::test]
async fn whatever_comes_is_answered_with_a_problem() {
    let address = starting(limits()).await;
    let many = "a: b\r\n".repeat(200);
    let long = "x".repeat(64 << 10);
    let chunks = format!("{:x}\r\n{}\r\n", 6 << 20, "x".repeat(6 << 20)).repeat(2);
    let close = "Connection: close\r\n";
    for (request, status, detail) in [
        (b"GARBAGE\r\n\r\n".to_vec(), 400, "no request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), 400, "no request"),
        (format!("GET / HTTP/1.1\r\n{many}\r\n").into_bytes(), 431, "100 lines"),
        (format!("GET / HTTP/1.1\r\na: {long}\r\n\r\n").into_bytes(), 431, "16384 bytes"),
        (format!("GET /{long} HTTP/1.1\r\n\r\n").into_bytes(), 431, "16384 bytes"),
        (b"GET / HTTP/1.1\r\nHost: loc".to_vec(), 408, "head of the request"),
        (format!("GET / HTTP/1.1\r\nHost: evil.example\r\n{close}\r\n").into_bytes(), 421, "http.hosts"),
        (format!("GET / HTTP/1.1\r\nHost: localhost\r\n{close}\r\n").into_bytes(), 401, "http.read_token"),
        (post("Content-Length: 9\r\n", "{"), 408, "body did not arrive"),
        (post("Content-Length: 99999999999\r\n", ""), 408, "body did not arrive"),
        (post("Content-Length: 99999999999\r\nExpect: 100-continue\r\n", ""), 413, "8388608 bytes"),
        (post("Transfer-Encoding: chunked\r\n", "zzz\r\n"), 400, "broke off"),
        (post("Transfer-Encoding: chunked\r\n", &(chunks + "0\r\n\r\n")), 413, "8388608 bytes"),
        (post("Content-Length: 2\r\n", "{}"), 503, "is starting"),
        (format!("GET /readyz HTTP/1.1\r\nHost: localhost\r\n{close}\r\n").into_bytes(), 503, "is starting"),
    ] {
        check(&told(&address, &request).await, status, detail);
    }
    let alive = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{close}\r\n");
    assert!(told(&address, alive.as_bytes()).await.ends_with("\r\n\r\nok\n"));
}

/// A client that sends all before it looks for the answer gets it nevertheless.
#[tokio::test]
async fn a_large_body_is_taken_before_it_is_refused() {
    let address = starting(Limits::new(8)).await;
    let body = "x".repeat(12 << 20);
    let length = format!("Content-Length: {}\r\n", body.len());
    check(&told(&address, &post(&length, &body)).await, 413, "8388608 bytes");
    let stranger = String::from_utf8(post(&length, &body)).unwrap().replace("hush", "other");
    check(&told(&address, stranger.as_bytes()).await, 401, "show a token");
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_word() {
    let address = starting(limits()).await;
    assert_eq!(told(&address, b"").await, "");
    let kept = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answers = told(&address, kept.repeat(2).as_bytes()).await;
    assert!(answers.matches("\r\n\r\nok\n").count() == 2 && answers.ends_with("ok\n"), "{answers}");
}

#[tokio::test]
async fn who_holds_connections_open_shuts_nobody_out() {
    let address = starting(Limits { head: DEADLINE, body: DEADLINE, ..Limits::new(8) }).await;
    let mut idle = Vec::new();
    for number in 0..40 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        // Silent, in the middle of a head, in the middle of a body.
        let sent = match number % 3 {
            0 => Vec::new(),
            1 => b"GET / HTTP/1.1\r\nHost:".to_vec(),
            _ => post("Content-Length: 9\r\n", "{"),
        };
        stream.write_all(&sent).await.unwrap();
        idle.push(stream);
    }
    let alive =
        told(&address, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(alive.ends_with("ok\n"), "{alive}");
    // The one that has waited the longest had to go.
    let mut first = idle.swap_remove(0);
    let gone = tokio::time::timeout(DEADLINE, first.read(&mut [0])).await.unwrap();
    assert!(gone.is_err() || gone.is_ok_and(|bytes| bytes == 0));
}

#[tokio::test]
async fn bodies_have_room_for_so_many_bytes_in_all() {
    let address = starting(Limits { all_bodies: 1000, body: DEADLINE, ..Limits::new(8) }).await;
    let mut held = TcpStream::connect(&address).await.unwrap();
    held.write_all(&post("Content-Length: 901\r\n", &"x".repeat(900))).await.unwrap();
    let small = post("Content-Length: 200\r\n", &"x".repeat(200));
    // Until the first body is here, the second finds room.
    let busy = tokio::time::timeout(DEADLINE, async {
        loop {
            let answer = told(&address, &small).await;
            if answer.contains("busy") {
                return answer;
            }
        }
    });
    let busy = busy.await.unwrap();
    check(&busy, 503, "too many large requests");
    assert!(busy.contains("retry-after: 1"), "{busy}");
    held.write_all(b"x").await.unwrap();
    check(&rest(held).await, 503, "is starting");
    check(&told(&address, &small).await, 503, "is starting");
}
