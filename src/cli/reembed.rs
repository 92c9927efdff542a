//! `topicd reembed`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use crate::cli::progress::Bars;
use crate::cli::{Settings, print, print_json};
use crate::cluster::watch::Watch;
use crate::embed::Embedder;
use crate::kernel::unit::UnitRows;
use crate::store::{Identity, Store};

/// Texts between two words of progress.
const SLICE: usize = 256;

/// Carry a state over to another encoder.
///
/// Embeds the kept documents with the configured `embed.model` and writes a new state with the same topics, events and
/// position in the stream; the old state stays as it is. Stop the daemon first.
///
/// Example: topicd reembed topicd-data/state-e5 --set embed.model=intfloat/e5-small
#[derive(Debug, Args)]
pub(super) struct Reembed {
    /// Folder for the new state; must be new
    folder: PathBuf,
}

impl Reembed {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.load()?;
        let bars = Bars::new(!settings.json);
        let (old, before) = Store::open_existing(&config.state.directory, config.bounds.seen)?;
        let (state, checkpoint) = old.load(before.dim, config.bounds)?;
        bars.say(&format!("loading the encoder from `{}`", config.embed_name()));
        let embedder = Embedder::open(&config.embed)?;
        let after = Identity { encoder: embedder.name().to_owned(), dim: embedder.dim() };
        if after.is_same_model(&before) {
            bail!(
                "state `{}` was made with `{}` already; set `embed.model` to the encoder that it shall have",
                config.state.directory.display(),
                before.encoder
            );
        }
        let mut new = Store::open(&self.folder, &after, config.bounds.seen)?;
        if new.load(after.dim, config.bounds)?.0.totals().documents > 0 {
            bail!("`{}` holds a state already; name a new folder", self.folder.display());
        }
        let rows = embed(&embedder, &state.texts(), &bars)?;
        bars.finish();
        new.commit(&state.translated(&rows), &checkpoint, false)?;
        let (topics, documents) = (state.topics().len(), state.held().len());
        if settings.json {
            print_json(&serde_json::json!({
                "state": self.folder, "encoder": after.encoder, "before": before.encoder,
                "topics": topics, "documents": documents,
            }))?;
        } else {
            print(&format!(
                "{topics} topics and {documents} documents, from `{}` to `{}`\ngo on with --set state.directory={} and \
                 the same embed.model\n",
                before.encoder,
                after.encoder,
                self.folder.display()
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Embeds `texts` slice by slice.
fn embed(embedder: &Embedder, texts: &[String], watch: &dyn Watch) -> anyhow::Result<UnitRows> {
    let mut rows: Vec<Vec<f32>> = Vec::new();
    for (at, slice) in texts.chunks(SLICE).enumerate() {
        watch.progress("embed", at * SLICE, texts.len());
        let slice: Vec<&str> = slice.iter().map(String::as_str).collect();
        for made in embedder.embed_each(&slice)?.of_text {
            rows.push(made?.row);
        }
    }
    watch.progress("embed", texts.len(), texts.len());
    Ok(UnitRows::from_rows(embedder.dim(), rows.iter().map(Vec::as_slice))?)
}
