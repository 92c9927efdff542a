use super::*;

fn lines(texts: &[&str]) -> impl Iterator<Item = Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>().into_iter()
}

fn content(directory: &Path, file: OutputFile) -> String {
    fs_err::read_to_string(directory.join(file.file_name())).unwrap()
}

#[test]
fn what_was_not_committed_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let mut outputs = Outputs::open(directory.path(), &Checkpoint::new()).unwrap();
    outputs.append(OutputFile::Assignments, lines(&["1", "2"])).unwrap();
    outputs.append(OutputFile::Events, lines(&["e"])).unwrap();
    let committed = outputs.sync().unwrap();
    assert_eq!(committed.position(&OutputFile::Assignments.partition()), 4);
    assert_eq!(committed.position(&Partition::new("output/events.jsonl")), 2);
    outputs.append(OutputFile::Assignments, lines(&["3"])).unwrap();
    outputs.append(OutputFile::DeadLetters, lines(&["x"])).unwrap();
    assert_eq!(outputs.lengths(), committed, "nothing of it is on the disk for certain");
    outputs.sync().unwrap();
    drop(outputs);

    let mut outputs = Outputs::open(directory.path(), &committed).unwrap();
    assert_eq!(content(directory.path(), OutputFile::Assignments), "1\n2\n");
    assert_eq!(content(directory.path(), OutputFile::DeadLetters), "");
    outputs.append(OutputFile::Assignments, lines(&["4"])).unwrap();
    assert_eq!(outputs.sync().unwrap().position(&OutputFile::Assignments.partition()), 6);
    assert_eq!(content(directory.path(), OutputFile::Assignments), "1\n2\n4\n");
}

#[test]
fn a_new_run_commits_lengths_before_it_appends() {
    let directory = tempfile::tempdir().unwrap();
    let mut outputs = Outputs::open(directory.path(), &Checkpoint::new()).unwrap();
    let committed = outputs.lengths();
    outputs.append(OutputFile::Topics, lines(&["killed before the first commit"])).unwrap();
    drop(outputs);
    Outputs::open(directory.path(), &committed).unwrap();
    assert_eq!(content(directory.path(), OutputFile::Topics), "");
}

#[test]
fn a_file_that_lost_committed_bytes_is_refused_and_none_is_cut() {
    let directory = tempfile::tempdir().unwrap();
    let mut outputs = Outputs::open(directory.path(), &Checkpoint::new()).unwrap();
    outputs.append(OutputFile::Events, lines(&["e"])).unwrap();
    let committed = outputs.sync().unwrap();
    outputs.append(OutputFile::Assignments, lines(&["kept"])).unwrap();
    drop(outputs);
    fs_err::remove_file(directory.path().join("events.jsonl")).unwrap();
    let error = Outputs::open(directory.path(), &committed).unwrap_err();
    assert!(matches!(error, Error::OutputShorter { found: 0, recorded: 2, .. }), "{error}");
    assert_eq!(content(directory.path(), OutputFile::Assignments), "kept\n");
}

#[test]
fn a_file_of_another_run_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("topics.jsonl"), "old\n").unwrap();
    let error = Outputs::open(directory.path(), &Checkpoint::new()).unwrap_err();
    assert!(matches!(error, Error::OutputUnknown { found: 4, .. }), "{error}");
    assert!(error.to_string().contains("topics.jsonl` holds 4 bytes from another run"), "{error}");
    assert_eq!(content(directory.path(), OutputFile::Topics), "old\n");
}

#[test]
fn a_full_disk_leaves_whole_lines_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let full = directory.path().join("events.jsonl");
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    let mut outputs = Outputs {
        files: OutputFile::ALL
            .into_iter()
            .map(|output| Open::at(directory.path(), output, &Checkpoint::new()).unwrap())
            .collect(),
    };
    let error = outputs.append(OutputFile::Events, lines(&["e"])).unwrap_err();
    assert!(matches!(&error, Error::Write { path, .. } if *path == full), "{error}");
    // A device cannot be cut back, so what it holds is unknown from now on.
    let error = outputs.append(OutputFile::Events, lines(&["e"])).unwrap_err();
    assert!(matches!(error, Error::OutputBroken { .. }), "{error}");
    assert!(matches!(outputs.sync(), Err(Error::OutputBroken { .. })));
}
