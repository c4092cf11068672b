//! What can be typed after `trash`.

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::exit::help;
use crate::cli::wire::Purpose;
use crate::config::units;
use crate::model::{RunName, Side};
use crate::sync::Stage;

/// `trash COMMAND`.
#[derive(Debug, Args)]
pub struct Trash {
    /// The command.
    #[command(subcommand)]
    pub command: Cmd,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Cmd {
    /// List what is kept
    #[command(after_help = help("\
Examples:
  mediasync trash list                       what all jobs keep
  mediasync trash list media                 of one job; both sides of a two-way job
  mediasync trash list media --side source   of one side
  mediasync trash list ./media --json        of a place"))]
    List(List),
    /// Put back what a run deleted or replaced
    #[command(after_help = help("\
A file is put back where nothing stands now, or what that run put there. With --to, each of them
is sent from there to another place too, if nobody changed it there since. The next run of a
mirror undoes what comes back at its copy alone: give it --to its source. The name of a two-way
job means both its sides. A restore that was interrupted goes on when it is repeated.

Examples:
  mediasync trash restore media --run 20261122T194503Z-3f2a91c4
  mediasync trash restore media photos/cat.jpg --side source
  mediasync trash restore backup --run 20261122T194503Z-3f2a91c4 --to live:"))]
    Restore(Restore),
    /// Delete what is kept, for good
    #[command(after_help = help("\
Never touches anything outside the trash, nor the versions that a bucket keeps by itself.

Examples:
  mediasync trash empty media --older-than 7d
  mediasync trash empty ./media -n"))]
    Empty(Empty),
}

/// A side of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SideArg {
    /// The job's source
    Source,
    /// The job's destination
    Destination,
}

impl SideArg {
    pub(super) fn side(self) -> Side {
        match self {
            Self::Source => Side::Source,
            Self::Destination => Side::Dest,
        }
    }
}

/// `trash list [PLACE]`.
#[derive(Debug, Args)]
pub struct List {
    /// A job, meaning the sides that it changes, or a place (default: all jobs)
    #[arg(value_name = "JOB|LOCATION")]
    pub place: Option<String>,
    /// Only this side of the job
    #[arg(long, value_enum)]
    pub side: Option<SideArg>,
    /// Only what this run put there
    #[arg(long, value_name = "RUN", value_parser = run_name)]
    pub run: Option<RunName>,
    /// Print JSON, one line a file
    #[arg(long)]
    pub json: bool,
}

/// `trash restore PLACE [KEY...]`.
#[derive(Debug, Args)]
pub struct Restore {
    /// A job, meaning the sides that it changes, or a place
    #[arg(value_name = "JOB|LOCATION")]
    pub place: String,
    /// Only this side of the job
    #[arg(long, value_enum)]
    pub side: Option<SideArg>,
    /// Files, or directories with all below them; without --run, what was put there last under each name
    #[arg(value_name = "KEY")]
    pub keys: Vec<String>,
    /// What this run put there
    #[arg(long, value_name = "RUN", value_parser = run_name)]
    pub run: Option<RunName>,
    /// Send what is put back to this place too
    #[arg(long, value_name = "LOCATION")]
    pub to: Option<String>,
    /// Also where somebody else changed it since; what is replaced goes to the trash
    #[arg(long)]
    pub overwrite: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the command's")]
    pub wish: Wish,
    /// Print JSON, one line a file
    #[arg(long)]
    pub json: bool,
}

/// `trash empty PLACE`.
#[derive(Debug, Args)]
pub struct Empty {
    /// A job, meaning the sides that it changes, or a place
    #[arg(value_name = "JOB|LOCATION")]
    pub place: String,
    /// Only this side of the job
    #[arg(long, value_enum)]
    pub side: Option<SideArg>,
    /// Only what has been kept for longer, like 7d or 12h
    #[arg(long, value_name = "TIME", value_parser = units::time)]
    pub older_than: Option<u64>,
    /// Only what this run put there
    #[arg(long, value_name = "RUN", value_parser = run_name)]
    pub run: Option<RunName>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the command's")]
    pub wish: Wish,
    /// Print JSON, one line a file
    #[arg(long)]
    pub json: bool,
}

/// Whether anything is changed, and whether somebody has to agree.
#[derive(Debug, Clone, Copy, Args)]
pub struct Wish {
    /// Show what would be done, change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Don't ask
    #[arg(long)]
    pub yes: bool,
}

impl Wish {
    /// What it takes: to look, or to change something.
    pub(super) fn purpose(self) -> (Purpose, Stage) {
        if self.dry_run { (Purpose::Look, Stage::Planned) } else { (Purpose::Change, Stage::Done) }
    }
}

fn run_name(text: &str) -> Result<RunName, String> {
    RunName::parse(text).ok_or_else(|| {
        "no run is called like that; mediasync trash list and history show names like 20261122T194503Z-3f2a91c4"
            .to_owned()
    })
}
