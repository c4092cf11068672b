//! What can be typed after `ls`.

use clap::Args;

use crate::cli::exit;

/// `ls LOCATION`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that is typed or not")]
pub struct Ls {
    /// A place, a folder in one, or one file: live:photos, s3://bucket/a.jpg, env:NAME/photos, ./media
    #[arg(value_name = "LOCATION")]
    pub place: String,
    /// Sizes and times, too
    #[arg(short, long)]
    pub long: bool,
    /// Everything below it, not just one level
    #[arg(short, long)]
    pub recursive: bool,
    /// What belongs to mediasync, too: .mediasync/ with its trash
    #[arg(short, long)]
    pub all: bool,
    /// Print JSON, one line a file or folder
    #[arg(long)]
    pub json: bool,
}

/// What the help ends with.
pub fn help() -> String {
    format!(
        "\
Folders end in a slash. A level is asked for as one, however much is below its folders. Nothing
there: exit 1.

Examples:
  mediasync ls live:
  mediasync ls -l live:photos/2026
  mediasync ls -r --json s3://bucket/media

{}",
        exit::HELP
    )
}
