//! What the door of a running daemon says to questions that it cannot take.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::stopping::{asked, silent};
use crate::topicd::{Daemon, Home, documents, wait_for};

/// Documents with embeddings of two numbers.
fn embedded(n: usize) -> String {
    let document =
        |number: usize| json!({ "id": format!("d{number}"), "text": "a b", "embedding": [1, number % 2] });
    (0..n).fold(String::new(), |all, number| all + &document(number).to_string() + "\n")
}

fn post(address: &str, path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

#[test]
fn every_error_is_a_problem() {
    let home = Home::new(&documents(20));
    let daemon = home.start();
    let address = daemon.base.trim_start_matches("http://");
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let many = json!({ "texts": vec!["a"; 1001] }).to_string();
    for (request, status, detail) in [
        (post(address, "/api/assign", "{\"texts\":"), 400, "EOF"),
        (post(address, "/api/assign", "{\"text\": [\"a\"]}"), 422, "missing field `texts`"),
        (post(address, "/api/assign", &many), 413, "1001 texts"),
        (post(address, "/api/operate", "{\"action\": \"explode\"}"), 422, "explode"),
        (post(address, "/api/operate", "{\"action\": \"pin\", \"topic\": 7}"), 404, "7"),
        (post(address, "/healthz", "{}"), 405, "GET"),
        (get("/api/events?after=x"), 400, "after"),
        (get("/api/topics/x"), 400, "x"),
        (get("/api/topics/7"), 404, "7"),
        (get("/api/nothing"), 404, "no such path"),
        (get("/page/nothing.js"), 404, "no such file"),
        (get("/api/find"), 400, "`keyword`"),
    ] {
        let (found, body) = asked(address, &request).unwrap();
        assert_eq!(found, status.to_string(), "{body}");
        let problem: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{status}: {body}"));
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
        assert!(problem["status"] == status && problem["type"] == "about:blank", "{problem}");
    }
}

#[test]
fn the_name_that_other_nodes_use_is_known() {
    let home = Home::new(&documents(20)).set("http.advertise=http://topicd-0.topicd:9464");
    let daemon = home.start();
    let address = daemon.base.trim_start_matches("http://");
    for (host, status) in
        [("topicd-0.topicd:9464", "200"), ("topicd-0.topicd", "200"), ("topicd-1.topicd:9464", "421")]
    {
        let request = format!("GET /api/topics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(asked(address, &request).unwrap().0, status, "{host}");
    }
}

#[test]
fn questions_at_the_encoder_are_bounded() {
    let (url, hanging) = silent(1);
    let home = Home::new(&embedded(40)).set(&url).set("embed.model=far").set("shutdown.timeout_ms=3000");
    let daemon = home.start();
    wait_for("the documents", || daemon.json("/api/topics").filter(|topics| topics["documents"] == 40));
    let address = daemon.base.trim_start_matches("http://").to_owned();
    let question = post(&address, "/api/assign", &json!({ "texts": vec!["a long text"; 500] }).to_string());
    let (answers, answered) = std::sync::mpsc::channel();
    for _ in 0..60 {
        let (address, question, answers) = (address.clone(), question.clone(), answers.clone());
        std::thread::spawn(move || answers.send(asked(&address, &question)));
    }
    hanging.recv_timeout(crate::topicd::DEADLINE).unwrap();
    // Two are at the encoder, 16 wait, and all others hear so at once.
    for _ in 0..42 {
        let (status, body) = answered.recv_timeout(crate::topicd::DEADLINE).unwrap().unwrap();
        assert!(status == "503" && body.contains("wait for the encoder"), "{status} {body}");
    }
    assert!(answered.try_recv().is_err(), "the others wait");
    let threads = fs_err::read_dir(format!("/proc/{}/task", daemon.child.id())).unwrap().count();
    assert!(threads < 60, "{threads} threads");
    // Everything that needs no encoder is answered.
    assert!(daemon.json("/api/topics").is_some() && daemon.get("/metrics").is_some());
}

#[test]
fn a_command_hears_which_limit_it_met() {
    let home = Home::new(&documents(20));
    let daemon = home.start();
    wait_for("the documents", || daemon.json("/api/topics").filter(|topics| topics["documents"] == 20));
    let assign = |text: &str| {
        let mut child = home.command(&["assign"]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let many = assign(&format!("{}\n", "rocket orbit launch ".repeat(1200)).repeat(120));
    assert!(many.status.success(), "{}", String::from_utf8_lossy(&many.stderr));
    assert_eq!(String::from_utf8_lossy(&many.stdout).lines().count(), 1 + 120);
    let huge = assign(&"rocket orbit ".repeat(1 << 20));
    let why = String::from_utf8_lossy(&huge.stderr).into_owned();
    assert!(!huge.status.success() && why.contains("more than 8388608 bytes"), "{why}");
    home.good(&["find", &"rocket orbit ".repeat(7700)]);
}

/// With few descriptors, enough of them are left for the state and the outputs.
#[test]
fn idle_connections_do_not_stop_the_stream() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (url, _hanging) = silent(1);
    let home = Home::new(&embedded(10)).set(&url).set("embed.model=far").set("source.follow=true");
    let home = home.set(&format!("http.listen={address}"));
    let plain = home.command(&["run"]);
    let mut limited = Command::new("prlimit");
    limited.arg("--nofile=128:256").arg(plain.get_program()).args(plain.get_args());
    let child =
        limited.current_dir(home.path("")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let daemon = Daemon { child, base: format!("http://{address}") };
    let read = |documents: u64| {
        let topics = || daemon.json("/api/topics").filter(|topics| topics["documents"] == documents);
        wait_for("the documents", topics);
    };
    read(10);
    let idle: Vec<TcpStream> = (0..400).map(|_| TcpStream::connect(&address).unwrap()).collect();
    let mut file = fs_err::OpenOptions::new().append(true).open(home.path("documents.jsonl")).unwrap();
    for line in embedded(20).lines().skip(10) {
        writeln!(file, "{line}").unwrap();
    }
    read(20);
    assert_eq!(home.arrivals().len(), 20);
    let open = fs_err::read_dir(format!("/proc/{}/fd", daemon.child.id())).unwrap().count();
    assert!(
        (100..=200).contains(&open),
        "{open} of 256 descriptors are open, for {} connections",
        idle.len()
    );
}
