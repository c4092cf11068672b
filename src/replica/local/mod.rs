//! A local directory as a replica.
//!
//! | file | what |
//! |---|---|
//! | `root` | the held root directory; every path is resolved from it, through no link |
//! | `scan`, `names` | the walk in key order |
//! | `read` | one look, whole small files, pieces of large ones |
//! | `links` | symbolic links that are followed or stored |
//! | `write`, `transfer` | temporary files, the check right before the rename, deletions |
//! | `batch` | files that are made durable together |
//! | `partial` | large files that another run may go on with |
//! | `stamp` | what a version is made of, and how far each file system can be trusted |
//! | `tidy` | what a killed run left behind |
//! | `trash` | what runs took away, by hard links |
//! | `watch` | what happens below a directory, as it happens; apart from the replica |
//! | `lease` | the file by which hosts agree who writes here |
//! | `fault` | error numbers in words |
//!
//! What it promises beyond the contract of [`Replica`]: nothing outside the root is read or written, even by hostile
//! keys or a link swapped in meanwhile; symbolic links, FIFOs, sockets, devices and other file systems below the
//! root are told as skipped and never taken for absence, links unless [`Made::links`] says otherwise; what `put` and
//! `delete` answered is durable. What it does not: set owners, extended attributes or ACLs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rustix::fs::{CWD, Mode, mkdirat, statvfs};
use tokio::sync::mpsc;

use self::batch::Batches;
use self::fault::shown;
use self::pool::Pool;
pub use self::root::Made;
use self::root::Root;
use self::tidy::Leftovers;
use self::under_way::UnderWay;
use self::writers::Writers;
use super::{
    Ability, Capabilities, Cause, Connected, Contact, Content, Error, Journal, Leases, Listing, Put, ReadCost, Replica,
    Room, Trash,
};
use crate::model::{Entry, Filter, Key, Namespace, OWN_PREFIX, Symlinks, Version, link_name};

mod batch;
mod browse;
mod delete;
mod fault;
pub mod health;
mod lease;
mod links;
mod names;
mod partial;
mod pool;
mod read;
mod root;
mod scan;
#[cfg(test)]
mod seam;
mod stamp;
mod tidy;
mod transfer;
mod trash;
mod under_way;
pub mod watch;
mod write;
mod writers;

#[cfg(test)]
mod tests;

/// Bytes of one component: `NAME_MAX` of Linux.
const NAME_LIMIT: usize = 255;
/// Bytes of a path below the root: `PATH_MAX` of Linux without its NUL.
const PATH_LIMIT: usize = 4095;
/// Bytes that stay free unless somebody says otherwise; one in a hundred, if that is more.
const RESERVE: u64 = 500_000_000;
/// Batches between the walk and its reader.
const BATCHES: usize = 4;

/// Whether directories above a missing root may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Parents {
    /// A missing one is more often a mistyped path, or a disk that is not mounted.
    #[default]
    MustExist,
    /// Somebody else said where the root is.
    Made,
}

/// A directory on this machine.
#[derive(Debug)]
pub struct Local {
    path: PathBuf,
    parents: Parents,
    name: String,
    /// Set by `connect`, or by the first use.
    root: Mutex<Option<Arc<Root>>>,
    leftovers: Arc<Leftovers>,
    pool: Pool,
    batches: Batches,
    writers: Writers,
    under_way: UnderWay,
    made: Made,
}

impl Local {
    /// The directory at `path`; a relative path counts from the current directory now. Nothing is touched: whether it
    /// is there is seen by [`Replica::connect`].
    ///
    /// # Errors
    /// [`Cause::Stop`] for an empty path, or if there is no current directory.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let path = std::path::absolute(path).map_err(|error| {
            let message = format!("`{}` can't be used as a directory: {error}", shown(path));
            Error::new(Cause::Stop, message).hint("name a directory, for example `./data/media`")
        })?;
        let (name, under_way) = (shown(&path), UnderWay::default());
        let batches = Batches::new(under_way.clone());
        Ok(Self {
            path,
            parents: Parents::default(),
            name,
            root: Mutex::new(None),
            leftovers: Arc::default(),
            pool: Pool::new(),
            writers: Writers::new(batches.clone(), under_way.clone()),
            batches,
            under_way,
            made: Made::default(),
        })
    }

    /// With another rule for missing directories above the root.
    #[must_use]
    pub fn parents(self, parents: Parents) -> Self {
        Self { parents, ..self }
    }

    /// What new files and directories get.
    #[must_use]
    pub fn making(self, made: Made) -> Self {
        Self { made, ..self }
    }

    /// The root as `connect` found it.
    fn root(&self) -> Result<Arc<Root>, Error> {
        let mut slot = self.root.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(root) = &*slot {
            return Ok(Arc::clone(root));
        }
        let mut root = Root::open(&self.path).map_err(|error| Error { cause: Cause::Stop, ..error })?;
        root.made = self.made;
        let root = Arc::new(root);
        *slot = Some(Arc::clone(&root));
        Ok(root)
    }
}

/// Whether a root that is missing would be made when it is needed.
fn can_be_made(path: &Path, parents: Parents) -> bool {
    let is_link = path.symlink_metadata().is_ok();
    !is_link && (parents == Parents::Made || path.parent().is_some_and(Path::is_dir))
}

#[async_trait]
impl Replica for Local {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            namespace: Namespace::Tree,
            read_cost: ReadCost::Cheap,
            ordered: Ability::Proven,
            conditional_put: Ability::Proven,
            conditional_delete: Ability::Proven,
            copy: Ability::Proven,
            states: &[],
        }
    }

    fn accepts(&self, key: &Key) -> Result<(), String> {
        let text = key.as_str();
        if text.len() > PATH_LIMIT {
            return Err(format!("the path has {} bytes, and {PATH_LIMIT} is the limit here", text.len()));
        }
        for name in key.components() {
            if name.is_empty() {
                return Err("a file path can't begin or end with a slash or hold two in a row".to_owned());
            }
            if name == "." || name == ".." {
                return Err(format!("`{name}` can't be the name of a file or directory"));
            }
            // Of a link's text only the link's own name is on the disk.
            let stored = link_name(name).filter(|_| self.made.links == Symlinks::Store).unwrap_or(name);
            if stored.len() > NAME_LIMIT {
                return Err(format!("a name has {} bytes, and {NAME_LIMIT} is the limit here", name.len()));
            }
            if name.starts_with(OWN_PREFIX) {
                return Err(format!("names that begin with `{OWN_PREFIX}` are reserved"));
            }
        }
        Ok(())
    }

    /// With [`Contact::Prepare`] a root that is missing is made, if its parent is there: a pull into a new directory is
    /// what people expect to work. A source is contacted with [`Contact::Look`], and a missing one stops the run.
    async fn connect(&self, contact: Contact) -> Result<Connected, Error> {
        let (path, parents) = (self.path.clone(), self.parents);
        let mut root = blocking(move || match Root::open(&path) {
            Err(error) if contact == Contact::Prepare => {
                if let (Parents::Made, Some(parent)) = (parents, path.parent()) {
                    // What could not be made is told below.
                    std::fs::create_dir_all(parent).unwrap_or_default();
                }
                // A link that leads nowhere, a missing parent, a file: the error of opening it says it better.
                mkdirat(CWD, &path, Mode::from_raw_mode(0o777)).map_err(|_| error)?;
                Root::open(&path)
            }
            // A run that only looks must not promise what preparing would refuse.
            Err(error) if error.cause == Cause::NotFound && !can_be_made(&path, parents) => {
                Err(Error { cause: Cause::Stop, ..error })
            }
            result => result,
        })
        .await?;
        let identity = Some(root.identity());
        root.made = self.made;
        *self.root.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(root));
        Ok(Connected { identity, notices: Vec::new(), findings: None })
    }

    fn rest(&self) {
        *self.root.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn quiet(&self) {
        self.under_way.quiet().await;
    }

    fn list(&self, only: Option<&Key>, filter: &Arc<Filter>) -> Listing {
        let (sender, items) = mpsc::channel(BATCHES);
        let refused = only.and_then(|only| self.accepts(only).err().map(|why| (only, why)));
        let root = match (refused, self.root()) {
            (Some((only, why)), _) => Err(Error::new(Cause::Refused, format!("`{only}` can't be listed: {why}"))),
            (None, root) => root,
        };
        match root {
            Err(error) => {
                sender.try_send(Err(error)).expect("the channel is empty");
                Listing { items, producer: None }
            }
            Ok(root) => {
                let (only, filter, leftovers) = (only.cloned(), Arc::clone(filter), Arc::clone(&self.leftovers));
                let producer = tokio::task::spawn_blocking(move || {
                    scan::walk(&root, only.as_ref(), &filter, &leftovers, sender);
                });
                Listing { items, producer: Some(producer) }
            }
        }
    }

    async fn look_up(&self, key: &Key) -> Result<Option<Entry>, Error> {
        // Such a name leads to no file. Other keys that are not accepted may well be here, and nothing is said of them.
        if key.components().any(|name| matches!(name, "" | "." | "..")) {
            return Ok(None);
        }
        self.refuse("look at", key)?;
        let (root, key) = (self.root()?, key.clone());
        // Every blocking thread keeps memory of its own: a burst of look-ups must not make dozens.
        let turn = self.pool.turn().await;
        blocking(move || {
            let found = read::look_up(&root, &key);
            drop(turn);
            found
        })
        .await
    }

    async fn open(&self, key: &Key, expect: &Version) -> Result<Content, Error> {
        self.refuse("read", key)?;
        let (root, key, expect) = (self.root()?, key.clone(), expect.clone());
        let (pool, turn) = (self.pool.clone(), self.pool.turn().await);
        blocking(move || {
            let opened = read::open(&root, &key, &expect, &pool);
            drop(turn);
            opened
        })
        .await
    }

    async fn put(&self, key: &Key, content: &Content, put: &Put<'_>) -> Result<Entry, Error> {
        self.refuse("write", key)?;
        transfer::put(self.root()?, (&self.batches, &self.writers), key, content, put).await
    }

    /// Reads and writes: on one disk that is as fast as it gets without the help of the file system.
    async fn copy(&self, from: &Key, from_version: &Version, to: &Key, put: &Put<'_>) -> Result<Entry, Error> {
        let content = self.open(from, from_version).await.map_err(|error| match error.cause {
            Cause::Changed | Cause::NotFound => Error { cause: Cause::Precondition, ..error },
            _ => error,
        })?;
        self.put(to, &content, put).await
    }

    async fn delete(&self, batch: &[(Key, Version)]) -> Vec<Result<(), Error>> {
        let refused: Vec<Option<Error>> = batch.iter().map(|(key, _)| self.refuse("delete", key).err()).collect();
        let allowed: Vec<(Key, Version)> =
            batch.iter().zip(&refused).filter(|(_, refused)| refused.is_none()).map(|(pair, _)| pair.clone()).collect();
        let count = allowed.len();
        let done = match self.root() {
            Err(error) => Err(error),
            Ok(root) => {
                let work = self.under_way.begin();
                blocking(move || {
                    let deleted = delete::delete(&root, &allowed);
                    drop(work);
                    Ok(deleted)
                })
                .await
            }
        };
        let mut done = done.unwrap_or_else(|error| vec![Err(error); count]).into_iter();
        let answer = |refused: Option<Error>| match refused {
            Some(error) => Err(error),
            None => done.next().expect("one answer a key"),
        };
        refused.into_iter().map(answer).collect()
    }

    /// Of the file system that holds the root, or would.
    async fn room(&self) -> Result<Option<Room>, Error> {
        let (path, reserve) = (self.path.clone(), self.made.reserve);
        blocking(move || {
            let there = path.ancestors().find(|path| path.is_dir()).unwrap_or(&path);
            let stat = statvfs(there).map_err(|errno| {
                Error::new(Cause::Stop, format!("could not look at the disk of `{}`: {errno}", shown(&path)))
            })?;
            let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
            // Some file systems tell nothing.
            let known = stat.f_blocks > 0;
            let reserve = reserve.unwrap_or_else(|| (bytes(stat.f_blocks) / 100).max(RESERVE));
            Ok(known.then(|| Room { free: bytes(stat.f_bavail), reserve }))
        })
        .await
    }

    /// Removes temporary files that the listings before met: finding them costs a walk, and a listing is one. Called
    /// before any listing it removes nothing.
    async fn tidy(&self, journal: &dyn Journal) -> Result<u64, Error> {
        let (root, leftovers) = (self.root()?, Arc::clone(&self.leftovers));
        let partial = partial::tidy(&root, journal)?;
        blocking(move || {
            root.verify()?;
            Ok(leftovers.remove(&root) + partial)
        })
        .await
    }

    fn trash(&self) -> Option<&dyn Trash> {
        Some(self)
    }

    fn leases(&self) -> Option<&dyn Leases> {
        Some(self)
    }
}

impl Local {
    fn refuse(&self, what: &str, key: &Key) -> Result<(), Error> {
        self.accepts(key).map_err(|why| Error::new(Cause::Refused, format!("could not {what} `{key}`: {why}")))
    }
}

/// Runs file work on a thread that may wait for the disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(shutting_down()),
        },
    }
}

fn shutting_down() -> Error {
    Error::new(Cause::Stop, "the program is shutting down")
}
