//! What is about to be sent: so that content which a killed run left at the destination is known as ours.
//!
//! A line is written before the content is sent, and says which version of the source that is. It is no base record
//! and proves nothing by itself: the next run looks at the destination and records what it finds there.

use super::Manifest;
use super::error::ManifestError;
use crate::model::{Key, Version};

/// Content that a run meant to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sending {
    /// The key.
    pub key: Key,
    /// Bytes.
    pub size: u64,
    /// The source's version.
    pub version: Version,
    /// The source's mtime, ns since the epoch.
    pub modified_ns: Option<i64>,
}

impl Manifest {
    /// Writes down what is about to be sent.
    ///
    /// # Errors
    /// [`ManifestError`]; then nothing may be sent.
    pub fn begin_sending(&self, lines: &[Sending]) -> Result<(), ManifestError> {
        if lines.is_empty() {
            return Ok(());
        }
        self.write("write", |conn| {
            let mut add = conn.prepare_cached("INSERT OR REPLACE INTO sending VALUES (?1, ?2, ?3, ?4)")?;
            for line in lines {
                let size = i64::try_from(line.size).unwrap_or(i64::MAX);
                add.execute((line.key.as_str(), size, line.version.as_str(), line.modified_ns))?;
            }
            Ok(())
        })
    }

    /// What earlier runs meant to send and did not account for, in key order.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn sending(&self) -> Result<Vec<Sending>, ManifestError> {
        self.read("read", |conn| {
            let mut statement = conn.prepare_cached("SELECT key, size, version, modified FROM sending ORDER BY key")?;
            let lines = statement.query_map([], |row| {
                let key = Key::new(row.get_ref(0)?.as_str()?);
                Ok(Sending {
                    key: key.map_err(|e| {
                        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, e.into())
                    })?,
                    size: row.get::<_, i64>(1)?.cast_unsigned(),
                    version: Version::new(row.get_ref(2)?.as_str()?),
                    modified_ns: row.get(3)?,
                })
            })?;
            lines.collect()
        })
    }

    /// Everything is accounted for but `left`, whose sending failed in a way that leaves open what is there.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn end_sending(&self, left: &[Key]) -> Result<(), ManifestError> {
        self.write("write", |conn| {
            if left.is_empty() {
                conn.execute("DELETE FROM sending", [])?;
                return Ok(());
            }
            conn.execute("CREATE TEMP TABLE IF NOT EXISTS left_over (key TEXT PRIMARY KEY) WITHOUT ROWID", [])?;
            conn.execute("DELETE FROM left_over", [])?;
            let mut add = conn.prepare_cached("INSERT OR IGNORE INTO left_over VALUES (?1)")?;
            for key in left {
                add.execute([key.as_str()])?;
            }
            conn.execute("DELETE FROM sending WHERE key NOT IN (SELECT key FROM left_over)", [])?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Orientation;

    #[test]
    fn what_is_left_over_stays() {
        let manifest = Manifest::empty(Orientation::Forward).unwrap();
        let line = |key: &str| Sending {
            key: Key::new(key).unwrap(),
            size: 3,
            version: Version::new("v"),
            modified_ns: Some(-1),
        };
        manifest.begin_sending(&[line("a"), line("b")]).unwrap();
        manifest.begin_sending(&[line("b"), line("c")]).unwrap();
        assert_eq!(manifest.sending().unwrap(), [line("a"), line("b"), line("c")]);
        manifest.end_sending(&[line("b").key]).unwrap();
        assert_eq!(manifest.sending().unwrap(), [line("b")]);
        manifest.end_sending(&[]).unwrap();
        assert!(manifest.sending().unwrap().is_empty());
    }
}
