//! Keys to look at again: the watcher saw them change, or a look at them failed.
//!
//! A line is a key, or all keys below a directory, and the time from which on it may be looked at. Times are of the
//! daemon's clock (`daemon::settle::Clock`), in ns. Every change of the table has a number, its [`Mark`]: a cycle says
//! up to which one it has seen the signs, so that a sign that came meanwhile is never taken for looked at, whatever the
//! clock said.

use std::sync::atomic::Ordering;

use rusqlite::types::Type;
use rusqlite::{Connection, Row};

use super::Manifest;
use super::error::ManifestError;
use crate::model::Key;

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dirty {
    /// The key, or the directory.
    pub key: Key,
    /// How much it stands for.
    pub span: Span,
}

/// How much a key stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Span {
    /// The key.
    Itself,
    /// All keys below it, as a directory.
    Below,
}

/// When something is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At this time, whatever was said before.
    At(i64),
    /// At this time or earlier: not later than so long after the first sign that was not yet looked at.
    Quiet {
        /// The time.
        at_ns: i64,
        /// The longest time after the first sign.
        most_ns: i64,
    },
    /// When it is to be looked at anyway, else at this time.
    Anyway(i64),
    /// It is away: together with all others that are, when the last of them has waited until its time, or the first one
    /// for [`LONGEST_AWAY`] after its own. So a directory that is being deleted is one deletion, which the guard sees as a whole.
    Away(i64),
}

/// The longest that something that is away waits for others, ns.
pub const LONGEST_AWAY: i64 = 30_000_000_000;

/// Up to where signs are known: those that came earlier have it or a smaller one, later ones a greater one. What has to
/// wait is decided here once, for all that a cycle asks: a sign that comes while it looks must not make it leave alone
/// what it takes for done in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    number: i64,
    now_ns: i64,
    /// Whether all that was away then had waited long enough.
    over: bool,
}

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// In order: by key, itself before what is below it.
    pub dirty: Vec<Dirty>,
    /// For [`Manifest::dirty_clear`] and [`Manifest::dirty_defer`].
    pub mark: Mark,
}

impl Mark {
    /// When it was taken, ns of the daemon's clock.
    pub fn now_ns(self) -> i64 {
        self.now_ns
    }
}

impl Dirty {
    /// A key.
    pub fn itself(key: Key) -> Self {
        Self { key, span: Span::Itself }
    }

    /// All below a directory.
    pub fn below(key: Key) -> Self {
        Self { key, span: Span::Below }
    }

    fn row(&self) -> (&str, bool) {
        (self.key.as_str(), self.span == Span::Below)
    }
}

impl Manifest {
    /// Writes down what is to be looked at, in one transaction. Later lines of the same key win as [`When`] says.
    ///
    /// # Errors
    /// [`ManifestError`]; then nothing was written, and everything has to be looked at.
    pub fn dirty_note<'a>(
        &self,
        lines: impl IntoIterator<Item = (&'a Dirty, When)>,
        now_ns: i64,
    ) -> Result<(), ManifestError> {
        self.write("write", |conn| {
            let mark = self.next_mark(conn, now_ns)?;
            let mut add = conn.prepare_cached(
                "INSERT INTO dirty (key, below, due, since, mark, away) VALUES (?1, ?2, ?3, ?4, ?5, ?7)
                 ON CONFLICT DO UPDATE SET mark = excluded.mark,
                     away = CASE WHEN ?6 IS NULL THEN dirty.away ELSE excluded.away END, due = CASE
                     WHEN ?6 IS NULL THEN dirty.due
                     ELSE min(excluded.due, dirty.since + ?6) END",
            )?;
            for (dirty, when) in lines {
                let (key, below) = dirty.row();
                let (due, most, away) = match when {
                    When::At(at) => (at, Some(i64::MAX / 2), false),
                    When::Quiet { at_ns, most_ns } => (at_ns, Some(most_ns), false),
                    When::Anyway(at) => (at, None, false),
                    When::Away(at) => (at, Some(i64::MAX / 2), true),
                };
                add.execute((key, below, due, now_ns, mark, most, away))?;
            }
            Ok(())
        })
    }

    /// Up to `most` lines whose time has come, the longest waiting first.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn dirty_due(&self, now_ns: i64, most: usize) -> Result<Due, ManifestError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let (mark, mut dirty) = self.read("read", |conn| {
            let mark = Mark { number: self.last_mark(conn)?, now_ns, over: are_over(conn, now_ns)? };
            let sql = "SELECT key, below FROM (
                     SELECT key, below, due FROM dirty WHERE away = 0 AND due <= ?1
                     UNION ALL SELECT key, below, due FROM dirty WHERE away = 1 AND due <= ?1 AND ?3
                 ) ORDER BY due LIMIT ?2";
            let rows = (now_ns, most, mark.over);
            let rows: Vec<Dirty> =
                conn.prepare_cached(sql)?.query_map(rows, dirty)?.collect::<rusqlite::Result<_>>()?;
            Ok((mark, rows))
        })?;
        dirty.sort_unstable();
        Ok(Due { dirty, mark })
    }

    /// When the next line is due, if there is one.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn dirty_next(&self) -> Result<Option<i64>, ManifestError> {
        self.read("read", |conn| {
            let sql = "SELECT min(due) FROM dirty WHERE away = 0";
            let next: Option<i64> = conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
            Ok([next, over_at(conn)?].into_iter().flatten().min())
        })
    }

    /// When the next line becomes due that is not due at `now_ns`, if there is one, but for what is away.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn dirty_after(&self, now_ns: i64) -> Result<Option<i64>, ManifestError> {
        let sql = "SELECT min(due) FROM dirty WHERE away = 0 AND due > ?1";
        self.read("read", |conn| conn.prepare_cached(sql)?.query_row([now_ns], |row| row.get(0)))
    }

    /// Where signs stand now: what begins to look at everything takes it first, for [`Manifest::dirty_reset`].
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn dirty_mark(&self, now_ns: i64) -> Result<Mark, ManifestError> {
        self.read("read", |conn| Ok(Mark { number: self.last_mark(conn)?, now_ns, over: are_over(conn, now_ns)? }))
    }

    /// These were looked at by what began at `mark`. Lines with a later sign stay. With what is below a directory go the
    /// lines of keys there that were due, but for what is away and may come back.
    ///
    /// # Errors
    /// [`ManifestError`]; then they are looked at once more.
    pub fn dirty_clear<'a>(
        &self,
        looked_at: impl IntoIterator<Item = &'a Dirty>,
        mark: Mark,
    ) -> Result<(), ManifestError> {
        self.write("write", |conn| {
            let sql = "DELETE FROM dirty WHERE key = ?1 AND below = ?2 AND mark <= ?3";
            let mut clear = conn.prepare_cached(sql)?;
            let sql = "DELETE FROM dirty
                 WHERE key > ?1 AND key < ?2 AND mark <= ?3 AND due <= ?4 AND (away = 0 OR ?5)";
            let mut clear_below = conn.prepare_cached(sql)?;
            for dirty in looked_at {
                let (key, below) = dirty.row();
                clear.execute((key, below, mark.number))?;
                if below {
                    let (from, to) = span(&dirty.key);
                    clear_below.execute((from, to, mark.number, mark.now_ns, mark.over))?;
                }
            }
            Ok(())
        })
    }

    /// These are to be looked at again at `due_ns`, because the look that began at `mark` came to nothing. A later sign
    /// keeps its own time.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn dirty_defer<'a>(
        &self,
        again: impl IntoIterator<Item = &'a Dirty>,
        mark: Mark,
        due_ns: i64,
    ) -> Result<(), ManifestError> {
        self.write("write", |conn| {
            let mut defer = conn.prepare_cached(
                "INSERT INTO dirty (key, below, due, since, mark, away) VALUES (?1, ?2, ?3, ?4, ?5, 0)
                 ON CONFLICT DO UPDATE SET due = excluded.due, away = 0 WHERE dirty.mark <= excluded.mark",
            )?;
            for dirty in again {
                let (key, below) = dirty.row();
                defer.execute((key, below, due_ns, mark.now_ns, mark.number))?;
            }
            Ok(())
        })
    }

    /// Everything was looked at, by a scan that began at `mark`. Lines that were not due then stay: what they name was
    /// left alone.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn dirty_reset(&self, mark: Mark) -> Result<(), ManifestError> {
        let sql = "DELETE FROM dirty WHERE mark <= ?1 AND due <= ?2 AND (away = 0 OR ?3)";
        self.write("write", |conn| conn.execute(sql, (mark.number, mark.now_ns, mark.over)).map(drop))
    }

    /// A job begins, and looks at everything first. What was seen by another clock, that of an earlier process, is of no
    /// use; by this one, which began at `clock_ns`, it still says what has to wait.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn dirty_begin(&self, clock_ns: i64) -> Result<(), ManifestError> {
        if self.dirty_clock()? == Some(clock_ns) {
            return Ok(());
        }
        self.write("write", |conn| conn.execute("DELETE FROM dirty", []).map(drop))?;
        self.set_dirty_clock(clock_ns)
    }

    /// These are not looked at before `due_ns`: what was tried came to nothing, and will again.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn dirty_hold(&self, key: &Key, due_ns: i64) -> Result<(), ManifestError> {
        self.write("write", |conn| {
            let sql = "UPDATE dirty SET due = max(due, ?2) WHERE key = ?1 AND below = 0 AND away = 0";
            conn.prepare_cached(sql)?.execute((key.as_str(), due_ns)).map(drop)
        })
    }

    /// How many lines of what is away are over.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn dirty_over(&self, now_ns: i64) -> Result<usize, ManifestError> {
        self.read("read", |conn| {
            let sql = "SELECT count(*) FROM dirty WHERE away = 1 AND due <= ?1 AND ?2";
            let over = are_over(conn, now_ns)?;
            conn.prepare_cached(sql)?.query_row((now_ns, over), |row| row.get::<_, i64>(0))
        })
        .map(|count| usize::try_from(count).unwrap_or(0))
    }

    /// How many lines there are.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn dirty_count(&self) -> Result<u64, ManifestError> {
        self.read("read", |conn| conn.query_row("SELECT count(*) FROM dirty", [], |row| row.get::<_, i64>(0)))
            .map(|count| u64::try_from(count).unwrap_or(0))
    }

    /// When the first sign came of what waits longest, if anything does.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn dirty_oldest(&self) -> Result<Option<i64>, ManifestError> {
        self.read("read", |conn| conn.query_row("SELECT min(since) FROM dirty", [], |row| row.get(0)))
    }

    /// Whether a key has to be left alone by what began at `mark`: its file is being written, or it is away, or a directory above it, and
    /// may come back.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn dirty_waits(&self, key: &Key, mark: Mark) -> Result<bool, ManifestError> {
        let sql =
            "SELECT EXISTS (SELECT 1 FROM dirty WHERE key = ?1 AND below = ?2 AND (due > ?3 OR (away = 1 AND NOT ?4)))";
        self.read("read", |conn| {
            let mut waits = conn.prepare_cached(sql)?;
            let text = key.as_str();
            let above = text.match_indices('/').map(|(at, _)| (&text[..at], true));
            for (key, below) in above.chain([(text, false)]) {
                if waits.query_row((key, below, mark.now_ns, mark.over), |row| row.get(0))? {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// Whether any key does.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn dirty_waiting(&self, mark: Mark) -> Result<bool, ManifestError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM dirty WHERE due > ?1 OR (away = 1 AND NOT ?2))";
        self.read("read", |conn| conn.prepare_cached(sql)?.query_row((mark.now_ns, mark.over), |row| row.get(0)))
    }

    /// Whether a sign of this key came after `mark`: what was seen of it before may be wrong by now.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn dirty_since(&self, key: &Key, mark: Mark) -> Result<bool, ManifestError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM dirty WHERE key = ?1 AND mark > ?2)";
        self.read("read", |conn| conn.prepare_cached(sql)?.query_row((key.as_str(), mark.number), |row| row.get(0)))
    }

    /// Whether both sides ever agreed about a key below this one, as a directory.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn has_base_below(&self, dir: &Key) -> Result<bool, ManifestError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM base WHERE key > ?1 AND key < ?2)";
        self.read("read", |conn| conn.prepare_cached(sql)?.query_row(span(dir), |row| row.get(0)))
    }

    /// Whether both sides ever agreed about this key.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn has_base(&self, key: &Key) -> Result<bool, ManifestError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM base WHERE key = ?1)";
        self.read("read", |conn| conn.prepare_cached(sql)?.query_row([key.as_str()], |row| row.get(0)))
    }

    /// A number above all that were used. They follow the clock only so that they survive an empty table.
    fn next_mark(&self, conn: &Connection, now_ns: i64) -> rusqlite::Result<i64> {
        let next = now_ns.max(self.last_mark(conn)? + 1);
        self.last_mark.store(next, Ordering::Relaxed);
        Ok(next)
    }

    fn last_mark(&self, conn: &Connection) -> rusqlite::Result<i64> {
        let last = self.last_mark.load(Ordering::Relaxed);
        if last != i64::MIN {
            return Ok(last);
        }
        let last = conn.query_row("SELECT coalesce(max(mark), 0) FROM dirty", [], |row| row.get(0))?;
        self.last_mark.store(last, Ordering::Relaxed);
        Ok(last)
    }
}

/// When all that is away has waited long enough, if anything is away.
fn over_at(conn: &Connection) -> rusqlite::Result<Option<i64>> {
    // Each half is one step in the index: this is asked for every key of a plan.
    let sql =
        "SELECT min((SELECT max(due) FROM dirty WHERE away = 1), (SELECT min(due) FROM dirty WHERE away = 1) + ?1)";
    conn.prepare_cached(sql)?.query_row([LONGEST_AWAY], |row| row.get(0))
}

fn are_over(conn: &Connection, now_ns: i64) -> rusqlite::Result<bool> {
    Ok(over_at(conn)?.is_some_and(|at| at <= now_ns))
}

/// The keys below a directory lie between these two, and no others: `0` follows `/`.
pub(super) fn span(dir: &Key) -> (String, String) {
    (format!("{}/", dir.as_str()), format!("{}0", dir.as_str()))
}

fn dirty(row: &Row<'_>) -> rusqlite::Result<Dirty> {
    let key = Key::new(row.get_ref(0)?.as_str()?)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, e.into()))?;
    let span = if row.get(1)? { Span::Below } else { Span::Itself };
    Ok(Dirty { key, span })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Opened, Orientation, Pair};

    fn itself(text: &str) -> Dirty {
        Dirty::itself(Key::new(text).unwrap())
    }

    fn below(text: &str) -> Dirty {
        Dirty::below(Key::new(text).unwrap())
    }

    fn empty() -> Manifest {
        Manifest::empty(Orientation::Forward).unwrap()
    }

    fn note(manifest: &Manifest, dirty: &Dirty, when: When, now_ns: i64) {
        manifest.dirty_note([(dirty, when)], now_ns).unwrap();
    }

    fn due(manifest: &Manifest, now_ns: i64) -> Vec<Dirty> {
        manifest.dirty_due(now_ns, 100).unwrap().dirty
    }

    #[test]
    fn lines_wait_for_their_time_and_come_in_key_order() {
        let manifest = empty();
        assert_eq!((manifest.dirty_next().unwrap(), manifest.dirty_oldest().unwrap()), (None, None));
        for (at, dirty) in [(12, itself("b")), (10, below("a")), (11, itself("a"))] {
            note(&manifest, &dirty, When::At(at), 5);
        }
        assert_eq!(due(&manifest, 9), []);
        assert_eq!((manifest.dirty_next().unwrap(), manifest.dirty_oldest().unwrap()), (Some(10), Some(5)));
        assert_eq!(due(&manifest, 12), [itself("a"), below("a"), itself("b")]);
        assert_eq!(manifest.dirty_due(12, 2).unwrap().dirty, [itself("a"), below("a")], "the longest waiting first");
        assert_eq!(manifest.dirty_count().unwrap(), 3);
    }

    #[test]
    fn what_is_away_waits_for_the_last_of_it_but_not_for_ever() {
        let manifest = empty();
        note(&manifest, &itself("a"), When::Away(20), 0);
        note(&manifest, &itself("b"), When::Away(25), 5);
        note(&manifest, &itself("c"), When::At(21), 5);
        assert_eq!((due(&manifest, 22), manifest.dirty_next().unwrap()), (vec![itself("c")], Some(21)));
        let all = manifest.dirty_mark(22).unwrap();
        let waits = |text: &str, now| {
            manifest.dirty_waits(&Key::new(text).unwrap(), manifest.dirty_mark(now).unwrap()).unwrap()
        };
        assert!(waits("a", 22) && waits("b", 22) && !waits("c", 22) && !waits("a", 25));
        manifest.dirty_reset(all).unwrap();
        assert_eq!(manifest.dirty_next().unwrap(), Some(25), "what was away was left alone");
        assert_eq!(due(&manifest, 25), [itself("a"), itself("b")]);
        // What is back waits for nobody, and nobody for it.
        note(&manifest, &itself("b"), When::At(30), 26);
        assert_eq!(due(&manifest, 26), [itself("a")]);
        // One that goes every second does not hold up the others for ever.
        for second in 1..40 {
            let now = second * 1_000_000_000;
            note(&manifest, &itself("d"), When::Away(now + 2_000_000_000), now);
        }
        assert_eq!(due(&manifest, LONGEST_AWAY), [itself("b")]);
        let over = LONGEST_AWAY + 20;
        assert_eq!(due(&manifest, over), [itself("a"), itself("b")]);
        // What failed is tried at its own time.
        let cycle = manifest.dirty_due(over, 9).unwrap();
        manifest.dirty_defer([&itself("d")], cycle.mark, i64::MAX / 2).unwrap();
        assert!(manifest.dirty_next().unwrap().is_some_and(|next| next <= over));
    }

    #[test]
    fn what_waits_outlives_a_configuration_that_is_read_anew_and_no_other_process() {
        let manifest = empty();
        manifest.dirty_begin(7).unwrap();
        note(&manifest, &itself("a"), When::Away(20), 0);
        manifest.dirty_begin(7).unwrap();
        assert!(manifest.dirty_waits(&Key::new("a").unwrap(), manifest.dirty_mark(1).unwrap()).unwrap());
        manifest.dirty_begin(8).unwrap();
        assert_eq!(manifest.dirty_count().unwrap(), 0);
    }

    #[test]
    fn what_a_cycle_leaves_alone_and_what_it_takes_for_done_are_decided_when_it_begins() {
        let manifest = empty();
        let waits = |text: &str, mark| manifest.dirty_waits(&Key::new(text).unwrap(), mark).unwrap();
        note(&manifest, &itself("a"), When::Away(20), 0);
        let cycle = manifest.dirty_due(20, 9).unwrap();
        // Something else goes meanwhile: that has to wait, and this was waited for.
        note(&manifest, &itself("b"), When::Away(40), 21);
        assert!(!waits("a", cycle.mark) && waits("b", cycle.mark));
        manifest.dirty_clear(&cycle.dirty, cycle.mark).unwrap();
        assert_eq!(due(&manifest, 40), [itself("b")]);
        // What was left alone stays, though nothing holds it up in the end.
        note(&manifest, &itself("a"), When::Away(42), 22);
        let look = manifest.dirty_mark(41).unwrap();
        assert!(waits("a", look) && waits("b", look));
        note(&manifest, &itself("a"), When::At(41), 41);
        manifest.dirty_reset(look).unwrap();
        assert_eq!(due(&manifest, 41), [itself("a"), itself("b")]);
    }

    #[test]
    fn a_later_sign_moves_the_time_as_it_says() {
        let manifest = empty();
        let a = itself("a");
        note(&manifest, &a, When::Quiet { at_ns: 20, most_ns: 30 }, 0);
        note(&manifest, &a, When::Quiet { at_ns: 28, most_ns: 30 }, 8);
        assert_eq!(manifest.dirty_next().unwrap(), Some(28));
        note(&manifest, &a, When::Quiet { at_ns: 45, most_ns: 30 }, 25);
        assert_eq!(manifest.dirty_next().unwrap(), Some(30), "not longer than 30 after the first");
        note(&manifest, &a, When::Anyway(99), 26);
        assert_eq!(manifest.dirty_next().unwrap(), Some(30));
        note(&manifest, &a, When::At(27), 26);
        assert_eq!(manifest.dirty_next().unwrap(), Some(27));
        note(&manifest, &a, When::At(60), 26);
        assert_eq!(manifest.dirty_next().unwrap(), Some(60));
        note(&manifest, &itself("b"), When::Anyway(50), 26);
        assert_eq!(manifest.dirty_next().unwrap(), Some(50));
    }

    #[test]
    fn a_cycle_does_not_clear_what_changed_after_it_began_even_at_the_same_time() {
        let manifest = empty();
        let [a, b] = ["a", "b"].map(itself);
        manifest.dirty_note([(&a, When::At(7)), (&b, When::At(7))], 7).unwrap();
        let cycle = manifest.dirty_due(7, 9).unwrap();
        note(&manifest, &b, When::At(7), 7);
        assert!(
            manifest.dirty_since(&b.key, cycle.mark).unwrap() && !manifest.dirty_since(&a.key, cycle.mark).unwrap()
        );
        manifest.dirty_clear(&cycle.dirty, cycle.mark).unwrap();
        assert_eq!(due(&manifest, 7), std::slice::from_ref(&b));
        let next = manifest.dirty_due(7, 9).unwrap();
        manifest.dirty_clear(&next.dirty, next.mark).unwrap();
        note(&manifest, &b, When::At(7), 7);
        manifest.dirty_clear([&b], next.mark).unwrap();
        assert_eq!(due(&manifest, 7), [b], "the table was empty, and numbers went on");
    }

    #[test]
    fn what_was_looked_at_below_a_directory_takes_its_keys_along_but_not_those_that_wait() {
        let manifest = empty();
        let [inside, beside, waiting] = ["d/x", "d-x", "d/w"].map(itself);
        let lines =
            [(&below("d"), When::At(1)), (&inside, When::At(1)), (&beside, When::At(1)), (&waiting, When::At(9))];
        manifest.dirty_note(lines, 1).unwrap();
        let mark = manifest.dirty_due(1, 9).unwrap().mark;
        let now = manifest.dirty_mark(1).unwrap();
        assert!(manifest.dirty_waits(&waiting.key, now).unwrap() && !manifest.dirty_waits(&inside.key, now).unwrap());
        manifest.dirty_clear([&below("d")], mark).unwrap();
        assert_eq!(due(&manifest, 9), [beside, waiting]);
    }

    #[test]
    fn what_failed_waits_unless_it_changed_again() {
        let manifest = empty();
        let [a, b] = ["a", "b"].map(itself);
        note(&manifest, &a, When::At(1), 1);
        let cycle = manifest.dirty_due(1, 9).unwrap();
        note(&manifest, &b, When::At(2), 2);
        manifest.dirty_defer([&a, &b], cycle.mark, 50).unwrap();
        assert_eq!(due(&manifest, 2), [b]);
        assert_eq!(manifest.dirty_oldest().unwrap(), Some(1), "it waits since its first sign");
    }

    #[test]
    fn a_scan_clears_what_was_known_when_it_began_even_after_a_restart_with_the_clock_set_back() {
        let state = tempfile::tempdir().unwrap();
        let open = || {
            let Opened { manifest, .. } =
                Manifest::open(state.path(), &Pair::new("file:///a", "s3://b"), Orientation::Forward).unwrap();
            manifest
        };
        note(&open(), &itself("before"), When::At(5), 1_000);
        note(&open(), &itself("later"), When::At(1_000), 1_000);
        let manifest = open();
        let scan = manifest.dirty_mark(10).unwrap();
        note(&manifest, &itself("meanwhile"), When::At(10), 10);
        manifest.dirty_reset(scan).unwrap();
        assert_eq!(due(&manifest, 2_000), [itself("later"), itself("meanwhile")], "what was not due was left alone");
        manifest.dirty_begin(2).unwrap();
        assert_eq!(due(&manifest, 2_000), []);
    }

    #[test]
    fn what_was_synced_is_known_for_a_key_and_for_a_directory() {
        use crate::manifest::Record;
        use crate::model::{BaseRecord, Digests, Version};
        let manifest = empty();
        let key = |text: &str| Key::new(text).unwrap();
        let version = || Version::new("v");
        let record = BaseRecord {
            key: key("d/x"),
            size: 1,
            source: version(),
            dest: version(),
            digests: Digests::none(),
            lapsed: false,
            marks: crate::model::Marks::default(),
        };
        manifest.record(&[Record::Put(record)]).unwrap();
        assert!(manifest.has_base(&key("d/x")).unwrap() && !manifest.has_base(&key("d")).unwrap());
        assert!(manifest.has_base_below(&key("d")).unwrap());
        assert!(!manifest.has_base_below(&key("d/x")).unwrap() && !manifest.has_base_below(&key("d/")).unwrap());
    }
}
