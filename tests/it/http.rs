//! What the daemon tells over HTTP while it runs.

use crate::topicd::{Home, check_pure, documents, wait_for};

#[test]
fn topics_events_answers_and_health() {
    let home = Home::new(&documents(400)).set("refit.first_documents=200").set("refit.min_cluster_size=40");
    let daemon = home.start();
    assert_eq!(daemon.get("/healthz").as_deref(), Some("ok\n"));
    assert_eq!(daemon.json("/readyz").unwrap(), serde_json::json!({ "ready": true, "missing": [] }));
    let topics = wait_for("the last refit", || {
        let topics = daemon.json("/api/topics")?;
        (topics["documents"] == 400 && topics["version"].as_u64()? >= 2).then_some(topics)
    });
    let found: Vec<&serde_json::Value> = topics["topics"].as_array().unwrap().iter().collect();
    check_pure(topics["topics"].as_array().unwrap());
    let sizes: u64 = found.iter().map(|topic| topic["size"].as_u64().unwrap()).sum();
    assert_eq!(sizes + topics["outliers"].as_u64().unwrap(), 400);

    let events = daemon.json("/api/events?after=0").unwrap();
    let kinds: Vec<&str> =
        events["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert!(kinds.iter().filter(|kind| **kind == "topic.created").count() >= 3, "{kinds:?}");
    assert!(kinds.contains(&"model.published"));

    let answer = daemon.json("/api/find?q=the%20bank%20and%20the%20stock%20market&limit=1").unwrap();
    let words = answer["topics"][0]["keywords"].to_string();
    assert!(words.contains("shares") || words.contains("stocks"), "{answer}");
    // The command line asks the daemon that has the state open.
    let table = home
        .command(&["topics"])
        .args(["--set", &format!("http.listen={}", daemon.base.trim_start_matches("http://"))])
        .output()
        .unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    assert_eq!(table.lines().count(), 1 + found.len(), "{table}");

    let page = daemon.get("/").unwrap();
    assert!(page.contains("<html"), "{page}");
    assert!(daemon.get("/page/nothing.js").is_none());
    let metrics = daemon.get("/metrics").unwrap();
    assert!(metrics.contains("topicd_model_version"), "{metrics}");
}

#[test]
fn check_asks_whether_the_daemon_is_ready() {
    let home = Home::new("");
    let daemon = home.start();
    let port = daemon.base.rsplit_once(':').unwrap().1.to_owned();
    let check = || {
        let mut command = home.command(&["check", "--ready"]);
        command.args(["--set", &format!("http.listen=0.0.0.0:{port}"), "--set", "http.auth=none"]);
        // Nobody but the daemon is asked.
        command.env("http_proxy", "http://127.0.0.1:1").output().unwrap()
    };
    let ready = check();
    assert!(ready.status.success(), "{}", String::from_utf8_lossy(&ready.stdout));
    drop(daemon);
    let gone = check();
    let told = String::from_utf8_lossy(&gone.stdout);
    assert_eq!(gone.status.code(), Some(1), "{told}");
    assert!(told.contains(&format!("`http://127.0.0.1:{port}`: no answer; start it")), "{told}");
}

#[test]
fn a_command_reaches_the_daemon_of_its_own_state() {
    let (one, other) = (Home::new(&documents(40)), Home::new(&documents(20)));
    let (first, second) = (one.start(), other.start());
    for (daemon, expected) in [(&first, 40), (&second, 20)] {
        wait_for("the documents", || {
            daemon.json("/api/topics").filter(|topics| topics["documents"] == expected)
        });
    }
    // As after a copied configuration: the address is that of the other daemon.
    let listen = format!("http.listen={}", first.base.trim_start_matches("http://"));
    let output = other.command(&["topics", "--json"]).args(["--set", &listen]).output().unwrap();
    let topics: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(topics["documents"], 20);
}

#[test]
fn a_token_opens_the_door_for_commands() {
    let home = Home::new(&documents(20)).set("http.write_token=hush");
    let daemon = home.start();
    assert_eq!(daemon.get("/api/topics"), None, "no token was shown");
    assert_eq!(daemon.get("/healthz").as_deref(), Some("ok\n"));
    home.good(&["topics"]);
    let stranger = home.command(&["topics"]).args(["--set", "http.write_token=other"]).output().unwrap();
    let why = String::from_utf8_lossy(&stranger.stderr).into_owned();
    assert!(!stranger.status.success() && why.contains("http.read_token") && !why.contains("other"), "{why}");
}
