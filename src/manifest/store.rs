//! A connection to a manifest file, and how to read one without leaving a trace.
//!
//! SQLite can read a database in WAL mode only with its `-wal` and `-shm` files, and creates them when they are
//! missing, unless it is told that the file is immutable (<https://www.sqlite.org/wal.html#read_only_databases>). So:
//! where a log is there, some process is writing or was killed, and the file is read as usual, as a snapshot. Where
//! none is there, it is read as immutable, and looked at after every query: if a writer came meanwhile, the query is
//! run again.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// How long a call waits for another process that writes, at most.
const BUSY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Store {
    pub(super) conn: Connection,
    /// Set while the file is read as immutable.
    frozen: Option<Frozen>,
}

/// What the file looked like when it was opened as immutable.
#[derive(Debug)]
struct Frozen {
    path: PathBuf,
    stamp: Option<Stamp>,
}

/// Size, mtime in seconds and nanoseconds, inode.
type Stamp = (u64, i64, i64, u64);

impl Store {
    pub(super) fn writer(path: &Path) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags)?;
        conn.busy_timeout(BUSY)?;
        // KiB, when negative.
        conn.pragma_update(None, "cache_size", -8192)?;
        conn.pragma_update(None, "foreign_keys", false)?;
        conn.pragma_update(None, "synchronous", "NORMAL")?;
        Ok(Self { conn, frozen: None })
    }

    /// On disk, without a name: it goes with the connection.
    pub(super) fn unnamed() -> rusqlite::Result<Self> {
        Ok(Self { conn: Connection::open("")?, frozen: None })
    }

    pub(super) fn memory() -> rusqlite::Result<Self> {
        Ok(Self { conn: Connection::open_in_memory()?, frozen: None })
    }

    /// Opens for reading, creating nothing.
    pub(super) fn reader(path: &Path) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let frozen = (!has_log(path)).then(|| Frozen { path: path.to_owned(), stamp: stamp(path) });
        let conn = Connection::open_with_flags(uri(path, frozen.is_some()), flags)?;
        conn.busy_timeout(BUSY)?;
        conn.pragma_update(None, "cache_size", -2048)?;
        Ok(Self { conn, frozen })
    }

    /// Runs a query, and runs it again on a new connection while a writer disturbs it.
    pub(super) fn read<T>(&mut self, mut query: impl FnMut(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        const ATTEMPTS: usize = 5;
        let mut attempt = 1;
        loop {
            let result = query(&self.conn);
            match &self.frozen {
                Some(frozen) if attempt < ATTEMPTS && !frozen.still_is() => {
                    let path = frozen.path.clone();
                    *self = Self::reader(&path)?;
                    attempt += 1;
                }
                _ => return result,
            }
        }
    }

    /// Makes following reads see one state of the file, until the store is dropped.
    pub(super) fn begin_snapshot(&self) -> rusqlite::Result<()> {
        self.conn.execute_batch("BEGIN DEFERRED")
    }
}

impl Frozen {
    fn still_is(&self) -> bool {
        !has_log(&self.path) && stamp(&self.path) == self.stamp
    }
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut text = path.as_os_str().to_owned();
    text.push(suffix);
    text.into()
}

pub(super) fn has_log(path: &Path) -> bool {
    with_suffix(path, "-wal").exists()
}

fn stamp(path: &Path) -> Option<Stamp> {
    std::fs::metadata(path).ok().map(|m| (m.size(), m.mtime(), m.mtime_nsec(), m.ino()))
}

/// <https://www.sqlite.org/uri.html>
fn uri(path: &Path, immutable: bool) -> String {
    let mut uri = "file:".to_owned();
    for byte in std::path::absolute(path).as_deref().unwrap_or(path).as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            write!(uri, "%{byte:02X}").expect("a String takes all");
        }
    }
    uri.push_str(if immutable { "?immutable=1" } else { "?mode=ro" });
    uri
}
