//! Tables and migrations.
//!
//! `PRAGMA user_version` is the number of migrations that a file has seen. Never remove, reorder or change a migration
//! that was released: append one. All pending ones run in one transaction, after a copy of the file was made.

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// Says that a SQLite file is a manifest: `msyc`.
pub(super) const APPLICATION_ID: i32 = 0x6d73_7963;

/// One step from a version to the next.
pub(super) type Migration = fn(&Transaction<'_>) -> rusqlite::Result<()>;

/// All steps, oldest first.
pub(super) const MIGRATIONS: &[Migration] = &[v1, v2, v3, v4, v5, v6, v7];

/// The file's version: how many migrations it has seen.
pub(super) fn version(conn: &Connection) -> rusqlite::Result<usize> {
    let found: u32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok(found as usize)
}

/// Runs what is missing. A failed step leaves the file as it was.
pub(super) fn migrate(conn: &mut Connection, migrations: &[Migration]) -> rusqlite::Result<()> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let from = version(&tx)?;
    for step in migrations.iter().skip(from) {
        step(&tx)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    if from < migrations.len() {
        tx.pragma_update(None, "user_version", u32::try_from(migrations.len()).expect("a short list"))?;
    }
    tx.commit()
}

/// Sides are 0 (the location that sorts first) and 1. Times are nanoseconds since the epoch. `digests` is the form
/// of `codec`; `content` is the start of the BLAKE3 as a number. The key order of every table is the order of the UTF-8 bytes (`BINARY`), as the join needs it.
fn v1(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(
        "CREATE TABLE meta (
             name  TEXT PRIMARY KEY NOT NULL,
             value TEXT NOT NULL
         ) WITHOUT ROWID, STRICT;

         CREATE TABLE base (
             key           TEXT PRIMARY KEY NOT NULL,
             size          INTEGER NOT NULL,
             left_version  TEXT NOT NULL,
             right_version TEXT NOT NULL,
             digests       BLOB NOT NULL,
             lapsed        INTEGER NOT NULL,
             content       INTEGER
         ) WITHOUT ROWID, STRICT;

         CREATE TABLE sending (
             side     INTEGER NOT NULL,
             key      TEXT NOT NULL,
             size     INTEGER NOT NULL,
             version  TEXT NOT NULL,
             modified INTEGER,
             replaces TEXT,
             PRIMARY KEY (side, key)
         ) WITHOUT ROWID, STRICT;

         CREATE TABLE memo (
             side    INTEGER NOT NULL,
             key     TEXT NOT NULL,
             version TEXT NOT NULL,
             digests BLOB NOT NULL,
             used    INTEGER NOT NULL,
             PRIMARY KEY (side, key)
         ) WITHOUT ROWID, STRICT;

         CREATE TABLE dirty (
             key TEXT PRIMARY KEY NOT NULL,
             due INTEGER NOT NULL
         ) WITHOUT ROWID, STRICT;

         CREATE TABLE uploads (
             side      INTEGER NOT NULL,
             key       TEXT NOT NULL,
             intended  INTEGER NOT NULL,
             id        TEXT,
             blake3    TEXT NOT NULL,
             part_size INTEGER NOT NULL,
             PRIMARY KEY (side, key)
         ) WITHOUT ROWID, STRICT;
         CREATE TABLE upload_parts (
             side   INTEGER NOT NULL,
             key    TEXT NOT NULL,
             number INTEGER NOT NULL,
             etag   TEXT NOT NULL,
             blake3 BLOB NOT NULL,
             PRIMARY KEY (side, key, number)
         ) WITHOUT ROWID, STRICT;

         CREATE TABLE runs (
             id      INTEGER PRIMARY KEY AUTOINCREMENT,
             command TEXT NOT NULL,
             source  TEXT NOT NULL,
             dest    TEXT NOT NULL,
             started INTEGER NOT NULL,
             ended   INTEGER,
             ending  TEXT,
             summary TEXT
         ) STRICT;

         -- What runs deleted and overwrote, summed by minute.
         CREATE TABLE spent (
             at           INTEGER NOT NULL,
             run          INTEGER NOT NULL,
             deletes      INTEGER NOT NULL,
             delete_bytes INTEGER NOT NULL,
             overwrites   INTEGER NOT NULL,
             PRIMARY KEY (at, run)
         ) WITHOUT ROWID, STRICT;",
    )
}

/// What an upload was begun with, and the digest of what is being sent. Of older lines neither is known: such an upload
/// is begun anew, and such content is not taken for ours.
fn v2(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(
        "ALTER TABLE uploads ADD COLUMN begun_with TEXT NOT NULL DEFAULT '';
         ALTER TABLE sending ADD COLUMN blake3 TEXT;",
    )
}

/// The names that runs have in the trash, and what they put there: `version` is the id in a bucket's history, where that
/// serves instead; `wrote` the version that the run put in its place.
fn v3(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(
        "ALTER TABLE runs ADD COLUMN name TEXT;
         CREATE TABLE kept (
             side    INTEGER NOT NULL,
             run     TEXT NOT NULL,
             key     TEXT NOT NULL,
             size    INTEGER NOT NULL,
             version TEXT,
             wrote   TEXT,
             PRIMARY KEY (side, run, key)
         ) WITHOUT ROWID, STRICT;",
    )
}

/// The set of dirty keys, which nobody filled before. A line is a key or (`below`) all keys below it; `due` and `since` are
/// times of the daemon's clock, `mark` is the number of the last sign. What is
/// `away` waits for one another.
fn v4(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(
        "DROP TABLE dirty;
         CREATE TABLE dirty (
             key   TEXT NOT NULL,
             below INTEGER NOT NULL,
             due   INTEGER NOT NULL,
             since INTEGER NOT NULL,
             mark  INTEGER NOT NULL,
             away  INTEGER NOT NULL,
             PRIMARY KEY (key, below)
         ) WITHOUT ROWID, STRICT;
         CREATE INDEX dirty_by_due ON dirty (away, due, since);",
    )
}

/// What is about to be deleted, and in which version.
fn v5(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(
        "CREATE TABLE deleting (
             side    INTEGER NOT NULL,
             key     TEXT NOT NULL,
             version TEXT NOT NULL,
             PRIMARY KEY (side, key)
         ) WITHOUT ROWID, STRICT;",
    )
}

/// Several lines of a key in `sending`, the newest with the greatest `number`. `missed`: since when what a line of it or of
/// `deleting` asked for is looked for, or may still happen though it was answered; `conditional`: whether it was asked for with
/// a precondition; `outdated`: the key was written since.
fn v6(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(
        "ALTER TABLE sending RENAME TO sending_before;
         CREATE TABLE sending (
             side     INTEGER NOT NULL,
             key      TEXT NOT NULL,
             number   INTEGER NOT NULL,
             size     INTEGER NOT NULL,
             version  TEXT NOT NULL,
             modified INTEGER,
             replaces TEXT,
             blake3   TEXT,
             missed   INTEGER,
             conditional INTEGER NOT NULL,
             outdated INTEGER NOT NULL,
             PRIMARY KEY (side, key, number)
         ) WITHOUT ROWID, STRICT;
         INSERT INTO sending
             SELECT side, key, 0, size, version, modified, replaces, blake3, NULL, 0, 0 FROM sending_before;
         DROP TABLE sending_before;
         ALTER TABLE deleting ADD COLUMN missed INTEGER;",
    )
}

/// What header rules gave to the objects of both sides: [`crate::model::StyleMark`]s of these versions; nothing where nobody
/// knows.
fn v7(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(
        "ALTER TABLE base ADD COLUMN left_style TEXT;
         ALTER TABLE base ADD COLUMN right_style TEXT;",
    )
}
