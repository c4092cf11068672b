//! What every command needs first: the configuration, the state directory and the printer.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use super::args::Global;
use super::commands::Commands;
use super::failure::Failure;
use super::output::Output;
use super::place::World;
use super::shell;
use super::texts::Texts;
use crate::config::places::{self, Env, Origin};
use crate::config::{Config, Inline};
use crate::location::{self, Found};

/// What every command needs.
#[derive(Debug)]
pub struct Setup {
    /// The printer.
    pub output: Arc<Output>,
    /// The configuration; empty if there is none.
    pub config: Config,
    /// The file that it came from.
    pub config_file: Option<PathBuf>,
    /// Where to remember what both sides held. May not exist yet.
    pub state_dir: PathBuf,
    /// What a later command has to repeat to find the same configuration and state: ` --state-dir DIR`, or nothing.
    pub repeated: String,
    /// What people should know about the file, once.
    pub warning: Option<String>,
    /// The root of the project around the current directory.
    pub project: Option<PathBuf>,
    /// The commands that print DSNs.
    pub commands: Arc<Commands>,
    /// Texts that hold DSNs.
    pub texts: Texts,
    /// For whom it works.
    pub master: Master,
}

/// For whom a command works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Master {
    /// Whoever typed it.
    Person,
    /// The daemon, which has freed the pair.
    Daemon,
}

/// The flags that say where configuration and state are, as they were given.
fn repeated(global: &Global) -> String {
    let flag = |(flag, path): (&str, &Option<PathBuf>)| {
        let path = path.as_ref()?;
        Some(format!(" {flag} {}", shell::path(&path.display().to_string())))
    };
    [("--config", &global.config), ("--state-dir", &global.state_dir)].into_iter().filter_map(flag).collect()
}

impl Setup {
    /// For a process that tells people elsewhere, in a log or a message: the flags with which a command finds the same
    /// configuration and state from any directory, and without the variables of a service.
    #[must_use]
    pub fn told_elsewhere(mut self, global: &Global, env: Env<'_>) -> Self {
        let by_variable = self.config.state_dir.is_none() && env("STATE_DIRECTORY").is_some();
        let here = std::env::current_dir().unwrap_or_default();
        let found = places::config_file(global.config.as_deref(), (&here, self.project.as_deref()), env, Path::exists);
        let origin = found.map(|(_, origin)| origin);
        let moves = matches!(origin, Some(Origin::Flag | Origin::Project));
        let is_own = origin == Some(Origin::System) && self.state_dir == Path::new(places::SYSTEM_STATE);
        let config = self.config_file.clone().filter(|_| moves);
        let state_dir = Some(self.state_dir.clone()).filter(|_| global.state_dir.is_some() || (by_variable && !is_own));
        self.repeated = repeated(&Global { config, state_dir, verbose: 0, quiet: false });
        self
    }

    /// Reads the configuration and finds the state directory.
    ///
    /// # Errors
    /// All mistakes of the file; a missing file that `--config` names; no place for the state.
    pub fn new(global: &Global, output: Arc<Output>, env: Env<'_>) -> Result<Self, Failure> {
        // Without a current directory only absolute paths mean anything, and those work.
        let here = std::env::current_dir().unwrap_or_default();
        let project = places::project_root(&here, Path::exists);
        let found = places::config_file(global.config.as_deref(), (&here, project.as_deref()), env, Path::exists);
        let ((config, warning), origin) = match &found {
            Some((path, origin)) => (read(&absolute(path)?)?, Some(*origin)),
            None => ((Config::default(), None), None),
        };
        let state_dir = state_dir(global, &config, origin, env)?;
        let (repeated, master) = (repeated(global), Master::Person);
        let (commands, config_file) = (Arc::new(Commands::new(config.base())), found.map(|_| config.path.clone()));
        Ok(Self {
            output,
            config_file,
            config,
            state_dir,
            repeated,
            warning,
            project,
            commands,
            texts: Texts::default(),
            master,
        })
    }

    /// With a configuration that is no file yet.
    ///
    /// # Errors
    /// No place for the state.
    pub(super) fn of(global: &Global, output: Arc<Output>, env: Env<'_>, config: Config) -> Result<Self, Failure> {
        let here = std::env::current_dir().unwrap_or_default();
        let origin = if config.path == Path::new(places::SYSTEM_FILE) { Origin::System } else { Origin::Project };
        Ok(Self {
            output,
            commands: Arc::new(Commands::new(config.base())),
            config_file: Some(config.path.clone()),
            state_dir: state_dir(global, &config, Some(origin), env)?,
            config,
            repeated: repeated(global),
            warning: None,
            project: places::project_root(&here, Path::exists),
            texts: Texts::default(),
            master: Master::Person,
        })
    }

    /// Without the configuration, which can't be used: only what a daemon is asked by. `None` where no state directory can be
    /// told, or none was named or found.
    pub fn without_config(global: &Global, output: Arc<Output>, env: Env<'_>) -> Option<Self> {
        let here = std::env::current_dir().unwrap_or_default();
        let project = places::project_root(&here, Path::exists);
        let (path, origin) =
            places::config_file(global.config.as_deref(), (&here, project.as_deref()), env, Path::exists)?;
        let path = absolute(&path).ok()?;
        let text = fs::read_to_string(&path).unwrap_or_default();
        let config = Config { state_dir: Config::state_dir_of(&text, &path), ..Config::default() };
        let state_dir = state_dir(global, &config, Some(origin), env).ok()?;
        Some(Self {
            output,
            commands: Arc::new(Commands::new(config.base())),
            config_file: Some(path),
            config,
            state_dir,
            repeated: repeated(global),
            warning: None,
            project,
            texts: Texts::default(),
            master: Master::Person,
        })
    }

    /// The same for a run inside of the daemon, which tells somebody else.
    #[must_use]
    pub fn telling(&self, output: Arc<Output>) -> Self {
        Self {
            output,
            config: self.config.clone(),
            config_file: self.config_file.clone(),
            state_dir: self.state_dir.clone(),
            repeated: self.repeated.clone(),
            warning: None,
            project: self.project.clone(),
            commands: Arc::new(Commands::new(self.config.base())),
            texts: Texts::default(),
            master: Master::Daemon,
        }
    }

    /// Whether the daemon serves it already.
    pub fn is_served(&self) -> bool {
        self.master == Master::Daemon
    }

    /// The world as the commands see it.
    pub fn world<'a>(&'a self, env: Env<'a>) -> World<'a> {
        World {
            env,
            found: &found,
            settle: &location::settle,
            texts: &self.texts,
            config: &self.config,
            repeated: &self.repeated,
            commands: &self.commands,
            project: self.project.as_deref(),
        }
    }
}

fn state_dir(global: &Global, config: &Config, origin: Option<Origin>, env: Env<'_>) -> Result<PathBuf, Failure> {
    let dir = places::state_dir(global.state_dir.as_deref(), config.state_dir.as_deref(), origin, env);
    absolute(&dir.map_err(Failure::usage)?)
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::error(format!("can't resolve {}: {error}", shown(path))))
}

/// The configuration file that a command here reads, as a whole path, and why that one.
///
/// # Errors
/// There is no current directory that its path could start from.
pub(super) fn named_file(global: &Global, env: Env<'_>) -> Result<Option<(PathBuf, Origin)>, Failure> {
    let here = std::env::current_dir().unwrap_or_default();
    let project = places::project_root(&here, Path::exists);
    let found = places::config_file(global.config.as_deref(), (&here, project.as_deref()), env, Path::exists);
    found.map(|(path, origin)| Ok((absolute(&path)?, origin))).transpose()
}

/// There is no configuration file; `what` says what it was wanted for.
pub(super) fn no_file(what: &str, env: Env<'_>) -> Failure {
    let here = std::env::current_dir().unwrap_or_default();
    let project = places::project_root(&here, Path::exists);
    let looked = places::candidates((&here, project.as_deref()), env).map(|(path, _)| shown(&path));
    let message = format!("{what}; looked for {}", looked.collect::<Vec<_>>().join(", "));
    Failure::usage(message).hint("mediasync init makes one; one that is elsewhere is named with --config FILE")
}

/// The text of a configuration file.
///
/// # Errors
/// It can't be read.
pub(super) fn read_text(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| unreadable(path, &error))
}

/// The configuration, and what is wrong with how the file lies there.
fn read(path: &Path) -> Result<(Config, Option<String>), Failure> {
    let text = read_text(path)?;
    let config = Config::parse(&text, path).map_err(|mistakes| {
        let told: Vec<String> = mistakes.iter().map(|mistake| format!("  {mistake}")).collect();
        Failure::usage(format!("{} has mistakes:\n{}", shown(path), told.join("\n")))
            .hint("config.example.toml has every key, with comments; mediasync config check looks further")
    })?;
    let metadata = fs::metadata(path).ok().filter(|_| config.secrets == Inline::Secrets);
    let warning = metadata.and_then(|metadata| places::mode_warning(path, metadata.mode()));
    Ok((config, warning))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("can't read the configuration {}: {error}", shown(path)))
}

/// A path for people.
pub fn shown(path: &Path) -> String {
    let mut text = String::new();
    for c in path.display().to_string().chars() {
        if c.is_control() { text.extend(c.escape_unicode()) } else { text.push(c) }
    }
    text
}

fn found(path: &Path) -> Found {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Found::Directory,
        Ok(_) => Found::File,
        Err(_) => Found::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::cli::human::Colour;
    use crate::cli::output::{Format, Verbosity};

    fn setup(global: &Global) -> Result<Setup, Failure> {
        let output = Arc::new(Output::new(Format::Human, Verbosity::Quiet, Colour::Off));
        Setup::new(global, output, &|name| (name == "HOME").then(|| "/home/nobody".to_owned()))
    }

    fn global(config: PathBuf) -> Global {
        Global { config: Some(config), state_dir: None, verbose: 0, quiet: true }
    }

    #[test]
    fn mistakes_name_the_file_and_exit_with_2() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        fs::write(&file, "a = 1\nb = 2\n").unwrap();
        let failure = setup(&global(file.clone())).unwrap_err();
        assert_eq!(failure.exit.code(), 2);
        assert!(failure.message.contains("c.toml has mistakes:\n  line 1: a: "), "{}", failure.message);
        assert!(failure.message.contains("\n  line 2: b: "), "{}", failure.message);
        let missing = setup(&global(dir.path().join("none.toml"))).unwrap_err();
        assert_eq!(missing.exit.code(), 2);
        assert!(missing.message.contains("none.toml"), "{}", missing.message);
    }

    #[test]
    fn commands_that_are_told_elsewhere_have_whole_paths_and_no_need_of_variables() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        fs::write(&file, "").unwrap();
        let here = std::env::current_dir().unwrap();
        let relative =
            here.ancestors().skip(1).map(|_| "..").collect::<PathBuf>().join(file.strip_prefix("/").unwrap());
        let told = |global: &Global, set: &[(&str, &str)]| {
            let env = |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            let output = Arc::new(Output::new(Format::Human, Verbosity::Quiet, Colour::Off));
            Setup::new(global, output, &env).unwrap().told_elsewhere(global, &env).repeated
        };
        let (home, config) = (("HOME", "/home/nobody"), format!(" --config {}", file.display()));
        let plain = told(&global(relative.clone()), &[home]);
        assert!(Path::new(plain.strip_prefix(" --config ").unwrap()).is_absolute(), "{plain}");
        assert_eq!(told(&global(file.clone()), &[home]), config);
        let service = told(&global(file.clone()), &[home, ("STATE_DIRECTORY", "/var/lib/mediasync")]);
        assert_eq!(service, format!("{config} --state-dir /var/lib/mediasync"));
        let given = Global { state_dir: Some("/s".into()), ..global(file) };
        assert_eq!(told(&given, &[home]), format!("{config} --state-dir /s"));
    }

    #[test]
    fn paths_of_the_file_start_from_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        fs::write(&file, "[state]\ndir = \"here\"\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let setup = setup(&global(file)).unwrap();
        assert_eq!(setup.state_dir, dir.path().join("here"));
    }

    #[test]
    fn control_characters_of_paths_are_escaped() {
        assert_eq!(shown(Path::new("a\nb c\u{e9}")), "a\\u{a}b cé");
    }
}
