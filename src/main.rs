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
    let mut text = format!("topicd: {error}\n");
    error.chain().skip(1).for_each(|cause| text.push_str(&format!("  because: {cause}\n")));
    // Nobody is left to tell when stderr is gone.
    drop(std::io::stderr().write_all(text.as_bytes()));
}
