//! README is short, its links and those of the pages lead somewhere, and its first session works as printed.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;

use crate::topicd::{Home, cache};

const README: &str = include_str!("../../README.md");
const MOST_WORDS: usize = 900;
/// The heading over the session, and the documents of the demo's news that are enough for it.
const SESSION: &str = "## A first session";
const ARTICLES: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn it_is_read_in_minutes() {
    let words = README.split_whitespace().count();
    assert!(words <= MOST_WORDS, "README has {words} words, at most {MOST_WORDS}");
}

#[test]
fn every_link_leads_somewhere() {
    let docs = fs_err::read_dir(root().join("deploy/docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut broken = Vec::new();
    let mut followed = 0;
    for page in pages.chain([root().join("README.md")]) {
        let text = prose(&fs_err::read_to_string(&page).unwrap());
        for target in link.captures_iter(&text).map(|found| found[1].to_owned()) {
            if !target.starts_with("http") {
                followed += 1;
                if !leads(&page, &target) {
                    broken.push(format!("{} links to {target}", page.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(followed > 50, "only {followed} links were found");
}

/// The text without its blocks of code.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

fn leads(page: &Path, target: &str) -> bool {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path: PathBuf = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
    path.exists() && (anchor.is_empty() || anchors(&path).contains(anchor))
}

/// The anchors that GitHub gives the headings of a page.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = prose(&fs_err::read_to_string(page).unwrap());
    let heading = text.lines().filter_map(|line| line.strip_prefix('#'));
    let anchor = |heading: &str| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    heading.map(anchor).collect()
}

/// The lines of the session's blocks of code, without comments.
fn session() -> Vec<String> {
    let section = README.split_once(SESSION).expect("README has a first session").1;
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    let lines = blocks.flat_map(str::lines).map(|line| line.split("  #").next().unwrap().trim().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

/// A state like the demo's, of its first articles, and a `deploy/topicd` that knows it.
fn demo() -> Home {
    let news = fs_err::read_to_string(cache().join("data/news.jsonl")).unwrap();
    let articles: Vec<&str> = news.lines().take(ARTICLES).collect();
    let home = Home::new(&(articles.join("\n") + "\n"));
    home.good(&["run", "--exit-at-end", "--set", "refit.first_documents=250"]);
    let configuration = "source.path = \"documents.jsonl\"\nhttp.listen = \"127.0.0.1:0\"\n";
    fs_err::write(home.path("demo.toml"), configuration).unwrap();
    let wrapper = home.path("deploy/topicd");
    fs_err::create_dir(home.path("deploy")).unwrap();
    fs_err::write(&wrapper, format!("#!/bin/sh\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_topicd"))).unwrap();
    fs_err::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).unwrap();
    home
}

#[test]
fn its_first_session_works_as_printed() {
    let home = demo();
    let cache = cache().display().to_string();
    let lines: Vec<String> = session().iter().map(|line| line.replace("~/.cache/topicd", &cache)).collect();
    assert!(lines.len() >= 10, "{lines:#?}");
    let variable = Regex::new("^[a-z]+=").unwrap();
    let mut variables = Vec::new();
    for line in lines {
        let script = format!("{}\n{line}", variables.join("\n"));
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &script])
            .current_dir(home.path("."))
            .env("TOPICD_CONFIG", home.path("demo.toml"))
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`{line}`: {errors}");
        if variable.is_match(&line) {
            variables.push(line);
        } else if !line.contains(" > ") {
            assert!(!output.stdout.is_empty(), "`{line}` prints nothing: {errors}");
        }
    }
}
