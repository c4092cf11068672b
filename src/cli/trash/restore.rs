//! `trash restore`: puts back what runs deleted or replaced, and with `--to` sends it on to another place.
//!
//! A file goes back where nothing stands now, or what that very run put there. Anything else was changed since: a
//! problem that names the flag. What is replaced goes to the trash under a name of this restore, so that it can be undone.
//!
//! With `--to` the other place has lost what this one kept: a mirror took the damage over from it. There too a file is
//! replaced only if it is what both places held when they last agreed.

use std::collections::BTreeMap;

use futures_util::stream::{StreamExt, iter};
use jiff::Timestamp;

use super::args::Restore;
use super::place::{Books, Place, named};
use super::send::Way;
use super::told::{self, Outcome, Sums};
use super::{Consent, may_change};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::{Format, Output, Verbosity};
use crate::cli::place::{World, end};
use crate::cli::setup::Setup;
use crate::manifest::{KeptLine, Manifest, Record};
use crate::model::{BaseRecord, Digests, Entry, Expect, Key, RunName, Sameness, Side, Version, same_content};
use crate::replica::trash::Unjournaled;
use crate::replica::{Cause, Error, Journal, KeptAs, Trashed};
use crate::sync::Stage;

/// Files at the same time.
const PARALLEL: usize = 16;

pub(super) async fn restore(args: &Restore, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    let output = &*setup.output;
    let from = named(&args.place, world)?;
    let to = args.to.as_deref().map(|to| end(to, world)).transpose()?;
    if let Some(to) = &to
        && crate::location::overlap(&from.location, &to.location).is_some()
    {
        return Err(Failure::usage("--to is the place itself, or a part of it: without it everything goes back there"));
    }
    let (purpose, stage) = args.wish.purpose();
    let ends: Vec<_> = std::iter::once(&from).chain(&to).collect();
    if stage == Stage::Done {
        for end in &ends {
            may_change(end, Consent::of(args.wish.yes), output).await?;
        }
    }
    let books = Books::open(&setup.state_dir, &ends, purpose)?;
    let place = Place::contact(&from, &books, purpose).await?;
    let other = match &to {
        Some(to) => Some(Place::contact(to, &books, purpose).await?),
        None => None,
    };
    let now_ns = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
    let unjournaled = Unjournaled;
    let uploads = other.as_ref().and_then(|other| {
        let (manifest, side) = books.between(&other.canonical, &place.canonical)?;
        Some(manifest.upload_journal(side))
    });
    let journal: &dyn Journal = uploads.as_ref().map_or(&unjournaled, |uploads| uploads);
    let work = Restoring {
        way: other.as_ref().map(|other| Way::new(&*place.replica, &*other.replica, journal)),
        place: &place,
        other: other.as_ref(),
        run: RunName::new(now_ns, fastrand::u32(..)),
        stage,
        overwrite: if args.overwrite { Wins::Trash } else { Wins::Nobody },
    };
    let sums = work.all(args, output).await?;
    if sums == Sums::default() {
        let message = format!("nothing of that is in the trash of {}", from.location.display());
        return Err(Failure::error(message).hint("mediasync trash list shows what is"));
    }
    let undo = (stage == Stage::Done).then_some(work.run.as_str());
    match output.format() {
        Format::Json => output.data(&told::summary("restore", &sums, stage, undo)),
        Format::Human if output.verbosity() > Verbosity::Quiet => output.data(&told::restored(&sums, stage)),
        Format::Human => {}
    }
    Ok(if sums.problems > 0 { Exit::Problems } else { Exit::Done })
}

/// Who wins where somebody else changed a file since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wins {
    Nobody,
    /// `--overwrite`.
    Trash,
}

struct Restoring<'a> {
    place: &'a Place<'a>,
    other: Option<&'a Place<'a>>,
    way: Option<Way<'a>>,
    /// What is replaced goes to the trash under this name.
    run: RunName,
    stage: Stage,
    overwrite: Wins,
}

/// One file is back, or would be.
struct Back {
    outcome: Outcome,
    /// Whether it was sent on.
    sent: Option<Outcome>,
}

impl Restoring<'_> {
    async fn all(&self, args: &Restore, output: &Output) -> Result<Sums, Failure> {
        let mut sums = Sums::default();
        let is_meant = |key: &Key| {
            let named = |name: &String| {
                let name = name.trim_end_matches('/');
                key.as_str() == name || key.is_below(name)
            };
            args.keys.is_empty() || args.keys.iter().any(named)
        };
        let mut listing = self.place.listing(args.run.as_ref())?;
        let mut newest: BTreeMap<Key, Trashed> = BTreeMap::new();
        while let Some(batch) = listing.next().await? {
            let meant: Vec<Trashed> = batch.into_iter().filter(|kept| is_meant(&kept.key)).collect();
            if args.run.is_some() {
                self.batch(meant, &mut sums, output).await?;
                continue;
            }
            for kept in meant {
                if newest.get(&kept.key).is_none_or(|other| other.run < kept.run) {
                    newest.insert(kept.key.clone(), kept);
                }
            }
        }
        self.batch(newest.into_values().collect(), &mut sums, output).await?;
        Ok(sums)
    }

    async fn batch(&self, batch: Vec<Trashed>, sums: &mut Sums, output: &Output) -> Result<(), Failure> {
        let one = async |kept: Trashed| {
            let back = self.one(&kept).await;
            (kept, back)
        };
        let mut done = iter(batch).map(one).buffered(PARALLEL);
        while let Some((kept, back)) = done.next().await {
            match back {
                Ok(back) => {
                    for outcome in std::iter::once(back.outcome).chain(back.sent) {
                        sums.add(outcome, kept.size);
                        self.tell(&kept, outcome, output);
                    }
                }
                Err(error) if error.cause == Cause::Stop => return Err(error.into()),
                Err(error) => {
                    sums.problems += 1;
                    output.problem(None, &crate::survey::problem_of(&kept.key, &error));
                }
            }
        }
        Ok(())
    }

    fn tell(&self, kept: &Trashed, outcome: Outcome, output: &Output) {
        match output.format() {
            Format::Json => output.data(&told::done(kept, outcome, self.stage)),
            Format::Human if self.stage == Stage::Planned || output.verbosity() == Verbosity::Verbose => {
                output.data(&told::line(kept, outcome));
            }
            Format::Human => {}
        }
    }

    async fn one(&self, kept: &Trashed) -> Result<Back, Error> {
        let bin = self.place.bin().map_err(stopped)?;
        let key = &kept.key;
        let gone = || Error::new(Cause::NotFound, format!("{key} is in the trash of {} no more", kept.run));
        let entry = bin.look_at(kept).await?.ok_or_else(gone)?;
        let found = self.place.replica.look_up(key).await?;
        let (outcome, now) = match found {
            Some(found) if is_same(&entry, &found) => (Outcome::There, found),
            found => {
                let ours = self.place.wrote(kept).map_err(stopped)?;
                let expect = self.expect(self.place, key, found, |found| ours.as_ref() == Some(&found.version)).await?;
                let now = match self.stage {
                    Stage::Planned => entry.clone(),
                    Stage::Done => self.put_back(kept, &expect).await?,
                };
                (Outcome::Restored, now)
            }
        };
        let sent = match (&self.way, self.other) {
            (Some(way), Some(other)) => Some(self.send_on(way, other, key, &now).await?),
            _ => None,
        };
        Ok(Back { outcome, sent })
    }

    async fn put_back(&self, kept: &Trashed, expect: &Expect) -> Result<Entry, Error> {
        let bin = self.place.bin().map_err(stopped)?;
        let now = bin.restore(kept, expect, &Unjournaled).await?;
        self.place.forget(kept).map_err(stopped)?;
        self.note_replaced(self.place, &kept.key, expect, &now.version)?;
        Ok(now)
    }

    /// What must be at a key of a place for it to be replaced: nothing, what is `ours`, or with `--overwrite` whatever is
    /// there. In a run that changes something, that is kept first.
    async fn expect(
        &self,
        place: &Place<'_>,
        key: &Key,
        found: Option<Entry>,
        ours: impl Fn(&Entry) -> bool,
    ) -> Result<Expect, Error> {
        let Some(found) = found else { return Ok(Expect::Absent) };
        if !ours(&found) && self.overwrite == Wins::Nobody {
            let message = format!("{key}: something else is at {} by now; not replaced", place.replica.name());
            return Err(Error::new(Cause::Precondition, message)
                .hint("--overwrite replaces it, and puts what is there into the trash"));
        }
        if self.stage == Stage::Planned {
            return Ok(Expect::Version(found.version));
        }
        let bin = place.bin().map_err(stopped)?;
        let kept = bin.keep(key, &found.version, &self.run, &Unjournaled).await?;
        for (manifest, side) in place.books.of(&place.canonical) {
            let line = KeptLine {
                run: self.run.clone(),
                key: key.clone(),
                size: found.size,
                version: match &kept.kept_as {
                    KeptAs::Copy => None,
                    KeptAs::Version(id) => Some(id.clone()),
                },
                wrote: None,
            };
            manifest.note_kept(side, &[line])?;
        }
        Ok(Expect::Version(kept.version))
    }

    fn note_replaced(&self, place: &Place<'_>, key: &Key, expect: &Expect, now: &Version) -> Result<(), Error> {
        if *expect != Expect::Absent {
            for (manifest, side) in place.books.of(&place.canonical) {
                manifest.note_replaced(side, &self.run, &[(key.clone(), now.clone())])?;
            }
        }
        Ok(())
    }

    /// Sends what is back at the one place to the other one.
    async fn send_on(&self, way: &Way<'_>, other: &Place<'_>, key: &Key, entry: &Entry) -> Result<Outcome, Error> {
        let book = self.place.books.between(&other.canonical, &self.place.canonical);
        let found = other.replica.look_up(key).await?;
        if let Some(found) = found.as_ref().filter(|found| is_same(entry, found)) {
            if self.stage == Stage::Done {
                agree(book, key, found, entry)?;
            }
            return Ok(Outcome::There);
        }
        // What both held when they last agreed: the damage that was taken over from there.
        let base = match book {
            Some((manifest, side)) => manifest.get(key)?.map(|base| match side {
                Side::Source => base.source,
                Side::Dest => base.dest,
            }),
            None => None,
        };
        let expect = self.expect(other, key, found, |found| base.as_ref() == Some(&found.version)).await?;
        if self.stage == Stage::Done {
            let stored = way.send(key, entry, &expect).await?;
            self.note_replaced(other, key, &expect, &stored.version)?;
            agree(book, key, &stored, entry)?;
        }
        Ok(Outcome::Sent)
    }
}

/// Records that both places hold the same: what was observed, not what was meant.
fn agree(book: Option<(&Manifest, Side)>, key: &Key, there: &Entry, here: &Entry) -> Result<(), Error> {
    let Some((manifest, side)) = book else { return Ok(()) };
    let mut digests: Digests = here.digests.clone();
    digests.merge(&there.digests);
    let (source, dest) = match side {
        Side::Source => (there, here),
        Side::Dest => (here, there),
    };
    let (source, dest) = (source.version.clone(), dest.version.clone());
    let record = BaseRecord { key: key.clone(), size: there.size, source, dest, digests, lapsed: false };
    Ok(manifest.record(&[Record::Put(record)])?)
}

/// Whether two entries hold the same, as far as that can be told without reading: one file under two names, or equal
/// digests.
fn is_same(a: &Entry, b: &Entry) -> bool {
    (a.size == b.size && a.version == b.version)
        || same_content(a.size, &a.digests, b.size, &b.digests) == Sameness::Same
}

/// The manifest can't be used: nothing else will work either.
fn stopped(failure: Failure) -> Error {
    let error = Error::new(Cause::Stop, failure.message);
    failure.hints.into_iter().next().map_or(error.clone(), |hint| error.hint(hint))
}
