//! `topicd completions`.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::{Cli, write};

/// Print a completion script for a shell.
///
/// Example: topicd completions bash > ~/.local/share/bash-completion/completions/topicd
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "topicd", &mut script);
        write(&String::from_utf8(script)?)?;
        Ok(ExitCode::SUCCESS)
    }
}
