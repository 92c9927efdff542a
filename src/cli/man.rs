//! `topicd man DIR`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

/// Write a manual page for each command: `topicd.1`, `topicd-topics.1`, and so on.
///
/// Example: topicd man ~/.local/share/man/man1
#[derive(Debug, Args)]
pub(super) struct Man {
    /// The folder, made if it is not there
    folder: PathBuf,
}

impl Man {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        write(&self.folder)
            .with_context(|| format!("cannot write manual pages to `{}`", self.folder.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(not(feature = "shell"))]
fn write(_: &Path) -> anyhow::Result<()> {
    Err(crate::built::Without("shell").into())
}

#[cfg(feature = "shell")]
fn write(folder: &Path) -> anyhow::Result<()> {
    fs_err::create_dir_all(folder)?;
    Ok(clap_mangen::generate_to(<crate::cli::Cli as clap::CommandFactory>::command(), folder)?)
}
