//! What runs put into the trash of a side, and what they put in its place.
//!
//! The trash itself is the truth about copies; a line here says besides what the run wrote, so that a restore knows
//! whether somebody changed the key since. Of a bucket that keeps versions, only these lines know which version it was.

use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Row};

use super::Manifest;
use super::error::ManifestError;
use crate::model::{Key, RunName, Side, Version};

/// Something that a run put into the trash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLine {
    /// The run.
    pub run: RunName,
    /// The key that it had.
    pub key: Key,
    /// Bytes.
    pub size: u64,
    /// Its id in the history of a bucket; `None` for a copy in the trash.
    pub version: Option<String>,
    /// The version that the run put in its place; `None` if it deleted the key, or did not come so far.
    pub wrote: Option<Version>,
}

/// Restores without an end that are remembered.
const RESTORES: usize = 16;

const COLUMNS: &str = "run, key, size, version, wrote";

impl Manifest {
    /// Writes down what was put into the trash, before it is deleted or replaced.
    ///
    /// # Errors
    /// [`ManifestError`]; then nothing may be deleted or replaced.
    pub fn note_kept(&self, side: Side, lines: &[KeptLine]) -> Result<(), ManifestError> {
        let side = self.orientation.number(side);
        self.write("write", |conn| {
            let mut add = conn.prepare_cached("INSERT OR REPLACE INTO kept VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
            for line in lines {
                let size = i64::try_from(line.size).unwrap_or(i64::MAX);
                let wrote = line.wrote.as_ref().map(Version::as_str);
                add.execute((side, line.run.as_str(), line.key.as_str(), size, &line.version, wrote))?;
            }
            Ok(())
        })
    }

    /// Writes down what a run put in the place of what it kept.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn note_replaced(&self, side: Side, run: &RunName, wrote: &[(Key, Version)]) -> Result<(), ManifestError> {
        if wrote.is_empty() {
            return Ok(());
        }
        let side = self.orientation.number(side);
        self.write("write", |conn| {
            let sql = "UPDATE kept SET wrote = ?4 WHERE side = ?1 AND run = ?2 AND key = ?3";
            let mut set = conn.prepare_cached(sql)?;
            for (key, version) in wrote {
                set.execute((side, run.as_str(), key.as_str(), version.as_str()))?;
            }
            Ok(())
        })
    }

    /// What a run put into the trash of a side under a key.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn kept_of(&self, side: Side, run: &RunName, key: &Key) -> Result<Option<KeptLine>, ManifestError> {
        let side = self.orientation.number(side);
        let sql = format!("SELECT {COLUMNS} FROM kept WHERE side = ?1 AND run = ?2 AND key = ?3");
        self.read("read", |conn| {
            conn.prepare_cached(&sql)?.query_row((side, run.as_str(), key.as_str()), line).optional()
        })
    }

    /// The next up to `count` lines after a run and key, by run and key.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn kept_after(
        &self,
        side: Side,
        after: Option<(&RunName, &Key)>,
        count: u32,
    ) -> Result<Vec<KeptLine>, ManifestError> {
        let side = self.orientation.number(side);
        let (run, key) = after.map_or(("", ""), |(run, key)| (run.as_str(), key.as_str()));
        let sql =
            format!("SELECT {COLUMNS} FROM kept WHERE side = ?1 AND (run, key) > (?2, ?3) ORDER BY run, key LIMIT ?4");
        self.read("read", |conn| conn.prepare_cached(&sql)?.query_map((side, run, key, count), line)?.collect())
    }

    /// Forgets one line: it was restored, or is in the trash no more. If a killed run left its deletion unrecorded, the
    /// base record goes too: what was restored is new from now on.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn forget_kept(&self, side: Side, run: &RunName, key: &Key) -> Result<(), ManifestError> {
        let side = self.orientation.number(side);
        self.write("write", |conn| {
            conn.prepare_cached("DELETE FROM kept WHERE side = ?1 AND run = ?2 AND key = ?3")?.execute((
                side,
                run.as_str(),
                key.as_str(),
            ))?;
            let ended = conn
                .prepare_cached("DELETE FROM deleting WHERE side = ?1 AND key = ?2")?
                .execute((side, key.as_str()))?;
            if ended > 0 {
                conn.prepare_cached("DELETE FROM base WHERE key = ?1")?.execute([key.as_str()])?;
            }
            Ok(())
        })
    }

    /// The runs before one that put something into the trash of a side, the oldest first.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn kept_before(&self, side: Side, run: &RunName) -> Result<Vec<RunName>, ManifestError> {
        let side = self.orientation.number(side);
        let sql = "SELECT DISTINCT run FROM kept WHERE side = ?1 AND run < ?2 ORDER BY run";
        let names: Vec<String> = self.read("read", |conn| {
            conn.prepare_cached(sql)?.query_map((side, run.as_str()), |row| row.get(0))?.collect()
        })?;
        Ok(names.iter().filter_map(|name| RunName::parse(name)).collect())
    }

    /// A restore begins: what it replaces goes to the trash under `name`.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn begin_restore(&self, name: &RunName) -> Result<(), ManifestError> {
        let mut names = self.restoring()?;
        names.push(name.clone());
        let from = names.len().saturating_sub(RESTORES);
        self.set_restoring(&names[from..])
    }

    /// A restore ended, and others may still have to go on.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn end_restore(&self, name: &RunName) -> Result<(), ManifestError> {
        let mut names = self.restoring()?;
        names.retain(|other| other != name);
        self.set_restoring(&names)
    }

    /// The restores that began and did not end: they were killed, the last ones of them.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn restoring(&self) -> Result<Vec<RunName>, ManifestError> {
        let names = self.value("restoring")?.unwrap_or_default();
        Ok(names.split_whitespace().filter_map(RunName::parse).collect())
    }

    fn set_restoring(&self, names: &[RunName]) -> Result<(), ManifestError> {
        let names: Vec<&str> = names.iter().map(RunName::as_str).collect();
        self.set_value("restoring", &names.join(" "))
    }

    /// Forgets all lines of a run.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn forget_kept_run(&self, side: Side, run: &RunName) -> Result<(), ManifestError> {
        let side = self.orientation.number(side);
        self.write("write", |conn| {
            let sql = "DELETE FROM kept WHERE side = ?1 AND run = ?2";
            conn.prepare_cached(sql)?.execute((side, run.as_str())).map(drop)
        })
    }
}

fn line(row: &Row<'_>) -> rusqlite::Result<KeptLine> {
    let bad = |index| rusqlite::Error::InvalidColumnType(index, COLUMNS.to_owned(), Type::Text);
    Ok(KeptLine {
        run: RunName::parse(&row.get::<_, String>(0)?).ok_or_else(|| bad(0))?,
        key: Key::new(row.get::<_, String>(1)?).map_err(|_| bad(1))?,
        size: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
        version: row.get(3)?,
        wrote: row.get::<_, Option<String>>(4)?.map(Version::new),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Orientation;

    #[test]
    fn what_was_kept_is_known_by_side_run_and_key() {
        let manifest = Manifest::empty(Orientation::Forward).unwrap();
        let (first, second) = (RunName::new(1_000_000_000, 1), RunName::new(2_000_000_000, 2));
        let key = |text: &str| Key::new(text).unwrap();
        let line = |run: &RunName, name: &str| KeptLine {
            run: run.clone(),
            key: key(name),
            size: 7,
            version: (name == "a").then(|| "id".to_owned()),
            wrote: None,
        };
        let lines = [line(&first, "a"), line(&first, "b"), line(&second, "a")];
        manifest.note_kept(Side::Dest, &lines).unwrap();
        manifest.note_replaced(Side::Dest, &first, &[(key("b"), Version::new("w"))]).unwrap();
        let b = manifest.kept_of(Side::Dest, &first, &key("b")).unwrap().unwrap();
        assert_eq!((b.wrote, b.version), (Some(Version::new("w")), None));
        assert_eq!(manifest.kept_of(Side::Source, &first, &key("b")).unwrap(), None);
        let all = manifest.kept_after(Side::Dest, None, 10).unwrap();
        assert_eq!(all.iter().map(|line| line.key.as_str()).collect::<Vec<_>>(), ["a", "b", "a"]);
        assert_eq!(manifest.kept_after(Side::Dest, Some((&first, &key("a"))), 1).unwrap()[0].key, key("b"));
        manifest.forget_kept(Side::Dest, &second, &key("a")).unwrap();
        assert_eq!(manifest.kept_before(Side::Dest, &first).unwrap(), []);
        assert_eq!(manifest.kept_before(Side::Dest, &second).unwrap(), std::slice::from_ref(&first));
        manifest.forget_kept_run(Side::Dest, &first).unwrap();
        assert_eq!(manifest.kept_after(Side::Dest, None, 10).unwrap(), []);
    }
}
