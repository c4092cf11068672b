//! What is counted and indexed of the base while a process works: its totals, and its contents by size and digest.
//!
//! Both are made when they are first asked for, and dropped when many records change; a few changes are followed, since a
//! daemon makes them all day.

use rusqlite::{Connection, OptionalExtension};

use super::base::{Record, content, stored_size};
use crate::model::Key;

/// Stands for a content whose BLAKE3 nobody knows.
pub(super) const UNKNOWN: i64 = i64::MIN;

/// Batches up to this size are followed: one look at the old record and two changes of the index for each.
const FEW: usize = 64;

/// No object has more than a PiB; the limit keeps a hostile listing from overflowing the sum.
const LARGEST: i64 = 1 << 50;

/// Sorts the contents into a temporary table of the connection. An index in the file would make a sorted bulk load a
/// random one (measured: ten times slower).
pub(super) fn index_contents(conn: &Connection) -> rusqlite::Result<()> {
    if is_indexed(conn)? {
        return Ok(());
    }
    let tx = conn.unchecked_transaction()?;
    tx.execute_batch(&format!(
        "CREATE TEMP TABLE contents
             (of_size INTEGER, of_content INTEGER, of_key TEXT, PRIMARY KEY (of_size, of_content, of_key)) WITHOUT ROWID;
         INSERT INTO temp.contents SELECT size, coalesce(content, {UNKNOWN}), key FROM base WHERE lapsed = 0
             ORDER BY 1, 2, 3;"
    ))?;
    tx.commit()
}

fn is_indexed(conn: &Connection) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM temp.sqlite_master WHERE name = 'contents')")?
        .query_row([], |row| row.get(0))
}

/// Follows the records of one batch.
#[derive(Debug)]
pub(super) struct Follow<'a> {
    conn: &'a Connection,
    /// Keys and bytes; `None` if nobody counted them, or they have to be counted again.
    totals: Option<(u64, u64)>,
    /// Whether there is an index to keep.
    indexed: bool,
}

impl<'a> Follow<'a> {
    /// Before a batch of `count` records: drops what a large one would make wrong.
    pub(super) fn new(conn: &'a Connection, count: usize, totals: Option<(u64, u64)>) -> rusqlite::Result<Self> {
        if count > FEW {
            conn.execute_batch("DROP TABLE IF EXISTS temp.contents")?;
            return Ok(Self { conn, totals: None, indexed: false });
        }
        Ok(Self { conn, totals, indexed: is_indexed(conn)? })
    }

    /// Before one of them changes the base.
    pub(super) fn before(&mut self, record: &Record) -> rusqlite::Result<()> {
        if !self.indexed && self.totals.is_none() {
            return Ok(());
        }
        let (key, put) = match record {
            Record::Put(put) => (&put.key, (!put.lapsed).then_some(put)),
            Record::Forget(key) | Record::Lapse(key) => (key, None),
            // The content is the same; what more is known of it is indexed with the next one.
            Record::Styled(_) => return Ok(()),
        };
        if let Some((size, content)) = self.counted(key)? {
            self.totals = self.totals.map(|(keys, bytes)| (keys - 1, bytes - bytes_of(size)));
            if self.indexed {
                self.conn
                    .prepare_cached("DELETE FROM temp.contents WHERE of_size = ?1 AND of_content = ?2 AND of_key = ?3")?
                    .execute((size, content, key.as_str()))?;
            }
        }
        if let Some(put) = put {
            let size = stored_size(put.size);
            self.totals = self.totals.map(|(keys, bytes)| (keys + 1, bytes + bytes_of(size)));
            if self.indexed {
                self.conn.prepare_cached("INSERT INTO temp.contents VALUES (?1, ?2, ?3)")?.execute((
                    size,
                    content(&put.digests).unwrap_or(UNKNOWN),
                    key.as_str(),
                ))?;
            }
        }
        Ok(())
    }

    /// The size and content of a record that is not lapsed.
    fn counted(&self, key: &Key) -> rusqlite::Result<Option<(i64, i64)>> {
        self.conn
            .prepare_cached("SELECT size, coalesce(content, ?2) FROM base WHERE key = ?1 AND lapsed = 0")?
            .query_row((key.as_str(), UNKNOWN), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
    }

    /// The totals after the batch, if they are known.
    pub(super) fn totals(self) -> Option<(u64, u64)> {
        self.totals
    }
}

fn bytes_of(size: i64) -> u64 {
    size.min(LARGEST).cast_unsigned()
}
