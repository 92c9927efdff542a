//! `topicd check` finds what `topicd run` refuses, and leaves no trace.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use crate::topicd::{Home, documents, wait_for};

/// The tiniest model; it loads at once and knows hardly a word.
fn model(name: &str) -> String {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/embed/tiny");
    format!("embed.model={}", fixtures.join(name).display())
}

/// Every file below `folder` with its bytes; of a folder none.
fn everything(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs_err::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let bytes = path.is_file().then(|| fs_err::read(&path).unwrap());
            if bytes.is_none() {
                open.push(path.clone());
            }
            found.insert(path, bytes);
        }
    }
    found
}

/// What `arguments` with `settings` over the home's own say on both streams, and the exit status.
fn said(home: &Home, arguments: &[&str], settings: &[&str]) -> (String, Option<i32>) {
    let settings = settings.iter().flat_map(|setting| ["--set", *setting]);
    let output = home.command(arguments).args(settings).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap(), output.status.code())
}

#[test]
fn what_run_refuses_is_found_and_nothing_is_touched() {
    let home = Home::new(&documents(20)).set(&model("static-plain"));
    home.good(&["run", "--exit-at-end"]);
    fs_err::write(home.path("a-file"), "").unwrap();
    fs_err::create_dir_all(home.path("foreign/output")).unwrap();
    fs_err::write(home.path("foreign/thesis.txt"), "years of work").unwrap();
    fs_err::write(home.path("foreign/output/events.jsonl"), "{}\n").unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let before = everything(&home.path(""));
    for (settings, why) in [
        (&["source.path=none.jsonl"][..], "cannot read `"),
        (&["source.path=foreign"], "foreign`; check that it is a file"),
        (&["embed.model=no/such"], "there is no model `no/such`"),
        (&[&*model("static-quantised")], "was made with encoder `static-plain@"),
        (&["state.directory=a-file"], "set `state.directory` to "),
        (&["state.directory=a-file/state"], "set `state.directory` to "),
        (&["state.directory=foreign"], "foreign` holds something that topicd did not make"),
        (&["output.directory=a-file"], "cannot write `"),
        (&["state.directory=new", "output.directory=foreign/output"], "of which the state knows nothing"),
        (&[&format!("http.listen={address}")], "set `http.listen` to another address"),
        (&["output.directory=topicd-data/state"], "must be another folder than `state.directory`"),
        (&["source.path=topicd-data/output/events.jsonl"], "topicd writes that file"),
        (&["source.paths=[\"topicd-data/*/*.jsonl\"]"], "topicd writes that file"),
    ] {
        let (found, status) = said(&home, &["check"], settings);
        assert!(found.contains(why) && matches!(status, Some(1 | 2)), "{settings:?}: {status:?} {found}");
        assert!(everything(&home.path("")) == before, "{settings:?} left something behind");
        let (refused, status) = said(&home, &["run", "--exit-at-end"], settings);
        assert!(refused.contains(why) && matches!(status, Some(1 | 2)), "{settings:?}: {status:?} {refused}");
        assert_eq!(
            everything(&home.path("foreign")),
            everything_of("foreign", &home, &before),
            "{settings:?}"
        );
        // What the daemon makes before it refuses is no matter of this test.
        restore(&home.path(""), &before);
    }
    assert_eq!(said(&home, &["check"], &[]), ("no mistakes\n".to_owned(), Some(0)));
}

fn everything_of(
    folder: &str,
    home: &Home,
    before: &BTreeMap<PathBuf, Option<Vec<u8>>>,
) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let folder = home.path(folder);
    let inside = before.iter().filter(|(path, _)| path.starts_with(&folder) && **path != folder);
    inside.map(|(path, bytes)| (path.clone(), bytes.clone())).collect()
}

fn restore(folder: &Path, before: &BTreeMap<PathBuf, Option<Vec<u8>>>) {
    for path in everything(folder).into_keys().rev().filter(|path| !before.contains_key(path)) {
        if path.is_dir() { fs_err::remove_dir(path).unwrap() } else { fs_err::remove_file(path).unwrap() }
    }
    for (path, bytes) in before {
        match bytes {
            Some(bytes) => fs_err::write(path, bytes).unwrap(),
            None => fs_err::create_dir_all(path).unwrap(),
        }
    }
}

#[test]
fn a_state_in_use_is_found_and_not_held() {
    let home = Home::new(&documents(20)).set(&model("static-plain"));
    let daemon = home.start();
    let (found, status) = said(&home, &["check"], &[]);
    assert!(found.contains("is in use by another process") && status == Some(1), "{status:?} {found}");
    drop(daemon);
    assert_eq!(said(&home, &["check"], &[]).1, Some(0));
    home.good(&["run", "--exit-at-end"]);
}

#[test]
fn outputs_that_another_daemon_writes_are_found_and_nobody_else_writes_them() {
    let home = Home::new(&documents(20)).set(&model("static-plain"));
    let daemon = home.start();
    wait_for("the documents", || (home.arrivals().len() == 20).then_some(()));
    let (why, elsewhere) =
        (format!("by another topicd (process {})", daemon.child.id()), "state.directory=elsewhere");
    for arguments in [&["check"][..], &["run", "--exit-at-end"], &["fit", "documents.jsonl"]] {
        let (found, status) = said(&home, arguments, &[elsewhere]);
        assert!(found.contains(&why) && status == Some(1), "{arguments:?}: {status:?} {found}");
    }
    drop(daemon);
    assert_eq!(home.arrivals().len(), 20);
    assert_eq!(said(&home, &["check"], &[]).1, Some(0));
}

#[test]
fn a_source_that_is_not_set_is_noted() {
    let home = Home::new("").set("source.path=").set(&model("static-plain"));
    let (found, status) = said(&home, &["check"], &[]);
    assert!(
        found.starts_with("no mistakes\nnote: `source.path` is empty; set it") && status == Some(0),
        "{found}"
    );
}

#[test]
fn what_a_command_did_not_make_it_does_not_replace() {
    let home = Home::new(&documents(200)).set("refit.first_documents=100");
    home.good(&["run", "--exit-at-end"]);
    fs_err::create_dir_all(home.path("foreign")).unwrap();
    fs_err::write(home.path("foreign/config.json"), "mine").unwrap();
    let before = everything(&home.path("foreign"));
    for (arguments, why) in [
        (&["export", "foreign"][..], "did not make; name an empty folder"),
        (&["fit", "documents.jsonl", "--state", "foreign"], "did not make; set `state.directory`"),
        (&["reembed", "foreign", "--set", &*model("static-plain")], "did not make; set `state.directory`"),
        (
            &["evaluate", "documents.jsonl", "--seeds", "1", "--topics", "foreign/config.json"],
            "is there already; name another file",
        ),
    ] {
        let (found, status) = said(&home, arguments, &[]);
        assert!(found.contains(why) && status == Some(1), "{arguments:?}: {status:?} {found}");
        assert!(everything(&home.path("foreign")) == before, "{arguments:?}");
    }
    home.good(&["export", "mine"]);
    home.good(&["export", "mine"]);
}
