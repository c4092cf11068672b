//! The program: arguments in, exit code out. Everything else is in the library.

use std::process::ExitCode;

/// The system's allocator takes a lock for what one thread hands to another; a run of small files spends its time there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ExitCode::from(mediasync::cli::main(std::env::args_os()))
}
