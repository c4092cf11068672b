//! How the current run's writes ended, as far as its deletions depend on that.
//!
//! A deletion may be the old half of a move: it waits until the new half was made in this very run. The base can't tell
//! that: it may hold the new key from an earlier run. What could not be written is remembered by the runs after it as
//! well, until one looks at the key again: the old half of its move may come into a run by itself. Lives as long as the
//! process, on disk if it is large.

use rusqlite::Row;
use rusqlite::types::Type;

use super::Manifest;
use super::base::stored_size;
use super::error::ManifestError;
use crate::model::{Key, Scope, Side};

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
    /// Forgets the writes of the runs before, but for those that failed outside of what this one looks at. Gives how many
    /// these are.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn begin_writes(&self, scope: &Scope) -> Result<usize, ManifestError> {
        self.write("write", |conn| {
            conn.execute_batch(
                "CREATE TEMP TABLE IF NOT EXISTS writes
                     (side INTEGER, key TEXT, size INTEGER, made INTEGER, PRIMARY KEY (side, key)) WITHOUT ROWID;
                 CREATE INDEX IF NOT EXISTS temp.writes_by_size ON writes (side, made, size);
                 DELETE FROM temp.writes WHERE made;",
            )?;
            let mut failed = conn.prepare_cached("SELECT side, key FROM temp.writes")?;
            let failed = failed.query_map([], |row| Ok((row.get(0)?, key(row, 1)?)))?;
            let failed: Vec<(i64, Key)> = failed.collect::<rusqlite::Result<_>>()?;
            let mut forget = conn.prepare_cached("DELETE FROM temp.writes WHERE side = ?1 AND key = ?2")?;
            let (again, kept): (Vec<_>, Vec<_>) = failed.into_iter().partition(|(_, key)| scope.holds(key));
            again.iter().try_for_each(|(side, key)| forget.execute((side, key.as_str())).map(drop))?;
            Ok(kept.len())
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
            statement.query_map((side, stored_size(size), limit), |row| key(row, 0))?.collect()
        })
    }
}

fn key(row: &Row<'_>, at: usize) -> rusqlite::Result<Key> {
    Key::new(row.get_ref(at)?.as_str()?)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, e.into()))
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
        manifest.begin_writes(&Scope::Whole).unwrap();
        manifest.note_writes(&[a.clone(), b.clone()]).unwrap();
        assert!(manifest.was_written(Side::Dest, &a.key).unwrap());
        assert!(!manifest.was_written(Side::Source, &a.key).unwrap());
        assert!(!manifest.was_written(Side::Dest, &b.key).unwrap());
        assert_eq!(manifest.unwritten(Side::Dest, 3, 9).unwrap(), [b.key]);
        assert!(manifest.unwritten(Side::Dest, 4, 9).unwrap().is_empty());
        assert!(manifest.unwritten(Side::Source, 3, 9).unwrap().is_empty());
        manifest.begin_writes(&Scope::Whole).unwrap();
        assert!(!manifest.was_written(Side::Dest, &a.key).unwrap());
    }
    #[test]
    fn what_failed_is_remembered_until_its_key_is_looked_at_again() {
        let manifest = Manifest::empty(Orientation::Forward).unwrap();
        let written = |key: &str, made| Written { side: Side::Dest, key: Key::new(key).unwrap(), size: 3, made };
        let other = || Scope::of_keys([Key::new("other").unwrap()]);
        let failed = || manifest.unwritten(Side::Dest, 3, 9).unwrap();
        let (a, b) = (written("a/x", false), written("b", true));
        manifest.begin_writes(&other()).unwrap();
        manifest.note_writes(&[a.clone(), b.clone()]).unwrap();
        assert_eq!(manifest.begin_writes(&other()).unwrap(), 1);
        assert_eq!((failed(), manifest.was_written(Side::Dest, &b.key).unwrap()), (vec![a.key.clone()], false));
        assert_eq!(manifest.begin_writes(&Scope::of_keys([Key::new("a").unwrap()])).unwrap(), 0);
        assert!(failed().is_empty());
        manifest.note_writes(&[a]).unwrap();
        manifest.begin_writes(&Scope::Whole).unwrap();
        assert!(failed().is_empty());
    }
}
