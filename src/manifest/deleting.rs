//! What is about to be deleted: so that a run which comes after a killed one does not take what that one deleted for
//! somebody else's deletion, and delete what was put back since at the other side.
//!
//! A line is written before the request, with the version that is deleted, and goes when the outcome is recorded. It
//! proves nothing by itself: the next run looks at the key. A server may still have the deletion on its way then: the line
//! stays for a while.

use rusqlite::Row;
use rusqlite::types::Type;

use super::Manifest;
use super::error::ManifestError;
use super::sending::Answered;
use crate::model::{Key, Side, Version};

/// What a run meant to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleting {
    /// The key.
    pub key: Key,
    /// The version that was to be deleted.
    pub version: Version,
    /// Since when it may still happen though it was seen to be there, or was asked for again, ns since the epoch.
    pub missed_ns: Option<i64>,
}

impl Manifest {
    /// Writes down what is about to be deleted at `side`. That it was asked for before stays known.
    ///
    /// # Errors
    /// [`ManifestError`]; then nothing may be deleted.
    pub fn begin_deleting(&self, side: Side, lines: &[(Key, Version)], now_ns: i64) -> Result<(), ManifestError> {
        let side = self.orientation.number(side);
        self.write("write", |conn| {
            let mut add = conn.prepare_cached(
                "INSERT INTO deleting VALUES (?1, ?2, ?3, NULL) ON CONFLICT DO UPDATE
                 SET version = excluded.version, missed = coalesce(missed, ?4)",
            )?;
            let mut line =
                |(key, version): &(Key, Version)| add.execute((side, key.as_str(), version.as_str(), now_ns));
            lines.iter().try_for_each(|deleted| line(deleted).map(drop))
        })
    }

    /// What earlier runs meant to delete at `side` and did not account for, in key order.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn deleting(&self, side: Side) -> Result<Vec<Deleting>, ManifestError> {
        let side = self.orientation.number(side);
        let sql = "SELECT key, version, missed FROM deleting WHERE side = ?1 ORDER BY key";
        self.read("read", |conn| conn.prepare_cached(sql)?.query_map([side], line)?.collect())
    }

    /// Whether an earlier run meant to delete this at `side`, and did not account for it.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn is_deleting(&self, side: Side, key: &Key) -> Result<bool, ManifestError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM deleting WHERE side = ?1 AND key = ?2)";
        let side = self.orientation.number(side);
        self.read("read", |conn| conn.prepare_cached(sql)?.query_row((side, key.as_str()), |row| row.get(0)))
    }

    /// These are there still.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn stands(&self, side: Side, keys: &[Key], now_ns: i64) -> Result<(), ManifestError> {
        if keys.is_empty() {
            return Ok(());
        }
        let side = self.orientation.number(side);
        self.write("write", |conn| {
            let sql = "UPDATE deleting SET missed = ?3 WHERE side = ?1 AND key = ?2 AND missed IS NULL";
            let mut set = conn.prepare_cached(sql)?;
            keys.iter().try_for_each(|key| set.execute((side, key.as_str(), now_ns)).map(drop))
        })
    }

    /// These are gone, which is recorded. What was asked for before as well may still happen.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn is_deleted(&self, side: Side, keys: &[(Key, Answered)], now_ns: i64) -> Result<(), ManifestError> {
        let side = self.orientation.number(side);
        self.write("write", |conn| {
            let mut end_all = conn.prepare_cached("DELETE FROM deleting WHERE side = ?1 AND key = ?2")?;
            let mut end =
                conn.prepare_cached("DELETE FROM deleting WHERE side = ?1 AND key = ?2 AND missed IS NULL")?;
            let sql = "UPDATE deleting SET missed = coalesce(missed, ?3) WHERE side = ?1 AND key = ?2";
            let mut stay = conn.prepare_cached(sql)?;
            keys.iter().try_for_each(|(key, answered)| match answered {
                Answered::ForGood => end_all.execute((side, key.as_str())).map(drop),
                Answered::Each => end.execute((side, key.as_str())).map(drop),
                Answered::TheLast => stay.execute((side, key.as_str(), now_ns)).map(drop),
            })
        })
    }

    /// What became of these is known, and recorded.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn end_deleting(&self, side: Side, keys: &[Key]) -> Result<(), ManifestError> {
        if keys.is_empty() {
            return Ok(());
        }
        let side = self.orientation.number(side);
        self.write("write", |conn| {
            let mut end = conn.prepare_cached("DELETE FROM deleting WHERE side = ?1 AND key = ?2")?;
            keys.iter().try_for_each(|key| end.execute((side, key.as_str())).map(drop))
        })
    }
}

fn line(row: &Row<'_>) -> rusqlite::Result<Deleting> {
    let key = Key::new(row.get_ref(0)?.as_str()?);
    let key = key.map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, e.into()))?;
    Ok(Deleting { key, version: Version::new(row.get_ref(1)?.as_str()?), missed_ns: row.get(2)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Orientation, Record};
    use crate::model::{BaseRecord, Digests, RunName};

    #[test]
    fn what_is_being_deleted_is_known_until_its_outcome_is() {
        let manifest = Manifest::empty(Orientation::Forward).unwrap();
        let line = |key: &str| (Key::new(key).unwrap(), Version::new("v"));
        let keys = |side| {
            let lines = manifest.deleting(side).unwrap();
            lines.into_iter().map(|line| (line.key, line.version)).collect::<Vec<_>>()
        };
        manifest.begin_deleting(Side::Dest, &[line("b"), line("a")], 1).unwrap();
        manifest.begin_deleting(Side::Source, &[line("a")], 1).unwrap();
        assert_eq!((keys(Side::Dest), keys(Side::Source)), (vec![line("a"), line("b")], vec![line("a")]));
        manifest.end_deleting(Side::Dest, &[line("a").0]).unwrap();
        assert_eq!((keys(Side::Dest), keys(Side::Source)), (vec![line("b")], vec![line("a")]));
    }

    /// `mediasync trash restore` after a killed run: what is back must not be deleted again.
    #[test]
    fn what_is_put_back_from_the_trash_is_no_deletion_any_more() {
        let manifest = Manifest::empty(Orientation::Forward).unwrap();
        let (run, version) = (RunName::new(0, 1), Version::new("v"));
        let [a, b] = ["a", "b"].map(|key| Key::new(key).unwrap());
        for key in [&a, &b] {
            let (key, digests) = (key.clone(), Digests::none());
            let base = BaseRecord {
                key,
                size: 1,
                source: version.clone(),
                dest: version.clone(),
                digests,
                lapsed: false,
                marks: crate::model::Marks::default(),
            };
            manifest.record(&[Record::Put(base)]).unwrap();
        }
        manifest.begin_deleting(Side::Dest, &[(a.clone(), version)], 1).unwrap();
        for key in [&a, &b] {
            manifest.forget_kept(Side::Dest, &run, key).unwrap();
        }
        let base = |key| manifest.get(key).unwrap().is_some();
        assert_eq!((base(&a), base(&b), manifest.deleting(Side::Dest).unwrap()), (false, true, vec![]));
    }
}
