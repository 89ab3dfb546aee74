//! The `baton` binary: flags, keys, verbs.

use std::process::ExitCode;

/// A busy node spends an eighth of its time allocating with the system's allocator, much of it in returning large blocks.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    baton_cli::main(std::env::args_os().collect())
}
