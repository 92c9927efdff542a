//! The commands as a user types them.

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::topicd::{Home, check_pure, documents};

#[test]
fn fit_topics_find_and_assign() {
    let home = Home::new(&documents(400));
    let fitted: Value =
        serde_json::from_str(&home.good(&["fit", "documents.jsonl", "--min-cluster-size", "30", "--json"]))
            .unwrap();
    let topics = fitted["model"]["topics"].as_array().unwrap();
    check_pure(topics);
    let table = home.table(&["topics"]);
    assert_eq!(table.len(), topics.len());
    // Programs get all of it, and nothing but rows.
    assert_eq!(table[0]["keywords"].split(", ").count(), topics[0]["keywords"].as_array().unwrap().len());
    assert_eq!(table[0]["representative_document"], topics[0]["representative"][0]["text"]);
    assert_eq!(home.table(&["topics", "-n", "2"]), table[..2]);
    assert_eq!(home.table(&["topics", "--limit", "0"]), table);
    assert_eq!(home.table(&["find", "football", "-n", "0"]).len(), topics.len());
    assert_eq!(home.table(&["versions", "-n", "1"])[0]["in_force"], "yes");

    let found: Value = serde_json::from_str(&home.good(&["find", "a rocket to the moon", "--json"])).unwrap();
    let best = &found[0];
    assert!(
        best["keywords"].to_string().contains("orbit") || best["keywords"].to_string().contains("rocket"),
        "{found}"
    );
    let topic = home.good(&["topic", &best["id"].to_string()]);
    assert!(topic.contains("representative documents"), "{topic}");
    refused(&home, &["topic", "99"], 1, "there is no topic `99`; `topicd topics` lists them");

    let mut assign = home.command(&["assign", "--json"]);
    let mut child = assign.stdin(Stdio::piped()).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"astronomy news: the comet and the orbit and the rocket and the moon.\n\n")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let assigned: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(assigned["topic"].as_i64().unwrap() >= 0, "{assigned}");
    assert!(assigned["weights"][0]["weight"].as_f64().unwrap() > 0.5, "{assigned}");

    refused(&home, &["fit", "documents.jsonl"], 1, "holds a model already");
}

/// Runs `topicd`, which must end with `status` and say `why` on stderr, once, and nothing on stdout; then the same with
/// `--json`.
fn refused(home: &Home, arguments: &[&str], status: i32, why: &str) {
    let plain = home.run(arguments);
    let said = String::from_utf8_lossy(&plain.stderr);
    assert_eq!(plain.status.code(), Some(status), "{arguments:?}: {said}");
    assert_eq!(said.matches(why).count(), 1, "{arguments:?}: {said}");
    assert!(said.starts_with("topicd: ") && plain.stdout.is_empty(), "{arguments:?}: {said}");
    let hidden = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert!(!said.contains(hidden), "{said:?}");
    let json = home.run(&[&["--json"], arguments].concat());
    assert_eq!(json.status.code(), Some(status), "{arguments:?}");
    let said: Value = serde_json::from_slice(&json.stderr).unwrap();
    assert!(said["error"].is_string() && said["causes"].is_array(), "{said}");
    assert!(json.stdout.is_empty(), "{arguments:?}");
}

#[test]
fn fit_lists_the_fields_that_it_left_out_and_fails_where_most_lines_are_refused() {
    let mut lines: Vec<Value> =
        documents(400).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines[3]["timestamp"] = "18.05.2021".into();
    lines[5]["timestamp"] = "19.05.2021".into();
    lines[5]["title"] = 5.into();
    let text = |lines: &[Value]| lines.iter().map(|line| line.to_string() + "\n").collect::<String>();
    let home = Home::new(&text(&lines));
    let fit = |folder: &str, more: &[&str]| {
        let first = ["fit", "documents.jsonl", "--min-cluster-size", "30", "--state", folder];
        home.run(&[&first[..], more].concat())
    };
    let output = fit("one", &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let first = lines[3]["id"].as_str().unwrap();
    let time = format!("left out 2 ×, first in document `{first}`: field `timestamp` is a string");
    assert!(said.contains(&time) && said.contains("set `source.time_format`"), "{said}");
    assert!(said.contains("left out 1 ×"), "{said}");
    let all = fit("two", &["--json", "--set", "source.time_format=%d.%m.%Y"]);
    let all: Value = serde_json::from_slice(&all.stdout).unwrap();
    assert_eq!(all["left_out"].as_array().unwrap().len(), 1, "{}", all["left_out"]);
    assert_eq!(all["left_out"][0]["field"], "title");

    fs_err::write(home.path("documents.jsonl"), text(&lines) + &"no json\n".repeat(401)).unwrap();
    let output = fit("three", &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("401 of 801 lines are refused, the first because: not a json object"), "{said}");
    assert!(
        !home.table(&["topics", "--set", "state.directory=three"]).is_empty(),
        "it is fitted all the same"
    );
}

#[test]
fn every_mistake_is_told_once_with_a_way_out_and_its_own_status() {
    let home = Home::new("");
    let hostile = "\u{1b}[2J\u{202e}7";
    fs_err::write(home.path("refused.jsonl"), "no json\n{\"id\": \"1\"}\n").unwrap();
    for (arguments, status, why) in [
        (
            &["topic", "abc"][..],
            2,
            "a topic's id is a whole number, such as 7; `topicd topics` lists the topics",
        ),
        (&["topic", "-1"], 2, "-1 stands for outliers"),
        (&["topic"], 2, "Example: topicd topic 3"),
        (&["topic", hostile], 2, "a topic's id is a whole number"),
        (&["merge", "1", "--into", "x"], 2, "a topic's id is a whole number"),
        (&["merge", "1", "--into", "1"], 2, "cannot be merged into itself"),
        (&["rollback", "one"], 2, "`topicd versions` lists those that are kept"),
        (&["topics", "-n", "-3"], 2, "or 0 for all"),
        (&["hierarchy", "--distance", "3"], 2, "a number from 0 to 2, such as 0.6"),
        (&["find"], 2, "Examples: topicd find \"climate change\""),
        (&["find", " "], 2, "write e.g. topicd find \"climate change\""),
        (&["hierarcy"], 2, "a similar subcommand exists: 'hierarchy'"),
        (&["check", "--connect"], 2, "--set source.type=kafka"),
        (&["run", "--role", "modeler"], 2, "`--role` is for documents from Kafka"),
        (&["topics", "--config", "none.toml"], 2, "cannot read the configuration `none.toml`; name another"),
        (&["topics", "--config", "none.toml"], 2, "No such file or directory"),
        (&["topics", "--set", "refit.sede=1"], 2, "did you mean `refit.seed`?"),
        (&["topics", "--set", hostile], 2, "write --set section.key=value"),
        (&["topics"], 1, "holds no model; run `topicd run` or `topicd fit` first"),
        (&["fit", "none.jsonl"], 1, "cannot read `none.jsonl`; check that it is a file"),
        (&["fit", "documents.jsonl"], 1, "`documents.jsonl` is empty; write a document a line"),
        (
            &["fit", "refused.jsonl"],
            1,
            "holds no document; all of its 2 lines are refused, the first because: ",
        ),
        (&["evaluate", "none.jsonl"], 1, "No such file or directory"),
        (&["fit", "documents.jsonl", "--min-cluster-size", "0"], 2, "write a whole number from 1"),
    ] {
        refused(&home, arguments, status, why);
    }
    let twice = home.run(&["topics", "--set", "refit.sede=1", "--set", "sorce.path=x", "--json"]);
    let said: Value = serde_json::from_slice(&twice.stderr).unwrap();
    let said = said["error"].as_str().unwrap();
    assert!(said.starts_with("2 mistakes in the configuration; `refit.sede` is unknown"), "{said}");
    assert!(said.contains("`refit.seed`?; `sorce.path` is unknown"), "{said}");
}

#[test]
fn nothing_in_a_document_reaches_the_terminal_as_an_order() {
    let document = |number: usize| {
        let subject = ["goal league striker", "rocket orbit comet"][number % 2];
        let text = format!("{subject} \u{1b}]0;x\u{7}\t\u{9b}31m\n{number} \u{202e}{subject}\u{2069}");
        serde_json::json!({ "id": format!("d\u{1b}[2J\t{number}"), "text": text }).to_string()
    };
    let hostile = (0..400).map(document).collect::<Vec<_>>().join("\n");
    let home = Home::new(&hostile);
    home.good(&["fit", "documents.jsonl", "--min-cluster-size", "30"]);
    home.good(&["rename", "0", "\u{1b}[31m\u{202e}red\nid"]);
    let hidden = |c: char| c.is_control() && c != '\n' && c != '\t' || ('\u{202a}'..='\u{202e}').contains(&c);
    for arguments in [
        &["topics"][..],
        &["topic", "0"],
        &["find", "rocket"],
        &["hierarchy"],
        &["over-time"],
        &["versions"],
        &["diff"],
        &["refits"],
        &["refits", "1"],
        &["documents", "--topic", "0"],
        &["explain", "d\u{1b}[2J\t7"],
        &["topics", "--json"],
    ] {
        let text = home.good(arguments);
        assert!(!text.contains(hidden), "{arguments:?}: {text:?}");
    }
    for arguments in [&["topics"][..], &["find", "rocket"], &["hierarchy"], &["over-time"], &["diff"]] {
        assert!(home.table(arguments).iter().all(|row| row.len() > 4));
    }
    let names = home.table(&["topics"]);
    assert!(names.iter().any(|row| row["name"] == "\\u{1b}[31m\\u{202e}red id"), "{names:?}");
}

#[cfg(feature = "shell")]
#[test]
fn shells_and_manuals_know_every_command() {
    let home = Home::new("");
    for shell in ["bash", "zsh", "fish"] {
        let script = home.good(&["completions", shell]);
        for command in ["over-time", "forget-topic", "completions"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
    assert_eq!(home.good(&["man", "manual/man1"]), "");
    let page = fs_err::read_to_string(home.path("manual/man1/topicd-over-time.1")).unwrap();
    assert!(page.contains("Drift is 1"), "{page}");
    assert!(
        home.path("manual/man1/topicd-model-pull.1").is_file() && home.path("manual/man1/topicd.1").is_file()
    );
}

#[test]
fn check_names_every_mistake_at_once() {
    let home = Home::new("");
    fs_err::write(
        home.path("bad.toml"),
        "[refit]\nmin_cluster_sise = 3\nmin_samples = 0\n\n[sorce]\npath = \"x\"\n",
    )
    .unwrap();
    let output = home.run(&["check", "--config", "bad.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("refit.min_cluster_sise") && text.contains("min_cluster_size"), "{text}");
    assert!(text.contains("bad.toml:2") && text.contains("refit.min_samples"), "{text}");
    assert!(text.contains("sorce") && text.contains("source"), "{text}");
    assert_eq!(home.good(&["check"]), "no mistakes\n");
}

#[test]
fn a_setting_from_the_environment_counts_and_its_mistake_is_named() {
    let home = Home::new("");
    let mut command = home.command(&["check"]);
    let output = command.env("TOPICD_REFIT__MIN_CLUSTER_SIZE", "1").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("TOPICD_REFIT__MIN_CLUSTER_SIZE"), "{text}");
}

#[test]
fn help_teaches() {
    let home = Home::new("");
    let help = home.good(&["--help"]);
    for word in ["run", "fit", "topics", "find", "assign", "check", "Examples", "Exit status"] {
        assert!(help.contains(word), "{help}");
    }
}
