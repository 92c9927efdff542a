//! Several machines: they share the documents, one of them is the modeler, and another takes over when it is gone.

use super::daemon::{Cluster, write_documents};
use super::with_broker;
use crate::topicd::wait_for;

#[test]
#[ignore = "waits in vain for both members to assign; issue 8"]
fn another_machine_takes_over_from_what_is_in_kafka() {
    with_broker(|broker| {
        let cluster = Cluster { broker, prefix: "members" };
        broker.create(&cluster.topic("documents"), 4);
        let settings = ["refit.first_documents=300", "refit.every_documents=500"];
        let machine = |name| settings.iter().fold(cluster.machine(name), |home, setting| home.set(setting));
        let (first, second, third) = (machine("a"), machine("b"), machine("c"));
        write_documents(&cluster, 0, 1000);
        let modeler = first.start_as(&["--role", "modeler"]);
        let assigner = second.start_as(&["--role", "assigner"]);
        wait_for("a first version, learned from the other machine", || cluster.outcome(&modeler, 1000, 1));
        assert_eq!(assigner.get("/readyz").as_deref(), Some("ready\n"));
        wait_for("the version on the other machine", || {
            assigner.json("/api/topics").filter(|topics| topics["version"].as_u64() >= Some(1))
        });

        let successor = third.start();
        write_documents(&cluster, 1000, 2000);
        wait_for("both to assign", || {
            let done = |daemon: &crate::topicd::Daemon| {
                let metrics = daemon.get("/metrics").unwrap_or_default();
                let line = metrics.lines().find(|line| line.contains("{outcome=\"assigned\"}"))?;
                line.rsplit(' ').next()?.parse::<u64>().ok()
            };
            (done(&assigner)? > 0 && done(&successor)? > 0).then_some(())
        });
        drop(modeler);
        // The third machine had no state; the assigner leaves in the middle.
        write_documents(&cluster, 2000, 2500);
        drop(assigner);
        write_documents(&cluster, 2500, 3000);
        let outcome = wait_for("the successor's version", || cluster.outcome(&successor, 3000, 2));
        outcome.check_exactly_once(3000);
    });
}
