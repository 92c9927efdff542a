//! `topicd state`: what was backed up comes back, exactly once with the outputs, and damage is refused.

use std::process::Command;

use serde_json::Value;

use crate::kafka::daemon::{document, ids};
use crate::outcome::Outcome;
use crate::topicd::{Home, wait_for};

const DOCUMENTS: usize = 1500;

fn home() -> Home {
    let lines: Vec<String> = (0..DOCUMENTS).map(|n| document(n).to_string()).collect();
    Home::new(&(lines.join("\n") + "\n"))
        .set("refit.first_documents=200")
        .set("refit.every_documents=200")
        .set("refit.n_epochs=50")
        .set("source.batch_documents=16")
}

fn fails(home: &Home, arguments: &[&str]) -> String {
    let output = home.run(arguments);
    let why = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {why}");
    assert!(!why.contains("panicked"), "{why}");
    why
}

#[test]
fn a_running_daemon_is_backed_up_and_goes_on_from_there_exactly_once() {
    let home = home().set("source.speed=200.0");
    let mut daemon = home.start();
    let past = |documents: u64| {
        wait_for("documents", || {
            daemon.json("/api/topics").filter(|topics| topics["documents"].as_u64() > Some(documents))
        })
    };
    let before = past(300)["documents"].as_u64().unwrap();
    let told: Value = serde_json::from_str(&home.good(&["state", "backup", "b", "--json"])).unwrap();
    let backed_up = told["documents"].as_u64().unwrap();
    assert!(backed_up >= before && backed_up < DOCUMENTS as u64, "{told}");
    assert!(home.good(&["state", "check", "b"]).starts_with("all is well"));
    assert!(fails(&home, &["state", "check"]).contains("make a backup"));
    assert!(fails(&home, &["state", "backup", "b"]).contains("`b` is not empty"));
    past(backed_up + 50);
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();

    assert!(fails(&home, &["state", "restore", "b"]).contains("is not empty"));
    fs_err::remove_dir_all(home.path("topicd-data/state")).unwrap();
    let restored: Value = serde_json::from_str(&home.good(&["state", "restore", "b", "--json"])).unwrap();
    assert_eq!(restored["documents"], backed_up);
    let checked: Value = serde_json::from_str(&home.good(&["state", "check", "--json"])).unwrap();
    assert_eq!(checked["faults"], serde_json::json!([]));
    assert!(checked["notes"].to_string().contains("bytes longer than recorded"), "{checked}");
    let home = home.set("source.speed=0.0");
    home.good(&["run", "--exit-at-end"]);
    Outcome::of(&home).check_exactly_once(&ids(DOCUMENTS));
}

#[test]
fn what_follows_a_restored_backup_has_no_gap_and_no_double() {
    let home = home();
    let daemon = home.start();
    wait_for("documents", || {
        daemon.json("/api/topics").filter(|topics| topics["documents"].as_u64() > Some(100))
    });
    home.good(&["state", "backup", "b"]);
    wait_for("the rest", || {
        daemon.json("/api/topics").filter(|topics| topics["documents"] == DOCUMENTS as u64)
    });
    drop(daemon);
    fs_err::remove_dir_all(home.path("topicd-data/state")).unwrap();
    home.good(&["state", "restore", "b"]);
    home.good(&["run", "--exit-at-end"]);
    Outcome::of(&home).check_exactly_once(&ids(DOCUMENTS));

    // Stopped, it is the same in another place.
    home.good(&["state", "backup", "c"]);
    assert!(home.good(&["state", "check"]).starts_with("all is well"));
    let elsewhere = ["--set", "state.directory=elsewhere"];
    home.good(&[&["state", "restore", "c"][..], &elsewhere].concat());
    let topics = |further: &[&str]| home.good(&[&["topics", "--json"], further].concat());
    assert_eq!(topics(&elsewhere), topics(&[]));
}

#[test]
fn a_damaged_state_is_refused_and_no_new_one_takes_its_place() {
    let home = home();
    home.good(&["run", "--exit-at-end"]);
    home.good(&["state", "backup", "b"]);
    let db = home.path("topicd-data/state/db");
    let whole = fs_err::read(&db).unwrap();
    let assignments = home.records("assignments.jsonl").len();
    let mut flipped = whole.clone();
    flipped.iter_mut().step_by(1000).for_each(|byte| *byte ^= 0xFF);
    for damaged in [&flipped, &whole[..whole.len() / 2], &[]] {
        fs_err::write(&db, damaged).unwrap();
        for arguments in [&["run", "--exit-at-end"][..], &["topics"], &["state", "check"]] {
            let why = fails(&home, arguments);
            assert!(why.contains("is damaged") && why.contains("topicd state restore"), "{why}");
        }
    }
    assert_eq!(home.records("assignments.jsonl").len(), assignments, "the outputs stay");
    fs_err::remove_dir_all(home.path("topicd-data/state")).unwrap();
    home.good(&["state", "restore", "b"]);
    home.good(&["run", "--exit-at-end"]);
    Outcome::of(&home).check_exactly_once(&ids(DOCUMENTS));
}

#[test]
fn a_full_disk_loses_and_doubles_nothing() {
    let home = home();
    // The system refuses files of more KB than this, as a full disk does: an output, the state, a snapshot of it.
    for limit in [40, 200, 700, 1500] {
        let inner = home.command(&["run", "--exit-at-end"]);
        let mut command = Command::new("bash");
        command.args(["-c", &format!("trap '' XFSZ; ulimit -f {limit}; exec \"$@\""), "bash"]);
        command.arg(inner.get_program()).args(inner.get_args()).current_dir(home.path("."));
        let output = command.output().unwrap();
        let why = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{limit}: {why}");
        assert!(why.contains("the disk is full; free some space"), "{limit}: {why}");
        assert!(!why.contains("afresh") && !why.contains("panicked"), "{limit}: {why}");
    }
    home.good(&["run", "--exit-at-end"]);
    Outcome::of(&home).check_exactly_once(&ids(DOCUMENTS));
}
