mod backups;
mod damage;

use std::sync::Arc;

use super::*;
use crate::checkpoint::{Checkpoint, Partition, Position};
use crate::document::Fields;
use crate::keywords::{self, Bag};
use crate::model::evidence::{Evidence, Kept};
use crate::model::operate::Action;
use crate::model::refit::run::{Fit, Fitted};
use crate::model::refit::select::select;
use crate::model::refit::trigger::Trigger;
use crate::model::state::adopt::{Circumstances, Decision, Rules};
use crate::model::state::change::Change;
use crate::model::state::{Bounds, State};
use crate::model::topic::TopicId;
use crate::model::version::Sampling;
use crate::model::{assign, refit};
use crate::record::notification::{Chosen, NotGivenUp};

const DIM: usize = 3;

fn bounds() -> Bounds {
    Bounds {
        sample: 8,
        outliers: 6,
        fresh: 3,
        anchors: 2,
        window: 4,
        seen: 10,
        vocabulary: 100,
        versions: 3,
        half_life: 0,
    }
}

fn identity() -> Identity {
    Identity { encoder: "test@1".to_owned(), dim: DIM }
}

fn absorb(state: &mut State, numbers: std::ops::Range<u64>) -> Change {
    let mut evidence = Evidence::default();
    for number in numbers {
        let id: Arc<str> = format!("d{number}").into();
        let mut words = Bag::default();
        words.add(&format!("w{}", number % 5), 1);
        let mut embedding = vec![0.0; DIM];
        embedding[number as usize % 2] = 1.0;
        let kept = Kept {
            priority: Sampling::priority(&id),
            id,
            text: format!("secret text of {number}"),
            embedding: embedding.into(),
            words,
            timestamp_ms: Some(number as i64),
            position: Position { partition: Partition::new("p"), offset: number },
            arrived: 0,
            fields: Fields::default(),
        };
        let learned = evidence.learned.entry(None).or_default();
        learned.profile.add(kept.timestamp_ms, &kept.fields);
        learned.sums.add(&kept.embedding);
        learned.words.merge(&kept.words);
        evidence.ids.push(xxhash_rust::xxh3::xxh3_128(kept.id.as_bytes()));
        evidence.kept.push((kept, None));
    }
    state.absorb(evidence, 1)
}

fn adopt(state: &mut State) -> Change {
    let members = select(state, usize::MAX, Trigger::Request).members.into_iter().map(|member| Fit {
        sequence: member.sequence,
        before: member.topic,
        cluster: Some(u32::from(member.kept.embedding[0] < 0.5)),
        votes: true,
    });
    let fitted = Fitted { members: members.collect(), clusters: 2, min_cluster_size: 2, vote: None };
    let told = Circumstances {
        trigger: Trigger::Documents,
        documents: state.totals().documents,
        stages: vec![("umap".to_owned(), 0.5)],
        now_ms: 3,
    };
    match with_rules(|rules| state.adopt(&fitted, &told, rules)).unwrap() {
        Decision::Promoted(adoption) => adoption.change,
        Decision::Rejected(rejection) => rejection.change,
    }
}

fn operate(state: &mut State, action: &Action) -> Change {
    with_rules(|rules| state.operate(action, rules, 5)).unwrap().change
}

fn with_rules<T>(work: impl FnOnce(Rules<'_>) -> T) -> T {
    let assign = assign::Params::default().check().unwrap();
    let refit = refit::Params::default().check().unwrap();
    let keywords = keywords::Params::default();
    let policy = refit::policy::Params::default().check().unwrap();
    work(Rules { assign: &assign, refit: &refit, keywords: &keywords, policy: &policy })
}

fn done(position: u64) -> Checkpoint {
    let mut checkpoint = Checkpoint::new();
    checkpoint.advance(Partition::new("p"), position);
    checkpoint
}

#[test]
fn what_was_committed_is_there_again_after_every_step() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = State::new(DIM, bounds());
    let actions = [
        Action::Rename { topic: TopicId(0), label: Some("zero".to_owned()) },
        Action::Merge { from: vec![TopicId(1)], into: TopicId(0) },
        Action::Restore { topic: TopicId(1) },
        Action::Forget { document: "d77".to_owned() },
        Action::Rollback { version: None },
    ];
    for step in 0..20_u64 {
        let mut store = Store::open(folder.path(), &identity(), bounds().seen).unwrap();
        let (loaded, checkpoint) = store.load(DIM, bounds()).unwrap();
        assert_eq!(checkpoint.position(&Partition::new("p")), step);
        assert!(loaded == state, "before step {step}");
        assert_eq!(store.faults(&loaded).unwrap(), Vec::<String>::new(), "before step {step}");
        let change = match step {
            5.. if step % 3 == 1 => operate(&mut state, &actions[(step as usize - 7) / 3]),
            _ if step % 3 == 2 => adopt(&mut state),
            _ => absorb(&mut state, step * 5..step * 5 + 5),
        };
        store.commit(&change, &done(step + 1), false).unwrap();
    }
}

#[test]
fn events_wait_in_the_outbox_until_they_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = State::new(DIM, bounds());
    let mut store = Store::open(folder.path(), &identity(), bounds().seen).unwrap();
    store.commit(&absorb(&mut state, 0..6), &done(1), true).unwrap();
    store.commit(&adopt(&mut state), &done(2), true).unwrap();
    drop(store);
    let store = Store::open(folder.path(), &identity(), bounds().seen).unwrap();
    let outbox = store.outbox();
    let kinds: Vec<_> = waiting(&store)
        .into_iter()
        .map(|number| {
            let event = outbox.event(number).unwrap().unwrap();
            outbox.done(number).unwrap();
            event.happened.kind()
        })
        .collect();
    assert_eq!(kinds, ["topic.created", "topic.created", "model.published"]);
    assert!(waiting(&store).is_empty());
}

fn waiting(store: &Store) -> Vec<u64> {
    store.outbox().waiting(|_| false).unwrap().iter().map(|event| event.number).collect()
}

#[test]
fn an_event_that_was_given_up_stays_until_it_is_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = State::new(DIM, bounds());
    let mut store = Store::open(folder.path(), &identity(), bounds().seen).unwrap();
    store.commit(&absorb(&mut state, 0..6), &done(1), true).unwrap();
    store.commit(&adopt(&mut state), &done(2), true).unwrap();
    let all = waiting(&store);
    store.outbox().give_up(all[1], 70, "the receiver answered 500".to_owned()).unwrap();
    // Whoever copies the state learns it with the next commit.
    let writes = store.prepare(&Change::default(), &done(2), true).unwrap();
    assert!(writes.iter().any(|write| write.key == layout::Kind::Mark.key(all[1])));
    store.apply(writes).unwrap();
    drop(store);
    let mut store = Store::open(folder.path(), &identity(), bounds().seen).unwrap();
    assert_eq!(waiting(&store), [all[0], all[2]]);
    let told = store.notifications().unwrap();
    let given_up: Vec<u64> = told.given_up.iter().map(|event| event.id).collect();
    assert_eq!((told.waiting, given_up), (2, vec![all[1]]));
    assert_eq!(told.given_up[0].reason, "the receiver answered 500");

    let chosen = |ids: &[u64]| Chosen { ids: ids.to_vec(), all: false };
    assert_eq!(store.prepare_again(&chosen(&all), 90).unwrap(), Err(NotGivenUp(all[0])));
    let (events, writes) = store.prepare_again(&chosen(&all[1..2]), 90).unwrap().unwrap();
    store.apply(writes).unwrap();
    assert_eq!((events, waiting(&store)), (1, all.clone()));
    let since = store.outbox().waiting(|number| number != all[1]).unwrap()[0].since_ms;
    assert_eq!(since, 90, "its age counts anew");
}

#[test]
fn no_byte_of_a_forgotten_text_is_in_what_was_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = State::new(DIM, bounds());
    let mut store = Store::open(folder.path(), &identity(), bounds().seen).unwrap();
    store.commit(&absorb(&mut state, 0..6), &done(1), true).unwrap();
    store.commit(&adopt(&mut state), &done(2), true).unwrap();
    for number in waiting(&store) {
        store.outbox().give_up(number, 70, String::new()).unwrap();
    }
    let text = |store: &Store| {
        let events = store.outbox().marks().unwrap().into_keys();
        format!("{:?}", events.map(|number| store.outbox().event(number).unwrap()).collect::<Vec<_>>())
    };
    assert!(text(&store).contains("secret text of 1"));
    let forget = Action::Forget { document: "d1".to_owned() };
    store.commit(&operate(&mut state, &forget), &done(3), true).unwrap();
    assert!(!text(&store).contains("secret text of 1") && text(&store).contains("secret text of 2"));
}

#[test]
fn a_state_of_another_encoder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(folder.path(), &identity(), 10).unwrap());
    let other = Identity { encoder: "other@2".to_owned(), dim: 5 };
    let error = Store::open(folder.path(), &other, 10).unwrap_err();
    assert!(matches!(&error, Error::Encoder { found, .. } if found == "test@1"), "{error}");
}

#[test]
fn a_state_in_use_is_refused_and_so_is_one_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let held = Store::open(folder.path(), &identity(), 10).unwrap();
    assert!(matches!(Store::open(folder.path(), &identity(), 10).unwrap_err(), Error::Locked { .. }));
    drop(held);
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(Store::open_existing(empty.path(), 10).unwrap_err(), Error::Empty { .. }));
}

/// Every byte of every file below `folder`.
fn bytes(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        all.extend(if path.is_dir() { bytes(&path) } else { fs_err::read(path).unwrap() });
    }
    all
}

#[test]
fn no_byte_of_a_forgotten_text_is_left_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("state");
    let mut state = State::new(DIM, bounds());
    let mut store = Store::open(&folder, &identity(), bounds().seen).unwrap();
    store.commit(&absorb(&mut state, 0..6), &done(1), true).unwrap();
    store.commit(&adopt(&mut state), &done(2), true).unwrap();
    let holds = |text: &str| bytes(&folder).windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("secret text of 1") && holds("secret text of 2"));
    let forget = Action::Forget { document: "d1".to_owned() };
    store.commit(&operate(&mut state, &forget), &done(3), true).unwrap();
    assert!(store.is_marked().unwrap());
    drop(store);
    // What others keep in the folder or beside it stays.
    let others = [folder.join("output/events.jsonl"), folder.with_file_name("state.old").join("db")];
    for path in &others {
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, "mine").unwrap();
    }
    let store = Store::open(&folder, &identity(), bounds().seen).unwrap();
    assert!(!store.is_marked().unwrap());
    assert!(!holds("secret text of 1"), "forgotten");
    assert!(others.iter().all(|path| fs_err::read(path).unwrap() == b"mine"), "{others:?}");
    assert!(holds("secret text of 2"), "kept");
    let (loaded, checkpoint) = store.load(DIM, bounds()).unwrap();
    assert!(loaded == state && checkpoint.position(&Partition::new("p")) == 3);
}

#[test]
fn a_compaction_that_was_killed_between_its_renames_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let [state, fresh, old] =
        ["state", "state.topicd-new", "state.topicd-old"].map(|name| folder.path().join(name));
    drop(Store::open(&state, &identity(), 10).unwrap());
    fs_err::rename(&state, &fresh).unwrap();
    fs_err::create_dir(&old).unwrap();
    for name in ["db", "output.jsonl"] {
        fs_err::write(old.join(name), "old").unwrap();
    }
    let (store, found) = Store::open_existing(&state, 10).unwrap();
    assert_eq!(found, identity());
    drop(store);
    assert!(!old.exists() && !fresh.exists());
    assert_eq!(fs_err::read(state.join("output.jsonl")).unwrap(), b"old");
}

#[test]
fn what_the_system_refuses_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs_err::write(&file, "").unwrap();
    for path in [&file, &file.join("state")] {
        let error = Store::open(path, &identity(), 10).unwrap_err().to_string();
        assert!(
            error.contains("a file stands where a folder is needed") && !error.contains("afresh"),
            "{error}"
        );
    }
}

#[test]
fn the_files_are_for_this_user_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    drop(Store::open(&path, &identity(), 10).unwrap());
    let mode = |path: &Path| {
        use std::os::unix::fs::PermissionsExt;
        fs_err::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!([&path, &path.join("db"), &path.join("sealed")].map(|path| mode(path)), [0o700, 0o600, 0o600]);
}
