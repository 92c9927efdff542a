//! Daemons that are killed at random moments.

use std::time::{Duration, Instant};

use super::daemon::{Cluster, write_documents};
use super::with_broker;
use crate::topicd::{Home, wait_for};

fn kill_after(home: &Home, arguments: &[&str], pause: Duration) {
    let mut daemon = home.start_as(arguments);
    let until = Instant::now() + pause;
    wait_for("the moment", || (Instant::now() >= until).then_some(()));
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
}

#[test]
#[ignore = "waits in vain for its second version; issue 8"]
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
        outcome.check_exactly_once(4000);
        crate::schemas::check("topic", &cluster.records("topics"));
    });
}
