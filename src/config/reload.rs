//! What a running daemon can take over.

use std::collections::BTreeMap;

use super::layers::Given;
use super::schema::Schema;

/// Keys, and sections, whose new values come into force without a restart.
const RELOADED: [&str; 20] = [
    "assign",
    "http.hosts",
    "http.read_token",
    "http.read_token_file",
    "http.write_token",
    "http.write_token_file",
    "log.level",
    "notify",
    "policy",
    "refit.dormant_after_documents",
    "refit.every_documents",
    "refit.first_documents",
    "refit.granularity",
    "refit.min_cluster_size",
    "refit.min_samples",
    "refit.n_components",
    "refit.n_epochs",
    "refit.n_neighbors",
    "refit.rest",
    "refit.sample",
];

/// True if a new value of the key `path` comes into force without a restart.
pub fn is_reloaded(path: &str) -> bool {
    let below =
        |known: &str| path.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    RELOADED.into_iter().any(below)
}

/// What each key is set to, so that two configurations can be compared. Of the values only their hashes: some are
/// secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint(BTreeMap<String, u64>);

impl Fingerprint {
    /// Of the defaults of `schema` with `given` over them.
    pub(super) fn of(schema: &Schema, given: &[Given]) -> Self {
        let defaults = schema.paths().filter_map(|path| Some((path.to_owned(), schema.default_of(path)?)));
        let given = given.iter().map(|one| (one.path.clone(), &one.value));
        let hash = |value: &toml::Value| xxhash_rust::xxh3::xxh3_64(value.to_string().as_bytes());
        Self(defaults.chain(given).map(|(path, value)| (path, hash(value))).collect())
    }

    /// The keys that are set to something else in `other`.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let keys: std::collections::BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        keys.into_iter().filter(|key| self.0.get(*key) != other.0.get(*key)).cloned().collect()
    }
}
