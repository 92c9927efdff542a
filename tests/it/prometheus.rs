//! A real Prometheus scrapes the daemon with the configuration from `deploy/`, as an operator would run it.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::topicd::{Daemon, Home, cache, documents, wait_for};

/// A Prometheus that scrapes `daemon` each second and looks at `alerts`, in a folder of `home`'s.
fn prometheus(home: &Home, daemon: &Daemon, alerts: &str) -> Daemon {
    let config = include_str!("../../deploy/prometheus/prometheus.yml")
        .replace("127.0.0.1:9464", daemon.base.trim_start_matches("http://"))
        .replace("15s", "1s");
    fs_err::write(home.path("prometheus.yml"), config).unwrap();
    fs_err::write(home.path("alerts.yml"), alerts).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let installed = Some(cache().join("prometheus/prometheus")).filter(|path| path.exists());
    let child = Command::new(installed.unwrap_or("prometheus".into()))
        .args(["--config.file=prometheus.yml", "--storage.tsdb.path=tsdb"])
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .current_dir(home.path("."))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("`prometheus` is there after `deploy/test` has set the machine up");
    Daemon { child, base: format!("http://127.0.0.1:{port}") }
}

const ALERTS: &str = include_str!("../../deploy/prometheus/alerts.yml");

/// Waits until `TopicdStalled` fires for `daemon`, with the rule of `deploy/` in seconds for minutes.
pub(crate) fn stalls(home: &Home, daemon: &Daemon) {
    let (rule, rest) = ALERTS.split_at(ALERTS.find("alert: TopicdRefitFailing").unwrap());
    let rule = rule.replace("> 600", "> 2").replace("[10m]", "[2s]").replace("for: 5m", "for: 1s");
    let prometheus = prometheus(home, daemon, &(rule + rest));
    wait_for("the alert", || {
        let alerts = prometheus.json("/api/v1/alerts")?;
        let firing = alerts["data"]["alerts"].as_array()?.iter().find(|alert| alert["state"] == "firing")?;
        (firing["labels"]["alertname"] == "TopicdStalled").then_some(())
    });
}

#[test]
fn the_alert_for_a_stall_fires_when_the_encoder_hangs() {
    let (url, hanging) = crate::stopping::silent(1);
    let home = Home::new(&documents(20)).set(&url).set("embed.model=far");
    let daemon = home.start();
    hanging.recv_timeout(crate::topicd::DEADLINE).unwrap();
    stalls(&home, &daemon);
}

#[test]
fn prometheus_scrapes_what_the_dashboard_asks_for() {
    let home = Home::new(&documents(300)).set("refit.first_documents=150");
    let daemon = home.start();
    let prometheus = prometheus(&home, &daemon, ALERTS);
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
