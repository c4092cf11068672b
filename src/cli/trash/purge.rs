//! `purge-junk`: what operating systems left in a directory and an earlier push made public. Listed, and with `--yes` moved to
//! the trash.
//!
//! Junk is what the list says and nothing else: no rule of a job counts, and what is called like AppleDouble data has to be
//! some. What lies in a folder that is called like junk may be anybody's, and takes a flag of its own. Each key is
//! looked at right before it goes, and goes in the version that was seen.

use clap::Args;
use futures_util::stream::{StreamExt, iter};
use jiff::Timestamp;
use serde_json::json;

use super::place::{Books, Meant, Place, named};
use super::{Consent, leased, may_change};
use crate::cli::exit::{self, Exit};
use crate::cli::failure::Failure;
use crate::cli::human;
use crate::cli::interrupt::or_interrupted;
use crate::cli::json::time;
use crate::cli::output::{Format, Output, Verbosity};
use crate::cli::place::World;
use crate::cli::setup::Setup;
use crate::cli::shell::Kept;
use crate::cli::spot::browse;
use crate::cli::wire::Purpose;
use crate::location::Location;
use crate::manifest::KeptLine;
use crate::model::{JunkBy, Key, RunName, is_apple_double, junk_by};
use crate::replica::browse::{Depth, Seen};
use crate::replica::trash::Unjournaled;
use crate::replica::{Cause, Content, Error, KeptAs};
use crate::survey::problem_of;

/// Keys at the same time.
const PARALLEL: usize = 8;
/// AppleDouble data is small; what is larger is not read for it.
const LARGEST: u64 = 1024 * 1024;

/// `purge-junk REMOTE`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that is typed or not")]
pub struct Purge {
    /// The remote place, or a job, meaning the places that it changes
    #[arg(value_name = "REMOTE|JOB")]
    pub place: String,
    /// Move it to the trash of the place
    #[arg(long)]
    pub yes: bool,
    /// Also whatever lies in folders that are called like junk, such as @eaDir/
    #[arg(long)]
    pub folders: bool,
    /// Print JSON, one line a file
    #[arg(long)]
    pub json: bool,
}

/// What the help ends with.
pub fn help() -> String {
    format!(
        "\
Lists .DS_Store, Thumbs.db, desktop.ini and the like, which a push leaves out and other tools sent.
Without --yes nothing is changed. What goes is kept in the trash of the place, and the command that
puts it back is printed.

Examples:
  mediasync purge-junk live:
  mediasync purge-junk live: --yes
  mediasync purge-junk live: --folders --json

{}",
        exit::HELP
    )
}

/// What was found, and what became of it.
#[derive(Debug, Default)]
struct Sums {
    found: u64,
    bytes: u64,
    removed: u64,
    left: u64,
    problems: u64,
}

/// A file that is called like junk.
#[derive(Debug)]
struct Suspect {
    key: Key,
    size: u64,
    modified_ns: Option<i64>,
    by: JunkBy,
}

/// What became of a suspect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It would go.
    Planned,
    /// It is in the trash.
    Removed,
    /// It lies in a folder that is called like junk.
    Left,
    /// It is only called like it, or is gone.
    Innocent,
}

/// `purge-junk REMOTE`.
///
/// # Errors
/// The place is no remote, may not be changed or can't be listed; another process works on a pair with it.
pub async fn purge(args: &Purge, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    or_interrupted(Box::pin(all(args, setup, world))).await?
}

async fn all(args: &Purge, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    let output = &*setup.output;
    let all = named(&args.place, None, world)?;
    for meant in &all {
        if matches!(meant.end.location, Location::Local(_)) {
            let message = format!("{} is a directory, and purge-junk is for remotes", meant.end.location.display());
            return Err(Failure::usage(message).hint("a push leaves junk of a directory out by itself"));
        }
    }
    let purpose = if args.yes { Purpose::Change } else { Purpose::Look };
    if args.yes {
        for meant in &all {
            may_change(&meant.end, Consent::Given, output).await?;
        }
    }
    let ends: Vec<_> = all.iter().map(|meant| &meant.end).collect();
    let books = Books::open(setup, &ends, purpose).await?;
    let mut places = Vec::new();
    for meant in &all {
        places.push(Place::contact(&meant.end, &books, purpose).await?);
    }
    let holds = leased::take(&mut places, purpose, (world, output)).await?;
    let now_ns = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
    let run = RunName::new(now_ns, fastrand::u32(..));
    let work = async {
        let mut worst = Exit::Done;
        for (meant, place) in all.iter().zip(&places) {
            let sums = Purging { args, meant, place, run: &run, output }.all().await?;
            tell(&sums, args, (meant, &run), setup);
            worst = worst.max(if sums.problems > 0 { Exit::Problems } else { Exit::Done });
        }
        Ok::<_, Failure>(worst)
    };
    leased::while_held(&holds, output, work).await
}

struct Purging<'a> {
    args: &'a Purge,
    meant: &'a Meant,
    place: &'a Place<'a>,
    run: &'a RunName,
    output: &'a Output,
}

impl Purging<'_> {
    async fn all(&self) -> Result<Sums, Failure> {
        let mut sums = Sums::default();
        let mut listing = browse(&self.meant.end, "", Depth::All)?;
        while let Some(batch) = listing.next().await? {
            let mut handled = iter(batch.into_iter().filter_map(suspect))
                .map(|suspect| async {
                    let fate = self.one(&suspect).await;
                    (suspect, fate)
                })
                .buffered(PARALLEL);
            while let Some((suspect, fate)) = handled.next().await {
                match fate {
                    Ok(Fate::Innocent) => {}
                    Ok(fate) => {
                        sums.found += 1;
                        sums.bytes += suspect.size;
                        sums.removed += u64::from(fate == Fate::Removed);
                        sums.left += u64::from(fate == Fate::Left);
                        self.show(&suspect, fate);
                    }
                    Err(error) if error.cause == Cause::Stop => return Err(error.into()),
                    Err(error) => {
                        sums.problems += 1;
                        self.output.problem(None, &problem_of(&suspect.key, &error));
                    }
                }
            }
        }
        Ok(sums)
    }

    async fn one(&self, suspect: &Suspect) -> Result<Fate, Error> {
        let (replica, key) = (&self.place.replica, &suspect.key);
        if suspect.by == JunkBy::Folder && !self.args.folders {
            return Ok(Fate::Left);
        }
        if suspect.by != JunkBy::AppleDouble && !self.args.yes {
            return Ok(Fate::Planned);
        }
        let Some(entry) = replica.look_up(key).await? else { return Ok(Fate::Innocent) };
        if suspect.by == JunkBy::AppleDouble {
            let is_one = entry.size <= LARGEST
                && match replica.open(key, &entry.version).await? {
                    Content::Whole { bytes, .. } => is_apple_double(&bytes),
                    Content::Pieces(_) => false,
                };
            if !is_one {
                return Ok(Fate::Innocent);
            }
        }
        if !self.args.yes {
            return Ok(Fate::Planned);
        }
        let bin = replica.trash().ok_or_else(|| crate::replica::trash::none(replica.name()))?;
        let kept = bin.keep(key, &entry.version, self.run, &Unjournaled).await?;
        if let KeptAs::Version(id) = &kept.kept_as {
            for (manifest, side) in self.place.books.of(&self.place.canonical) {
                let (run, key, size) = (self.run.clone(), key.clone(), entry.size);
                let line = KeptLine { run, key, size, version: Some(id.clone()), wrote: None };
                manifest.note_kept(side, &[line])?;
            }
        }
        let mut deleted = replica.delete(&[(key.clone(), kept.version)]).await;
        deleted.pop().unwrap_or_else(|| Err(Error::new(Cause::Refused, format!("{key}: nothing was answered"))))?;
        Ok(Fate::Removed)
    }

    fn show(&self, suspect: &Suspect, fate: Fate) {
        let Suspect { key, size, modified_ns, by } = suspect;
        let (fate, by) = (word(fate), reason(*by));
        self.output.data(&match self.output.format() {
            Format::Json => json!({
                "v": 1, "type": "junk", "place": self.meant.end.location.display(), "key": key.as_str(), "size": size,
                "modified": modified_ns.and_then(time), "by": by, "outcome": fate,
            })
            .to_string(),
            Format::Human => format!("{fate:<8} {:>10}  {key}", human::size(*size)),
        });
    }
}

fn suspect(seen: Seen) -> Option<Suspect> {
    let Seen::File { name, size, modified_ns } = seen else { return None };
    let key = Key::new(name).ok()?;
    let by = junk_by(&key)?;
    Some(Suspect { key, size: size.unwrap_or(0), modified_ns, by })
}

fn word(fate: Fate) -> &'static str {
    match fate {
        Fate::Planned => "junk",
        Fate::Removed => "removed",
        Fate::Left => "left",
        Fate::Innocent => "no-junk",
    }
}

fn reason(by: JunkBy) -> &'static str {
    match by {
        JunkBy::Name => "name",
        JunkBy::Folder => "folder",
        JunkBy::AppleDouble => "apple-double",
    }
}

fn tell(sums: &Sums, args: &Purge, (meant, run): (&Meant, &RunName), setup: &Setup) {
    let (output, place) = (&*setup.output, meant.end.location.display());
    let Sums { found, bytes, removed, left, problems } = sums;
    if output.format() == Format::Json {
        let run = (*removed > 0).then_some(run.as_str());
        let line = json!({
            "v": 1, "type": "junk-summary", "place": place, "found": found, "bytes": bytes,
            "removed": removed, "left": left, "problems": problems, "run": run,
        });
        return output.data(&line.to_string());
    }
    let mut told = match found {
        0 => vec![format!("{place}: no junk")],
        _ => vec![format!("{place}: {} of junk ({})", human::files(*found), human::size(*bytes))],
    };
    if *removed > 0 {
        told.push(format!("removed {}", human::count(*removed)));
    }
    if *left > 0 {
        told.push(format!("{} in folders that are called like junk, left alone", human::count(*left)));
    }
    if output.verbosity() > Verbosity::Quiet {
        output.data(&format!("{}.", told.join("; ")));
    }
    if *removed > 0 {
        // A place that was typed with its secret is not named with it.
        let kept = match meant.side {
            Some(_) => Kept::ByJob(&args.place),
            None => Kept::At { spelled: meant.end.spelled.as_deref(), shown: &place },
        };
        output.say(&format!("to put it back: {}", kept.restore(run, &setup.repeated)));
    } else if found > left {
        output.say("nothing was changed; --yes moves it to the trash");
    }
    if *left > 0 {
        output.say("note: look at what is in such folders; with --folders it goes too");
    }
}
