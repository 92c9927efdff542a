//! What a model is called across machines and runs.

use std::{
    io::BufRead,
    io::BufReader,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::Error;

/// `FOLDER@` and 12 hexadecimal digits of a SHA-256 over `files` of the model in `folder`: names and contents, in the
/// order of their names. Everything that decides what an embedding is stands in them, so another pooling, prompt or
/// tokenizer is another model. Reads every file whole, about a second a gigabyte.
pub(super) fn of(folder: &Path, files: &[PathBuf]) -> Result<String, Error> {
    let mut files: Vec<(String, &PathBuf)> = files
        .iter()
        .map(|file| (file.strip_prefix(folder).unwrap_or(file).to_string_lossy().into_owned(), file))
        .collect();
    files.sort();
    files.dedup();
    let mut hash = Sha256::new();
    for (name, file) in files {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update(fs_err::metadata(file)?.len().to_le_bytes());
        feed(&mut hash, file)?;
    }
    let digits = hash.finalize().iter().take(6).fold(0_u64, |digits, &byte| digits << 8 | u64::from(byte));
    let called = fs_err::canonicalize(folder)?;
    let called = called.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(format!("{called}@{digits:012x}"))
}

pub(super) fn feed(hash: &mut Sha256, file: &Path) -> Result<(), Error> {
    let mut reader = BufReader::with_capacity(1 << 20, fs_err::File::open(file)?);
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            return Ok(());
        }
        hash.update(chunk);
        let read = chunk.len();
        reader.consume(read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_contents_count_and_the_folder_does_not() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let hash = |dir: &Path, files: &[(&str, &str)]| {
            let files: Vec<PathBuf> = files
                .iter()
                .map(|(name, text)| {
                    fs_err::write(dir.join(name), text).unwrap();
                    dir.join(name)
                })
                .collect();
            of(dir, &files).unwrap().split_once('@').unwrap().1.to_owned()
        };
        let first = hash(one.path(), &[("a", "1"), ("b", "2")]);
        assert_eq!(hash(other.path(), &[("b", "2"), ("a", "1")]), first);
        assert_ne!(hash(other.path(), &[("a", "2"), ("b", "1")]), first);
        assert_ne!(hash(other.path(), &[("a", "12"), ("b", "")]), first);
        assert_ne!(hash(other.path(), &[("a", "1"), ("c", "2")]), first);
    }
}
