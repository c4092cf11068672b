//! The digest memo: what reading a content once has told, by side, key and version.
//!
//! It only saves work: a lost line means that a content is read again. One version a key is kept, the last one.

use rusqlite::{Connection, OptionalExtension};

use super::base::digests;
use super::codec::digests_to_blob;
use super::error::ManifestError;
use super::{Access, Manifest};
use crate::model::{BaseRecord, Digests, Key, Side, Version};

const DAY_NS: i64 = 24 * 3600 * 1_000_000_000;

/// Lines that no cycle asked for in this time go.
const KEPT_NS: i64 = 30 * DAY_NS;

impl Manifest {
    /// What is known of the content that `side` has under `key` in this version.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn memo_get(
        &self,
        side: Side,
        key: &Key,
        version: &Version,
        now_ns: i64,
    ) -> Result<Option<Digests>, ManifestError> {
        let side = self.orientation.number(side);
        let found = self.read("read", |conn| {
            conn.prepare_cached("SELECT digests, used FROM memo WHERE side = ?1 AND key = ?2 AND version = ?3")?
                .query_row((side, key.as_str(), version.as_str()), |row| Ok((digests(row, 0)?, row.get::<_, i64>(1)?)))
                .optional()
        })?;
        let Some((digests, used)) = found else { return Ok(None) };
        // Once a day is often enough to know what is in use.
        if used.saturating_add(DAY_NS) < now_ns && !matches!(self.access, Access::Read(_) | Access::Forgetful) {
            self.write("write", |conn| {
                conn.prepare_cached("UPDATE memo SET used = ?1 WHERE side = ?2 AND key = ?3")?.execute((
                    now_ns,
                    side,
                    key.as_str(),
                ))
            })?;
        }
        Ok(Some(digests))
    }

    /// Remembers digests, replacing what was known of these keys. Does nothing to a manifest opened for reading.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn memo_put(&self, side: Side, lines: &[(Key, Version, Digests)], now_ns: i64) -> Result<(), ManifestError> {
        if lines.is_empty() || matches!(self.access, Access::Read(_) | Access::Forgetful) {
            return Ok(());
        }
        let side = self.orientation.number(side);
        self.write("write", |conn| {
            let mut put = conn.prepare_cached(
                "INSERT OR REPLACE INTO memo (side, key, version, digests, used) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            let mut blob = Vec::new();
            for (key, version, digests) in lines {
                digests_to_blob(digests, &mut blob);
                put.execute((side, key.as_str(), version.as_str(), blob.as_slice(), now_ns))?;
            }
            Ok(())
        })
    }

    /// The base holds these versions now.
    pub(super) fn forget_memo(&self, conn: &Connection, put: &BaseRecord) -> rusqlite::Result<()> {
        let mut delete = conn.prepare_cached("DELETE FROM memo WHERE side = ?1 AND key = ?2 AND version = ?3")?;
        for (side, version) in [(Side::Source, &put.source), (Side::Dest, &put.dest)] {
            delete.execute((self.orientation.number(side), put.key.as_str(), version.as_str()))?;
        }
        Ok(())
    }

    pub(super) fn prune_memo(conn: &Connection, now_ns: i64) -> rusqlite::Result<()> {
        conn.execute("DELETE FROM memo WHERE used < ?1", [now_ns.saturating_sub(KEPT_NS)]).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Orientation;
    use crate::model::{Digest, DigestKind};

    #[test]
    fn digests_belong_to_a_side_a_key_and_a_version() {
        let manifest = Manifest::empty(Orientation::Reversed).unwrap();
        let (key, version) = (Key::new("k").unwrap(), Version::new("1"));
        let digests: Digests = [Digest::from_bytes(DigestKind::Md5, &[1; 16])].into_iter().collect();
        manifest.memo_put(Side::Source, &[(key.clone(), version.clone(), digests.clone())], 0).unwrap();
        assert_eq!(manifest.memo_get(Side::Source, &key, &version, 0).unwrap(), Some(digests));
        assert_eq!(manifest.memo_get(Side::Dest, &key, &version, 0).unwrap(), None);
        assert_eq!(manifest.memo_get(Side::Source, &key, &Version::new("2"), 0).unwrap(), None);
        assert_eq!(manifest.memo_get(Side::Source, &Key::new("l").unwrap(), &version, 0).unwrap(), None);
    }

    #[test]
    fn lines_that_nobody_used_for_30_days_go() {
        let manifest = Manifest::empty(Orientation::Forward).unwrap();
        let line = |text: &str| (Key::new(text).unwrap(), Version::new("1"), Digests::none());
        manifest.memo_put(Side::Source, &[line("used"), line("unused")], 0).unwrap();
        let get = |text: &str, now| {
            manifest.memo_get(Side::Source, &Key::new(text).unwrap(), &Version::new("1"), now).unwrap().is_some()
        };
        assert!(get("used", 20 * DAY_NS));
        manifest.begin_run("push", "a", "b", 30 * DAY_NS).unwrap();
        assert!(get("unused", 0) && get("used", 0));
        manifest.begin_run("push", "a", "b", 31 * DAY_NS).unwrap();
        assert!(!get("unused", 0) && get("used", 0));
    }
}
