//! `purge-junk`: what operating systems left in a directory and an earlier push made public. Listed, and with `--yes` moved to
//! the trash.
//!
//! Junk is what the list says and nothing else: no rule of a job counts, and what is called like AppleDouble data has to be
//! some. What may be content all the same goes only if its row is named. The whole place is listed before anything goes,
//! and each key goes in the version that was listed.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use futures_util::stream::{StreamExt, iter};
use jiff::Timestamp;

use super::place::{Books, Meant, Place, named};
use super::{Consent, leased, may_change};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::human;
use crate::cli::interrupt::or_interrupted;
use crate::cli::managed::managed;
use crate::cli::output::{Format, Output, Verbosity};
use crate::cli::place::World;
use crate::cli::setup::Setup;
use crate::cli::shell::{self, Kept};
use crate::cli::spot::browse;
use crate::cli::wire::Purpose;
use crate::location::Location;
use crate::manifest::KeptLine;
use crate::model::{
    Entry, Filter, FilterRules, Item, JunkBy, JunkRow, Key, Nature, Problem, Reach, RunName, is_apple_double, junk_of,
};
use crate::replica::access::Access;
use crate::replica::admin::{Admin, Level};
use crate::replica::browse::Depth;
use crate::replica::trash::{Unjournaled, none};
use crate::replica::{Cause, Content, Error, KeptAs};
use crate::survey::problem_of;
use told::{Fate, Public, Sums};

pub mod args;
mod told;

pub use args::{Purge, help};

/// Keys at the same time.
const PARALLEL: usize = 8;
/// AppleDouble data is small; what is larger is not read for it.
const LARGEST: u64 = 1024 * 1024;

/// A file that is called like junk, as it was listed.
#[derive(Debug)]
struct Suspect {
    key: Key,
    entry: Entry,
    junk: JunkRow,
}

/// What is gone so far, for whoever hears of an end before its time.
#[derive(Debug, Default)]
struct Gone {
    count: Cell<u64>,
    undo: RefCell<String>,
}

/// `purge-junk REMOTE`.
///
/// # Errors
/// The place is no remote, has nothing, may not be changed or can't be listed; another process works on a pair with it.
pub async fn purge(args: &Purge, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    let gone = Gone::default();
    let done = or_interrupted(Box::pin(all(args, setup, world, &gone))).await.and_then(|done| done);
    if done.is_err() && gone.count.get() > 0 {
        let (count, undo) = (human::count(gone.count.get()), gone.undo.borrow());
        setup.output.say(&format!("removed {count} before that; to put it back: {undo}"));
    }
    done
}

async fn all(args: &Purge, setup: &Setup, world: World<'_>, gone: &Gone) -> Result<Exit, Failure> {
    let output = &*setup.output;
    let all = named(&args.place, None, world)?;
    for meant in &all {
        if matches!(meant.end.location, Location::Local(_)) {
            let message = format!("{} is a directory, and purge-junk is for remotes", meant.end.location.display());
            return Err(Failure::usage(message).hint("a push leaves junk of a directory out by itself"));
        }
    }
    let purpose = if args.yes { Purpose::Change } else { Purpose::Look };
    for meant in &all {
        for warning in &meant.end.warnings {
            output.warn(warning);
        }
        exists(meant).await?;
        if args.yes {
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
            let shown = meant.end.location.display();
            // A place that was typed with its secret is not named with it.
            let kept = match meant.side {
                Some(_) => Kept::ByJob(&args.place),
                None => Kept::At { spelled: meant.end.spelled.as_deref(), shown: &shown },
            };
            *gone.undo.borrow_mut() = kept.restore(&run, &setup.repeated);
            let sums = Purging { args, meant, place, run: &run, gone, output }.all().await?;
            tell(&sums, args, (&shown, &run), gone, setup);
            worst = worst.max(if sums.problems > 0 { Exit::Problems } else { Exit::Done });
        }
        Ok::<_, Failure>(worst)
    };
    leased::while_held(&holds, output, work).await
}

/// A mistyped prefix is clean as nothing else is. Whatever lies there, our own names too, shows that it is meant.
async fn exists(meant: &Meant) -> Result<(), Failure> {
    let location = &meant.end.location;
    let has_prefix = match location {
        Location::Local(_) => false,
        Location::S3(address) => !address.prefix.trim_matches('/').is_empty(),
        Location::Azure(address) => !address.prefix.trim_matches('/').is_empty(),
    };
    if !has_prefix || browse(&meant.end, "", Depth::Level)?.next().await?.is_some() {
        return Ok(());
    }
    let message = format!("nothing is at {}", location.display());
    Err(Failure::error(message).hint("check the spelling; mediasync ls shows what is there"))
}

struct Purging<'a> {
    args: &'a Purge,
    meant: &'a Meant,
    place: &'a Place<'a>,
    run: &'a RunName,
    gone: &'a Gone,
    output: &'a Output,
}

impl Purging<'_> {
    async fn all(&self) -> Result<Sums, Failure> {
        let mut sums = Sums::default();
        let suspects = match self.suspects(&mut sums).await {
            // It is remembered, and taken as it comes now.
            Err(error) if error.cause == Cause::Unordered => {
                sums = Sums::default();
                self.suspects(&mut sums).await?
            }
            listed => listed?,
        };
        let admin = if self.args.long { Some(managed(&self.meant.end, Access::ReadOnly)?.admin) } else { None };
        let mut readers = Readers::default();
        let mut handled = iter(suspects)
            .map(|suspect| async {
                let fate = self.one(&suspect).await;
                let acl = match (&admin, &fate) {
                    (Some(admin), Ok(Fate::Planned | Fate::Left)) => Some(admin.acl(&suspect.key).await),
                    _ => None,
                };
                (suspect, fate, acl)
            })
            .buffered(PARALLEL);
        while let Some((suspect, fate, acl)) = handled.next().await {
            match fate {
                Ok(fate) => {
                    sums.add(&suspect, fate);
                    let public = match (&admin, acl) {
                        (Some(admin), Some(acl)) => {
                            Some(readers.public(&**admin, acl.map(|acl| acl.is_public())).await)
                        }
                        _ => None,
                    };
                    if fate != Fate::Innocent {
                        self.show(&suspect, fate, public);
                    }
                }
                Err(error) if error.cause == Cause::Stop => return Err(error.into()),
                Err(error) => {
                    sums.problems += 1;
                    self.output.problem(None, &problem_of(&suspect.key, &error));
                }
            }
        }
        Ok(sums)
    }

    /// All that is called like junk, of a listing that is complete.
    async fn suspects(&self, sums: &mut Sums) -> Result<Vec<Suspect>, Error> {
        let everything = Filter::new(FilterRules::default()).expect("no rules are no bad rules");
        let mut listing = self.place.replica.list(None, &Arc::new(everything));
        let mut all = Vec::new();
        while let Some(batch) = listing.items.recv().await {
            for item in batch? {
                match item {
                    Item::End => return Ok(all),
                    Item::Present(key, entry) => {
                        sums.keys += 1;
                        all.extend(self.junk(&key).map(|junk| Suspect { key, entry, junk }));
                    }
                    Item::Unknown(Reach::Key(key), problem) if self.junk(&key).is_some() => {
                        self.unknown(sums, &problem);
                    }
                    Item::Unknown(Reach::All | Reach::Below(_), problem) => self.unknown(sums, &problem),
                    Item::Unknown(..) | Item::Skipped(..) | Item::Nameless(_) => {}
                }
            }
        }
        Err(Error::new(Cause::Stop, format!("the listing of {} broke off", self.place.replica.name())))
    }

    fn unknown(&self, sums: &mut Sums, problem: &Problem) {
        sums.problems += 1;
        self.output.problem(None, problem);
    }

    /// The row by which a key is looked at.
    fn junk(&self, key: &Key) -> Option<JunkRow> {
        let only = &self.args.only;
        junk_of(key).into_iter().find(|junk| only.is_empty() || only.contains(&junk.row))
    }

    async fn one(&self, suspect: &Suspect) -> Result<Fate, Error> {
        let (replica, Suspect { key, entry, junk }) = (&self.place.replica, suspect);
        if junk.nature == Nature::Doubtful && self.args.only.is_empty() {
            return Ok(Fate::Left);
        }
        if junk.by == JunkBy::AppleDouble {
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
        let bin = replica.trash().ok_or_else(|| none(replica.name()))?;
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
        self.gone.count.set(self.gone.count.get() + 1);
        Ok(Fate::Removed)
    }

    fn show(&self, suspect: &Suspect, fate: Fate, public: Option<Public>) {
        let output = self.output;
        output.data(&match output.format() {
            Format::Json => told::line(&self.meant.end.location.display(), suspect, fate, public),
            Format::Human => told::row(suspect, fate, public.map(|public| (public, output.zone()))),
        });
    }
}

/// Who reads a place, asked once where that is a matter of the whole container.
#[derive(Debug, Default)]
struct Readers {
    whole: Option<Public>,
}

impl Readers {
    async fn public(&mut self, admin: &dyn Admin, own: Result<bool, Error>) -> Public {
        match own {
            Ok(public) => Some(public),
            Err(error) if error.cause == Cause::Unsupported => {
                if self.whole.is_none() {
                    self.whole = Some(admin.level().await.ok().map(|level| level != Level::Private));
                }
                self.whole.flatten()
            }
            Err(_) => None,
        }
    }
}

fn tell(sums: &Sums, args: &Purge, (place, run): (&str, &RunName), gone: &Gone, setup: &Setup) {
    let output = &*setup.output;
    if output.format() == Format::Json {
        return output.data(&told::total(place, sums, run.as_str()));
    }
    if output.verbosity() > Verbosity::Quiet {
        output.data(&told::summary(place, sums));
    }
    if sums.removed > 0 {
        output.say(&format!("to put it back: {}", gone.undo.borrow()));
    } else if sums.found > sums.left() {
        output.say("nothing was changed; --yes moves it to the trash");
    }
    if sums.left() > 0 {
        output.say(&told::rest(&shell::place(&args.place), sums));
    }
}
