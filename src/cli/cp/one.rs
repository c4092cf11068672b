//! One file that is copied: whether it is there already, whether what is there may be replaced, and that it is kept before.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::uploads::Uploads;
use crate::cli::send::Way;
use crate::examine::read;
use crate::model::{DigestKind, Digests, Entry, Expect, Key, ReadCost, Readable, RunName, Sameness, same_content};
use crate::plan::comparable;
use crate::replica::trash::none;
use crate::replica::{Cause, Error, KeptAs, Replica};
use crate::sync::Stage;
use crate::verify::stated;

/// What becomes of what is there and differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wins {
    /// It stays, and is told.
    There,
    /// `--overwrite`.
    Trash,
    /// `--overwrite --trash off`.
    Nothing,
}

/// Whether the destination is there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    Yes,
    /// A directory that would be made.
    NotYet,
}

/// Where what was replaced is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    Trashed,
    /// In the bucket's own versions.
    Version,
    /// Nothing was kept, or nothing was done.
    Gone,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Created,
    Replaced(Before),
    /// The same content is there.
    There,
}

/// What all files of a command share.
#[derive(Debug)]
pub(super) struct Copying<'a> {
    pub(super) way: Way<'a>,
    pub(super) uploads: &'a Uploads,
    /// What is replaced goes to the trash under this name.
    pub(super) run: &'a RunName,
    pub(super) stage: Stage,
    pub(super) wins: Wins,
    /// How many files went to the trash, whatever became of what was to take their places.
    pub(super) kept: AtomicU64,
    pub(super) stands: Stands,
}

impl Copying<'_> {
    pub(super) async fn one(&self, from: &Key, entry: &Entry, to: &Key) -> Result<Outcome, Error> {
        let dest = self.way.to.name();
        self.way.to.accepts(to).map_err(|why| refused(format!("{to} can't be stored in {dest}: {why}")))?;
        if entry.readable == Readable::Archived {
            return Err(refused(format!("{from}: its content is in an archive tier and can't be read"))
                .hint("restore it at the service first"));
        }
        let found = match self.stands {
            Stands::Yes => self.way.to.look_up(to).await?,
            Stands::NotYet => None,
        };
        let Some(found) = found else {
            if self.stage == Stage::Done {
                let opened = self.way.open(from, entry).await?;
                self.way.store(opened, (from, entry), to, &Expect::Absent).await?;
            }
            return Ok(Outcome::Created);
        };
        let same = self.same((from, entry), (to, &found)).await?;
        match (same, self.wins) {
            (Sameness::Same, _) => return Ok(Outcome::There),
            (Sameness::Different, Wins::There) => {
                return Err(refused(format!("{to}: something else is there in {dest}; not replaced"))
                    .hint("--overwrite replaces it, and keeps it in the trash"));
            }
            (Sameness::CannotTell, Wins::There) => {
                let message = format!("{to}: it can't be told whether {dest} has the same content there; not replaced");
                return Err(refused(message).hint("--overwrite replaces it, and keeps it in the trash"));
            }
            (Sameness::Different | Sameness::CannotTell, Wins::Trash | Wins::Nothing) => {}
        }
        if self.stage == Stage::Planned {
            return Ok(Outcome::Replaced(Before::Gone));
        }
        let opened = self.way.open(from, entry).await?;
        let (expect, before) = self.keep(to, &found).await?;
        self.way.store(opened, (from, entry), to, &expect).await?;
        Ok(Outcome::Replaced(before))
    }

    /// Keeps what is about to be replaced. What must be there from then on.
    async fn keep(&self, key: &Key, found: &Entry) -> Result<(Expect, Before), Error> {
        if self.wins == Wins::Nothing {
            return Ok((Expect::Version(found.version.clone()), Before::Gone));
        }
        let hint = "--trash off replaces it without keeping anything";
        let bin = self.way.to.trash().ok_or_else(|| none(self.way.to.name()).hint(hint))?;
        let kept = bin.keep(key, &found.version, self.run, self.uploads).await.map_err(|error| match error.cause {
            Cause::Refused | Cause::Unsupported => error.hint(hint),
            _ => error,
        })?;
        let before = match kept.kept_as {
            KeptAs::Copy => {
                self.kept.fetch_add(1, Relaxed);
                Before::Trashed
            }
            KeptAs::Version(_) => Before::Version,
        };
        Ok((Expect::Version(kept.version), before))
    }

    /// Whether both hold the same, as far as that can be told without a transfer.
    async fn same(&self, (from, entry): (&Key, &Entry), (to, found): (&Key, &Entry)) -> Result<Sameness, Error> {
        let (mut ours, mut theirs) = (entry.digests.clone(), found.digests.clone());
        let told = self.told((entry, &ours), (found, &theirs));
        if told != Sameness::CannotTell {
            return Ok(told);
        }
        let cost = |replica: &dyn Replica| replica.capabilities().read_cost;
        match cost(self.way.from) {
            ReadCost::Cheap => {
                let want = comparable(&theirs);
                ours.merge(&read(self.way.from, &self.way.buffers, from, entry, &want).await?);
            }
            // A listing tells less than a look.
            ReadCost::Transfer => {
                if let Some(looked) = self.way.from.look_up(from).await?.filter(|now| now.version == entry.version) {
                    ours = looked.digests;
                }
            }
        }
        if cost(self.way.to) == ReadCost::Cheap {
            let want = comparable(&ours);
            theirs.merge(&read(self.way.to, &self.way.buffers, to, found, &want).await?);
        }
        Ok(self.told((entry, &ours), (found, &theirs)))
    }

    /// What digests tell. One that was recorded with an object proves nothing where the object's own ETag speaks against it:
    /// another program may have written new content and kept the metadata.
    fn told(&self, (entry, ours): (&Entry, &Digests), (found, theirs): (&Entry, &Digests)) -> Sameness {
        let told = same_content(entry.size, ours, found.size, theirs);
        if told != Sameness::Same || entry.size == 0 {
            return told;
        }
        let of_bytes = |replica: &dyn Replica, entry: &Entry, all: &Digests| match replica.capabilities().read_cost {
            ReadCost::Cheap => all.clone(),
            ReadCost::Transfer => stated(replica, entry, all),
        };
        let (here, there) = (of_bytes(self.way.from, entry, ours), of_bytes(self.way.to, found, theirs));
        let has_md5 = |all: &Digests| all.iter().any(|one| matches!(one.kind, DigestKind::Md5 | DigestKind::EtagMd5));
        match here.compare(&there) {
            Sameness::CannotTell if !(has_md5(&here) && has_md5(&there)) => told,
            own => own,
        }
    }
}

fn refused(message: String) -> Error {
    Error::new(Cause::Refused, message)
}
