//! What is wrong with one key, and where it was set.

use std::fmt;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line of a file, from 1.
    File(PathBuf, usize),
    /// A variable of the environment.
    Environment(String),
    /// `--set`.
    Flag,
    /// `config/topicd.toml`, as it is embedded.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "${name}"),
            Self::Flag => f.write_str("--set"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// What is wrong with one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The key's path, such as `refit.min_cluster_size`; empty if the file is no TOML.
    pub key: String,
    /// Where it was set.
    pub origin: Origin,
    /// What stands there, as it follows "is"; empty where the message says so itself.
    pub found: String,
    /// What is wrong, with the way out; begins with " but" or ";" where it follows `found`.
    pub message: String,
}

impl fmt::Display for Mistake {
    /// "`refit.min_cluster_size` is 1 (topicd.toml:14) but must be at least 2".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, origin, found, message } = self;
        match (key.is_empty(), found.is_empty()) {
            (true, _) => write!(f, "{origin}: {message}"),
            (false, true) => write!(f, "`{key}` ({origin}): {message}"),
            (false, false) => write!(f, "`{key}` is {found} ({origin}){message}"),
        }
    }
}

/// Every mistake, in the order in which the layers and their keys come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl Mistakes {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [only] => write!(f, "{only}"),
            all => {
                write!(f, "{} mistakes in the configuration:", all.len())?;
                all.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
            }
        }
    }
}

impl std::error::Error for Mistakes {}
