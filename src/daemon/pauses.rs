//! Which jobs a person paused: one small file in the state directory, since something was wrong with them, and a restart
//! does not put that right.
//!
//! Jobs are known by their names, also those that the configuration lacks for a while. Written by whoever holds the
//! daemon's lock, read by everybody. A file that can't be read says nothing about what may be done: all jobs count as
//! paused then.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

/// The file's name, in the state directory.
pub const NAME: &str = "paused.json";
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    v: u32,
    jobs: BTreeSet<String>,
    /// Since when each of them is, ns since the epoch, as far as that is known.
    #[serde(default)]
    since: BTreeMap<String, i64>,
}

/// The jobs that are paused.
#[derive(Debug)]
pub struct Pauses {
    state_dir: PathBuf,
    names: RefCell<BTreeSet<String>>,
    since: RefCell<BTreeMap<String, i64>>,
    /// Why all jobs count as paused.
    unread: RefCell<Option<String>>,
    /// One writes at a time, so that the last change is the one that stays.
    turn: Mutex<()>,
}

/// The names in the file of a state directory; none without a file.
///
/// # Errors
/// It can't be read, or another version of the program wrote it.
pub fn read(state_dir: &Path) -> io::Result<BTreeSet<String>> {
    Ok(read_all(state_dir)?.jobs)
}

fn read_all(state_dir: &Path) -> io::Result<Written> {
    let text = match fs::read(state_dir.join(NAME)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Written { v: VERSION, jobs: BTreeSet::new(), since: BTreeMap::new() });
        }
        text => text?,
    };
    let written: Written = serde_json::from_slice(&text)?;
    if written.v != VERSION {
        let why = format!("it is of version {}, and this program knows {VERSION}", written.v);
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(written)
}

/// The new file is complete before it gets the name, and has it before this returns.
fn write(state_dir: &Path, (jobs, since): (BTreeSet<String>, BTreeMap<String, i64>)) -> io::Result<()> {
    let (path, temp) = (state_dir.join(NAME), state_dir.join(format!("{NAME}.tmp")));
    let mut text = serde_json::to_vec(&Written { v: VERSION, jobs, since })?;
    text.push(b'\n');
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temp)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&temp, &path)?;
    File::open(state_dir)?.sync_all()
}

impl Pauses {
    /// What the file of a state directory says; of one that can't be read that all of `jobs` are paused.
    pub fn load(state_dir: &Path, jobs: impl IntoIterator<Item = String>) -> Self {
        let (names, since, unread) = match read_all(state_dir) {
            Ok(written) => (written.jobs, written.since, None),
            Err(error) => (jobs.into_iter().collect(), BTreeMap::new(), Some(error.to_string())),
        };
        let (names, since, unread) = (RefCell::new(names), RefCell::new(since), RefCell::new(unread));
        Self { state_dir: state_dir.to_owned(), names, since, unread, turn: Mutex::default() }
    }

    /// Where it is written.
    pub fn path(&self) -> PathBuf {
        self.state_dir.join(NAME)
    }

    /// Whether a job is paused.
    pub fn holds(&self, job: &str) -> bool {
        self.names.borrow().contains(job)
    }

    /// Since when it is, if that is known.
    pub fn since(&self, job: &str) -> Option<i64> {
        self.since.borrow().get(job).copied()
    }

    /// Why jobs are paused that nobody paused.
    pub fn unread(&self) -> Option<String> {
        self.unread.borrow().clone()
    }

    /// Changes which they are, at once, and writes it down.
    ///
    /// # Errors
    /// It is changed, but could not be written down: the next start will not know it.
    pub async fn change(&self, change: impl FnOnce(&mut BTreeSet<String>)) -> io::Result<()> {
        let before = self.names.borrow().clone();
        change(&mut self.names.borrow_mut());
        self.since.borrow_mut().retain(|job, _| self.names.borrow().contains(job));
        let now = Timestamp::now().as_nanosecond().try_into().unwrap_or(i64::MAX);
        self.since.borrow_mut().extend(self.names.borrow().difference(&before).map(|job| (job.clone(), now)));
        let _turn = self.turn.lock().await;
        let (state_dir, paused) = (self.state_dir.clone(), (self.names.borrow().clone(), self.since.borrow().clone()));
        let written = tokio::task::spawn_blocking(move || write(&state_dir, paused)).await;
        written.unwrap_or_else(|died| Err(io::Error::other(died)))?;
        *self.unread.borrow_mut() = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        read(dir).unwrap().into_iter().collect()
    }

    #[tokio::test]
    async fn what_was_paused_is_so_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let pauses = Pauses::load(dir.path(), ["a".to_owned()]);
        assert!(!pauses.holds("a") && pauses.unread().is_none() && names(dir.path()).is_empty());
        pauses.change(|names| names.extend(["a".to_owned(), "\u{e9}\n".to_owned()])).await.unwrap();
        let again = Pauses::load(dir.path(), []);
        assert!(again.holds("a") && again.holds("\u{e9}\n") && !again.holds("b"));
        let since = again.since("a");
        assert!(since.is_some() && since == pauses.since("a") && again.since("b").is_none());
        again.change(|names| assert!(!names.insert("a".to_owned()))).await.unwrap();
        assert_eq!(again.since("a"), since, "who pauses it again does not begin anew");
        again.change(|names| assert!(names.remove("a"))).await.unwrap();
        assert_eq!((names(dir.path()), again.since("a")), (vec!["\u{e9}\n".to_owned()], None));
        fs::write(dir.path().join(NAME), "{\"v\":1,\"jobs\":[\"a\"]}").unwrap();
        let known = Pauses::load(dir.path(), []);
        assert!(known.holds("a") && known.since("a").is_none());
        let mode = fs::metadata(dir.path().join(NAME)).unwrap().permissions().mode();
        assert_eq!((mode & 0o777, fs::read_dir(dir.path()).unwrap().count()), (0o600, 1));
    }

    #[tokio::test]
    async fn changes_at_the_same_time_are_all_written_down() {
        let dir = tempfile::tempdir().unwrap();
        let pauses = Pauses::load(dir.path(), []);
        let add = |name: &'static str| pauses.change(move |names| assert!(names.insert(name.to_owned())));
        let (a, b, c) = tokio::join!(add("a"), add("b"), add("c"));
        a.and(b).and(c).unwrap();
        assert_eq!(names(dir.path()), ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn where_nobody_can_know_all_are_paused_until_somebody_says_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let whole = "{\"v\":1,\"jobs\":[\"a\"]}";
        for text in
            ["", "{", &whole[..whole.len() - 1], "{\"v\":2,\"jobs\":[]}", "{\"v\":1,\"jobs\":[],\"more\":1}", "\0"]
        {
            fs::write(dir.path().join(NAME), text).unwrap();
            let pauses = Pauses::load(dir.path(), ["a".to_owned(), "b".to_owned()]);
            assert!(pauses.holds("a") && pauses.holds("b") && pauses.unread().is_some(), "{text:?}");
            pauses.change(|names| assert!(names.remove("a"))).await.unwrap();
            assert!(pauses.unread().is_none());
            assert_eq!(names(dir.path()), ["b"], "{text:?}");
        }
        fs::remove_file(dir.path().join(NAME)).unwrap();
        fs::create_dir(dir.path().join(NAME)).unwrap();
        let pauses = Pauses::load(dir.path(), ["a".to_owned()]);
        assert!(pauses.holds("a") && pauses.unread().is_some());
        assert!(pauses.change(BTreeSet::clear).await.is_err() && pauses.unread().is_some());
        assert!(!pauses.holds("a"), "what was asked for is done all the same");
    }
}
