//! A command finds the daemon that it is told to ask, and says what is wrong where it cannot.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output};

use crate::topicd::{Home, documents, wait_for};

/// `topicd` in a folder without a state.
fn elsewhere(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_topicd"));
    command.args(arguments).envs(environment.iter().copied()).current_dir(folder.path()).output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Documents that a JSON answer counts.
fn counted(output: &Output) -> u64 {
    let topics: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", told(output)));
    topics["documents"].as_u64().unwrap()
}

#[test]
fn a_daemon_elsewhere_is_asked_by_its_address() {
    let home = Home::new(&documents(20)).set("http.write_token=hush");
    let daemon = home.start();
    let by_token = |base: &str, token: &str| {
        elsewhere(&["topics", "--json", "--url", base], &[("TOPICD_HTTP__WRITE_TOKEN", token)])
    };
    wait_for("the documents", || (counted(&by_token(&daemon.base, "hush")) == 20).then_some(()));
    assert_eq!(counted(&by_token(&format!("{}/", daemon.base), "hush")), 20);
    let address = daemon.base.trim_start_matches("http://");
    // Whoever says where the daemon listens means that one.
    let listen = [("TOPICD_HTTP__LISTEN", address), ("TOPICD_HTTP__READ_TOKEN", "hush")];
    assert_eq!(counted(&elsewhere(&["topics", "--json"], &listen)), 20);
    let output = elsewhere(&["forget", "d1", "--url", &daemon.base], &[("TOPICD_HTTP__WRITE_TOKEN", "hush")]);
    assert!(output.status.success(), "{}", told(&output));

    let no_token = told(&elsewhere(&["topics", "--url", &daemon.base], &[]));
    assert!(no_token.contains("asks for a token") && no_token.contains("http.write_token"), "{no_token}");
    let wrong = told(&by_token(&daemon.base, "loud-secret"));
    assert!(wrong.contains("refuses this token") && !wrong.contains("loud-secret"), "{wrong}");
}

#[test]
fn without_a_state_nobody_is_asked_unasked() {
    let output = elsewhere(&["topics"], &[]);
    assert!(!output.status.success() && told(&output).contains("topicd-data/state"), "{}", told(&output));
}

#[test]
fn what_is_wrong_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (url, status, expected) in [
        (format!("http://user:hush@{free}"), 1, "is it started, and is `--url` right?"),
        (format!("http://{}", stranger("200 OK", "<html>")), 1, "answered 200 OK; is a topicd there?"),
        (
            format!("http://{}", stranger("421 Misdirected Request\r\nx-topicd-instance: x", "{}")),
            1,
            "http.hosts",
        ),
        (
            format!(
                "http://{}",
                stranger("413 Too Large\r\nx-topicd-instance: x", r#"{"detail": "at most 7 bytes"}"#)
            ),
            1,
            "at most 7 bytes",
        ),
        ("topicd.example".to_owned(), 1, "https://HOST:PORT"),
    ] {
        let output = elsewhere(&["topics", "--url", &url], &[]);
        assert_eq!(output.status.code(), Some(status), "{url}");
        assert!(
            told(&output).contains(expected) && !told(&output).contains("hush"),
            "{url}: {}",
            told(&output)
        );
    }
    let output = elsewhere(&["run", "--url", "http://127.0.0.1:1"], &[]);
    assert!(output.status.code() == Some(2) && told(&output).contains("--url"), "{}", told(&output));
}

/// Somebody who answers everything in the same way; the address.
fn stranger(status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let _whatever = stream.read(&mut request).unwrap();
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            )
            .unwrap();
        }
    });
    address
}
