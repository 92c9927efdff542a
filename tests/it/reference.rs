//! The pages of reference say what the code says. `TOPICD_WRITE_DOCS=1 cargo test --test it reference` writes them anew.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::{Arg, Command, CommandFactory};
use toml::{Table, Value};
use topicd::cli::Cli;
use topicd::config::DEFAULTS;
use topicd::telemetry::Telemetry;

const CONFIGURATION: &str = "\
# Configuration

Every key, with its default. [Operating](operating.md#configure) says where to set it. A key stands under its section in
a file, and has a name in the environment: `refit.min_cluster_size` is `TOPICD_REFIT__MIN_CLUSTER_SIZE`. In place of each
secret, `KEY_file` may name a file that holds it: `api_key_file` for `api_key`. A key with ↻ can be
[reloaded](operating.md#change-settings-while-it-runs); every other needs a restart.

This page is made from [`config/topicd.toml`](../../config/topicd.toml), the file of defaults in the binary.
";

const METRICS: &str = "\
# Metrics

Every metric at `/metrics`. A histogram `name` has the series `name_bucket`, `name_sum` and `name_count`.
[`deploy/prometheus`](../prometheus) has alert rules on them, [`deploy/grafana`](../grafana) a dashboard.

This page is made from the code.

";

const COMMANDS: &str = "\
# Commands

Every command with its arguments. In a clone, type `deploy/topicd` for `topicd`.

This page is made from the code.
";

/// The page `name` of `deploy/docs`.
fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/docs").join(name)
}

/// The committed page is `text`; or it becomes so, if that is asked for.
fn hold(name: &str, text: &str) {
    if std::env::var_os("TOPICD_WRITE_DOCS").is_some() {
        fs_err::write(page(name), text).unwrap();
    }
    let committed = fs_err::read_to_string(page(name)).unwrap();
    let differing = committed.lines().zip(text.lines()).find(|(committed, made)| committed != made);
    assert!(
        committed == text,
        "{name} is not what the code says; run `TOPICD_WRITE_DOCS=1 cargo test --test it reference`; the first \
         difference: {differing:#?}"
    );
}

/// A row of a table.
fn row(cells: &[&str]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

fn head(cells: &[&str]) -> String {
    row(cells) + &row(&vec!["---"; cells.len()])
}

#[test]
fn the_page_of_keys() {
    let defaults: Table = toml::from_str(DEFAULTS).unwrap();
    let mut text = CONFIGURATION.to_owned();
    let mut described = BTreeSet::new();
    for section in sections() {
        write!(text, "\n## {}\n\n{}\n\n", section.name, section.meaning).unwrap();
        text += &head(&["key", "type", "default", "unit or values", "meaning"]);
        for key in &section.keys {
            let value =
                section.name.split('.').fold(&defaults, |table, name| table[name].as_table().unwrap())
                    [&key.name]
                    .clone();
            let kind = type_of(&value);
            assert!(!key.meaning.is_empty(), "`{}.{}` has no comment above it", section.name, key.name);
            assert!(
                !kind.contains("number") || !key.unit.is_empty(),
                "`{}.{}` has no unit behind it",
                section.name,
                key.name
            );
            let reloaded = topicd::config::is_reloaded(&format!("{}.{}", section.name, key.name));
            let name = format!("`{}`{}", key.name, if reloaded { " ↻" } else { "" });
            text += &row(&[&name, kind, &default(&value), &key.unit, &key.meaning]);
            described.insert(format!("{}.{}", section.name, key.name));
        }
    }
    assert_eq!(described, keys_below("", &defaults));
    hold("configuration.md", &text);
}

/// A section of the defaults.
struct Section {
    name: String,
    meaning: String,
    keys: Vec<Key>,
}

struct Key {
    name: String,
    meaning: String,
    unit: String,
}

/// The sections with what the comments say: of what stands below, and behind a value its unit.
fn sections() -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut meaning: Vec<&str> = Vec::new();
    let mut lines = DEFAULTS.lines();
    while let Some(line) = lines.next() {
        if let Some(comment) = line.strip_prefix('#') {
            meaning.push(comment.trim());
        } else if let Some(name) = line.strip_prefix('[') {
            let name = name.trim_end_matches(']').to_owned();
            sections.push(Section { name, meaning: meaning.join(" "), keys: Vec::new() });
            meaning.clear();
        } else if let Some((name, value)) = line.split_once(" = ") {
            let unit = value.split_once(" # ").map_or("", |(_, unit)| unit).to_owned();
            let key = Key { name: name.to_owned(), meaning: meaning.join(" "), unit };
            sections.last_mut().unwrap().keys.push(key);
            meaning.clear();
            if value.starts_with("\"\"\"") {
                lines.find(|line| line.ends_with("\"\"\"")).unwrap();
            }
        } else {
            meaning.clear();
        }
    }
    sections
}

fn keys_below(prefix: &str, table: &Table) -> BTreeSet<String> {
    let below = |(name, value): (&String, &Value)| match value {
        Value::Table(table) if !table.is_empty() => keys_below(&format!("{prefix}{name}."), table),
        _ => BTreeSet::from([format!("{prefix}{name}")]),
    };
    table.iter().flat_map(below).collect()
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::String(auto) if auto == "auto" => "whole number or string",
        Value::String(_) => "string",
        Value::Integer(_) => "whole number",
        Value::Float(_) => "number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "list",
        Value::Table(_) => "table",
        Value::Datetime(_) => "date",
    }
}

fn default(value: &Value) -> String {
    match value.to_string() {
        long if long.contains('\n') || long.len() > 60 => "a text".to_owned(),
        short => format!("`{short}`"),
    }
}

#[test]
fn the_page_of_metrics() {
    let mut text = METRICS.to_owned() + &head(&["metric", "type", "labels", "meaning"]);
    for family in Telemetry::new().unwrap().families() {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        text += &row(&[&format!("`{}`", family.name), family.kind, &labels.join(", "), &family.help]);
    }
    hold("metrics.md", &text);
}

#[test]
fn the_page_of_commands() {
    let mut root = Cli::command();
    root.build();
    let mut text = COMMANDS.to_owned();
    text += "\n## For every command\n\n";
    text += &arguments(root.get_arguments().filter(|argument| argument.is_global_set()));
    for command in root.get_subcommands() {
        describe(command, "topicd", &mut text);
    }
    hold("commands.md", &text);
}

fn describe(command: &Command, parent: &str, text: &mut String) {
    if command.get_name() == "help" || command.is_hide_set() {
        return;
    }
    let name = format!("{parent} {}", command.get_name());
    let about = command.get_long_about().or(command.get_about()).unwrap().to_string();
    let usage = command.clone().render_usage().to_string();
    write!(
        text,
        "\n## {name}\n\n{}\n\n```\n{}\n```\n",
        prose(&about),
        usage.trim_start_matches("Usage: ").trim()
    )
    .unwrap();
    let mut own = command
        .get_arguments()
        .filter(|argument| !argument.is_global_set() && argument.get_id() != "help")
        .peekable();
    if own.peek().is_some() {
        *text += "\n";
        *text += &arguments(own);
    }
    command.get_subcommands().for_each(|command| describe(command, &name, text));
}

/// Examples as code.
fn prose(about: &str) -> String {
    let line = |line: &str| match line.split_once(": ") {
        Some((word @ ("Example" | "Examples"), example)) => format!("{word}: `{example}`"),
        _ => line.to_owned(),
    };
    about.trim().lines().map(line).collect::<Vec<_>>().join("\n")
}

fn arguments<'a>(all: impl Iterator<Item = &'a Arg>) -> String {
    let mut text = head(&["argument", "default", "meaning"]);
    for argument in all.filter(|argument| !argument.is_hide_set()) {
        let flags = argument.get_short().map(|short| format!("-{short}"));
        let flags: Vec<String> =
            flags.into_iter().chain(argument.get_long().map(|long| format!("--{long}"))).collect();
        let takes = argument.get_action().takes_values();
        let values: Vec<&str> = argument
            .get_value_names()
            .unwrap_or_default()
            .iter()
            .map(clap::builder::Str::as_str)
            .filter(|_| takes)
            .collect();
        let shown = [flags.join(", "), values.join(" ")].join(" ");
        let default: Vec<String> = argument
            .get_default_values()
            .iter()
            .filter(|_| takes)
            .map(|value| format!("`{}`", value.to_string_lossy()))
            .collect();
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let variable = argument
            .get_env()
            .map_or_else(String::new, |name| format!("; also by `{}`", name.to_string_lossy()));
        text += &row(&[&format!("`{}`", shown.trim()), &default.join(" "), &format!("{help}{variable}")]);
    }
    text
}
