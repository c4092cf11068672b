//! One file that is put back, and sent on, with what proves that it may be.
//!
//! A process that dies leaves each file in one of few states, and the next restore of the same goes on from each: what
//! it was about to replace lies in the trash under that restore's name too, and is known by it (on a disk, the second
//! name of a file changes its version); what it put back and did not send on has a line in the manifest and is in the trash no
//! more.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::place::{Books, Place};
use super::send::Way;
use super::told::Outcome;
use crate::cli::failure::Failure;
use crate::examine::read;
use crate::manifest::{KeptLine, Manifest, Record};
use crate::model::{BaseRecord, Digests, Entry, Expect, Key, RunName, Sameness, Side, Version, Want, same_content};
use crate::replica::trash::Unjournaled;
use crate::replica::{Cause, Error, KeptAs, Trashed};
use crate::sync::Stage;

/// Who wins where somebody else changed a file since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wins {
    Nobody,
    /// `--overwrite`.
    Trash,
}

/// A restore at one place.
#[derive(Debug)]
pub(super) struct Restoring<'a> {
    pub(super) place: &'a Place<'a>,
    /// Where it is sent on to, and how.
    pub(super) other: Option<(&'a Place<'a>, Way<'a>)>,
    /// What is replaced goes to the trash under this name.
    pub(super) name: &'a RunName,
    pub(super) stage: Stage,
    wins: Wins,
    /// The names of restores that were killed.
    before: &'a [RunName],
    replaced: AtomicU64,
    replaced_there: AtomicU64,
}

/// A restore begins: a later one will know of it until it came to its [`end`]. The names of those that did not.
pub(super) fn begin(books: &Books, name: &RunName, stage: Stage) -> Result<Vec<RunName>, Failure> {
    let mut before = Vec::new();
    for manifest in books.all() {
        before.extend(manifest.restoring()?);
        if stage == Stage::Done {
            manifest.begin_restore(name)?;
        }
    }
    before.sort_unstable();
    before.dedup();
    Ok(before)
}

/// It came to its end; the others are done too, as far as the caller says.
pub(super) fn end(books: &Books, name: &RunName, done: &[RunName], stage: Stage) -> Result<(), Failure> {
    if stage == Stage::Done {
        for manifest in books.all() {
            for name in done.iter().chain([name]) {
                manifest.end_restore(name)?;
            }
        }
    }
    Ok(())
}

/// One file is back, or would be.
pub(super) struct Back {
    pub(super) outcome: Outcome,
    /// Whether it was sent on.
    pub(super) sent: Option<Outcome>,
}

impl<'a> Restoring<'a> {
    pub(super) fn new(
        place: &'a Place<'a>,
        other: Option<(&'a Place<'a>, Way<'a>)>,
        (name, before): (&'a RunName, &'a [RunName]),
        stage: Stage,
        wins: Wins,
    ) -> Self {
        let (replaced, replaced_there) = <(AtomicU64, AtomicU64)>::default();
        Self { place, other, name, stage, wins, before, replaced, replaced_there }
    }

    /// How many files were replaced at a place, and are kept there.
    pub(super) fn replaced_at(&self, place: &Place<'_>) -> u64 {
        self.counter(place).load(Relaxed)
    }

    fn counter(&self, place: &Place<'_>) -> &AtomicU64 {
        if place.canonical == self.place.canonical { &self.replaced } else { &self.replaced_there }
    }

    pub(super) async fn one(&self, kept: &Trashed) -> Result<Back, Error> {
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
        let sent = match &self.other {
            Some(other) => Some(self.send_on(other, key, &now).await?),
            None => None,
        };
        if outcome == Outcome::Restored && self.stage == Stage::Done {
            self.place.forget(kept).map_err(stopped)?;
        }
        Ok(Back { outcome, sent })
    }

    async fn put_back(&self, kept: &Trashed, expect: &Expect) -> Result<Entry, Error> {
        let bin = self.place.bin().map_err(stopped)?;
        let now = bin.restore(kept, expect, &Unjournaled).await?;
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
        if !ours(&found) && self.wins == Wins::Nobody && !self.was_about_to(place, key, &found).await? {
            let message = format!("{key}: something else is at {} by now; not replaced", place.replica.name());
            return Err(Error::new(Cause::Precondition, message)
                .hint("--overwrite replaces it, and puts what is there into the trash"));
        }
        if self.stage == Stage::Planned {
            return Ok(Expect::Version(found.version));
        }
        let bin = place.bin().map_err(stopped)?;
        let kept = bin.keep(key, &found.version, self.name, &Unjournaled).await?;
        for (manifest, side) in place.books.of(&place.canonical) {
            let line = KeptLine {
                run: self.name.clone(),
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
        self.counter(place).fetch_add(1, Relaxed);
        Ok(Expect::Version(kept.version))
    }

    /// Whether a restore that was killed had kept what is there, to replace it.
    async fn was_about_to(&self, place: &Place<'_>, key: &Key, found: &Entry) -> Result<bool, Error> {
        let bin = place.bin().map_err(stopped)?;
        for before in self.before {
            let kept = Trashed { run: before.clone(), key: key.clone(), size: found.size, kept_as: KeptAs::Copy };
            let there = bin.look_at(&kept).await?;
            if there.is_some_and(|kept| kept.size == found.size && kept.version == found.version) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn note_replaced(&self, place: &Place<'_>, key: &Key, expect: &Expect, now: &Version) -> Result<(), Error> {
        if *expect != Expect::Absent {
            for (manifest, side) in place.books.of(&place.canonical) {
                manifest.note_replaced(side, self.name, &[(key.clone(), now.clone())])?;
            }
        }
        Ok(())
    }

    /// Sends on what a killed restore put back here before; `None` if it did not, and there is nothing to send.
    pub(super) async fn owed(&self, line: &KeptLine) -> Result<Option<Outcome>, Error> {
        let Some(other) = &self.other else { return Ok(None) };
        let bin = self.place.bin().map_err(stopped)?;
        let kept = Trashed { run: line.run.clone(), key: line.key.clone(), size: line.size, kept_as: KeptAs::Copy };
        if bin.look_at(&kept).await?.is_some() {
            return Ok(None);
        }
        // What the run left there was not put right: the trash was emptied by somebody else.
        let found = self.place.replica.look_up(&line.key).await?;
        let Some(found) = found.filter(|found| found.size == line.size && line.wrote.as_ref() != Some(&found.version))
        else {
            return Ok(None);
        };
        let outcome = self.send_on(other, &line.key, &found).await?;
        if self.stage == Stage::Done {
            self.place.forget(&kept).map_err(stopped)?;
        }
        Ok(Some(outcome))
    }

    /// Sends what is back at the one place to the other one.
    async fn send_on(&self, (other, way): &(&Place<'_>, Way<'_>), key: &Key, entry: &Entry) -> Result<Outcome, Error> {
        let book = self.place.books.between(&other.canonical, &self.place.canonical);
        let found = other.replica.look_up(key).await?;
        // A process that died may have sent it and told nobody.
        if let Some(found) = &found
            && self.holds(way, other, key, entry, found).await?
        {
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

    /// Whether the other place holds what is back here; where nothing else tells, by reading both.
    async fn holds(
        &self,
        way: &Way<'_>,
        other: &Place<'_>,
        key: &Key,
        here: &Entry,
        there: &Entry,
    ) -> Result<bool, Error> {
        match same_content(here.size, &here.digests, there.size, &there.digests) {
            Sameness::Same => return Ok(true),
            Sameness::Different => return Ok(false),
            // Before it is put back, nobody can read it under its name.
            Sameness::CannotTell if self.stage == Stage::Planned => return Ok(false),
            Sameness::CannotTell => {}
        }
        let want = Want::default();
        let ours = read(&*self.place.replica, &way.buffers, key, here, &want).await?;
        let theirs = read(&*other.replica, &way.buffers, key, there, &want).await?;
        Ok(same_content(here.size, &ours, there.size, &theirs) == Sameness::Same)
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
