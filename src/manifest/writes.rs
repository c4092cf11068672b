//! How the current run's writes ended, as far as its deletions depend on that.
//!
//! A deletion may be the old half of a move: it waits until the new half was made in this very run. The base can't tell
//! that: it may hold the new key from an earlier run. Lives as long as the process, on disk if it is large.

use rusqlite::types::Type;

use super::Manifest;
use super::base::stored_size;
use super::error::ManifestError;
use crate::model::{Key, Side};

/// A write that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The side that it went to.
    pub side: Side,
    /// The key.
    pub key: Key,
    /// Bytes.
    pub size: u64,
    /// Whether it was acknowledged.
    pub made: bool,
}

impl Manifest {
    /// Forgets the writes of the run before.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn begin_writes(&self) -> Result<(), ManifestError> {
        self.write("write", |conn| {
            conn.execute_batch(
                "CREATE TEMP TABLE IF NOT EXISTS writes
                     (side INTEGER, key TEXT, size INTEGER, made INTEGER, PRIMARY KEY (side, key)) WITHOUT ROWID;
                 CREATE INDEX IF NOT EXISTS temp.writes_by_size ON writes (side, made, size);
                 DELETE FROM temp.writes;",
            )
        })
    }

    /// Adds writes that ended.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn note_writes(&self, writes: &[Written]) -> Result<(), ManifestError> {
        if writes.is_empty() {
            return Ok(());
        }
        self.write("write", |conn| {
            let mut add = conn.prepare_cached("INSERT OR REPLACE INTO temp.writes VALUES (?1, ?2, ?3, ?4)")?;
            for write in writes {
                let side = self.orientation.number(write.side);
                add.execute((side, write.key.as_str(), stored_size(write.size), write.made))?;
            }
            Ok(())
        })
    }

    /// Whether this run wrote a key, acknowledged.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn was_written(&self, side: Side, key: &Key) -> Result<bool, ManifestError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM temp.writes WHERE side = ?1 AND key = ?2 AND made)";
        let side = self.orientation.number(side);
        self.read("read", |conn| conn.prepare_cached(sql)?.query_row((side, key.as_str()), |row| row.get(0)))
    }

    /// Up to `limit` keys of this size that this run could not write.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn unwritten(&self, side: Side, size: u64, limit: usize) -> Result<Vec<Key>, ManifestError> {
        let sql = "SELECT key FROM temp.writes WHERE side = ?1 AND made = 0 AND size = ?2 LIMIT ?3";
        let (side, limit) = (self.orientation.number(side), i64::try_from(limit).unwrap_or(i64::MAX));
        self.read("read", |conn| {
            let mut statement = conn.prepare_cached(sql)?;
            let keys = statement.query_map((side, stored_size(size), limit), |row| {
                Key::new(row.get_ref(0)?.as_str()?)
                    .map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, e.into()))
            })?;
            keys.collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Orientation;

    #[test]
    fn only_this_run_and_this_side_count() {
        let manifest = Manifest::empty(Orientation::Reversed).unwrap();
        let written = |key: &str, made| Written { side: Side::Dest, key: Key::new(key).unwrap(), size: 3, made };
        let (a, b) = (written("a", true), written("b", false));
        manifest.begin_writes().unwrap();
        manifest.note_writes(&[a.clone(), b.clone()]).unwrap();
        assert!(manifest.was_written(Side::Dest, &a.key).unwrap());
        assert!(!manifest.was_written(Side::Source, &a.key).unwrap());
        assert!(!manifest.was_written(Side::Dest, &b.key).unwrap());
        assert_eq!(manifest.unwritten(Side::Dest, 3, 9).unwrap(), [b.key]);
        assert!(manifest.unwritten(Side::Dest, 4, 9).unwrap().is_empty());
        assert!(manifest.unwritten(Side::Source, 3, 9).unwrap().is_empty());
        manifest.begin_writes().unwrap();
        assert!(!manifest.was_written(Side::Dest, &a.key).unwrap());
    }
}
