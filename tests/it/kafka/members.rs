//! Several machines: they share the documents, one of them is the modeler, and another takes over when it is gone.

use serde_json::json;

use super::daemon::{Cluster, ids, write_documents};
use super::with_broker;
use crate::topicd::{Daemon, Home, wait_for, wait_or_explain};

#[test]
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
        let homes = [&first, &second, &third];
        cluster.settle(&modeler, 1000, 1, &homes);
        assert_eq!(assigner.json("/readyz").unwrap()["ready"], true);
        wait_for("the version on the other machine", || {
            assigner.json("/api/topics").filter(|topics| topics["version"].as_u64() >= Some(1))
        });

        // The assigner has the modeler answer what only it can answer.
        for path in ["/api/events?after=0", "/api/versions", "/api/refits", "/api/hierarchy"] {
            let asked = assigner.json(path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!(asked, modeler.json(path).unwrap(), "{path}");
        }
        assert_eq!(assigner.json("/api/topics").unwrap()["documents"], 1000);
        let cluster_of = |daemon: &crate::topicd::Daemon| daemon.json("/api/v1/cluster").unwrap();
        assert_eq!(cluster_of(&assigner)["modeler"]["url"], modeler.base);
        assert_eq!(cluster_of(&assigner)["is_modeler"], false);
        assert_eq!(cluster_of(&modeler)["is_modeler"], true);

        let successor = third.start();
        // Documents flow while the machine joins.
        let mut documents = 1000;
        wait_for("both to assign", || {
            write_documents(&cluster, documents, documents + 100);
            documents += 100;
            let done = |daemon: &crate::topicd::Daemon| {
                let metrics = daemon.get("/metrics").unwrap_or_default();
                let line = metrics.lines().find(|line| line.contains("{outcome=\"assigned\"}"))?;
                line.rsplit(' ').next()?.parse::<u64>().ok()
            };
            (done(&assigner)? > 0 && done(&successor)? > 0).then_some(())
        });
        drop(modeler);
        // The third machine had no state; the assigner leaves in the middle.
        write_documents(&cluster, documents, documents + 500);
        drop(assigner);
        documents += 1000;
        write_documents(&cluster, documents - 500, documents);
        let outcome = cluster.settle(&successor, documents, 2, &homes);
        outcome.check_exactly_once(&ids(documents));
        assert_eq!(cluster_of(&successor)["is_modeler"], true);
        let read = "topicd_kafka_lag_records{partition=\"0\",topic=\"members-documents\"} 0\n";
        wait_for("no lag", || successor.get("/metrics").filter(|metrics| metrics.contains(read)));
    });
}

#[test]
fn seeded_topics_are_there_before_any_refit() {
    with_broker(|broker| {
        let cluster = Cluster { broker, prefix: "seeded" };
        broker.create(&cluster.topic("documents"), 1);
        let seed = "seeds.topic=[{ label = \"Sports\", texts = [\"football goal\", \"a football match\"] }]";
        let homes = ["a", "b"].map(|name| cluster.machine(name).set(seed));
        let daemon = homes[0].start();
        let topics = wait_for("the seeded version", || {
            daemon.json("/api/topics").filter(|topics| topics["version"] == 1)
        });
        assert_eq!(topics["topics"][0]["name"], "Sports", "{topics}");
        drop(daemon);
        let again = homes[1].start();
        wait_for("the version on another machine", || {
            again.json("/api/topics").filter(|topics| topics["version"] == 1)
        });
        let created = cluster.records("events").into_iter().filter(|event| event["type"] == "topic.created");
        assert_eq!(created.count(), 1, "a known seed changes nothing");
    });
}

#[test]
fn the_lag_is_what_waits_anywhere() {
    with_broker(|broker| {
        let cluster = Cluster { broker, prefix: "lag" };
        broker.create(&cluster.topic("documents"), 2);
        let (url, _hanging) = crate::stopping::silent(1);
        let (first, second) = (cluster.machine("a"), cluster.machine("b"));
        let machine = |home: Home, url: &str| home.set(url).set("embed.model=far");
        let first = machine(first, &url);
        let daemon = first.start();
        let documents: Vec<(String, String)> = (0..2000)
            .map(|n| {
                (format!("d{n}"), json!({ "id": format!("d{n}"), "text": format!("text {n}") }).to_string())
            })
            .collect();
        let records = documents.iter().map(|(key, value)| (key.as_str(), value.as_bytes()));
        broker.write(&cluster.topic("documents"), records, None);
        let all = |lags: Vec<u64>| if lags.iter().sum::<u64>() == 2000 { Ok(()) } else { Err(lags) };
        wait_or_explain(|| all(lag(&daemon))).unwrap();
        let (url, _hanging) = crate::stopping::silent(1);
        let second = machine(second, &url);
        let other = second.start();
        let both = wait_for("both to have a partition", || {
            let (a, b) = (lag(&daemon), lag(&other));
            (a.len() == 1 && b.len() == 1).then(|| a[0] + b[0])
        });
        assert_eq!(both, 2000, "each tells of its own");
        let metrics = daemon.get("/metrics").unwrap();
        assert!(metrics.contains("\ntopicd_modeler 1\n"), "{metrics}");
        assert!(!metrics.contains("\ntopicd_kafka_rebalances_total 0\n"), "{metrics}");
        assert!(other.get("/metrics").unwrap().contains("\ntopicd_modeler 0\n"));
    });
}

/// What a daemon says to wait in each of its partitions of the documents.
pub(super) fn lag(daemon: &Daemon) -> Vec<u64> {
    let metrics = daemon.get("/metrics").unwrap_or_default();
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("topicd_kafka_lag_records") && line.contains("documents"));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect()
}
