//! `resolve JOB KEY --take ...`: a person settles the conflict of one key.

use clap::Args;

use super::args::RunArgs;
use super::exit::Exit;
use super::failure::Failure;
use super::pairs::{self, Known};
use super::place::{End, World, end};
use super::resolve::{self, Aim, Task};
use super::run::{self, Work};
use super::setup::Setup;
use super::shell;
use super::wire;
use crate::location::Location;
use crate::model::{Key, Side};
use crate::plan::{Mode, Take};

/// `resolve JOB KEY`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Resolve {
    /// Name of the job, or the name of the pair that the conflict named
    pub job: String,
    /// The file, as the conflict named it
    pub key: String,
    /// Whose content both sides get: source, destination, one of the two places, or both (then the destination's gets
    /// another name)
    #[arg(long, value_name = "SIDE")]
    pub take: String,
    /// Show what would be done, change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Print JSON, one line an event
    #[arg(long)]
    pub json: bool,
    /// Don't ask before a remote with access = "confirm" is changed
    #[arg(long)]
    pub yes: bool,
}

/// What `--take` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// What the source has; if it deleted the file, it goes at the destination too.
    Source,
    /// What the destination has; if it deleted the file, it goes at the source too.
    Destination,
    /// Both, under two names (two-way jobs).
    Both,
}

/// What `--take` may say of a job, beside a place.
const WORDS: &str = "source, destination, both, ";

impl Taken {
    fn of_word(text: &str) -> Option<Self> {
        match text {
            "source" => Some(Self::Source),
            "destination" => Some(Self::Destination),
            "both" => Some(Self::Both),
            _ => None,
        }
    }

    /// The side whose place `text` names; `words` are what it may say beside.
    fn of_place(text: &str, [source, dest]: [&End; 2], words: &str, world: World<'_>) -> Result<Self, Failure> {
        let place = end(text, world).ok().map(|place| place.location.canonical());
        let means = |of: &End| of.spelled.as_deref() == Some(text) || place.as_ref() == Some(&of.location.canonical());
        match (means(source), means(dest), Self::of_word(text)) {
            (true, false, None) => Ok(Self::Source),
            (false, true, None) => Ok(Self::Destination),
            (_, _, word) => {
                let named = |end: &End| end.spelled.as_deref().map_or_else(|| end.location.display(), shell::place);
                let message = match word {
                    Some(_) => {
                        format!("no job says which place is the source, and runs may go either way: which is {text:?}?")
                    }
                    None => format!("--take {text:?} is neither of the two places"),
                };
                Err(Failure::usage(message).hint(format!("take one of {words}{}, {}", named(source), named(dest))))
            }
        }
    }

    fn take(self) -> Take {
        match self {
            Self::Source => Take::Source,
            Self::Destination => Take::Destination,
            Self::Both => Take::Both,
        }
    }

    /// The sides that it changes.
    fn writes(self) -> &'static [Side] {
        match self {
            Self::Source => &[Side::Dest],
            Self::Destination => &[Side::Source],
            Self::Both => &Side::BOTH,
        }
    }

    fn done(self, key: &Key) -> String {
        match self {
            Self::Source => format!("{key} is settled: both sides have what the source has"),
            Self::Destination => format!("{key} is settled: both sides have what the destination has"),
            Self::Both => format!("{key} is settled: both sides have both contents"),
        }
    }
}

/// `resolve JOB KEY`.
///
/// # Errors
/// There is no such job or key.
pub async fn settle(args: &Resolve, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    resolve::check_jobs(world)?;
    let text = args.key.strip_prefix("./").unwrap_or(&args.key);
    let key = Key::new(text).map_err(|_| Failure::usage(format!("{:?} can't be the name of a file", args.key)))?;
    let (task, taken) = task(args, setup, world)?;
    if std::path::Path::new(text).is_absolute() {
        let message = format!("{:?} is a path, and the file is wanted as the conflict named it", args.key);
        return Err(Failure::usage(message).hint(relative(text, &task)));
    }
    let exit = run::one(&task, setup, Work::Resolve(&key, taken.take())).await;
    if exit == Exit::Done && !args.dry_run {
        setup.output.say(&taken.done(&key));
    }
    Ok(exit)
}

/// The name that is meant by a path: what is left of it below one of the places.
fn relative(path: &str, task: &Task) -> String {
    let below = task.ends().into_iter().find_map(|(_, end)| match &end.location {
        Location::Local(root) => std::path::Path::new(path).strip_prefix(root).ok()?.to_str(),
        Location::S3(_) | Location::Azure(_) => None,
    });
    match below.filter(|name| !name.is_empty()) {
        Some(name) => format!("write {}", shell::path(name)),
        None => "write it relative to the directory that is synced, like photos/cat.jpg".to_owned(),
    }
}

/// The task of a job, or of a pair that a command without a job worked on, and which of its sides is taken.
fn task(args: &Resolve, setup: &Setup, world: World<'_>) -> Result<(Task, Taken), Failure> {
    let mut run = RunArgs::default();
    (run.how.dry_run, run.how.json, run.leave.yes) = (args.dry_run, args.json, args.yes);
    let aim = |mode: Mode, taken: Taken| match (mode, taken) {
        (Mode::Copy | Mode::CopyAndDelete | Mode::Mirror, Taken::Both) => {
            Err(Failure::usage(format!("{} goes one way, so both contents can't be kept", args.job))
                .hint("take the source or the destination; mode = \"two-way\" keeps both"))
        }
        _ => Ok(Aim { writes: taken.writes(), ..mode.into() }),
    };
    let (mut task, taken) = if let Some(job) = setup.config.job(&args.job) {
        let taken = if let Some(taken) = Taken::of_word(&args.take) {
            taken
        } else {
            let looked = resolve::job_task_for(job, Aim { writes: &[], ..job.mode.into() }, &run, world)?;
            Taken::of_place(&args.take, [&looked.source, &looked.dest], WORDS, world)?
        };
        (resolve::job_task_for(job, aim(job.mode, taken)?, &run, world)?, taken)
    } else {
        let pair = pairs::named(&args.job, setup, world)?;
        let known = pairs::known(&setup.state_dir).into_iter().find(|known| known.pair() == pair);
        let Some(Known { spelled: (Some(source), Some(dest)), mode: Some(mode), names, .. }) = known else {
            let message = format!("the places of {} were not stored: their DSN is written nowhere for good", args.job);
            return Err(Failure::usage(message).hint("put the DSN into a variable, and run the command with env:NAME"));
        };
        let (source, dest) = (end(&source, world)?, end(&dest, world)?);
        // A variable or a file may say another place than it did.
        if wire::pair(&source, &dest) != pair {
            let message = format!("{} is of {} and {}, and they are other places now", args.job, names.0, names.1);
            let hint = "see which variables, files and settings they are named by; or run the command again, for the \
                        places that they name now";
            return Err(Failure::usage(message).hint(hint));
        }
        // The last run said which place was the source, and whoever asks may have another one in mind.
        let taken = match Taken::of_word(&args.take) {
            Some(Taken::Both) => Taken::Both,
            Some(Taken::Source | Taken::Destination) | None => {
                Taken::of_place(&args.take, [&source, &dest], "", world)?
            }
        };
        (resolve::places(source, dest, aim(mode, taken)?, &run)?, taken)
    };
    task.command = "resolve";
    Ok((task, taken))
}
