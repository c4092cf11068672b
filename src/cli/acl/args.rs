//! What can be typed after `acl`.

use clap::{Args, Subcommand};

use crate::cli::exit::help;
use crate::cli::trash::args::Wish;
use crate::config::ACLS;

/// The end of its help.
pub const HELP: &str = "\
Examples:
  mediasync acl get live:photos/cat.jpg      who may read one object
  mediasync acl set public-read -r -n live:  which objects would become public";

/// `acl COMMAND`.
#[derive(Debug, Args)]
pub struct Acl {
    /// The command.
    #[command(subcommand)]
    pub command: Cmd,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Cmd {
    /// Show who may read an object
    #[command(after_help = help("\
On Azure it is the container as a whole that is public or private: that is shown.

Examples:
  mediasync acl get live:photos/cat.jpg      one object
  mediasync acl get -r live:photos           all below, one line each
  mediasync acl get az://account/media       how public a container is"))]
    Get(Get),
    /// Give an object, or all below a place, a canned ACL
    #[command(after_help = help("\
Objects that have it already are left alone. Nothing else of an object changes, and nothing is
sent again. On Azure only a whole container can be made public or private.

Examples:
  mediasync acl set public-read live:photos/cat.jpg
  mediasync acl set public-read -r -n live:  show what would be done, for all objects
  mediasync acl set private -r live:invoices
  mediasync acl set public-read az://account/media"))]
    Set(Set),
}

/// `acl get LOCATION`.
#[derive(Debug, Args)]
pub struct Get {
    /// An object, or with -r a place
    #[arg(value_name = "LOCATION")]
    pub location: String,
    /// All objects below the place
    #[arg(short, long)]
    pub recursive: bool,
    /// Print JSON, one line an object
    #[arg(long)]
    pub json: bool,
}

/// `acl set CANNED LOCATION`.
#[derive(Debug, Args)]
pub struct Set {
    /// The canned ACL
    #[arg(value_name = "CANNED", value_parser = ACLS)]
    pub acl: String,
    /// An object, or with -r a place
    #[arg(value_name = "LOCATION")]
    pub location: String,
    /// All objects below the place
    #[arg(short, long)]
    pub recursive: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the command's")]
    pub wish: Wish,
    /// Print JSON, one line an object
    #[arg(long)]
    pub json: bool,
}
