//! What documents say of themselves beside their text, counted by topic: their times and their kept fields.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::topicd::{Daemon, Home, documents, wait_for};

/// Documents of four subjects with a time, a product and a rating; some have no time.
fn dated(n: usize) -> String {
    let with_fields = |(number, line): (usize, &str)| {
        let mut document: Value = serde_json::from_str(line).unwrap();
        if number % 10 > 0 {
            document["timestamp"] =
                json!(format!("20{}-{:02}-03T{:02}:00:00Z", 20 + number % 2, 1 + number % 5, number % 7));
        }
        let product = ["phone", "radio", "camera"][number % 3];
        document["shop"] = json!({ "product": product });
        document["rating"] = json!(1 + number % 5);
        format!("{document}\n")
    };
    documents(n).lines().enumerate().map(with_fields).collect()
}

/// Documents by topic and bin, counted from the assignments; forgotten ones are not there.
fn counted(home: &Home, bin: impl Fn(&str) -> String) -> BTreeMap<(i64, String), u64> {
    let input = fs_err::read_to_string(home.path("documents.jsonl")).unwrap();
    let times: BTreeMap<String, Option<String>> = (input.lines())
        .map(|line| {
            let document: Value = serde_json::from_str(line).unwrap();
            let time = document["timestamp"].as_str().map(&bin);
            (document["id"].as_str().unwrap().to_owned(), time)
        })
        .collect();
    let mut topics: BTreeMap<String, Option<i64>> = BTreeMap::new();
    for record in home.records("assignments.jsonl") {
        topics.insert(record["id"].as_str().unwrap().to_owned(), record["topic"].as_i64());
    }
    let mut counts = BTreeMap::new();
    for (id, topic) in topics {
        let Some(topic) = topic else { continue };
        let bin = times[&id].clone().unwrap_or_else(|| "undated".to_owned());
        *counts.entry((topic, bin)).or_insert(0) += 1;
    }
    counts
}

/// The same, as it was told.
fn told(by_time: &Value) -> BTreeMap<(i64, String), u64> {
    let mut counts = BTreeMap::new();
    let topics = by_time["topics"].as_array().unwrap().iter();
    for (id, topic) in
        topics.map(|topic| (topic["id"].as_i64().unwrap(), topic)).chain([(-1, &by_time["outliers"])])
    {
        assert_eq!(topic["earlier"], 0);
        let bins = by_time["bins"].as_array().unwrap().iter().map(|bin| bin.as_str().unwrap());
        let documents = topic["documents"].as_array().unwrap().iter().chain([&topic["undated"]]);
        for (bin, count) in bins.chain(["undated"]).zip(documents) {
            counts.insert((id, bin.to_owned()), count.as_u64().unwrap());
        }
    }
    counts.retain(|_, count| *count > 0);
    counts
}

#[test]
fn topics_are_counted_by_the_times_of_their_documents() {
    let home = Home::new(&dated(400));
    let home = home.set("refit.first_documents=150").set("refit.min_cluster_size=30");
    let home = home.set("refit.every_documents=100");
    let by =
        |bin: &str| serde_json::from_str::<Value>(&home.good(&["over-time", "--by", bin, "--json"])).unwrap();
    home.good(&["run", "--exit-at-end"]);
    for (unit, length) in [("hour", 13), ("day", 10), ("month", 7), ("year", 4)] {
        let found = by(unit);
        assert_eq!(told(&found), counted(&home, |time| time[..length].to_owned()), "{unit}");
        let bins: Vec<&str> =
            found["bins"].as_array().unwrap().iter().map(|bin| bin.as_str().unwrap()).collect();
        assert!(bins.is_sorted() && bins.iter().collect::<BTreeSet<_>>().len() == bins.len(), "{bins:?}");
    }
    assert!(by("week")["bins"].as_array().unwrap().contains(&json!("2020-W06")));
    let table = home.good(&["over-time", "--by", "year"]);
    assert!(table.lines().next().unwrap().contains("2020\t2021\tundated"), "{table}");
    let refused = home.run(&["over-time", "--by", "decade"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("hour, day, week, month and year"));
    // A merge and its end, and an erasure.
    let before = told(&by("month"));
    let ids: BTreeSet<String> = before.keys().map(|(id, _)| id.to_string()).filter(|id| id != "-1").collect();
    let [first, second] = [0, 1].map(|at| ids.iter().nth(at).unwrap().as_str());
    home.good(&["merge", second, "--into", first]);
    assert_ne!(told(&by("month")), before);
    home.good(&["restore", second]);
    assert_eq!(told(&by("month")), before);
    home.good(&["forget", "d17"]);
    assert_eq!(told(&by("month")), counted(&home, |time| time[..7].to_owned()));
    // A daemon tells the same.
    let expected = by("month");
    let daemon = home.start();
    assert_eq!(daemon.json("/api/over-time?by=month"), Some(expected));
    assert!(daemon.json("/api/over-time?by=decade").is_none());
}

/// A daemon that has read 300 documents and keeps their fields, and one that none of them has.
fn keeping() -> (Home, Daemon) {
    let keep = r#"source.fields.keep=["shop.product", "rating", "nothing"]"#;
    let home =
        Home::new(&dated(300)).set(keep).set("refit.first_documents=150").set("refit.min_cluster_size=30");
    let daemon = home.start();
    wait_for("the last refit", || {
        let topics = daemon.json("/api/topics")?;
        let done =
            topics["documents"] == 300 && topics["version"].as_u64()? >= 2 && topics["refitting"] == false;
        done.then_some(())
    });
    (home, daemon)
}

#[test]
fn kept_fields_stand_in_assignments_and_with_the_documents() {
    let (home, daemon) = keeping();
    let records = home.records("assignments.jsonl");
    crate::schemas::check("assignment", &records);
    assert!(records.iter().any(|record| record["revision"] == 2), "revisions have their fields too");
    for record in &records {
        let number: usize = record["id"].as_str().unwrap()[1..].parse().unwrap();
        let product = ["phone", "radio", "camera"][number % 3];
        assert_eq!(
            record["fields"],
            json!({ "shop.product": product, "rating": 1 + number % 5 }),
            "{record}"
        );
    }
    let page = daemon.json("/api/v1/documents?limit=5").unwrap();
    assert!(
        page["documents"].as_array().unwrap().iter().all(|one| one["fields"]["rating"].is_u64()),
        "{page}"
    );
}

#[test]
fn topics_are_told_by_the_values_of_kept_fields() {
    let (home, daemon) = keeping();
    // Topics by the fields, from the daemon and from the command, which asks it.
    let mut topics: BTreeMap<String, i64> = BTreeMap::new();
    for record in &home.records("assignments.jsonl") {
        topics.insert(record["id"].as_str().unwrap().to_owned(), record["topic"].as_i64().unwrap());
    }
    let count = |topic: &Value, holds: &dyn Fn(usize) -> bool| {
        let number = |id: &str| id[1..].parse::<usize>().unwrap();
        topics.iter().filter(|(id, of)| topic == *of && holds(number(id))).count()
    };
    let by = daemon.json("/api/v1/topics?by=shop.product").unwrap();
    assert_eq!(
        (&by["documents"], &by["looked_at"], &by["known_values"]),
        (&json!(300), &json!(300), &json!(3))
    );
    for part in by["topics"].as_array().unwrap().iter().chain([&by["outliers"]]) {
        for (value, documents) in
            by["values"].as_array().unwrap().iter().zip(part["documents"].as_array().unwrap())
        {
            let product = |number: usize| value == ["phone", "radio", "camera"][number % 3];
            assert_eq!(documents, count(&part["id"], &product), "{part}");
        }
    }
    let condition = "rating%20%3C%203%20and%20shop.product%20%3D%20%22radio%22";
    let few = daemon.json(&format!("/api/v1/topics?by=rating&where={condition}")).unwrap();
    for part in few["topics"].as_array().unwrap() {
        assert_eq!(part["found"], count(&part["id"], &|number| number % 5 < 2 && number % 3 == 1), "{part}");
        assert!(part["numbers"].is_null() || part["numbers"]["p90"].as_f64().unwrap() <= 2.0, "{part}");
    }
    assert!(
        daemon.json("/api/v1/topics?by=color").is_none() && daemon.json("/api/v1/topics?where=%3C").is_none()
    );
    let listen = format!("http.listen={}", daemon.base.trim_start_matches("http://"));
    let asked = |arguments: &[&str]| {
        let output = home.command(arguments).args(["--set", &listen]).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let table = asked(&["topics", "--by", "shop.product", "--where", "rating >= 4"]);
    let head = table.lines().next().unwrap();
    assert!(
        head.starts_with("id\tname\tsize\tlooked_at\tfound\tshare\twith_field") && head.contains("camera"),
        "{table}"
    );
    let page = asked(&["documents", "--where", "rating = 5 and not shop.product = 'radio'", "--json"]);
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!(page["found"], (0..300).filter(|number| number % 5 == 4 && number % 3 != 1).count());
    let refused = home.run(&["topics", "--where", "rating <"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("the end stands there, not a number"));
}
