//! The door: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use topicd::cli::Cli;

/// Documents come and go as many small strings, some freed by other threads than made them (librdkafka's): the daemon
/// spends a tenth less processor time on them than with glibc's allocator (`benches/kafka.rs copy`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
