//! `topicd demo`: the daemon on the news of early 2017.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use crate::cli::run::Run;
use crate::cli::{Settings, print, setup};
use crate::embed;
use crate::store::{self, Store};

/// Find the topics of the news of early 2017, article by article.
///
/// Each demo starts from nothing and stays up after the last article, until Ctrl-C. Its configuration and its topics
/// stay in ~/.cache/topicd/demo, or `TOPICD_CACHE`, for all other commands. Fetches first what `topicd setup` would.
///
/// Example: topicd demo --speed max
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Articles a second, or `max` for as fast as possible
    #[arg(long, value_name = "N|max", default_value = "32", value_parser = speed)]
    speed: f64,
    /// Stop after the last article
    #[arg(long)]
    exit_at_end: bool,
    /// What a user calls in place of this program, if it sets the demo's configuration by itself
    #[arg(long, hide = true)]
    called: Option<String>,
}

fn speed(given: &str) -> Result<f64, String> {
    match given.parse() {
        _ if given == "max" => Ok(0.0),
        Ok(speed) if f64::is_finite(speed) && speed > 0.0 => Ok(speed),
        _ => Err("must be a number above 0, e.g. 50, or `max`".to_owned()),
    }
}

impl Demo {
    pub(super) fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let cache =
            embed::cache().context("there is no home folder; name one for the demo with TOPICD_CACHE")?;
        let cache = std::path::absolute(cache)?;
        let news = cache.join("data/news.jsonl");
        let model = cache.join("models/all-MiniLM-L6-v2");
        if !news.is_file() || !model.is_dir() || embed::onnxruntime(None).is_err() {
            setup::fetch()?;
        }
        let config = prepare(&cache.join("demo"), &news, self.speed)?;
        let commands = commands(self.called.as_deref(), &config);
        let tell = |text: String| if settings.json { Ok(()) } else { print(&text) };
        tell(format!("ask it in another terminal, during the demo and after it:\n{commands}"))?;
        let settings = Settings { config: Some(config), ..settings.clone() };
        let code = Run::with_events(self.exit_at_end).run(&settings)?;
        tell(format!("the demo has ended, its topics stay:\n{commands}"))?;
        Ok(code)
    }
}

/// What a user may type next, a line each.
fn commands(called: Option<&str>, config: &Path) -> String {
    let typed = std::env::args_os().next().unwrap_or_default();
    let typed = typed.to_string_lossy();
    let (export, topicd) = match called {
        Some(called) => (String::new(), called),
        None => (format!("  export TOPICD_CONFIG={}\n", config.display()), typed.as_ref()),
    };
    format!(
        "{export}  {topicd} topics\n  {topicd} topic 3\n  {topicd} find \"climate change\"\n  {topicd} --help\n"
    )
}

/// How the configuration begins of a folder that a demo made.
const MADE_HERE: &str = "# Written by `topicd demo`";

/// Empties `folder` and writes the demo's configuration there; its path.
fn prepare(folder: &Path, news: &Path, speed: f64) -> anyhow::Result<PathBuf> {
    let (state, output) = (folder.join("state"), folder.join("output"));
    if let Err(store::Error::Locked { .. }) = Store::open_existing(&state, 1) {
        bail!(
            "another demo is running on `{}`; stop it, or give this one another folder with TOPICD_CACHE",
            folder.display()
        );
    }
    let config = folder.join("topicd.toml");
    if folder.exists() {
        if !fs_err::read_to_string(&config).unwrap_or_default().starts_with(MADE_HERE) {
            bail!(
                "`{}` holds something that `topicd demo` did not make; move it away, or name another folder with \
                 TOPICD_CACHE",
                folder.display()
            );
        }
        fs_err::remove_dir_all(folder)?;
    }
    fs_err::create_dir_all(folder)?;
    let quoted = |path: &Path| toml::Value::from(path.to_string_lossy().as_ref()).to_string();
    let text = format!(
        "\
{MADE_HERE}, which empties this folder each time. Commands that get this file, by --config or by
# TOPICD_CONFIG, are about the demo's topics. What is not set here has its default.

[source]
path = {}
# Articles a second; 0 is as fast as possible.
speed = {speed:?}

[state]
directory = {}

[output]
directory = {}

[log]
level = \"warn\"
",
        quoted(news),
        quoted(&state),
        quoted(&output)
    );
    fs_err::write(&config, text)?;
    Ok(config)
}
