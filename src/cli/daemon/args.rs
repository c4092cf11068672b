//! What is typed after `daemon`.

use clap::Args;

use crate::cli::logging::LogFormat;

/// The end of its help.
pub const HELP: &str = "\
Runs the jobs that have watch, every or cron, until it is told to stop (SIGTERM, Ctrl-C). SIGHUP
reads the configuration anew; with mistakes in it, the one before stays in force.

Examples:
  mediasync daemon                           all such jobs
  mediasync daemon media -v                  one job; names each action";

/// `daemon [JOB...]`.
#[derive(Debug, Args)]
pub struct Daemon {
    /// Names of jobs (default: all with watch, every or cron)
    #[arg(value_name = "JOB")]
    pub jobs: Vec<String>,
    /// How to log (default: what fits stderr: human on a terminal, journal for systemd, else json)
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}
