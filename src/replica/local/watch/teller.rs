//! The thread that makes signs of events, and sets watches where directories appear.
//!
//! It walks directories and waits for the library, so it is no task of the runtime; and the library's own thread is the
//! one that it waits for, so it can't be that either. What it must hold: a sign about a directory goes out after its
//! watches are set; whenever something may have been missed, all watches are set anew before [`Sign::Rescan`] goes out.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use notify::{Config, RecommendedWatcher, Watcher as _};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, statat};
use tokio::sync::mpsc;

use super::place::Who;
use super::raw::{Flags, Handler, Raw, Seen};
use super::scope::{Named, Scope};
use super::tree::{Tree, Watch};
use super::{Coverage, Lost, Missed, Sign};
use crate::model::Key;

/// How long the first half of a rename waits for the second: the kernel tells both together.
const PAIRING: Duration = Duration::from_millis(10);
/// Events that are taken before their signs go out.
const BATCH: usize = 1024;
/// How long an event of our own making may take to come back.
const BEAT: Duration = Duration::from_secs(3);
/// After an overflow, watches are not set anew more often than this.
const CALM: Duration = Duration::from_secs(1);
/// How often directories beyond the system's limit are tried again.
const RETRY: Duration = Duration::from_secs(300);

/// The state of the thread.
#[derive(Debug)]
pub(super) struct Teller {
    pub(super) root: PathBuf,
    pub(super) scope: Scope,
    pub(super) who: Who,
    pub(super) tree: Tree,
    /// `None` where the file system tells nothing, or while the root is lost.
    pub(super) notify: Option<RecommendedWatcher>,
    pub(super) number: u64,
    pub(super) queue: SyncSender<Raw>,
    pub(super) flags: Arc<Flags>,
    pub(super) told: mpsc::Sender<Vec<Sign>>,
    pub(super) shared: Arc<Mutex<Coverage>>,
    pub(super) signs: Vec<Sign>,
    /// The file system tells nothing.
    pub(super) is_silent: bool,
    /// What the library told, until watches are set anew.
    pub(super) failed: Option<String>,
    /// The first halves of renames.
    pub(super) held: Vec<(usize, PathBuf, Instant)>,
    pub(super) lost: Option<Lost>,
    /// When watches were last set anew, and last tried beyond the limit.
    pub(super) armed: Option<Instant>,
    pub(super) retried: Instant,
}

impl Teller {
    /// Until nobody listens.
    pub(super) fn run(mut self, queue: &Receiver<Raw>) {
        loop {
            let first = match self.held.first() {
                None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some((_, _, since)) => queue.recv_timeout(PAIRING.saturating_sub(since.elapsed())),
            };
            match first {
                Ok(raw) => self.take(raw),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            for raw in queue.try_iter().take(BATCH) {
                self.take(raw);
            }
            if self.flags.stop.load(Ordering::Relaxed) {
                return;
            }
            self.let_go(|_, since| since.elapsed() >= PAIRING);
            if self.flags.overflow.load(Ordering::Relaxed) {
                self.overflow(queue);
            }
            if !self.signs.is_empty() && self.told.blocking_send(std::mem::take(&mut self.signs)).is_err() {
                return;
            }
        }
    }

    pub(super) fn take(&mut self, raw: Raw) {
        match raw {
            Raw::Seen(number, seen, path) if number == self.number => self.seen(seen, path),
            Raw::Seen(..) | Raw::Wake => {}
            Raw::Failed(why) => {
                self.failed = Some(why);
                self.flags.overflow.store(true, Ordering::Relaxed);
            }
            Raw::Check => self.check(),
        }
    }

    fn seen(&mut self, seen: Seen, path: PathBuf) {
        if let Seen::From(cookie) = seen {
            self.held.push((cookie, path, Instant::now()));
            return;
        }
        let pair = match seen {
            Seen::To(cookie) => self.held.iter().position(|(other, ..)| *other == cookie),
            _ => None,
        };
        if let Some(at) = pair {
            let (_, from, _) = self.held.remove(at);
            return self.moved(&from, &path);
        }
        // Whatever else happens to the name happens after it was moved away.
        self.let_go(|from, _| from == path);
        match (seen, self.scope.named(&path)) {
            (_, Named::Nothing) | (Seen::Written | Seen::Closed | Seen::Touched, Named::Nameless) => {}
            (_, Named::Nameless) => self.nameless(),
            (_, Named::Root) => {
                if seen == Seen::Removed {
                    self.check();
                }
            }
            (_, Named::Rules) => self.signs.push(Sign::Rescan(Missed::Rules)),
            (Seen::MadeDirectory, Named::Key(key)) => {
                // A walk found it already.
                if self.tree.watch_of(key.as_str()) != Some(Watch::Set) {
                    self.appeared(key);
                }
            }
            (Seen::Made, Named::Key(key)) => self.made(key),
            (Seen::Written, Named::Key(key)) => self.file(key, Sign::Writing),
            (Seen::Closed, Named::Key(key)) => self.file(key, Sign::Finished),
            (Seen::Touched, Named::Key(key)) => match self.tree.watch_of(key.as_str()) {
                Some(Watch::Unread) => self.appeared(key),
                Some(_) => {}
                None => self.file(key, Sign::Touched),
            },
            (Seen::Removed | Seen::From(_), Named::Key(key)) => self.gone(key),
            (Seen::To(_) | Seen::Something, Named::Key(key)) => self.arrived(key),
        }
    }

    /// Something that can't be synced came or went; the signs of one batch about that are one.
    fn nameless(&mut self) {
        if !self.signs.contains(&Sign::Nameless) {
            self.signs.push(Sign::Nameless);
        }
    }

    /// Tells a sign of a file that the rules do not leave out.
    fn file(&mut self, key: Key, sign: fn(Key) -> Sign) {
        if self.scope.takes(&key) {
            self.signs.push(sign(key));
        }
    }

    /// Something was made that is no directory. A link is whole at once.
    fn made(&mut self, key: Key) {
        if !self.scope.has_links() {
            return self.file(key, Sign::Writing);
        }
        match self.kind(&key) {
            Some(FileType::Symlink) => self.arrived(key),
            _ => self.file(key, Sign::Writing),
        }
    }

    fn gone(&mut self, key: Key) {
        if self.tree.watch_of(key.as_str()).is_some() {
            // Another one may have its name by now, and its event may have come before.
            if self.kind(&key) == Some(FileType::Directory) {
                return self.appeared(key);
            }
            self.tree.forget(key.as_str());
            self.publish();
            self.signs.push(Sign::Gone(key));
            return;
        }
        if let Some(link) = self.scope.link(&key) {
            self.file(link, Sign::Gone);
        }
        self.file(key, Sign::Gone);
    }

    /// Something came from where nobody watches.
    fn arrived(&mut self, key: Key) {
        match self.kind(&key) {
            None => self.gone(key),
            Some(FileType::Directory) => self.appeared(key),
            Some(FileType::Symlink) => match self.scope.link(&key) {
                Some(link) => self.file(link, Sign::Finished),
                None if self.scope.has_links() => {
                    self.signs.push(Sign::Below(key.clone()));
                    self.file(key, Sign::Finished);
                }
                None => {}
            },
            Some(_) => self.file(key, Sign::Finished),
        }
    }

    fn moved(&mut self, from: &Path, to: &Path) {
        let names = (self.scope.named(from), self.scope.named(to));
        if names.0 == Named::Nameless || names.1 == Named::Nameless {
            self.nameless();
        }
        let (from, to) = match names {
            (Named::Key(from), Named::Key(to)) => (from, to),
            (Named::Rules, _) | (_, Named::Rules) => return self.signs.push(Sign::Rescan(Missed::Rules)),
            (Named::Key(from), _) => return self.gone(from),
            (_, Named::Key(to)) => return self.arrived(to),
            _ => return,
        };
        let was_directory = self.tree.watch_of(from.as_str()).is_some();
        if was_directory {
            self.tree.forget(from.as_str());
        }
        match self.kind(&to) {
            Some(FileType::Directory) => {
                let begin = self.signs.len();
                self.appeared(to.clone());
                if was_directory && self.signs.len() > begin {
                    self.signs.truncate(begin);
                    self.signs.push(Sign::MovedDirectory { from, to });
                } else {
                    self.signs.push(Sign::Gone(from));
                }
            }
            // Its own end is told next.
            None => {
                self.signs.push(Sign::Gone(from));
                self.file(to, Sign::Gone);
            }
            Some(FileType::Symlink) if self.scope.has_links() => {
                self.gone(from);
                self.arrived(to);
            }
            Some(_) => match (self.scope.takes(&from), self.scope.takes(&to)) {
                (true, true) => self.signs.push(Sign::Moved { from, to }),
                (true, false) => self.signs.push(Sign::Gone(from)),
                (false, true) => self.signs.push(Sign::Finished(to)),
                (false, false) => {}
            },
        }
    }

    /// A directory is where none was: watches first, then the sign.
    fn appeared(&mut self, dir: Key) {
        let Some(notify) = &mut self.notify else { return };
        if self.scope.prunes(dir.as_str()) {
            return;
        }
        self.tree.forget(dir.as_str());
        if self.tree.walk(notify, dir.as_str()).is_ok() {
            self.signs.push(Sign::Below(dir));
        } else {
            self.signs.push(Sign::Gone(dir));
        }
        self.publish();
    }

    /// First halves of renames whose second is not to come: these moved out of the tree.
    fn let_go(&mut self, which: impl Fn(&Path, &Instant) -> bool) {
        while let Some(at) = self.held.iter().position(|(_, path, since)| which(path, since)) {
            let (_, path, _) = self.held.remove(at);
            match self.scope.named(&path) {
                Named::Key(key) => self.gone(key),
                Named::Rules => self.signs.push(Sign::Rescan(Missed::Rules)),
                Named::Nameless => self.nameless(),
                Named::Nothing | Named::Root => {}
            }
        }
    }

    fn kind(&self, key: &Key) -> Option<FileType> {
        let stat = statat(CWD, self.root.join(key.as_str()), AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(FileType::from_raw_mode(stat.st_mode))
    }

    /// Events were lost: directories may have come and gone unseen.
    fn overflow(&mut self, queue: &Receiver<Raw>) {
        if let Some(armed) = self.armed {
            std::thread::sleep(CALM.saturating_sub(armed.elapsed()));
        }
        // What is queued is part of what is looked at anew.
        queue.try_iter().for_each(drop);
        self.flags.overflow.store(false, Ordering::Relaxed);
        let why = self.failed.take().map_or(Missed::Overflow, Missed::Failed);
        if self.lost.is_none() {
            self.arm_and_look(why);
        }
        self.armed = Some(Instant::now());
    }

    /// Sets all watches anew.
    pub(super) fn arm(&mut self) {
        self.notify = None;
        if self.is_silent {
            return;
        }
        self.number += 1;
        self.tree.clear();
        self.held.clear();
        let (root, queue, flags) = (self.root.clone(), self.queue.clone(), Arc::clone(&self.flags));
        let handler = Handler { number: self.number, root, queue, flags };
        match RecommendedWatcher::new(handler, Config::default()) {
            Ok(mut notify) => {
                if let Err(errno) = self.tree.walk(&mut notify, "") {
                    // If the root is lost, the look at it that follows says so instead.
                    return self.cover(Coverage::Polling { why: format!("its directories can't be watched: {errno}") });
                }
                self.notify = Some(notify);
                self.publish();
            }
            Err(error) => {
                let why =
                    format!("no watcher could be made ({error}): raise fs.inotify.max_user_instances with sysctl");
                self.cover(Coverage::Polling { why });
            }
        }
    }

    /// Looks at the root, whether events still come, and whether there is room for more watches by now.
    fn check(&mut self) {
        let now = self.who.lost(&self.root);
        match (now, self.lost.take()) {
            (Some(now), before) => self.lose(now, before.as_ref()),
            (None, Some(_)) => self.arm_and_look(Missed::Returned),
            (None, None) => {
                if self.notify.is_some() && !self.hears() {
                    self.arm_and_look(Missed::Deaf);
                }
                self.retry();
            }
        }
    }

    /// Sets all watches anew. Between a look at the root and the watches it may have become another one, so that it is
    /// looked at again.
    fn arm_and_look(&mut self, why: Missed) {
        self.arm();
        match self.who.lost(&self.root) {
            Some(now) => self.lose(now, None),
            None => self.signs.push(Sign::Rescan(why)),
        }
    }

    fn lose(&mut self, now: Lost, before: Option<&Lost>) {
        if before != Some(&now) {
            self.signs.push(Sign::Lost(now.clone()));
        }
        self.notify = None;
        self.tree.clear();
        self.lost = Some(now);
    }

    /// Whether opening the root is told, as it must be: after an unmount and a mount of the same disk every watch is
    /// dead, and no event says so.
    fn hears(&self) -> bool {
        if cfg!(target_os = "macos") || self.tree.watch_of("") != Some(Watch::Set) {
            return true;
        }
        let before = self.flags.beats.load(Ordering::Relaxed);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        if openat(CWD, &self.root, flags, Mode::empty()).is_err() {
            return true;
        }
        let begin = Instant::now();
        while begin.elapsed() < BEAT {
            if self.flags.beats.load(Ordering::Relaxed) != before || self.flags.overflow.load(Ordering::Relaxed) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    }

    fn retry(&mut self) {
        let is_whole = self.is_silent || (self.notify.is_some() && !self.tree.is_short_of_room());
        if is_whole || self.retried.elapsed() < RETRY {
            return;
        }
        self.retried = Instant::now();
        let Some(notify) = &mut self.notify else {
            return self.arm_and_look(Missed::Deaf);
        };
        for dir in self.tree.retry(notify) {
            // The root is a key of nothing, and always has its watch.
            self.signs.extend(Key::new(dir).map(Sign::Below));
        }
        self.publish();
    }

    fn publish(&self) {
        self.cover(self.tree.coverage());
    }

    pub(super) fn cover(&self, coverage: Coverage) {
        *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = coverage;
    }
}
