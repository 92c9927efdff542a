//! Every section as its room's checked parameters, and whose fault it is where a room refuses.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::layers::{Given, in_words};
use super::mistake::{Mistake, Origin};
use super::reload::Fingerprint;
use super::schema::Schema;
use super::sections::{Embed, Http, Output, Processing, Seeds, Shutdown, Source, State};
use crate::model::refit;
use crate::model::state::Bounds;
use crate::model::state::describe::Wanted;
use crate::pipeline::modeler::Parameters;
use crate::telemetry::logs;
use crate::transport::embedded::OutputFile;
use crate::transport::{brokers, embedded};
use crate::{embed, keywords, label, model, notify};

/// The whole configuration; every value in it has been checked by the room that uses it.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where documents come from.
    pub source: embedded::Checked,
    /// The way to Kafka, where documents come from there.
    pub kafka: Option<brokers::Checked>,
    /// What is promised when something dies.
    pub guarantee: brokers::Guarantee,
    /// Where the state is kept.
    pub state: State,
    /// Where results go.
    pub output: embedded::OutputParams,
    /// How texts become vectors.
    pub embed: embed::Checked,
    /// How documents find their topic, how topics are found anew, and what they are called by.
    pub parameters: Parameters,
    /// How keywords are found.
    pub keywords: keywords::Checked,
    /// How much the state keeps.
    pub bounds: Bounds,
    /// Topics that are there before the stream.
    pub seeds: Seeds,
    /// The page, the API and the metrics.
    pub http: Http,
    /// Where events are posted to, if anywhere.
    pub webhook: Option<notify::Checked>,
    /// What is made of topics beyond c-TF-IDF.
    pub wanted: Wanted,
    /// Who names topics, if anybody.
    pub label: Option<label::Checked>,
    /// How long the daemon may take to end.
    pub shutdown: Duration,
    /// How much is logged, and how.
    pub log: logs::Checked,
    embed_name: String,
    provenance: Provenance,
}

/// Where a configuration came from.
#[derive(Debug, Clone)]
struct Provenance {
    files: Vec<PathBuf>,
    fingerprint: Fingerprint,
    names_daemon: bool,
}

impl Config {
    /// The model that makes vectors of texts, as a user calls it.
    pub fn embed_name(&self) -> &str {
        &self.embed_name
    }

    /// The files that it rests on: its own, and those of secrets and of TLS.
    pub fn files(&self) -> &[PathBuf] {
        &self.provenance.files
    }

    /// True if somebody said where the daemon listens; false if that is the default.
    pub fn names_daemon(&self) -> bool {
        self.provenance.names_daemon
    }

    /// The keys that are set to something else in `other`.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        self.provenance.fingerprint.differences(&other.provenance.fingerprint)
    }
}

/// Checks every section of what was given, which was read from `files`; `None` if one of them cannot be used, with the
/// reasons in `mistakes`.
pub(super) fn check(
    schema: &Schema,
    given: &[Given],
    files: Vec<PathBuf>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Config> {
    let mut sections = Sections { schema, given, mistakes };
    let source = sections.judge("source", |s: Source| {
        let is_kafka = s.is_kafka()?;
        s.into_params()?.check().map(|checked| (checked, is_kafka)).map_err(text)
    });
    let kafka = sections.judge("kafka", |p: brokers::Params| p.check().map_err(text));
    let processing = sections.judge("processing", Ok::<Processing, String>);
    let state = sections.judge("state", |s: State| s.check().map_err(text));
    let output = sections.judge("output", Output::check);
    let embed = sections.judge("embed", |s: Embed| {
        let params = s.into_params();
        let name = params.model.display().to_string();
        params.check().map(|checked| (checked, name)).map_err(text)
    });
    let assign = sections.judge("assign", |p: model::assign::Params| p.check().map_err(text));
    let refit = sections.judge("refit", |p: model::refit::Params| {
        p.check().map_err(|errors| errors.first().map(text).unwrap_or_default())
    });
    let policy = sections.judge("policy", |p: model::refit::policy::Params| p.check().map_err(text));
    let keywords =
        sections.judge("keywords", |p: keywords::Params| with_stop_words(p)?.check().map_err(text));
    let seeds = sections.judge("seeds", Seeds::check);
    let representation =
        sections.judge("representation", |p: keywords::representation::Params| p.check().map_err(text));
    let label = sections.judge("label", |p: label::Params| p.check().map_err(text));
    let http = sections.judge("http", Http::check);
    let webhook = sections.judge("notify", |p: notify::Params| p.check().map_err(text));
    let shutdown = sections.judge("shutdown", Shutdown::check);
    let log = sections.judge("log", |p: logs::Params| p.check().map_err(text));
    let ((embed, embed_name), assign, refit, keywords, state) = (embed?, assign?, refit?, keywords?, state?);
    let ((source, is_kafka), kafka, label) = (source?, Some(kafka?), label?);
    let (output, http) = (output?, http?);
    if !is_kafka {
        mistakes.extend(apart(given, &source, &state, &output));
    }
    Some(Config {
        bounds: bounds(&refit, &state, keywords.params(), is_kafka),
        parameters: Parameters { assign, refit, keywords: keywords.params().clone(), policy: policy? },
        wanted: wanted(&keywords, representation?, label.as_ref()),
        label,
        source,
        kafka: kafka.filter(|_| is_kafka),
        guarantee: processing?.guarantee,
        state,
        output,
        embed,
        embed_name,
        provenance: provenance(schema, given, files, &http),
        keywords,
        seeds: seeds?,
        http,
        webhook: webhook?,
        shutdown: shutdown?,
        log: log?,
    })
}

/// What stands where something else has its place.
fn apart(
    given: &[Given],
    source: &embedded::Checked,
    state: &State,
    output: &embedded::OutputParams,
) -> Option<Mistake> {
    let mistake = |key: &str, found: &Path, message: &str| Mistake {
        key: key.to_owned(),
        origin: effective(given, key.split('.').next().unwrap_or_default())
            .into_iter()
            .find(|one| one.path == key)
            .map_or(Origin::Default, |one| one.origin.clone()),
        found: Value::from(found.to_string_lossy().as_ref()).to_string(),
        message: message.to_owned(),
    };
    let folder = whole(&output.directory);
    if folder == whole(&state.directory) {
        return Some(mistake(
            "output.directory",
            &output.directory,
            " but must be another folder than `state.directory`",
        ));
    }
    let input = &source.params().input;
    let embedded::Input::File(path) = input else {
        let output = std::path::absolute(&output.directory).unwrap_or_else(|_| output.directory.clone());
        let written =
            OutputFile::ALL.iter().map(|file| output.join(file.segment(1))).find(|path| input.takes(path))?;
        let message = " but topicd writes that file; name other paths, or another `output.directory`";
        return Some(mistake("source.paths", &written, message));
    };
    let file = whole(path);
    let name = file.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let is_written = file.parent() == Some(&folder)
        && OutputFile::ALL.iter().any(|output| output.number_of(name).is_some());
    is_written.then(|| {
        mistake(
            "source.path",
            path,
            " but topicd writes that file; name another one, or another `output.directory`",
        )
    })
}

/// `path` from the root, without links as far as it is there.
fn whole(path: &Path) -> PathBuf {
    let mut whole = PathBuf::new();
    for part in std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components() {
        match part {
            Component::ParentDir => drop(whole.pop()),
            part => whole.push(part),
        }
        whole = fs_err::canonicalize(&whole).unwrap_or(whole);
    }
    whole
}

fn provenance(schema: &Schema, given: &[Given], mut files: Vec<PathBuf>, http: &Http) -> Provenance {
    files.extend(http.files());
    let names_daemon = given.iter().any(|one| one.path == "http.listen");
    Provenance { files, fingerprint: Fingerprint::of(schema, given), names_daemon }
}

/// How much the state keeps.
fn bounds(refit: &refit::Checked, state: &State, keywords: &keywords::Params, is_kafka: bool) -> Bounds {
    Bounds {
        sample: refit.remembered,
        outliers: refit.outlier_buffer,
        fresh: refit.fresh,
        anchors: refit.anchors,
        window: state.window_documents,
        // Assigners of a cluster know nothing of each other's ids.
        seen: if is_kafka { 0 } else { state.remembered_ids },
        vocabulary: keywords.max_vocabulary,
        half_life: keywords.half_life_documents,
        versions: state.versions,
    }
}

/// What is made of topics beyond c-TF-IDF.
fn wanted(
    keywords: &keywords::Checked,
    representation: keywords::representation::Params,
    label: Option<&label::Checked>,
) -> Wanted {
    let label_documents = label.map(|label| label.documents);
    Wanted { keywords: keywords.params().clone(), representation, label_documents }
}

/// `params` with the words of their stop word file, if there is one.
fn with_stop_words(params: keywords::Params) -> Result<keywords::Params, String> {
    if params.stop_words_file.as_os_str().is_empty() {
        return Ok(params);
    }
    let file = fs_err::read_to_string(&params.stop_words_file)
        .map_err(|error| format!(" but cannot be read: {error}; name a file of one word a line"))?;
    Ok(params.with_stop_words(&file))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

struct Sections<'a> {
    schema: &'a Schema,
    given: &'a [Given],
    mistakes: &'a mut Vec<Mistake>,
}

impl Sections<'_> {
    /// Makes the section `name` of the defaults and what was given, and has `check` judge it.
    fn judge<S: DeserializeOwned, T>(
        &mut self,
        name: &str,
        check: impl Fn(S) -> Result<T, String>,
    ) -> Option<T> {
        let given = effective(self.given, name);
        let judge = |given: &[&Given]| {
            let section = assemble(self.schema, name, given);
            S::deserialize(section).map_err(|e: toml::de::Error| in_range(e.message())).and_then(&check)
        };
        match judge(&given) {
            Ok(checked) => Some(checked),
            Err(message) => {
                let found = blame(self.schema, name, &given, &message, |given| judge(given).map(drop));
                self.mistakes.extend(found);
                None
            }
        }
    }
}

/// What the parser says of a value; of a number that is too small or too large, what it may be.
fn in_range(message: &str) -> String {
    match message.strip_prefix("invalid value: integer `").and_then(|rest| rest.split_once("expected ")) {
        Some((_, "u32")) => format!(" but must be a whole number from 0 to {}", u32::MAX),
        Some((_, "usize" | "u64")) => " but must be a whole number from 0".to_owned(),
        _ => message.to_owned(),
    }
}

/// Finds the keys at fault in a section that is refused with `message`.
///
/// Rooms report one mistake at a time and don't know where a value came from. So each given value is judged alone
/// among the defaults, which are fine: what is refused then is that key's fault. If all pass alone, the last key
/// without which the section passes is at fault.
fn blame(
    schema: &Schema,
    name: &str,
    given: &[&Given],
    message: &str,
    judge: impl Fn(&[&Given]) -> Result<(), String>,
) -> Vec<Mistake> {
    let alone: Vec<Mistake> = given
        .iter()
        .filter_map(|one| judge(&[*one]).err().map(|message| mistake(schema, one, &message)))
        .collect();
    if !alone.is_empty() {
        return alone;
    }
    let passes_without = |one: &Given| {
        let others: Vec<&Given> = given.iter().copied().filter(|other| *other != one).collect();
        judge(&others).is_ok()
    };
    let culprit = given.iter().rev().find(|one| passes_without(one));
    vec![culprit.map_or_else(
        || Mistake {
            key: name.to_owned(),
            origin: given.last().map_or(Origin::Default, |one| one.origin.clone()),
            found: String::new(),
            message: message.to_owned(),
        },
        |one| mistake(schema, one, message),
    )]
}

/// What was given in the section `name`: of several values for one key the last.
fn effective<'a>(given: &'a [Given], name: &str) -> Vec<&'a Given> {
    let prefix = format!("{name}.");
    let in_section = |one: &&Given| one.path.starts_with(&prefix);
    let last = |index: usize| given[index + 1..].iter().all(|later| later.path != given[index].path);
    given
        .iter()
        .enumerate()
        .filter(|(index, _)| last(*index))
        .map(|(_, one)| one)
        .filter(in_section)
        .collect()
}

/// The section `name` as a TOML table: its defaults, with `given` over them.
fn assemble(schema: &Schema, name: &str, given: &[&Given]) -> Value {
    let mut section = Table::new();
    let values = schema.below(name).chain(given.iter().map(|one| (one.path.as_str(), &one.value)));
    for (path, value) in values {
        let below = &path[name.len() + 1..];
        match below.split_once('.') {
            None => {
                section.insert(below.to_owned(), value.clone());
            }
            Some((table, key)) => {
                let inner = section.entry(table).or_insert_with(|| Value::Table(Table::new()));
                if let Value::Table(inner) = inner {
                    inner.insert(key.to_owned(), value.clone());
                }
            }
        }
    }
    Value::Table(section)
}

/// The room's message about `one`, where it says key and value with what stood in the layer in their place.
fn mistake(schema: &Schema, one: &Given, message: &str) -> Mistake {
    let leaf = one.path.rsplit('.').next().unwrap_or_default();
    let (found, message) = match message.split_once(" but ") {
        Some((subject, rest)) if subject.contains(&format!("{leaf}` is ")) => {
            (in_words(schema, &one.path, &one.value), format!(" but {rest}"))
        }
        _ if message.starts_with(" but ") => (in_words(schema, &one.path, &one.value), message.to_owned()),
        _ => (String::new(), message.to_owned()),
    };
    Mistake { key: one.path.clone(), origin: one.origin.clone(), found, message }
}
