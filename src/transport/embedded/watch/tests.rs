use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use proptest::prelude::*;
use tokio::sync::mpsc;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::transport::embedded::fields::Fields;
use crate::transport::embedded::parse::{Format, Parser};
use crate::transport::embedded::places::Places;
use crate::transport::embedded::seen::Seen;
use crate::transport::embedded::sink::Item;

/// Every file begins with it, so only what comes after tells them apart.
const HEADER: &str = "{\"id\": \"header\", \"text\": \"t\"}\n";

fn line(id: u32) -> String {
    format!("{{\"id\": \"{id}\", \"text\": \"t\"}}\n")
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Write(u32),
    /// The first half of a line; the second comes with the next step that writes there.
    WriteHalf,
    /// By a writer that has not noticed the rotation.
    WriteToOld,
    /// Another file is made; the old one has another name, or none.
    Rotate,
    Replace,
    /// The file has another name, and nothing stands at the path until something is written.
    Rename,
    Truncate,
    CopyTruncate,
    Poll,
    Commit,
    /// What is not committed is lost.
    Kill,
}

/// A file, and what the reader owes of it.
#[derive(Default, Clone)]
struct Written {
    lines: Vec<u32>,
    half: Option<u32>,
    /// It stood at the path in a poll; that is committed.
    known: bool,
    committed: bool,
}

/// A path, its writer and its reader.
struct Stage {
    path: PathBuf,
    paths: Paths,
    at_path: Option<Written>,
    /// By the number in its name.
    beside: BTreeMap<u32, Written>,
    /// The newest of them may still be written to.
    old: bool,
    lines: u32,
    rotations: u32,
    watch: Watch,
    sink: Sink,
    items: mpsc::Receiver<Item>,
    committed: Checkpoint,
    uncommitted: Vec<Item>,
    delivered: Vec<String>,
    stood: BTreeMap<u32, u32>,
}

fn reader(paths: &Paths, recorded: &Checkpoint) -> (Watch, Sink, mpsc::Receiver<Item>) {
    let (sender, items) = mpsc::channel(10_000);
    let parser = Parser {
        format: Format::Json,
        fields: Fields::default(),
        max_document_bytes: 1 << 20,
        time_format: String::new(),
        dimension: None,
    };
    let sink = Sink { places: Places(recorded.clone()), parser, seen: Seen::new(0), items: sender };
    (Watch::new(paths.clone(), true), sink, items)
}

fn append(path: &Path, text: &str) {
    let mut file = fs_err::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

impl Stage {
    /// Its lines are numbered from `first` on. With `all` the files beside the path are read in their own right.
    fn new(path: PathBuf, all: bool, first: u32) -> Self {
        let pattern = PathBuf::from(format!("{}*", path.display()));
        let paths = if all { Paths::patterns(&[pattern]) } else { Paths::one(&path) }.unwrap();
        let (watch, sink, items) = reader(&paths, &Checkpoint::new());
        Self {
            path,
            paths,
            at_path: None,
            beside: BTreeMap::new(),
            old: false,
            lines: first,
            rotations: 0,
            watch,
            sink,
            items,
            committed: Checkpoint::new(),
            uncommitted: Vec::new(),
            delivered: Vec::new(),
            stood: BTreeMap::new(),
        }
    }

    fn name_beside(&self, number: u32) -> PathBuf {
        PathBuf::from(format!("{}.{number}", self.path.display()))
    }

    /// What a writer appends to `file`: the rest of a half line and `n` more.
    fn next_lines(&mut self, file: &mut Written, n: u32) -> String {
        let mut text = String::new();
        if let Some(half) = file.half.take() {
            text.push_str(&line(half)[10..]);
            file.lines.push(half);
        }
        for _ in 0..n {
            text.push_str(&line(self.lines));
            file.lines.push(self.lines);
            self.lines += 1;
        }
        text
    }

    fn write(&mut self, n: u32) {
        let mut file = self.at_path.take();
        let mut text = if file.is_none() { HEADER.to_owned() } else { String::new() };
        let written = file.get_or_insert_default();
        if written.lines.is_empty() && text.is_empty() {
            text = HEADER.to_owned();
        }
        text += &self.next_lines(written, n);
        append(&self.path, &text);
        self.at_path = file;
    }

    fn put_aside(&mut self, file: Written) {
        self.beside.insert(self.rotations, file);
        self.rotations += 1;
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Write(n) => self.write(n),
            Step::WriteHalf => {
                let Some(file) =
                    self.at_path.as_mut().filter(|file| file.half.is_none() && !file.lines.is_empty())
                else {
                    return;
                };
                file.half = Some(self.lines);
                append(&self.path, &line(self.lines)[..10]);
                self.lines += 1;
            }
            Step::WriteToOld if self.old => {
                let Some((number, mut file)) = self.beside.pop_last() else { return };
                let text = self.next_lines(&mut file, 1);
                append(&self.name_beside(number), &text);
                self.beside.insert(number, file);
            }
            Step::WriteToOld => {}
            Step::Rename | Step::Rotate => {
                if let Some(file) = self.at_path.take() {
                    fs_err::rename(&self.path, self.name_beside(self.rotations)).unwrap();
                    self.put_aside(file);
                    self.old = true;
                }
                if matches!(step, Step::Rotate) {
                    self.write(1);
                }
            }
            Step::Replace => {
                if self.at_path.take().is_some() {
                    fs_err::remove_file(&self.path).unwrap();
                }
                self.write(1);
            }
            Step::Truncate | Step::CopyTruncate => {
                let Some(mut file) = self.at_path.take() else { return };
                if matches!(step, Step::CopyTruncate) {
                    fs_err::copy(&self.path, self.name_beside(self.rotations)).unwrap();
                    self.put_aside(file.clone());
                    self.old = false;
                }
                fs_err::OpenOptions::new().write(true).truncate(true).open(&self.path).unwrap();
                file = Written::default();
                self.at_path = Some(file);
            }
            Step::Poll => self.poll(),
            Step::Commit => self.commit(),
            Step::Kill => self.kill(),
        }
    }

    fn poll(&mut self) {
        self.watch.poll(&mut self.sink).unwrap();
        while let Ok(item) = self.items.try_recv() {
            self.uncommitted.push(item);
        }
        self.old = false;
        if let Some(file) = self.at_path.as_mut().filter(|file| !file.lines.is_empty()) {
            file.known = true;
        }
        let files = self.at_path.iter().chain(self.beside.values()).filter(|file| file.known);
        let standing: BTreeSet<u32> = files.flat_map(|file| file.lines.iter().copied()).collect();
        for line in standing {
            *self.stood.entry(line).or_default() += 1;
        }
    }

    fn commit(&mut self) {
        for Item { parsed, partition, end, before } in self.uncommitted.drain(..) {
            places::record(&mut self.committed, &partition, end, before);
            self.delivered.extend(parsed.ok().map(|document| document.id.to_string()));
        }
        for file in self.at_path.iter_mut().chain(self.beside.values_mut()) {
            file.committed = file.known;
        }
    }

    fn kill(&mut self) {
        self.uncommitted.clear();
        self.stood.retain(|line, _| self.delivered.contains(&line.to_string()));
        for file in self.at_path.iter_mut().chain(self.beside.values_mut()) {
            file.known = file.committed;
        }
        (self.watch, self.sink, self.items) = reader(&self.paths, &self.committed);
    }

    fn check(&self, steps: &[(usize, Step)]) {
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for id in self.delivered.iter().filter(|id| *id != "header") {
            *times.entry(id).or_default() += 1;
        }
        assert!(times.values().all(|n| *n == 1), "delivered more than once: {times:?} by {steps:?}");
        for (line, polls) in &self.stood {
            assert!(*polls < 2 || times.contains_key(&*line.to_string()), "line {line} is lost by {steps:?}");
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u32..4).prop_map(Step::Write),
        1 => Just(Step::WriteHalf),
        1 => Just(Step::WriteToOld),
        2 => Just(Step::Rotate),
        1 => Just(Step::Replace),
        1 => Just(Step::Rename),
        1 => Just(Step::Truncate),
        2 => Just(Step::CopyTruncate),
        6 => Just(Step::Poll),
        3 => Just(Step::Commit),
        2 => Just(Step::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn each_line_that_stood_for_two_polls_comes_exactly_once(
        steps in prop::collection::vec((0_usize..3, step()), 1..60),
    ) {
        let folder = tempfile::tempdir().unwrap();
        // The names of the first's rotated files begin as the second's do.
        let names = [("a.jsonl", false, 0), ("ab.jsonl", false, 1000), ("b.jsonl", true, 2000)];
        let mut paths = names.map(|(name, all, first)| Stage::new(folder.path().join(name), all, first));
        for (path, step) in &steps {
            paths[*path].take(*step);
        }
        for path in &mut paths {
            for step in [Step::Poll, Step::Poll, Step::Commit] {
                path.take(step);
            }
            path.check(&steps);
        }
    }
}
