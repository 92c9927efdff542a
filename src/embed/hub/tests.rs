//! A hub that serves a tiny model, whole, in pieces, and wrong.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::fetch::hexadecimal;
use super::*;
use crate::embed::tests::server::{Answer, Request, Server};
use crate::embed::tests::tiny;
use crate::embed::{Embedder, Params, Precision};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const WEIGHTS_FILE: &str = "model.safetensors";

/// A repository's files, and what is wrong with them.
struct Files {
    by_name: BTreeMap<String, Vec<u8>>,
    /// Bytes of the weights after which the line goes dead, while it does.
    cut: Option<usize>,
    dead: AtomicBool,
    /// Told in place of the weights' checksum.
    lie: Option<String>,
}

impl Files {
    fn of(dir: &Path) -> Self {
        let mut by_name = BTreeMap::new();
        let mut folders = vec![dir.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs_err::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                    by_name.insert(name, fs_err::read(path).unwrap());
                }
            }
        }
        by_name.insert("README.md".to_owned(), b"not wanted".to_vec());
        Self { by_name, cut: None, dead: AtomicBool::new(true), lie: None }
    }

    fn tiny(family: &str) -> Self {
        Self::of(tiny::folder(family).path())
    }

    fn answer(&self, request: &Request) -> Answer {
        let path = request.path.trim_start_matches('/');
        if path.starts_with("api/models/") {
            let siblings: Vec<_> = self.by_name.keys().map(|name| json!({ "rfilename": name })).collect();
            return match path.rsplit('/').next() {
                Some("main" | "v2") => {
                    Answer::new(200, json!({ "sha": COMMIT, "siblings": siblings }).to_string())
                }
                _ => Answer::new(404, "no such revision"),
            };
        }
        let (_, name) = path.split_once(&format!("/resolve/{COMMIT}/")).expect("files of one commit only");
        let Some(bytes) = self.by_name.get(name) else { return Answer::new(404, "no such file") };
        self.part(name, bytes, &request.headers["range"])
    }

    /// The range `bytes=FROM-TO` of a file, as the hub sends it.
    fn part(&self, name: &str, bytes: &[u8], range: &str) -> Answer {
        let (from, to) = range.trim_start_matches("bytes=").split_once('-').unwrap();
        let from: usize = from.parse().unwrap();
        if from >= bytes.len() {
            return Answer::new(416, "");
        }
        let to = to.parse::<usize>().map_or(bytes.len(), |to| (to + 1).min(bytes.len()));
        let answer = Answer::new(206, &bytes[from..to])
            .header("content-range", format!("bytes {from}-{}/{}", to - 1, bytes.len()))
            .header("x-repo-commit", COMMIT);
        if name != WEIGHTS_FILE {
            let mut hash = Sha1::new();
            hash.update(format!("blob {}\0", bytes.len()));
            hash.update(bytes);
            return answer.header("etag", format!("\"{}\"", hexadecimal(&hash.finalize())));
        }
        let told = self.lie.clone().unwrap_or_else(|| hexadecimal(&Sha256::digest(bytes)));
        let answer =
            answer.header("x-linked-etag", format!("\"{told}\"")).header("etag", "\"of the storage\"");
        let dead = to - from > 1 && self.dead.load(Ordering::Relaxed);
        Answer { cut: self.cut.filter(|_| dead), ..answer }
    }
}

fn serve(files: Files) -> (Server, std::sync::Arc<Files>) {
    let files = std::sync::Arc::new(files);
    let served = files.clone();
    (Server::start(move |request| served.answer(request)), files)
}

fn asked(server: &Server, home: &TempDir, name: &str) -> Pull {
    Pull {
        name: name.to_owned(),
        endpoint: Some(format!("{}/", server.url)),
        token: Some("hush".to_owned()),
        revision: "main".to_owned(),
        into: home.path().join(name),
        retries: 0,
    }
}

/// The bytes that arrived, as the bar shows them.
#[derive(Default)]
struct Seen(Mutex<Vec<(String, u64, u64)>>);

impl Watch for Seen {
    fn started(&self, file: &str, bytes: u64) {
        self.0.lock().unwrap().push((file.to_owned(), bytes, 0));
    }

    fn arrived(&self, bytes: u64) {
        self.0.lock().unwrap().last_mut().unwrap().2 = bytes;
    }

    fn finished(&self) {}
}

/// Where each request for the weights began that asked for more than the first byte.
fn starts(server: &Server) -> Vec<String> {
    let requests = server.requests();
    let weights = requests.iter().filter(|request| request.path.ends_with(WEIGHTS_FILE));
    weights.map(|request| request.headers["range"].clone()).filter(|range| range != "bytes=0-0").collect()
}

#[test]
fn a_model_is_fetched_checked_and_made_ready() {
    let (server, files) = serve(Files::tiny("bert"));
    let home = tempfile::tempdir().unwrap();
    let seen = Seen::default();
    let pull = Pull { revision: "v2".to_owned(), ..asked(&server, &home, "someone/tiny") };
    let pulled = super::pull(&pull, &seen).unwrap();
    assert_eq!((pulled.files, pulled.verified, pulled.exported, pulled.prompted), (3, 3, true, false));
    assert_eq!((pulled.commit.as_str(), pulled.folder), (COMMIT, home.path().join("someone/tiny")));
    let weights = files.by_name[WEIGHTS_FILE].len() as u64;
    assert!(seen.0.lock().unwrap().contains(&(WEIGHTS_FILE.to_owned(), weights, weights)));
    assert!(server.requests().iter().all(|request| request.headers["authorization"] == "Bearer hush"));

    let params = Params { model: pull.into.clone(), precision: Precision::Fp32, ..Params::default() };
    let embedder = Embedder::open(&params.check().unwrap()).unwrap();
    assert_eq!(embedder.embed(&["bank"]).unwrap().rows.n(), 1);
    let left: Vec<_> = fs_err::read_dir(home.path().join("someone")).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing but the model is left: {left:?}");

    // A second time it replaces what it made; what somebody else put there stays.
    super::pull(&pull, &seen).unwrap();
    fs_err::remove_file(pull.into.join(MADE)).unwrap();
    assert!(matches!(super::pull(&pull, &seen), Err(Error::Foreign { .. })));
    assert!(pull.into.join("tokenizer.json").is_file());
}

#[test]
fn an_interrupted_fetch_goes_on_where_it_stopped() {
    let (server, files) = serve(Files { cut: Some(1000), ..Files::tiny("bert") });
    let home = tempfile::tempdir().unwrap();
    let pull = asked(&server, &home, "someone/tiny");
    let error = super::pull(&pull, &Seen::default()).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot fetch `model.safetensors` of `someone/tiny`; what was fetched is kept"),
        "{error}"
    );
    assert!(!pull.into.exists(), "half a model is no model");
    files.dead.store(false, Ordering::Relaxed);
    let settings = server.requests().len();
    super::pull(&pull, &Seen::default()).unwrap();
    assert_eq!(starts(&server), ["bytes=0-", "bytes=1000-"]);
    // The listing, and the rest of the weights; all else was there.
    assert_eq!(server.requests().len() - settings, 2);
}

#[test]
fn what_has_another_checksum_is_thrown_away() {
    let lie = "f".repeat(64);
    let (server, _) = serve(Files { lie: Some(lie.clone()), ..Files::tiny("bert") });
    let home = tempfile::tempdir().unwrap();
    let pull = asked(&server, &home, "someone/tiny");
    for _ in 0..2 {
        let error = super::pull(&pull, &Seen::default()).unwrap_err();
        assert!(matches!(&error, Error::Checksum { expected, .. } if *expected == lie), "{error}");
    }
    assert_eq!(starts(&server), ["bytes=0-", "bytes=0-"], "nothing of it was kept");
}

#[test]
fn the_cards_prompts_are_written_where_the_folder_has_none() {
    let (server, _) = serve(Files::tiny("bert"));
    let home = tempfile::tempdir().unwrap();
    let pull = asked(&server, &home, "someone/multilingual-e5-small");
    assert!(super::pull(&pull, &Seen::default()).unwrap().prompted);
    let Layout::Encoder(folder) = Layout::read(&pull.into).unwrap() else { panic!("no encoder") };
    assert_eq!((folder.prompts.document.as_str(), folder.prompts.query.as_str()), ("passage: ", "query: "));
    let given = r#"{"prompts": {"query": "q: "}}"#;
    tiny::write(&pull.into, "config_sentence_transformers.json", given);
    assert!(!write_prompts("e5-small", &pull.into).unwrap(), "what the folder says counts");
    assert!(!write_prompts("multilingual-e5-large-instruct", tempfile::tempdir().unwrap().path()).unwrap());
    let bge = tempfile::tempdir().unwrap();
    assert!(write_prompts("BAAI/bge-small-en-v1.5", bge.path()).unwrap());
}

#[test]
fn a_static_model_needs_its_table_only() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/embed/tiny/static-quantised");
    let (server, _) = serve(Files::of(&fixtures));
    let home = tempfile::tempdir().unwrap();
    let pulled = super::pull(&asked(&server, &home, "potion"), &Seen::default()).unwrap();
    assert_eq!((pulled.files, pulled.exported), (4, false));
    assert!(server.requests()[0].path.starts_with("/api/models/sentence-transformers/potion/"));
}

#[test]
fn what_the_hub_has_not_is_told() {
    let (server, _) = serve(Files::tiny("bert"));
    let home = tempfile::tempdir().unwrap();
    let pull = Pull { revision: "v3".to_owned(), ..asked(&server, &home, "someone/tiny") };
    let error = super::pull(&pull, &Seen::default()).unwrap_err().to_string();
    assert!(error.starts_with("cannot read the files at revision `v3` of `someone/tiny`"), "{error}");
    let mut none = Files::tiny("bert");
    none.by_name.remove(WEIGHTS_FILE);
    let (server, _) = serve(none);
    let error = super::pull(&asked(&server, &home, "someone/tiny"), &Seen::default()).unwrap_err();
    assert!(matches!(error, Error::NoWeights { .. }), "{error}");
    for name in ["", "a/b/c", "../x", "a b", "/x", "a/.."] {
        assert!(matches!(full_name(name), Err(Error::Name { .. })), "{name}");
    }
}
