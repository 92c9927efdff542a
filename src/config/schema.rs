//! `config/topicd.toml` as the list of all keys, with their defaults and types, and of those that are secret.

use std::collections::{BTreeMap, BTreeSet};

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::mistake::{Mistake, Mistakes, Origin};

/// Keys that are no more, and what took their place.
const GONE: &[(&str, &str)] = &[("notify.max_attempts", "notify.max_age")];
/// What a key's name has behind it where it names the file of a secret.
pub(super) const FILE: &str = "_file";
/// The words behind a value that say that it is never shown, and may stand in a file that `KEY_file` names.
const MARK: &str = "a secret";

/// Every key by its path, with its default.
pub(super) struct Schema {
    defaults: BTreeMap<String, Value>,
    secrets: BTreeSet<String>,
}

impl Schema {
    /// The schema that this program was built with.
    pub(super) fn embedded() -> Result<Self, Mistakes> {
        let broken = |e: toml::de::Error| {
            let message = format!("the embedded configuration is broken: {}; build anew", e.message());
            Mistakes(vec![Mistake {
                key: String::new(),
                origin: Origin::Default,
                found: String::new(),
                message,
            }])
        };
        let table: Table = toml::from_str(super::DEFAULTS).map_err(broken)?;
        let spans = DeTable::parse(super::DEFAULTS).map_err(broken)?;
        let (mut defaults, mut secrets) = (BTreeMap::new(), BTreeSet::new());
        flatten("", &table, &mut |path, value| {
            defaults.insert(path, value.clone());
        });
        marked("", spans.get_ref(), &mut secrets);
        for secret in &secrets {
            let empty = match defaults.get(secret) {
                Some(Value::Table(_)) => Value::Table(Table::new()),
                _ => Value::String(String::new()),
            };
            defaults.insert(format!("{secret}{FILE}"), empty);
        }
        Ok(Self { defaults, secrets })
    }

    /// Each key whose value is never shown.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(String::as_str)
    }

    /// True if the value at `path` may be a secret, or hold one.
    pub(super) fn is_secret(&self, path: &str) -> bool {
        let above = format!("{path}.");
        self.secrets.contains(path) || self.secrets.iter().any(|secret| secret.starts_with(&above))
    }

    /// The default of the key at `path`, if there is such a key.
    pub(super) fn default_of(&self, path: &str) -> Option<&Value> {
        self.defaults.get(path)
    }

    /// True if keys stand below `path`.
    pub(super) fn is_section(&self, path: &str) -> bool {
        self.below(path).next().is_some()
    }

    /// Every key below the section `section` with its default, without those that name files of secrets.
    pub(super) fn below<'a>(&'a self, section: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let prefix = format!("{section}.");
        self.defaults
            .iter()
            .filter(move |(path, _)| path.starts_with(&prefix) && !self.names_file(path))
            .map(|(path, value)| (path.as_str(), value))
    }

    /// True for a key that names the file of a secret.
    pub(super) fn names_file(&self, path: &str) -> bool {
        path.strip_suffix(FILE).is_some_and(|secret| self.secrets.contains(secret))
    }

    /// The key that `path` stands below, where that is a table which the user fills as he likes.
    pub(super) fn table_above(&self, path: &str) -> Option<&str> {
        let is_above = |(table, default): &(&String, &Value)| {
            default.is_table() && path.strip_prefix(table.as_str()).is_some_and(|rest| rest.starts_with('.'))
        };
        self.defaults.iter().find(is_above).map(|(table, _)| table.as_str())
    }

    /// Every key's path.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.defaults.keys().map(String::as_str)
    }

    /// `value` as the key at `path` takes it (a whole number where a fraction may stand becomes one); `None` if it has
    /// another type than the default. A default of `"auto"` leaves room for a number.
    pub(super) fn accept(&self, path: &str, value: &Value) -> Option<Value> {
        let default = self.default_of(path)?;
        match (default, value) {
            (Value::Float(_), Value::Integer(whole)) => Some(Value::Float(*whole as f64)),
            (Value::String(auto), Value::Integer(_)) if auto == "auto" => Some(value.clone()),
            _ if default.same_type(value) => Some(value.clone()),
            _ => None,
        }
    }

    /// What took the place of the key at `path`, which is no more.
    pub(super) fn successor(path: &str) -> Option<&'static str> {
        GONE.iter().find(|(gone, _)| *gone == path).map(|(_, successor)| *successor)
    }

    /// The type that the key at `path` must have, in words.
    pub(super) fn expected(&self, path: &str) -> String {
        match self.default_of(path) {
            Some(Value::String(auto)) if auto == "auto" => {
                "a whole number or a string such as \"auto\"".to_owned()
            }
            Some(Value::Array(none)) if none.is_empty() => "a list such as [\"a\", \"b\"]".to_owned(),
            Some(Value::Array(list)) => format!("a list such as {}", Value::Array(list.clone())),
            Some(value) => type_in_words(value).to_owned(),
            None => "a table".to_owned(),
        }
    }

    /// The key or section that is spelt most like `path`, if one is like it at all.
    ///
    /// The last part counts by itself too, so that a key under the wrong section is found.
    pub(super) fn nearest(&self, path: &str) -> Option<&str> {
        let leaf = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
        let likeness = |candidate: &str| {
            let whole = strsim::normalized_damerau_levenshtein(path, candidate);
            let last = strsim::normalized_damerau_levenshtein(&leaf(path), &leaf(candidate));
            whole.max(last - 0.05)
        };
        let sections = self.paths().filter_map(|path| path.rsplit_once('.').map(|(section, _)| section));
        self.paths()
            .chain(sections)
            .map(|candidate| (likeness(candidate), candidate))
            .filter(|(likeness, _)| *likeness >= 0.6)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, candidate)| candidate)
    }
}

/// A value's type, with its article.
pub(super) fn type_in_words(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// The keys behind whose values the mark stands.
fn marked(prefix: &str, table: &DeTable<'_>, found: &mut BTreeSet<String>) {
    for (key, value) in table {
        let path =
            if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
        let behind = super::DEFAULTS.get(value.span().end..).and_then(|rest| rest.lines().next());
        match value.get_ref() {
            DeValue::Table(table) if !table.is_empty() => marked(&path, table, found),
            _ if behind.is_some_and(|behind| behind.ends_with(MARK)) => drop(found.insert(path)),
            _ => {}
        }
    }
}

/// Calls `visit` with the path and value of everything in `table` that is no table, or an empty one: in the schema
/// that is a key whose table the user fills as he likes.
pub(super) fn flatten(prefix: &str, table: &Table, visit: &mut impl FnMut(String, &Value)) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(table) if !table.is_empty() => flatten(&path, table, visit),
            _ => visit(path, value),
        }
    }
}
