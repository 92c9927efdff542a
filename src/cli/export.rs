//! `topicd export FOLDER`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::answers::Answers;
use crate::cli::{Settings, print, print_json};

/// Write the topics as a folder that `BERTopic.load` opens in Python.
///
/// Topics are numbered by size there; `topicd.json` in the folder says which id each has here. `seeds.bertopic` reads
/// such a folder back.
///
/// Example: topicd export /tmp/model --embedding-model sentence-transformers/all-MiniLM-L6-v2
#[derive(Debug, Args)]
pub(super) struct Export {
    /// The folder, made if it is not there
    folder: PathBuf,
    /// The name by which Python loads the encoder; without it, BERTopic asks for one
    #[arg(long, value_name = "NAME")]
    embedding_model: Option<String>,
}

impl Export {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        let export = Answers::find(settings, &config)?.export()?;
        export.write(&self.folder, self.embedding_model.as_deref())?;
        if settings.json {
            print_json(&serde_json::json!({ "folder": self.folder, "topics": export.topics.len() }))?;
        } else {
            print(&format!("{} topics written to `{}`\n", export.topics.len(), self.folder.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
