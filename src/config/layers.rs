//! What was given over the defaults: key, value and origin, in the order in which it counts.

use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::mistake::{Mistake, Origin};
use super::schema::{Schema, type_in_words};

/// A value for a key that exists, of a type that it can have.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Given {
    pub path: String,
    pub value: Value,
    pub origin: Origin,
}

/// The keys of the TOML `text`. What is wrong goes to `mistakes`; a text that is no TOML gives no keys.
pub(super) fn from_file(file: &Path, text: &str, schema: &Schema, mistakes: &mut Vec<Mistake>) -> Vec<Given> {
    let (spans, errors) = DeTable::parse_recoverable(text);
    let line = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    let values: Table = match toml::from_str(text) {
        Ok(values) if errors.is_empty() => values,
        parsed => {
            let errors = if errors.is_empty() { parsed.err().into_iter().collect() } else { errors };
            mistakes.extend(errors.into_iter().map(|e| Mistake {
                key: String::new(),
                origin: Origin::File(file.to_owned(), line(e.span().map_or(0, |span| span.start))),
                found: String::new(),
                message: format!("not toml: {}", e.message()),
            }));
            return Vec::new();
        }
    };
    let mut walk = Walk { file, line: &line, schema, given: Vec::new(), mistakes };
    walk.table("", spans.get_ref(), &values);
    walk.given
}

/// Goes through a file's tables; the one parse knows the places, the other the values.
struct Walk<'a, F> {
    file: &'a Path,
    line: &'a F,
    schema: &'a Schema,
    given: Vec<Given>,
    mistakes: &'a mut Vec<Mistake>,
}

impl<F: Fn(usize) -> usize> Walk<'_, F> {
    fn table(&mut self, prefix: &str, spans: &DeTable<'_>, values: &Table) {
        for (key, span) in spans {
            let name: &str = key.get_ref();
            let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
            let origin = Origin::File(self.file.to_owned(), (self.line)(key.span().start));
            match (span.get_ref(), values.get(name)) {
                (DeValue::Table(spans), Some(Value::Table(values))) if self.schema.is_section(&path) => {
                    self.table(&path, spans, values);
                }
                (_, Some(value)) => match judge(self.schema, path, value, origin) {
                    Ok(given) => self.given.push(given),
                    Err(mistake) => self.mistakes.push(mistake),
                },
                (_, None) => {}
            }
        }
    }
}

/// The keys set by variables `TOPICD_SECTION__KEY`; other variables `TOPICD_…` are left alone, unless they look like one
/// whose underscores were not doubled, or that lacks its section or its key.
pub(super) fn from_environment(
    environment: &[(String, String)],
    schema: &Schema,
    mistakes: &mut Vec<Mistake>,
) -> Vec<Given> {
    let mut given = Vec::new();
    for (name, text) in environment {
        let Some(rest) = name.get(..PREFIX.len()).filter(|start| start.eq_ignore_ascii_case(PREFIX)) else {
            continue;
        };
        let (is_ours, rest) = (rest == PREFIX, &name[PREFIX.len()..]);
        let origin = Origin::Environment(name.clone());
        if !(is_ours && rest.contains("__")) {
            mistakes.extend(meant(schema, rest).map(|(key, message)| Mistake {
                key,
                origin,
                found: "not set by this variable".into(),
                message,
            }));
            continue;
        }
        let path = rest.to_ascii_lowercase().replace("__", ".");
        keep(judge_text(schema, path, text, origin), &mut given, mistakes);
    }
    given
}

/// How a variable's name begins that sets a key.
const PREFIX: &str = "TOPICD_";

/// The key that a variable that ends in `rest` is meant to set, and what to write: its words are those of the whole path, or
/// of the key alone, if these are several, or of a section.
fn meant(schema: &Schema, rest: &str) -> Option<(String, String)> {
    let is_key = |path: &&str| {
        let key = path.rsplit('.').next().unwrap_or_default();
        is_spelt(path, rest) || key.contains('_') && is_spelt(key, rest)
    };
    if let Some(path) = schema.paths().find(is_key) {
        return Some((path.to_owned(), format!("; did you mean `{}`?", variable(path))));
    }
    let mut sections = schema.paths().filter_map(|path| Some((path, path.rsplit_once('.')?.0)));
    let (path, section) = sections.find(|(_, section)| is_spelt(section, rest))?;
    Some((section.to_owned(), format!("; name a key of it, such as `{}`", variable(path))))
}

/// True if `words` are those of `rest`, whatever stands between them.
fn is_spelt(words: &str, rest: &str) -> bool {
    words.replace('.', "_").eq_ignore_ascii_case(&rest.replace("__", "_"))
}

/// The name of the variable that sets `path`.
fn variable(path: &str) -> String {
    format!("TOPICD_{}", path.to_ascii_uppercase().replace('.', "__"))
}

/// The keys set by `section.key=value`.
pub(super) fn from_overrides(
    overrides: &[String],
    schema: &Schema,
    mistakes: &mut Vec<Mistake>,
) -> Vec<Given> {
    let mut given = Vec::new();
    for text in overrides {
        let judged = match text.split_once('=') {
            Some((path, value)) => judge_text(schema, path.trim().to_owned(), value.trim(), Origin::Flag),
            None if schema.default_of(text).is_none() && !schema.is_section(text) => Err(no_setting()),
            None => Err(Mistake {
                key: text.clone(),
                origin: Origin::Flag,
                found: "without a value".into(),
                message: "; write --set section.key=value".into(),
            }),
        };
        keep(judged, &mut given, mistakes);
    }
    given
}

/// A flag that begins with nothing like a key: it may be a secret that lacks its key.
fn no_setting() -> Mistake {
    Mistake {
        key: String::new(),
        origin: Origin::Flag,
        found: String::new(),
        message: "it begins with no key; write --set section.key=value".into(),
    }
}

fn keep(judged: Result<Given, Mistake>, given: &mut Vec<Given>, mistakes: &mut Vec<Mistake>) {
    match judged {
        Ok(one) => given.push(one),
        Err(mistake) => mistakes.push(mistake),
    }
}

/// Reads `text` as a TOML value, or as the string that it is where a string may stand.
fn judge_text(schema: &Schema, path: String, text: &str, origin: Origin) -> Result<Given, Mistake> {
    let parsed = toml::from_str::<Table>(&format!("v = {text}")).ok().and_then(|mut table| table.remove("v"));
    match parsed.filter(|value| schema.accept(&path, value).is_some()) {
        Some(value) => judge(schema, path, &value, origin),
        None => judge(schema, path, &Value::String(text.to_owned()), origin),
    }
}

fn judge(schema: &Schema, path: String, value: &Value, origin: Origin) -> Result<Given, Mistake> {
    match schema.accept(&path, value) {
        Some(Value::String(text)) if text.starts_with("~/") && !schema.is_secret(&path) => {
            let message = " but nobody replaces the `~` here; write the whole path".into();
            return Err(Mistake { found: in_words(schema, &path, value), key: path, origin, message });
        }
        Some(value) => return Ok(Given { path, value, origin }),
        None => {}
    }
    if schema.default_of(&path).is_some() || schema.is_section(&path) {
        let (found, message) =
            (in_words(schema, &path, value), format!(" but must be {}", schema.expected(&path)));
        return Err(Mistake { key: path, origin, found, message });
    }
    let message = if let Some(successor) = Schema::successor(&path) {
        format!("; `{successor}` took its place")
    } else if let Some(table) = schema.table_above(&path) {
        format!("; set the whole table: {table}={{ \"name\" = \"value\" }}")
    } else if let Some(nearest) = schema.nearest(&path) {
        format!("; did you mean `{nearest}`?")
    } else if origin == Origin::Flag {
        return Err(no_setting());
    } else {
        "; config/topicd.toml lists every key".into()
    };
    Err(Mistake { key: path, origin, found: "unknown".into(), message })
}

/// The value of `path` as a message shows it: short ones as they stand, others by their type, and so is what may hold
/// a secret.
pub(super) fn in_words(schema: &Schema, path: &str, value: &Value) -> String {
    let text = value.to_string();
    let is_long = matches!(value, Value::Array(_) | Value::Table(_)) || text.chars().count() > 60;
    // Any address may be USER:PASSWORD@HOST.
    if is_long || schema.is_secret(path) || text.contains('@') {
        return type_in_words(value).to_owned();
    }
    text
}
