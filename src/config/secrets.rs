//! Secrets: what a file holds takes the place of the key that names it, and a line's end is seen to.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;

use toml::{Table, Value};

use super::layers::Given;
use super::mistake::{Mistake, Origin};
use super::schema::{FILE, Schema, flatten};

/// Bytes of a secret; a chain of certificates has some thousand.
const MOST_BYTES: u64 = 256 << 10;

/// Puts what the files hold that keys `KEY_file` name in the place of these keys. Adds to `files` what was read.
pub(super) fn resolve(
    schema: &Schema,
    given: &mut Vec<Given>,
    files: &mut Vec<PathBuf>,
    mistakes: &mut Vec<Mistake>,
) {
    for secret in schema.secrets() {
        let named = format!("{secret}{FILE}");
        let last = |path: &str| given.iter().rposition(|one| one.path == path);
        let (own, file) = (last(secret), last(&named));
        let Some(place) = own.max(file) else { continue };
        let mut resolving =
            Resolving { found: BTreeMap::new(), files: &mut *files, mistakes: &mut *mistakes };
        own.into_iter().for_each(|at| resolving.take(secret, &given[at]));
        file.into_iter().for_each(|at| resolving.read(secret, &given[at]));
        let found = resolving.found;
        let origin = given[file.unwrap_or(place)].origin.clone();
        let value = as_in(schema, secret, found);
        given[place] = Given { path: secret.to_owned(), value, origin };
    }
    given.retain(|one| !schema.names_file(&one.path));
}

/// The value of the key `secret`: a text, or a table of what stands below it.
fn as_in(schema: &Schema, secret: &str, mut found: BTreeMap<String, Value>) -> Value {
    if !schema.default_of(secret).is_some_and(Value::is_table) {
        return found.remove(secret).unwrap_or_else(|| Value::String(String::new()));
    }
    let name = |path: &str| path[secret.len() + 1..].to_owned();
    Value::Table(found.into_iter().map(|(path, value)| (name(&path), value)).collect::<Table>())
}

/// One key's secrets, each by its path: that of the key, or one below it.
struct Resolving<'a> {
    found: BTreeMap<String, Value>,
    files: &'a mut Vec<PathBuf>,
    mistakes: &'a mut Vec<Mistake>,
}

impl Resolving<'_> {
    /// Takes what stands at the key itself. Empty is not set.
    fn take(&mut self, secret: &str, own: &Given) {
        each(secret, &own.value, |path, value| match value {
            Value::String(text) if text.is_empty() => {}
            Value::String(text) => match whole(&path, text) {
                Some(text) => drop(self.found.insert(path, Value::String(text.to_owned()))),
                None => self.refuse(path, &own.origin, format!("it {BROKEN}")),
            },
            other => drop(self.found.insert(path, other.clone())),
        });
    }

    /// Reads the files that `file`, a key `KEY_file`, names.
    fn read(&mut self, secret: &str, file: &Given) {
        each(&file.path, &file.value, |named, value| {
            let path = format!("{secret}{}", &named[file.path.len()..]);
            let read = match value.as_str() {
                Some("") => return,
                Some(_) if self.found.contains_key(&path) => {
                    Err(format!("`{path}` is set too; leave one of the two out"))
                }
                Some(name) => self.contents(&path, name),
                None => Err("it must be the path of a file".to_owned()),
            };
            match read {
                Ok(text) => drop(self.found.insert(path, Value::String(text))),
                Err(why) => self.refuse(named, &file.origin, why),
            }
        });
    }

    /// What the file `name` holds for the key `path`.
    fn contents(&mut self, path: &str, name: &str) -> Result<String, String> {
        self.files.push(name.into());
        let mut text = String::new();
        let read =
            fs_err::File::open(name).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text));
        read.map_err(|error| format!("{error}; let topicd read it, or name another file"))?;
        if text.len() as u64 > MOST_BYTES {
            return Err(format!("`{name}` has more than {MOST_BYTES} bytes; name the file of the secret"));
        }
        match whole(path, &text) {
            Some("") => Err(format!("`{name}` is empty; write the secret into it")),
            Some(text) => Ok(text.to_owned()),
            None => Err(format!("`{name}` {BROKEN}")),
        }
    }

    fn refuse(&mut self, key: String, origin: &Origin, message: String) {
        self.mistakes.push(Mistake { key, origin: origin.clone(), found: String::new(), message });
    }
}

/// Why a secret is refused.
const BROKEN: &str =
    "holds a line's end or another control character inside; is the secret there whole and alone?";

/// `text` without the line's end at its end, which editors and `echo` leave; `None` if there is one inside.
fn whole<'a>(path: &str, text: &'a str) -> Option<&'a str> {
    // librdkafka's certificates and keys, such as `ssl.key.pem`, have lines.
    if path.rsplit('.').next() == Some("pem") {
        return Some(text);
    }
    Some(text.trim_end_matches(['\r', '\n'])).filter(|text| !text.contains(char::is_control))
}

/// Calls `visit` with the path and value of each leaf of `value`, which stands at `path`.
fn each(path: &str, value: &Value, mut visit: impl FnMut(String, &Value)) {
    match value {
        Value::Table(table) => flatten(path, table, &mut visit),
        value => visit(path.to_owned(), value),
    }
}
