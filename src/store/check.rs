//! Whether everything that the store holds can be, and fits together.

use std::collections::BTreeSet;

use crate::model::state::State;
use crate::store::layout::{self, Kind};
use crate::store::{Error, Store};

/// Keys that stand once.
const SINGLE: [&[u8]; 11] = [
    layout::FORMAT_KEY,
    layout::MADE_BY,
    layout::SEAL,
    layout::IDENTITY_KEY,
    layout::LINEAGE_KEY,
    layout::CHECKPOINT,
    layout::TOTALS,
    layout::ERASE,
    layout::OUTLIERS,
    layout::DICTIONARY,
    layout::REDIRECTS,
];

impl Store {
    /// What cannot be, each in words; nothing if all is well. `state` is what was loaded from here: that everything can
    /// be read and adds up to the seal is known by then.
    pub fn faults(&self, state: &State) -> Result<Vec<String>, Error> {
        let mut faults = state.faults();
        let mut numbers: Vec<BTreeSet<u64>> = vec![BTreeSet::new(); Kind::ALL.len()];
        self.ledger.scan(&[], |key, _| {
            let kind = Kind::ALL.iter().position(|kind| key.len() == 9 && key[0] == *kind as u8);
            match kind {
                Some(kind) => drop(numbers[kind].insert(Kind::number(key))),
                None if SINGLE.contains(&key) => {}
                None => faults.push(format!("nobody knows the key `{}`", layout::in_words(key))),
            }
            Ok(())
        })?;
        let of = |kind: Kind| {
            Kind::ALL.iter().position(|one| *one == kind).map(|at| &numbers[at]).into_iter().flatten()
        };
        let without = |one: Kind, other: Kind| -> Vec<u64> {
            let others: BTreeSet<&u64> = of(other).collect();
            of(one).filter(|number| !others.contains(number)).copied().collect()
        };
        for (one, other, says) in [
            (Kind::Kept, Kind::Standing, "a document is kept for no reason"),
            (Kind::Standing, Kind::Kept, "a document that is needed is not kept"),
            (Kind::Mark, Kind::Outbox, "an event was given up that is not there"),
        ] {
            faults.extend(without(one, other).first().map(|number| {
                let key = layout::in_words(&one.key(*number));
                format!("{says} (`{key}`, and {} more)", without(one, other).len() - 1)
            }));
        }
        let totals = state.totals();
        if let Some(number) =
            of(Kind::Event).chain(of(Kind::Outbox)).max().filter(|last| **last > totals.events)
        {
            faults.push(format!("event {number} is there, but only {} events happened", totals.events));
        }
        if totals.documents > 0 && self.ledger.get(layout::CHECKPOINT)?.is_none() {
            faults.push("nothing says what of the source is done".to_owned());
        }
        Ok(faults)
    }
}
