//! What a user meets first: set-up, demo, release.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::topicd::{cache, documents};

/// The folder with the scripts.
fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file)
}

/// A cache of its own, with links to the parts of the real one.
fn cache_with(parts: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for part in parts {
        symlink(cache().join(part), folder.path().join(part)).unwrap();
    }
    folder
}

/// A cache whose news are `documents`.
fn cache_with_news(documents: &str) -> tempfile::TempDir {
    let folder = cache_with(&["onnxruntime", "models"]);
    fs_err::create_dir(folder.path().join("data")).unwrap();
    fs_err::write(folder.path().join("data/news.jsonl"), documents).unwrap();
    folder
}

fn topicd(cache: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_topicd"));
    command.args(arguments).env("TOPICD_CACHE", cache).env_remove("TOPICD_CONFIG").stdin(Stdio::null());
    command
}

const DEMO: [&str; 5] = [
    "demo",
    "--speed=max",
    "--set=refit.first_documents=100",
    "--set=http.listen=127.0.0.1:0",
    "--set=refit.min_cluster_size=20",
];

fn good(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn script(path: &Path, text: &str) {
    fs_err::write(path, text).unwrap();
    fs_err::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn the_binary_sets_up_without_a_clone() {
    let cache = cache_with(&["onnxruntime", "models", "data"]);
    let told = good(&topicd(cache.path(), &["setup"]).current_dir(cache.path()).output().unwrap());
    assert_eq!(told.matches("already there").count(), 4, "{told}");
}

#[test]
fn the_demo_leaves_topics_that_the_commands_show() {
    let cache = cache_with_news(&documents(200));
    let config = cache.path().join("demo/topicd.toml");
    for _ in 0..2 {
        // The second one starts from nothing, too.
        let told = good(&topicd(cache.path(), &[&DEMO[..], &["--exit-at-end"]].concat()).output().unwrap());
        assert!(told.contains(&format!("export TOPICD_CONFIG={}\n", config.display())), "{told}");
        assert!(told.contains("live page: http://127.0.0.1:"), "{told}");
        // As it was called, so that it can be typed.
        assert!(told.contains(&format!("  {} topics\n", env!("CARGO_BIN_EXE_topicd"))), "{told}");
        let topics = good(
            &topicd(cache.path(), &["topics", "--json"]).env("TOPICD_CONFIG", &config).output().unwrap(),
        );
        let topics: Value = serde_json::from_str(&topics).unwrap();
        assert_eq!(topics["documents"], 200, "{topics}");
        assert!(topics["topics"].as_array().unwrap().len() >= 2, "{topics}");
    }
}

#[test]
fn a_demo_does_not_empty_the_state_of_another_that_runs() {
    let cache = cache_with_news(&documents(10));
    let mut first = topicd(cache.path(), &DEMO).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(first.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("live page: ")), "it starts");
    let second = topicd(cache.path(), &DEMO).output().unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    let errors = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success() && errors.contains("another demo is running"), "{errors}");
    assert!(cache.path().join("demo/state/db").exists());
}

#[test]
fn a_demos_speed_is_a_number_or_max() {
    for speed in ["0", "-3", "fast", "inf", "nan"] {
        let output = topicd(Path::new("/nowhere"), &["demo", &format!("--speed={speed}")]).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("must be a number above 0, e.g. 50, or `max`"), "{errors}");
    }
}

#[test]
fn the_wrapper_runs_the_newer_binary_on_the_demos_topics() {
    let (target, cache) = (tempfile::tempdir().unwrap(), cache_with(&[]));
    let run = || {
        let mut command = Command::new(deploy("topicd"));
        command.args(["topics", "-n", "3"]).env_remove("TOPICD_CONFIG").current_dir("/");
        command.env("CARGO_TARGET_DIR", target.path()).env("TOPICD_CACHE", cache.path()).output().unwrap()
    };
    let nothing = run();
    assert!(!nothing.status.success());
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("run deploy/demo"));

    let binary = |profile: &str| {
        fs_err::create_dir(target.path().join(profile)).unwrap();
        let path = target.path().join(profile).join("topicd");
        script(&path, &format!("#!/bin/sh\necho {profile} \"$TOPICD_CONFIG\" \"$@\"\n"));
        path
    };
    let made_at = |path: &Path, seconds| {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        fs_err::OpenOptions::new().append(true).open(path).unwrap().set_modified(time).unwrap();
    };
    let demo = binary("demo");
    made_at(&demo, 1000);
    assert_eq!(good(&run()), "demo  topics -n 3\n");
    let release = binary("release");
    made_at(&release, 2000);
    fs_err::create_dir(cache.path().join("demo")).unwrap();
    let config = cache.path().join("demo/topicd.toml");
    fs_err::write(&config, "").unwrap();
    assert_eq!(good(&run()), format!("release {} topics -n 3\n", config.display()));
    made_at(&demo, 3000);
    assert!(good(&run()).starts_with("demo "));
}

/// Runs `deploy/build.py` with `cargo` as its cargo.
fn build(cargo: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    script(&folder.path().join("cargo"), cargo);
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    Command::new("python3")
        .arg(deploy("build.py"))
        .args(["--profile", "demo"])
        .env("PATH", path)
        .output()
        .unwrap()
}

#[test]
fn a_build_shows_what_the_compiler_says_and_not_its_progress() {
    let cargo = r#"#!/bin/sh
if [ "$1" = tree ]; then echo 'topicd v0.1.0 (/src)'; exit; fi
echo '   Compiling topicd v0.1.0' >&2
echo '{"reason":"compiler-artifact","package_id":"topicd","fresh":false}'
echo 'error[E0425]: cannot find value' >&2
"#;
    let failed = build(&format!("{cargo}exit 101"));
    let told = String::from_utf8_lossy(&failed.stdout);
    assert_eq!(failed.status.code(), Some(101), "{told}");
    assert!(told.contains("error[E0425]: cannot find value") && !told.contains("Compiling"), "{told}");
    let told = good(&build(cargo));
    assert!(told.contains("already there") && told.contains("topicd is built"), "{told}");
}

#[test]
fn all_that_set_up_fetches_is_pinned() {
    let (setup, pins) = (
        fs_err::read_to_string(deploy("setup")).unwrap(),
        fs_err::read_to_string(deploy("checksums")).unwrap(),
    );
    let wheel = regex::Regex::new(r"([a-z][a-z0-9-]+)==([0-9.]+)").unwrap();
    let mut fetched = 0;
    for found in wheel.captures_iter(&setup) {
        let pin = format!("  {}-{}-", found[1].replace('-', "_"), &found[2]);
        assert!(pins.contains(&pin), "no line of deploy/checksums has `{pin}`");
        fetched += 1;
    }
    assert_eq!(fetched, 4, "two of ONNX Runtime, the model, the news");
}

#[test]
fn every_script_can_be_read_by_bash() {
    let mut scripts = 0;
    for entry in fs_err::read_dir(deploy("")).unwrap() {
        let path = entry.unwrap().path();
        let is_bash = path.is_file() && fs_err::read(&path).unwrap().starts_with(b"#!/usr/bin/env bash\n");
        if is_bash {
            good(&Command::new("bash").arg("-n").arg(&path).output().unwrap());
            scripts += 1;
        }
    }
    assert!(scripts >= 5, "setup, demo, topicd, release, test");
}

#[test]
fn a_release_lists_what_is_linked_with_hashes_and_licences() {
    let tree = tempfile::tempdir().unwrap();
    fs_err::create_dir_all(tree.path().join("lib/topicd")).unwrap();
    fs_err::create_dir_all(tree.path().join("share/doc/topicd")).unwrap();
    symlink(cache().join("onnxruntime"), tree.path().join("lib/topicd/onnxruntime")).unwrap();
    let list = tree.path().join("parts.json");
    let mut parts = Command::new("python3");
    parts.arg(deploy("parts.py")).arg(tree.path()).arg(&list).env("SOURCE_DATE_EPOCH", "0");
    good(&parts.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap());
    let list: Value = serde_json::from_str(&fs_err::read_to_string(&list).unwrap()).unwrap();
    let components = list["components"].as_array().unwrap();
    let named: BTreeMap<&str, &Value> =
        components.iter().map(|one| (one["name"].as_str().unwrap(), one)).collect();
    assert!(named.contains_key("sled") && named.contains_key("libonnxruntime.so.1.24.1"), "{named:?}");
    assert!(
        !named.contains_key("proptest") && !named.contains_key("serde_derive"),
        "neither tests nor macros are linked"
    );
    for (name, one) in named {
        assert_eq!(one["hashes"][0]["content"].as_str().map(str::len), Some(64), "{name}");
        assert!(one["licenses"][0]["expression"].is_string(), "{name}");
    }
    let licences = fs_err::read_to_string(tree.path().join("share/doc/topicd/copyright")).unwrap();
    assert!(licences.contains("sled 0.34.7: MIT") && licences.contains("Apache License"));
}
