//! Uploads in flight: [`Journal`] on the manifest.

use rusqlite::{Connection, OptionalExtension, Row};

use super::Manifest;
use crate::model::{Key, Side};
use crate::replica::{Error, Journal, Upload, UploadedPart};

/// The uploads to one side of a pair.
#[derive(Debug, Clone, Copy)]
pub struct UploadJournal<'a> {
    manifest: &'a Manifest,
    side: Side,
}

impl Manifest {
    /// Where uploads to `side` are written down.
    pub fn upload_journal(&self, side: Side) -> UploadJournal<'_> {
        UploadJournal { manifest: self, side }
    }
}

impl UploadJournal<'_> {
    fn side(&self) -> u8 {
        self.manifest.orientation.number(self.side)
    }

    fn write(&self, change: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> Result<(), Error> {
        Ok(self.manifest.write("write the upload journal in", change)?)
    }

    fn read<T>(&self, query: impl FnMut(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        Ok(self.manifest.read("read the upload journal in", query)?)
    }
}

impl Journal for UploadJournal<'_> {
    fn upload(&self, key: &Key) -> Result<Option<Upload>, Error> {
        self.read(|conn| {
            let sql =
                "SELECT key, intended, id, blake3, part_size, begun_with FROM uploads WHERE side = ?1 AND key = ?2";
            let found = conn.prepare_cached(sql)?.query_row((self.side(), key.as_str()), upload).optional()?;
            found.map(|found| with_parts(conn, self.side(), found)).transpose()
        })
    }

    fn uploads(&self) -> Result<Vec<Upload>, Error> {
        self.read(|conn| {
            let sql =
                "SELECT key, intended, id, blake3, part_size, begun_with FROM uploads WHERE side = ?1 ORDER BY key";
            let mut statement = conn.prepare_cached(sql)?;
            let found = statement.query_map([self.side()], upload)?;
            found.map(|found| with_parts(conn, self.side(), found?)).collect()
        })
    }

    fn intend(&self, upload: &Upload) -> Result<(), Error> {
        self.write(|conn| {
            forget_parts(conn, self.side(), &upload.key)?;
            conn.prepare_cached(
                "INSERT OR REPLACE INTO uploads (side, key, intended, id, blake3, part_size, begun_with)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute((
                self.side(),
                upload.key.as_str(),
                upload.intended_ns,
                &upload.id,
                &upload.blake3,
                upload.part_size.cast_signed(),
                &upload.begun_with,
            ))?;
            // An upload that goes on keeps the parts that are given.
            for part in &upload.parts {
                add_part(conn, self.side(), &upload.key, part)?;
            }
            Ok(())
        })
    }

    fn part(&self, key: &Key, part: &UploadedPart) -> Result<(), Error> {
        self.write(|conn| add_part(conn, self.side(), key, part))
    }

    fn arrived(&self, key: &Key, blake3: &str) -> Result<(), Error> {
        Ok(self.manifest.sending_is(self.side, [(key, blake3)])?)
    }

    fn done(&self, key: &Key) -> Result<(), Error> {
        self.write(|conn| {
            forget_parts(conn, self.side(), key)?;
            conn.prepare_cached("DELETE FROM uploads WHERE side = ?1 AND key = ?2")?
                .execute((self.side(), key.as_str()))
                .map(drop)
        })
    }
}

fn upload(row: &Row<'_>) -> rusqlite::Result<Upload> {
    let key = Key::new(row.get_ref(0)?.as_str()?)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, e.into()))?;
    Ok(Upload {
        key,
        intended_ns: row.get(1)?,
        id: row.get(2)?,
        blake3: row.get(3)?,
        part_size: row.get::<_, i64>(4)?.cast_unsigned(),
        begun_with: row.get(5)?,
        parts: Vec::new(),
    })
}

fn with_parts(conn: &Connection, side: u8, mut upload: Upload) -> rusqlite::Result<Upload> {
    let sql = "SELECT number, etag, blake3 FROM upload_parts WHERE side = ?1 AND key = ?2 ORDER BY number";
    let mut statement = conn.prepare_cached(sql)?;
    let parts = statement.query_map((side, upload.key.as_str()), |row| {
        Ok(UploadedPart { number: row.get(0)?, etag: row.get(1)?, blake3: row.get(2)? })
    })?;
    upload.parts = parts.collect::<Result<_, _>>()?;
    Ok(upload)
}

fn add_part(conn: &Connection, side: u8, key: &Key, part: &UploadedPart) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT OR REPLACE INTO upload_parts (side, key, number, etag, blake3) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((side, key.as_str(), part.number, &part.etag, part.blake3.as_slice()))
    .map(drop)
}

fn forget_parts(conn: &Connection, side: u8, key: &Key) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM upload_parts WHERE side = ?1 AND key = ?2")?
        .execute((side, key.as_str()))
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Orientation, Pair};
    use crate::replica::Cause;

    fn intent(key: &str) -> Upload {
        Upload {
            key: Key::new(key).unwrap(),
            intended_ns: 7,
            id: None,
            blake3: "ab".repeat(32),
            part_size: 8 << 20,
            begun_with: "headers.acl".into(),
            parts: Vec::new(),
        }
    }

    fn part(number: u32) -> UploadedPart {
        UploadedPart { number, etag: format!("e{number}"), blake3: [u8::try_from(number).unwrap(); 32] }
    }

    #[test]
    fn an_upload_lives_from_intention_to_done_also_across_a_restart() {
        let state = tempfile::tempdir().unwrap();
        let pair = Pair::new("a", "b");
        let open = || Manifest::open(state.path(), &pair, Orientation::Forward).unwrap().manifest;
        let manifest = open();
        let journal = manifest.upload_journal(Side::Dest);
        let mut upload = intent("k");
        journal.intend(&upload).unwrap();
        assert_eq!(journal.upload(&upload.key).unwrap(), Some(upload.clone()));
        upload.id = Some("id".into());
        journal.intend(&upload).unwrap();
        for number in [2, 1, 10] {
            journal.part(&upload.key, &part(number)).unwrap();
        }
        journal.intend(&intent("l")).unwrap();
        drop(manifest);

        let manifest = open();
        let journal = manifest.upload_journal(Side::Dest);
        upload.parts = vec![part(1), part(2), part(10)];
        assert_eq!(journal.uploads().unwrap(), [upload.clone(), intent("l")]);
        assert_eq!(manifest.upload_journal(Side::Source).uploads().unwrap(), []);
        journal.done(&upload.key).unwrap();
        assert_eq!(journal.uploads().unwrap(), [intent("l")]);
    }

    #[test]
    fn a_new_intention_forgets_the_parts_of_the_old_one() {
        let manifest = Manifest::empty(Orientation::Forward).unwrap();
        let journal = manifest.upload_journal(Side::Dest);
        let upload = intent("k");
        journal.intend(&upload).unwrap();
        journal.part(&upload.key, &part(1)).unwrap();
        journal.intend(&upload).unwrap();
        assert_eq!(journal.upload(&upload.key).unwrap(), Some(upload));
    }

    #[test]
    fn a_journal_that_cannot_write_stops_the_run() {
        let manifest = Manifest::empty(Orientation::Forward).unwrap();
        manifest.pragma("query_only", true);
        let error = manifest.upload_journal(Side::Dest).intend(&intent("k")).unwrap_err();
        assert_eq!(error.cause, Cause::Stop);
    }
}
