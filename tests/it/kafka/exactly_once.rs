//! Daemons that are killed at random moments.

use std::time::{Duration, Instant};

use super::broker::Broker;
use super::daemon::{Cluster, ids, write_documents};
use super::with_broker;
use crate::outcome::Story;
use crate::topicd::{Home, wait_for};

fn kill_after(home: &Home, arguments: &[&str], pause: Duration) {
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
        let outcome = wait_for("a second version of all documents", || cluster.outcome(&daemon, 4000, 2));
        outcome.check_exactly_once(&ids(4000));
        crate::schemas::check("topic", &cluster.records("topics"));
    });
}

/// What a run in lockstep comes to that is killed after each of `pauses`, its broker too where `broker` is.
fn in_lockstep(prefix: &'static str, pauses: &[u64], broker: &mut Broker, kill_broker: bool) -> Story {
    broker.create(&format!("{prefix}-documents"), 1);
    let cluster = Cluster { broker, prefix };
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
        if kill_broker && number % 4 == 3 {
            broker.kill();
            broker.run();
        }
    }
    let daemon = home.start();
    let cluster = Cluster { broker, prefix };
    let outcome = wait_for("all documents in lockstep", || cluster.outcome(&daemon, LOCKSTEP, 3));
    outcome.check_exactly_once(&ids(LOCKSTEP));
    outcome.story()
}

/// Full batches of 64.
const LOCKSTEP: usize = 24 * 64;

#[test]
fn in_lockstep_a_killed_run_ends_like_one_that_was_not() {
    let mut broker = Broker::start();
    let golden = in_lockstep("golden", &[], &mut broker, false);
    let pauses: Vec<u64> = (0..8).map(|_| rand::random_range(500..3000)).collect();
    println!("killed after {pauses:?} ms each");
    let killed = in_lockstep("killed", &pauses, &mut broker, true);
    golden.check_same(&killed);
}
