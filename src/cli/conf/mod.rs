//! `config`: what is wrong with the configuration, and what it says as a whole. Changes nothing and contacts nobody.

use clap::{Args, Subcommand};

mod check;
mod show;

pub(super) use check::check;
pub(super) use show::show;

use super::exit::help;

/// The help of `config`.
pub const HELP: &str = "\
Examples:
  mediasync config check                     all mistakes and warnings, each with its line
  mediasync config show                      what holds, defaults included; secrets are hidden";

/// `config COMMAND`.
#[derive(Debug, Args)]
pub struct Conf {
    /// The command.
    #[command(subcommand)]
    pub command: Cmd,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Cmd {
    /// Tell all mistakes of the configuration, each with its line, and what may become one
    #[command(after_help = help("\
Looks at the file that a command here would read, at variables, files and directories; runs no
command of it and contacts nobody. A mistake makes it exit with 2, a warning does not.

Examples:
  mediasync config check
  mediasync config check --config /etc/mediasync/config.toml --json"))]
    Check(Look),
    /// Show what holds, defaults included, and where each value comes from; secrets are hidden
    #[command(after_help = help("\
Examples:
  mediasync config show
  mediasync config show --json"))]
    Show(Look),
}

/// How it is told.
#[derive(Debug, Clone, Args)]
pub struct Look {
    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
}
