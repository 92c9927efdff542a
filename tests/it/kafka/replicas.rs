//! Three brokers: one may die, and all may be away for a while.

use std::time::{Duration, Instant};

use super::broker::Broker;
use super::daemon::{Cluster, ids, write_documents};
use crate::topicd::wait_for;

/// How long all brokers are away, in seconds: longer than an operation waits. `TOPICD_AWAY_SECONDS` says otherwise.
fn away() -> Duration {
    let seconds = std::env::var("TOPICD_AWAY_SECONDS").map_or(10, |seconds| seconds.parse().unwrap());
    Duration::from_secs(seconds)
}

#[test]
#[ignore = "takes minutes; `deploy/test` runs it when its rooms changed, `deploy/test --all` always"]
fn one_broker_dies_and_then_all() {
    let mut brokers = Broker::start_three();
    brokers[0].create("three-documents", 3);
    let cluster = Cluster { broker: &brokers[0], prefix: "three" };
    let mut home = cluster.machine("a");
    for setting in ["refit.first_documents=300", "refit.every_documents=1000", "kafka.timeout_ms=5000"] {
        home = home.set(setting);
    }
    let mut daemon = home.start();
    write_documents(&cluster, 0, 500);
    cluster.settle(&daemon, 500, 1, &[&home]);

    brokers[0].kill();
    let cluster = Cluster { broker: &brokers[0], prefix: "three" };
    write_documents(&cluster, 500, 1500);
    // Nothing may be under way when the last broker goes (see `Broker::kill_one`): the next refit is due at 2300.
    cluster.settle(&daemon, 1500, 2, &[&home]);

    brokers[1].kill();
    brokers[2].kill();
    let back = Instant::now() + away();
    wait_for("the brokers to be missed", || (Instant::now() >= back).then_some(()));
    brokers.iter_mut().for_each(Broker::launch);
    brokers.iter().for_each(Broker::wait);
    let cluster = Cluster { broker: &brokers[0], prefix: "three" };
    write_documents(&cluster, 1500, 2500);
    let outcome = cluster.settle(&daemon, 2500, 3, &[&home]);
    outcome.check_exactly_once(&ids(2500));
    assert!(daemon.child.try_wait().unwrap().is_none(), "the process is the one from before");
}
