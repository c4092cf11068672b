//! `init`: a first configuration, by questions on a terminal or by flags. Tries the connection, shows what a first run would
//! do, and only then writes; until its end nothing is left behind.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

mod ask;
mod find;
mod look;
mod questions;
mod readers;
mod text;
mod write;

use ask::{Asker, Usual, stopped};
use questions::{Answers, Round};
use readers::AclArg;
use text::{Kept, Plan, Target};

use super::args::Global;
use super::exit::Exit;
use super::failure::Failure;
use super::interrupt::or_interrupted;
use super::output::Output;
use super::place::World;
use super::private::{self, Seen};
use super::setup::{Setup, shown};
use super::{service, shell};
use crate::config::places::{self, Env};
use crate::config::{Config, units};

/// `init`.
#[derive(Debug, Clone, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct Init {
    /// The local media directory (default: that of the project)
    #[arg(long, value_name = "PATH")]
    pub source: Option<String>,
    /// Where it goes: env:NAME, s3://BUCKET/PREFIX, az://ACCOUNT/CONTAINER/PREFIX, a DSN, or a directory
    #[arg(long, value_name = "PLACE")]
    pub remote: Option<String>,
    /// The name of the job (default: that of the directory)
    #[arg(long)]
    pub name: Option<String>,
    /// How the sides relate (default: copy)
    #[arg(long, value_enum)]
    pub mode: Option<ModeArg>,
    /// Who may read what is pushed to a bucket (default: what its DSN says, else the bucket decides)
    #[arg(long, value_enum)]
    pub acl: Option<AclArg>,
    /// The daemon runs it so often, like 15m
    #[arg(long, value_name = "TIME", value_parser = every)]
    pub every: Option<String>,
    /// The daemon acts on changes as they happen
    #[arg(long)]
    pub watch: bool,
    /// Where the secret of a DSN is kept: in a file of its own, or in the configuration (default: where it is)
    #[arg(long, value_enum)]
    pub secret_in: Option<SecretIn>,
    /// Install a service of this user, too
    #[arg(long)]
    pub service: bool,
    /// Replace a configuration that is there
    #[arg(long)]
    pub overwrite: bool,
    /// Ask nothing: what no flag says has its default
    #[arg(long)]
    pub yes: bool,
}

/// The help of `init`.
pub const HELP: &str = "\
On a terminal it asks for what no flag says. It finds storage DSNs in the environment and in the
project's .env files, tries the connection, shows what a first run would do, and writes
mediasync.toml (or --config FILE) with a mode of 0600. A secret stays where it is, and the
configuration names its variable. An existing configuration is kept, unless --overwrite says
otherwise.

Examples:
  mediasync init
  mediasync init --source ./media --remote env:DEFAULT_STORAGE_DSN --watch
  mediasync init --yes --source /srv/media --remote s3://bucket --every 15m";

/// `--mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModeArg {
    /// Adds and updates
    Copy,
    /// Makes the remote exactly like the directory
    Mirror,
    /// Gives each side what the other one changed
    TwoWay,
}

/// `--secret-in`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SecretIn {
    /// A file beside the configuration of the user
    File,
    /// The configuration itself
    Config,
}

impl Init {
    /// Without answers to questions.
    fn only_how(&self) -> Self {
        Self { overwrite: self.overwrite, yes: self.yes, ..Self::default() }
    }
}

fn every(text: &str) -> Result<String, String> {
    let text = match text.trim().to_ascii_lowercase().as_str() {
        "hourly" => "1h",
        "daily" => "24h",
        _ => text.trim(),
    };
    units::duration(text).map(|_| text.to_owned())
}

/// `init`.
///
/// # Errors
/// Flags are missing, a place can't be used or reached, or a file can't be written. Nothing was written then.
pub(super) async fn init(args: &Init, global: &Global, output: &Arc<Output>, env: Env<'_>) -> Result<Exit, Failure> {
    // What writes does not wait for anything, so that an interruption finds all of it done or nothing.
    let work = Box::pin(wizard(args, global, output, env));
    match or_interrupted(work).await {
        Ok(Err(failure)) | Err(failure) if failure.exit == Exit::Interrupted => Err(stopped()),
        done => done?,
    }
}

async fn wizard(args: &Init, global: &Global, output: &Arc<Output>, env: Env<'_>) -> Result<Exit, Failure> {
    let (file, seen) = target(args, global)?;
    let setup = Setup::of(global, Arc::clone(output), env, Config { path: file.clone(), ..Config::default() })?;
    let world = setup.world(env);
    let asker = Asker::new(output, if args.yes { Usual::Yes } else { Usual::No });
    let found = find::dsns(world);
    if !asker.asks() {
        missing(args, &found, world)?;
    }
    let mut round = Round { flags: args.clone(), usual: None, found: &found, asker: &asker, world };
    loop {
        let answers = round.answers().await?;
        let written = match kept(&round.flags, &answers, &asker, env).await? {
            Some(target) => ready(&answers, (&file, &target), global, &asker, (output, env)).await?,
            None => None,
        };
        let Some((text, target)) = written else {
            asker.say(
                "\nAgain from the first question. Enter keeps what you said; Ctrl-C ends it, and nothing is written.\n",
            );
            round = Round { flags: args.only_how(), usual: Some(answers), ..round };
            continue;
        };
        let secret = target.file();
        write::all(&file, (&text, &seen), secret)?;
        if let Some((path, _)) = secret {
            output.data(&format!("written: {}", shown(path)));
        }
        output.data(&format!("written: {}", shown(&file)));
        if answers.service == Usual::Yes {
            install(&file, (global, output), env)?;
        }
        output.say(&next(&answers, &file, &setup));
        return Ok(Exit::Done);
    }
}

/// The text that is to be written, once a person saw it and what it would do. `None` if something is to be said otherwise.
async fn ready(
    answers: &Answers,
    (file, target): (&Path, &Target),
    global: &Global,
    asker: &Asker<'_>,
    (output, env): (&Arc<Output>, Env<'_>),
) -> Result<Option<(String, Target)>, Failure> {
    let plan = Plan { file, answers, target };
    let text = text::config(&plan)?;
    if look::first_run(&plan, &text, global, asker, (output, env)).await? == Usual::No {
        return Ok(None);
    }
    if asker.asks() {
        output.say(&format!("\n{}\n{}", shown(file), text.trim_end()));
        if asker.yes("Write it? (n asks again)", Usual::Yes).await? == Usual::No {
            return Ok(None);
        }
    }
    Ok(Some((text, target.clone())))
}

/// The file that is written, and what stands there.
fn target(args: &Init, global: &Global) -> Result<(PathBuf, Seen), Failure> {
    let here =
        std::env::current_dir().map_err(|error| Failure::error(format!("there is no current directory: {error}")))?;
    let project = places::project_root(&here, Path::exists).unwrap_or_else(|| here.clone());
    let file = here.join(global.config.clone().unwrap_or_else(|| project.join(places::PROJECT_FILE)));
    let seen = private::read(&file).map_err(|error| Failure::error(format!("can't read {}: {error}", shown(&file))))?;
    if seen.text.is_some() && !args.overwrite {
        return Err(Failure::usage(format!("{} is there already; nothing was written", shown(&file)))
            .hint("mediasync config show tells what it says")
            .hint("--overwrite replaces it, --config FILE writes another one"));
    }
    Ok((file, seen))
}

/// Without anybody to ask, what has no default has to be a flag.
fn missing(args: &Init, found: &[find::Candidate], world: World<'_>) -> Result<(), Failure> {
    let needs_source = args.source.is_none() && !(args.yes && find::media(world).is_some());
    let needs_remote = args.remote.is_none() && !(args.yes && found.len() == 1);
    let flags: Vec<&str> = [("--source PATH", needs_source), ("--remote PLACE", needs_remote)]
        .into_iter()
        .filter_map(|(flag, is_needed)| is_needed.then_some(flag))
        .collect();
    if flags.is_empty() {
        return Ok(());
    }
    let mut failure = Failure::usage(format!("init can't ask here, and these flags are missing: {}", flags.join(", ")));
    if needs_remote && !found.is_empty() {
        let names: Vec<&str> = found.iter().map(|candidate| candidate.text.as_str()).collect();
        failure = failure.hint(format!("storage DSNs are in: {}", names.join(", ")));
    }
    Err(failure)
}

/// How the configuration names the remote. A secret is written only where somebody said so; `None` if there is no place
/// for it, and a person may name another one.
async fn kept(flags: &Init, answers: &Answers, asker: &Asker<'_>, env: Env<'_>) -> Result<Option<Target>, Failure> {
    let (typed, service) = (answers.remote.as_str(), answers.service);
    let named = Target::of(typed, &answers.end);
    let dsn = match (&named, typed.strip_prefix("env:")) {
        (Target::Dsn(Kept::Inline(dsn)), _) => dsn.clone(),
        (Target::Dsn(Kept::Elsewhere(_)), Some(variable)) => {
            crate::secret::Secret::new(env(variable).unwrap_or_default())
        }
        _ => return Ok(Some(named)),
    };
    let file = || write::secret_file(env);
    let is_inline = matches!(named, Target::Dsn(Kept::Inline(_)));
    match (flags.secret_in, is_inline) {
        (Some(SecretIn::File), _) => return Ok(Some(Target::Dsn(Kept::File(file()?, dsn)))),
        (Some(SecretIn::Config), _) => return Ok(Some(Target::Dsn(Kept::Inline(dsn)))),
        // A variable of this shell is no service's.
        (None, false) if service == Usual::No => return Ok(Some(named)),
        (None, _) => {}
    }
    if !asker.asks() {
        let failure = if is_inline {
            Failure::usage("the DSN holds its secret, and nobody said where that is kept")
                .hint("put it into a variable and write --remote env:NAME")
        } else {
            Failure::usage("a service has none of your variables, and nobody said where it finds the DSN")
        };
        return Err(
            failure.hint("--secret-in file keeps it in a file of its own, --secret-in config in the configuration")
        );
    }
    let why = if is_inline { "The DSN holds its secret." } else { "A service has none of your variables." };
    let path = file()?;
    let question = format!("{why} Keep the DSN in {}, which only you can read?", shown(&path));
    if asker.yes(&question, Usual::Yes).await? == Usual::Yes {
        return Ok(Some(Target::Dsn(Kept::File(path, dsn))));
    }
    if is_inline && asker.yes("Write it into the configuration itself?", Usual::No).await? == Usual::No {
        asker.complain(
            &Failure::usage("there is no place for the secret")
                .hint("put the DSN into a variable, and name it: env:NAME"),
        );
        return Ok(None);
    }
    Ok(Some(named))
}

fn install(file: &Path, (global, output): (&Global, &Arc<Output>), env: Env<'_>) -> Result<(), Failure> {
    let global =
        Global { config: Some(file.to_owned()), state_dir: global.state_dir.clone(), verbose: 0, quiet: global.quiet };
    let setup = Setup::new(&global, Arc::clone(output), env)?;
    let which = service::args::Which { jobs: Vec::new(), manager: None, user: true };
    let args = service::args::Service { command: service::args::Cmd::Install(which) };
    service::service(&args, global.state_dir.as_deref(), &setup, setup.world(env)).map(|_| ())
}

/// What to type next.
fn next(answers: &Answers, file: &Path, setup: &Setup) -> String {
    let name = &answers.name;
    let is_found = file.file_name().is_some_and(|own| own == places::PROJECT_FILE) && setup.repeated.is_empty();
    let more = if is_found || !setup.repeated.is_empty() {
        setup.repeated.clone()
    } else {
        format!(" --config {}", shell::path(&file.display().to_string()))
    };
    let mut lines = vec![
        (format!("mediasync sync {name} --dry-run{more}"), "each action of a first run"),
        (format!("mediasync sync {name}{more}"), "do it"),
    ];
    if answers.when.is_by_itself() {
        lines.push((format!("mediasync daemon{more}"), "run it for good, in this terminal"));
        if answers.service == Usual::No {
            lines.push((format!("mediasync service install --user{more}"), "run it for good, as a service of yours"));
        }
    }
    let width = lines.iter().map(|(command, _)| command.chars().count()).max().unwrap_or_default();
    let told: Vec<String> = lines.iter().map(|(command, what)| format!("{command:<width$}  {what}")).collect();
    format!("next:\n  {}", told.join("\n  "))
}
