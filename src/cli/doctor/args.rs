//! What is typed after `doctor`.

use clap::Args;

/// The end of its help.
pub const HELP: &str = "\
One line a check: ok, warn, fail or skip, what was looked at, what was found, and how to mend
it. A place that is written to is tried with tiny objects below .mediasync/probe/, which are
removed again; -n leaves that out, and a source or a read-only remote is never written to.

Examples:
  mediasync doctor                           everything, and all jobs
  mediasync doctor media                     one job
  mediasync doctor -n env:DEFAULT_STORAGE_DSN
  mediasync doctor --policy media            the smallest policy or role that the job needs

Exit status:
  0    nothing failed; warnings may be there
  1    an error
  2    the command line or the configuration is wrong
  3    a check failed
  130  interrupted";

/// `doctor [JOB|LOCATION]`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags as they are typed")]
pub struct Doctor {
    /// Name of a job, or a place (default: all jobs; without any, env:DEFAULT_STORAGE_DSN)
    #[arg(value_name = "JOB|LOCATION")]
    pub subject: Option<String>,
    /// Print JSON, one line a check
    #[arg(long)]
    pub json: bool,
    /// Write nothing: what only writing would tell is not found out
    #[arg(short = 'n', long)]
    pub no_write: bool,
    /// Print the smallest IAM policy or Azure role that the places need, and check nothing
    #[arg(long, conflicts_with_all = ["json", "no_write"])]
    pub policy: bool,
}
