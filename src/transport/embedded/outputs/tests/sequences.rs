//! Whatever happens to the files, each committed record stands once in those that are kept.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// So many records of each output, and a commit, unless the process is killed before it.
    Deliver { records: [usize; 4], killed: bool },
    /// The process ends in order and starts again; it is killed before it commits where the outputs are, or not.
    Restart { killed: bool },
    /// Time goes by, in ms.
    Wait(u64),
    /// Somebody does something to the open segment, while the process runs or between two runs.
    Meddle { output: usize, how: How, running: bool },
    /// Another program takes a closed segment away.
    Take { output: usize, which: usize },
}

#[derive(Debug, Clone, Copy)]
enum How {
    Remove,
    Rename,
    Cut,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let how = prop_oneof![Just(How::Remove), Just(How::Rename), Just(How::Cut)];
    let step = prop_oneof![
        6 => (prop::array::uniform4(0..4usize), prop::bool::weighted(0.3))
            .prop_map(|(records, killed)| Step::Deliver { records, killed }),
        1 => any::<bool>().prop_map(|killed| Step::Restart { killed }),
        1 => (0..80u64).prop_map(Step::Wait),
        1 => (0..4usize, how, any::<bool>())
            .prop_map(|(output, how, running)| Step::Meddle { output, how, running }),
        1 => (0..4usize, 0..9usize).prop_map(|(output, which)| Step::Take { output, which }),
    ];
    prop::collection::vec(step, 1..30)
}

/// A segment of an output.
type Segment = (usize, u64);

struct World {
    params: OutputParams,
    outputs: Option<Outputs>,
    committed: Checkpoint,
    now: Duration,
    written: usize,
    /// What was committed into each segment, by commits.
    expected: BTreeMap<Segment, Vec<String>>,
    /// Segments that somebody moved or removed.
    gone: BTreeSet<Segment>,
}

impl World {
    fn new(params: OutputParams) -> Self {
        let mut world = Self {
            params,
            outputs: None,
            committed: Checkpoint::new(),
            now: Duration::from_secs(1),
            written: 0,
            expected: BTreeMap::new(),
            gone: BTreeSet::new(),
        };
        world.start(true);
        world
    }

    fn start(&mut self, commits: bool) {
        self.outputs = None;
        let outputs = Outputs::open(&self.params, &self.committed, &Telemetry::new().unwrap()).unwrap();
        if commits {
            self.committed = outputs.lengths();
        }
        self.outputs = Some(outputs);
    }

    fn path(&self, (output, number): Segment) -> PathBuf {
        self.params.directory.join(OutputFile::ALL[output].segment(number))
    }

    /// The segment of `output` that is written, if something is committed in it and it is at its place.
    fn open_segment(&self, output: usize) -> Option<Segment> {
        let open = (output, OutputFile::ALL[output].place(&self.committed).unwrap().segment);
        let is_there = !self.gone.contains(&open) && self.expected.contains_key(&open);
        is_there.then_some(open)
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Deliver { records, killed } => self.deliver(records, killed),
            Step::Restart { killed } => {
                self.start(!killed);
                if killed {
                    self.start(true);
                }
            }
            Step::Wait(ms) => self.now += Duration::from_millis(ms),
            Step::Meddle { output, how, running } => {
                if !running {
                    self.outputs = None;
                }
                if let Some(open) = self.open_segment(output) {
                    self.meddle(open, how);
                }
                if !running {
                    self.start(true);
                }
            }
            Step::Take { output, which } => {
                let open = OutputFile::ALL[output].place(&self.committed).unwrap().segment;
                let closed = OutputFile::ALL[output].segments_in(&self.params.directory).unwrap();
                if let Some(number) = closed.into_iter().filter(|number| *number < open).nth(which) {
                    fs_err::remove_file(self.path((output, number))).unwrap();
                    self.gone.insert((output, number));
                }
            }
        }
    }

    fn deliver(&mut self, counts: [usize; 4], killed: bool) {
        let texts = counts.map(|count| {
            let texts = (0..count).map(|number| format!("{}", self.written + number)).collect::<Vec<_>>();
            self.written += count;
            texts
        });
        let [assignments, topics, events, dead_letters] =
            texts.each_ref().map(|texts| keyed(&texts.iter().map(String::as_str).collect::<Vec<_>>()));
        let records = Records { assignments, topics, events, dead_letters, ..Records::default() };
        let delivered = self.outputs.as_mut().unwrap().deliver_at(records, self.now).unwrap();
        if killed {
            return self.start(true);
        }
        self.committed = delivered;
        for (output, texts) in texts.into_iter().enumerate().filter(|(_, texts)| !texts.is_empty()) {
            let number = OutputFile::ALL[output].place(&self.committed).unwrap().segment;
            self.expected.entry((output, number)).or_default().push(texts.join("\n") + "\n");
        }
    }

    fn meddle(&mut self, open: Segment, how: How) {
        let path = self.path(open);
        match how {
            How::Remove => fs_err::remove_file(&path).unwrap(),
            How::Rename => {
                let moved = path.with_extension("moved");
                fs_err::rename(&path, &moved).unwrap();
                assert_eq!(fs_err::read_to_string(moved).unwrap(), self.expected[&open].concat());
            }
            How::Cut => {
                fs_err::write(&path, "").unwrap();
                self.expected.insert(open, vec![String::new()]);
                return;
            }
        }
        self.gone.insert(open);
    }

    fn check(&mut self) {
        self.start(true);
        for (index, output) in OutputFile::ALL.into_iter().enumerate() {
            let open = output.place(&self.committed).unwrap().segment;
            let is_kept = |number: u64| self.params.keep.is_none_or(|keep| open - number < keep);
            let there = output.segments_in(&self.params.directory).unwrap();
            for number in &there {
                let found = fs_err::read_to_string(self.path((index, *number))).unwrap();
                let commits = self.expected.get(&(index, *number)).cloned().unwrap_or_default();
                assert_eq!(found, commits.concat(), "{}", output.segment(*number));
                let most = self.params.segment_bytes.unwrap_or(u64::MAX);
                assert!(found.len() as u64 <= most || commits.len() == 1, "{commits:?}");
                assert!(is_kept(*number), "{} of {open}", output.segment(*number));
            }
            for (_, number) in self.expected.keys().filter(|segment| segment.0 == index) {
                let is_lost =
                    is_kept(*number) && !there.contains(number) && !self.gone.contains(&(index, *number));
                assert!(!is_lost, "{} is lost", output.segment(*number));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn each_committed_record_stands_once_in_the_files_that_are_kept(
        steps in steps(),
        segment_bytes in prop::option::of(1..30u64),
        age_ms in prop::option::of(1..200u64),
        keep in prop::option::of(1..5u64),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut world = World::new(OutputParams {
            directory: directory.path().join("out"),
            segment_bytes,
            segment_age: age_ms.map(Duration::from_millis),
            keep,
        });
        for step in &steps {
            world.take(step);
        }
        world.check();
    }
}
