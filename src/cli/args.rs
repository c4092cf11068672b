//! What can be typed, as clap reads it. Nothing here touches a file, a variable or the configuration:
//! [`super::resolve`] turns it into what is meant.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

pub use super::rules::Rules;

use super::exit::{self, help};
use super::settle::Resolve;
use crate::config::{ACLS, units};
use crate::model::{Keep, Symlinks};
use crate::plan::{Budget, Compare};
use crate::replica::throttle::Timetable;

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "mediasync", version, about, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = exit::HELP, max_term_width = 100)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Cmd,
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// The configuration file
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Where to remember what both sides held
    #[arg(long, value_name = "DIR", global = true)]
    pub state_dir: Option<PathBuf>,
    /// Name each action as it is done, and in a dry run also what is only recorded; -vv and -vvv log details
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Print only problems
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Cmd {
    /// Send a local directory to a remote: adds and updates
    #[command(override_usage = "mediasync push [OPTIONS] [LOCAL] REMOTE", after_help = help("\
Examples:
  mediasync push live:                       the project's media directory to the remote \"live\"
  mediasync push ./media s3://bucket/media   a directory to a bucket prefix
  mediasync push -n --delete live:           show what would be done, deletions included"))]
    Push(Push),
    /// Fetch a remote into a local directory: adds and updates
    #[command(override_usage = "mediasync pull [OPTIONS] [REMOTE] [LOCAL]", after_help = help("\
Examples:
  mediasync pull                             DEFAULT_STORAGE_DSN to the project's media
  mediasync pull live: ./media               the remote \"live\" to a directory
  mediasync pull -n --delete live:           show what would be done, deletions included"))]
    Pull(Pull),
    /// Make a place exactly like another; what it has besides is deleted there
    #[command(after_help = help("\
Examples:
  mediasync mirror -n ./media live:          show what would be done
  mediasync mirror ./media /backup/media     to another directory
  mediasync mirror ./media s3://b --max-delete 10
  mediasync mirror backup: live: --no-delete bring back what is missing or damaged"))]
    Mirror(Mirror),
    /// Run the jobs of the configuration once; goes on past a failed one
    #[command(after_help = help("\
Examples:
  mediasync sync                             all jobs
  mediasync sync media --dry-run             show what the job \"media\" would do"))]
    Sync(Sync),
    /// Run jobs for good: changes at once, schedules at their times
    #[command(after_help = help(super::daemon::args::HELP))]
    Daemon(super::daemon::args::Daemon),
    /// Show how each job stands, and what is left to do by hand
    #[command(after_help = super::status::args::HELP)]
    Status(super::status::args::Status),
    /// Tell the daemon to leave a job alone, or all
    #[command(after_help = help(super::pause::HELP_PAUSE))]
    Pause(super::pause::Which),
    /// Tell the daemon to go on with a job, or with all
    #[command(after_help = help(super::pause::HELP_RESUME))]
    Resume(super::pause::Which),
    /// List the runs so far
    #[command(after_help = help("\
Examples:
  mediasync history
  mediasync history media --json"))]
    History(History),
    /// Do exactly what a halted run had planned
    #[command(after_help = help("\
Each action is still only done where nothing has changed since.

Examples:
  mediasync approve media 0123456789abcdef"))]
    Approve(Approve),
    /// Settle a conflict: take one side's content, or both
    #[command(after_help = help("\
Looks at the file at both sides now, and does that for it and nothing else.

Examples:
  mediasync resolve media photo.jpg --take source
  mediasync resolve media photo.jpg --take both -n"))]
    Resolve(Resolve),
    /// List what runs deleted or replaced, put it back, or delete it for good
    #[command(arg_required_else_help = true, disable_help_subcommand = true, after_help = help("\
Examples:
  mediasync trash list media                 what is kept at the destination of the job \"media\"
  mediasync trash restore media --run RUN    put back all that a run took away
  mediasync trash empty media --older-than 7d"))]
    Trash(super::trash::args::Trash),
    /// Show or set who may read objects, without sending them again
    #[command(arg_required_else_help = true, disable_help_subcommand = true, after_help = help(super::acl::args::HELP))]
    Acl(super::acl::args::Acl),
    /// Show, set or delete the CORS rules of a bucket
    #[command(arg_required_else_help = true, disable_help_subcommand = true, after_help = help(super::cors::args::HELP))]
    Cors(super::cors::args::Cors),
    /// Forget what this host remembers of a pair; touches no file and no object
    #[command(after_help = help("\
Takes a pair out of status and history, with its stored plans. If it runs again, equal files are
recognised and nothing is deleted; a mirror asks again.

Examples:
  mediasync forget 79c2c9a9614d6e7e          a pair as status names it
  mediasync forget media                     the pair of the job \"media\""))]
    Forget(Forget),
    /// Print, install or remove a unit for the service manager, made from the configuration
    #[command(arg_required_else_help = true, disable_help_subcommand = true, after_help = help("\
Examples:
  mediasync service print                    what install would write
  sudo mediasync service install             a service of the system, with all jobs
  mediasync service install --user photos    one of your own, with one job"))]
    Service(super::service::args::Service),
    /// List what a place has
    #[command(after_help = super::ls::args::help())]
    Ls(super::ls::args::Ls),
    /// Copy a file, or with -r all files below a folder, from any place to any other
    #[command(after_help = super::cp::args::help())]
    Cp(super::cp::args::Cp),
    /// Compare what two places hold, by checksums or byte by byte
    #[command(override_usage = "mediasync verify [OPTIONS] <JOB|SRC DST>", after_help = super::verify::args::help())]
    Verify(super::verify::args::Verify),
    /// List the junk that was pushed to a remote, and remove it
    #[command(after_help = super::trash::purge::help())]
    PurgeJunk(super::trash::purge::Purge),
    /// Print the URL of a file, the public one or one that is good for a while
    #[command(after_help = super::url::help())]
    Url(super::url::Url),
    /// Set up a first job: finds DSNs, tries the connection, writes the configuration
    #[command(after_help = help(super::init::HELP))]
    Init(super::init::Init),
    /// Check the configuration, or show what holds and where it comes from
    #[command(arg_required_else_help = true, disable_help_subcommand = true, after_help = help(super::conf::HELP))]
    Config(super::conf::Conf),
    /// Show the parts of a storage DSN
    #[command(arg_required_else_help = true, disable_help_subcommand = true, after_help = help(super::storage::HELP_DSN))]
    Dsn(super::storage::Dsn),
    /// Hand the credentials of a remote to another program
    #[command(arg_required_else_help = true, disable_help_subcommand = true, after_help = help(super::storage::HELP_REMOTE))]
    Remote(super::storage::Remote),
    /// Find out why it does not work: one line a check, with what to do
    #[command(after_help = super::doctor::args::HELP)]
    Doctor(super::doctor::args::Doctor),
    /// Print what a shell needs to complete commands and flags
    #[command(after_help = help(super::shells::HELP))]
    Completions(super::shells::Completions),
    /// Print manual pages
    #[command(after_help = help(super::manual::HELP))]
    Man(super::manual::Manual),
    /// Do exactly what a saved plan says
    #[command(after_help = help("\
Refuses when a side has changed since.

Examples:
  mediasync push ./media live: --save-plan plan.json
  mediasync apply plan.json"))]
    Apply(Apply),
}

/// `push [LOCAL] REMOTE`.
#[derive(Debug, Args)]
pub struct Push {
    /// The local directory; left out, it is the project's media directory
    #[arg(value_name = "LOCAL")]
    pub first: Option<String>,
    /// The remote place, which can't be left out; a single argument is this
    #[arg(value_name = "REMOTE")]
    pub second: Option<String>,
    /// Delete at the remote what was deleted locally since the last run
    #[arg(long)]
    pub delete: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the command's")]
    pub run: RunArgs,
}

/// `pull [REMOTE] [LOCAL]`.
#[derive(Debug, Args)]
pub struct Pull {
    /// The remote place; left out, it is env:DEFAULT_STORAGE_DSN
    #[arg(value_name = "REMOTE")]
    pub first: Option<String>,
    /// The local directory; left out, it is the project's media directory
    #[arg(value_name = "LOCAL")]
    pub second: Option<String>,
    /// Delete locally what was deleted at the remote since the last run
    #[arg(long)]
    pub delete: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the command's")]
    pub run: RunArgs,
}

/// `mirror SRC DST`.
#[derive(Debug, Args)]
pub struct Mirror {
    /// What it is made like
    #[arg(value_name = "SRC")]
    pub source: String,
    /// What is made exact
    #[arg(value_name = "DST")]
    pub destination: String,
    /// Only put there what is missing or differs; what DST has besides stays
    #[arg(long)]
    pub no_delete: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the command's")]
    pub run: RunArgs,
}

/// `sync [JOB...]`.
#[derive(Debug, Args)]
pub struct Sync {
    /// Names of jobs (default: all of them)
    #[arg(value_name = "JOB")]
    pub jobs: Vec<String>,
    /// Look at each object that header rules are for, and give back what it lost
    #[arg(long)]
    pub repair: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the command's")]
    pub run: RunArgs,
}

/// `history [JOB]`.
#[derive(Debug, Args)]
pub struct History {
    /// Name of a job (default: all of them)
    pub job: Option<String>,
    /// Show at most this many runs of each pair
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Print JSON, one line a run
    #[arg(long)]
    pub json: bool,
}

/// `approve JOB HASH`.
#[derive(Debug, Args)]
pub struct Approve {
    /// Name of the job, or the name of the pair that the halt printed
    pub job: String,
    /// The hash that the halt printed
    pub hash: String,
    /// Print JSON, one line an event
    #[arg(long)]
    pub json: bool,
}

/// `forget PAIR`.
#[derive(Debug, Args)]
pub struct Forget {
    /// Name of the pair, as status has it, or of a job
    pub pair: String,
    /// Also if large uploads are in progress: their parts stay at the server
    #[arg(long)]
    pub leave_uploads: bool,
}

/// `apply FILE`.
#[derive(Debug, Args)]
pub struct Apply {
    /// The plan
    pub file: PathBuf,
    /// Print JSON, one line an event
    #[arg(long)]
    pub json: bool,
    /// Don't ask before a remote with access = "confirm" is changed
    #[arg(long)]
    pub yes: bool,
}

/// What push, pull, mirror and sync share.
#[derive(Debug, Default, Args)]
#[expect(missing_docs, reason = "clap would take texts at flattened groups for the command's")]
pub struct RunArgs {
    #[command(flatten)]
    pub how: How,
    #[command(flatten)]
    pub scope: Scope,
    #[command(flatten)]
    pub leave: Leave,
    #[command(flatten)]
    pub pace: Pace,
}

/// Whether and how it is told.
#[derive(Debug, Default, Args)]
pub struct How {
    /// Show what would be done, change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Print JSON, one line an event
    #[arg(long)]
    pub json: bool,
    /// Write what would be done to a file for `mediasync apply`, change nothing
    #[arg(long, value_name = "FILE")]
    pub save_plan: Option<PathBuf>,
}

/// What is in scope.
#[derive(Debug, Clone, Default, Args)]
#[expect(missing_docs, reason = "clap would take the text at the flattened rules for the command's")]
pub struct Scope {
    /// Only this file or directory below the places
    #[arg(long, value_name = "PATH")]
    pub only: Option<String>,
    #[command(flatten)]
    pub rules: Rules,
    /// Take .DS_Store, Thumbs.db and the like too
    #[arg(long)]
    pub no_default_excludes: bool,
    /// What becomes of symbolic links in a directory (default: skip, or what the job says)
    #[arg(long, value_enum, hide_possible_values = true, value_name = "skip|follow|store")]
    pub symlinks: Option<SymlinksArg>,
    /// Only files of at least this size, like 1KiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub min_size: Option<u64>,
    /// Only files of at most this size, like 1GiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_size: Option<u64>,
}

/// What is allowed.
#[derive(Debug, Default, Args)]
pub struct Leave {
    /// The source wins where both sides changed
    #[arg(long)]
    pub overwrite: bool,
    /// Delete at most this many files, like 100 or 10%, whatever happened before
    #[arg(long, value_name = "N|N%", value_parser = units::budget)]
    pub max_delete: Option<Budget>,
    /// Overwrite at most this many files, like 100 or 10%, whatever happened before
    #[arg(long, value_name = "N|N%", value_parser = units::budget)]
    pub max_overwrite: Option<Budget>,
    /// How long to keep what is deleted, or replaced though somebody else changed it, like 30d or 12h; or off
    #[arg(long, value_name = "TIME|off", value_parser = units::keep)]
    pub trash: Option<Keep>,
    /// Canned ACL for new objects, like public-read
    #[arg(long, value_parser = ACLS)]
    pub acl: Option<String>,
    /// Don't ask before a remote with access = "confirm" is changed
    #[arg(long)]
    pub yes: bool,
}

/// How fast and how thoroughly.
#[derive(Debug, Default, Args)]
pub struct Pace {
    /// Transfers at the same time
    #[arg(long, value_name = "N", value_parser = units::concurrency)]
    pub concurrency: Option<usize>,
    /// At most so many bytes per second, like 2MiB; or by the time of day, like '08:00-18:00 2MiB, off'
    #[arg(long, value_name = "RATE", value_parser = units::bandwidth)]
    pub bwlimit: Option<Timetable>,
    /// How to compare where metadata can't tell whether two files are equal
    #[arg(long, value_enum)]
    pub compare: Option<CompareArg>,
}

/// `--compare`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompareArg {
    /// Report a conflict
    Metadata,
    /// Read the remote file
    Download,
}

impl From<CompareArg> for Compare {
    fn from(arg: CompareArg) -> Self {
        match arg {
            CompareArg::Metadata => Self::Metadata,
            CompareArg::Download => Self::Download,
        }
    }
}

/// `--symlinks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SymlinksArg {
    /// Leave them out
    Skip,
    /// Take what they lead to
    Follow,
    /// Keep them as files that name what they lead to
    Store,
}

impl From<SymlinksArg> for Symlinks {
    fn from(arg: SymlinksArg) -> Self {
        match arg {
            SymlinksArg::Skip => Self::Skip,
            SymlinksArg::Follow => Self::Follow,
            SymlinksArg::Store => Self::Store,
        }
    }
}

fn size(text: &str) -> Result<u64, String> {
    units::bytes(text, units::Bare::Bytes)
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::*;
    use crate::model::Rule;

    fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("mediasync").chain(args.iter().copied()))
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn rules_keep_the_order_in_which_they_were_typed() {
        let cli = parse(&["push", "--include", "a", "--exclude=b", "live:", "--include=c", "--exclude", "d"]).unwrap();
        let Cmd::Push(push) = cli.command else { panic!("not push") };
        let expected = [
            Rule::Include("a".into()),
            Rule::Exclude("b".into()),
            Rule::Include("c".into()),
            Rule::Exclude("d".into()),
        ];
        assert_eq!(push.run.scope.rules.0, expected);
        assert_eq!((push.first.as_deref(), push.second), (Some("live:"), None));
    }

    #[test]
    fn amounts_are_checked_while_parsing() {
        for wrong in [
            ["push", "a:", "--bwlimit=2"],
            ["push", "a:", "--max-delete=x"],
            ["push", "a:", "--concurrency=0"],
            ["push", "a:", "--compare=guess"],
            ["push", "a:", "--acl=pubic-read"],
            ["push", "a:", "--max-size=1M"],
            ["push", "a:", "--exclude=[a"],
        ] {
            let error = parse(&wrong).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{wrong:?}");
        }
        let told = parse(&["push", "a:", "--bwlimit=2"]).unwrap_err().to_string();
        assert!(told.contains("write 2KiB, 2MiB or 2GiB"), "{told}");
    }

    #[test]
    fn every_command_has_examples_and_its_exit_status_in_the_help() {
        let mut command = Cli::command();
        let check = |sub: &mut Command| {
            let help = sub.render_long_help().to_string();
            assert!(help.contains("Examples:\n  mediasync "), "{help}");
            assert!(help.contains("Exit status:\n  0 "), "{help}");
            // What is longer is wrapped again where lines of their own were meant; a terminal may be narrower than 100.
            let end = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            let long: Vec<&str> = end.lines().filter(|line| line.chars().count() > 96).collect();
            assert!(!end.is_empty() && long.is_empty(), "{}: {long:#?}", sub.get_name());
        };
        for sub in command.get_subcommands_mut() {
            check(sub);
            sub.get_subcommands_mut().for_each(check);
        }
        assert!(command.render_long_help().to_string().contains("130  interrupted"));
    }

    #[test]
    fn commands_of_later_versions_are_not_listed() {
        let command = Cli::command();
        let names: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        assert_eq!(
            names,
            [
                "push",
                "pull",
                "mirror",
                "sync",
                "daemon",
                "status",
                "pause",
                "resume",
                "history",
                "approve",
                "resolve",
                "trash",
                "acl",
                "cors",
                "forget",
                "service",
                "ls",
                "cp",
                "verify",
                "purge-junk",
                "url",
                "init",
                "config",
                "dsn",
                "remote",
                "doctor",
                "completions",
                "man",
                "apply"
            ]
        );
    }
}
