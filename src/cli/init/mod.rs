//! `init`: a first configuration, by questions on a terminal or by flags. Tries the connection, shows what a first run would
//! do, and only then writes; until its end nothing is left behind.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

mod ask;
mod find;
mod text;
mod write;

use ask::{Asker, Usual, stopped};
use text::{Kept, Plan, Target};

use super::args::{Global, How, RunArgs};
use super::exit::Exit;
use super::failure::Failure;
use super::interrupt::or_interrupted;
use super::output::Output;
use super::place::{self, End, World};
use super::private::{self, Seen};
use super::setup::{Setup, shown};
use super::{resolve, run, service, shell};
use crate::config::places::{self, Env};
use crate::config::{Config, units};
use crate::location::{Found, Location};

/// `init`.
#[derive(Debug, Clone, Args)]
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
On a terminal it asks for what no flag says. It finds storage DSNs in the environment and in the project's
.env files, tries the connection, shows what a first run would do, and writes mediasync.toml (or --config FILE)
with a mode of 0600. A secret stays where it is, and the configuration names its variable. An existing
configuration is kept, unless --overwrite says otherwise.

Examples:
  mediasync init
  mediasync init --source ./media --remote env:DEFAULT_STORAGE_DSN --watch
  mediasync init --yes --config /etc/mediasync/config.toml --source /srv/media --remote s3://bucket --every 15m";

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

fn every(text: &str) -> Result<String, String> {
    units::duration(text).map(|_| text.trim().to_owned())
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
    let source = source(args, &asker, world).await?;
    let (typed, remote) = remote(args, &found, &asker, world).await?;
    let name = name(args, &source, &asker).await?;
    let mode = mode(args, &asker).await?;
    let (watch, every) = when(args, &source, &asker).await?;
    let runs = watch || every.is_some();
    let service = match (args.service, runs) {
        (true, _) => Usual::Yes,
        (false, true) => asker.yes("Install a service of yours that runs it?", Usual::No).await?,
        (false, false) => Usual::No,
    };
    let target = kept(args, (&typed, &remote), service, &asker, env).await?;
    let plan =
        Plan { file: &file, source: &source, target: &target, name: &name, mode, watch, every: every.as_deref() };
    let text = text::config(&plan)?;
    look(&plan, &text, (args, global), &asker, (output, env)).await?;
    if asker.asks() {
        output.say(&format!("\n{}\n{}", shown(&file), text.trim_end()));
        if asker.yes("Write it?", Usual::Yes).await? == Usual::No {
            return Err(stopped());
        }
    }
    let secret = target.file();
    write::all(&file, (&text, &seen), secret)?;
    if let Some((path, _)) = secret {
        output.data(&format!("written: {}", shown(path)));
    }
    output.data(&format!("written: {}", shown(&file)));
    if service == Usual::Yes {
        install(&file, (global, output), env)?;
    }
    output.say(&next(&plan, &setup));
    Ok(Exit::Done)
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

async fn source(args: &Init, asker: &Asker<'_>, world: World<'_>) -> Result<PathBuf, Failure> {
    let check = |text: &str| match place::end(text, world)?.location {
        Location::Local(path) if (world.found)(&path) == Found::Directory => Ok(path),
        Location::Local(path) => Err(Failure::usage(format!("{} is not there", shown(&path)))
            .hint("name a directory that is there: an empty new one would look like one that was not mounted")),
        Location::S3(_) | Location::Azure(_) => Err(Failure::usage(
            "the source of init is a local directory; other jobs are written by hand (docs/config.md)",
        )),
    };
    if let Some(text) = &args.source {
        return check(text);
    }
    let usual = find::media(world).unwrap_or_else(|| ".".to_owned());
    loop {
        match check(&asker.text("Which directory?", Some(&usual)).await?) {
            Err(failure) if asker.asks() => asker.complain(&failure),
            done => return done,
        }
    }
}

/// What was typed, and what it means.
async fn remote(
    args: &Init,
    found: &[find::Candidate],
    asker: &Asker<'_>,
    world: World<'_>,
) -> Result<(String, End), Failure> {
    let check = |text: &str| {
        if resolve::is_a_bare_name(text, world) {
            let shown = text.escape_debug();
            return Err(Failure::usage(format!("there is no directory `{shown}`: `s3://{shown}` or `env:{shown}`?"))
                .hint("the first is a bucket, the second a variable with a DSN; ./NAME is a directory"));
        }
        if text.trim() == "-" {
            return Err(Failure::usage("a configuration has no standard input")
                .hint("name a variable or a file: env:NAME, dsn-file:PATH"));
        }
        place::end(text, world)
    };
    if let Some(text) = &args.remote {
        return Ok((text.clone(), check(text)?));
    }
    let all: Vec<String> = found.iter().map(find::Candidate::shown).collect();
    loop {
        let typed = asker
            .one_of("Where does it go? A number, or s3://BUCKET/PREFIX, az://..., env:NAME, a directory", &all)
            .await?;
        let text = match typed.parse::<usize>() {
            Ok(number @ 1..) if number <= found.len() => found[number - 1].text.clone(),
            _ => typed,
        };
        match check(&text) {
            Err(failure) if asker.asks() => asker.complain(&failure),
            done => return Ok((text, done?)),
        }
    }
}

async fn name(args: &Init, source: &Path, asker: &Asker<'_>) -> Result<String, Failure> {
    let check = |name: &str| {
        let fine = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        let wrong = name.is_empty() || name.starts_with('-') || !name.chars().all(fine);
        if wrong {
            Err(Failure::usage("a job's name has letters, digits, -, _ and . only, and does not begin with -"))
        } else {
            Ok(())
        }
    };
    if let Some(name) = &args.name {
        return check(name).map(|()| name.clone());
    }
    let own = source.file_name().and_then(|name| name.to_str()).filter(|name| check(name).is_ok());
    loop {
        let name = asker.text("What is the job called?", Some(own.unwrap_or("media"))).await?;
        match check(&name) {
            Err(failure) if asker.asks() => asker.complain(&failure),
            done => return done.map(|()| name),
        }
    }
}

async fn mode(args: &Init, asker: &Asker<'_>) -> Result<ModeArg, Failure> {
    if let Some(mode) = args.mode {
        return Ok(mode);
    }
    let options = [
        "copy: adds and updates",
        "mirror: makes the remote exactly like the directory",
        "two-way: gives each side what the other one changed",
    ];
    Ok(match asker.number("How?", &options).await? {
        2 => ModeArg::Mirror,
        3 => ModeArg::TwoWay,
        _ => ModeArg::Copy,
    })
}

/// Whether it watches, and how often it runs.
async fn when(args: &Init, source: &Path, asker: &Asker<'_>) -> Result<(bool, Option<String>), Failure> {
    if args.watch || args.every.is_some() {
        return Ok((args.watch, args.every.clone()));
    }
    let watch = format!("as files in {} change (a daemon watches it)", shown(source));
    let options = ["when you say so (mediasync sync)", watch.as_str(), "on a schedule (a daemon runs it)"];
    match asker.number("When does it run?", &options).await? {
        2 => Ok((true, None)),
        3 => loop {
            let text = asker.text("How often?", Some("15m")).await?;
            match every(&text) {
                Ok(text) => return Ok((false, Some(text))),
                Err(wrong) => asker.complain(&Failure::usage(wrong)),
            }
        },
        _ => Ok((false, None)),
    }
}

/// How the configuration names the remote. A secret is written only where somebody said so.
async fn kept(
    args: &Init,
    (typed, end): (&str, &End),
    service: Usual,
    asker: &Asker<'_>,
    env: Env<'_>,
) -> Result<Target, Failure> {
    let named = Target::of(typed, end);
    let dsn = match (&named, typed.strip_prefix("env:")) {
        (Target::Dsn(Kept::Inline(dsn)), _) => dsn.clone(),
        (Target::Dsn(Kept::Elsewhere(_)), Some(variable)) => {
            crate::secret::Secret::new(env(variable).unwrap_or_default())
        }
        _ => return Ok(named),
    };
    let file = || write::secret_file(env);
    let is_inline = matches!(named, Target::Dsn(Kept::Inline(_)));
    match (args.secret_in, is_inline) {
        (Some(SecretIn::File), _) => return Ok(Target::Dsn(Kept::File(file()?, dsn))),
        (Some(SecretIn::Config), _) => return Ok(Target::Dsn(Kept::Inline(dsn))),
        // A variable of this shell is no service's.
        (None, false) if service == Usual::No => return Ok(named),
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
        return Ok(Target::Dsn(Kept::File(path, dsn)));
    }
    if is_inline && asker.yes("Write it into the configuration itself?", Usual::No).await? == Usual::No {
        return Err(Failure::usage("there is no place for the secret; nothing was written")
            .hint("put the DSN into a variable, and name it: env:NAME"));
    }
    Ok(named)
}

/// Tries the connection, and shows what a first run would do.
async fn look(
    plan: &Plan<'_>,
    text: &str,
    (args, global): (&Init, &Global),
    asker: &Asker<'_>,
    (output, env): (&Arc<Output>, Env<'_>),
) -> Result<(), Failure> {
    // A file that is not written yet can't be read: the DSN that it will hold is tried.
    let tried = plan.target.file().map_or_else(
        || Ok(text.to_owned()),
        |(_, dsn)| {
            let target = Target::Dsn(Kept::Inline(dsn.clone()));
            text::config(&Plan { target: &target, ..*plan })
        },
    )?;
    let config = Config::parse(&tried, plan.file).map_err(|mistakes| {
        let told: Vec<String> =
            mistakes.iter().map(|mistake| format!("{}: {}", mistake.key, mistake.message)).collect();
        Failure::usage(told.join("\n"))
    })?;
    let setup = Setup::of(global, Arc::clone(output), env, config)?;
    let world = setup.world(env);
    let job = setup.config.jobs.first().ok_or_else(|| Failure::error("the configuration has no job"))?;
    let dry = RunArgs { how: How { dry_run: true, ..How::default() }, ..RunArgs::default() };
    let tried = match resolve::job_task(job, &dry, world) {
        Ok(task) => {
            for warning in &task.dest.warnings {
                output.warn(warning);
            }
            run::preview(&task, &setup).await
        }
        Err(failure) => Err(failure),
    };
    match tried {
        Ok(preview) => {
            output.say(&format!("\nA first run, {}\n{}", preview.places, preview.summary));
            if let Some(halt) = preview.halt {
                output.warn(&format!("it would stop and ask: {halt}"));
            }
            Ok(())
        }
        Err(failure) if failure.exit == Exit::Interrupted || !asker.asks() || args.yes => Err(failure),
        Err(failure) => {
            asker.complain(&failure);
            match asker.yes("The first run would fail. Go on all the same?", Usual::No).await? {
                Usual::Yes => Ok(()),
                Usual::No => Err(stopped()),
            }
        }
    }
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
fn next(plan: &Plan<'_>, setup: &Setup) -> String {
    let (file, name) = (plan.file, plan.name);
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
    if plan.watch || plan.every.is_some() {
        lines.push((format!("mediasync daemon{more}"), "run it for good"));
    }
    let width = lines.iter().map(|(command, _)| command.chars().count()).max().unwrap_or_default();
    let told: Vec<String> = lines.iter().map(|(command, what)| format!("{command:<width$}  {what}")).collect();
    format!("next:\n  {}", told.join("\n  "))
}
