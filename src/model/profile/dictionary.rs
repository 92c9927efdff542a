//! The values that are counted one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::profile::Profile;

/// Values of a field that are counted one by one; the documents of all others are counted together.
pub const MOST_KNOWN: usize = 1000;

/// The first [`MOST_KNOWN`] values of each field. A value is known from its first document on or never, so that what was
/// counted under it, and only that, can be taken away under it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Dictionary(BTreeMap<Arc<str>, Known>);

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Known {
    values: BTreeSet<Arc<str>>,
    /// Values that were known once; no other takes their place, because its documents may be counted already.
    erased: usize,
}

impl Dictionary {
    /// Takes in the values of `profile`, while there is room, and counts those of it that stay unknown together.
    pub fn admit(&mut self, profile: &mut Profile) {
        for (field, facet) in profile.facets_mut() {
            let known = match self.0.get_mut(field) {
                Some(known) => known,
                None => self.0.entry(Arc::clone(field)).or_default(),
            };
            facet.limit(|value| known.admit(value));
        }
    }

    /// Counts the values of `profile` that are not known together.
    pub fn limit(&self, profile: &mut Profile) {
        for (field, facet) in profile.facets_mut() {
            let known = self.0.get(field);
            facet.limit(|value| known.is_some_and(|known| known.values.contains(value)));
        }
    }

    /// Erases a value that no document has any more.
    pub fn erase(&mut self, field: &str, value: &str) {
        if let Some(known) = self.0.get_mut(field) {
            known.erased += usize::from(known.values.remove(value));
        }
    }
}

impl Known {
    /// True if the value is known from now on.
    fn admit(&mut self, value: &Arc<str>) -> bool {
        let has_room = self.values.len() + self.erased < MOST_KNOWN;
        self.values.contains(value) || (has_room && self.values.insert(Arc::clone(value)))
    }
}
