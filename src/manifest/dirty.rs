//! Keys to look at again: the watcher saw them change, or their version was recorded too soon after a change.

use super::Manifest;
use super::error::ManifestError;
use crate::model::Key;

impl Manifest {
    /// Adds keys to look at from `due_ns` on. A key that is there already keeps the later time.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn dirty_add<'a>(&self, keys: impl IntoIterator<Item = &'a Key>, due_ns: i64) -> Result<(), ManifestError> {
        self.write("write", |conn| {
            let mut add = conn.prepare_cached(
                "INSERT INTO dirty (key, due) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET due = max(due, excluded.due)",
            )?;
            for key in keys {
                add.execute((key.as_str(), due_ns))?;
            }
            Ok(())
        })
    }

    /// The keys whose time has come, in key order.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn dirty_due(&self, now_ns: i64) -> Result<Vec<Key>, ManifestError> {
        self.read("read", |conn| {
            let mut statement = conn.prepare_cached("SELECT key FROM dirty WHERE due <= ?1 ORDER BY key")?;
            let keys = statement.query_map([now_ns], |row| {
                let text = row.get_ref(0)?.as_str()?;
                Key::new(text)
                    .map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, e.into()))
            })?;
            keys.collect()
        })
    }

    /// When the next key is due, if there is one.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn dirty_next(&self) -> Result<Option<i64>, ManifestError> {
        self.read("read", |conn| conn.query_row("SELECT min(due) FROM dirty", [], |row| row.get(0)))
    }

    /// These keys were looked at, in a cycle that asked for what was due at `seen_ns`. Keys that became dirty again
    /// since then stay.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn dirty_clear<'a>(&self, keys: impl IntoIterator<Item = &'a Key>, seen_ns: i64) -> Result<(), ManifestError> {
        self.write("write", |conn| {
            let mut clear = conn.prepare_cached("DELETE FROM dirty WHERE key = ?1 AND due <= ?2")?;
            for key in keys {
                clear.execute((key.as_str(), seen_ns))?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Orientation;

    #[test]
    fn keys_wait_for_their_time_and_survive_a_cycle_that_did_not_see_the_last_change() {
        let manifest = Manifest::empty(Orientation::Forward).unwrap();
        let [a, b] = ["a", "b"].map(|t| Key::new(t).unwrap());
        assert_eq!(manifest.dirty_next().unwrap(), None);
        manifest.dirty_add([&b, &a], 10).unwrap();
        assert_eq!(manifest.dirty_due(9).unwrap(), []);
        assert_eq!(manifest.dirty_next().unwrap(), Some(10));
        assert_eq!(manifest.dirty_due(10).unwrap(), [a.clone(), b.clone()]);
        manifest.dirty_add([&b], 11).unwrap();
        manifest.dirty_add([&b], 3).unwrap();
        manifest.dirty_clear([&a, &b], 10).unwrap();
        assert_eq!(manifest.dirty_due(11).unwrap(), [b]);
    }
}
