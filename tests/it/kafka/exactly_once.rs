//! Daemons that are killed at random moments.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::broker::Broker;
use super::daemon::{Cluster, ids, write_documents};
use super::with_broker;
use crate::outcome::Story;
use crate::topicd::{Home, wait_for};

pub(super) fn kill_after(home: &Home, arguments: &[&str], pause: Duration) {
    let mut daemon = home.start_as(arguments);
    let until = Instant::now() + pause;
    wait_for("the moment", || (Instant::now() >= until).then_some(()));
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
}

#[test]
fn one_process_killed_ten_times() {
    with_broker(|broker| {
        let cluster = Cluster { broker, prefix: "one" };
        broker.create(&cluster.topic("documents"), 3);
        write_documents(&cluster, 0, 3000);
        let home = cluster.machine("a").set("refit.first_documents=300").set("refit.every_documents=500");
        for kill in 0..10 {
            kill_after(&home, &[], Duration::from_millis(300 + 250 * kill));
        }
        write_documents(&cluster, 3000, 4000);
        let daemon = home.start();
        let outcome = cluster.settle(&daemon, 4000, 2, &[&home]);
        outcome.check_exactly_once(&ids(4000));
        let topics = outcome.topics["topics"].as_array().unwrap();
        let mut ids: BTreeSet<String> = topics.iter().map(|topic| topic["id"].to_string()).collect();
        let (into, from) = (ids.first().unwrap().clone(), ids.pop_last().unwrap());
        home.good(&["merge", &from, "--into", &into]);
        let records = broker.read(&cluster.topic("topics"));
        let newest: BTreeMap<_, _> =
            records.iter().map(|record| (record.key.clone().unwrap(), &record.value)).collect();
        let living: BTreeSet<String> =
            newest.iter().filter(|(_, value)| value.is_some()).map(|(id, _)| id.clone()).collect();
        assert_eq!(living, ids, "who reads the newest records sees the topics that there are");
        let records = cluster.records("topics");
        crate::schemas::check("topic", &records);
        let ended = records
            .iter()
            .find(|record| record["state"] == "ended" && record["id"].as_u64() == from.parse().ok());
        assert_eq!(ended.unwrap()["into"].to_string(), into);
    });
}

/// What a run in lockstep comes to that is killed after each of `pauses`, brokers too where `kill` says so.
fn in_lockstep(prefix: &'static str, pauses: &[u64], brokers: &mut [Broker; 3], kill: bool) -> Story {
    brokers[0].create(&format!("{prefix}-documents"), 1);
    let cluster = Cluster { broker: &brokers[0], prefix };
    write_documents(&cluster, 0, LOCKSTEP);
    let settings = [
        "refit.lockstep=true",
        "refit.first_documents=300",
        "refit.every_documents=500",
        "kafka.transaction_ms=10",
    ];
    let home = settings.iter().fold(cluster.machine("a"), |home, setting| home.set(setting));
    for (number, pause) in pauses.iter().enumerate() {
        let roles: [&[&str]; 3] = [&[], &["--role", "assigner"], &["--role", "modeler"]];
        kill_after(&home, roles[number % 3], Duration::from_millis(*pause));
        if kill && number % 4 == 3 {
            Broker::kill_one(brokers, number % 3);
        }
    }
    let daemon = home.start();
    let cluster = Cluster { broker: &brokers[0], prefix };
    let outcome = cluster.settle(&daemon, LOCKSTEP, 3, &[&home]);
    outcome.check_exactly_once(&ids(LOCKSTEP));
    outcome.story()
}

/// Full batches of 64.
const LOCKSTEP: usize = 24 * 64;

#[test]
#[ignore = "takes minutes; `deploy/test` runs it when its rooms changed, `deploy/test --all` always"]
fn in_lockstep_a_killed_run_ends_like_one_that_was_not() {
    let mut brokers = Broker::start_three();
    let golden = in_lockstep("golden", &[], &mut brokers, false);
    let pauses: Vec<u64> = (0..8).map(|_| rand::random_range(500..3000)).collect();
    println!("killed after {pauses:?} ms each");
    let killed = in_lockstep("killed", &pauses, &mut brokers, true);
    golden.check_same(&killed);
}
