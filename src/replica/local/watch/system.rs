//! The watcher that the system feeds, as a job sees it.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rustix::fs::statfs;
use rustix::io::Errno;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use super::super::root::Root;
use super::place::{Who, silent};
use super::raw::{Flags, Raw};
use super::scope::Scope;
use super::teller::Teller;
use super::tree::Tree;
use super::{Coverage, Lost, Missed, Sign, Watcher};
use crate::model::{Filter, Symlinks};
use crate::replica::{Cause, Error};

/// How often the root is looked at.
const ROUND: Duration = Duration::from_secs(30);
/// Events between the library's thread and ours: 200 KB.
const QUEUE: usize = 4096;
/// Lists of signs between our thread and who fetches them.
const LISTS: usize = 64;

/// What to watch.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The directory; a relative path counts from the current directory now.
    pub path: PathBuf,
    /// What is left out.
    pub filter: Arc<Filter>,
    /// What becomes of symbolic links.
    pub links: Symlinks,
}

/// A directory that is watched.
#[derive(Debug)]
pub struct Watched {
    signs: mpsc::Receiver<Vec<Sign>>,
    root: PathBuf,
    who: Who,
    queue: SyncSender<Raw>,
    flags: Arc<Flags>,
    coverage: Arc<Mutex<Coverage>>,
    round: Interval,
    ended: bool,
}

/// Begins to watch: when it returns, watches are set on all directories that were there. A scan that begins afterwards
/// sees all that is not told.
///
/// # Errors
/// [`Cause::Stop`]: the directory can't be opened.
pub async fn watch(spec: Spec) -> Result<Watched, Error> {
    start(spec, QUEUE).await
}

pub(super) async fn start(spec: Spec, room: usize) -> Result<Watched, Error> {
    let began = tokio::task::spawn_blocking(move || begin(spec, room)).await;
    let (teller, events, signs) =
        began.unwrap_or_else(|_| Err(Error::new(Cause::Stop, "the program is shutting down")))?;
    let (root, who) = (teller.root.clone(), teller.who);
    let (queue, flags) = (teller.queue.clone(), Arc::clone(&teller.flags));
    let coverage = Arc::clone(&teller.shared);
    let thread = std::thread::Builder::new().name("watch".to_owned());
    thread.spawn(move || teller.run(&events)).map_err(|error| {
        Error::new(Cause::Stop, format!("could not begin to watch: {error}")).hint("the system has too many threads")
    })?;
    let mut round = interval_at(tokio::time::Instant::now() + ROUND, ROUND);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Ok(Watched { signs, root, who, queue, flags, coverage, round, ended: false })
}

pub(super) type Begun = (Teller, std::sync::mpsc::Receiver<Raw>, mpsc::Receiver<Vec<Sign>>);

/// Blocking.
pub(super) fn begin(spec: Spec, room: usize) -> Result<Begun, Error> {
    let Spec { path, filter, links } = spec;
    let root = std::path::absolute(&path).unwrap_or(path);
    // Says why it can't be opened, if so.
    drop(Root::open(&root).map_err(|error| Error { cause: Cause::Stop, ..error })?);
    let found = |errno: Errno| Error::new(Cause::Stop, format!("could not look at `{}`: {errno}", root.display()));
    let who = Who::of(&root).map_err(found)?;
    let magic = u64::try_from(statfs(&root).map_err(found)?.f_type & 0xffff_ffff).unwrap_or(0);
    let (queue, events) = sync_channel(room);
    let (told, signs) = mpsc::channel(LISTS);
    let mut teller = Teller {
        scope: Scope { root: root.clone(), filter: Arc::clone(&filter), links },
        tree: Tree::new(&root, filter, links),
        root,
        who,
        notify: None,
        number: 0,
        queue,
        flags: Arc::default(),
        told,
        shared: Arc::new(Mutex::new(Coverage::Full { directories: 0 })),
        signs: Vec::new(),
        is_silent: silent(magic).is_some(),
        failed: None,
        held: Vec::new(),
        lost: None,
        armed: None,
        retried: Instant::now(),
    };
    match silent(magic) {
        Some(name) => {
            let why = format!("{name} does not tell of what others change");
            teller.cover(Coverage::Polling { why });
        }
        None => teller.arm(),
    }
    if let Some(Lost { message, hint }) = teller.who.lost(&teller.root) {
        return Err(Error::new(Cause::Stop, message).hint(hint));
    }
    Ok((teller, events, signs))
}

#[async_trait]
impl Watcher for Watched {
    async fn next(&mut self) -> Vec<Sign> {
        if self.ended {
            return std::future::pending().await;
        }
        loop {
            tokio::select! {
                signs = self.signs.recv() => {
                    let Some(signs) = signs else { break };
                    return signs;
                }
                // A full queue means that events do come.
                _ = self.round.tick() => drop(self.queue.try_send(Raw::Check)),
            }
        }
        self.ended = true;
        let why = "its thread ended".to_owned();
        let coverage = Coverage::Polling { why: format!("watching failed: {why}; restart the daemon") };
        *self.coverage.lock().unwrap_or_else(PoisonError::into_inner) = coverage;
        vec![Sign::Rescan(Missed::Failed(why))]
    }

    async fn check(&mut self) -> Option<Lost> {
        // The thread looks too, and tells; it is not waited for, since it may wait for its signs to be fetched.
        drop(self.queue.try_send(Raw::Check));
        let (root, who) = (self.root.clone(), self.who);
        tokio::task::spawn_blocking(move || who.lost(&root)).await.ok().flatten()
    }

    fn coverage(&self) -> Coverage {
        self.coverage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.flags.stop.store(true, Ordering::Relaxed);
        // Where the queue is full the thread is awake.
        drop(self.queue.try_send(Raw::Wake));
    }
}
