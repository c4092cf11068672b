//! What is typed after `status`.

use clap::Args;

/// The end of its help.
pub const HELP: &str = "\
Asks the daemon of the state directory, if one runs; what it does not run is told by its last
run.

Examples:
  mediasync status
  mediasync status media --json
  mediasync status --watch                   until Ctrl-C

Exit status:
  0    every job is in sync, or has changes that are on their way and not late
  1    an error
  2    the command line or the configuration is wrong
  3    stale, failing, or problems or conflicts are left
  4    halted by a guard";

/// `status [JOB]`.
#[derive(Debug, Args)]
pub struct Status {
    /// Name of a job (default: all of them)
    pub job: Option<String>,
    /// Print JSON, one line a job
    #[arg(long)]
    pub json: bool,
    /// Go on until Ctrl-C: redrawn each second on a terminal, else printed again when something changes
    #[arg(long)]
    pub watch: bool,
}
