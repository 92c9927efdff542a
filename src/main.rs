//! The door: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use topicd::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes, one a line, on stderr.
fn report(error: &anyhow::Error) {
    use std::io::Write;
    let causes = error.chain().skip(1).map(|cause| format!("  because: {cause}"));
    let lines: Vec<String> = std::iter::once(format!("topicd: {error}")).chain(causes).collect();
    // Nobody is left to tell when stderr is gone.
    drop(writeln!(std::io::stderr(), "{}", lines.join("\n")));
}
