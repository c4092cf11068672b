//! The base: one record a key, streamed in key order, written in batches.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::codec::{digests_from_blob, digests_to_blob};
use super::contents::{Follow, UNKNOWN, index_contents};
use super::error::ManifestError;
use super::store::Store;
use super::{Access, Manifest, Orientation};
use crate::model::{BaseRecord, DigestKind, Digests, Key, Marks, Scope, Side, StyleMark, Version};

/// One change of the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Both sides hold this. Also forgets what the memo holds for these versions: the base knows it now.
    Put(BaseRecord),
    /// Both sides lost the key.
    Forget(Key),
    /// The key went out of scope.
    Lapse(Key),
    /// An object got what rules say. Means nothing where the base has another version of it.
    Styled(Styled),
}

/// See [`Record::Styled`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Styled {
    /// The key.
    pub key: Key,
    /// Where the object is.
    pub side: Side,
    /// The version that it had.
    pub was: Version,
    /// The version that it has.
    pub now: Version,
    /// What is remembered of its style.
    pub mark: Option<StyleMark>,
    /// All digests known for the content, which is the same.
    pub digests: Digests,
}

impl Record {
    /// The key that it is about.
    pub fn key(&self) -> &Key {
        match self {
            Self::Put(base) => &base.key,
            Self::Forget(key) | Self::Lapse(key) => key,
            Self::Styled(styled) => &styled.key,
        }
    }
}

impl Manifest {
    /// The records of a scope, in key order; a snapshot, in constant memory beside the scope's own.
    ///
    /// # Errors
    /// When the file can't be opened once more; the cursor's items carry later errors.
    pub fn base(&self, scope: &Scope) -> Result<BaseCursor, ManifestError> {
        let source = match &self.access {
            Access::Memory | Access::Forgetful => Source::Shared(Arc::clone(&self.store)),
            Access::Write(path) | Access::Read(path) => {
                let store = Store::reader(path).and_then(|store| {
                    store.begin_snapshot()?;
                    Ok(store)
                });
                Source::Own(Box::new(store.map_err(|e| self.failed("read", &e))?), path.clone())
            }
        };
        // The next one is the last one.
        let mut todo = match scope {
            Scope::Whole => vec![Span { after: String::new(), inclusive: false, before: None }],
            Scope::Below(key) => Span::of(key).into(),
            Scope::Keys(keys) => keys.iter().flat_map(Span::of).collect(),
        };
        todo.sort_unstable_by(|a, b| b.after.cmp(&a.after));
        Ok(BaseCursor { source, orientation: self.orientation, todo, batch: VecDeque::new() })
    }

    /// How many keys the base holds, and their bytes. Lapsed records, which prove nothing, are not counted.
    ///
    /// Counted once (by a scan of the file) and again after a change.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn base_totals(&self) -> Result<(u64, u64), ManifestError> {
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = *totals {
            return Ok(known);
        }
        // No object has more than a PiB; the limit keeps a hostile listing from overflowing the sum.
        let counted = self.read("read", |conn| {
            conn.query_row(
                "SELECT count(*), coalesce(sum(min(size, 1125899906842624)), 0) FROM base WHERE lapsed = 0",
                [],
                |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned())),
            )
        })?;
        // Another process may write what this one only reads.
        if !matches!(self.access, Access::Read(_)) {
            *totals = Some(counted);
        }
        Ok(counted)
    }

    /// The record of a key.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn get(&self, key: &Key) -> Result<Option<BaseRecord>, ManifestError> {
        let sql = select("WHERE key = ?1");
        self.read("read", |conn| {
            conn.prepare_cached(&sql)?.query_row([key.as_str()], |row| record(row, self.orientation)).optional()
        })
    }

    /// Whether a record, not lapsed, has content of this size: a new key of this size may be a rename or a copy.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn has_size(&self, size: u64) -> Result<bool, ManifestError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM temp.contents WHERE of_size = ?1)";
        self.read("read", |conn| {
            index_contents(conn)?;
            conn.prepare_cached(sql)?.query_row([stored_size(size)], |row| row.get(0))
        })
    }

    /// Up to `limit` records that may have this content, in key order, without lapsed ones: those with this BLAKE3, and
    /// those of this size whose BLAKE3 nobody knows.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn with_content(&self, size: u64, digests: &Digests, limit: usize) -> Result<Vec<BaseRecord>, ManifestError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read("read", |conn| {
            index_contents(conn)?;
            let mut statement = conn.prepare_cached(WITH_CONTENT)?;
            let rows = (stored_size(size), content(digests).unwrap_or(UNKNOWN), UNKNOWN, limit);
            statement.query_map(rows, |row| record(row, self.orientation))?.collect()
        })
    }

    /// Writes down what was observed, all or nothing, in one transaction. Batches of a thousand are fastest.
    ///
    /// # Errors
    /// [`ManifestError`]; then nothing of the batch is recorded.
    pub fn record(&self, records: &[Record]) -> Result<(), ManifestError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        let known = totals.take();
        let done = self.write("record in", |conn| {
            let memo: bool = conn.query_row("SELECT EXISTS (SELECT 1 FROM memo)", [], |row| row.get(0))?;
            let mut follow = Follow::new(conn, records.len(), known)?;
            let mut blob = Vec::new();
            for record in records {
                follow.before(record)?;
                match record {
                    Record::Put(put) => {
                        self.put(conn, put, &mut blob)?;
                        if memo {
                            self.forget_memo(conn, put)?;
                        }
                    }
                    Record::Forget(key) => {
                        conn.prepare_cached("DELETE FROM base WHERE key = ?1")?.execute([key.as_str()])?;
                    }
                    Record::Lapse(key) => {
                        conn.prepare_cached("UPDATE base SET lapsed = 1 WHERE key = ?1")?.execute([key.as_str()])?;
                    }
                    Record::Styled(styled) => self.styled(conn, styled, &mut blob)?,
                }
            }
            Ok(follow.totals())
        })?;
        // After an error it is counted again.
        *totals = done;
        Ok(())
    }

    /// What is known of the style of a version stays with it.
    fn put(&self, conn: &Connection, put: &BaseRecord, blob: &mut Vec<u8>) -> rusqlite::Result<()> {
        let sql = "INSERT INTO base
                 (key, size, left_version, right_version, digests, lapsed, content, left_style, right_style)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (key) DO UPDATE SET
                 left_style = coalesce(excluded.left_style,
                     CASE WHEN left_version = excluded.left_version THEN left_style END),
                 right_style = coalesce(excluded.right_style,
                     CASE WHEN right_version = excluded.right_version THEN right_style END),
                 size = excluded.size, left_version = excluded.left_version, right_version = excluded.right_version,
                 digests = excluded.digests, lapsed = excluded.lapsed, content = excluded.content";
        let [left, right] = self.orientation.apply(&put.source, &put.dest);
        let [left_style, right_style] = self.orientation.apply(&put.marks.source, &put.marks.dest);
        digests_to_blob(&put.digests, blob);
        conn.prepare_cached(sql)?.execute(params![
            put.key.as_str(),
            stored_size(put.size),
            left.as_str(),
            right.as_str(),
            blob.as_slice(),
            put.lapsed,
            content(&put.digests),
            left_style.as_ref().map(StyleMark::as_str),
            right_style.as_ref().map(StyleMark::as_str),
        ])?;
        Ok(())
    }

    fn styled(&self, conn: &Connection, styled: &Styled, blob: &mut Vec<u8>) -> rusqlite::Result<()> {
        let [source, dest] = self.orientation.apply("left", "right");
        let column = match styled.side {
            Side::Source => source,
            Side::Dest => dest,
        };
        let sql = format!(
            "UPDATE base SET {column}_version = ?3, {column}_style = ?4, digests = ?5
             WHERE key = ?1 AND {column}_version = ?2"
        );
        digests_to_blob(&styled.digests, blob);
        conn.prepare_cached(&sql)?.execute(params![
            styled.key.as_str(),
            styled.was.as_str(),
            styled.now.as_str(),
            styled.mark.as_ref().map(StyleMark::as_str),
            blob.as_slice(),
        ])?;
        Ok(())
    }
}

/// Records in strictly ascending key order. After an error it ends.
#[derive(Debug)]
pub struct BaseCursor {
    source: Source,
    orientation: Orientation,
    /// What is left to read, the next one last.
    todo: Vec<Span>,
    batch: VecDeque<BaseRecord>,
}

#[derive(Debug)]
enum Source {
    Own(Box<Store>, PathBuf),
    Shared(Arc<Mutex<Store>>),
}

/// Keys after (or from) one text, and before another.
#[derive(Debug)]
struct Span {
    after: String,
    inclusive: bool,
    before: Option<String>,
}

impl Span {
    /// A key and the keys below it are no neighbours (`a`, `a-b`, `a/x`): two spans. `0` is the character after `/`.
    fn of(key: &Key) -> [Self; 2] {
        let key = key.as_str();
        [
            Self { after: key.to_owned(), inclusive: true, before: Some(format!("{key}\0")) },
            Self { after: format!("{key}/"), inclusive: true, before: Some(format!("{key}0")) },
        ]
    }
}

impl BaseCursor {
    const BATCH: usize = 512;

    fn fill(&mut self) -> Result<(), ManifestError> {
        while self.batch.is_empty() {
            let Some(span) = self.todo.last_mut() else { return Ok(()) };
            let orientation = self.orientation;
            let (result, path) = match &mut self.source {
                Source::Own(store, path) => (store.read(|c| read_span(c, span, orientation)), path.as_path()),
                Source::Shared(store) => {
                    let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
                    (store.read(|c| read_span(c, span, orientation)), std::path::Path::new(":memory:"))
                }
            };
            self.batch = result.map_err(|e| ManifestError::sqlite("read", path, &e))?;
            match self.batch.back() {
                Some(last) if self.batch.len() == Self::BATCH => {
                    last.key.as_str().clone_into(&mut span.after);
                    span.inclusive = false;
                }
                _ => {
                    self.todo.pop();
                }
            }
        }
        Ok(())
    }
}

impl Iterator for BaseCursor {
    type Item = Result<BaseRecord, ManifestError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.batch.is_empty()
            && let Err(error) = self.fill()
        {
            self.todo.clear();
            return Some(Err(error));
        }
        self.batch.pop_front().map(Ok)
    }
}

fn read_span(conn: &Connection, span: &Span, orientation: Orientation) -> rusqlite::Result<VecDeque<BaseRecord>> {
    let sql = match (span.inclusive, &span.before) {
        (false, None) => select("WHERE key > ?1 ORDER BY key LIMIT ?2"),
        (false, Some(_)) => select("WHERE key > ?1 AND key < ?3 ORDER BY key LIMIT ?2"),
        (true, None) => select("WHERE key >= ?1 ORDER BY key LIMIT ?2"),
        (true, Some(_)) => select("WHERE key >= ?1 AND key < ?3 ORDER BY key LIMIT ?2"),
    };
    let mut statement = conn.prepare_cached(&sql)?;
    let limit = i64::try_from(BaseCursor::BATCH).expect("a small number");
    let mut rows = match &span.before {
        None => statement.query((&span.after, limit))?,
        Some(before) => statement.query((&span.after, limit, before))?,
    };
    let mut batch = VecDeque::with_capacity(BaseCursor::BATCH);
    while let Some(row) = rows.next()? {
        batch.push_back(record(row, orientation)?);
    }
    Ok(batch)
}

const WITH_CONTENT: &str = "SELECT key, size, left_version, right_version, digests, lapsed, left_style, right_style
    FROM temp.contents CROSS JOIN base ON key = of_key
    WHERE of_size = ?1 AND of_content IN (?2, ?3) ORDER BY of_key LIMIT ?4";

fn select(tail: &str) -> String {
    format!("SELECT key, size, left_version, right_version, digests, lapsed, left_style, right_style FROM base {tail}")
}

fn record(row: &Row<'_>, orientation: Orientation) -> rusqlite::Result<BaseRecord> {
    let text = |index: usize| -> rusqlite::Result<&str> { Ok(row.get_ref(index)?.as_str()?) };
    let version = |index: usize| text(index).map(Version::new);
    let [source, dest] = orientation.apply(2, 3);
    let mark = |index: usize| -> rusqlite::Result<Option<StyleMark>> {
        Ok(row.get_ref(index)?.as_str_or_null()?.map(StyleMark::new))
    };
    let [source_mark, dest_mark] = orientation.apply(6, 7);
    Ok(BaseRecord {
        key: Key::new(text(0)?).map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, e.into()))?,
        size: row.get::<_, i64>(1)?.cast_unsigned(),
        source: version(source)?,
        dest: version(dest)?,
        digests: digests(row, 4)?,
        lapsed: row.get(5)?,
        marks: Marks { source: mark(source_mark)?, dest: mark(dest_mark)? },
    })
}

/// The start of the BLAKE3, as a number to find it by.
pub(super) fn content(digests: &Digests) -> Option<i64> {
    let start = digests.get(DigestKind::Blake3)?.text.get(..16)?;
    u64::from_str_radix(start, 16).ok().map(u64::cast_signed)
}

/// A column of digests.
pub(super) fn digests(row: &Row<'_>, index: usize) -> rusqlite::Result<Digests> {
    digests_from_blob(row.get_ref(index)?.as_blob()?).ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(index, Type::Blob, "no digests of a form that is known".into())
    })
}

/// SQLite's numbers are signed. A size beyond them exists only in a hostile listing; it reads back as another one, so
/// the key looks changed, and is never taken for equal.
pub(super) fn stored_size(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::codec::tests::{any_digests, any_key, any_version};
    use super::super::{Opened, Pair};
    use super::*;
    use crate::model::{Digest, DigestKind, Side};

    fn key(text: &str) -> Key {
        Key::new(text).unwrap()
    }

    fn record_of(text: &str, size: u64) -> BaseRecord {
        BaseRecord {
            key: key(text),
            size,
            source: Version::new(format!("source of {text}")),
            dest: Version::new(format!("dest of {text}")),
            digests: [Digest::from_bytes(DigestKind::Blake3, &[7; 32])].into_iter().collect(),
            lapsed: false,
            marks: Marks::default(),
        }
    }

    fn put(manifest: &Manifest, texts: &[&str]) {
        let records: Vec<Record> = texts.iter().map(|t| Record::Put(record_of(t, 1))).collect();
        manifest.record(&records).unwrap();
    }

    fn keys(manifest: &Manifest, scope: &Scope) -> Vec<String> {
        manifest.base(scope).unwrap().map(|r| r.unwrap().key.as_str().to_owned()).collect()
    }

    fn on_disk() -> (tempfile::TempDir, Manifest) {
        let state = tempfile::tempdir().unwrap();
        let Opened { manifest, notices } =
            Manifest::open(state.path(), &Pair::new("a", "b"), Orientation::Forward).unwrap();
        assert_eq!(notices, Vec::<String>::new());
        (state, manifest)
    }

    fn any_record() -> impl Strategy<Value = Record> {
        let put = (any_key(), 0..=u64::MAX >> 1, any_version(), any_version(), any_digests(), any::<bool>()).prop_map(
            |(key, size, source, dest, digests, lapsed)| {
                Record::Put(BaseRecord { key, size, source, dest, digests, lapsed, marks: Marks::default() })
            },
        );
        prop_oneof![
            6 => put,
            1 => any_key().prop_map(Record::Forget),
            1 => any_key().prop_map(Record::Lapse),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_base_is_a_map_in_key_order(
            batches in prop::collection::vec(prop::collection::vec(any_record(), 0..20), 0..5),
            only in any_key(),
            several in prop::collection::vec(any_key(), 0..4),
            size in 0..3u64,
        ) {
            let (_state, manifest) = on_disk();
            let mut model = BTreeMap::new();
            for batch in &batches {
                // What was counted and indexed by now is followed.
                manifest.base_totals().unwrap();
                manifest.has_size(size).unwrap();
                manifest.record(batch).unwrap();
                for record in batch {
                    match record {
                        Record::Put(put) => { model.insert(put.key.clone(), put.clone()); }
                        Record::Forget(key) => { model.remove(key); }
                        Record::Lapse(key) => if let Some(r) = model.get_mut(key) { r.lapsed = true; },
                        Record::Styled(_) => {}
                    }
                }
            }
            let all: Vec<BaseRecord> = manifest.base(&Scope::Whole).unwrap().map(Result::unwrap).collect();
            prop_assert_eq!(&all, &model.values().cloned().collect::<Vec<_>>());
            let below: Vec<BaseRecord> = manifest.base(&Scope::Below(only.clone())).unwrap().map(Result::unwrap).collect();
            let expected = model.values().filter(|r| r.key == only || r.key.is_below(only.as_str()));
            prop_assert_eq!(below, expected.cloned().collect::<Vec<_>>());
            let scope = Scope::of_keys(several.iter().cloned().chain([only]));
            let there: Vec<BaseRecord> = manifest.base(&scope).unwrap().map(Result::unwrap).collect();
            prop_assert_eq!(there, model.values().filter(|r| scope.holds(&r.key)).cloned().collect::<Vec<_>>());
            for (key, record) in &model {
                let found = manifest.get(key).unwrap();
                prop_assert_eq!(found.as_ref(), Some(record));
            }
            let live = || model.values().filter(|r| !r.lapsed);
            let bytes = live().map(|r| r.size.min(1 << 50)).sum();
            prop_assert_eq!(manifest.base_totals().unwrap(), (live().count() as u64, bytes));
            prop_assert_eq!(manifest.has_size(size).unwrap(), live().any(|r| r.size == size));
            for wanted in live() {
                let start = |r: &BaseRecord| content(&r.digests);
                let fits = |r: &&BaseRecord| r.size == wanted.size && (start(r).is_none() || start(r) == start(wanted));
                let expected: Vec<_> = live().filter(fits).cloned().collect();
                prop_assert_eq!(manifest.with_content(wanted.size, &wanted.digests, 99).unwrap(), expected);
            }
        }
    }

    #[test]
    fn the_order_is_that_of_keys_also_across_batches_and_outside_ascii() {
        let (_state, manifest) = on_disk();
        let mut texts: Vec<String> =
            ["Z", "a", "a-b", "a.txt", "a/x", "a0", "z", "é", "e\u{301}", "漢", "😀", "\u{ffff}"]
                .map(String::from)
                .into();
        texts.extend((0..1500).map(|n| format!("m/{}", n * 7919 % 1500)));
        for chunk in texts.chunks(100) {
            put(&manifest, &chunk.iter().map(String::as_str).collect::<Vec<_>>());
        }
        let mut expected: Vec<Key> = texts.iter().map(|t| key(t)).collect();
        expected.sort();
        assert_eq!(keys(&manifest, &Scope::Whole), expected.iter().map(Key::as_str).collect::<Vec<_>>());
        assert_eq!(keys(&manifest, &Scope::Below(key("a"))), ["a", "a/x"]);
        assert_eq!(keys(&manifest, &Scope::Below(key("m"))).len(), 1500);
        assert_eq!(keys(&manifest, &Scope::Below(key("none"))), Vec::<String>::new());
    }

    #[test]
    fn a_cursor_is_a_snapshot() {
        let (_state, manifest) = on_disk();
        let texts: Vec<String> = (0..2000).map(|n| format!("{n:05}")).collect();
        put(&manifest, &texts.iter().map(String::as_str).collect::<Vec<_>>());
        let mut cursor = manifest.base(&Scope::Whole).unwrap();
        cursor.next().unwrap().unwrap();
        manifest.record(&[Record::Forget(key("01999"))]).unwrap();
        put(&manifest, &["99999"]);
        let rest: Vec<BaseRecord> = cursor.map(Result::unwrap).collect();
        assert_eq!((rest.len(), rest.last().unwrap().key.as_str()), (1999, "01999"));
        assert_eq!(keys(&manifest, &Scope::Whole).last().unwrap(), "99999");
    }

    #[test]
    fn the_other_orientation_sees_the_sides_swapped() {
        let state = tempfile::tempdir().unwrap();
        let pair = Pair::new("left", "right");
        let open = |source: &str| Manifest::open(state.path(), &pair, pair.orientation(source)).unwrap().manifest;
        let put = record_of("k", 5);
        open("right").record(&[Record::Put(put.clone())]).unwrap();
        assert_eq!(open("right").get(&put.key).unwrap(), Some(put.clone()));
        let swapped = BaseRecord { source: put.dest.clone(), dest: put.source.clone(), ..put };
        assert_eq!(open("left").get(&swapped.key).unwrap(), Some(swapped.clone()));
        assert_eq!(open("left").base(&Scope::Whole).unwrap().next(), Some(Ok(swapped)));
    }

    #[test]
    fn a_batch_is_recorded_as_a_whole_or_not_at_all() {
        let (_state, manifest) = on_disk();
        put(&manifest, &["kept"]);
        manifest.lock().conn.pragma_update(None, "max_page_count", 30).unwrap();
        let records: Vec<Record> = (0..5000).map(|n| Record::Put(record_of(&format!("k{n}"), 1))).collect();
        let error = manifest.record(&records).unwrap_err();
        assert_eq!(error.reaction, super::super::Reaction::Full, "{error}");
        assert!(error.message.contains("manifest.db") && error.hint.unwrap().contains("free space"));
        assert_eq!(keys(&manifest, &Scope::Whole), ["kept"]);
        assert_eq!(manifest.base_totals().unwrap(), (1, 1));
        manifest.lock().conn.pragma_update(None, "max_page_count", 100_000).unwrap();
        manifest.record(&records).unwrap();
        assert_eq!(manifest.base_totals().unwrap().0, 5001);
    }

    #[test]
    fn a_size_beyond_all_objects_reads_back_as_another_one() {
        let (_state, manifest) = on_disk();
        let hostile = record_of("k", u64::MAX);
        manifest.record(&[Record::Put(hostile.clone()), Record::Put(record_of("l", u64::MAX))]).unwrap();
        assert_ne!(manifest.get(&hostile.key).unwrap().unwrap().size, hostile.size);
        assert_eq!(manifest.base_totals().unwrap(), (2, 1 << 51));
    }

    #[test]
    fn a_mark_stays_with_the_version_that_it_was_recorded_for() {
        for orientation in [Orientation::Forward, Orientation::Reversed] {
            let manifest = Manifest::empty(orientation).unwrap();
            let put = record_of("k", 5);
            let mark = StyleMark::new("0123456789abcdeft");
            let marks = || manifest.get(&put.key).unwrap().unwrap().marks;
            let styled = |was: &str, now: &str| {
                Record::Styled(Styled {
                    key: put.key.clone(),
                    side: Side::Dest,
                    was: Version::new(was),
                    now: Version::new(now),
                    mark: Some(mark.clone()),
                    digests: put.digests.clone(),
                })
            };
            let seen = put.dest.as_str().to_owned();
            manifest.record(&[styled(&seen, "x")]).unwrap();
            assert_eq!(manifest.get(&put.key).unwrap(), None, "nothing is known of the key");
            manifest.record(&[Record::Put(put.clone()), styled("another", "x")]).unwrap();
            assert_eq!(marks(), Marks::default(), "somebody changed it meanwhile");
            manifest.record(&[styled(&seen, "x")]).unwrap();
            assert_eq!(marks(), Marks::at(Side::Dest, Some(mark.clone())));
            let same = BaseRecord { dest: Version::new("x"), source: Version::new("touched"), ..put.clone() };
            manifest.record(&[Record::Put(same.clone())]).unwrap();
            assert_eq!(marks(), Marks::at(Side::Dest, Some(mark.clone())), "the version is the same");
            manifest.record(&[Record::Put(BaseRecord { dest: Version::new("y"), ..same })]).unwrap();
            assert_eq!(marks(), Marks::default());
        }
    }

    #[test]
    fn the_memo_gives_way_to_the_base() {
        let (_state, manifest) = on_disk();
        let put = record_of("k", 5);
        let other = Version::new("newer");
        let line = |version: &Version| [(put.key.clone(), version.clone(), put.digests.clone())];
        manifest.memo_put(Side::Source, &line(&put.source), 0).unwrap();
        manifest.memo_put(Side::Dest, &line(&other), 0).unwrap();
        manifest.record(&[Record::Put(put.clone())]).unwrap();
        assert_eq!(manifest.memo_get(Side::Source, &put.key, &put.source, 0).unwrap(), None);
        assert_eq!(manifest.memo_get(Side::Dest, &put.key, &other, 0).unwrap(), Some(put.digests));
    }

    #[test]
    fn a_manifest_in_memory_has_a_base_too() {
        let manifest = Manifest::empty(Orientation::Forward).unwrap();
        assert_eq!(keys(&manifest, &Scope::Whole), Vec::<String>::new());
        put(&manifest, &["b", "a"]);
        assert_eq!(keys(&manifest, &Scope::Whole), ["a", "b"]);
        assert_eq!(manifest.path(), None);
    }

    #[test]
    #[ignore = "a measurement: cargo test --release --lib a_million -- --ignored --nocapture"]
    fn a_million_records() {
        let (_state, manifest) = on_disk();
        let time = std::time::Instant::now();
        let mut texts: Vec<String> = (0..1_000_000)
            .map(|n| format!("media/{:03}/{:03}/picture-{n:07}.jpg", n / 1000 % 1000, n % 1000))
            .collect();
        texts.sort();
        println!("keys made and sorted: {:?}", time.elapsed());
        let time = std::time::Instant::now();
        let mut making = std::time::Duration::ZERO;
        for (n, chunk) in texts.chunks(1000).enumerate() {
            let made = std::time::Instant::now();
            let records: Vec<Record> = chunk
                .iter()
                .enumerate()
                .map(|(m, text)| {
                    let hash = blake3::hash(text.as_bytes());
                    let size = u64::from(u32::from_le_bytes(hash.as_bytes()[..4].try_into().unwrap())) % 5_000_000;
                    Record::Put(BaseRecord {
                        source: Version::new(format!("{size}:17{n:08}{m:09}:17{n:08}{m:09}:{m}")),
                        dest: Version::new(&hash.to_hex()[..32]),
                        digests: [Digest::from_bytes(DigestKind::Blake3, hash.as_bytes())].into_iter().collect(),
                        ..record_of(text, size)
                    })
                })
                .collect();
            making += made.elapsed();
            manifest.record(&records).unwrap();
        }
        println!("1 M records in batches of 1,000: {:?}, of which {making:?} makes them", time.elapsed());
        let time = std::time::Instant::now();
        let mut bytes = 0;
        assert_eq!(manifest.base(&Scope::Whole).unwrap().map(|r| bytes += r.unwrap().size).count(), 1_000_000);
        println!("cursor: {:?}", time.elapsed());
        let time = std::time::Instant::now();
        assert_eq!(manifest.base_totals().unwrap(), (1_000_000, bytes));
        println!("totals: {:?}", time.elapsed());
        let time = std::time::Instant::now();
        for text in texts.iter().step_by(100) {
            let found = manifest.get(&key(text)).unwrap().unwrap();
            assert!(manifest.with_content(found.size, &found.digests, 1000).unwrap().contains(&found));
        }
        println!("10,000 of get and by_size: {:?}", time.elapsed());
        let time = std::time::Instant::now();
        for chunk in texts.chunks(1000).step_by(10) {
            let again: Vec<Record> = chunk.iter().map(|t| Record::Put(record_of(t, 7))).collect();
            manifest.record(&again).unwrap();
        }
        println!("100,000 recorded again, batches of 1,000 neighbours: {:?}", time.elapsed());
        let time = std::time::Instant::now();
        let verdict: String = manifest.lock().conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).unwrap();
        println!("quick_check {verdict}: {:?}", time.elapsed());
        println!("file: {} MB", std::fs::metadata(manifest.path().unwrap()).unwrap().len() / 1_000_000);
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        println!("{}", status.lines().find(|l| l.starts_with("VmHWM")).unwrap());
    }
}
