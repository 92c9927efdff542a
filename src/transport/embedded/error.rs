//! What can go wrong with the files, each with its way out.

use std::io;
use std::path::PathBuf;

use crate::disk::way_out;

/// What can go wrong between the daemon and its files.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A parameter has a value that it cannot have.
    #[error("`source.{key}` is {value} but must be {must}")]
    Parameter {
        /// The parameter's name in `Params`.
        key: &'static str,
        /// The value found.
        value: String,
        /// What it must be.
        must: &'static str,
    },
    /// No file is named, and standard input is not asked for.
    #[error("`source.path` is empty; set it to the file to read, or `source.type` to \"stdin\"")]
    NoInput,
    /// No file is there, and none is waited for.
    #[error("no file is at `{}`; mend `source.paths`, or set `source.follow` to wait for one", pattern.display())]
    NoFiles {
        /// The first of the paths.
        pattern: PathBuf,
    },
    /// A pattern of files cannot be read.
    #[error("`source.paths` has `{}`, which is no pattern; write `[*]` for a `*` in a name", pattern.display())]
    Pattern {
        /// The pattern.
        pattern: PathBuf,
        /// What is wrong with it.
        source: glob::PatternError,
    },
    /// The source cannot be opened or read.
    #[error("cannot read `{}`; check that it is a file, that you may read it, and that it is complete", path.display())]
    Read {
        /// The file, or `stdin`.
        path: PathBuf,
        /// What the operating system or the decompressor says.
        source: io::Error,
    },
    /// The source is something else than lines of text.
    #[error(
        "`{}` is {found}, of which topicd reads no lines; unpack or convert it into one document a line in UTF-8 \
         (plain, or packed once with gzip or zstd)",
        path.display()
    )]
    NotLines {
        /// The file, or `stdin`.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// A line is no dead letter.
    #[error("line {line} of `{}` is no dead letter; name files that topicd wrote as `dead-letters.jsonl`", path.display())]
    NotLetter {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The thread that reads the source panicked.
    #[error("the reader of `{}` panicked; start again, it goes on from the last commit", path.display())]
    ReaderPanicked {
        /// The file, or `stdin`.
        path: PathBuf,
    },
    /// An output file cannot be opened, written or synced.
    #[error("cannot write `{}`: {}", path.display(), way_out(source, "output.directory"))]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// An earlier write or sync failed, so what the files hold is unknown until they are opened again.
    #[error(
        "`{}` is not written any more after an earlier failure; \
         free space or mend the disk and start again, it goes on from the last commit",
        path.display()
    )]
    OutputBroken {
        /// The file.
        path: PathBuf,
    },
    /// Another process writes to the output folder.
    #[error(
        "outputs `{}` are written by another topicd{}; stop it, or set `output.directory` to another folder",
        directory.display(),
        holder.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    OutputLocked {
        /// The folder.
        directory: PathBuf,
        /// The process that has it, if it is known.
        holder: Option<u32>,
    },
    /// Another state writes to the output folder, though not now.
    #[error(
        "outputs `{}` belong to another state; set `output.directory` to another folder, or `state.directory` to the state \
         that wrote them",
        directory.display()
    )]
    OutputForeign {
        /// The folder.
        directory: PathBuf,
    },
    /// An output file holds something, but the state knows nothing of it.
    #[error(
        "`{}` holds {found} bytes from another run, of which the state knows nothing; \
         move it away, set another `output.directory`, or set `state.directory` to the state that wrote it",
        path.display()
    )]
    OutputUnknown {
        /// The file.
        path: PathBuf,
        /// Its length now.
        found: u64,
    },
}
