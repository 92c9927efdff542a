//! A signal ends the daemon in time, whatever hangs, and the exit status says whether everything was committed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::topicd::{Home, documents, wait_for};

/// `shutdown.timeout_ms` of these tests.
const TIMEOUT: Duration = Duration::from_secs(3);

fn home(source: &str) -> Home {
    Home::new(source).set(&format!("shutdown.timeout_ms={}", TIMEOUT.as_millis()))
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
}

/// Sends SIGTERM; the exit status, and the time that it took.
pub(crate) fn stopped(child: &mut Child) -> (Option<i32>, Duration) {
    let start = Instant::now();
    signal(child, "-TERM");
    let status = wait_for("the end of the process", || child.try_wait().unwrap());
    (status.code(), start.elapsed())
}

/// An endpoint for embeddings that accepts, answers `answered` requests, and then says nothing any more.
pub(crate) fn silent(answered: usize) -> (String, std::sync::mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("embed.remote.url=http://{}", listener.local_addr().unwrap());
    let (hangs, hanging) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for (number, mut stream) in listener.incoming().flatten().enumerate() {
            if number < answered {
                let body = r#"{"data": [{"index": 0, "embedding": [1, 2]}]}"#;
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                assert!(lines.any(|line| line.unwrap().is_empty()));
                let head =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                stream.write_all((head + body).as_bytes()).unwrap();
            } else {
                kept.push(stream);
                let _nobody_may_wait = hangs.send(());
            }
        }
    });
    (url, hanging)
}

/// Status and body of the answer to a raw request; none if nobody listens.
pub(crate) fn asked(address: &str, request: &str) -> Option<(String, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split_whitespace().nth(1)?.to_owned(), body.to_owned()))
}

pub(crate) fn got(address: &str, path: &str) -> Option<(String, String)> {
    asked(address, &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n"))
}

#[test]
fn an_encoder_that_never_answers_at_the_start() {
    let (url, hanging) = silent(0);
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let home = home(&documents(20)).set(&url).set("embed.model=far").set(&format!("http.listen={address}"));
    let mut child = home.command(&["run"]).spawn().unwrap();
    hanging.recv_timeout(crate::topicd::DEADLINE).unwrap();
    // The door is open from the first moment.
    let (status, body) = wait_for("the door", || got(&address, "/readyz"));
    assert!(status == "503" && body.contains("the daemon is starting"), "{status} {body}");
    assert_eq!(got(&address, "/healthz").unwrap().0, "200");
    assert_eq!(got(&address, "/api/topics").unwrap().0, "503");
    let (status, took) = stopped(&mut child);
    assert!(status == Some(0) && took < TIMEOUT, "{status:?} after {took:?}");
}

#[test]
fn a_log_that_nobody_reads() {
    let home = home(&documents(600)).set("log.level=trace").set("source.batch_documents=1");
    let mut command = home.command(&["run", "--exit-at-end"]);
    // The pipe stays open and full.
    let mut child = command.spawn().unwrap();
    let status = wait_for("the end of the stream", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    assert!(home.arrivals().len() >= 600);
}

#[test]
fn a_document_writes_no_lines_of_the_log() {
    let hostile = "{\"id\": \"a\\nERROR all is lost\\u001b[31m\\u009b\\u202e\", \"text\": \"t\"}\n";
    let home = home(&format!("{hostile}{hostile}")).set("log.level=debug");
    let output = home.command(&["run", "--exit-at-end"]).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    let refused: Vec<&str> = log.lines().filter(|line| line.contains("all is lost")).collect();
    assert!(!refused.is_empty() && refused.iter().all(|line| line.starts_with("20")), "{log}");
    assert!(!log.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{log}");
}

#[test]
fn an_encoder_that_is_away_at_the_start() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let home = home(&documents(20)).set(&format!("embed.remote.url=http://{nobody}"));
    let home = home.set("embed.remote.max_attempts=1").set(&format!("http.listen={address}"));
    let mut child = home.command(&["run"]).spawn().unwrap();
    let (status, why) = wait_for("the obstacle", || {
        got(&address, "/readyz").filter(|(_, body)| body.contains("gave no embeddings"))
    });
    assert!(status == "503" && why.contains("the daemon is starting"), "{status} {why}");
    let lag = format!("topicd_source_lag_bytes {}", documents(20).len());
    let metrics = wait_for("the lag", || {
        let (_, metrics) = got(&address, "/metrics")?;
        metrics.contains(&lag).then_some(metrics)
    });
    assert!(metrics.contains("topicd_embed_postponed_total 1"), "{metrics}");
    let (status, took) = stopped(&mut child);
    assert!(status == Some(0) && took < TIMEOUT, "{status:?} after {took:?}");
}

#[test]
fn an_encoder_that_never_answers_in_the_stream() {
    let (url, hanging) = silent(1);
    let home = home(&documents(20)).set(&url).set("embed.model=far");
    let mut daemon = home.start();
    hanging.recv_timeout(crate::topicd::DEADLINE).unwrap();
    let (status, took) = stopped(&mut daemon.child);
    assert!(status == Some(1) && took <= TIMEOUT + Duration::from_secs(1), "{status:?} after {took:?}");
    assert!(home.records("assignments.jsonl").is_empty(), "what was not committed is done again");
}

#[test]
fn readiness_follows_the_encoder() {
    let (url, _hanging) = silent(1);
    let home = home(&documents(20)).set(&url).set("embed.model=far");
    let home = home.set("embed.remote.timeout_ms=100").set("embed.remote.max_attempts=1");
    let daemon = home.start();
    let address = daemon.base.trim_start_matches("http://");
    let (_, body) =
        wait_for("the obstacle", || got(address, "/readyz").filter(|(status, _)| status == "503"));
    assert!(body.contains("gave no embeddings"), "{body}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (url, hanging) = silent(1);
    let home = home(&documents(20)).set(&url).set("embed.model=far");
    let mut daemon = home.start();
    hanging.recv_timeout(crate::topicd::DEADLINE).unwrap();
    signal(&daemon.child, "-TERM");
    // Two signals that come before the first is seen are one.
    let address = daemon.base.trim_start_matches("http://").to_owned();
    wait_for("the stop", || got(&address, "/readyz").filter(|(_, body)| body.contains("is stopping")));
    let (status, took) = stopped(&mut daemon.child);
    assert!(status == Some(143) && took < TIMEOUT, "{status:?} after {took:?}");
}

#[test]
fn a_pipe_without_a_writer() {
    let home = home("");
    let pipe = home.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let home = home.set(&format!("source.path={}", pipe.display()));
    let mut daemon = home.start();
    let (status, took) = stopped(&mut daemon.child);
    assert!(status == Some(0) && took < TIMEOUT, "{status:?} after {took:?}");
}

#[test]
fn half_a_request_on_a_socket() {
    let home = home(&documents(20));
    let mut daemon = home.start();
    let mut half = TcpStream::connect(daemon.base.trim_start_matches("http://")).unwrap();
    half.write_all(b"POST /api/assign HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n")
        .unwrap();
    wait_for("the documents", || daemon.json("/api/topics").filter(|topics| topics["documents"] == 20));
    let (status, took) = stopped(&mut daemon.child);
    assert!(status == Some(0) && took < TIMEOUT, "{status:?} after {took:?}");
}

#[test]
fn a_log_that_nobody_can_take_ends_nothing() {
    let home = home(&documents(20)).set("log.level=debug");
    let mut command = home.command(&["run", "--exit-at-end"]);
    command.stderr(Stdio::from(
        fs_err::OpenOptions::new().write(true).open("/dev/full").unwrap().into_parts().0,
    ));
    assert!(command.status().unwrap().success());
    assert_eq!(home.arrivals().len(), 20);
}

#[test]
fn a_foreign_name_and_a_form_are_turned_away() {
    let home = home(&documents(20));
    let daemon = home.start();
    let address = daemon.base.trim_start_matches("http://").to_owned();
    let ask = |request: &str| asked(&address, request).unwrap().0;
    assert_eq!(ask("GET / HTTP/1.0\r\nHost: evil.example\r\n\r\n"), "421");
    assert_eq!(ask(&format!("POST /api/refit HTTP/1.0\r\nHost: {address}\r\n\r\n")), "415");
}

#[test]
fn beyond_the_loopback_a_token_is_needed() {
    let home = home(&documents(20)).set("http.listen=0.0.0.0:0");
    let refused = home.run(&["run"]);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && why.contains("http.write_token"), "{why}");
    home.set("http.auth=none").good(&["run", "--exit-at-end"]);
}
