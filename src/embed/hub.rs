//! Models from a Hugging Face compatible hub.
//!
//! What is fetched lies in a folder of its own until everything is there and its checksums are right; then the model
//! appears under its name at once. A run that was interrupted goes on where it stopped.

use std::{
    fmt::Write as _,
    io::Read,
    path::{Path, PathBuf},
};

use hf_hub::{
    Cache, CacheRepo, Repo, RepoType,
    api::sync::{ApiBuilder, ApiError, ApiRepo},
};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{Error, export, folder::Layout, identity::feed};

/// Which model, and from where.
#[derive(Clone)]
pub struct Pull {
    /// `OWNER/NAME`, or a bare name of one of the sentence-transformers' own.
    pub name: String,
    /// The hub; none for the one that the client knows.
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
    if asked.into.exists() {
        fs_err::remove_dir_all(&asked.into)?;
    }
    fs_err::rename(&staged, &asked.into)?;
    fs_err::remove_dir_all(&work)?;
    Ok(pulled)
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
    remote: ApiRepo,
    /// What was fetched of it already.
    local: CacheRepo,
    commit: String,
    /// What the hub has.
    files: Vec<String>,
    /// The client's own folder.
    cache: PathBuf,
}

impl Session {
    fn start(asked: &Pull, id: &str, work: &Path) -> Result<Self, Error> {
        let failed = |source: ApiError| Error::Hub {
            name: id.to_owned(),
            doing: format!("read the files at revision `{}`", asked.revision),
            source: Box::new(source),
        };
        let mut builder = ApiBuilder::from_cache(Cache::new(work.join("hub")))
            .with_token(asked.token.clone())
            .with_progress(false)
            .with_retries(asked.retries)
            .with_user_agent("topicd", env!("CARGO_PKG_VERSION"));
        if let Some(endpoint) = &asked.endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
        }
        let api = builder.build().map_err(failed)?;
        let at = |revision: &str| Repo::with_revision(id.to_owned(), RepoType::Model, revision.to_owned());
        let info = api.repo(at(&asked.revision)).info().map_err(failed)?;
        // One commit for all files, whatever is pushed to the branch meanwhile.
        let cache = work.join("hub");
        Ok(Self {
            name: id.to_owned(),
            remote: api.repo(at(&info.sha)),
            local: Cache::new(cache.clone()).repo(at(&info.sha)),
            commit: info.sha,
            files: info.siblings.into_iter().map(|file| file.rfilename).collect(),
            cache,
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

    /// Fetches `file` into `staged`; true if its checksum was told and is right.
    fn fetch(&self, file: &str, staged: &Path, watch: &dyn Watch) -> Result<bool, Error> {
        let fetched = match self.local.get(file) {
            Some(pointer) => Ok(pointer),
            None => self.download(file, watch),
        };
        let pointer = fetched.map_err(|source| Error::Hub {
            name: self.name.clone(),
            doing: format!("fetch `{file}`"),
            source: Box::new(source),
        })?;
        // The client keeps contents under the name of their checksum and a link to them under the file's.
        let blob = fs_err::canonicalize(&pointer)?;
        let expected = file_name(&blob);
        let found = match expected.len() {
            64 => Some(sha256(&blob)?),
            40 => Some(git_blob(&blob)?),
            _ => None,
        };
        if let Some(found) = found.clone().filter(|found| *found != expected) {
            fs_err::remove_file(&blob)?;
            fs_err::remove_file(&pointer)?;
            let (name, file) = (self.name.clone(), file.to_owned());
            return Err(Error::Checksum { name, file, found, expected });
        }
        let target = staged.join(file);
        if let Some(parent) = target.parent() {
            fs_err::create_dir_all(parent)?;
        }
        // A copy, so that a later failure does not cost this file again.
        if fs_err::hard_link(&blob, &target).is_err() {
            fs_err::copy(&blob, &target)?;
        }
        Ok(found.is_some())
    }

    fn download(&self, file: &str, watch: &dyn Watch) -> Result<PathBuf, ApiError> {
        match self.remote.download_with_progress(file, Arriving { watch, seen: 0 }) {
            // A file that was fetched whole and not renamed, or is longer than it may be.
            Err(ApiError::InvalidResume) => self.download_anew(file, watch),
            Err(error) if error.to_string().contains("416") => self.download_anew(file, watch),
            other => other,
        }
    }

    fn download_anew(&self, file: &str, watch: &dyn Watch) -> Result<PathBuf, ApiError> {
        let blobs = Repo::model(self.name.clone()).folder_name();
        if let Ok(entries) = fs_err::read_dir(self.cache.join(blobs).join("blobs")) {
            let parts = entries.filter_map(Result::ok).map(|entry| entry.path());
            for part in parts.filter(|path| path.extension().is_some_and(|end| end == "part")) {
                fs_err::remove_file(part)?;
            }
        }
        self.remote.download_with_progress(file, Arriving { watch, seen: 0 })
    }
}

/// A file of settings, or of a module's settings: `1_Pooling/config.json`.
fn is_setting(file: &str) -> bool {
    let (folder, name) = file.split_once('/').unwrap_or(("", file));
    let module = folder.starts_with(|first: char| first.is_ascii_digit()) && folder.contains('_');
    SETTINGS.contains(&file) || module && (name == "config.json" || name == "tokenizer.json")
}

/// Tells the watcher what the client tells.
struct Arriving<'w> {
    watch: &'w dyn Watch,
    seen: usize,
}

impl hf_hub::api::Progress for Arriving<'_> {
    fn init(&mut self, size: usize, filename: &str) {
        self.seen = 0;
        self.watch.started(filename, size as u64);
    }

    fn update(&mut self, size: usize) {
        self.seen += size;
        self.watch.arrived(self.seen as u64);
    }

    fn finish(&mut self) {
        self.watch.finished();
    }
}

fn sha256(file: &Path) -> Result<String, Error> {
    let mut hash = Sha256::new();
    feed(&mut hash, file)?;
    Ok(hexadecimal(&hash.finalize()))
}

/// What git calls a file's contents: SHA-1 over `blob LENGTH\0` and the contents.
fn git_blob(file: &Path) -> Result<String, Error> {
    let mut bytes = Vec::new();
    fs_err::File::open(file)?.read_to_end(&mut bytes)?;
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", bytes.len()));
    hash.update(&bytes);
    Ok(hexadecimal(&hash.finalize()))
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _never_fails = write!(text, "{byte:02x}");
        text
    })
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
