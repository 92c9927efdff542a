//! What cannot work is said with the topic at fault and the way out.

use super::broker::{Broker, free_port};
use super::daemon::{Cluster, write_documents};
use super::with_broker;
use crate::topicd::{Home, wait_for};

/// What a daemon that cannot start says.
fn refusal(home: &Home) -> String {
    let output = home.run(&["run"]);
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

/// What `check --connect` says; good means that nothing is wrong.
fn check(home: &Home) -> (bool, String) {
    let output = home.run(&["check", "--connect"]);
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn missing_topics_wrong_topics_and_brokers_that_are_not_there() {
    with_broker(|broker| {
        let cluster = Cluster { broker, prefix: "refusals" };
        let home = cluster.machine("a");
        let missing = refusal(&home);
        assert!(missing.contains("topic `refusals-documents` is missing"), "{missing}");
        assert!(missing.contains("kafka.topics.documents"), "{missing}");

        broker.create(&cluster.topic("documents"), 2);
        let home = home.set("kafka.create_topics=false");
        let (good, said) = check(&home);
        assert!(
            !good && said.contains("refusals-evidence") && said.contains("kafka.create_topics"),
            "{said}"
        );
        broker.create(&cluster.topic("evidence"), 2);
        let (_, said) = check(&home.set("kafka.create_topics=true"));
        assert!(said.contains("`refusals-evidence` has 2 partitions but must have 1"), "{said}");

        let nobody = Home::new("")
            .set("source.type=kafka")
            .set(&format!("kafka.brokers=127.0.0.1:{}", free_port()))
            .set("kafka.timeout_ms=3000");
        let (good, said) = check(&nobody);
        assert!(!good && said.contains("Connection refused") && said.contains("kafka.brokers"), "{said}");
    });
}

#[test]
fn records_that_are_gone_and_records_that_are_too_large() {
    with_broker(|broker| {
        let cluster = Cluster { broker, prefix: "limits" };
        broker.create(&cluster.topic("documents"), 1);
        let home = cluster.machine("a");
        write_documents(&cluster, 0, 100);
        let daemon = home.start();
        cluster.settle(&daemon, 100, 0, &[&home]);
        drop(daemon);
        write_documents(&cluster, 100, 200);
        broker.delete_before(&cluster.topic("documents"), 150);
        let gone = refusal(&home);
        assert!(gone.contains("`limits-documents/0` goes on at offset 100, but holds 150 to 200"), "{gone}");
        assert!(gone.contains("retention.ms") && gone.contains("--reset-offsets"), "{gone}");

        let cluster = Cluster { broker, prefix: "small" };
        broker.create(&cluster.topic("documents"), 1);
        broker.create_with(&cluster.topic("assignments"), 1, &[("max.message.bytes", "100")]);
        write_documents(&cluster, 0, 10);
        let large = refusal(&cluster.machine("a"));
        assert!(large.contains("too large for `small-assignments/0`"), "{large}");
        assert!(large.contains("max.message.bytes"), "{large}");
    });
}

#[test]
fn a_gap_in_the_evidence_is_given_up_only_when_asked_for() {
    with_broker(|broker| {
        let cluster = Cluster { broker, prefix: "gap" };
        broker.create(&cluster.topic("documents"), 1);
        let home = cluster.machine("a");
        write_documents(&cluster, 0, 100);
        let daemon = home.start();
        cluster.settle(&daemon, 100, 0, &[&home]);
        drop(daemon);
        let evidence = cluster.topic("evidence");
        // The last record is the mark that ends a transaction.
        let learned = broker.end(&evidence, 0) - 1;
        write_documents(&cluster, 100, 200);
        let assigner = home.start_as(&["--role", "assigner"]);
        wait_for("the assignments", || (cluster.records("assignments").len() == 200).then_some(()));
        drop(assigner);
        let lost = broker.end(&evidence, 0);
        broker.delete_before(&evidence, lost);
        let gone = refusal(&home);
        assert!(
            gone.contains(&format!("`gap-evidence/0` goes on at offset {learned}, but holds {lost} to")),
            "{gone}"
        );
        assert!(gone.contains("`topicd run --accept-gap`"), "{gone}");

        let daemon = home.start_as(&["--accept-gap"]);
        write_documents(&cluster, 200, 250);
        wait_for("what comes after the gap", || {
            daemon.json("/api/topics").filter(|topics| topics["documents"] == 150)
        });
        drop(daemon);
        let named = format!("partition=\"gap-evidence/0\" from={learned} to={}", lost - 1);
        assert!(home.end_of_log().contains(&named), "{named}: {}", home.end_of_log());
        let daemon = home.start();
        wait_for("the same without the flag", || {
            daemon.json("/api/topics").filter(|topics| topics["documents"] == 150)
        });
    });
    let refused = Home::new("").run(&["run", "--accept-gap"]);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && why.contains("`--accept-gap` is for"), "{why}");
}

#[test]
fn lockstep_wants_documents_in_one_order() {
    with_broker(|broker| {
        let cluster = Cluster { broker, prefix: "order" };
        broker.create(&cluster.topic("documents"), 2);
        let said = refusal(&cluster.machine("a").set("refit.lockstep=true"));
        assert!(
            said.contains("`order-documents` has 2 partitions") && said.contains("refit.lockstep"),
            "{said}"
        );
    });
}

#[test]
fn a_guarded_broker_lets_in_who_may() {
    let broker = Broker::start_guarded();
    let cluster = Cluster { broker: &broker, prefix: "guarded" };
    broker.create(&cluster.topic("documents"), 1);
    let machine = |ca: &str, mechanism: &str, user: &str, password: &str| {
        let settings = format!(
            "kafka.settings={{ security.protocol = \"SASL_SSL\", ssl.ca.location = \"{ca}\", sasl.mechanism = \
             \"{mechanism}\", sasl.username = \"{user}\", sasl.password = \"{password}\" }}"
        );
        let brokers = format!("kafka.brokers={}", broker.guarded_address());
        cluster.machine("a").set(&brokers).set(&settings)
    };
    let ca = broker.path("ca.pem").display().to_string();
    let known = machine(&ca, "SCRAM-SHA-512", "topicd", "topicd-secret");
    let (good, said) = check(&known);
    assert!(
        good && said.starts_with("no mistakes\n") && said.contains("`guarded-documents` has 1 partition"),
        "{said}"
    );
    assert!(said.contains(&format!("brokers: {}", broker.guarded_address())), "{said}");

    let (_, said) = check(&machine(&ca, "SCRAM-SHA-512", "topicd", "wrong-secret"));
    assert!(said.contains("sasl.password") && !said.contains("wrong-secret"), "{said}");
    let (_, said) = check(&machine(&ca, "PLAIN", "reader", "reader-secret"));
    assert!(said.contains("guarded-documents") && said.contains("right to read"), "{said}");
    let other = broker.path("server.properties").display().to_string();
    let (_, said) = check(&machine(&other, "SCRAM-SHA-512", "topicd", "topicd-secret"));
    assert!(said.contains("ssl.ca.location"), "{said}");

    write_documents(&cluster, 0, 100);
    let daemon = known.start();
    cluster.settle(&daemon, 100, 0, &[&known]);
}

#[test]
fn the_rights_in_the_documentation_are_enough_and_each_is_tried() {
    let broker = Broker::start_guarded();
    let cluster = Cluster { broker: &broker, prefix: "rights" };
    broker.create(&cluster.topic("documents"), 2);
    let ca = broker.path("ca.pem").display().to_string();
    let settings = format!(
        "kafka.settings={{ security.protocol = \"SASL_SSL\", ssl.ca.location = \"{ca}\", sasl.mechanism = \"PLAIN\", \
         sasl.username = \"reader\", sasl.password = \"reader-secret\" }}"
    );
    let home =
        cluster.machine("a").set(&format!("kafka.brokers={}", broker.guarded_address())).set(&settings);
    broker.allow(&["Read", "Describe"], &["--topic", "rights-documents"]);
    let (good, said) = check(&home);
    assert!(!good && said.contains("cannot look at `rights-model`"), "{said}");
    let ours = ["--topic", "rights-", "--resource-pattern-type", "prefixed"];
    broker.allow(&["Write", "Read", "Describe", "Create"], &ours);
    let (good, said) = check(&home);
    assert!(!good && said.contains("transactional ids"), "{said}");
    broker.allow(
        &["Write", "Describe"],
        &["--transactional-id", "rights", "--resource-pattern-type", "prefixed"],
    );
    let (good, said) = check(&home);
    assert!(!good && said.contains("`rights`") && said.contains("`rights.modeler`"), "{said}");
    broker.allow(&["Read"], &["--group", "rights"]);
    let (good, said) = check(&home);
    assert!(!good && !said.contains("`rights`:") && said.contains("`rights.modeler`"), "{said}");
    broker.allow(&["Read"], &["--group", "rights.modeler"]);
    write_documents(&cluster, 0, 100);
    let (good, said) = check(&home);
    assert!(good && said.contains("`rights-state` is made at the start"), "{said}");
    let waiting: usize = (said.lines().filter(|line| line.contains("of the documents wait in partition")))
        .map(|line| line.split(' ').nth(1).unwrap().parse::<usize>().unwrap())
        .sum();
    assert_eq!(waiting, 100, "{said}");
    let mut daemon = home.start();
    cluster.settle(&daemon, 100, 0, &[&home]);
    assert_eq!(crate::stopping::stopped(&mut daemon.child).0, Some(0));
    let (good, said) = check(&home);
    assert!(good && said.contains("`rights-state` has 1 partition\n"), "{said}");
    assert!(!said.contains("documents wait"), "{said}");
}

#[test]
fn a_topic_with_other_settings_is_warned_of_with_the_command() {
    with_broker(|broker| {
        let cluster = Cluster { broker, prefix: "settings" };
        broker.create(&cluster.topic("documents"), 1);
        broker.create_with(&cluster.topic("state"), 1, &[("cleanup.policy", "compact")]);
        broker.create_with(&cluster.topic("topics"), 1, &[("cleanup.policy", "delete")]);
        let home = cluster.machine("a");
        let (good, said) = check(&home);
        assert!(!good, "{said}");
        let mend =
            format!("kafka-configs --bootstrap-server {} --alter --entity-type topics", broker.address());
        assert!(said.contains("`cleanup.policy` = delete but must have compact"), "{said}");
        assert!(
            said.contains(&format!(
                "{mend} --entity-name settings-topics --add-config cleanup.policy=compact`"
            )),
            "{said}"
        );
        assert!(said.contains("note: topic `settings-state` has `segment.ms` = 604800000"), "{said}");
        assert!(
            said.contains(&format!("{mend} --entity-name settings-state --add-config segment.ms=3600000,")),
            "{said}"
        );
        let daemon = home.start();
        drop(daemon);
        assert!(home.end_of_log().contains("topic `settings-state` has"), "{}", home.end_of_log());
        // What we make is as it must be.
        let made = broker.settings(&cluster.topic("model"));
        assert_eq!(made["max.compaction.lag.ms"], "3600000");
        assert_eq!(made["segment.bytes"], "67108864");
    });
}
