//! Brokers that are gone, and brokers that are frozen: readiness says so, and a signal ends the process in time.

use std::time::{Duration, Instant};

use super::broker::Broker;
use super::daemon::{Cluster, write_documents};
use super::members::lag;
use crate::stopping::{got, stopped};
use crate::topicd::{Daemon, Home, wait_for};

/// `shutdown.timeout_ms` of these tests.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long it may take until readiness follows.
const SOON: Duration = Duration::from_secs(15);

/// Waits until `/readyz` answers with `status` and says `what`.
fn readiness(daemon: &Daemon, status: &str, what: &str) {
    let (start, address) = (Instant::now(), daemon.base.trim_start_matches("http://"));
    wait_for(what, || got(address, "/readyz").filter(|(found, body)| found == status && body.contains(what)));
    assert!(start.elapsed() < SOON, "it took {:?}", start.elapsed());
}

const AWAY: &str = "no Kafka broker answers since 20";

fn machine(cluster: &Cluster<'_>) -> Home {
    cluster.machine("a").set(&format!("shutdown.timeout_ms={}", TIMEOUT.as_millis()))
}

#[test]
fn readiness_follows_the_brokers() {
    let mut broker = Broker::start();
    broker.create("pulse-documents", 1);
    let home = machine(&Cluster { broker: &broker, prefix: "pulse" });
    let daemon = home.start();
    readiness(&daemon, "200", "");
    broker.freeze();
    readiness(&daemon, "503", AWAY);
    broker.thaw();
    readiness(&daemon, "200", "");
    broker.kill();
    readiness(&daemon, "503", AWAY);
    broker.run();
    readiness(&daemon, "200", "");
}

/// Writes documents until many wait, and some are judged and not committed. A fast daemon is done with a few before a
/// slow machine has looked.
fn flowing(cluster: &Cluster<'_>, daemon: &Daemon) {
    let mut written = 500;
    wait_for("documents to flow", || {
        write_documents(cluster, written, written + 5000);
        written += 5000;
        lag(daemon).first().filter(|waiting| **waiting > 1000).copied()
    });
}

/// A signal while `silence` has silenced the broker, with or without documents under way: exit status and time.
fn ended(prefix: &'static str, silence: fn(&mut Broker), loaded: bool) -> (Option<i32>, Duration) {
    let mut broker = Broker::start();
    broker.create(&format!("{prefix}-documents"), 1);
    let cluster = Cluster { broker: &broker, prefix };
    let home = machine(&cluster).set("kafka.transaction_ms=2000");
    write_documents(&cluster, 0, 500);
    let mut daemon = home.start();
    cluster.settle(&daemon, 500, 0, &[&home]);
    if loaded {
        flowing(&cluster, &daemon);
    }
    silence(&mut broker);
    let ended = stopped(&mut daemon.child);
    eprintln!("{prefix}: status {:?} after {:?}\n{}", ended.0, ended.1, home.end_of_log());
    broker.thaw();
    ended
}

#[test]
fn a_signal_ends_it_in_time_whatever_has_become_of_the_broker() {
    for (prefix, silence, loaded) in [
        ("frozen-idle", Broker::freeze as fn(&mut Broker), false),
        ("gone-idle", Broker::kill, false),
        ("frozen-loaded", Broker::freeze, true),
        ("gone-loaded", Broker::kill, true),
    ] {
        let (status, took) = ended(prefix, silence, loaded);
        assert!(took < TIMEOUT + Duration::from_secs(1), "{prefix}: {took:?}");
        assert_eq!(status, Some(i32::from(loaded)), "{prefix}");
    }
}

#[test]
fn the_alert_for_a_stall_fires_when_a_broker_freezes_under_load() {
    let mut broker = Broker::start();
    broker.create("stalled-documents", 1);
    let cluster = Cluster { broker: &broker, prefix: "stalled" };
    let home = machine(&cluster);
    write_documents(&cluster, 0, 500);
    let daemon = home.start();
    cluster.settle(&daemon, 500, 0, &[&home]);
    flowing(&cluster, &daemon);
    broker.freeze();
    crate::prometheus::stalls(&home, &daemon);
    broker.thaw();
}
