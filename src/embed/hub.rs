//! Models from a Hugging Face compatible hub.
//!
//! What is fetched lies in a folder of its own until everything is there and its checksums are right; then the model
//! appears under its name at once. A run that was interrupted goes on where it stopped.

pub(super) mod fetch;

use std::{
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use super::{Error, export, folder::Layout};
use crate::client::http::HeaderValue;
use crate::client::{self, Address, Client, Patience, percent};

/// Which model, and from where.
#[derive(Clone)]
pub struct Pull {
    /// `OWNER/NAME`, or a bare name of one of the sentence-transformers' own.
    pub name: String,
    /// The hub; none for the public one.
    pub endpoint: Option<String>,
    /// For models that are not public.
    pub token: Option<String>,
    /// Branch, tag or commit.
    pub revision: String,
    /// Where the model's folder comes to lie.
    pub into: PathBuf,
    /// Attempts of a file beside the first; each goes on where the one before stopped.
    pub retries: usize,
}

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The model's folder.
    pub folder: PathBuf,
    /// The commit.
    pub commit: String,
    /// Files whose checksum the hub told and that have it.
    pub verified: usize,
    /// Files in all.
    pub files: usize,
    /// True if the ONNX file was made here, from the weights.
    pub exported: bool,
    /// True if prompts were written that the model's card names and its folder does not.
    pub prompted: bool,
}

/// Sees files arrive.
pub trait Watch {
    /// `file` of `bytes` bytes is under way.
    fn started(&self, file: &str, bytes: u64);
    /// So many more bytes are there.
    fn arrived(&self, bytes: u64);
    /// The file is there.
    fn finished(&self);
}

/// The public hub.
const PUBLIC: &str = "https://huggingface.co";
/// How long the hub may say nothing.
const PATIENCE: Duration = Duration::from_mins(1);
/// Bytes of a list of files.
const MOST_LIST_BYTES: u64 = 64 << 20;
/// In a folder that a pull made, and so may replace: the name and the commit.
const MADE: &str = ".pulled";
/// Owner of models with a bare name, as in the package sentence-transformers.
const DEFAULT_OWNER: &str = "sentence-transformers";
/// Settings that an embedding depends on.
const SETTINGS: [&str; 6] = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
];
/// Where an ONNX file may be, with the file that holds its weights when it is over 2 GB.
const ONNX: [&str; 2] = ["onnx/model.onnx", "model.onnx"];
/// Where weights may be, a static model's first.
const WEIGHTS: [&str; 2] = ["0_StaticEmbedding/model.safetensors", "model.safetensors"];

/// Fetches a model and makes it ready: exports it where it has no ONNX file. Blocks.
pub fn pull(asked: &Pull, watch: &dyn Watch) -> Result<Pulled, Error> {
    let id = full_name(&asked.name)?;
    if !may_replace(&asked.into) {
        return Err(Error::Foreign { folder: asked.into.clone() });
    }
    let work = asked.into.with_file_name(format!(".{}.pull", file_name(&asked.into)));
    fs_err::create_dir_all(&work)?;
    let session = Session::start(asked, &id, &work)?;
    let staged = work.join("model");
    if staged.exists() {
        fs_err::remove_dir_all(&staged)?;
    }
    let mut pulled = Pulled {
        folder: asked.into.clone(),
        commit: session.commit.clone(),
        verified: 0,
        files: 0,
        exported: false,
        prompted: false,
    };
    for file in session.wanted()? {
        pulled.verified += usize::from(session.fetch(&file, &staged, watch)?);
        pulled.files += 1;
    }
    pulled.prompted = write_prompts(&asked.name, &staged)?;
    match Layout::read(&staged) {
        Err(Error::NoOnnx { folder, .. }) => {
            export::export(&folder)?;
            pulled.exported = true;
            Layout::read(&staged)?;
        }
        other => drop(other?),
    }
    fs_err::write(staged.join(MADE), format!("{id}@{}\n", session.commit))?;
    if asked.into.exists() {
        fs_err::remove_dir_all(&asked.into)?;
    }
    fs_err::rename(&staged, &asked.into)?;
    fs_err::remove_dir_all(&work)?;
    Ok(pulled)
}

/// True if nothing of anybody else's would be lost.
fn may_replace(folder: &Path) -> bool {
    let is_empty = || folder.read_dir().is_ok_and(|mut entries| entries.next().is_none());
    !folder.exists() || folder.join(MADE).is_file() || is_empty()
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// `OWNER/NAME` of a name that may be bare.
fn full_name(name: &str) -> Result<String, Error> {
    let parts: Vec<&str> = name.split('/').collect();
    let plain = |part: &&str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    match parts[..] {
        _ if !parts.iter().all(plain) => Err(Error::Name { name: name.to_owned() }),
        [bare] => Ok(format!("{DEFAULT_OWNER}/{bare}")),
        [_, _] => Ok(name.to_owned()),
        _ => Err(Error::Name { name: name.to_owned() }),
    }
}

/// One model at one commit.
struct Session {
    name: String,
    hub: String,
    client: Client,
    token: Option<HeaderValue>,
    commit: String,
    /// What the hub has.
    files: Vec<String>,
    /// What was fetched of this commit: files, and parts of files.
    kept: PathBuf,
    retries: usize,
}

/// What the hub says of a model.
#[derive(Deserialize)]
struct Listing {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Session {
    fn start(asked: &Pull, id: &str, work: &Path) -> Result<Self, Error> {
        let mut session = Self {
            name: id.to_owned(),
            hub: asked.endpoint.as_deref().unwrap_or(PUBLIC).trim_end_matches('/').to_owned(),
            client: Client::new(Patience::Step(PATIENCE)),
            token: asked.token.as_deref().and_then(client::bearer),
            commit: String::new(),
            files: Vec::new(),
            kept: work.to_path_buf(),
            retries: asked.retries,
        };
        let listing = session.list(&asked.revision)?;
        // One commit for all files, whatever is pushed to the branch meanwhile.
        session.kept = work.join(&listing.sha);
        session.commit = listing.sha;
        session.files = listing.siblings.into_iter().map(|file| file.rfilename).collect();
        Ok(session)
    }

    fn failed(&self, doing: String) -> impl Fn(client::Error) -> Error {
        let name = self.name.clone();
        move |source| Error::Hub { name: name.clone(), doing: doing.clone(), source }
    }

    fn list(&self, revision: &str) -> Result<Listing, Error> {
        let failed = self.failed(format!("read the files at revision `{revision}`"));
        let address = self.address(&format!("api/models/{}/revision/{}", self.name, percent(revision)))?;
        let (_, response) = self.get(&address, None).map_err(&failed)?;
        if !response.status().is_success() {
            return Err(failed(client::Error::Status(response.status())));
        }
        let mut listing = Vec::new();
        let read = response.into_body().as_reader().take(MOST_LIST_BYTES).read_to_end(&mut listing);
        read.map_err(|error| failed(client::Error::BrokeOff(error)))?;
        serde_json::from_slice(&listing).map_err(|error| failed(client::Error::NoJson(error)))
    }

    fn address(&self, path: &str) -> Result<Address, Error> {
        Address::parse(&format!("{}/{path}", self.hub)).map_err(|error| match error {
            client::AddressError::NoAddress => Error::Endpoint { endpoint: self.hub.clone() },
            client::AddressError::NoTls(without) => without.into(),
        })
    }

    /// The files to fetch.
    fn wanted(&self) -> Result<Vec<String>, Error> {
        let has = |name: &str| self.files.iter().any(|file| file == name);
        let mut wanted: Vec<String> = self.files.iter().filter(|file| is_setting(file)).cloned().collect();
        let onnx = ONNX.into_iter().find(|file| has(file));
        let weights = WEIGHTS.into_iter().find(|file| has(file));
        match (onnx, weights) {
            // A static model's ONNX file is not what topicd runs, and its table is small.
            (_, Some(table)) if table == WEIGHTS[0] => wanted.push(table.to_owned()),
            (Some(onnx), _) => {
                wanted.extend([onnx.to_owned()]);
                wanted.extend(Some(format!("{onnx}_data")).filter(|external| has(external)));
                // Small enough to be a table, and then the one thing that is needed.
                wanted.extend(weights.filter(|_| !has("1_Pooling/config.json")).map(str::to_owned));
            }
            (None, Some(weights)) => wanted.push(weights.to_owned()),
            (None, None) => return Err(Error::NoWeights { name: self.name.clone() }),
        }
        Ok(wanted)
    }
}

/// A file of settings, or of a module's settings: `1_Pooling/config.json`.
fn is_setting(file: &str) -> bool {
    let (folder, name) = file.split_once('/').unwrap_or(("", file));
    let module = folder.starts_with(|first: char| first.is_ascii_digit()) && folder.contains('_');
    SETTINGS.contains(&file) || module && (name == "config.json" || name == "tokenizer.json")
}

/// Prompts that a family's model cards ask for: a part of the name, the document's, the query's.
///
/// Older folders don't hold them; sentence-transformers' users put them before every text by hand.
const CARDS: [(&str, &str, &str); 4] = [
    ("e5-small", "passage: ", "query: "),
    ("e5-base", "passage: ", "query: "),
    ("e5-large", "passage: ", "query: "),
    ("-en-v1.5", "", "Represent this sentence for searching relevant passages: "),
];

/// Writes the prompts that are known for `name` where the folder has none; true if it did.
fn write_prompts(name: &str, folder: &Path) -> Result<bool, Error> {
    let name = name.rsplit('/').next().unwrap_or_default();
    let card = CARDS.iter().find(|(part, ..)| {
        name.contains(part)
            && (name.contains("e5-") || name.starts_with("bge-"))
            && !name.contains("instruct")
    });
    let Some((_, document, query)) = card else { return Ok(false) };
    let file = folder.join("config_sentence_transformers.json");
    let mut config = match fs_err::read(&file) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map_err(|source| Error::Json { path: file.clone(), source })?
        }
        Err(_missing) => serde_json::json!({}),
    };
    let given = config["prompts"].as_object().is_some_and(|prompts| {
        prompts.values().any(|prompt| prompt.as_str().is_some_and(|prompt| !prompt.is_empty()))
    });
    if given || !config.is_object() {
        return Ok(false);
    }
    config["prompts"] = serde_json::json!({ "document": document, "query": query });
    // A link to what was fetched must not be written through.
    if file.exists() {
        fs_err::remove_file(&file)?;
    }
    fs_err::write(&file, config.to_string())?;
    Ok(true)
}

#[cfg(test)]
mod tests;
