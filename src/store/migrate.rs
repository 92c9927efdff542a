//! States of earlier formats become states of this one when they are opened.

mod profiles;

use std::path::Path;

use crate::record::state::Write;
use crate::store::Error;
use crate::store::layout::{FORMAT, FORMAT_KEY, MADE_BY};
use crate::store::ledger::Ledger;

/// What there is to write to make the next format of the one before.
type Step = fn(&Ledger) -> Result<Vec<Write>, Error>;

/// The oldest format that is read: that of the first release.
const OLDEST: u32 = 5;

/// Where formats up to 6 held merges and splits that one refit had seen.
const WAITING: &[u8] = b"s";

/// The n-th makes format `OLDEST + n + 1`.
const STEPS: [Step; (FORMAT - OLDEST) as usize] = [
    // 6: the tree is sealed, which every write does.
    |_| Ok(Vec::new()),
    // 7: documents are counted by their times and fields; merges and splits wait for no second refit.
    |ledger| {
        let mut writes = profiles::add(ledger)?;
        writes.push(Write { key: WAITING.to_vec(), value: None });
        Ok(writes)
    },
];

/// The format of a tree, which this topicd can read; none for a tree without one.
pub(super) fn known(ledger: &Ledger) -> Result<Option<u32>, Error> {
    let Some(value) = ledger.get(FORMAT_KEY)? else { return Ok(None) };
    let made_by = ledger.get(MADE_BY)?.and_then(|value| postcard::from_bytes(&value).ok());
    judge(&ledger.directory, ledger.decode(FORMAT_KEY, &value)?, made_by).map(Some)
}

/// Refuses a format that this topicd cannot read, at `place`.
pub(super) fn judge(place: &Path, found: u32, made_by: Option<String>) -> Result<u32, Error> {
    let directory = place.to_owned();
    match found {
        OLDEST..=FORMAT => Ok(found),
        ..OLDEST => Err(Error::Unreleased { directory, found }),
        _ => {
            let needed =
                made_by.map_or_else(|| "a newer topicd".to_owned(), |by| format!("topicd {by} or newer"));
            Err(Error::Newer { directory, found, needed })
        }
    }
}

/// Makes this format of format `found`, each step all or nothing. Returns everything that it wrote.
pub(super) fn migrate(ledger: &Ledger, found: u32) -> Result<Vec<Write>, Error> {
    let mut written = Vec::new();
    for format in found..FORMAT {
        let mut writes = STEPS[(format - OLDEST) as usize](ledger)?;
        writes.extend(marks(ledger, format + 1)?);
        ledger.write(&writes)?;
        ledger.force()?;
        written.extend(writes);
    }
    Ok(written)
}

/// What says that a state has this format, and which topicd made it.
pub(super) fn marks(ledger: &Ledger, format: u32) -> Result<[Write; 2], Error> {
    let write = |key: &[u8], value: Vec<u8>| Write { key: key.to_vec(), value: Some(value) };
    Ok([
        write(FORMAT_KEY, ledger.encode(FORMAT_KEY, &format)?),
        write(MADE_BY, ledger.encode(MADE_BY, &env!("CARGO_PKG_VERSION"))?),
    ])
}
