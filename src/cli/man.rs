//! `topicd man DIR`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, CommandFactory};

use crate::cli::Cli;

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
        fs_err::create_dir_all(&self.folder)?;
        clap_mangen::generate_to(Cli::command(), &self.folder)
            .with_context(|| format!("cannot write manual pages to `{}`", self.folder.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
