//! One file that is put back, and sent on, with what proves that it may be.
//!
//! A process that dies leaves each file in one of few states, and the next restore of the same goes on from each: what
//! it was about to replace lies in the trash under that restore's name too, and is known by it (on a disk, the second
//! name of a file changes its version); what it put back and did not send on has a line in the manifest and is in the trash no
//! more.
//!
//! With another place nothing changes here that is not taken there: that is looked at first, and what could not be sent
//! after all (the other place changed meanwhile, or failed) goes into the trash again, under the run that it came from.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::place::{Books, Place};
use super::told::Outcome;
use crate::cli::failure::Failure;
use crate::cli::send::Way;
use crate::examine::read;
use crate::manifest::{KeptLine, Manifest, Record};
use crate::model::{
    BaseRecord, Digests, Entry, Expect, Key, Marks, RunName, Sameness, Side, Version, Want, same_content,
};
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
    /// Whether it was sent on, or why it could not be.
    pub(super) sent: Option<Result<Outcome, Error>>,
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
        if let Some(found) = found.as_ref().filter(|found| is_same(&entry, found)) {
            let sent = match &self.other {
                Some(other) => Some(self.send_on(other, key, found, other.0.replica.look_up(key).await?).await),
                None => None,
            };
            return Ok(Back { outcome: Outcome::There, sent });
        }
        let there = match &self.other {
            Some(other) => Some((other, self.taken(other, key, &entry).await?)),
            None => None,
        };
        let ours = self.place.wrote(kept).map_err(stopped)?;
        let expect = self.expect(self.place, key, found, ours.as_ref()).await?;
        let now = match self.stage {
            Stage::Planned => entry,
            Stage::Done => self.put_back(kept, &expect).await?,
        };
        let sent = match there {
            Some((other, found)) => Some(self.send_on(other, key, &now, found).await),
            None => None,
        };
        let sent = match sent {
            Some(Err(error)) if self.stage == Stage::Done => Some(Err(self.owing(kept, &expect, &now, error).await)),
            sent => {
                if self.stage == Stage::Done {
                    self.place.forget(kept).map_err(stopped)?;
                }
                sent
            }
        };
        Ok(Back { outcome: Outcome::Restored, sent })
    }

    /// Whether what is kept stands under its name too.
    pub(super) async fn stands(&self, kept: &Trashed) -> Result<bool, Error> {
        let bin = self.place.bin().map_err(stopped)?;
        let (entry, found) = (bin.look_at(kept).await?, self.place.replica.look_up(&kept.key).await?);
        Ok(entry.zip(found).is_some_and(|(entry, found)| is_same(&entry, &found)))
    }

    /// What is at the other place, if it takes a file; asked before anything changes here.
    async fn taken(
        &self,
        (other, _): &(&Place<'_>, Way<'_>),
        key: &Key,
        entry: &Entry,
    ) -> Result<Option<Entry>, Error> {
        let found = other.replica.look_up(key).await?;
        if let Some(found) = &found
            && same_content(entry.size, &entry.digests, found.size, &found.digests) != Sameness::Same
        {
            let base = self.base_of(other, key)?;
            self.allowed(other, key, found, base.as_ref()).await?;
        }
        Ok(found)
    }

    /// It is back here, and was not sent on: it is kept in the trash again, so that repeating the command goes on.
    async fn owing(&self, kept: &Trashed, expect: &Expect, now: &Entry, error: Error) -> Error {
        let place = self.place.replica.name();
        let again = async {
            if kept.kept_as == KeptAs::Copy {
                let bin = self.place.bin().map_err(stopped)?;
                let again = bin.keep(&kept.key, &now.version, &kept.run, &Unjournaled).await?;
                self.note_replaced(self.place, &kept.key, expect, &again.version)?;
            }
            Ok::<(), Error>(())
        };
        // Without it the line in the manifest still tells a repetition that names the run.
        if let Err(failure) = again.await {
            tracing::debug!(?failure, "what was not sent on is not in the trash again");
        }
        let message = format!("{}; it is back at {place} and was not sent on", error.message);
        let repeat = format!("repeat this with --run {} to send it", kept.run);
        let hint = error.hint.map_or(repeat.clone(), |hint| format!("{hint}; {repeat}"));
        Error { message, ..Error::new(error.cause, "") }.hint(hint)
    }

    async fn put_back(&self, kept: &Trashed, expect: &Expect) -> Result<Entry, Error> {
        let bin = self.place.bin().map_err(stopped)?;
        let now = bin.restore(kept, expect, &Unjournaled).await?;
        self.note_replaced(self.place, &kept.key, expect, &now.version)?;
        Ok(now)
    }

    /// Whether what is at a key of a place may be replaced: what is `ours`, or with `--overwrite` whatever is there.
    async fn allowed(&self, place: &Place<'_>, key: &Key, found: &Entry, ours: Option<&Version>) -> Result<(), Error> {
        if ours == Some(&found.version) || self.wins == Wins::Trash || self.was_about_to(place, key, found).await? {
            return Ok(());
        }
        let message = format!("{key}: something else is at {} by now; not replaced", place.replica.name());
        Err(Error::new(Cause::Precondition, message)
            .hint("--overwrite replaces it, and puts what is there into the trash"))
    }

    /// What must be at a key of a place for it to be replaced: nothing, or what is [`allowed`](Self::allowed). In a run
    /// that changes something, that is kept first.
    async fn expect(
        &self,
        place: &Place<'_>,
        key: &Key,
        found: Option<Entry>,
        ours: Option<&Version>,
    ) -> Result<Expect, Error> {
        let Some(found) = found else { return Ok(Expect::Absent) };
        self.allowed(place, key, &found, ours).await?;
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
        let there = other.0.replica.look_up(&line.key).await?;
        let outcome = self.send_on(other, &line.key, &found, there).await?;
        if self.stage == Stage::Done {
            self.place.forget(&kept).map_err(stopped)?;
        }
        Ok(Some(outcome))
    }

    /// What both places held when they last agreed, as it is at the other one: the damage that was taken over from there.
    fn base_of(&self, other: &Place<'_>, key: &Key) -> Result<Option<Version>, Error> {
        let Some((manifest, side)) = self.place.books.between(&other.canonical, &self.place.canonical) else {
            return Ok(None);
        };
        Ok(manifest.get(key)?.map(|base| match side {
            Side::Source => base.source,
            Side::Dest => base.dest,
        }))
    }

    /// Sends what is back at the one place to the other one, where `found` is.
    async fn send_on(
        &self,
        (other, way): &(&Place<'_>, Way<'_>),
        key: &Key,
        entry: &Entry,
        found: Option<Entry>,
    ) -> Result<Outcome, Error> {
        let book = self.place.books.between(&other.canonical, &self.place.canonical);
        // A process that died may have sent it and told nobody.
        if let Some(found) = &found
            && self.holds(way, other, key, entry, found).await?
        {
            if self.stage == Stage::Done {
                agree(book, key, found, entry)?;
            }
            return Ok(Outcome::There);
        }
        let base = self.base_of(other, key)?;
        let expect = self.expect(other, key, found, base.as_ref()).await?;
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
    let record = BaseRecord {
        key: key.clone(),
        size: there.size,
        source,
        dest,
        digests,
        lapsed: false,
        marks: Marks::default(),
    };
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
