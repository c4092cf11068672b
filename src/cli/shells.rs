//! `completions`: what a shell has to know to complete what is typed.

use clap::{Args, ValueEnum};
use clap_complete::Shell;

use super::exit::Exit;
use super::output::Output;
use super::parse;

/// `completions SHELL`.
#[derive(Debug, Args)]
pub struct Completions {
    /// For which shell
    #[arg(value_enum)]
    pub shell: ShellArg,
}

/// The shells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ShellArg {
    /// Bash
    Bash,
    /// Zsh
    Zsh,
    /// Fish
    Fish,
}

/// The help of `completions`.
pub const HELP: &str = "\
The Debian package has them in place already.

Examples:
  mediasync completions bash > ~/.local/share/bash-completion/completions/mediasync
  mediasync completions zsh > ~/.zfunc/_mediasync      with ~/.zfunc in $fpath before compinit
  mediasync completions fish > ~/.config/fish/completions/mediasync.fish";

/// `completions SHELL`: prints the script.
pub(super) fn completions(args: &Completions, output: &Output) -> Exit {
    let shell = match args.shell {
        ShellArg::Bash => Shell::Bash,
        ShellArg::Zsh => Shell::Zsh,
        ShellArg::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut parse::command(), "mediasync", &mut script);
    output.data(String::from_utf8_lossy(&script).trim_end());
    Exit::Done
}
