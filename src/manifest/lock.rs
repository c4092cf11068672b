//! One process at a time works on a pair.
//!
//! The lock is the operating system's (`flock`) on `STATE/pairs/ID/lock`: it ends with its process, however that
//! dies, so there is never a stale one. The text in the file only says who holds it. Reading (dry runs, status)
//! needs no lock.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Pair;
use super::error::{ManifestError, Reaction};

/// How long [`Lock::take`] gives those who only look.
const MOMENT: Duration = Duration::from_millis(10);

/// Why a pair could not be locked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Another process works on the pair (exit code 5).
    #[error("another mediasync works on this pair: {holder}")]
    Held {
        /// Who: process id, command and start time, as it wrote them.
        holder: String,
    },
    /// The lock file can't be used.
    #[error(transparent)]
    Failed(#[from] ManifestError),
}

/// The right to change a pair's replicas and manifest, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the pair's lock, or says who has it. Never waits for its end.
    ///
    /// `command` is for people (`push`, `daemon`): no arguments, they may hold credentials.
    ///
    /// # Errors
    /// [`LockError::Held`] if another process has it, or this one through another [`Lock`].
    pub fn take(state_dir: &Path, pair: &Pair, command: &str) -> Result<Self, LockError> {
        let dir = pair.dir(state_dir);
        private_dir(&dir)?;
        let path = dir.join("lock");
        let io = |doing: &str, e: &std::io::Error| ManifestError::io(doing, &path, e);
        // Never truncated before it is ours: the text is the holder's.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|e| io("open", &e))?;
        // Whoever only looks who has it holds it for a moment.
        let locked = file.try_lock().or_else(|_| {
            std::thread::sleep(MOMENT);
            file.try_lock()
        });
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held { holder: holder(&mut file) }),
            Err(TryLockError::Error(e)) => return Err(io("lock", &e).into()),
        }
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
        let text = format!("process {}, {command}, since {now}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(|e| io("write", &e))?;
        Ok(Self { file, path })
    }

    /// Who has the pair's lock now, as it wrote it; `None` if nobody has.
    pub fn held_by(state_dir: &Path, pair: &Pair) -> Option<String> {
        let mut file = File::open(pair.dir(state_dir).join("lock")).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(holder(&mut file)),
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The text goes first, so that it never names a process that has ended in order. Closing the file unlocks
        // it; the file itself stays, because removing it would let two processes lock two files of one name.
        self.file.set_len(0).ok();
    }
}

/// What the holder wrote; control characters escaped.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(512).read_to_string(&mut text);
    if read.is_err() || text.trim().is_empty() {
        return "it has not said who it is".to_owned();
    }
    text.trim().escape_debug().to_string()
}

/// Creates a directory and its parents, readable to nobody else.
pub(super) fn private_dir(dir: &Path) -> Result<(), ManifestError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| {
        let error = ManifestError::io("create the directory", dir, &e);
        match error.reaction {
            Reaction::Full => error,
            _ => error.hint("choose a state directory that mediasync may write to: [state] dir, or $STATE_DIRECTORY"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> Pair {
        Pair::new("file:///a", "s3://b")
    }

    #[test]
    fn a_held_lock_says_who_holds_it_and_ends_with_its_holder() {
        let state = tempfile::tempdir().unwrap();
        let lock = Lock::take(state.path(), &pair(), "push").unwrap();
        let dir = state.path().to_owned();
        let other = std::thread::spawn(move || Lock::take(&dir, &pair(), "daemon").map(drop)).join().unwrap();
        let Err(LockError::Held { holder }) = other else { panic!("{other:?}") };
        assert!(holder.starts_with(&format!("process {}, push, since 2", std::process::id())), "{holder}");
        assert_eq!(Lock::held_by(state.path(), &pair()), Some(holder));
        drop(lock);
        assert_eq!(Lock::held_by(state.path(), &pair()), None);
        Lock::take(state.path(), &pair(), "daemon").unwrap();
    }

    #[test]
    fn other_pairs_are_not_locked() {
        let state = tempfile::tempdir().unwrap();
        let _one = Lock::take(state.path(), &pair(), "push").unwrap();
        Lock::take(state.path(), &Pair::new("file:///a", "s3://c"), "push").unwrap();
    }

    /// The other process is this test binary again, held at a pipe until it is told to end.
    #[test]
    fn another_process_is_kept_out_until_it_is_killed() {
        const ROLE: &str = "MEDIASYNC_TEST_LOCK_HOLDER";
        if let Some(dir) = std::env::var_os(ROLE) {
            let lock = Lock::take(Path::new(&dir), &pair(), "mirror").unwrap();
            println!("\nlocked {}", lock.path().display());
            std::io::stdin().read_line(&mut String::new()).unwrap();
            return;
        }
        let state = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "manifest::lock::tests::another_process_is_kept_out_until_it_is_killed", "--nocapture"])
            .env(ROLE, state.path())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        assert!(lines.any(|l| l.unwrap().starts_with("locked ")));
        let Err(LockError::Held { holder }) = Lock::take(state.path(), &pair(), "push") else { panic!("not held") };
        assert!(holder.starts_with(&format!("process {}, mirror", child.id())), "{holder}");
        child.kill().unwrap();
        child.wait().unwrap();
        Lock::take(state.path(), &pair(), "push").unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let state = tempfile::tempdir().unwrap();
        let file = state.path().join("state");
        std::fs::write(&file, "").unwrap();
        let Err(LockError::Failed(error)) = Lock::take(&file, &pair(), "push") else { panic!("locked") };
        assert!(error.message.contains("state/pairs"), "{error}");
        assert!(error.hint.unwrap().contains("[state] dir"));
    }
}
