//! `topicd check`.

use std::process::ExitCode;

use clap::Args;

use crate::cli::{Settings, print, print_json};
use crate::config;

/// Check a configuration and print every mistake, each with its key and where it stands.
#[derive(Debug, Args)]
pub(super) struct Check {}

impl Check {
    #[expect(clippy::unused_self, reason = "every command is run alike")]
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        match settings.load() {
            Ok(_) => {
                if settings.json {
                    print_json(&serde_json::json!({ "mistakes": [] }))?;
                } else {
                    print("no mistakes\n")?;
                }
                Ok(ExitCode::SUCCESS)
            }
            Err(config::Error::Mistakes(mistakes)) => {
                if settings.json {
                    let texts: Vec<String> = mistakes.0.iter().map(ToString::to_string).collect();
                    print_json(&serde_json::json!({ "mistakes": texts }))?;
                } else {
                    mistakes.0.iter().try_for_each(|mistake| print(&format!("{mistake}\n")))?;
                }
                Ok(ExitCode::FAILURE)
            }
            Err(error) => Err(error.into()),
        }
    }
}
