//! From arguments to [`Cli`], with what single commands say differently from the others that share their flags.

use std::ffi::OsString;

use clap::{Command, CommandFactory, FromArgMatches};

use super::args::Cli;

/// All commands and flags. A pull fills a directory, which has no ACLs of its own: there `--acl` is not offered.
pub fn command() -> Command {
    Cli::command()
        .mut_subcommand("pull", |pull| pull.mut_arg("acl", |acl| acl.hide(true)))
        .mut_subcommand("trash", |trash| trash.mut_subcommand("restore", |restore| restore.mut_arg("yes", asks_less)))
}

/// Reads the command line.
///
/// # Errors
/// What clap has to say, help and version too.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(help_as_a_flag(args))?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// A restore asks nothing by itself.
fn asks_less(yes: clap::Arg) -> clap::Arg {
    yes.help("Don't ask before a remote with access = \"confirm\" is changed")
}

/// `help COMMAND` is `COMMAND --help`.
fn help_as_a_flag(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    if args.get(1).is_some_and(|first| first == "help") {
        args.remove(1);
        args.push("--help".into());
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_a_word_as_well_as_a_flag() {
        let told = |args: &[&str]| {
            let args = std::iter::once("mediasync").chain(args.iter().copied()).map(OsString::from);
            parse(args).unwrap_err().to_string()
        };
        assert_eq!(told(&["help"]), told(&["--help"]));
        assert_eq!(told(&["help", "trash", "empty"]), told(&["trash", "empty", "--help"]));
        let restore = told(&["help", "trash", "restore"]);
        assert!(restore.contains("before a remote with access"), "{restore}");
        assert!(told(&["push", "--help"]).contains("can't be left out"));
    }
}
