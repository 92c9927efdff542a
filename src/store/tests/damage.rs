//! What is done to the files of a state is seen, whatever it is: it opens as it was, or not at all.

use super::*;

/// A folder with a state of a few commits, and the state.
fn committed() -> (tempfile::TempDir, State) {
    let folder = tempfile::tempdir().unwrap();
    let mut state = State::new(DIM, bounds());
    let mut store = Store::open(&folder.path().join("state"), &identity(), bounds().seen).unwrap();
    for step in 0..12 {
        let change =
            if step % 4 == 3 { adopt(&mut state) } else { absorb(&mut state, step * 5..step * 5 + 5) };
        store.commit(&change, &done(step + 1), true).unwrap();
    }
    (folder, state)
}

pub(super) fn copy(from: &Path, to: &Path) {
    if to.exists() {
        fs_err::remove_dir_all(to).unwrap();
    }
    fs_err::create_dir_all(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs_err::copy(from, to).unwrap();
        }
    }
}

fn opened(path: &Path) -> Result<State, Error> {
    let (store, _) = Store::open_existing(path, bounds().seen)?;
    Ok(store.load(DIM, bounds())?.0)
}

#[test]
fn no_damage_passes_for_another_state() {
    let (folder, state) = committed();
    let (good, path) = (folder.path().join("state"), folder.path().join("damaged"));
    let whole = fs_err::read(good.join("db")).unwrap();
    copy(&good, &path);
    assert!(opened(&path).unwrap() == state);
    let mut refused = 0;
    for round in 0..60 {
        let at = round * whole.len() / 60;
        let end = (at + 4096).min(whole.len());
        let mut damaged = [whole.clone(), whole.clone(), whole.clone()];
        damaged[0][at..end].fill(0);
        damaged[1][at] ^= 0xFF;
        damaged[2].truncate(at);
        for bytes in damaged {
            copy(&good, &path);
            fs_err::write(path.join("db"), bytes).unwrap();
            match opened(&path) {
                // Nothing stood there any more.
                Ok(found) => assert!(found == state, "damage at {at} goes unseen"),
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains("damaged") && text.contains("topicd state restore"), "{text}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 50, "{refused} refused");
}

#[test]
fn a_state_whose_file_is_gone_is_no_new_one() {
    let (folder, _) = committed();
    let path = folder.path().join("state");
    let db = path.join("db");
    for _ in 0..2 {
        fs_err::remove_file(&db).unwrap();
        for _ in 0..2 {
            let error = Store::open(&path, &identity(), bounds().seen).unwrap_err().to_string();
            assert!(error.contains("its file `db` is gone"), "{error}");
            assert!(matches!(opened(&path).unwrap_err(), Error::Damaged { .. }));
        }
        fs_err::write(&db, "").unwrap();
    }
}

#[test]
fn an_older_copy_of_the_files_is_seen() {
    let (folder, mut state) = committed();
    let (path, older) = (folder.path().join("state"), folder.path().join("older"));
    copy(&path, &older);
    let mut store = Store::open(&path, &identity(), bounds().seen).unwrap();
    store.commit(&absorb(&mut state, 100..105), &done(13), true).unwrap();
    drop(store);
    assert!(opened(&older).is_ok(), "a copy of the whole folder is a state");
    fs_err::copy(path.join("sealed"), older.join("sealed")).unwrap();
    let error = opened(&older).unwrap_err().to_string();
    assert!(error.contains("the last 1 of 14 writes are gone"), "{error}");
}

#[test]
fn a_broken_snapshot_is_no_damage() {
    let (folder, state) = committed();
    let path = folder.path().join("state");
    // A full disk leaves the first.
    for name in ["snap.00000000000FFFFF.generating", "snap.00000000000FFFFF"] {
        for rubbish in ["", "rubbish of some length"] {
            fs_err::write(path.join(name), rubbish).unwrap();
            assert!(opened(&path).unwrap() == state);
        }
    }
    // Where nothing tells whether all of it is there, only the first goes.
    fs_err::write(path.join("sealed"), "").unwrap();
    fs_err::write(path.join("snap.00000000000FFFFF"), "rubbish of some length").unwrap();
    assert!(matches!(opened(&path).unwrap_err(), Error::Damaged { .. }));
}

#[test]
fn what_was_not_written_to_its_end_is_no_state() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    ledger.write(&[Write { key: layout::TOTALS.to_vec(), value: Some(vec![0]) }]).unwrap();
    drop(ledger);
    let error = Store::open(folder.path(), &identity(), bounds().seen).unwrap_err().to_string();
    assert!(error.contains("it was not written to its end"), "{error}");
}

#[test]
fn what_does_not_fit_together_is_named() {
    let (folder, state) = committed();
    let store = Store::open(&folder.path().join("state"), &identity(), bounds().seen).unwrap();
    assert_eq!(store.faults(&state).unwrap(), Vec::<String>::new());
    let kept = state.held().iter().next().unwrap().0;
    let remove = |key: &[u8]| Write { key: key.to_vec(), value: None };
    let rubbish = Write { key: b"?".to_vec(), value: Some(Vec::new()) };
    store.ledger.write(&[remove(&layout::Kind::Kept.key(kept.0)), rubbish]).unwrap();
    let (state, _) = store.load(DIM, bounds()).unwrap();
    let faults = store.faults(&state).unwrap();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].contains("nobody knows the key `?`"), "{faults:?}");
    assert!(faults[1].contains(&format!("`d{}`, and 0 more", kept.0)), "{faults:?}");
}
