//! sled's files: how they are opened, and how its panics on damaged files become errors.

use std::cell::Cell;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;
use std::time::{Duration, Instant};

use crate::store::Error;
use crate::store::ledger::SEALED;

/// The file that holds everything but very large values.
pub(super) const FILE: &str = "db";

/// True for a name in a state's folder that is sled's, or the seal's.
pub(super) fn is_own(name: &str) -> bool {
    [FILE, "conf", "blobs", SEALED].contains(&name) || name.starts_with("snap.")
}

/// How long a state that is in use is asked for again: a process that was just stopped, or sled's own threads, let go of it
/// a moment late.
const LETTING_GO: Duration = Duration::from_secs(1);

/// Opens the tree in `directory`, or makes an empty one; `sealed` if whoever opens it sees what it lacks.
pub(super) fn open(directory: &Path, sealed: bool) -> Result<sled::Db, Error> {
    let deadline = Instant::now() + LETTING_GO;
    loop {
        match try_open(directory) {
            Err(Error::Locked { .. }) if Instant::now() < deadline => {
                std::thread::park_timeout(Duration::from_millis(10));
            }
            // Whoever finds that has held the lock, so nobody is writing such a file.
            Err(Error::Damaged { .. }) if remove_snapshots(directory, sealed)? => {}
            opened => return opened,
        }
    }
}

fn try_open(directory: &Path) -> Result<sled::Db, Error> {
    let access = |source| Error::Access { directory: directory.to_owned(), source };
    make_private(directory).map_err(access)?;
    // Flushes are explicit: a commit returns when it is on disk.
    let config = sled::Config::new().path(directory).flush_every_ms(None).cache_capacity(64 << 20);
    guarded(directory, || match config.open() {
        Ok(tree) => Ok(tree),
        Err(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") => {
            Err(Error::Locked { directory: directory.to_owned() })
        }
        Err(sled::Error::Io(source)) => Err(access(source)),
        Err(source) => Err(Error::of_sled(directory, "opened", source)),
    })
}

/// Makes the folder and its file for this user alone, where they are missing: documents stand in them.
fn make_private(directory: &Path) -> std::io::Result<()> {
    if directory.exists() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let file = directory.join(FILE);
    drop(std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(file)?);
    Ok(())
}

/// Removes sled's snapshots, which shorten the opening: the log holds all of it. True if there was one.
///
/// A full disk or a kill leaves an unfinished one, which sled 0.34 takes for the newest, and refuses the whole state.
/// Of a tree that is not `sealed` only that one goes: without the others a damaged log may pass.
fn remove_snapshots(directory: &Path, sealed: bool) -> Result<bool, Error> {
    let io = |source| Error::Io { directory: directory.to_owned(), doing: "opened", source };
    let mut found = false;
    for entry in fs_err::read_dir(directory).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("snap.") && (sealed || name.ends_with(".generating")) {
            fs_err::remove_file(&path).map_err(io)?;
            found = true;
        }
    }
    Ok(found)
}

thread_local! {
    /// Panics of this thread are told as errors.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// What `work` returns, or what it said as it panicked: sled 0.34 does on some damaged files.
pub(super) fn guarded<T>(directory: &Path, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    static QUIETED: Once = Once::new();
    QUIETED.call_once(|| {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                tell(panic);
            }
        }));
    });
    let before = QUIET.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(before);
    done.unwrap_or_else(|panic| {
        let text =
            panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
        let reason = text.and_then(|text| text.lines().next()).unwrap_or("it gave no reason");
        Err(Error::damaged(directory, reason))
    })
}
