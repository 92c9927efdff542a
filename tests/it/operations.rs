//! What an operator does, typed as he types it: on the state itself, and through a daemon that is killed right after.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::topicd::{Home, documents, wait_for};

fn fitted() -> Home {
    let home = Home::new(&documents(400));
    home.good(&["fit", "documents.jsonl", "--min-cluster-size", "30"]);
    home
}

fn json(home: &Home, arguments: &[&str]) -> Value {
    let mut all = arguments.to_vec();
    all.push("--json");
    serde_json::from_str(&home.good(&all)).unwrap()
}

/// (id, size) of every topic, by id.
fn sizes(home: &Home) -> Vec<(u64, u64)> {
    let topics = json(home, &["topics"]);
    let mut sizes: Vec<(u64, u64)> = (topics["topics"].as_array().unwrap().iter())
        .map(|topic| (topic["id"].as_u64().unwrap(), topic["size"].as_u64().unwrap()))
        .collect();
    sizes.sort_unstable();
    sizes
}

fn refused(home: &Home, arguments: &[&str], why: &str) {
    let output = home.run(arguments);
    assert!(!output.status.success(), "{arguments:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains(why), "{text}");
}

#[test]
fn every_action_is_undone_by_its_opposite() {
    let home = fitted();
    let before = sizes(&home);
    let (a, b) = (before[0].0.to_string(), before[1].0.to_string());
    let name = json(&home, &["topic", &a])["name"].clone();

    home.good(&["rename", &a, "A label"]);
    assert_eq!(json(&home, &["topic", &a])["name"], "A label");
    home.good(&["rename", &a]);
    assert_eq!(json(&home, &["topic", &a])["name"], name);

    home.good(&["pin", &a]);
    refused(&home, &["merge", &b, "--into", &a], "is pinned; unpin it first");
    home.good(&["unpin", &a]);

    home.good(&["merge", &b, "--into", &a]);
    let merged = sizes(&home);
    assert_eq!(merged.len(), before.len() - 1);
    let topics = home.records("topics.jsonl");
    crate::schemas::check("topic", &topics);
    assert!(topics.iter().any(|line| line["state"] == "ended" && line["id"].as_u64() == b.parse().ok()));
    assert_eq!(merged[0].1, before[0].1 + before[1].1);
    refused(&home, &["rename", &b, "x"], &format!("topic `{b}` ended in topic {a}"));
    assert!(
        home.good(&["topic", &b]).starts_with(&format!("topic {b} was merged into topic {a}\ntopic {a}: "))
    );
    assert_eq!(json(&home, &["topic", &b])["id"].to_string(), a);
    home.good(&["restore", &b]);
    assert_eq!(sizes(&home), before);

    home.good(&["forget-topic", &b]);
    refused(
        &home,
        &["topic", &b],
        &format!("topic `{b}` has ended; bring it back with `topicd restore {b}`"),
    );
    assert_eq!(json(&home, &["topics"])["outliers"], before[1].1 + outliers(&home, &before));
    home.good(&["restore", &b]);
    assert_eq!(sizes(&home), before);

    home.good(&["merge", &b, "--into", &a]);
    let merged = json(&home, &["versions"])[0]["version"].as_u64().unwrap();
    let back = json(&home, &["rollback"]);
    assert_eq!(back["summary"], format!("the topics are those of version {} again", merged - 1));
    let version = back["version"].clone();
    assert_eq!(sizes(&home), before);
    let versions = json(&home, &["versions"]);
    assert_eq!(versions[0]["cause"], format!("rollback to {}", merged - 1));
    assert_eq!(versions[0]["version"], version);
    assert_eq!(versions[0]["in_force"], true);
    let diff = json(&home, &["diff"]);
    assert_eq!(diff["appeared"][0]["id"].to_string(), b, "{diff}");
    assert_eq!(diff["appeared"][0]["mostly"].to_string(), a, "{diff}");
    let changes = home.table(&["diff"]);
    assert_eq!((&*changes[0]["change"], &changes[0]["id"], &changes[0]["mostly"]), ("appeared", &b, &a));

    assert_eq!(told(&home), TOLD);
}

/// What consumers hear of all that.
const TOLD: [&str; 11] = [
    "topic.renamed",
    "topic.renamed",
    "topic.pinned",
    "topic.unpinned",
    "topic.merged",
    "topic.restored",
    "topic.forgotten",
    "topic.restored",
    "topic.merged",
    "model.rolled_back",
    "topic.restored",
];

fn told(home: &Home) -> Vec<String> {
    (home.records("events.jsonl").iter())
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .filter(|kind| kind.starts_with("topic.") && kind != "topic.created" || kind == "model.rolled_back")
        .collect()
}

fn outliers(home: &Home, before: &[(u64, u64)]) -> u64 {
    let all = json(home, &["topics"])["documents"].as_u64().unwrap();
    all - before.iter().map(|(_, size)| size).sum::<u64>()
}

#[test]
fn a_forgotten_document_leaves_counts_texts_and_files() {
    let home = fitted();
    let newest: BTreeMap<String, Value> = (home.records("assignments.jsonl").into_iter())
        .map(|record| (record["id"].as_str().unwrap().to_owned(), record["topic"].clone()))
        .collect();
    let (id, _) =
        newest.iter().find(|(_, topic)| topic.as_i64() >= Some(0)).expect("a document with a topic");
    let explained = json(&home, &["explain", id]);
    let topic = explained["topic"]["id"].as_u64().unwrap();
    assert!(explained["nearest"].as_array().unwrap().len() > 3, "{explained}");
    assert!(explained["candidates"][0]["share"].as_f64().unwrap() > 0.3, "{explained}");
    assert!(home.good(&["explain", id]).contains("words that speak for it"));
    let size = |home: &Home| sizes(home).into_iter().find(|(id, _)| *id == topic).unwrap().1;
    let before = size(&home);

    let done = json(&home, &["forget", id]);
    assert_eq!(done["held"], "kept");
    assert_eq!(size(&home), before - 1);
    assert_eq!(json(&home, &["topics"])["documents"], 399);
    let last = home.records("assignments.jsonl").pop().unwrap();
    assert_eq!(
        (&last["id"], &last["topic"], &last["forgotten"]),
        (&id.as_str().into(), &Value::Null, &true.into())
    );
    let events = home.records("events.jsonl");
    assert!(events.iter().any(|event| event["type"] == "document.forgotten"));
    refused(&home, &["explain", id], &format!("document `{id}` is not kept"));
    refused(&home, &["forget", id], &format!("document `{id}` is not known"));
    for name in ["state.topicd-old", "state.topicd-new"] {
        assert!(!home.path("topicd-data").join(name).exists(), "{name} was left behind");
    }
}

#[test]
fn the_state_tells_of_itself() {
    let home = fitted();
    let topics = sizes(&home).len();
    // Two topics are joined by one branch, three by two.
    let tree = home.table(&["hierarchy"]);
    assert_eq!(tree.len(), 2 * topics - 1);
    assert!(tree[0]["depth"] == "0" && tree[1..].iter().all(|node| node["depth"] != "0"), "{tree:?}");
    let over_time = json(&home, &["over-time"]);
    let first = &over_time["topics"][0];
    let counted: u64 =
        first["documents"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(
        counted + first["earlier"].as_u64().unwrap(),
        sizes(&home).iter().map(|(_, size)| *size).max().unwrap()
    );
    // Every document is one of the last windows: nothing has drifted.
    assert!(first["drift"].as_f64().unwrap() < 0.01, "{first}");
    let courses = home.table(&["over-time"]);
    assert_eq!(courses.len(), topics + 1);
    assert_eq!(courses[0]["w0"], courses[0]["documents"]);
    assert_eq!(courses[topics]["name"], "outliers");
    let refits = home.table(&["refits"]);
    assert_eq!((refits.len(), &*refits[0]["refit"], &*refits[0]["asked_by"]), (1, "1", "request"));
    let refit = home.good(&["refits", "1"]);
    assert!(refit.starts_with("refit 1 (request") && refit.contains("  new"), "{refit}");
    refused(&home, &["refits", "7"], "refit `7` is not remembered");
    assert_eq!(json(&home, &["refits"])[0]["after"], 1);
}

#[test]
fn the_documents_of_a_topic_are_listed_page_by_page() {
    let home = fitted();
    let (number, size) = sizes(&home)[0];
    let topic = number.to_string();
    let listed = |arguments: &[&str]| json(&home, &[&["documents"], arguments].concat());
    let column = |page: &Value, name: &str| -> Vec<Value> {
        page["documents"].as_array().unwrap().iter().map(|document| document[name].clone()).collect()
    };

    let all = listed(&["--topic", &topic, "-n", "1000"]);
    assert!(all["size"] == size && all["kept"] == size && all["found"] == size, "{all}");
    assert!(column(&all, "topic").iter().all(|id| id.as_u64() == Some(number)));
    let ids = column(&all, "id");
    let pages: Vec<Value> = ["1", "2"]
        .iter()
        .flat_map(|page| column(&listed(&["--topic", &topic, "-n", "30", "--page", page]), "id"))
        .collect();
    assert_eq!(pages, ids[..60]);

    // The first word of the first text, and a part of another: only texts with both.
    let text = column(&all, "text")[0].as_str().unwrap().to_uppercase();
    let words: Vec<&str> = text.split(' ').collect();
    let query = format!("{} {}", words[0], &words[3][..3]);
    let with = listed(&["--topic", &topic, "--query", &query, "-n", "1000"]);
    let texts = column(&with, "text");
    let expected = column(&all, "text").into_iter().filter(|text| {
        let text = text.as_str().unwrap().to_uppercase();
        query.split(' ').all(|word| text.contains(word))
    });
    assert_eq!(texts, expected.collect::<Vec<_>>());
    assert!(with["found"] == texts.len() && !texts.is_empty(), "{with}");

    let nearest = column(&listed(&["--topic", &topic, "--nearest"]), "similarity");
    let nearest: Vec<f64> = nearest.iter().map(|one| one.as_f64().unwrap()).collect();
    assert!(nearest.is_sorted_by(|one, next| one >= next) && nearest[0] > 0.5, "{nearest:?}");
    let outliers = listed(&["--topic", "-1"]);
    assert_eq!(
        outliers["size"],
        listed(&[])["size"].as_u64().unwrap() - sizes(&home).iter().map(|(_, size)| size).sum::<u64>()
    );
    assert!(column(&outliers, "topic").iter().all(|id| *id == -1), "{outliers}");
    refused(&home, &["documents", "--topic", "99"], "no topic `99`");
    refused(&home, &["documents", "--nearest"], "--topic");
    refused(&home, &["documents", "-n", "1001"], "at most 1000");
    refused(&home, &["documents", "--topic", "-1", "--nearest"], "leave out --nearest");

    // A daemon gives the same answers.
    let daemon = home.start();
    let asked = |query: &str| daemon.json(&format!("/api/v1/documents?{query}"));
    assert_eq!(asked(&format!("topic={topic}&limit=1000")), Some(all));
    assert!(asked("nearest=true").is_none() && asked("topic=99").is_none() && asked("tipic=1").is_none());
    let address = format!("http.listen={}", daemon.base.trim_start_matches("http://"));
    let output = home
        .command(&["documents", "--topic", &topic, "--nearest"])
        .args(["--set", &address])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && told.lines().count() == 21, "{told}");
}

/// The newest document stands first in the file, and two subjects were written about before the two others.
#[test]
fn a_fit_tells_when_its_documents_were_written() {
    let dated = |(number, line): (usize, &str)| {
        let mut document: Value = serde_json::from_str(line).unwrap();
        let later = if number % 4 < 2 { 0 } else { 1000 };
        document["timestamp"] = (1_600_000_000 + later - number as u64).into();
        format!("{document}\n")
    };
    let home = Home::new(&documents(400).lines().enumerate().map(dated).collect::<String>());
    let home = home.set("state.window_documents=50");
    home.good(&["fit", "documents.jsonl", "--min-cluster-size", "30"]);
    let over_time = json(&home, &["over-time"]);
    let topics = over_time["topics"].as_array().unwrap();
    let mut trends = BTreeMap::new();
    for topic in topics {
        let counts: Vec<u64> =
            topic["documents"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).collect();
        let (before, after) = counts.split_at(4);
        let (before, after) = (before.iter().sum::<u64>(), after.iter().sum::<u64>());
        // A document on the border may count on either side.
        assert!(before.min(after) <= 1, "{topic}");
        trends.insert(before < after, topic["trend"].clone());
    }
    assert!(trends[&false] == "fading" && trends[&true] != "fading", "{over_time}");
    // The assignments are in the order of the file.
    assert_eq!(home.records("assignments.jsonl")[0]["id"], "d0");
}

#[test]
fn a_daemon_carries_out_orders_and_they_survive_its_death() {
    let home = Home::new(&documents(400)).set("refit.first_documents=200").set("refit.min_cluster_size=30");
    let mut daemon = home.start();
    wait_for("the last refit", || {
        let topics = daemon.json("/api/topics")?;
        (topics["documents"] == 400 && topics["version"].as_u64()? >= 2).then_some(())
    });
    let listen = format!("http.listen={}", daemon.base.trim_start_matches("http://"));
    let order = |arguments: &[&str]| {
        let output = home.command(arguments).args(["--set", &listen]).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let id = daemon.json("/api/topics").unwrap()["topics"][0]["id"].to_string();
    order(&["rename", &id, "Renamed over HTTP"]);
    assert!(order(&["forget", "d7"]).contains("document d7 is forgotten"));
    for asked in
        [&["explain", "d8"][..], &["hierarchy"], &["over-time"], &["versions"], &["diff"], &["refits"]]
    {
        assert!(!order(asked).is_empty(), "{asked:?}");
    }
    for missing in [["pin", "99"], ["topic", "99"]] {
        let missing = home.command(&missing).args(["--set", &listen]).output().unwrap();
        assert!(String::from_utf8_lossy(&missing.stderr).contains("there is no topic `99`"), "{missing:?}");
    }
    assert!(order(&["topic", &id]).starts_with(&format!("topic {id}: Renamed over HTTP")));
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    let topics = json(&home, &["topics"]);
    assert_eq!(topics["documents"], 399);
    assert_eq!(json(&home, &["topic", &id])["name"], "Renamed over HTTP");
}

#[test]
fn seeds_take_their_documents_from_the_first_one_on() {
    let home = Home::new(&documents(120));
    let seeds = "[[seeds.topic]]\nlabel = \"Space\"\nwords = [\"astronomy\", \"satellite\"]\n\
                 texts = [\"The rocket reached its orbit around the planet.\", \"A telescope saw distant stars.\"]\n";
    fs_err::write(home.path("seeds.toml"), seeds).unwrap();
    home.good(&["run", "--exit-at-end", "--config", "seeds.toml"]);
    let (mut taken, mut wrong) = (0, 0);
    for record in home.arrivals() {
        let number: usize = record["id"].as_str().unwrap()[1..].parse().unwrap();
        match (number % 4 == 3, record["topic"] == 0) {
            (true, true) => taken += 1,
            (false, true) => wrong += 1,
            _ => {}
        }
    }
    assert!(taken >= 27 && wrong <= 3, "{taken} of 30, and {wrong} others");
    let first = &home.records("topics.jsonl")[0];
    assert_eq!((&first["name"], &first["custom_label"]), (&"Space".into(), &"Space".into()));
    let model = home.path("model");
    home.good(&["export", model.to_str().unwrap()]);
    let again = Home::new(&documents(40)).set(&format!("seeds.bertopic={}", model.display()));
    again.good(&["run", "--exit-at-end"]);
    assert!(home.records("topics.jsonl").len() > 1);
    let seeded = again.records("topics.jsonl");
    assert!(seeded.iter().any(|topic| topic["name"] == "Space" && topic["version"] == 1), "{seeded:?}");
    let found = again.records("assignments.jsonl").into_iter().filter(|record| record["topic"] != -1).count();
    assert!(found > 30, "{found} of 40 documents went to a seed");
}
