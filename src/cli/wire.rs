//! From a [`Task`] to what the engine works on: replicas with their decorators, the lock, the manifest.
//!
//! The only place of the command line that knows which replicas exist.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::alias;
use super::exit::Exit;
use super::failure::Failure;
use super::filters::filter;
use super::pairs;
use super::place::End;
use super::resolve::Task;
use crate::apply::{Origin, Shelf};
use crate::config::{BUFFER_BYTES, CONCURRENCY};
use crate::location::Location;
use crate::manifest::{Lock, LockError, Manifest, ManifestError, Orientation, Pair};
use crate::model::{Filter, Scope, Side, Styles, Symlinks};
use crate::plan::{Policy, Styling};
use crate::replica::access::{Access, Guarded};
use crate::replica::azure::{self, Azure};
use crate::replica::local::watch::{self, Watcher};
use crate::replica::local::{Local, Made};
use crate::replica::retry::Retrying;
use crate::replica::s3::{Probe, S3};
use crate::replica::throttle::{Commons, Gate, Rates, Throttled};
use crate::replica::{Buffers, Journal, Replica, Trouble};
use crate::sync::{Cycle, Progress, Run};

/// Everything that a cycle borrows from. The lock goes last.
#[derive(Debug)]
pub struct Session {
    /// What both held when they last agreed.
    pub manifest: Manifest,
    /// What people should know, once a run.
    pub notices: Vec<String>,
    /// The pair.
    pub pair: Pair,
    /// Where plans say they come from.
    pub origin: Origin,
    source: Wired,
    dest: Wired,
    /// Whether the sides may be changed.
    guards: [Arc<Guarded>; 2],
    filter: Arc<Filter>,
    styling: Styling,
    dest_label: String,
    state_dir: PathBuf,
    scratch: PathBuf,
    lock: Option<Lock>,
}

/// A replica behind its decorators.
#[derive(Debug)]
struct Wired {
    replica: Arc<dyn Replica>,
    /// The object store inside, for what only it knows.
    store: Option<Store>,
}

/// An object store.
#[derive(Debug)]
enum Store {
    S3(Arc<S3>),
    Azure(Arc<Azure>),
}

impl Store {
    /// What the server was seen to do.
    fn probe(&self) -> String {
        match self {
            Self::S3(s3) => serde_json::to_string(&s3.probe()),
            Self::Azure(azure) => serde_json::to_string(&azure.probe()),
        }
        .expect("a probe is plain data")
    }

    fn trouble(&self) -> Arc<Trouble> {
        match self {
            Self::S3(s3) => s3.trouble(),
            Self::Azure(azure) => azure.trouble(),
        }
    }

    fn requests(&self) -> Vec<(&'static str, u64)> {
        match self {
            Self::S3(s3) => s3.requests(),
            Self::Azure(azure) => azure.requests(),
        }
    }
}

/// Whether a session may change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Nothing is changed and no lock is taken.
    Look,
    /// The pair is locked, and its manifest opened for writing.
    Change,
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Self {
        let failure = Self::error(error.message);
        error.hint.into_iter().fold(failure, Self::hint)
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held { .. } => {
                let message = error.to_string();
                Self { exit: Exit::Held, ..Self::error(message).hint("try again when it is done") }
            }
            LockError::Failed(error) => error.into(),
        }
    }
}

/// The pair of a task.
pub fn pair(source: &End, dest: &End) -> Pair {
    Pair::new(&source.location.canonical(), &dest.location.canonical())
}

impl Session {
    /// Takes the lock, opens the manifest, and makes the replicas. Contacts nobody.
    ///
    /// # Errors
    /// The pair is held by another process, the state can't be used, or a rule is no glob.
    pub fn open(task: &Task, state_dir: &Path, purpose: Purpose) -> Result<Self, Failure> {
        Self::open_within(task, state_dir, purpose, None)
    }

    /// As [`Session::open`], with transfers and bandwidth that are shared with other sessions, too.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn open_within(
        task: &Task,
        state_dir: &Path,
        purpose: Purpose,
        commons: Option<&Commons>,
    ) -> Result<Self, Failure> {
        for end in [&task.source, &task.dest] {
            alias::refuse_state_inside(state_dir, end)?;
        }
        alias::refuse(&task.source, &task.dest)?;
        let pair = pair(&task.source, &task.dest);
        let orientation = pair.orientation(&task.source.location.canonical());
        let filter = Arc::new(filter(task)?);
        let rules = Styles::new(&task.options.headers).map_err(|bad| Failure::usage(bad.to_string()))?;
        let styling = Styling { rules: Arc::new(rules), side: Side::Dest, trust: task.trust };
        let mut notices = Vec::new();
        let (lock, manifest) = match purpose {
            Purpose::Look => (None, look(state_dir, &pair, orientation)?),
            Purpose::Change => {
                let lock = Lock::take(state_dir, &pair, task.command)?;
                let opened = Manifest::open(state_dir, &pair, orientation)?;
                notices = opened.notices;
                (Some(lock), opened.manifest)
            }
        };
        let options = &task.options;
        let rates = Rates::local(options.bwlimit.as_ref(), options.timezone.as_ref());
        let gate = Gate::timed(options.concurrency, rates);
        let gate = match commons {
            Some(commons) => gate.within(commons),
            None => gate,
        };
        let access = |side: Side, end: &End| match (purpose, &task.confirm) {
            _ if !task.writes.contains(&side) => Access::ReadOnly,
            (Purpose::Look, _) => Access::ReadOnly,
            (Purpose::Change, Some(_)) if end.access == Access::Confirm => Access::Confirm,
            (Purpose::Change, _) => Access::Write,
        };
        let has_bucket = |end: &End| !matches!(end.location, Location::Local(_));
        let limits_dest = has_bucket(&task.dest) || !has_bucket(&task.source);
        let made = super::ownership::made(&task.options.files)?;
        // Nothing is written or deleted through a link, so on a side that only receives there is nothing to follow.
        let receiving = match made.links {
            Symlinks::Follow if task.writes == [Side::Dest] => Made { links: Symlinks::Skip, ..made },
            _ => made,
        };
        let source_gate = Some(&gate).filter(|_| has_bucket(&task.source));
        let source_access = access(Side::Source, &task.source);
        let terms = Terms { gate: source_gate, made };
        let (source, source_guard) = wire(&task.source, manifest.probe(Side::Source)?, source_access, terms)?;
        let terms = Terms { gate: Some(&gate).filter(|_| limits_dest), made: receiving };
        let dest_access = access(Side::Dest, &task.dest);
        let (dest, dest_guard) = wire(&task.dest, manifest.probe(Side::Dest)?, dest_access, terms)?;
        let guards = [source_guard, dest_guard];
        let origin = Origin {
            job: task.job.clone(),
            source: task.source.spelled.clone(),
            dest: task.dest.spelled.clone(),
            names: (task.source.location.display(), task.dest.location.display()),
            acl: match &task.dest.location {
                Location::S3(address) => address.acl.clone(),
                Location::Local(_) | Location::Azure(_) => None,
            },
        };
        let dest_label = label(&task.dest);
        let scratch = if state_dir.is_dir() { state_dir.to_owned() } else { std::env::temp_dir() };
        let state_dir = state_dir.to_owned();
        Ok(Self {
            manifest,
            notices,
            pair,
            origin,
            source,
            dest,
            guards,
            filter,
            styling,
            dest_label,
            state_dir,
            scratch,
            lock,
        })
    }

    /// Somebody confirmed the changes of this run.
    pub fn confirm(&self) {
        self.guards.iter().for_each(|guard| guard.confirm());
    }

    /// Whether somebody did.
    pub fn confirmed(&self) -> bool {
        self.guards.iter().all(|guard| guard.confirmed())
    }

    /// The cycle of a task.
    pub fn cycle<'a>(&'a self, task: &Task, run: Run, progress: Arc<Progress>, now_ns: i64) -> Cycle<'a> {
        Cycle {
            source: Arc::clone(&self.source.replica),
            dest: Arc::clone(&self.dest.replica),
            manifest: &self.manifest,
            policy: Policy { mode: task.mode, on_conflict: task.options.on_conflict, compare: task.options.compare },
            writes: task.writes,
            dest_label: &self.dest_label,
            styling: self.styling.clone(),
            filter: Arc::clone(&self.filter),
            scope: task.only.clone().map_or(Scope::Whole, Scope::Below),
            assumed: None,
            waits: None,
            budget: task.options.max_delete,
            overwrites: task.options.max_overwrite,
            raise: task.raise,
            trash: task.trash(),
            run,
            concurrency: task.options.concurrency,
            buffers: Buffers::new(BUFFER_BYTES),
            progress,
            now_ns,
            scratch: &self.scratch,
            lease: None,
            lane: None,
            shelf: Shelf { state_dir: &self.state_dir, pair: &self.pair, origin: &self.origin },
        }
    }

    /// Watches a side that is a directory, with the rules of the task.
    ///
    /// # Errors
    /// It can't be opened.
    pub async fn watch(&self, task: &Task, side: Side) -> Result<Box<dyn Watcher>, Failure> {
        let end = match side {
            Side::Source => &task.source,
            Side::Dest => &task.dest,
        };
        let Location::Local(path) = &end.location else {
            return Err(Failure::usage(format!("{} is no directory to watch", end.location.display())));
        };
        let (filter, links) = (Arc::clone(&self.filter), task.options.files.symlinks);
        Ok(Box::new(watch::watch(watch::Spec { path: path.clone(), filter, links }).await?))
    }

    /// Whether the object stores answer as they should.
    pub fn troubles(&self) -> Vec<Arc<Trouble>> {
        [&self.source, &self.dest].into_iter().filter_map(|wired| Some(wired.store.as_ref()?.trouble())).collect()
    }

    /// Nothing is done for a while: what is held open is given back. A disk that is in use can't be unmounted.
    pub fn rest(&self) {
        self.source.replica.rest();
        self.dest.replica.rest();
    }

    /// As [`Self::rest`], after a cycle that was dropped: what it began in threads is over.
    pub async fn interrupted(&self) {
        self.source.replica.quiet().await;
        self.dest.replica.quiet().await;
        self.rest();
    }

    /// Remembers what the servers were seen to do, and how people call both sides.
    ///
    /// # Errors
    /// The manifest can't be written.
    pub fn remember(&self) -> Result<(), Failure> {
        for (side, wired) in [(Side::Source, &self.source), (Side::Dest, &self.dest)] {
            self.manifest.set_display(side, wired.replica.name())?;
            if let Some(store) = &wired.store {
                self.manifest.set_probe(side, &store.probe())?;
            }
        }
        Ok(())
    }

    /// Whether no run of the pair ever came so far that it changed or recorded anything.
    ///
    /// # Errors
    /// The manifest can't be read.
    pub fn met_nobody(&self) -> Result<bool, Failure> {
        let manifest = &self.manifest;
        let identities = (manifest.identity(Side::Source)?, manifest.identity(Side::Dest)?);
        for side in Side::BOTH {
            if !manifest.upload_journal(side).uploads().map_err(Failure::from)?.is_empty() {
                return Ok(false);
            }
        }
        Ok(identities == (None, None) && manifest.base_totals()?.0 == 0 && manifest.runs(2)?.len() < 2)
    }

    /// Ends with nothing kept of the pair. The lock is held until then.
    ///
    /// # Errors
    /// Something can't be removed.
    pub fn forget(self) -> Result<(), Failure> {
        let Self { manifest, pair, state_dir, lock, .. } = self;
        drop(manifest);
        lock.map_or(Ok(()), |lock| pairs::forget(&state_dir, &pair, &lock))
    }

    /// Requests made so far, by kind, over both sides.
    pub fn requests(&self) -> Vec<(&'static str, u64)> {
        let mut all = std::collections::BTreeMap::new();
        for store in [&self.source.store, &self.dest.store].into_iter().flatten() {
            for (kind, count) in store.requests() {
                *all.entry(kind).or_insert(0) += count;
            }
        }
        all.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}

/// What names of conflict copies call a place: the remote's name, else the last part of what people call it.
fn label(end: &End) -> String {
    let name = end.location.display();
    let last = name.trim_end_matches('/').rsplit('/').next().unwrap_or(&name).to_owned();
    end.name.clone().unwrap_or(last)
}

/// The manifest as it is now; an empty one if there is none.
fn look(state_dir: &Path, pair: &Pair, orientation: Orientation) -> Result<Manifest, Failure> {
    match Manifest::open_read_only(state_dir, pair, orientation)? {
        Some(manifest) => Ok(manifest),
        None => Ok(Manifest::empty(orientation)?),
    }
}

/// A replica by itself, without a pair. `remembered` is what an earlier run found out about it.
///
/// # Errors
/// The path can't be used.
pub fn alone(end: &End, remembered: Option<String>, access: Access) -> Result<Arc<dyn Replica>, Failure> {
    let links = if end.links == Symlinks::Store { Symlinks::Store } else { Symlinks::Skip };
    let terms = Terms { gate: None, made: Made { links, ..Made::default() } };
    Ok(wire(end, remembered, access, terms)?.0.replica)
}

/// A replica by itself, with what its store knows.
#[derive(Debug)]
pub struct Lone(Wired);

impl Lone {
    /// As [`alone`].
    ///
    /// # Errors
    /// As [`alone`].
    pub fn new(end: &End, remembered: Option<String>, access: Access) -> Result<Self, Failure> {
        let gate = Gate::new(CONCURRENCY, None);
        let gate = Some(&gate).filter(|_| !matches!(end.location, Location::Local(_)));
        Ok(Self(wire(end, remembered, access, Terms { gate, made: Made::default() })?.0))
    }

    /// The replica.
    pub fn replica(&self) -> &dyn Replica {
        &*self.0.replica
    }

    /// Why new objects do not get an ACL, by what is known now; `None` where nothing is known against it.
    pub fn without_effect(&self, acl: &str) -> Option<String> {
        match &self.0.store {
            Some(Store::S3(s3)) => s3.without_effect(acl),
            Some(Store::Azure(_)) | None => None,
        }
    }
}

/// How a replica is used.
#[derive(Debug, Clone, Copy)]
struct Terms<'a> {
    gate: Option<&'a Gate>,
    made: Made,
}

fn wire(
    end: &End,
    remembered: Option<String>,
    access: Access,
    Terms { gate, made }: Terms<'_>,
) -> Result<(Wired, Arc<Guarded>), Failure> {
    let throttled = |inner: Arc<dyn Replica>| match gate {
        Some(gate) => Arc::new(Throttled::new(inner, gate.clone())),
        None => inner,
    };
    let gate_of_store = || gate.cloned().unwrap_or_else(|| Gate::new(usize::MAX, None));
    let (inner, store): (Arc<dyn Replica>, _) = match &end.location {
        Location::Local(path) => (throttled(Arc::new(Local::open(path)?.parents(end.parents).making(made))), None),
        Location::S3(address) => {
            // What an older version wrote and this one can't read is found out again.
            let remembered: Option<Probe> = remembered.and_then(|text| serde_json::from_str(&text).ok());
            let s3 = Arc::new(S3::behind(address.clone(), remembered, gate_of_store()));
            let inner: Arc<dyn Replica> = Arc::clone(&s3) as _;
            (Arc::new(Retrying::new(throttled(inner))), Some(Store::S3(s3)))
        }
        Location::Azure(address) => {
            let remembered: Option<azure::Probe> = remembered.and_then(|text| serde_json::from_str(&text).ok());
            let azure = Arc::new(Azure::behind(address.clone(), remembered, gate_of_store()));
            let inner: Arc<dyn Replica> = Arc::clone(&azure) as _;
            (Arc::new(Retrying::new(throttled(inner))), Some(Store::Azure(azure)))
        }
    };
    let guard = Arc::new(Guarded::new(inner, access));
    let replica: Arc<dyn Replica> = Arc::clone(&guard) as _;
    Ok((Wired { replica, store }, guard))
}
