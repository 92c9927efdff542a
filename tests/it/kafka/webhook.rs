//! Events wait in Kafka for a receiver, whoever is the modeler.

use super::daemon::{Cluster, write_documents};
use super::with_broker;
use crate::topicd::wait_for;
use crate::webhook::{Receiver, check_taken, subjects};

#[test]
fn the_successor_tells_what_the_modeler_before_could_not() {
    with_broker(|broker| {
        let cluster = Cluster { broker, prefix: "hooked" };
        broker.create(&cluster.topic("documents"), 1);
        let receiver = Receiver::start("127.0.0.1:0", |_, _| 503);
        let machine = |name| {
            cluster
                .machine(name)
                .set("refit.first_documents=200")
                .set(&format!("notify.url=http://{}", receiver.address))
                .set("notify.first_wait_ms=10")
                .set("notify.max_wait_ms=200")
        };
        let homes = [machine("a"), machine("b")];
        write_documents(&cluster, 0, 400);
        let mut first = homes[0].start();
        cluster.settle(&first, 400, 1, &[&homes[0]]);
        wait_for("attempts", || (receiver.requests().len() > 5).then_some(()));
        first.child.kill().unwrap();
        first.child.wait().unwrap();

        let second = homes[1].start();
        cluster.settle(&second, 400, 1, &[&homes[1]]);
        assert_eq!(receiver.taken(), Vec::<u64>::new());
        receiver.answer(|_, _| 200);
        let told = || subjects(&cluster.records("events"));
        wait_for("all events", || (receiver.taken().len() >= told().len()).then_some(()));
        assert!(told().len() > 4, "{:?}", told());
        check_taken(&told(), &receiver.taken());
        wait_for("an empty list", || {
            second.json("/api/v1/notifications").filter(|list| list["waiting"] == 0)
        });
    });
}
