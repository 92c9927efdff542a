//! How a command ends: what is said on stderr, and the exit status that tells a script the truth.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use serde_json::json;

use crate::cli::Cli;
use crate::config;
use crate::daemon;
use crate::telemetry::logs;
use crate::visible::{visible, visible_json};

/// What was asked for makes no sense: a mistake on the command line, which clap could not see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// Exit status of a mistake on the command line or in the configuration.
pub(super) const MISTAKE: u8 = 2;

/// Why a command ends before it is done.
struct Failure {
    error: String,
    causes: Vec<String>,
    /// The way out, where it is long.
    hints: Vec<String>,
    status: u8,
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let mut options = arguments.iter().take_while(|argument| *argument != "--");
    let json = options.any(|argument| argument == "--json");
    let failure = match Cli::try_parse_from(&arguments) {
        Ok(cli) => match cli.run() {
            Ok(status) => return status,
            Err(error) => Failure::of(&error),
        },
        // Help and version, which were asked for.
        Err(asked) if !asked.use_stderr() => {
            return if asked.print().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand && !json => {
            drop(error.print());
            return ExitCode::from(MISTAKE);
        }
        Err(error) => Failure::of_usage(&error, arguments.iter().skip(1).filter_map(|one| one.to_str())),
    };
    failure.report(json);
    ExitCode::from(failure.status)
}

impl Failure {
    fn of(error: &anyhow::Error) -> Self {
        let is_mistake = error.chain().any(|cause| {
            let role = matches!(cause.downcast_ref(), Some(daemon::Error::Role | daemon::Error::NoEnd));
            role || cause.is::<Usage>() || cause.is::<config::Error>()
        });
        let status = if is_mistake { MISTAKE } else { 1 };
        if let Some(config::Error::Mistakes(config::Mistakes(all))) = error.downcast_ref()
            && all.len() > 1
        {
            let error = format!("{} mistakes in the configuration", all.len());
            return Self {
                error,
                causes: Vec::new(),
                hints: all.iter().map(ToString::to_string).collect(),
                status,
            };
        }
        let mut said = error.to_string();
        let mut causes = Vec::new();
        for cause in error.chain().skip(1).map(ToString::to_string) {
            // Some errors say what their cause says.
            if !said.contains(&cause) {
                said += &cause;
                causes.push(cause);
            }
        }
        Self { error: error.to_string(), causes, hints: Vec::new(), status }
    }

    /// What clap says, with the example of the command that was meant.
    fn of_usage<'a>(error: &clap::Error, arguments: impl Iterator<Item = &'a str>) -> Self {
        let text = error.to_string();
        let paragraphs = text.trim_end().split("\n\n").map(|paragraph| {
            let lines: Vec<&str> = paragraph.lines().map(str::trim).collect();
            lines.join(" ")
        });
        let mut said = paragraphs.filter(|one| !one.starts_with("For more information"));
        let first = said.next().unwrap_or_default();
        let error = first.strip_prefix("error: ").unwrap_or(&first).to_owned();
        let mut hints: Vec<String> = said.collect();
        let cli = Cli::command();
        let meant =
            arguments.fold(&cli, |command, argument| command.find_subcommand(argument).unwrap_or(command));
        hints.push(example(meant).unwrap_or_else(|| "`topicd --help` lists the commands".to_owned()));
        Self { error, causes: Vec::new(), hints, status: MISTAKE }
    }

    /// On stderr: for programs one JSON object, for people a line each.
    fn report(&self, json: bool) {
        let Self { error, causes, hints, .. } = self;
        let text = if json {
            let error =
                std::iter::once(error).chain(hints).map(String::as_str).collect::<Vec<_>>().join("; ");
            visible_json(json!({ "error": error, "causes": causes }).to_string())
        } else {
            let causes = causes.iter().map(|cause| format!("because: {cause}"));
            let below = causes.chain(hints.iter().cloned());
            let lines: Vec<String> = std::iter::once(format!("topicd: {error}")).chain(below).collect();
            visible(&lines.join("\n  ")).into_owned()
        };
        logs::say(&text);
    }
}

/// An error with its causes, on one line.
pub(super) fn in_full(error: impl std::error::Error + Send + Sync + 'static) -> String {
    let Failure { error, causes, .. } = Failure::of(&error.into());
    std::iter::once(error).chain(causes).collect::<Vec<_>>().join(": ")
}

/// The line of a command's help that begins with "Example".
fn example(command: &clap::Command) -> Option<String> {
    let help = command.get_long_about()?.to_string();
    help.lines().find(|line| line.starts_with("Example")).map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn no_cause_is_said_twice() {
        let io = || std::io::Error::other("the disk is gone");
        let error = anyhow::Error::new(io()).context("cannot write: the disk is gone").context("no model");
        let failure = Failure::of(&error);
        assert_eq!(failure.error, "no model");
        assert_eq!(failure.causes, ["cannot write: the disk is gone"]);
        assert_eq!(failure.status, 1);
        assert_eq!(Failure::of(&Usage("no".to_owned()).into()).status, MISTAKE);
        assert_eq!(
            Failure::of(&Err::<(), _>(Usage("no".to_owned())).context("x").unwrap_err()).status,
            MISTAKE
        );
    }

    #[test]
    fn a_mistake_on_the_command_line_ends_with_an_example() {
        let said = |line: &[&str]| {
            let error = Cli::try_parse_from(line).expect_err("a mistake");
            let Failure { error, hints, .. } = Failure::of_usage(&error, line.iter().skip(1).copied());
            format!("{error}; {}", hints.join("; "))
        };
        assert!(said(&["topicd", "topic", "abc"]).ends_with("; Example: topicd topic 3"));
        assert!(said(&["topicd", "topic", "abc"]).contains("a topic's id is a whole number, such as 7"));
        assert!(
            said(&["topicd", "model", "pull"]).ends_with("; Example: topicd model pull thenlper/gte-small")
        );
        assert!(said(&["topicd", "hierarcy"]).contains("similar subcommand exists: 'hierarchy'"));
        assert!(said(&["topicd", "hierarcy"]).ends_with("; `topicd --help` lists the commands"));
    }

    #[test]
    fn every_command_shows_an_example() {
        for command in Cli::command().get_subcommands() {
            assert!(example(command).is_some(), "`{}` has no example", command.get_name());
        }
    }
}
