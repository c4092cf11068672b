//! The trash of a side: where content waits that a run deleted, or replaced against somebody else's change.
//!
//! It lies at the side itself, below [`FOLDER`], as `.mediasync/trash/RUN/KEY`: private, never listed as user keys, never
//! copied across. In a bucket that keeps versions its own history serves instead ([`KeptAs::Version`]): nothing is
//! copied, and the version's id has to be remembered by the caller.
//!
//! What is kept is a copy besides what is at the key: whoever keeps does so right before a deletion or an overwrite,
//! which then carries the version that [`Trash::keep`] gave. Dying in between leaves an entry whose key is still there,
//! which is harmless. The engine never reads the trash; people do, through `mediasync trash`.

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::{Ability, Cause, Error, Journal, Upload, UploadedPart};
use crate::model::{Entry, Expect, Key, OWN_PREFIX, RunName, Version};

/// The folder of the trash, relative to a replica's root.
pub const FOLDER: &str = ".mediasync/trash/";

/// What a replica with a trash can do.
///
/// # Contract
/// As for [`Replica`](super::Replica): `Ok` is positive proof, an `Err` of a change means that it may have happened.
/// Every method may be called concurrently, and be repeated after an error.
#[async_trait]
pub trait Trash: Send + Sync + std::fmt::Debug {
    /// Keeps exactly `version` of `key` under the name of `run`: bytes, times, permissions, and what else the key
    /// carries (headers, metadata, its ACL where that can be read), so that [`Trash::restore`] can put it back. The
    /// key itself stays as it is. A key that `run` kept already in this version is kept once.
    ///
    /// `journal` is where a copy that takes several requests is written down.
    ///
    /// # Errors
    /// [`Cause::Precondition`] if another version is there, [`Cause::Unsupported`] if this place can't keep,
    /// [`Cause::Refused`] if it can't keep this key (a path that becomes too long): then nothing may be deleted or
    /// overwritten.
    async fn keep(&self, key: &Key, version: &Version, run: &RunName, journal: &dyn Journal) -> Result<Kept, Error>;

    /// What is in the trash, of one run or of all, as a stream: by run, the oldest first, unless the place lists in no
    /// order. What the history of a bucket keeps is not in it.
    fn trashed(&self, run: Option<&RunName>) -> TrashedStream;

    /// Looks at what is kept now, with the digests that the place gives without reading; `None` if it is gone.
    ///
    /// # Errors
    /// Anything but a clear yes or no.
    async fn look_at(&self, kept: &Trashed) -> Result<Option<Entry>, Error>;

    /// Puts what is kept back to its key, if what is there is what `expect` says, and takes it out of the trash. With
    /// all that it carried when it was kept.
    ///
    /// # Errors
    /// [`Cause::Precondition`] if something else is at the key, [`Cause::NotFound`] if it is in the trash no more.
    async fn restore(&self, kept: &Trashed, expect: &Expect, journal: &dyn Journal) -> Result<Entry, Error>;

    /// Takes entries out of the trash for good. One result an entry, in order; one that is gone already is fine. Never
    /// touches anything outside the trash, and never removes a version of a bucket's history.
    async fn discard(&self, batch: &[Trashed]) -> Vec<Result<(), Error>>;
}

/// What [`Trash::keep`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The version that the key has now: on disk, keeping changes it.
    pub version: Version,
    /// Where the content is.
    pub kept_as: KeptAs,
}

/// Where kept content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptAs {
    /// In the folder of the trash.
    Copy,
    /// In the history of a bucket, under this id.
    Version(String),
}

/// One entry of a trash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trashed {
    /// The run that put it there; its name says when.
    pub run: RunName,
    /// The key that it had.
    pub key: Key,
    /// Bytes.
    pub size: u64,
    /// Where it is.
    pub kept_as: KeptAs,
}

/// A listing of a trash.
#[derive(Debug)]
pub struct TrashedStream {
    /// Batches; closed at the end. An `Err` ends it, and what came before is all that is known.
    pub items: mpsc::Receiver<Result<Vec<Trashed>, Error>>,
    /// Stops the producer when the listing is dropped.
    pub producer: Option<tokio::task::JoinHandle<()>>,
}

impl TrashedStream {
    /// One that is complete.
    pub fn of(listed: Result<Vec<Trashed>, Error>) -> Self {
        let (sender, items) = mpsc::channel(1);
        sender.try_send(listed).expect("the channel is new and has room for one");
        Self { items, producer: None }
    }

    /// The next batch; `None` at the end.
    ///
    /// # Errors
    /// Why it ended early.
    pub async fn next(&mut self) -> Result<Option<Vec<Trashed>>, Error> {
        self.items.recv().await.transpose()
    }
}

impl Drop for TrashedStream {
    fn drop(&mut self) {
        if let Some(producer) = &self.producer {
            producer.abort();
        }
    }
}

/// The path of a kept key below the replica's root.
pub fn path_of(run: &RunName, key: &Key) -> String {
    format!("{FOLDER}{run}/{key}", key = key.as_str())
}

/// The run and the key of a path below [`FOLDER`]; `None` for what no run of ours put there.
pub fn parse_path(path: &str) -> Option<(RunName, Key)> {
    let (run, key) = path.strip_prefix(FOLDER)?.split_once('/')?;
    let key = Key::new(key).ok()?;
    let own = key.components().any(|name| name.starts_with(OWN_PREFIX));
    (!own).then_some(())?;
    Some((RunName::parse(run)?, key))
}

/// Whether a key of an upload in flight is a copy into the trash.
pub fn is_in_trash(key: &Key) -> bool {
    key.as_str().starts_with(FOLDER)
}

/// Takes the entries of runs out of a trash for good: those of `run`, or of all, whose run `goes`. Returns how many.
///
/// Where `ordered` says that names come in order, it ends at the first run that stays, which is younger than all before.
///
/// # Errors
/// The first one, after what could be removed was.
pub async fn empty(
    bin: &dyn Trash,
    run: Option<&RunName>,
    goes: &(dyn Fn(&RunName) -> bool + Sync),
    ordered: Ability,
) -> Result<u64, Error> {
    let (mut listing, mut removed, mut failed) = (bin.trashed(run), 0, None);
    while let Some(batch) = listing.next().await? {
        let ends = ordered == Ability::Proven && batch.iter().any(|kept| !goes(&kept.run));
        let old: Vec<Trashed> = batch.into_iter().filter(|kept| goes(&kept.run)).collect();
        if !old.is_empty() {
            for result in bin.discard(&old).await {
                match result {
                    Ok(()) => removed += 1,
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
        }
        if ends {
            break;
        }
    }
    failed.map_or(Ok(removed), Err)
}

/// What to do where something can't be kept: the hint of such problems.
pub const WAY_OUT: &str = "trash = \"off\" in the job, or --trash off, does it without keeping anything";

/// For copies that nobody writes down: those of a command that holds no manifest.
#[derive(Debug, Clone, Copy)]
pub struct Unjournaled;

impl Journal for Unjournaled {
    fn upload(&self, _key: &Key) -> Result<Option<Upload>, Error> {
        Ok(None)
    }

    fn uploads(&self) -> Result<Vec<Upload>, Error> {
        Ok(Vec::new())
    }

    fn intend(&self, _upload: &Upload) -> Result<(), Error> {
        Ok(())
    }

    fn part(&self, _key: &Key, _part: &UploadedPart) -> Result<(), Error> {
        Ok(())
    }

    fn done(&self, _key: &Key) -> Result<(), Error> {
        Ok(())
    }
}

/// An error for a replica that has no trash.
pub fn none(name: &str) -> Error {
    Error::new(Cause::Unsupported, format!("{name} has no trash"))
}
