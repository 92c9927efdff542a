//! The walls that the compiler does not guard inside one package: who may name whom, and how big a file may be.

use std::path::{Path, PathBuf};

/// A room's folder or file in `src/`, the rooms that it may name, and the outside things that it must not.
const FLOORS: &[(&[&str], &[&str], &[&str])] = &[
    (&["built", "disk", "secret", "visible"], &["built", "disk", "secret", "visible"], PURE),
    (&["kernel"], &["kernel"], PURE),
    (&["cluster"], &["kernel", "cluster"], PURE),
    (&["ann"], &["kernel", "ann"], PURE),
    (&["keywords"], &["kernel", "keywords"], PURE),
    (&["document", "checkpoint"], &["kernel", "document", "checkpoint"], PURE),
    (&["npy"], &["npy"], PURE),
    (&["model"], MODEL, PURE),
    (
        &["record", "figure"],
        &["kernel", "ann", "cluster", "keywords", "document", "checkpoint", "model", "record", "figure"],
        PURE,
    ),
    (
        &["telemetry"],
        &["built", "visible", "document", "checkpoint", "model", "embed", "telemetry"],
        &["sled::", "rdkafka::", "axum::"],
    ),
    (
        &["client"],
        &["built", "client"],
        &["sled::", "rdkafka::", "ort::", "axum::", "clap::", "prometheus::"],
    ),
    (&["transport"], &with_records("transport"), &["sled::", "ort::", "axum::", "clap::", "prometheus::"]),
    (
        &["embed"],
        &with_model("embed"),
        &["sled::", "rdkafka::", "axum::", "clap::", "prometheus::", "tokio::"],
    ),
    (
        &["store"],
        &with_records("store"),
        &["rdkafka::", "ort::", "axum::", "clap::", "prometheus::", "tokio::"],
    ),
    (
        &["bertopic"],
        &with_model("bertopic"),
        &["sled::", "rdkafka::", "ort::", "axum::", "clap::", "prometheus::", "tokio::"],
    ),
    (
        &["notify"],
        &with_model("notify"),
        &["sled::", "rdkafka::", "ort::", "axum::", "clap::", "prometheus::"],
    ),
    (&["label"], &with_model("label"), &["sled::", "rdkafka::", "ort::", "axum::", "clap::", "prometheus::"]),
    (&["pipeline"], &UP_TO_PIPELINE, LOOPS),
    (&["http"], &UP_TO_HTTP, LOOPS),
];

const MODEL: &[&str] = &["kernel", "ann", "cluster", "keywords", "document", "checkpoint", "model"];

const fn with_model(room: &'static str) -> [&'static str; 12] {
    [
        "built",
        "secret",
        "kernel",
        "ann",
        "cluster",
        "keywords",
        "document",
        "checkpoint",
        "model",
        "telemetry",
        "client",
        room,
    ]
}

const fn with_records(room: &'static str) -> [&'static str; 14] {
    [
        "built",
        "disk",
        "secret",
        "kernel",
        "ann",
        "cluster",
        "keywords",
        "document",
        "checkpoint",
        "model",
        "record",
        "telemetry",
        "client",
        room,
    ]
}

const UP_TO_PIPELINE: [&str; 15] = [
    "kernel",
    "ann",
    "cluster",
    "keywords",
    "document",
    "checkpoint",
    "model",
    "record",
    "telemetry",
    "transport",
    "embed",
    "store",
    "label",
    "notify",
    "pipeline",
];
const UP_TO_HTTP: [&str; 18] = [
    "built",
    "client",
    "secret",
    "kernel",
    "ann",
    "cluster",
    "keywords",
    "document",
    "checkpoint",
    "model",
    "record",
    "telemetry",
    "transport",
    "embed",
    "store",
    "notify",
    "bertopic",
    "http",
];

/// Pure rooms get time, files and sockets as values.
const PURE: &[&str] = &[
    "tokio",
    "rdkafka::",
    "sled::",
    "axum::",
    "ort::",
    "prometheus::",
    "tracing::",
    "std::fs",
    "fs_err",
    "std::net",
    "SystemTime",
    "Timestamp::now",
    "Instant::now",
    "std::env",
];
const LOOPS: &[&str] = &["clap::", "toml::", "std::env", "prometheus::"];

/// Names that say nothing about what lives in a file.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc", "manager"];

const MOST_LINES: usize = 500;

fn source_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 50, "the source was found");
    files
}

/// The room that a file belongs to: the first folder under `src/`, or the file itself.
fn room(path: &Path) -> String {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn is_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|name| name == "tests")
        || path.components().any(|part| part.as_os_str() == "tests")
}

/// Code without comments, and without the tests at a file's end.
fn code(path: &Path) -> String {
    let text = fs_err::read_to_string(path).unwrap();
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..end].lines().map(|line| line.split("//").next().unwrap_or(""));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_room_names_only_those_below_it() {
    let mut faults = Vec::new();
    for path in source_files().into_iter().filter(|path| !is_test(path)) {
        let room = room(&path);
        let Some((_, may_name, must_not)) = FLOORS.iter().find(|(rooms, ..)| rooms.contains(&room.as_str()))
        else {
            let upper = ["lib", "main", "config", "daemon", "cli"];
            assert!(upper.contains(&room.as_str()), "`{room}` stands on no floor; add it to the table");
            continue;
        };
        let code = code(&path);
        for (at, _) in code.match_indices("crate::") {
            let rest = &code[at + "crate::".len()..];
            for named in first_names(rest) {
                if !may_name.contains(&named.as_str()) {
                    faults.push(format!("{} names `{named}`", path.display()));
                }
            }
        }
        for name in must_not.iter().filter(|name| names(&code, name)) {
            faults.push(format!("{} names `{name}`", path.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// True if `code` holds `name` at the start of a word.
fn names(code: &str, name: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| !code[..at].ends_with(inside))
}

/// The rooms after `crate::`: one name, or several in braces.
fn first_names(rest: &str) -> Vec<String> {
    let name =
        |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    if let Some(list) = rest.strip_prefix('{') {
        let mut depth = 0;
        let mut names = vec![String::new()];
        for c in list.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => names.push(String::new()),
                _ => {}
            }
            if let Some(last) = names.last_mut().filter(|_| c != ',' || depth > 0) {
                last.push(c);
            }
        }
        return names.iter().map(|text| name(text)).filter(|text| !text.is_empty()).collect();
    }
    vec![name(rest)]
}

#[test]
fn files_are_small_and_their_names_say_something() {
    let mut faults = Vec::new();
    for path in source_files() {
        let lines = fs_err::read_to_string(&path).unwrap().lines().count();
        if lines > MOST_LINES {
            faults.push(format!("{} has {lines} lines", path.display()));
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if EMPTY_NAMES.contains(&name.as_str()) {
            faults.push(format!("{} says nothing by its name", path.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn unsafe_code_stands_in_one_file() {
    for path in source_files().into_iter().filter(|path| !path.ends_with("kernel/x86_64.rs")) {
        let code = code(&path);
        assert!(!code.contains("unsafe {") && !code.contains("unsafe fn"), "{}", path.display());
    }
}
