//! The real binary in a folder of its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take that is waited for.
pub(crate) const DEADLINE: Duration = Duration::from_mins(3);

/// Lines of a daemon's log that tell why a test failed.
const LOGGED: usize = 60;

/// A folder with a state, outputs and a source.
pub(crate) struct Home {
    folder: tempfile::TempDir,
    settings: Vec<String>,
    /// Where the logs of its daemons go, one after the other, if anywhere.
    log: Option<PathBuf>,
}

impl Home {
    pub(crate) fn new(documents: &str) -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap(), settings: Vec::new(), log: None };
        fs_err::write(home.path("documents.jsonl"), documents).unwrap();
        home
    }

    /// A further setting, such as `refit.first_documents=100`.
    pub(crate) fn set(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// The daemons' logs are kept in `file` of the target folder's `tmp`, which outlives the test.
    pub(crate) fn log_to(mut self, file: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
        fs_err::write(&path, "").unwrap();
        self.log = Some(path);
        self
    }

    /// The end of the kept log, for the message of a test that fails.
    pub(crate) fn end_of_log(&self) -> String {
        let Some(path) = &self.log else { return String::new() };
        let text = fs_err::read_to_string(path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let end = lines[lines.len().saturating_sub(LOGGED)..].join("\n");
        format!("\nthe end of {}:\n{end}", path.display())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `topicd` with `arguments`, not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_topicd"));
        command.args(arguments).current_dir(self.folder.path());
        for setting in ["source.path=documents.jsonl", "http.listen=127.0.0.1:0"] {
            command.args(["--set", setting]);
        }
        for setting in &self.settings {
            command.args(["--set", setting]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// `topicd` with `arguments`, which runs for long: its log goes where it is kept.
    pub(crate) fn long_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        if let Some(path) = &self.log {
            command.stderr(fs_err::OpenOptions::new().append(true).open(path).unwrap().into_parts().0);
        }
        command
    }

    /// Runs `topicd` to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs `topicd` to its end, which must be a good one; its stdout.
    pub(crate) fn good(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The rows that `topicd` prints into a pipe, each cell by the name of its column.
    pub(crate) fn table(&self, arguments: &[&str]) -> Vec<BTreeMap<String, String>> {
        let text = self.good(arguments);
        let mut lines = text.lines().map(|line| line.split('\t').map(ToOwned::to_owned).collect::<Vec<_>>());
        let header = lines.next().unwrap();
        let row = |cells: Vec<String>| {
            assert_eq!(cells.len(), header.len(), "{text}");
            header.iter().cloned().zip(cells).collect()
        };
        lines.map(row).collect()
    }

    /// Starts `topicd run --events` and waits for its address.
    pub(crate) fn start(&self) -> Daemon {
        self.start_as(&[])
    }

    /// Likewise, with further arguments.
    pub(crate) fn start_as(&self, arguments: &[&str]) -> Daemon {
        let mut child = self.long_command(&[&["run", "--events"], arguments].concat()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        let errors = child.stderr.take();
        if !first.starts_with("live page: ") {
            let mut why = self.end_of_log();
            errors.map(|mut errors| errors.read_to_string(&mut why).unwrap());
            panic!("no address but `{first}`: {why}");
        }
        // Nobody may block on a full pipe.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        if let Some(mut errors) = errors {
            std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
        }
        let base = first.trim().trim_start_matches("live page: ").trim_end_matches('/').to_owned();
        Daemon { child, base }
    }

    /// The lines of an output, of all its segments in their order.
    pub(crate) fn records(&self, file: &str) -> Vec<Value> {
        let segments = self.segments(file);
        assert!(!segments.is_empty(), "there is no `{file}`");
        segments.iter().flat_map(|path| read_records(path)).collect()
    }

    /// The first assignment of each document.
    pub(crate) fn arrivals(&self) -> Vec<Value> {
        let records = self.records("assignments.jsonl").into_iter();
        records.filter(|record| record["revision"] == 1).collect()
    }

    /// The files of an output, oldest first.
    pub(crate) fn segments(&self, file: &str) -> Vec<PathBuf> {
        let name = file.strip_suffix(".jsonl").unwrap();
        let number = |path: &Path| -> Option<u64> {
            let middle = path.file_name()?.to_str()?.strip_prefix(name)?.strip_suffix(".jsonl")?;
            if middle.is_empty() { Some(0) } else { middle.strip_prefix('-')?.parse().ok() }
        };
        let folder = fs_err::read_dir(self.path("topicd-data/output")).unwrap();
        let paths = folder.map(|entry| entry.unwrap().path());
        let mut segments: Vec<_> = paths.filter_map(|path| Some((number(&path)?, path))).collect();
        segments.sort();
        segments.into_iter().map(|(_, path)| path).collect()
    }
}

pub(crate) fn read_records(path: &Path) -> Vec<Value> {
    let text = fs_err::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A running daemon; killed when dropped.
pub(crate) struct Daemon {
    pub(crate) child: Child,
    pub(crate) base: String,
}

impl Daemon {
    /// The answer to a GET, when it is a good one.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let response = ureq(&self.base, path).ok()?;
        Some(response)
    }

    pub(crate) fn json(&self, path: &str) -> Option<Value> {
        serde_json::from_str(&self.get(path)?).ok()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A GET over a plain socket.
fn ureq(base: &str, path: &str) -> std::io::Result<String> {
    use std::io::Write;
    let address = base.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.split_whitespace().nth(1) != Some("200") {
        return Err(std::io::Error::other(head.to_owned()));
    }
    Ok(body.to_owned())
}

/// Waits until `condition` gives a value.
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let waited = wait_or_explain(|| condition().ok_or(()));
    waited.unwrap_or_else(|()| panic!("waited too long for {what}"))
}

/// Waits until `condition` gives a value; past the deadline, what it lacked last.
pub(crate) fn wait_or_explain<T, E>(mut condition: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let started = Instant::now();
    loop {
        let found = condition();
        if found.is_ok() || started.elapsed() >= DEADLINE {
            return found;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// The first word of each names its subject.
const SUBJECTS: [&str; 4] = [
    "football goal league striker coach stadium penalty midfield match referee",
    "stocks shares market bank inflation investors bonds profit earnings trading",
    "medicine virus vaccine hospital patients doctors infection symptoms clinic nurses",
    "astronomy planet rocket orbit telescope galaxy moon satellite comet stars",
];

/// Documents about four subjects, told apart by their words, `n` in all.
pub(crate) fn documents(n: usize) -> String {
    let mut random: u64 = 1;
    let mut pick = |words: &[&'static str]| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        words[(random >> 33) as usize % words.len()]
    };
    let document = |number: usize| {
        let words: Vec<&str> = SUBJECTS[number % SUBJECTS.len()].split(' ').collect();
        let picked: Vec<&str> = (0..6).map(|_| pick(&words)).collect();
        let text = format!("{} news: the {}.", words[0], picked.join(" and the "));
        format!("{}\n", serde_json::json!({ "id": format!("d{number}"), "text": text }))
    };
    (0..n).map(document).collect()
}

/// The folder that `deploy/test` fills.
pub(crate) fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/topicd");
    std::env::var_os("TOPICD_CACHE").map_or_else(home, PathBuf::from)
}

/// There is a topic for most subjects, and each topic's best keywords come from one subject.
pub(crate) fn check_pure(topics: &[Value]) {
    let mut found = std::collections::BTreeSet::new();
    for topic in topics {
        let words: Vec<&str> = topic["keywords"]
            .as_array()
            .unwrap()
            .iter()
            .take(5)
            .map(|word| word["term"].as_str().unwrap())
            .collect();
        let subject = SUBJECTS
            .iter()
            .position(|subject| words.iter().all(|word| *word == "news" || subject.contains(word)));
        found.insert(subject.unwrap_or_else(|| panic!("the keywords {words:?} come from several subjects")));
    }
    assert!(found.len() >= 3, "only {found:?} of four subjects");
}
