//! Backups: of one moment, whole, and restored to the same state. States of other formats.

use std::io::Write as _;

use super::damage::copy;
use super::*;
use crate::model::profile::calendar::{Bins, Reach, Unit};
use crate::store::backup::{Contents, Writing, restore};

/// Writes what `store` holds when the `at`-th piece of the backup has been read into a folder; `meanwhile` is done then.
fn back_up(store: &mut Store, folder: &Path, at: usize, meanwhile: impl FnOnce(&mut Store)) -> Contents {
    let mut writing = Writing::begin(folder).unwrap();
    let mut pieces = store.backup().unwrap();
    for piece in pieces.by_ref().take(at) {
        writing.write_all(&piece.unwrap()).unwrap();
    }
    meanwhile(store);
    let rest: Vec<_> = pieces.collect();
    assert!(at == 0 || rest.len() > 3, "{} pieces after {at}", rest.len());
    for piece in rest {
        writing.write_all(&piece.unwrap()).unwrap();
    }
    writing.end().unwrap()
}

#[test]
fn a_backup_is_the_state_of_one_moment() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = State::new(DIM, bounds());
    let mut store = Store::open(&folder.path().join("state"), &identity(), bounds().seen).unwrap();
    store.commit(&absorb(&mut state, 0..6), &done(1), true).unwrap();
    for at in 0..12 {
        let before = state.clone();
        let (backup, restored) = (folder.path().join(format!("b{at}")), folder.path().join(format!("r{at}")));
        let contents = back_up(&mut store, &backup, at, |store| {
            // Keys come, change and go, before and behind what was read.
            store.commit(&adopt(&mut state), &done(90), true).unwrap();
            store.commit(&absorb(&mut state, 10..30), &done(91), true).unwrap();
            store.outbox().done(waiting(store)[0]).unwrap();
        });
        assert_eq!(contents.documents, before.totals().documents);
        assert_eq!(restore(&backup, &restored).unwrap(), contents);
        let (found, identity_found) = Store::open_existing(&restored, bounds().seen).unwrap();
        let (loaded, _) = found.load(DIM, bounds()).unwrap();
        assert!(loaded == before, "piece {at}");
        assert_eq!(identity_found, identity());
        assert_eq!(found.faults(&loaded).unwrap(), Vec::<String>::new());
    }
}

#[test]
fn one_backup_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), &identity(), 10).unwrap();
    let first = store.backup().unwrap();
    assert!(matches!(store.backup().unwrap_err(), Error::Busy));
    drop(first);
    assert!(store.backup().unwrap().all(|piece| piece.is_ok()));
}

#[test]
fn a_damaged_backup_is_refused_and_nothing_is_made_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let [state, backup, restored] = ["state", "backup", "restored"].map(|name| folder.path().join(name));
    let mut store = Store::open(&state, &identity(), bounds().seen).unwrap();
    store.commit(&absorb(&mut State::new(DIM, bounds()), 0..6), &done(1), true).unwrap();
    back_up(&mut store, &backup, 0, |_| {});
    let file = backup.join("state.backup");
    let whole = fs_err::read(&file).unwrap();
    for at in (0..whole.len()).step_by(41) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        for bytes in [&flipped, &whole[..at]] {
            fs_err::write(&file, bytes).unwrap();
            let error = restore(&backup, &restored).unwrap_err();
            assert!(matches!(error, Error::BackupDamaged { .. }), "{at}: {error}");
            assert!(error.to_string().contains("use another one") && !restored.exists());
        }
    }
    fs_err::write(&file, &whole).unwrap();
    restore(&backup, &restored).unwrap();
    assert!(matches!(restore(&backup, &restored).unwrap_err(), Error::NotEmpty { .. }));
    assert!(matches!(Writing::begin(&backup).unwrap_err(), Error::NotEmpty { .. }));
}

#[test]
fn a_state_of_the_format_before_becomes_one_of_this() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store/format-5"), &path);
    // What was given up once, by a topicd that seals what it writes.
    let mut given_up = Vec::new();
    for _ in 0..2 {
        let (store, found) = Store::open_existing(&path, 1000).unwrap();
        assert_eq!(store.read::<u32>(layout::FORMAT_KEY).unwrap(), Some(layout::FORMAT));
        assert_eq!(found.dim, 4);
        let (state, checkpoint) = store.load(4, Bounds::default()).unwrap();
        let totals = state.totals();
        assert_eq!((totals.documents, totals.version, state.topics().len()), (90, 2, 6));
        assert_eq!(state.held().len(), 90);
        assert_eq!(checkpoint.iter().count(), 5, "the source and four outputs");
        assert_eq!(store.faults(&state).unwrap(), Vec::<String>::new());
        let told = store.notifications().unwrap();
        assert_eq!(told.waiting + told.given_up.len(), 8);
        assert_eq!(told.given_up.iter().map(|event| event.id).collect::<Vec<_>>(), given_up);
        if given_up.is_empty() {
            store.outbox().give_up(1, 7, String::new()).unwrap();
            given_up.push(1);
        }
    }
}

#[test]
fn a_state_of_format_6_counts_the_times_of_its_kept_documents() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store/format-6"), &path);
    for _ in 0..2 {
        let (store, _) = Store::open_existing(&path, 1000).unwrap();
        assert_eq!(store.read::<u32>(layout::FORMAT_KEY).unwrap(), Some(layout::FORMAT));
        let (mut state, _) = store.load(4, Bounds::default()).unwrap();
        assert_eq!((state.totals().documents, state.totals().version, state.topics().len()), (90, 2, 6));
        assert_eq!(store.faults(&state).unwrap(), Vec::<String>::new());
        // Of three subjects each was written about in a month of its own, and all documents are kept.
        let months: Vec<Bins> = (state.topics().values())
            .map(|record| record.profile.calendar.bins(Unit::Month, Reach::default()))
            .collect();
        assert!(months.iter().all(|bins| bins.documents.len() == 1 && bins.earlier == 0), "{months:?}");
        let sizes: Vec<u64> = state.topics().values().map(|record| record.sums.documents).collect();
        let dated: Vec<u64> = months.iter().flat_map(|bins| bins.documents.values().copied()).collect();
        assert_eq!((dated.iter().sum::<u64>(), dated), (90, sizes));
        // What is taken away was counted.
        operate(&mut state, &Action::Merge { from: vec![TopicId(1)], into: TopicId(0) });
        operate(&mut state, &Action::Restore { topic: TopicId(1) });
        operate(&mut state, &Action::Forget { document: "d0".to_owned() });
        let dated: u64 = state.topics().values().map(|record| record.profile.calendar.documents()).sum();
        assert_eq!(dated, 89);
    }
}

#[test]
fn a_newer_format_is_refused_with_what_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let [state, backup] = ["state", "backup"].map(|name| folder.path().join(name));
    let mut store = Store::open(&state, &identity(), 10).unwrap();
    let newer =
        [(layout::FORMAT_KEY, vec![99]), (layout::MADE_BY, store.ledger.encode(b"", &"9.8.7").unwrap())];
    let newer = newer.map(|(key, value)| Write { key: key.to_vec(), value: Some(value) });
    store.ledger.write(&newer).unwrap();
    let mut writing = Writing::begin(&backup).unwrap();
    for piece in store.backup().unwrap() {
        writing.write_all(&piece.unwrap()).unwrap();
    }
    let refused = [writing.end().unwrap_err().to_string(), {
        store.ledger.force().unwrap();
        drop(store);
        Store::open(&state, &identity(), 10).unwrap_err().to_string()
    }];
    for error in refused {
        assert!(error.contains("has format 99") && error.ends_with("use topicd 9.8.7 or newer"), "{error}");
    }
    store = Store::open(&folder.path().join("older"), &identity(), 10).unwrap();
    let [mut older, _] = newer;
    older.value = Some(vec![4]);
    store.ledger.write(&[older]).unwrap();
    drop(store);
    let error = Store::open(&folder.path().join("older"), &identity(), 10).unwrap_err();
    assert!(matches!(error, Error::Unreleased { found: 4, .. }), "{error}");
}
