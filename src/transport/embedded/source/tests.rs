use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::checkpoint::Partition;
use crate::document::Reason;

/// Longer than anything here takes; a test that hangs fails.
const PATIENCE: Duration = Duration::from_secs(20);

fn params(path: &Path) -> Params {
    Params { input: Input::File(path.to_owned()), max_wait_ms: 20, ..Params::default() }
}

fn open(params: Params, recorded: &Checkpoint) -> Result<Source, Error> {
    Source::open(params.check().unwrap(), None, recorded, Seen::new(1000))
}

async fn receive(source: &mut Source) -> Option<Batch> {
    tokio::time::timeout(PATIENCE, source.receive()).await.expect("a batch in time").unwrap()
}

/// Everything to the end: ids, rejections' codes with their offsets, and the checkpoint after it.
async fn drain(source: &mut Source) -> (Vec<Arc<str>>, Vec<(&'static str, u64)>, Checkpoint) {
    let (mut ids, mut rejected, mut done) = (Vec::new(), Vec::new(), Checkpoint::new());
    while let Some(batch) = receive(source).await {
        assert!(!batch.is_empty());
        ids.extend(batch.documents.into_iter().map(|document| document.id));
        rejected.extend(batch.rejections.iter().map(|r| (r.reason.code(), r.position.offset)));
        done.merge(&batch.checkpoint);
    }
    (ids, rejected, done)
}

/// How far the one file of `done` was read.
fn position(done: &Checkpoint) -> u64 {
    let files = done.iter().filter(|(partition, _)| !partition.as_str().ends_with("/before"));
    let mut positions = files.map(|(_, position)| position);
    let position = positions.next().unwrap();
    assert_eq!(positions.next(), None);
    position
}

/// The ids of the next `n` documents.
async fn next(source: &mut Source, n: usize) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.len() < n {
        ids.extend(receive(source).await.unwrap().documents.into_iter().map(|d| d.id.to_string()));
    }
    ids
}

fn line(id: &str) -> String {
    format!("{{\"id\": \"{id}\", \"text\": \"t\"}}\n")
}

fn write(path: &Path, bytes: &[u8]) {
    fs_err::write(path, bytes).unwrap();
}

fn append(path: &Path, bytes: &[u8]) {
    fs_err::OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(bytes).unwrap();
}

/// `n` documents `d0 …` with blank lines, CRLF and a byte order mark among them, the last without an end.
fn stream(n: usize) -> Vec<u8> {
    let mut bytes = b"\xef\xbb\xbf".to_vec();
    for i in 0..n {
        let end = ["\n", "\r\n", "\n\n", "\n  \r\n"][i % 4];
        bytes.extend(format!(r#"{{"id": "d{i}", "text": "{}"}}{end}"#, "x".repeat(i * 7 % 50)).into_bytes());
    }
    bytes.extend(br#"{"id": "last", "text": "t"}"#);
    bytes
}

#[tokio::test]
async fn reads_a_file_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("news.jsonl");
    write(&path, b"{\"id\": \"a\", \"text\": \"t\"}\n\nnot json\n{\"text\": \"no end\"}");
    let mut source = open(params(&path), &Checkpoint::new()).unwrap();
    let (ids, rejected, done) = drain(&mut source).await;
    assert_eq!(&*ids[0], "a");
    assert!(ids[1].starts_with("news.jsonl#") && ids[1].ends_with("@35"), "{}", ids[1]);
    assert_eq!(rejected, [("not_json", 26)]);
    assert_eq!(position(&done), 53);
    assert_eq!(source.lag().bytes(), Some(53), "what is given out is not committed yet");
    source.done().lock().unwrap().merge(&done);
    assert_eq!(source.lag().bytes(), Some(0));
    assert_eq!(receive(&mut source).await, None, "the end stays the end");
}

#[tokio::test]
async fn a_line_of_fifty_megabytes_is_one_rejection() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.jsonl");
    let long = [
        b"{\"text\": \"".to_vec(),
        vec![b'x'; 50_000_000],
        b"\"}\n{\"id\": \"b\", \"text\": \"t\"}\n".to_vec(),
    ];
    write(&path, &long.concat());
    let mut source = open(params(&path), &Checkpoint::new()).unwrap();
    let batch = receive(&mut source).await.unwrap();
    assert_eq!(batch.rejections[0].reason, Reason::TooLong { bytes: 50_000_012, max: 1 << 20 });
    assert_eq!(batch.rejections[0].original.bytes.len(), 4096);
    let rest = if batch.documents.is_empty() { receive(&mut source).await.unwrap() } else { batch };
    assert_eq!(&*rest.documents[0].id, "b");
}

#[tokio::test]
async fn compressed_files_give_the_same_documents_and_positions() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = stream(100);
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let zstandard = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    // Each in two parts one behind the other, as `cat a.gz b.gz` makes them.
    let packed: [(&str, Vec<u8>); 3] = [
        ("a.jsonl", bytes.clone()),
        ("a.jsonl.gz", [gzip(first), gzip(second)].concat()),
        ("a.jsonl.packed", [zstandard(first), zstandard(second)].concat()),
    ];
    let mut all = Vec::new();
    for (name, bytes) in packed {
        let path = folder.path().join(name);
        write(&path, &bytes);
        let mut source = open(params(&path), &Checkpoint::new()).unwrap();
        let first = receive(&mut source).await.unwrap();
        let recorded = first.checkpoint.clone();
        drop(source);
        let mut source = open(params(&path), &recorded).unwrap();
        let (rest, rejected, done) = drain(&mut source).await;
        let ids: Vec<_> = first.documents.into_iter().map(|d| d.id).chain(rest).collect();
        all.push((ids, rejected.len() + first.rejections.len(), position(&done)));
    }
    assert_eq!(all[0].0.len() + all[0].1, 101);
    assert_eq!(all[0], all[1]);
    assert_eq!(all[0], all[2]);
}

#[tokio::test]
async fn a_broken_archive_is_an_error_after_the_documents_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl.zst");
    let mut packed = zstd::encode_all(&b"{\"id\": \"a\", \"text\": \"t\"}\n"[..], 1).unwrap();
    packed.extend(b"garbage");
    write(&path, &packed);
    let mut source = open(params(&path), &Checkpoint::new()).unwrap();
    assert_eq!(&*receive(&mut source).await.unwrap().documents[0].id, "a");
    let error = source.receive().await.unwrap_err();
    assert!(matches!(error, Error::Read { .. }), "{error}");
    write(&path, &packed[..10]);
    let error = open(params(&path), &Checkpoint::new()).map(drop).unwrap_err();
    assert!(matches!(error, Error::Read { .. }), "cut off before the end of its first line: {error}");
}

#[tokio::test]
async fn a_followed_file_gives_lines_once_they_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grows.jsonl");
    write(&path, b"{\"id\": \"a\", \"text\": \"t\"}\n{\"id\": \"b\",");
    let mut source = open(Params { follow: true, ..params(&path) }, &Checkpoint::new()).unwrap();
    let first = receive(&mut source).await.unwrap();
    assert_eq!(first.documents.len(), 1);
    assert_eq!(source.lag().bytes(), Some(36));
    append(&path, b" \"text\": \"t\"}\n");
    assert_eq!(&*receive(&mut source).await.unwrap().documents[0].id, "b");
    append(&path, b"{\"id\": \"c\", \"text\": \"t\"}\n");
    assert_eq!(&*receive(&mut source).await.unwrap().documents[0].id, "c");
    // Stopped and started with a half line at the end: it is read from its start.
    append(&path, b"{\"id\":");
    drop(source);
    let mut source = open(Params { follow: true, ..params(&path) }, &first.checkpoint).unwrap();
    append(&path, b" \"d\", \"text\": \"t\"}\n");
    let mut ids = Vec::new();
    while ids.len() < 3 {
        ids.extend(receive(&mut source).await.unwrap().documents.into_iter().map(|d| d.id));
    }
    assert_eq!(ids, ["b", "c", "d"].map(Arc::from));
}

#[tokio::test]
async fn a_rotated_file_is_read_to_its_end_and_then_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let (path, rotated) = (folder.path().join("news.jsonl"), folder.path().join("news.jsonl.1"));
    write(&path, line("a").as_bytes());
    let follow = Params { follow: true, ..params(&path) };
    let mut source = open(follow.clone(), &Checkpoint::new()).unwrap();
    assert_eq!(next(&mut source, 1).await, ["a"]);
    fs_err::rename(&path, &rotated).unwrap();
    append(&rotated, line("late").as_bytes());
    write(&path, line("new").as_bytes());
    assert_eq!(next(&mut source, 2).await, ["late", "new"]);
    // Truncated: a shorter file, and a longer one, written at once.
    write(&path, line("x").as_bytes());
    assert_eq!(next(&mut source, 1).await, ["x"]);
    write(&path, format!("{}{}", line("longer"), line("y")).as_bytes());
    assert_eq!(next(&mut source, 2).await, ["longer", "y"]);
}

#[tokio::test]
async fn what_was_rotated_while_nobody_read_is_read_first() {
    let folder = tempfile::tempdir().unwrap();
    let (path, rotated) = (folder.path().join("news.jsonl"), folder.path().join("news.1.jsonl"));
    for copied in [false, true] {
        write(&path, [line("a"), line("b")].concat().as_bytes());
        let first = open(params(&path), &Checkpoint::new()).unwrap();
        let (_, _, done) = drain(&mut { first }).await;
        append(&path, line("c").as_bytes());
        if copied {
            fs_err::copy(&path, &rotated).unwrap();
        } else {
            fs_err::rename(&path, &rotated).unwrap();
        }
        write(&path, [line("d"), line("e"), line("f"), line("g")].concat().as_bytes());
        for follow in [false, true] {
            let mut source = open(Params { follow, ..params(&path) }, &done).unwrap();
            assert_eq!(next(&mut source, 5).await, ["c", "d", "e", "f", "g"]);
        }
    }
}

#[tokio::test]
async fn several_files_are_read_by_path_and_name_and_more_as_they_come() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in [
        "logs/b/x.jsonl",
        "logs/a/x.jsonl",
        "whole/2.jsonl",
        "whole/1.jsonl",
        "whole/.hidden",
        "logs/a/x.txt",
        "logs/.old/x.jsonl",
        "a[1].jsonl",
    ] {
        fs_err::create_dir_all(at(name).parent().unwrap()).unwrap();
        write(&at(name), line(name).as_bytes());
    }
    let input = Input::Files(vec![at("whole"), at("logs/**/*.jsonl"), at("whole/1.jsonl"), at("a[1].jsonl")]);
    let all = Params { input, ..params(&at("")) };
    let (ids, _, done) = drain(&mut open(all.clone(), &Checkpoint::new()).unwrap()).await;
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    assert_eq!(ids, ["whole/1.jsonl", "whole/2.jsonl", "logs/a/x.jsonl", "logs/b/x.jsonl", "a[1].jsonl"]);

    let mut source = open(Params { follow: true, ..all.clone() }, &done).unwrap();
    write(&at("whole/3.jsonl"), line("new").as_bytes());
    assert_eq!(next(&mut source, 1).await, ["new"]);
    append(&at("logs/a/x.jsonl"), line("more").as_bytes());
    assert_eq!(next(&mut source, 1).await, ["more"]);
    assert_eq!(source.lag().bytes(), Some((line("new") + &line("more")).len() as u64));

    let nothing = Params { input: Input::Files(vec![at("none/*")]), ..all.clone() };
    assert!(matches!(open(nothing.clone(), &done), Err(Error::NoFiles { .. })));
    assert!(open(Params { follow: true, ..nothing }, &done).is_ok(), "they may come");
    let broken = Params { input: Input::Files(vec![at("a***")]), ..all };
    assert!(matches!(open(broken, &done), Err(Error::Pattern { .. })));
}

#[tokio::test]
async fn a_position_that_was_recorded_under_the_path_alone_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("news.jsonl");
    write(&path, [line("a"), line("b")].concat().as_bytes());
    let mut recorded = Checkpoint::new();
    recorded.advance(Partition::new(&path.to_string_lossy()), line("a").len() as u64);
    let (ids, _, done) = drain(&mut open(params(&path), &recorded).unwrap()).await;
    assert_eq!(ids, [Arc::from("b")]);
    recorded.merge(&done);
    append(&path, line("c").as_bytes());
    let (ids, ..) = drain(&mut open(params(&path), &recorded).unwrap()).await;
    assert_eq!(ids, [Arc::from("c")], "the position in the file is newer");
}

#[tokio::test]
async fn a_last_line_without_its_end_is_one_document_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grows.jsonl");
    let mut done = Checkpoint::new();
    let (b, c) = (line("b"), line("c"));
    let mut ids = Vec::new();
    // Half a document waits; a whole one is taken, and its end is no line.
    for part in [line("a") + &b[..9], b[9..].to_owned() + c.trim_end(), "\n".to_owned() + &line("d")] {
        append(&path, part.as_bytes());
        let (more, rejected, after) = drain(&mut open(params(&path), &done).unwrap()).await;
        assert_eq!(rejected, []);
        done.merge(&after);
        ids.push(more.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
    assert_eq!(ids, [vec!["a"], vec!["b", "c"], vec!["d"]]);

    let (path, mut done, mut texts) = (folder.path().join("plain.txt"), Checkpoint::new(), Vec::new());
    for part in ["one\ntwo and ro", "ckets\nthree\n"] {
        append(&path, part.as_bytes());
        let mut source = open(Params { format: Format::Lines, ..params(&path) }, &done).unwrap();
        let batch = receive(&mut source).await.unwrap();
        done.merge(&batch.checkpoint);
        texts.extend(batch.documents.into_iter().map(|d| d.text));
    }
    assert_eq!(texts, ["one", "two and ro", "three"]);
}

#[tokio::test]
async fn what_holds_no_lines_is_named_in_one_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.jsonl");
    let mut tar = vec![b'x'; 512];
    tar[257..262].copy_from_slice(b"ustar");
    let twice = zstd::encode_all(&zstd::encode_all(&b"{}\n"[..], 1).unwrap()[..], 1).unwrap();
    let cases: [(Vec<u8>, &str); 5] = [
        (tar.clone(), "a tar archive"),
        (zstd::encode_all(&tar[..], 1).unwrap(), "a tar archive"),
        (twice, "packed with zstd"),
        (b"BZh91AY".to_vec(), "packed with bzip2"),
        (b"\xff\xfe{\0".to_vec(), "text in UTF-16"),
    ];
    for (bytes, expected) in cases {
        write(&path, &bytes);
        match open(params(&path), &Checkpoint::new()).map(drop) {
            Err(Error::NotLines { found, .. }) => assert_eq!(found, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_packed_file_that_became_shorter_is_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl.zst");
    write(&path, &zstd::encode_all(line("a").as_bytes(), 1).unwrap());
    let mut recorded = Checkpoint::new();
    recorded.advance(Partition::new(&path.to_string_lossy()), 99);
    assert_eq!(next(&mut open(params(&path), &recorded).unwrap(), 1).await, ["a"]);
}

#[tokio::test]
async fn standard_input_goes_on_from_the_recorded_position() {
    let mut recorded = Checkpoint::new();
    recorded.advance(Partition::new("stdin"), 1000);
    let params = Params { input: Input::Stdin, format: Format::Lines, ..Params::default() };
    let bytes = &b"first\nsecond"[..];
    let mut source =
        Source::stream(params.check().unwrap(), None, &recorded, Seen::new(1000), bytes).unwrap();
    let (ids, _, done) = drain(&mut source).await;
    assert_eq!(ids, [Arc::from("stdin@1000"), Arc::from("stdin@1006")]);
    assert_eq!(done.position(&Partition::new("stdin")), 1012);
    assert_eq!(source.lag().bytes(), None);
}

#[tokio::test]
async fn a_batch_is_given_out_when_its_first_document_has_waited_long_enough() {
    let (mut writer, reader) = std::os::unix::net::UnixStream::pair().unwrap();
    let params = Params { input: Input::Stdin, max_wait_ms: 30, ..Params::default() };
    let mut source =
        Source::stream(params.check().unwrap(), None, &Checkpoint::new(), Seen::new(1000), reader).unwrap();
    writer.write_all(b"{\"id\": \"a\", \"text\": \"t\"}\n").unwrap();
    let batch = receive(&mut source).await.unwrap();
    assert_eq!(batch.documents.len(), 1, "though the pipe is open and the batch is not full");
}

#[tokio::test]
async fn a_dropped_receive_loses_nothing() {
    let (mut writer, reader) = std::os::unix::net::UnixStream::pair().unwrap();
    let params = Params { input: Input::Stdin, max_wait_ms: 60_000, batch_documents: 3, ..Params::default() };
    let mut source =
        Source::stream(params.check().unwrap(), None, &Checkpoint::new(), Seen::new(1000), reader).unwrap();
    for id in ["a", "b"] {
        writeln!(writer, r#"{{"id": "{id}", "text": "t"}}"#).unwrap();
        // Wait until the document has been taken over, then drop the call in the middle of its waiting.
        let before = source.pending.documents.len();
        let deadline = Instant::now() + PATIENCE;
        while source.pending.documents.len() == before {
            assert!(Instant::now() < deadline);
            assert!(tokio::time::timeout(Duration::from_millis(1), source.receive()).await.is_err());
        }
    }
    writeln!(writer, r#"{{"id": "c", "text": "t"}}"#).unwrap();
    let batch = receive(&mut source).await.unwrap();
    assert_eq!(batch.documents.iter().map(|d| &*d.id).collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[tokio::test]
async fn the_pace_is_kept_though_timers_are_coarse() {
    let params = Params { input: Input::Stdin, format: Format::Lines, speed: 4000.0, ..Params::default() };
    let bytes: Vec<u8> = (0..2000).flat_map(|i| format!("{i}\n").into_bytes()).collect();
    let bytes = std::io::Cursor::new(bytes);
    let mut source =
        Source::stream(params.check().unwrap(), None, &Checkpoint::new(), Seen::new(1000), bytes).unwrap();
    let started = Instant::now();
    let (ids, ..) = drain(&mut source).await;
    assert_eq!(ids.len(), 2000);
    // Timers tick each ms: without catching up, 2000 documents would take 2 s.
    let seconds = started.elapsed().as_secs_f64();
    assert!((0.49..1.5).contains(&seconds), "2000 documents at 4000/s took {seconds} s");
}

#[test]
fn wrong_parameters_are_refused() {
    let good = Params { input: Input::Stdin, ..Params::default() };
    assert!(good.clone().check().is_ok());
    assert!(matches!(open(Params::default(), &Checkpoint::new()), Err(Error::NoInput)));
    for (params, key) in [
        (Params { follow: true, ..good.clone() }, "follow"),
        (Params { time_format: "%d.%".into(), ..good.clone() }, "time_format"),
        (Params { speed: -1.0, ..good.clone() }, "speed"),
        (Params { speed: f64::NAN, ..good.clone() }, "speed"),
        (Params { max_document_bytes: 10, ..good.clone() }, "max_document_bytes"),
        (Params { batch_documents: 0, ..good.clone() }, "batch_documents"),
        (Params { max_wait_ms: 0, ..good.clone() }, "max_wait_ms"),
        (
            Params { fields: Fields { text: String::new(), ..Fields::default() }, ..good.clone() },
            "fields.text",
        ),
    ] {
        match params.check() {
            Err(Error::Parameter { key: found, .. }) => assert_eq!(found, key),
            other => panic!("{key}: {other:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_batches_and_restarts_give_the_same_documents(
        documents in 0_usize..40,
        batch_documents in 1_usize..9,
        restarts in prop::collection::vec(any::<bool>(), 0..12),
        follow in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.jsonl");
        let mut bytes = stream(documents);
        if follow {
            bytes.push(b'\n');
        }
        write(&path, &bytes);
        let params = Params { batch_documents, follow, max_wait_ms: 1, ..params(&path) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (found, expected) = runtime.block_on(async {
            let expected = drain(&mut open(Params { follow: false, ..params.clone() }, &Checkpoint::new()).unwrap()).await;
            let mut done = Checkpoint::new();
            let mut source = open(params.clone(), &done).unwrap();
            let (mut ids, mut rejected) = (Vec::new(), Vec::new());
            let mut restarts = restarts.into_iter();
            while ids.len() + rejected.len() < documents + 1 {
                let batch = receive(&mut source).await.unwrap();
                let crash = restarts.next();
                if crash != Some(true) {
                    // Committed; otherwise the batch is lost and must come again.
                    done.merge(&batch.checkpoint);
                    ids.extend(batch.documents.into_iter().map(|d| d.id));
                    rejected.extend(batch.rejections.iter().map(|r| (r.reason.code(), r.position.offset)));
                }
                if crash.is_some() {
                    source = open(params.clone(), &done).unwrap();
                }
            }
            ((ids, rejected), (expected.0, expected.1))
        });
        prop_assert_eq!(found.0.len() + found.1.len(), documents + 1);
        prop_assert_eq!(found, expected);
    }
}
