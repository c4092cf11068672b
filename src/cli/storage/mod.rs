//! `dsn` and `remote`: what a DSN says, for people and for other programs. Contacts nobody.
//!
//! A secret leaves the program in three ways, each asked for by name: on a terminal (`--reveal`), into the AWS files
//! (`--aws-config`), and in the environment of a program (`remote env`). Never into a pipe or a log.

use std::ffi::OsString;

use clap::{Args, Subcommand};

mod aws;
mod env;
mod ini;
mod parts;
mod show;

pub(super) use env::env;
pub(super) use show::show;

use super::exit::help;
use super::failure::Failure;
use super::place::{self, End, World};
use super::resolve;

/// The help of `dsn`.
pub const HELP_DSN: &str = "\
Examples:
  mediasync dsn show env:DEFAULT_STORAGE_DSN
  mediasync dsn show live: --json";
/// The help of `remote`.
pub const HELP_REMOTE: &str = "\
Examples:
  mediasync remote env live: -- aws s3 ls s3://BUCKET";

/// `dsn COMMAND`.
#[derive(Debug, Args)]
pub struct Dsn {
    /// The command.
    #[command(subcommand)]
    pub command: DsnCmd,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum DsnCmd {
    /// Show the parts of a DSN or remote; the secret stays hidden
    #[command(after_help = help("\
Contacts nobody. What --aws-config writes is a profile for other tools: credentials, endpoint
and region.

Examples:
  mediasync dsn show env:DEFAULT_STORAGE_DSN
  mediasync dsn show live: --reveal          for a graphical client that wants the secret
  mediasync dsn show live: --aws-config site then: aws --profile site s3 ls s3://BUCKET"))]
    Show(Show),
}

/// `dsn show`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct Show {
    /// env:NAME, the name of a remote, dsn-file:PATH, - for standard input, or a DSN
    #[arg(value_name = "DSN")]
    pub place: String,
    /// Print JSON, one line
    #[arg(long)]
    pub json: bool,
    /// Show the decoded secret too, if stdout is a terminal
    #[arg(long, conflicts_with = "json")]
    pub reveal: bool,
    /// Write a profile of this name into the AWS files (~/.aws/credentials and ~/.aws/config)
    #[arg(long, value_name = "PROFILE")]
    pub aws_config: Option<String>,
    /// Replace a profile that has another content
    #[arg(long, requires = "aws_config")]
    pub overwrite: bool,
}

/// `remote COMMAND`.
#[derive(Debug, Args)]
pub struct Remote {
    /// The command.
    #[command(subcommand)]
    pub command: RemoteCmd,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum RemoteCmd {
    /// Run a command with the credentials of a remote in its environment
    #[command(after_help = help("\
Sets AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_ENDPOINT_URL,
AWS_ENDPOINT_URL_S3, AWS_REGION and AWS_DEFAULT_REGION, or for Azure AZURE_STORAGE_ACCOUNT,
AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, and AZURE_STORAGE_CONNECTION_STRING; takes out
what would say something else, such as AWS_PROFILE. Prints none of it. The exit status is that
of the command.

Examples:
  mediasync remote env live: -- aws s3 ls s3://BUCKET
  mediasync remote env env:DEFAULT_STORAGE_DSN -- python3 fix.py"))]
    Env(Env),
}

/// `remote env`.
#[derive(Debug, Args)]
pub struct Env {
    /// The name of a remote, env:NAME, dsn-file:PATH, or a DSN
    #[arg(value_name = "NAME")]
    pub place: String,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// A place that is named by what says where it is: also by the bare name of a remote.
fn named(text: &str, world: World<'_>) -> Result<End, Failure> {
    if world.config.remotes.contains_key(text) {
        place::end(&format!("{text}:"), world)
    } else {
        // A name alone would be a directory, which has nothing that could be shown.
        resolve::refuse_a_bare_name(text, world)?;
        place::end(text, world)
    }
}
