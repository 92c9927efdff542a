//! `topicd model`: fetch an encoder, make it ready, try it.

#[cfg(feature = "hub")]
mod pull;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::bail;
use clap::{Args, Subcommand};

use crate::cli::table::{Cell, Column, Table};
use crate::cli::{Settings, print_json};
use crate::embed::{Embedder, Engine};

/// Texts that `check` embeds, and how often they are put together to measure speed.
const TEXTS: [&str; 4] = [
    "The central bank raised interest rates, and shares fell.",
    "Shares lost ground after the bank's decision on rates.",
    "The striker scored twice in the second half of the final.",
    "Neural topic models find themes in large collections of documents: each document is embedded, the embeddings are \
     reduced and clustered, and each cluster is described by the words that set it apart from all the others.",
];
/// Documents of the measured run: some seconds for an encoder on two cores.
const MEASURED: usize = 64;

/// Fetch an encoder, make it ready, try it.
///
/// Example: topicd model check
#[derive(Debug, Args)]
pub(super) struct Model {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch a model from a Hugging Face compatible hub
    ///
    /// Example: topicd model pull thenlper/gte-small
    Pull(PullArgs),
    /// Make the ONNX file of a model that has its weights as safetensors only
    ///
    /// Example: topicd model export models/gte-small
    Export {
        /// The model's folder
        folder: PathBuf,
    },
    /// Embed a few texts and say what the model is, what it runs on and how fast
    ///
    /// Example: topicd model check thenlper/gte-small
    Check {
        /// The model's folder, or its name in the cache; without it, the configured model
        model: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct PullArgs {
    /// OWNER/NAME, or the bare name of one of the sentence-transformers' own
    name: String,
    /// Branch, tag or commit
    #[arg(long, default_value = "main")]
    revision: String,
    /// The hub's address
    #[arg(long, value_name = "URL", env = "HF_ENDPOINT")]
    endpoint: Option<String>,
    /// For models that are not public
    #[arg(long, env = "HF_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Where to put the model, in place of the cache
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

impl Model {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        match self.command {
            #[cfg(feature = "hub")]
            Command::Pull(asked) => pull::run(asked, settings)?,
            #[cfg(feature = "hub")]
            Command::Export { folder } => pull::export(&folder, settings)?,
            #[cfg(not(feature = "hub"))]
            Command::Pull(_) | Command::Export { .. } => return Err(crate::built::Without("hub").into()),
            Command::Check { model } => check(model, settings)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn check(model: Option<PathBuf>, settings: &Settings) -> anyhow::Result<()> {
    let mut set = settings.set.clone();
    set.extend(model.map(|model| format!("embed.model={}", model.display())));
    let config = settings.load_with(&set)?;
    let started = Instant::now();
    let embedder = Embedder::open(&config.embed)?;
    let loaded = started.elapsed().as_secs_f64();
    let rows = embedder.embed(&TEXTS)?.rows;
    let cosine = |a: usize, b: usize| crate::kernel::dot::dot(rows.row(a), rows.row(b));
    let (near, far) = (cosine(0, 1), cosine(0, 2));
    // Numbered, or the cache would answer.
    let texts: Vec<String> = (0..MEASURED).map(|number| format!("{number}: {}", TEXTS[number % 4])).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let started = Instant::now();
    let counts = embedder.embed(&texts)?.counts;
    let seconds = started.elapsed().as_secs_f64();
    let report = embedder.report();
    let prompts = embedder.prompts();
    let (provider, pooling, agreement) = match &report.engine {
        Engine::Encoder { provider, pooling, agreement, .. } => {
            (provider.to_string(), Some(format!("{pooling:?}").to_lowercase()), *agreement)
        }
        Engine::Table => ("static".to_owned(), Some("mean".to_owned()), None),
        Engine::Remote { .. } => ("remote".to_owned(), None, None),
    };
    let facts = serde_json::json!({
        "name": embedder.name(), "dimension": embedder.dim(), "pooling": pooling, "max_tokens": report.max_tokens,
        "document_prompt": prompts.document, "query_prompt": prompts.query, "provider": provider,
        "cosine_to_fp32": agreement, "notes": report.notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "seconds_to_load": loaded, "documents_per_second": MEASURED as f64 / seconds,
        "tokens_per_second": counts.tokens as f64 / seconds,
        "cosine_of_two_texts_on_one_subject": near, "cosine_of_two_texts_on_two_subjects": far,
    });
    if settings.json {
        print_json(&facts)?;
    } else {
        let mut table = Table::new([Column::number("fact"), Column::text("value")]);
        for (name, value) in facts.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            let value = value.as_str().map_or_else(|| Cell::of(value), Cell::of);
            table.row([Cell::of(name.replace('_', " ")), value]);
        }
        table.print()?;
    }
    if near <= far {
        bail!(
            "two texts on one subject are no nearer to each other ({near:.3}) than two on different ones ({far:.3}); \
             this is no model for topics, or its pooling is read wrongly"
        );
    }
    Ok(())
}
