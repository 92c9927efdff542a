//! `topicd completions`.

use std::process::ExitCode;

use clap::Args;
#[cfg(feature = "shell")]
use clap_complete::Shell;

/// Any: this binary knows none.
#[cfg(not(feature = "shell"))]
type Shell = String;

/// Print a completion script for a shell.
///
/// Example: topicd completions bash > ~/.local/share/bash-completion/completions/topicd
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    #[cfg_attr(feature = "shell", arg(value_enum))]
    shell: Shell,
}

impl Completions {
    #[cfg(not(feature = "shell"))]
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        Err(anyhow::Error::new(crate::built::Without("shell"))
            .context(format!("no completions for `{}`", self.shell)))
    }

    #[cfg(feature = "shell")]
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut script = Vec::new();
        let mut command = <crate::cli::Cli as clap::CommandFactory>::command();
        clap_complete::generate(self.shell, &mut command, "topicd", &mut script);
        crate::cli::write(&String::from_utf8(script)?)?;
        Ok(ExitCode::SUCCESS)
    }
}
