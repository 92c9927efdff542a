//! A real Prometheus scrapes the daemon with the configuration from `deploy/`, as an operator would run it.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::topicd::{Daemon, Home, documents, wait_for};

#[test]
fn prometheus_scrapes_what_the_dashboard_asks_for() {
    let home = Home::new(&documents(300)).set("refit.first_documents=150");
    let daemon = home.start();
    let config = include_str!("../../deploy/prometheus/prometheus.yml")
        .replace("127.0.0.1:9464", daemon.base.trim_start_matches("http://"))
        .replace("15s", "1s");
    fs_err::write(home.path("prometheus.yml"), config).unwrap();
    fs_err::copy(
        concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus/alerts.yml"),
        home.path("alerts.yml"),
    )
    .unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new("prometheus")
        .args(["--config.file=prometheus.yml", "--storage.tsdb.path=tsdb"])
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .current_dir(home.path("."))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("`prometheus` is there after `deploy/test` has set the machine up");
    let prometheus = Daemon { child, base: format!("http://127.0.0.1:{port}") };
    let query = |expression: &str| -> Option<f64> {
        let answer: Value = prometheus.json(&format!("/api/v1/query?query={expression}"))?;
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    };
    let documents = wait_for("every document in Prometheus", || {
        query("sum(topicd_documents_total)").filter(|documents| *documents >= 300.0)
    });
    assert_eq!(documents, 300.0);
    assert_eq!(query("up"), Some(1.0));
    let version =
        wait_for("the model's version", || query("topicd_model_version").filter(|version| *version >= 2.0));
    assert_eq!(Some(version), daemon.json("/api/topics").unwrap()["version"].as_f64());
    let rules = prometheus.json("/api/v1/rules").unwrap();
    assert!(!rules["data"]["groups"].as_array().unwrap().is_empty(), "{rules}");
}
#[test]
fn prometheus_scrapes_what_the_dashboard_asks_for() {
    let home = Home::new(&documents(300)).set("refit.first_documents=150");
    let daemon = home.start();
    let config = include_str!("../../deploy/prometheus/prometheus.yml")
        .replace("127.0.0.1:9464", daemon.base.trim_start_matches("http://"))
        .replace("15s", "1s");
    fs_err::write(home.path("prometheus.yml"), config).unwrap();
    fs_err::copy(
        concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus/alerts.yml"),
        home.path("alerts.yml"),
    )
    .unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new("prometheus")
        .args(["--config.file=prometheus.yml", "--storage.tsdb.path=tsdb"])
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .current_dir(home.path("."))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("`prometheus` is there after `deploy/test` has set the machine up");
    let prometheus = Daemon { child, base: format!("http://127.0.0.1:{port}") };
    let query = |expression: &str| -> Option<f64> {
        let answer: Value = prometheus.json(&format!("/api/v1/query?query={expression}"))?;
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    };
    let documents = wait_for("every document in Prometheus", || {
        query("sum(topicd_documents_total)").filter(|documents| *documents >= 300.0)
    });
    assert_eq!(documents, 300.0);
    assert_eq!(query("up"), Some(1.0));
    let version =
        wait_for("the model's version", || query("topicd_model_version").filter(|version| *version >= 2.0));
    assert_eq!(Some(version), daemon.json("/api/topics").unwrap()["version"].as_f64());
    let rules = prometheus.json("/api/v1/rules").unwrap();
    assert!(!rules["data"]["groups"].as_array().unwrap().is_empty(), "{rules}");
}
