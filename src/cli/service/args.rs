//! What can be typed after `service`.

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::exit::help;

/// `service COMMAND`.
#[derive(Debug, Args)]
pub struct Service {
    /// The command.
    #[command(subcommand)]
    pub command: Cmd,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Cmd {
    /// Print the unit that install would write
    #[command(after_help = help("\
Examples:
  mediasync service print
  mediasync service print photos --manager launchd"))]
    Print(Which),
    /// Write the unit, and say how to start it; replaces only what it wrote itself
    #[command(after_help = help("\
Examples:
  mediasync service install --user photos
  sudo mediasync service install --config /etc/mediasync/config.toml"))]
    Install(Which),
    /// Remove the unit that install wrote
    #[command(after_help = help("\
Examples:
  mediasync service uninstall --user photos
  sudo mediasync service uninstall"))]
    Uninstall(Which),
}

/// Which unit.
#[derive(Debug, Clone, Args)]
pub struct Which {
    /// Names of jobs (default: all of them)
    #[arg(value_name = "JOB")]
    pub jobs: Vec<String>,
    /// The service manager (default: that of this system)
    #[arg(long, value_enum)]
    pub manager: Option<Manager>,
    /// A service of this user, and not of the system
    #[arg(long)]
    pub user: bool,
}

/// `--manager`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Manager {
    /// Of Linux
    Systemd,
    /// Of macOS
    Launchd,
}

/// Whose service it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The system's: started with it.
    System,
    /// A user's: started when they log in.
    User,
}

impl Which {
    /// The manager that was named, or this system's.
    pub fn manager(&self) -> Manager {
        self.manager.unwrap_or(if cfg!(target_os = "macos") { Manager::Launchd } else { Manager::Systemd })
    }

    /// Whose service it is.
    pub fn scope(&self) -> Scope {
        if self.user { Scope::User } else { Scope::System }
    }
}
