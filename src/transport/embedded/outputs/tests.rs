mod sequences;

use super::*;
use crate::record::Keyed;

fn keyed(texts: &[&str]) -> Vec<Keyed> {
    texts.iter().map(|text| Keyed { key: String::new(), line: text.as_bytes().to_vec() }).collect()
}

fn assignments(texts: &[&str]) -> Records {
    Records { assignments: keyed(texts), ..Records::default() }
}

fn events(texts: &[&str]) -> Records {
    Records { events: keyed(texts), ..Records::default() }
}

fn open(directory: &Path, recorded: &Checkpoint) -> Result<Outputs, Error> {
    let params = OutputParams { directory: directory.to_owned(), ..OutputParams::default() };
    Outputs::open(&params, recorded, &Telemetry::new().unwrap())
}

/// What a segment holds; `None` if there is no such file.
fn segment(directory: &Path, output: OutputFile, number: u64) -> Option<String> {
    fs_err::read_to_string(directory.join(output.segment(number))).ok()
}

fn content(directory: &Path, output: OutputFile) -> String {
    segment(directory, output, 0).unwrap()
}

#[test]
fn what_was_not_committed_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let mut outputs = open(directory.path(), &Checkpoint::new()).unwrap();
    let committed = outputs.deliver(Records { events: keyed(&["e"]), ..assignments(&["1", "2"]) }).unwrap();
    assert_eq!(OutputFile::Assignments.place(&committed), Some(Place { segment: 0, length: 4 }));
    assert_eq!(OutputFile::Events.place(&committed), Some(Place { segment: 0, length: 2 }));
    outputs.deliver(Records { dead_letters: keyed(&["x"]), ..assignments(&["3"]) }).unwrap();
    drop(outputs);

    let mut outputs = open(directory.path(), &committed).unwrap();
    assert_eq!(content(directory.path(), OutputFile::Assignments), "1\n2\n");
    assert_eq!(content(directory.path(), OutputFile::DeadLetters), "");
    let committed = outputs.deliver(assignments(&["4"])).unwrap();
    assert_eq!(OutputFile::Assignments.place(&committed), Some(Place { segment: 0, length: 6 }));
    assert_eq!(content(directory.path(), OutputFile::Assignments), "1\n2\n4\n");
}

#[test]
fn a_new_run_commits_lengths_before_it_writes() {
    let directory = tempfile::tempdir().unwrap();
    let mut outputs = open(directory.path(), &Checkpoint::new()).unwrap();
    let committed = outputs.lengths();
    outputs.deliver(events(&["killed before the first commit"])).unwrap();
    drop(outputs);
    open(directory.path(), &committed).unwrap();
    assert_eq!(content(directory.path(), OutputFile::Events), "");
}

/// What somebody does to an output, with what is left of it.
type Meddling = (fn(&Path), Option<&'static str>);

const MEDDLING: [Meddling; 5] = [
    (|file| fs_err::remove_file(file).unwrap(), None),
    (|file| fs_err::rename(file, file.with_extension("jsonl.1")).unwrap(), None),
    // As logrotate's copytruncate.
    (
        |file| {
            fs_err::copy(file, file.with_extension("jsonl.1")).unwrap();
            fs_err::OpenOptions::new().write(true).truncate(true).open(file).unwrap();
        },
        Some(""),
    ),
    (|file| fs_err::remove_dir_all(file.parent().unwrap()).unwrap(), None),
    (
        |file| fs_err::rename(file.parent().unwrap(), file.parent().unwrap().with_extension("old")).unwrap(),
        None,
    ),
];

#[test]
fn an_output_that_somebody_moves_removes_or_cuts_while_it_is_written_goes_on_in_the_next_file() {
    for (number, (meddle, left)) in MEDDLING.into_iter().enumerate() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("out");
        let mut outputs = open(&directory, &Checkpoint::new()).unwrap();
        outputs.deliver(assignments(&["1", "2"])).unwrap();
        meddle(&directory.join("assignments.jsonl"));
        let committed = outputs.deliver(assignments(&["3"])).unwrap();
        assert_eq!(OutputFile::Assignments.place(&committed), Some(Place { segment: 1, length: 2 }));
        outputs.deliver(assignments(&["killed before its commit"])).unwrap();
        drop(outputs);
        let mut outputs = open(&directory, &committed).unwrap();
        outputs.deliver(assignments(&["4"])).unwrap();
        assert_eq!(segment(&directory, OutputFile::Assignments, 0).as_deref(), left, "{number}");
        assert_eq!(segment(&directory, OutputFile::Assignments, 1).as_deref(), Some("3\n4\n"), "{number}");
    }
}

#[test]
fn an_output_that_somebody_moved_removed_or_cut_between_two_runs_goes_on_in_the_next_file() {
    for (number, (meddle, left)) in MEDDLING.into_iter().enumerate() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("out");
        let mut outputs = open(&directory, &Checkpoint::new()).unwrap();
        let committed = outputs.deliver(assignments(&["1", "2"])).unwrap();
        drop(outputs);
        meddle(&directory.join("assignments.jsonl"));
        let mut outputs = open(&directory, &committed).unwrap();
        outputs.deliver(assignments(&["killed before its commit"])).unwrap();
        drop(outputs);
        let mut outputs = open(&directory, &committed).unwrap();
        outputs.deliver(assignments(&["3"])).unwrap();
        assert_eq!(segment(&directory, OutputFile::Assignments, 0).as_deref(), left, "{number}");
        assert_eq!(segment(&directory, OutputFile::Assignments, 1).as_deref(), Some("3\n"), "{number}");
    }
}

#[test]
fn what_another_program_writes_into_an_output_stays_in_a_file_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let mut outputs = open(directory.path(), &Checkpoint::new()).unwrap();
    outputs.deliver(assignments(&["1"])).unwrap();
    let file = directory.path().join("assignments.jsonl");
    fs_err::write(&file, "1\nforeign").unwrap();
    outputs.deliver(assignments(&["2"])).unwrap();
    assert_eq!(content(directory.path(), OutputFile::Assignments), "1\nforeign");
    assert_eq!(segment(directory.path(), OutputFile::Assignments, 1).as_deref(), Some("2\n"));
    // Another file of the same length.
    fs_err::remove_file(directory.path().join("assignments-000001.jsonl")).unwrap();
    fs_err::write(directory.path().join("assignments-000001.jsonl"), "x\n").unwrap();
    outputs.deliver(assignments(&["3"])).unwrap();
    assert_eq!(segment(directory.path(), OutputFile::Assignments, 1).as_deref(), Some("x\n"));
    assert_eq!(segment(directory.path(), OutputFile::Assignments, 2).as_deref(), Some("3\n"));
}

#[test]
fn a_state_that_was_restored_writes_again_what_came_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut outputs = open(directory.path(), &Checkpoint::new()).unwrap();
    let backup = outputs.deliver(assignments(&["1"])).unwrap();
    outputs.deliver(assignments(&["2"])).unwrap();
    drop(outputs);
    for number in 1..4 {
        fs_err::write(directory.path().join(OutputFile::Assignments.segment(number)), "3\n").unwrap();
    }
    let mut outputs = open(directory.path(), &backup).unwrap();
    outputs.deliver(assignments(&["2"])).unwrap();
    assert_eq!(OutputFile::Assignments.segments_in(directory.path()).unwrap(), [0, 1]);
    assert_eq!(content(directory.path(), OutputFile::Assignments), "1\n");
    assert_eq!(segment(directory.path(), OutputFile::Assignments, 1).as_deref(), Some("2\n"));
}

#[test]
fn a_file_of_another_run_is_refused() {
    for name in ["topics.jsonl", "topics-000007.jsonl"] {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join(name), "old\n").unwrap();
        let error = open(directory.path(), &Checkpoint::new()).err().unwrap();
        assert!(matches!(error, Error::OutputUnknown { found: 4, .. }), "{error}");
        assert!(error.to_string().contains(&format!("{name}` holds 4 bytes from another run")), "{error}");
        let names: Vec<_> =
            fs_err::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [name], "nothing was made");
        assert_eq!(fs_err::read_to_string(directory.path().join(name)).unwrap(), "old\n");
    }
}

#[test]
fn a_folder_has_one_writer() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("out");
    Outputs::look(&directory).unwrap();
    assert!(!directory.exists(), "nothing was made");
    let mut outputs = open(&directory, &Checkpoint::new()).unwrap();
    let committed = outputs.lengths();
    for error in [open(&directory, &committed).err().unwrap(), Outputs::look(&directory).unwrap_err()] {
        assert!(
            matches!(error, Error::OutputLocked { holder: Some(pid), .. } if pid == std::process::id()),
            "{error}"
        );
        assert!(error.to_string().contains("out` are written by another topicd (process "), "{error}");
    }
    // Whoever takes the folder's place has it.
    fs_err::rename(&directory, home.path().join("old")).unwrap();
    let other = open(&directory, &committed).unwrap();
    let error = outputs.deliver(assignments(&["1"])).unwrap_err();
    assert!(matches!(error, Error::OutputLocked { .. }), "{error}");
    drop(other);
    outputs.deliver(assignments(&["1"])).unwrap();
    assert!(matches!(open(&directory, &committed).err().unwrap(), Error::OutputLocked { .. }));
    drop(outputs);
    Outputs::look(&directory).unwrap();
}

#[test]
fn a_folder_belongs_to_one_state() {
    let home = tempfile::tempdir().unwrap();
    let [mine, others] = ["mine", "others"].map(|name| home.path().join(name));
    let committed = open(&mine, &Checkpoint::new()).unwrap().deliver(assignments(&["1"])).unwrap();
    open(&others, &Checkpoint::new()).unwrap().deliver(assignments(&["1", "2"])).unwrap();
    let error = open(&others, &committed).err().unwrap();
    assert!(matches!(error, Error::OutputForeign { .. }), "{error}");
    assert_eq!(content(&others, OutputFile::Assignments), "1\n2\n", "nothing was cut");
    // A folder in another place, with or without the lock's file, is still this state's.
    fs_err::rename(&mine, home.path().join("moved")).unwrap();
    open(&home.path().join("moved"), &committed).unwrap();
    fs_err::remove_file(home.path().join("moved/.lock")).unwrap();
    open(&home.path().join("moved"), &committed).unwrap();
    // A start that was killed before its first commit, and starts again.
    drop(open(&home.path().join("new"), &Checkpoint::new()).unwrap());
    open(&home.path().join("new"), &Checkpoint::new()).unwrap();
}

#[test]
fn a_full_disk_leaves_whole_lines_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let full = directory.path().join("events.jsonl");
    let mut outputs = open(directory.path(), &Checkpoint::new()).unwrap();
    let place = Place::default();
    std::os::unix::fs::symlink("/dev/full", directory.path().join("full")).unwrap();
    fs_err::rename(directory.path().join("full"), &full).unwrap();
    outputs.open[OutputFile::Events as usize] = Segments::at(
        directory.path(),
        OutputFile::Events,
        place,
        segments::open(&full, &mut fs_err::OpenOptions::new()).unwrap(),
        Telemetry::new().unwrap(),
    );
    let error = outputs.deliver(events(&["e"])).unwrap_err();
    assert!(matches!(&error, Error::Write { path, .. } if *path == full), "{error}");
    // A device cannot be cut back, so what it holds is unknown from now on.
    let error = outputs.deliver(events(&["e"])).unwrap_err();
    assert!(matches!(error, Error::OutputBroken { .. }), "{error}");
    assert!(matches!(outputs.deliver(Records::default()), Err(Error::OutputBroken { .. })));
}

#[test]
fn a_name_is_a_segment_or_it_is_none() {
    for output in OutputFile::ALL {
        for number in [0, 1, 999_999, 1_000_000] {
            assert_eq!(output.number_of(&output.segment(number)), Some(number));
        }
    }
    assert_eq!(OutputFile::Events.segment(12), "events-000012.jsonl");
    for name in
        ["events", "events-1.jsonl", "events-000000.jsonl", "events-000001.jsonl.gz", "events-+00001.jsonl"]
    {
        assert_eq!(OutputFile::Events.number_of(name), None, "{name}");
    }
}

#[test]
fn a_full_file_is_closed_before_a_commit_and_old_ones_are_removed() {
    let directory = tempfile::tempdir().unwrap();
    let params = OutputParams {
        directory: directory.path().to_owned(),
        segment_bytes: Some(8),
        keep: Some(3),
        ..OutputParams::default()
    };
    let mut outputs = Outputs::open(&params, &Checkpoint::new(), &Telemetry::new().unwrap()).unwrap();
    let assignment = |number| segment(directory.path(), OutputFile::Assignments, number);
    // Two commits fill a file; one that is too large has its own.
    for texts in [&["1", "2"][..], &["3", "4"], &["5"], &["a long commit", "in two lines"], &["6"]] {
        outputs.deliver(assignments(texts)).unwrap();
    }
    let segments = [1, 2, 3, 4].map(assignment);
    let expected = [None, Some("5\n"), Some("a long commit\nin two lines\n"), Some("6\n")];
    assert_eq!(segments.each_ref().map(Option::as_deref), expected);
    assert_eq!(OutputFile::Events.segments_in(directory.path()).unwrap(), [1], "nothing came");
    // Another program takes a closed file away.
    fs_err::remove_file(directory.path().join("assignments-000003.jsonl")).unwrap();
    outputs.deliver(assignments(&["7", "8", "9", "10"])).unwrap();
    outputs.deliver(assignments(&["11"])).unwrap();
    assert_eq!(OutputFile::Assignments.segments_in(directory.path()).unwrap(), [4, 5, 6]);
}

#[test]
fn an_old_file_is_closed_at_the_next_commit() {
    let directory = tempfile::tempdir().unwrap();
    let age = Duration::from_mins(1);
    let params = OutputParams {
        directory: directory.path().to_owned(),
        segment_age: Some(age),
        ..OutputParams::default()
    };
    let open = |recorded: &Checkpoint| Outputs::open(&params, recorded, &Telemetry::new().unwrap()).unwrap();
    let mut outputs = open(&Checkpoint::new());
    let start = Duration::from_secs(1_000_000);
    outputs.deliver_at(Records::default(), start).unwrap();
    // The age counts from the first record, not from the start of the daemon.
    let first = start + age * 5;
    outputs.deliver_at(assignments(&["1"]), first).unwrap();
    let committed = outputs.deliver_at(assignments(&["2"]), first + age * 9 / 10).unwrap();
    drop(outputs);
    let mut outputs = open(&committed);
    let committed = outputs.deliver_at(Records::default(), first + age).unwrap();
    assert_eq!(OutputFile::Assignments.place(&committed), Some(Place { segment: 2, length: 0 }));
    assert_eq!(OutputFile::Events.place(&committed), Some(Place { segment: 1, length: 0 }));
    outputs.deliver_at(assignments(&["3"]), first + age * 2).unwrap();
    let assignment = |number| segment(directory.path(), OutputFile::Assignments, number);
    assert_eq!([1, 2, 3].map(assignment), [Some("1\n2\n".to_owned()), Some("3\n".to_owned()), None]);
}

#[test]
fn a_closed_file_stays_closed_after_a_crash() {
    for is_moved in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let params = OutputParams {
            directory: directory.path().to_owned(),
            segment_bytes: Some(8),
            ..OutputParams::default()
        };
        let open =
            |recorded: &Checkpoint| Outputs::open(&params, recorded, &Telemetry::new().unwrap()).unwrap();
        let mut outputs = open(&Checkpoint::new());
        let committed = outputs.deliver(assignments(&["1", "2"])).unwrap();
        outputs.deliver(assignments(&["killed", "before its commit"])).unwrap();
        drop(outputs);
        let mut closed = directory.path().join("assignments-000001.jsonl");
        if is_moved {
            // Another program may, although the state has it for the open one.
            let packed = directory.path().join("packed");
            fs_err::rename(&closed, &packed).unwrap();
            closed = packed;
        }
        let mut outputs = open(&committed);
        outputs.deliver(assignments(&["3"])).unwrap();
        assert_eq!(segment(directory.path(), OutputFile::Assignments, 2).as_deref(), Some("3\n"));
        assert_eq!(fs_err::read_to_string(closed).unwrap(), "1\n2\n");
    }
}
