//! The door.

use std::process::ExitCode;

/// Documents come and go as many small strings, some freed by other threads than made them (librdkafka's): the daemon
/// spends a tenth less processor time on them than with glibc's allocator (`benches/kafka.rs copy`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    topicd::cli::main()
}
