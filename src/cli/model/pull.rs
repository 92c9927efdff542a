//! `topicd model pull` and `topicd model export`.

use std::path::Path;
use std::sync::Mutex;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use super::PullArgs;
use crate::cli::{Settings, print, print_json};
use crate::embed::hub::{self, Pull, Pulled};
use crate::visible::one_line;

/// Attempts of a file beside the first.
const RETRIES: usize = 4;

pub(super) fn export(folder: &Path, settings: &Settings) -> anyhow::Result<()> {
    let path = crate::embed::export::export(folder)?;
    if settings.json {
        return print_json(&serde_json::json!({ "onnx": path }));
    }
    print(&format!("wrote {}\n", path.display()))
}

pub(super) fn run(asked: PullArgs, settings: &Settings) -> anyhow::Result<()> {
    let into = match asked.into {
        Some(into) => into,
        None => crate::embed::cached_model(asked.name.as_ref()).with_context(|| {
            format!(
                "`{}` is no model's name, or there is no home folder; name a folder with --into",
                asked.name
            )
        })?,
    };
    let pull = Pull {
        name: asked.name,
        endpoint: asked.endpoint,
        token: asked.token,
        revision: asked.revision,
        into,
        retries: RETRIES,
    };
    let bars = Bars { shown: !settings.json, current: Mutex::default() };
    let pulled = hub::pull(&pull, &bars)?;
    if settings.json {
        return print_json(&serde_json::json!({
            "folder": pulled.folder, "commit": pulled.commit, "files": pulled.files,
            "verified": pulled.verified, "exported": pulled.exported, "prompts_added": pulled.prompted,
        }));
    }
    print(&told(&pull.name, &pulled))
}

fn told(name: &str, pulled: &Pulled) -> String {
    let Pulled { folder, commit, verified, files, exported, prompted } = pulled;
    let mut text =
        format!("{} at commit {commit}: {files} files, {verified} checksums good\n", folder.display());
    if *exported {
        text += "made the ONNX file of the weights\n";
    }
    if *prompted {
        text += "wrote the prompts of the model's card into config_sentence_transformers.json\n";
    }
    text + &format!("use it with --set embed.model={name}\n")
}

/// A bar for each file, on stderr.
struct Bars {
    shown: bool,
    current: Mutex<Option<(String, ProgressBar)>>,
}

impl Bars {
    fn with(&self, act: impl FnOnce(&mut Option<(String, ProgressBar)>)) {
        act(&mut self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

impl hub::Watch for Bars {
    fn started(&self, file: &str, bytes: u64) {
        self.with(|current| {
            // A file that is resumed starts twice.
            if self.shown && current.as_ref().is_none_or(|(name, _)| name != file) {
                let bar = ProgressBar::new(bytes);
                let style =
                    "{prefix:<36} {wide_bar} {bytes:>10}/{total_bytes:<10} {bytes_per_sec:>12} {eta:>4}";
                bar.set_style(
                    ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
                );
                bar.set_prefix(one_line(file));
                *current = Some((file.to_owned(), bar));
            }
        });
    }

    fn arrived(&self, bytes: u64) {
        self.with(|current| {
            if let Some((_, bar)) = current {
                bar.set_position(bytes);
            }
        });
    }

    fn finished(&self) {
        self.with(|current| {
            if let Some((_, bar)) = current.take() {
                bar.abandon();
            }
        });
    }
}
