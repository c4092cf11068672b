//! Opening a manifest: creating it, migrating it, checking it, and moving a damaged one out of the way.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OptionalExtension};

use super::error::{ManifestError, Reaction, reaction, shown};
use super::lock::private_dir;
use super::schema::{APPLICATION_ID, MIGRATIONS, Migration, migrate, version};
use super::store::{Store, has_log, with_suffix};
use super::{Access, Manifest, Orientation, Pair};

/// The first release without the WAL-reset bug (<https://www.sqlite.org/releaselog/3_51_3.html>).
const OLDEST_SQLITE: i32 = 3_051_003;

/// Whether the last writer closed the file in order.
const CLEAN: &str = "clean";

/// A manifest, and what people should know about how it was opened.
#[derive(Debug)]
pub struct Opened {
    /// The manifest.
    pub manifest: Manifest,
    /// Full sentences, for [`crate::sync::Observer::notice`].
    pub notices: Vec<String>,
}

impl Manifest {
    /// Opens the pair's manifest for writing, or begins it. The caller holds the pair's [`super::Lock`].
    ///
    /// A damaged file is moved aside (`manifest.db.corrupt-TIME`) and a fresh one begun, with a notice.
    ///
    /// # Errors
    /// [`Reaction::Newer`] for a file of a newer program; [`Reaction::Full`], [`Reaction::Unusable`], [`Reaction::Busy`].
    pub fn open(state_dir: &Path, pair: &Pair, orientation: Orientation) -> Result<Opened, ManifestError> {
        open_with(state_dir, pair, orientation, MIGRATIONS)
    }

    /// Opens the pair's manifest for reading, without a lock, while another process may write. Creates no file.
    /// `None` if there is none, or an empty one.
    ///
    /// # Errors
    /// As [`Self::open`]; [`Reaction::Corrupt`] for a damaged file, which stays where it is; [`Reaction::Unusable`] for
    /// one of an older program, which the next run that writes brings up to date.
    pub fn open_read_only(
        state_dir: &Path,
        pair: &Pair,
        orientation: Orientation,
    ) -> Result<Option<Self>, ManifestError> {
        assert_sqlite()?;
        let path = pair.dir(state_dir).join("manifest.db");
        match fs::metadata(&path) {
            Ok(_) => {}
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(e) => return Err(ManifestError::io("read", &path, &e)),
        }
        let failed = |e: rusqlite::Error| ManifestError::sqlite("read", &path, &e);
        let mut store = Store::reader(&path).map_err(failed)?;
        let found = store.read(|conn| Ok((version(conn)?, is_ours(conn)?))).map_err(failed)?;
        match found {
            (0, _) => return Ok(None),
            (_, false) => return Err(foreign(&path)),
            (n, true) if n > MIGRATIONS.len() => return Err(newer(&path, n, MIGRATIONS.len())),
            (n, true) if n < MIGRATIONS.len() => {
                let message = format!("{} was written by an older mediasync", shown(&path));
                return Err(ManifestError::new(Reaction::Unusable, message)
                    .hint("the next run that is not a dry run brings it up to date"));
            }
            _ => {}
        }
        Ok(Some(Self::from_store(store, Access::Read(path), orientation)))
    }

    /// An empty manifest in memory: for a dry run of a pair that has none yet, and for tests.
    ///
    /// Its cursor has no snapshot: what is recorded ahead of it while it runs is seen.
    ///
    /// # Errors
    /// [`Reaction::Unusable`] if there is no memory.
    pub fn empty(orientation: Orientation) -> Result<Self, ManifestError> {
        assert_sqlite()?;
        let store = Store::memory().and_then(|mut store| {
            migrate(&mut store.conn, MIGRATIONS)?;
            Ok(store)
        });
        let store = store.map_err(|e| ManifestError::sqlite("begin", Path::new(":memory:"), &e))?;
        Ok(Self::from_store(store, Access::Memory, orientation))
    }

    /// As [`Self::empty`], and nothing that is found out is remembered: each look is a new one.
    ///
    /// # Errors
    /// As [`Self::empty`].
    pub fn forgetful() -> Result<Self, ManifestError> {
        let mut manifest = Self::empty(Orientation::Forward)?;
        manifest.access = Access::Forgetful;
        Ok(manifest)
    }

    /// A copy without a name, to be changed instead of this one: what a dry run would record goes there.
    ///
    /// As [`Self::empty`], its cursor has no snapshot.
    ///
    /// # Errors
    /// There is no room for it, or this one can't be read.
    pub fn copy(&self) -> Result<Self, ManifestError> {
        let copied = |mut to: Store| {
            migrate(&mut to.conn, MIGRATIONS)?;
            self.lock().read(|from| copy_rows(from, &to.conn))?;
            Ok(to)
        };
        let store = Store::unnamed().and_then(copied).map_err(|e| self.failed("copy", &e))?;
        Ok(Self::from_store(store, Access::Memory, self.orientation))
    }

    fn from_store(store: Store, access: Access, orientation: Orientation) -> Self {
        Self {
            store: Arc::new(Mutex::new(store)),
            access,
            orientation,
            totals: Mutex::new(None),
            suspect: AtomicBool::new(false),
            last_mark: AtomicI64::new(i64::MIN),
        }
    }
}

impl Drop for Manifest {
    fn drop(&mut self) {
        let in_order = !self.suspect.load(Ordering::Relaxed) && !std::thread::panicking();
        if matches!(self.access, Access::Write(_)) && in_order {
            // Not written: the next opening checks the file. Nothing else depends on it.
            set_clean(&self.lock().conn, true).ok();
        }
    }
}

pub(super) fn open_with(
    state_dir: &Path,
    pair: &Pair,
    orientation: Orientation,
    migrations: &[Migration],
) -> Result<Opened, ManifestError> {
    assert_sqlite()?;
    let dir = pair.dir(state_dir);
    private_dir(&dir)?;
    let path = dir.join("manifest.db");
    let mut notices = Vec::new();
    let store = match open_checked(&path, migrations) {
        Err(e) if e.reaction == Reaction::Corrupt => {
            let aside = move_aside(&path)?;
            notices.push(format!(
                "The manifest of this pair was damaged ({}). It was moved to {} and a fresh one begun: what is equal on \
                 both sides is recorded again, and nothing is deleted until then.",
                e.message,
                shown(&aside)
            ));
            open_checked(&path, migrations)?
        }
        other => other?,
    };
    claim(&store.conn, pair, &path)?;
    Ok(Opened { manifest: Manifest::from_store(store, Access::Write(path), orientation), notices })
}

fn assert_sqlite() -> Result<(), ManifestError> {
    if rusqlite::version_number() >= OLDEST_SQLITE {
        return Ok(());
    }
    let message = format!("SQLite {} is too old: its log can lose committed records", rusqlite::version());
    Err(ManifestError::new(Reaction::Unusable, message).hint("build mediasync with its bundled SQLite"))
}

/// Everything up to a file that is ours, whole and of this version.
fn open_checked(path: &Path, migrations: &[Migration]) -> Result<Store, ManifestError> {
    // SQLite would create it readable to everybody.
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|e| ManifestError::io("open", path, &e))?;
    let failed = |e: rusqlite::Error| ManifestError::sqlite("open", path, &e);
    // Before the writer opens it, which creates the log.
    let logged = has_log(path);
    let mut store = Store::writer(path).map_err(failed)?;
    let from = version(&store.conn).map_err(failed)?;
    if from > migrations.len() {
        return Err(newer(path, from, migrations.len()));
    }
    let (tables, ours) = store.read(|c| Ok((tables(c)?, is_ours(c)?))).map_err(failed)?;
    if (from > 0 || tables > 0) && !ours {
        return Err(foreign(path));
    }
    let mode: String = store.conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        let message = format!("{} is on a file system without shared memory", shown(path));
        return Err(ManifestError::new(Reaction::Unusable, message).hint("put the state directory on a local disk"));
    }
    if from > 0 {
        check(&store.conn, path, logged)?;
    }
    if from > 0 && from < migrations.len() {
        back_up(&store.conn, path, from)?;
    }
    migrate(&mut store.conn, migrations).map_err(|e| ManifestError::sqlite("bring up to date", path, &e))?;
    set_clean(&store.conn, false).map_err(|e| ManifestError::sqlite("write", path, &e))?;
    Ok(store)
}

/// Reads the whole file if its last writer did not close it in order; else only compares its length.
fn check(conn: &Connection, path: &Path, logged: bool) -> Result<(), ManifestError> {
    let damaged = |what: &str| ManifestError::new(Reaction::Corrupt, format!("{} is damaged: {what}", shown(path)));
    let found = |e: rusqlite::Error| match reaction(&e) {
        // A missing table or column, in a file that says it has them.
        Reaction::Unusable if matches!(&e, rusqlite::Error::SqliteFailure(f, _) if f.extended_code == 1) => {
            damaged(&e.to_string())
        }
        _ => ManifestError::sqlite("check", path, &e),
    };
    if !logged {
        let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        let expected: u64 =
            conn.query_row(sql, [], |row| row.get::<_, i64>(0).map(i64::cast_unsigned)).map_err(found)?;
        let len = fs::metadata(path).map_err(|e| ManifestError::io("read", path, &e))?.len();
        if len < expected {
            return Err(damaged(&format!("it ends after {len} of {expected} bytes")));
        }
    }
    let clean: Option<String> = conn
        .query_row("SELECT value FROM meta WHERE name = ?1", [CLEAN], |row| row.get(0))
        .optional()
        .map_err(found)?;
    if clean.as_deref() == Some("1") && !logged {
        return Ok(());
    }
    let verdict: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(found)?;
    if verdict == "ok" { Ok(()) } else { Err(damaged(&verdict)) }
}

fn set_clean(conn: &Connection, clean: bool) -> rusqlite::Result<()> {
    let sql = "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
    conn.execute(sql, (CLEAN, if clean { "1" } else { "0" })).map(drop)
}

fn is_ours(conn: &Connection) -> rusqlite::Result<bool> {
    let id: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    Ok(id == APPLICATION_ID)
}

fn tables(conn: &Connection) -> rusqlite::Result<u32> {
    conn.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))
}

fn newer(path: &Path, found: usize, known: usize) -> ManifestError {
    let message = format!("{} was written by a newer mediasync (format {found}, this one knows {known})", shown(path));
    ManifestError::new(Reaction::Newer, message)
        .hint("update mediasync on this host; it is not changed by this version")
}

fn foreign(path: &Path) -> ManifestError {
    ManifestError::new(Reaction::Corrupt, format!("{} is a SQLite file, but no manifest", shown(path)))
}

/// A consistent copy beside the file: `manifest.db.version-N` is the last state of version N.
fn back_up(conn: &Connection, path: &Path, from: usize) -> Result<(), ManifestError> {
    let copy = with_suffix(path, &format!(".version-{from}"));
    match fs::remove_file(&copy) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(ManifestError::io("replace", &copy, &e)),
        _ => {}
    }
    let text = copy.to_str().ok_or_else(|| {
        ManifestError::new(Reaction::Unusable, format!("can't write {}: the path is not UTF-8", shown(&copy)))
    })?;
    conn.execute("VACUUM INTO ?1", [text]).map_err(|e| ManifestError::sqlite("copy to", &copy, &e))?;
    Ok(())
}

/// Replaces all rows of `to` by those of `from`, which has the same tables, in one transaction of both.
fn copy_rows(from: &Connection, to: &Connection) -> rusqlite::Result<()> {
    let (from, to) = (from.unchecked_transaction()?, to.unchecked_transaction()?);
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let tables: Vec<String> = from.prepare(names)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for table in tables {
        to.execute(&format!("DELETE FROM {table}"), [])?;
        let mut read = from.prepare(&format!("SELECT * FROM {table}"))?;
        let width = read.column_count();
        let mut write = to.prepare(&format!("INSERT INTO {table} VALUES (?1{})", ", ?".repeat(width - 1)))?;
        let mut rows = read.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..width {
                write.raw_bind_parameter(column + 1, ToSqlOutput::Borrowed(row.get_ref(column)?))?;
            }
            write.raw_execute()?;
        }
    }
    to.commit()
}

/// Renames the file and its log, so that a person can still look at them.
fn move_aside(path: &Path) -> Result<std::path::PathBuf, ManifestError> {
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let mut aside = with_suffix(path, &format!(".corrupt-{time}"));
    let mut number = 1;
    while aside.exists() {
        number += 1;
        aside = with_suffix(path, &format!(".corrupt-{time}-{number}"));
    }
    for suffix in ["", "-wal", "-shm"] {
        match fs::rename(with_suffix(path, suffix), with_suffix(&aside, suffix)) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(ManifestError::io("move aside", path, &e)),
            _ => {}
        }
    }
    Ok(aside)
}

/// Writes whose manifest it is, and refuses one of another pair (a copied directory, an id that collides).
fn claim(conn: &Connection, pair: &Pair, path: &Path) -> Result<(), ManifestError> {
    let failed = |e: rusqlite::Error| ManifestError::sqlite("write", path, &e);
    for (name, location) in ["location.0", "location.1"].into_iter().zip(pair.locations()) {
        conn.execute("INSERT OR IGNORE INTO meta (name, value) VALUES (?1, ?2)", (name, location)).map_err(failed)?;
        let found: String =
            conn.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0)).map_err(failed)?;
        if found != location {
            let message = format!("{} belongs to {found}, not to {location}", shown(path));
            return Err(ManifestError::new(Reaction::Unusable, message).hint("move it away and run again"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;
    use crate::manifest::{Record, RunId};
    use crate::model::{BaseRecord, Digest, DigestKind, Digests, Key, Marks, Scope, Side, Version};
    use crate::replica::Journal as _;

    fn pair() -> Pair {
        Pair::new("file:///a", "s3://b")
    }

    fn open(state: &Path) -> Opened {
        Manifest::open(state, &pair(), Orientation::Forward).unwrap()
    }

    fn open_read_only(state: &Path) -> Option<Manifest> {
        Manifest::open_read_only(state, &pair(), Orientation::Forward).unwrap()
    }

    fn put(manifest: &Manifest, texts: impl IntoIterator<Item = String>) {
        let records: Vec<Record> = texts
            .into_iter()
            .map(|text| {
                Record::Put(BaseRecord {
                    key: Key::new(text).unwrap(),
                    size: 1,
                    source: Version::new("s"),
                    dest: Version::new("d"),
                    digests: Digests::none(),
                    lapsed: false,
                    marks: Marks::default(),
                })
            })
            .collect();
        manifest.record(&records).unwrap();
    }

    fn many() -> impl Iterator<Item = String> {
        (0..3000).map(|n| format!("some/directory/{n:06}"))
    }

    fn count(manifest: &Manifest) -> usize {
        manifest.base(&Scope::Whole).unwrap().map(Result::unwrap).count()
    }

    fn file(state: &Path) -> PathBuf {
        pair().dir(state).join("manifest.db")
    }

    fn names(state: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(pair().dir(state))
            .unwrap()
            .map(|found| found.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The files as a power cut or a kill leaves them.
    fn killed(state: &Path) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        private_dir(&pair().dir(copy.path())).unwrap();
        for name in names(state) {
            fs::copy(pair().dir(state).join(&name), pair().dir(copy.path()).join(&name)).unwrap();
        }
        copy
    }

    /// Asserts that a damaged file is moved aside whole, and that the fresh one works and stays.
    fn is_begun_anew(state: &Path) {
        let damaged = fs::read(file(state)).unwrap();
        let Opened { manifest, notices } = open(state);
        assert_eq!(notices.len(), 1, "{notices:?}");
        let aside =
            names(state).into_iter().find(|n| n.contains(".corrupt-") && !n.ends_with("-wal") && !n.ends_with("-shm"));
        let aside = aside.unwrap();
        assert!(notices[0].contains(&aside) && notices[0].contains("nothing is deleted"), "{notices:?}");
        assert_eq!(fs::read(pair().dir(state).join(aside)).unwrap(), damaged);
        assert_eq!(count(&manifest), 0);
        put(&manifest, many());
        drop(manifest);
        let Opened { manifest, notices } = open(state);
        assert_eq!((count(&manifest), notices.len()), (3000, 0));
    }

    #[test]
    fn what_was_recorded_is_there_next_time() {
        let state = tempfile::tempdir().unwrap();
        let manifest = open(state.path()).manifest;
        put(&manifest, many());
        drop(manifest);
        assert_eq!(names(state.path()), ["manifest.db"]);
        assert_eq!(fs::metadata(file(state.path())).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(pair().dir(state.path())).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(state.path().join("pairs")).unwrap().permissions().mode() & 0o777, 0o700);
        let Opened { manifest, notices } = open(state.path());
        assert_eq!((count(&manifest), notices), (3000, vec![]));
        let mode: String = manifest.lock().conn.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
        let synchronous: u8 = manifest.lock().conn.query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap();
        assert_eq!((&*mode, synchronous), ("wal", 1));
    }

    #[test]
    fn a_killed_writer_loses_nothing_that_was_committed() {
        let state = tempfile::tempdir().unwrap();
        let manifest = open(state.path()).manifest;
        put(&manifest, many());
        let copy = killed(state.path());
        assert!(names(copy.path()).contains(&"manifest.db-wal".to_owned()));
        let Opened { manifest, notices } = open(copy.path());
        assert_eq!((count(&manifest), notices.len()), (3000, 0));
    }

    #[test]
    fn a_log_cut_off_anywhere_gives_an_older_state_not_a_wrong_one() {
        let state = tempfile::tempdir().unwrap();
        let manifest = open(state.path()).manifest;
        put(&manifest, many().take(1000));
        put(&manifest, many().skip(1000).take(1000));
        let copy = killed(state.path());
        let log = with_suffix(&file(copy.path()), "-wal");
        let len = fs::metadata(&log).unwrap().len();
        for cut in [len - 1, len - 5000, len / 2, len / 3] {
            let cut_copy = killed(copy.path());
            let log = with_suffix(&file(cut_copy.path()), "-wal");
            OpenOptions::new().write(true).open(&log).unwrap().set_len(cut).unwrap();
            let Opened { manifest, notices } = open(cut_copy.path());
            assert_eq!(notices.len(), 0);
            let left = count(&manifest);
            assert!([0, 1000].contains(&left), "{left} after {cut} of {len}");
        }
    }

    #[test]
    fn garbage_is_moved_aside() {
        let state = tempfile::tempdir().unwrap();
        private_dir(&pair().dir(state.path())).unwrap();
        fs::write(file(state.path()), "this is not a database, however long one looks at it".repeat(100)).unwrap();
        let error = Manifest::open_read_only(state.path(), &pair(), Orientation::Forward).unwrap_err();
        assert_eq!(error.reaction, Reaction::Corrupt, "{error}");
        is_begun_anew(state.path());
    }

    #[test]
    fn another_programs_database_is_moved_aside() {
        let state = tempfile::tempdir().unwrap();
        private_dir(&pair().dir(state.path())).unwrap();
        let conn = Connection::open(file(state.path())).unwrap();
        conn.execute_batch("CREATE TABLE base (x); PRAGMA user_version = 1").unwrap();
        drop(conn);
        is_begun_anew(state.path());
    }

    #[test]
    fn a_truncated_file_is_moved_aside_even_after_a_clean_close() {
        let state = tempfile::tempdir().unwrap();
        put(&open(state.path()).manifest, many());
        let whole = fs::metadata(file(state.path())).unwrap().len();
        OpenOptions::new().write(true).open(file(state.path())).unwrap().set_len(whole - 4096).unwrap();
        is_begun_anew(state.path());
    }

    #[test]
    fn a_damaged_page_is_found_after_an_unclean_close() {
        let state = tempfile::tempdir().unwrap();
        let manifest = open(state.path()).manifest;
        put(&manifest, many());
        manifest.lock().conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        let copy = killed(state.path());
        damage(&file(copy.path()));
        is_begun_anew(copy.path());
    }

    /// Overwrites the second half with noise: records, but none of what is needed to open it.
    fn damage(path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        let half = bytes.len() / 2;
        bytes[half..].fill(0xa5);
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn damage_met_while_it_is_used_is_an_error_and_is_checked_next_time() {
        let state = tempfile::tempdir().unwrap();
        put(&open(state.path()).manifest, many());
        damage(&file(state.path()));
        let Opened { manifest, notices } = open(state.path());
        assert_eq!(notices.len(), 0, "it was closed in order");
        let error = manifest.base_totals().unwrap_err();
        assert_eq!(error.reaction, Reaction::Corrupt, "{error}");
        assert!(manifest.base(&Scope::Whole).unwrap().any(|r| r.is_err_and(|e| e.reaction == Reaction::Corrupt)));
        drop(manifest);
        is_begun_anew(state.path());
    }

    #[test]
    fn a_value_that_we_cannot_have_written_is_damage() {
        let state = tempfile::tempdir().unwrap();
        let manifest = open(state.path()).manifest;
        put(&manifest, many());
        manifest.lock().conn.execute("UPDATE base SET digests = x'99'", []).unwrap();
        let first = manifest.base(&Scope::Whole).unwrap().next().unwrap();
        assert_eq!(first.unwrap_err().reaction, Reaction::Corrupt);
    }

    #[test]
    fn an_empty_file_is_begun() {
        let state = tempfile::tempdir().unwrap();
        private_dir(&pair().dir(state.path())).unwrap();
        fs::write(file(state.path()), "").unwrap();
        assert!(open_read_only(state.path()).is_none());
        let Opened { manifest, notices } = open(state.path());
        assert_eq!((count(&manifest), notices.len()), (0, 0));
    }

    fn and_then(step: Migration) -> Vec<Migration> {
        MIGRATIONS.iter().copied().chain([step]).collect()
    }

    #[test]
    fn migrations_run_once_after_a_copy_was_made() {
        let more =
            and_then(|tx| tx.execute_batch("ALTER TABLE runs ADD COLUMN host TEXT; UPDATE base SET size = size + 1"));
        let known = MIGRATIONS.len();
        let copied = format!("manifest.db.version-{known}");
        let state = tempfile::tempdir().unwrap();
        put(&open(state.path()).manifest, many());
        for _ in 0..2 {
            let opened = open_with(state.path(), &pair(), Orientation::Forward, &more).unwrap();
            assert_eq!(opened.manifest.base_totals().unwrap(), (3000, 6000));
            assert_eq!(version(&opened.manifest.lock().conn).unwrap(), known + 1);
        }
        assert_eq!(names(state.path()), ["manifest.db", &copied]);
        let copy = Connection::open(pair().dir(state.path()).join(&copied)).unwrap();
        assert_eq!(version(&copy).unwrap(), known);
        assert_eq!(copy.query_row("SELECT sum(size) FROM base", [], |r| r.get::<_, i64>(0)).unwrap(), 3000);

        let error = Manifest::open(state.path(), &pair(), Orientation::Forward).unwrap_err();
        assert_eq!(error.reaction, Reaction::Newer);
        let told = format!("newer mediasync (format {}, this one knows {known})", known + 1);
        assert!(error.message.contains(&told), "{error}");
        let error = Manifest::open_read_only(state.path(), &pair(), Orientation::Forward).unwrap_err();
        assert_eq!(error.reaction, Reaction::Newer);
        assert_eq!(names(state.path()), ["manifest.db", &copied], "a refusal leaves it in its place");
    }

    #[test]
    fn a_failed_migration_changes_nothing() {
        let failing = and_then(|tx| tx.execute_batch("UPDATE base SET size = 9; SELECT * FROM nothing"));
        let state = tempfile::tempdir().unwrap();
        put(&open(state.path()).manifest, many());
        let error = open_with(state.path(), &pair(), Orientation::Forward, &failing).unwrap_err();
        assert!(error.message.contains("bring up to date"), "{error}");
        let opened = open(state.path());
        assert_eq!((opened.manifest.base_totals().unwrap(), opened.notices.len()), ((3000, 3000), 0));
    }

    /// Files of every released version stay readable: this is version 1 as its first release wrote it. Never edit it.
    #[test]
    fn a_file_of_version_1_is_read() {
        let state = tempfile::tempdir().unwrap();
        private_dir(&pair().dir(state.path())).unwrap();
        let conn = Connection::open(file(state.path())).unwrap();
        conn.execute_batch(include_str!("fixtures/version-1.sql")).unwrap();
        conn.execute("INSERT INTO uploads VALUES (1, 'b.mov', 7, 'id', 'ab', 5)", []).unwrap();
        drop(conn);
        let Opened { manifest, notices } = open(state.path());
        assert_eq!(notices, Vec::<String>::new());
        let records: Vec<BaseRecord> = manifest.base(&Scope::Whole).unwrap().map(Result::unwrap).collect();
        assert_eq!(records.iter().map(|r| r.key.as_str()).collect::<Vec<_>>(), ["a.jpg", "a/é.jpg"]);
        let digests: Vec<String> = records[0].digests.iter().map(|d| format!("{d:?}")).collect();
        assert_eq!(
            digests,
            [format!("Blake3:{}", "07".repeat(32)), "EtagMultipart:0cc175b9c0f1b6a831c399e269772661-3".to_owned()]
        );
        assert_eq!((&*records[1].source.0, &*records[1].dest.0), ("7:1:1:2", "etag-2"));
        assert_eq!(manifest.runs(1).unwrap()[0].id, RunId(1));
        let uploads = manifest.upload_journal(Side::Dest).uploads().unwrap();
        let [upload] = &uploads[..] else { panic!("{uploads:?}") };
        assert_eq!((upload.key.as_str(), upload.id.as_deref(), upload.begun_with.as_str()), ("b.mov", Some("id"), ""));
    }

    #[test]
    fn a_file_of_any_older_version_keeps_its_records_and_knows_no_styles() {
        for known in 1..MIGRATIONS.len() {
            let state = tempfile::tempdir().unwrap();
            private_dir(&pair().dir(state.path())).unwrap();
            let mut conn = Connection::open(file(state.path())).unwrap();
            migrate(&mut conn, &MIGRATIONS[..known]).unwrap();
            let mut digests = Vec::new();
            let blake3 = Digest::from_bytes(DigestKind::Blake3, &[7; 32]);
            crate::manifest::codec::digests_to_blob(&[blake3.clone()].into_iter().collect(), &mut digests);
            let sql = "INSERT INTO base VALUES (?1, 3, 'left', 'right', ?2, 0, NULL)";
            conn.execute(sql, rusqlite::params!["a.jpg", digests]).unwrap();
            drop(conn);
            let Opened { manifest, notices } = open(state.path());
            assert_eq!((notices, version(&manifest.lock().conn).unwrap()), (Vec::new(), MIGRATIONS.len()));
            let record = manifest.get(&Key::new("a.jpg").unwrap()).unwrap().unwrap();
            assert_eq!((&*record.source.0, &*record.dest.0, record.lapsed), ("left", "right", false), "{known}");
            assert_eq!((record.digests.get(DigestKind::Blake3), record.marks), (Some(&blake3), Marks::default()));
        }
    }

    #[test]
    fn another_pairs_manifest_is_refused() {
        let state = tempfile::tempdir().unwrap();
        drop(open(state.path()));
        let other = Pair::new("file:///a", "s3://c");
        private_dir(&other.dir(state.path())).unwrap();
        fs::copy(file(state.path()), other.dir(state.path()).join("manifest.db")).unwrap();
        let error = Manifest::open(state.path(), &other, Orientation::Forward).unwrap_err();
        assert!(error.message.ends_with("belongs to s3://b, not to s3://c"), "{error}");
    }

    #[test]
    fn reading_creates_nothing() {
        let state = tempfile::tempdir().unwrap();
        assert!(open_read_only(state.path()).is_none());
        assert_eq!(fs::read_dir(state.path()).unwrap().count(), 0);
        put(&open(state.path()).manifest, many());
        let before = fs::read(file(state.path())).unwrap();
        let manifest = open_read_only(state.path()).unwrap();
        assert_eq!((count(&manifest), manifest.base_totals().unwrap().0), (3000, 3000));
        assert_eq!(names(state.path()), ["manifest.db"]);
        let error = manifest.begin_run("push", "a", "b", 0).unwrap_err();
        assert!(error.message.ends_with("was opened for reading only"), "{error}");
        drop(manifest);
        assert_eq!(names(state.path()), ["manifest.db"]);
        assert_eq!(fs::read(file(state.path())).unwrap(), before);
    }

    #[test]
    fn reading_works_while_another_process_writes() {
        let state = tempfile::tempdir().unwrap();
        let writer = open(state.path()).manifest;
        put(&writer, many().take(1000));
        let reader = open_read_only(state.path()).unwrap();
        assert_eq!(count(&reader), 1000, "what is only in the log is seen");
        put(&writer, many());
        assert_eq!((count(&reader), reader.base_totals().unwrap().0), (3000, 3000));
        let mut cursor = reader.base(&Scope::Whole).unwrap();
        cursor.next().unwrap().unwrap();
        let forgets: Vec<Record> = many().map(|t| Record::Forget(Key::new(t).unwrap())).collect();
        writer.record(&forgets).unwrap();
        assert_eq!(cursor.map(Result::unwrap).count(), 2999);
        assert_eq!(count(&reader), 0);
    }

    #[test]
    fn a_reader_that_was_alone_notices_a_writer() {
        let state = tempfile::tempdir().unwrap();
        put(&open(state.path()).manifest, many());
        let reader = open_read_only(state.path()).unwrap();
        let mut cursor = reader.base(&Scope::Whole).unwrap();
        cursor.next().unwrap().unwrap();
        let writer = open(state.path()).manifest;
        let forgets: Vec<Record> = many().skip(10).map(|t| Record::Forget(Key::new(t).unwrap())).collect();
        writer.record(&forgets).unwrap();
        assert_eq!(reader.base_totals().unwrap().0, 10);
        // The batch that was read before stays; the rest comes from the file as it is now.
        assert_eq!(cursor.map(Result::unwrap).count(), 511);
        drop(writer);
        assert_eq!(count(&open_read_only(state.path()).unwrap()), 10);
    }

    #[test]
    fn a_copy_holds_the_same_and_changes_nothing() {
        let state = tempfile::tempdir().unwrap();
        let writer = open(state.path()).manifest;
        put(&writer, many());
        writer.set_identity(Side::Dest, "who").unwrap();
        writer.set_probe(Side::Source, "{}").unwrap();
        writer.begin_run("push", "a", "b", 7).unwrap();
        drop(writer);
        let before = fs::read(file(state.path())).unwrap();
        let reader = open_read_only(state.path()).unwrap();
        let copy = reader.copy().unwrap();
        let records = |manifest: &Manifest| -> Vec<BaseRecord> {
            manifest.base(&Scope::Whole).unwrap().map(Result::unwrap).collect()
        };
        assert_eq!(records(&copy), records(&reader));
        assert_eq!(copy.identity(Side::Dest).unwrap().as_deref(), Some("who"));
        assert_eq!(copy.runs(9).unwrap(), reader.runs(9).unwrap());
        put(&copy, ["new".to_owned()]);
        assert_eq!((count(&copy), count(&reader)), (3001, 3000));
        assert_eq!(names(state.path()), ["manifest.db"]);
        assert_eq!(fs::read(file(state.path())).unwrap(), before);
    }

    #[test]
    fn a_killed_writers_log_is_read_too() {
        let state = tempfile::tempdir().unwrap();
        let writer = open(state.path()).manifest;
        put(&writer, many());
        let copy = killed(state.path());
        let before = names(copy.path());
        assert_eq!(count(&open_read_only(copy.path()).unwrap()), 3000);
        assert_eq!(names(copy.path()), before);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named_with_the_way_out() {
        let state = tempfile::tempdir().unwrap();
        fs::create_dir_all(file(state.path())).unwrap();
        let error = Manifest::open(state.path(), &pair(), Orientation::Forward).unwrap_err();
        assert_eq!(error.reaction, Reaction::Unusable);
        assert!(error.message.contains("manifest.db") && error.hint.is_some(), "{error}");
    }

    #[test]
    #[ignore = "needs root: mounts a small tmpfs"]
    fn a_full_disk_stops_and_nothing_is_lost() {
        let state = tempfile::tempdir().unwrap();
        let mount =
            |args: &[&str]| assert!(std::process::Command::new(args[0]).args(&args[1..]).status().unwrap().success());
        let dir = state.path().to_str().unwrap();
        mount(&["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", dir]);
        let manifest = open(state.path()).manifest;
        put(&manifest, many().take(500));
        let error = (0..100)
            .find_map(|n| {
                let records: Vec<Record> = many()
                    .map(|t| {
                        Record::Put(BaseRecord {
                            key: Key::new(format!("{n}{t}")).unwrap(),
                            size: 1,
                            source: Version::new("s"),
                            dest: Version::new("d"),
                            digests: Digests::none(),
                            lapsed: false,
                            marks: Marks::default(),
                        })
                    })
                    .collect();
                manifest.record(&records).err()
            })
            .unwrap();
        println!("{error}\n{:?}", error.hint);
        assert_eq!(error.reaction, Reaction::Full, "{error}");
        let held = count(&manifest);
        drop(manifest);
        let reopened = Manifest::open(state.path(), &pair(), Orientation::Forward);
        println!("{reopened:?}");
        if let Ok(Opened { manifest, notices }) = &reopened {
            assert_eq!((count(manifest), notices.len()), (held, 0));
        }
        drop(reopened);
        mount(&["umount", dir]);
    }
}
