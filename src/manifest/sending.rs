//! What is about to be sent: so that content which a killed run left at the destination is known as ours.
//!
//! A line is written before the content is sent, and says which version of the source that is. It is no base record
//! and proves nothing by itself: the next run looks at the destination and records what it finds there. A server may
//! still have it on its way then: the line stays for a while, beside those of what is sent since.

use rusqlite::types::Type;
use rusqlite::{Connection, Row};

use super::Manifest;
use super::dirty::span;
use super::error::ManifestError;
use crate::model::{Key, Side, Version};

/// Content that a run meant to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sending {
    /// The key.
    pub key: Key,
    /// Bytes.
    pub size: u64,
    /// The version at the side that it comes from.
    pub version: Version,
    /// The mtime there, ns since the epoch.
    pub modified_ns: Option<i64>,
    /// The version that it replaces at the side that it goes to; `None` if nothing was there.
    pub replaces: Option<Version>,
    /// The BLAKE3 of the content, hex; `None`: it was not read yet, so nothing was sent.
    pub blake3: Option<String>,
    /// Whether a server that honours preconditions was asked with one.
    pub is_conditional: bool,
    /// Since when it may still arrive though it was looked for in vain or answered, ns since the epoch; `None` of what is
    /// about to be sent.
    pub missed_ns: Option<i64>,
    /// Whether the key was written since: it can arrive only where its precondition holds again.
    pub is_outdated: bool,
}

/// How long what was asked for may still happen.
#[derive(Debug, Clone, Copy)]
pub struct Expecting {
    /// Now, ns since the epoch.
    pub now_ns: i64,
    /// ns.
    pub for_ns: i64,
}

/// Whether every request for a change was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// Each one, and nothing that any run asked for before can still happen.
    ForGood,
    /// Each one.
    Each,
    /// The last one; an earlier one may still be carried out.
    TheLast,
}

/// Of the lines of a key the one that was written last goes.
const END_NEWEST: &str = "DELETE FROM sending WHERE side = ?1 AND key = ?2
    AND number = (SELECT max(number) FROM sending WHERE side = ?1 AND key = ?2)";

impl Manifest {
    /// Writes down what is about to be sent to `side`. What was sent there before under the same keys stays known.
    ///
    /// # Errors
    /// [`ManifestError`]; then nothing may be sent.
    pub fn begin_sending(&self, side: Side, lines: &[Sending]) -> Result<(), ManifestError> {
        if lines.is_empty() {
            return Ok(());
        }
        let side = self.orientation.number(side);
        self.write("write", |conn| {
            // Of a line without a digest nothing was sent; of requests for the same one line speaks.
            let mut clear = conn.prepare_cached(
                "DELETE FROM sending WHERE side = ?1 AND key = ?2 AND (blake3 IS NULL OR number NOT IN (
                     SELECT min(number) FROM sending WHERE side = ?1 AND key = ?2
                     GROUP BY blake3, version, replaces, conditional, outdated))",
            )?;
            let mut add = conn.prepare_cached(
                "INSERT INTO sending (side, key, number, size, version, modified, replaces, blake3, conditional, outdated)
                 SELECT ?1, ?2, coalesce(max(number) + 1, 0), ?3, ?4, ?5, ?6, ?7, ?8, 0 FROM sending
                 WHERE side = ?1 AND key = ?2",
            )?;
            for line in lines {
                let size = i64::try_from(line.size).unwrap_or(i64::MAX);
                let replaces = line.replaces.as_ref().map(Version::as_str);
                let (key, version, blake3) = (line.key.as_str(), line.version.as_str(), line.blake3.as_deref());
                clear.execute((side, key))?;
                let conditional = line.is_conditional;
                add.execute((side, key, size, version, line.modified_ns, replaces, blake3, conditional))?;
            }
            Ok(())
        })
    }

    /// Writes down the BLAKE3, in hex, of content that [`Self::begin_sending`] announced last, before its first byte is
    /// sent.
    ///
    /// # Errors
    /// [`ManifestError`]; then nothing may be sent.
    pub fn sending_is<'k>(
        &self,
        side: Side,
        known: impl IntoIterator<Item = (&'k Key, &'k str)>,
    ) -> Result<(), ManifestError> {
        let side = self.orientation.number(side);
        self.write("write", |conn| {
            let mut set = conn.prepare_cached(
                "UPDATE sending SET blake3 = ?3 WHERE side = ?1 AND key = ?2
                 AND number = (SELECT max(number) FROM sending WHERE side = ?1 AND key = ?2)",
            )?;
            for (key, blake3) in known {
                set.execute((side, key.as_str(), blake3))?;
            }
            Ok(())
        })
    }

    /// These were looked for in vain.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn missed(&self, side: Side, lines: &[Sending], now_ns: i64) -> Result<(), ManifestError> {
        if lines.is_empty() {
            return Ok(());
        }
        let side = self.orientation.number(side);
        self.write("write", |conn| {
            let mut set = conn.prepare_cached(
                "UPDATE sending SET missed = ?4 WHERE side = ?1 AND key = ?2 AND version = ?3 AND missed IS NULL",
            )?;
            lines
                .iter()
                .try_for_each(|line| set.execute((side, line.key.as_str(), line.version.as_str(), now_ns)).map(drop))
        })
    }

    /// What was meant to be sent to `side` and is not recorded as sent, or may arrive once more, in key order.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn unaccounted(&self, side: Side) -> Result<Vec<Sending>, ManifestError> {
        let sql = "SELECT sending.key, sending.size, version, modified, replaces, blake3, conditional, missed, outdated
                   FROM sending LEFT JOIN base ON base.key = sending.key
                   WHERE side = ?1
                   AND (missed IS NOT NULL OR version IS NOT iif(?1 = 0, right_version, left_version))
                   ORDER BY sending.key, number";
        let side = self.orientation.number(side);
        self.read("read", |conn| conn.prepare_cached(sql)?.query_map([side], sending)?.collect())
    }

    /// What was meant to be sent to `side` under one key, recorded or not, the oldest first.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn sending_of(&self, side: Side, key: &Key) -> Result<Vec<Sending>, ManifestError> {
        let sql = "SELECT key, size, version, modified, replaces, blake3, conditional, missed, outdated FROM sending
                   WHERE side = ?1 AND key = ?2 ORDER BY number";
        let side = self.orientation.number(side);
        self.read("read", |conn| conn.prepare_cached(sql)?.query_map((side, key.as_str()), sending)?.collect())
    }

    /// Whether anything at this key or below it was meant to be sent to `side` and is not recorded as sent, or may arrive
    /// with what is there now.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn is_unaccounted(&self, side: Side, key: &Key) -> Result<bool, ManifestError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM sending LEFT JOIN base ON base.key = sending.key
                   WHERE side = ?1 AND sending.key >= ?2 AND sending.key < ?4
                   AND (sending.key = ?2 OR sending.key > ?3)
                   AND iif(missed IS NULL, version IS NOT iif(?1 = 0, right_version, left_version),
                       outdated = 0 OR replaces IS iif(?1 = 0, left_version, right_version)))";
        let (side, (from, to)) = (self.orientation.number(side), span(key));
        self.read("read", |conn| {
            conn.prepare_cached(sql)?.query_row((side, key.as_str(), &from, &to), |row| row.get(0))
        })
    }

    /// Whether there is any line of what was meant to be sent to `side`.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn has_sending(&self, side: Side) -> Result<bool, ManifestError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM sending WHERE side = ?1)";
        let side = self.orientation.number(side);
        self.read("read", |conn| conn.prepare_cached(sql)?.query_row([side], |row| row.get(0)))
    }

    #[cfg(test)]
    /// All lines of what was meant to be sent to `side`, in key order.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn sending(&self, side: Side) -> Result<Vec<Sending>, ManifestError> {
        let side = self.orientation.number(side);
        let sql = "SELECT key, size, version, modified, replaces, blake3, conditional, missed, outdated FROM sending
                   WHERE side = ?1 ORDER BY key, number";
        self.read("read", |conn| conn.prepare_cached(sql)?.query_map([side], sending)?.collect())
    }

    /// These keys were written at `side`, which is recorded. What was asked for before may still arrive where its
    /// precondition holds again, or where it had none.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn is_sent<'k>(
        &self,
        side: Side,
        keys: impl IntoIterator<Item = (&'k Key, Answered)>,
        now_ns: i64,
    ) -> Result<(), ManifestError> {
        let side = self.orientation.number(side);
        self.write("write", |conn| {
            let mut end = conn.prepare_cached(END_NEWEST)?;
            let mut end_all = conn.prepare_cached("DELETE FROM sending WHERE side = ?1 AND key = ?2")?;
            let mut rest = conn.prepare_cached(
                "UPDATE sending SET missed = coalesce(missed, ?3), outdated = conditional WHERE side = ?1 AND key = ?2",
            )?;
            for (key, answered) in keys {
                match answered {
                    Answered::ForGood => end_all.execute((side, key.as_str()))?,
                    Answered::Each => end.execute((side, key.as_str()))?,
                    Answered::TheLast => 0,
                };
                rest.execute((side, key.as_str(), now_ns))?;
            }
            Ok(())
        })
    }

    /// What was announced last for this key was not sent.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn is_not_sent(&self, side: Side, key: &Key) -> Result<(), ManifestError> {
        let side = self.orientation.number(side);
        self.write("write", |conn| conn.prepare_cached(END_NEWEST)?.execute((side, key.as_str())).map(drop))
    }

    /// Everything that went to `side` is accounted for but `left`, whose sending failed in a way that leaves open what
    /// is there, and what may still arrive.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn end_sending(&self, side: Side, left: &[Key], expecting: Expecting) -> Result<(), ManifestError> {
        let side = self.orientation.number(side);
        self.write("write", |conn| {
            // A clock that was set back makes nothing stay for ever.
            let over = "DELETE FROM sending WHERE side = ?1 AND (missed IS NULL OR missed <= ?2 OR missed > ?3)";
            let Expecting { now_ns, for_ns } = expecting;
            let times = (side, now_ns.saturating_sub(for_ns), now_ns);
            if left.is_empty() {
                return conn.prepare_cached(over)?.execute(times).map(drop);
            }
            keep(conn, left)?;
            let sql = format!("{over} AND key NOT IN (SELECT key FROM temp.left_over)");
            conn.execute(&sql, times).map(drop)
        })
    }
}

fn keep(conn: &Connection, left: &[Key]) -> rusqlite::Result<()> {
    conn.execute_batch(
        "CREATE TEMP TABLE IF NOT EXISTS left_over (key TEXT PRIMARY KEY) WITHOUT ROWID; DELETE FROM temp.left_over;",
    )?;
    let mut add = conn.prepare_cached("INSERT OR IGNORE INTO temp.left_over VALUES (?1)")?;
    for key in left {
        add.execute([key.as_str()])?;
    }
    Ok(())
}

fn sending(row: &Row<'_>) -> rusqlite::Result<Sending> {
    let key = Key::new(row.get_ref(0)?.as_str()?);
    Ok(Sending {
        key: key.map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, e.into()))?,
        size: row.get::<_, i64>(1)?.cast_unsigned(),
        version: Version::new(row.get_ref(2)?.as_str()?),
        modified_ns: row.get(3)?,
        replaces: row.get_ref(4)?.as_str_or_null()?.map(Version::new),
        blake3: row.get(5)?,
        is_conditional: row.get(6)?,
        missed_ns: row.get(7)?,
        is_outdated: row.get(8)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Orientation, Record};
    use crate::model::{BaseRecord, Digests};

    const NOW: i64 = 1_000;
    const EXPECTING: Expecting = Expecting { now_ns: NOW, for_ns: 100 };

    #[test]
    fn only_what_is_not_recorded_is_unaccounted_for() {
        for orientation in [Orientation::Forward, Orientation::Reversed] {
            let manifest = Manifest::empty(orientation).unwrap();
            let line = |key: &str, version: &str| Sending {
                key: Key::new(key).unwrap(),
                size: 3,
                version: Version::new(version),
                modified_ns: None,
                replaces: None,
                blake3: None,
                is_conditional: true,
                missed_ns: None,
                is_outdated: false,
            };
            let record = |key: &str, source: &str| {
                Record::Put(BaseRecord {
                    key: Key::new(key).unwrap(),
                    size: 3,
                    source: Version::new(source),
                    dest: Version::new("there"),
                    digests: Digests::default(),
                    lapsed: false,
                    marks: crate::model::Marks::default(),
                })
            };
            let lines = [line("dir/a", "v"), line("new", "v"), line("older", "v2"), line("recorded", "v")];
            manifest.begin_sending(Side::Dest, &lines).unwrap();
            manifest.begin_sending(Side::Source, &[line("recorded", "v")]).unwrap();
            manifest.record(&[record("older", "v1"), record("recorded", "v")]).unwrap();
            assert_eq!(manifest.unaccounted(Side::Dest).unwrap(), lines[..3]);
            assert_eq!(manifest.unaccounted(Side::Source).unwrap(), lines[3..], "the other side has another version");
            let is_open = |text: &str| manifest.is_unaccounted(Side::Dest, &Key::new(text).unwrap()).unwrap();
            assert_eq!(["new", "dir", "ne", "recorded"].map(is_open), [true, true, false, false]);
            let sent = [0, 1, 3].map(|n| (&lines[n].key, Answered::Each));
            manifest.is_sent(Side::Dest, sent, NOW).unwrap();
            assert_eq!(manifest.sending(Side::Dest).unwrap(), lines[2..3]);
            assert_eq!(manifest.sending(Side::Source).unwrap().len(), 1);
        }
    }

    #[test]
    fn what_is_left_over_stays_and_sides_are_kept_apart() {
        let manifest = Manifest::empty(Orientation::Forward).unwrap();
        let line = |key: &str| Sending {
            key: Key::new(key).unwrap(),
            size: 3,
            version: Version::new("v"),
            modified_ns: Some(-1),
            replaces: (key == "b").then(|| Version::new("old")),
            blake3: (key == "c").then(|| "cc".to_owned()),
            is_conditional: true,
            missed_ns: None,
            is_outdated: false,
        };
        let (there, back) = (Side::Dest, Side::Source);
        manifest.begin_sending(there, &[line("a"), line("b")]).unwrap();
        manifest.begin_sending(there, &[line("b"), line("c")]).unwrap();
        manifest.begin_sending(back, &[line("a")]).unwrap();
        assert_eq!(manifest.sending(there).unwrap(), [line("a"), line("b"), line("c")]);
        manifest.sending_is(there, [(&line("a").key, "aa")]).unwrap();
        let known: Vec<_> = manifest.sending(there).unwrap().into_iter().map(|line| line.blake3).collect();
        assert_eq!(known, [Some("aa".to_owned()), None, Some("cc".to_owned())]);
        assert_eq!(manifest.sending(back).unwrap(), [line("a")]);
        manifest.end_sending(there, &[line("b").key], EXPECTING).unwrap();
        assert_eq!(manifest.sending(there).unwrap(), [line("b")]);
        assert_eq!(manifest.sending(back).unwrap(), [line("a")]);
        manifest.end_sending(there, &[], EXPECTING).unwrap();
        assert!(manifest.sending(there).unwrap().is_empty());
    }

    /// One was answered; an older one of the same content, or of another, was not.
    #[test]
    fn what_was_sent_before_stays_known_for_its_time_when_a_newer_one_is_recorded() {
        let manifest = Manifest::empty(Orientation::Forward).unwrap();
        let key = Key::new("a").unwrap();
        let line = |version: &str, is_conditional| Sending {
            key: key.clone(),
            size: 3,
            version: Version::new(version),
            modified_ns: None,
            replaces: None,
            blake3: Some("aa".to_owned()),
            is_conditional,
            missed_ns: None,
            is_outdated: false,
        };
        for sent in [line("v", true), line("v", false), line("w", true)] {
            manifest.begin_sending(Side::Dest, &[sent]).unwrap();
        }
        manifest.is_sent(Side::Dest, [(&key, Answered::Each)], NOW).unwrap();
        let marked = |line: Sending| Sending { missed_ns: Some(NOW), is_outdated: line.is_conditional, ..line };
        let left = [marked(line("v", true)), marked(line("v", false))];
        assert_eq!(manifest.sending(Side::Dest).unwrap(), left);
        let is_open = || manifest.is_unaccounted(Side::Dest, &key).unwrap();
        assert!(is_open(), "nothing is recorded there");
        let (source, dest) = (Version::new("w"), Version::new("there"));
        let digests = Digests::default();
        let base = BaseRecord {
            key: key.clone(),
            size: 3,
            source,
            dest,
            digests,
            lapsed: false,
            marks: crate::model::Marks::default(),
        };
        manifest.record(&[Record::Put(base)]).unwrap();
        assert!(is_open(), "one had no precondition");
        manifest.end_sending(Side::Dest, &[], Expecting { now_ns: NOW + 99, ..EXPECTING }).unwrap();
        assert_eq!(manifest.sending(Side::Dest).unwrap().len(), 2);
        for (now_ns, count) in [(NOW + 100, 0), (NOW - 1, 0)] {
            let copy = manifest.copy().unwrap();
            copy.end_sending(Side::Dest, &[], Expecting { now_ns, ..EXPECTING }).unwrap();
            assert_eq!(copy.sending(Side::Dest).unwrap().len(), count, "at {now_ns}");
        }
        manifest.is_sent(Side::Dest, [(&key, Answered::ForGood)], NOW).unwrap();
        assert_eq!(manifest.sending(Side::Dest).unwrap(), [], "a directory does nothing later");
    }
}
