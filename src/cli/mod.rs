//! The command line: one file per command.

mod answers;
mod arguments;
mod assign;
mod breakdown;
mod check;
mod compare;
mod completions;
mod demo;
mod documents;
mod evaluate;
mod exit;
mod explain;
mod export;
mod faults;
mod find;
mod fit;
mod hierarchy;
mod kafka;
mod man;
mod model;
mod notifications;
mod operate;
mod progress;
mod reembed;
mod refits;
mod retry;
mod run;
mod running;
mod setup;
mod state;
mod table;
mod topics;
mod versions;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
pub use exit::main;

use crate::config::{self, Config};

/// Streaming topic modelling: documents in, living topics out.
#[derive(Debug, Parser)]
#[command(name = "topicd", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  topicd topics                     the topics so far, largest first
  topicd find \"climate change\"      the topics nearest to a text
  topicd over-time                  when each topic came and went
  topicd check                      every mistake in the configuration, at once
  topicd run --set source.path=posts.jsonl      follow the topics of a file
  cat posts.jsonl | topicd run --set source.type=stdin
  topicd fit corpus.jsonl.gz        a whole corpus at once
  topicd model pull thenlper/gte-small          fetch another encoder

Tables are cut to the terminal. A pipe gets the whole values, tab-separated under a header line.

Exit status:
  0  done
  1  failed, or what was asked for is not there
  2  a mistake on the command line or in the configuration

Every key of the configuration, with its default and its unit, stands in config/topicd.toml.";

#[derive(Debug, Clone, Args)]
struct Settings {
    /// TOML file with the settings that differ from the defaults
    #[arg(long, short, global = true, value_name = "FILE", env = "TOPICD_CONFIG")]
    config: Option<PathBuf>,
    /// One setting, e.g. `refit.min_cluster_size=30`; stronger than file and environment
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Ask the daemon at this address, in place of the one that has the state open
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// Print JSON for programs in place of text for people; errors too, on stderr
    #[arg(long, global = true)]
    json: bool,
}

/// What each does stands with its arguments.
#[derive(Debug, Subcommand)]
enum Command {
    Setup(setup::Setup),
    Demo(demo::Demo),
    Run(run::Run),
    Fit(fit::Fit),
    Retry(retry::Retry),
    Topics(topics::Topics),
    Topic(topics::Topic),
    Find(find::Find),
    Assign(assign::Assign),
    Documents(documents::Documents),
    Explain(explain::Explain),
    Hierarchy(hierarchy::Hierarchy),
    OverTime(hierarchy::OverTime),
    Refits(refits::Refits),
    Notifications(notifications::Notifications),
    Versions(versions::Versions),
    Diff(versions::Differences),
    Rollback(operate::Rollback),
    Merge(operate::Merge),
    Rename(operate::Rename),
    Pin(operate::Pin),
    Unpin(operate::Unpin),
    ForgetTopic(operate::ForgetTopic),
    Restore(operate::Restore),
    Forget(operate::Forget),
    State(state::StateCommand),
    Kafka(kafka::Kafka),
    Export(export::Export),
    Evaluate(evaluate::Evaluate),
    Model(model::Model),
    Reembed(reembed::Reembed),
    Check(check::Check),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Command {
    /// True if no daemon has a part in it.
    fn asks_nobody(&self) -> bool {
        use Command::{
            Check, Completions, Demo, Evaluate, Fit, Kafka, Man, Model, Reembed, Retry, Run, Setup, State,
        };
        match self {
            State(command) => !command.asks(),
            Setup(_) | Demo(_) | Run(_) | Fit(_) | Retry(_) | Kafka(_) | Evaluate(_) | Model(_)
            | Reembed(_) | Check(_) | Completions(_) | Man(_) => true,
            _ => false,
        }
    }
}

impl Cli {
    /// Does what was asked.
    fn run(self) -> anyhow::Result<ExitCode> {
        if self.settings.url.is_some() && self.command.asks_nobody() {
            anyhow::bail!(exit::Usage(
                "`--url` is for commands that ask about topics, or change them".to_owned()
            ));
        }
        match self.command {
            Command::Setup(command) => command.run(),
            Command::Demo(command) => command.run(&self.settings),
            Command::Run(command) => command.run(&self.settings),
            Command::Fit(command) => command.run(&self.settings),
            Command::Retry(command) => command.run(&self.settings),
            Command::Topics(command) => command.run(&self.settings),
            Command::Topic(command) => command.run(&self.settings),
            Command::Find(command) => command.run(&self.settings),
            Command::Assign(command) => command.run(&self.settings),
            Command::Documents(command) => command.run(&self.settings),
            Command::Explain(command) => command.run(&self.settings),
            Command::Hierarchy(command) => command.run(&self.settings),
            Command::OverTime(command) => command.run(&self.settings),
            Command::Refits(command) => command.run(&self.settings),
            Command::Notifications(command) => command.run(&self.settings),
            Command::Versions(command) => command.run(&self.settings),
            Command::Diff(command) => command.run(&self.settings),
            Command::Rollback(command) => command.run(&self.settings),
            Command::Merge(command) => command.run(&self.settings),
            Command::Rename(command) => command.run(&self.settings),
            Command::Pin(command) => command.run(&self.settings),
            Command::Unpin(command) => command.run(&self.settings),
            Command::ForgetTopic(command) => command.run(&self.settings),
            Command::Restore(command) => command.run(&self.settings),
            Command::Forget(command) => command.run(&self.settings),
            Command::State(command) => command.run(&self.settings),
            Command::Kafka(command) => command.run(&self.settings),
            Command::Export(command) => command.run(&self.settings),
            Command::Evaluate(command) => command.run(&self.settings),
            Command::Model(command) => command.run(&self.settings),
            Command::Reembed(command) => command.run(&self.settings),
            Command::Check(command) => command.run(&self.settings),
            Command::Completions(command) => command.run(),
            Command::Man(command) => command.run(),
        }
    }
}

impl Settings {
    /// The configuration that file, environment and flags make.
    fn load(&self) -> Result<Config, config::Error> {
        self.load_with(&self.set)
    }

    /// Likewise, with `set` in place of the flags' settings.
    fn load_with(&self, set: &[String]) -> Result<Config, config::Error> {
        config::load(self.config.as_deref(), set)
    }
}

/// Prints to stdout, for people, what may hold foreign text.
fn print(text: &str) -> anyhow::Result<()> {
    write(&crate::visible::visible(text))
}

/// Prints `value` as JSON on one line.
fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    write(&(crate::visible::visible_json(serde_json::to_string(value)?) + "\n"))
}

/// Prints `found` as JSON for programs, or its table for people.
fn show(
    settings: &Settings,
    found: &impl serde::Serialize,
    table: impl FnOnce() -> table::Table,
) -> anyhow::Result<ExitCode> {
    if settings.json {
        print_json(found)?;
    } else {
        table().print()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes to stdout; a reader that has gone (`| head`) is no error.
fn write(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// A runtime for commands that talk to a running daemon.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}
