//! A running daemon takes over a new configuration, as a whole or not at all.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use serde_json::{Value, json};

use crate::topicd::{Daemon, Home, documents, wait_for};

/// A daemon whose configuration is `text`, at the end of two links as Kubernetes makes them.
struct Configured {
    home: Home,
    daemon: Daemon,
}

impl Configured {
    fn new(text: &str) -> Self {
        let home = Home::new(&documents(40));
        fs_err::create_dir(home.path("first")).unwrap();
        fs_err::write(home.path("first/topicd.toml"), text).unwrap();
        std::os::unix::fs::symlink("first", home.path("data")).unwrap();
        std::os::unix::fs::symlink("data/topicd.toml", home.path("topicd.toml")).unwrap();
        let daemon = home.start_as(&["--config", "topicd.toml"]);
        Self { home, daemon }
    }

    /// Puts another file at the end of the links, at once.
    fn replace(&self, text: &str) {
        let folder = format!("at-{}", text.len());
        fs_err::create_dir(self.home.path(&folder)).unwrap();
        fs_err::write(self.home.path(&folder).join("topicd.toml"), text).unwrap();
        std::os::unix::fs::symlink(&folder, self.home.path("next")).unwrap();
        fs_err::rename(self.home.path("next"), self.home.path("data")).unwrap();
    }

    /// Status and body of a request with `token`.
    fn ask(&self, method: &str, path: &str, token: &str) -> (String, Value) {
        let address = self.daemon.base.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Type: \
             application/json\r\nContent-Length: 2\r\n\r\n{{}}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split_whitespace().nth(1).unwrap().to_owned();
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    fn reload(&self, token: &str) -> (String, Value) {
        self.ask("POST", "/api/v1/reload", token)
    }
}

const FIRST: &str = "[http]\nwrite_token = \"one\"\n";

#[test]
fn what_can_change_is_taken_over_and_all_else_refused() {
    let configured = Configured::new(FIRST);
    assert_eq!(configured.reload("one"), ("200".to_owned(), json!({ "changed": [] })));
    assert_eq!(configured.reload("two").0, "401");

    configured.replace("[http]\nwrite_token = \"two\"\n[log]\nlevel = \"debug\"\n[source]\nfollow = true\n");
    let (status, told) = configured.reload("one");
    assert!(status == "409" && told.to_string().contains("`source.follow` needs a restart"), "{told}");
    assert_eq!(configured.reload("two").0, "401", "nothing was taken over");

    configured.replace("[http]\nwrite_token = 5\n");
    let (status, told) = configured.reload("one");
    assert!(status == "422" && told.to_string().contains("write_token"), "{told}");

    configured
        .replace("[http]\nwrite_token = \"two\"\n[refit]\nfirst_documents = 30\nevery_documents = 30\n");
    let (status, told) = configured.reload("one");
    let changed = json!(["http.write_token", "refit.every_documents", "refit.first_documents"]);
    assert_eq!((status.as_str(), &told["changed"]), ("200", &changed));
    assert_eq!(configured.ask("GET", "/api/topics", "one").0, "401");
    wait_for("a refit of the new schedule", || {
        let (_, topics) = configured.ask("GET", "/api/topics", "two");
        (topics["version"].as_u64()? > 0).then_some(())
    });
}

#[test]
fn a_file_that_changes_by_a_link_is_noticed() {
    let configured = Configured::new(FIRST);
    configured.replace("[http]\nwrite_token = \"two\"\n");
    wait_for("the new token", || (configured.ask("GET", "/api/topics", "two").0 == "200").then_some(()));
}

#[test]
fn a_hangup_reloads_and_stops_nothing() {
    let configured = Configured::new(FIRST);
    configured.replace("[http]\nwrite_token = \"three\"\n");
    let pid = configured.daemon.child.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    wait_for("the new token", || (configured.ask("GET", "/api/topics", "three").0 == "200").then_some(()));
}
