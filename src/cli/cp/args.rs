//! What can be typed after `cp`.

use clap::{Args, ValueEnum};

use crate::cli::args::Rules;
use crate::cli::exit;
use crate::config::ACLS;

/// `cp SRC DST`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that is typed or not")]
pub struct Cp {
    /// A file, or with -r a folder: ./a.jpg, live:photos/a.jpg, s3://bucket/a.jpg, env:NAME/a.jpg
    #[arg(value_name = "SRC")]
    pub source: String,
    /// Where to: a folder (there is one, or it ends in a slash) takes it under its name, else it is the name
    #[arg(value_name = "DST")]
    pub destination: String,
    /// All files below SRC, to the same places below DST
    #[arg(short, long)]
    pub recursive: bool,
    /// Show what would be done, change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Replace what is there and differs; it goes to the trash
    #[arg(long)]
    pub overwrite: bool,
    /// Keep nothing of what --overwrite replaces
    #[arg(long, value_name = "off", value_enum, hide_possible_values = true, requires = "overwrite")]
    pub trash: Option<TrashArg>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the command's")]
    pub rules: Rules,
    /// Canned ACL for new objects, like public-read
    #[arg(long, value_parser = ACLS)]
    pub acl: Option<String>,
    /// Don't ask before a remote with access = "confirm" is changed
    #[arg(long)]
    pub yes: bool,
    /// Print JSON, one line a file
    #[arg(long)]
    pub json: bool,
}

/// `--trash`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TrashArg {
    /// Nothing is kept
    Off,
}

/// What the help ends with.
pub fn help() -> String {
    format!(
        "\
With -r the files below SRC go below DST; the name of SRC itself is not kept, whether DST exists
or not: cp -r ./photos live:photos. What DST holds with the same content is not sent again. What
differs there is told and stays, without --overwrite. Junk like .DS_Store is left out by -r.

Examples:
  mediasync cp ./a.jpg live:photos/          into a folder, under its name
  mediasync cp ./a.jpg live:photos/b.jpg     as that name
  mediasync cp live:photos/a.jpg ./          to here
  mediasync cp live:a.jpg backup:x.jpg       from one remote to another
  mediasync cp -r -n live:photos/2026 ./2026 show what would be copied

{}",
        exit::HELP
    )
}
