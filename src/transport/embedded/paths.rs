//! Which files are read.

use std::path::{Component, Path, PathBuf};

use super::error::Error;

/// Where files are looked for, again at each poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Paths {
    /// At this path, whatever characters are in it.
    One(PathBuf),
    /// At each of these: a file, a folder's files, or a pattern with `*`, `?`, `[…]` and `**`.
    Patterns(Vec<PathBuf>),
}

impl Paths {
    /// The paths from the root.
    ///
    /// # Errors
    /// [`Error::NoInput`], [`Error::Pattern`], or [`Error::Read`] where there is no working directory.
    pub(super) fn one(path: &Path) -> Result<Self, Error> {
        from_the_root(path).map(Self::One)
    }

    /// Likewise.
    pub(super) fn patterns(patterns: &[PathBuf]) -> Result<Self, Error> {
        for pattern in patterns {
            glob::Pattern::new(&of_files(pattern))
                .map_err(|source| Error::Pattern { pattern: pattern.clone(), source })?;
        }
        Ok(Self::Patterns(patterns.iter().map(|pattern| from_the_root(pattern)).collect::<Result<_, _>>()?))
    }

    /// The files that are there now, by pattern and name; each once. The one path, even if nothing stands there.
    pub(super) fn list(&self) -> Vec<PathBuf> {
        let patterns = match self {
            Self::One(path) => return vec![path.clone()],
            Self::Patterns(patterns) => patterns,
        };
        let mut files = Vec::new();
        let mut known = std::collections::HashSet::new();
        for pattern in patterns {
            // What cannot be listed is not there; a file that cannot be read says so itself.
            let found = glob::glob_with(&of_files(pattern), IN_FOLDERS).into_iter().flatten().flatten();
            let visible = found.filter(|path| path.is_file() && !is_hidden(path, pattern));
            files.extend(visible.filter(|path| known.insert(path.clone())));
        }
        files
    }

    /// True if a file at `path` would be one of them.
    pub(super) fn take(&self, path: &Path) -> bool {
        match self {
            Self::One(one) => one == path,
            Self::Patterns(patterns) => patterns
                .iter()
                .filter_map(|pattern| glob::Pattern::new(&of_files(pattern)).ok())
                .any(|pattern| pattern.matches_path_with(path, IN_FOLDERS)),
        }
    }

    /// For messages.
    pub(super) fn name(&self) -> PathBuf {
        match self {
            Self::One(path) => path.clone(),
            Self::Patterns(patterns) => patterns.first().cloned().unwrap_or_default(),
        }
    }
}

/// A `*` takes nothing of other folders. That dots are literal cannot be asked for: it panics at names that are not UTF-8.
const IN_FOLDERS: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// True if a name in `path` begins with a dot that does not stand in `pattern`.
fn is_hidden(path: &Path, pattern: &Path) -> bool {
    let hidden = |name: &Component<'_>| name.as_os_str().as_encoded_bytes().starts_with(b".");
    path.components().any(|name| hidden(&name) && pattern.components().all(|own| own != name))
}

/// `pattern` as a pattern of files: what is there by this name is no pattern itself.
fn of_files(pattern: &Path) -> String {
    let text = pattern.to_string_lossy();
    match fs_err::metadata(pattern) {
        Ok(found) if found.is_dir() => format!("{}/*", glob::Pattern::escape(&text)),
        Ok(_) => glob::Pattern::escape(&text),
        Err(_) => text.into_owned(),
    }
}

fn from_the_root(path: &Path) -> Result<PathBuf, Error> {
    if path.as_os_str().is_empty() {
        return Err(Error::NoInput);
    }
    std::path::absolute(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}
