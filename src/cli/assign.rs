//! `topicd assign`.

use std::io::Read;
use std::process::ExitCode;

use clap::Args;

use crate::cli::answers::Answers;
use crate::cli::{Settings, print, print_json, table};

/// Read texts from stdin and print their topics; nothing is stored.
#[derive(Debug, Args)]
pub(super) struct Assign {
    /// Take all of stdin as one text, in place of one text a line
    #[arg(long)]
    whole: bool,
}

impl Assign {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        let answers = Answers::find(&config)?;
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let texts: Vec<&str> =
            if self.whole { vec![text.trim()] } else { text.lines().map(str::trim).collect() };
        let texts: Vec<&str> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        for (text, assigned) in texts.iter().zip(answers.assign(&texts)?) {
            if settings.json {
                print_json(&assigned)?;
            } else {
                print(&table::assigned(text, &assigned))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
