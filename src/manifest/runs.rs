//! The journal of runs, and what they spent of the guard's budgets.

use rusqlite::{OptionalExtension, Row};

use super::Manifest;
use super::error::ManifestError;
use crate::model::RunName;

const DAY_NS: i64 = 24 * 3600 * 1_000_000_000;
const MINUTE_NS: i64 = 60 * 1_000_000_000;
/// The columns of [`Run`].
const COLUMNS: &str = "id, command, source, dest, started, ended, ending, summary, name";
/// The last run over all that is in scope, by its number.
const WHOLE: &str = "SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'whole-run'";
/// When the last of these began that ended well.
const EQUAL: &str = "equal-at";

/// A run in the journal of its pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(pub i64);

/// One line of the journal. All texts are for people, and without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Ascending in time.
    pub id: RunId,
    /// The command without its arguments.
    pub command: String,
    /// How the source was called.
    pub source: String,
    /// How the destination was called.
    pub dest: String,
    /// ns since the epoch.
    pub started_ns: i64,
    /// ns since the epoch; `None` while it runs, and for ever if it was killed.
    pub ended_ns: Option<i64>,
    /// How it ended, one word.
    pub ending: Option<String>,
    /// Its summary.
    pub summary_json: Option<String>,
    /// What it is called in the trash; `None` for a run of an older version.
    pub name: Option<RunName>,
}

/// What was done of the kinds that the guard limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Keys deleted.
    pub deletes: u64,
    /// Their bytes.
    pub delete_bytes: u64,
    /// Keys overwritten.
    pub overwrites: u64,
}

impl Manifest {
    /// Writes down that a run begins, and drops what is too old to keep: runs after 90 days beyond the last 100,
    /// and all beyond the last 10,000, budgets after a week, memo lines after 30 days without use.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn begin_run(&self, command: &str, source: &str, dest: &str, now_ns: i64) -> Result<RunId, ManifestError> {
        self.write("begin a run in", |conn| {
            conn.execute(
                &format!(
                    "DELETE FROM runs WHERE started < ?1 AND id NOT IN (SELECT id FROM runs ORDER BY id DESC LIMIT 99)
                         AND id NOT IN ({WHOLE})"
                ),
                [now_ns.saturating_sub(90 * DAY_NS)],
            )?;
            // A daemon that mirrors writes a line a minute.
            conn.execute(
                &format!("DELETE FROM runs WHERE id < (SELECT max(id) FROM runs) - 10000 AND id NOT IN ({WHOLE})"),
                [],
            )?;
            conn.execute("DELETE FROM spent WHERE at < ?1", [now_ns.saturating_sub(7 * DAY_NS)])?;
            Self::prune_memo(conn, now_ns)?;
            let name = RunName::new(now_ns, fastrand::u32(..));
            conn.execute(
                "INSERT INTO runs (command, source, dest, started, name) VALUES (?1, ?2, ?3, ?4, ?5)",
                (command, source, dest, now_ns, name.as_str()),
            )?;
            Ok(RunId(conn.last_insert_rowid()))
        })
    }

    /// What a run is called in the trash.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn run_name(&self, run: RunId) -> Result<RunName, ManifestError> {
        let name: Option<String> = self.read("read", |conn| {
            conn.prepare_cached("SELECT name FROM runs WHERE id = ?1")?.query_row([run.0], |row| row.get(0)).optional()
        })?;
        // A run is begun with a name.
        Ok(name.and_then(|name| RunName::parse(&name)).unwrap_or_else(|| RunName::new(0, fastrand::u32(..))))
    }

    /// How long ago a run began (ns), by the runs since: the time between two of them counts for a week at most, and never
    /// backwards. A clock that was wrong once makes nothing old. `None` if the run is not known any more.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn age_of_run(&self, name: &RunName, now_ns: i64) -> Result<Option<i64>, ManifestError> {
        let sql = "SELECT started FROM runs WHERE id >= (SELECT id FROM runs WHERE name = ?1) ORDER BY id";
        let begun: Vec<i64> = self
            .read("read", |conn| conn.prepare_cached(sql)?.query_map([name.as_str()], |row| row.get(0))?.collect())?;
        let gaps = begun.iter().zip(begun.iter().skip(1).chain([&now_ns]));
        let counted = gaps.map(|(from, to)| to.saturating_sub(*from).clamp(0, 7 * DAY_NS)).sum();
        Ok((!begun.is_empty()).then_some(counted))
    }

    /// A run is over all that is in scope, not over a part: it says how the pair stands, from its beginning on.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn set_whole_run(&self, run: RunId) -> Result<(), ManifestError> {
        self.set_value("whole-run", &run.0.to_string())
    }

    /// The last run over all that is in scope; `None` if none is known.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn whole_run(&self) -> Result<Option<Run>, ManifestError> {
        let sql = format!("SELECT {COLUMNS} FROM runs WHERE id = ({WHOLE})");
        self.read("read", |conn| conn.prepare_cached(&sql)?.query_row([], run).optional())
    }

    /// The last runs that put something into the trash of a side that is still there, as far as that is known; the newest
    /// first, and at most `limit`.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn runs_still_kept(&self, limit: u32) -> Result<Vec<Run>, ManifestError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM runs
             WHERE EXISTS (SELECT 1 FROM kept WHERE kept.side IN (0, 1) AND kept.run = runs.name)
             ORDER BY id DESC LIMIT ?1"
        );
        self.read("read", |conn| conn.prepare_cached(&sql)?.query_map([limit], run)?.collect())
    }

    /// Writes down how a run ended. One over all that is in scope that is `finished` left both sides equal.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn finish_run(&self, run: RunId, ending: &str, summary_json: &str, now_ns: i64) -> Result<(), ManifestError> {
        self.write("finish a run in", |conn| {
            conn.execute(
                "UPDATE runs SET ended = ?2, ending = ?3, summary = ?4 WHERE id = ?1",
                (run.0, now_ns, ending, summary_json),
            )?;
            if ending == "finished" {
                conn.prepare_cached(&format!(
                    "INSERT INTO meta (name, value) SELECT ?1, CAST(started AS TEXT) FROM runs
                         WHERE id = ?2 AND id = ({WHOLE})
                     ON CONFLICT DO UPDATE SET value = excluded.value"
                ))?
                .execute((EQUAL, run.0))?;
            }
            Ok(())
        })
    }

    /// When the last run over all that is in scope began that left nothing undone, ns since the epoch: both sides were
    /// equal then, whatever became of the runs after it. `None` if none is known.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn equal_at(&self) -> Result<Option<i64>, ManifestError> {
        Ok(self.value(EQUAL)?.and_then(|at| at.parse().ok()))
    }

    /// A run that ended goes on: its line is one of a run under way.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn reopen_run(&self, run: RunId) -> Result<(), ManifestError> {
        self.write("begin a run in", |conn| {
            let mut reopen = conn.prepare_cached("UPDATE runs SET ended = NULL, ending = NULL WHERE id = ?1")?;
            reopen.execute([run.0]).map(drop)
        })
    }

    /// Takes a run out of the journal again: one that never began to do anything.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn strike_run(&self, run: RunId) -> Result<(), ManifestError> {
        self.write("strike a run from", |conn| conn.execute("DELETE FROM runs WHERE id = ?1", [run.0]).map(drop))
    }

    /// The last runs, newest first.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn runs(&self, limit: u32) -> Result<Vec<Run>, ManifestError> {
        let sql = format!("SELECT {COLUMNS} FROM runs ORDER BY id DESC LIMIT ?1");
        self.read("read", |conn| {
            let mut statement = conn.prepare_cached(&sql)?;
            statement.query_map([limit], run)?.collect()
        })
    }

    /// How many conflicts were settled by `resolve` since a run: each such run is about one, and ends well only if it
    /// was one.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn resolved_since(&self, run: RunId) -> Result<u64, ManifestError> {
        let sql = "SELECT COUNT(*) FROM runs WHERE id > ?1 AND command = 'resolve' AND ending = 'finished'";
        self.read("read", |conn| conn.prepare_cached(sql)?.query_row([run.0], |row| row.get::<_, i64>(0)))
            .map(|count| u64::try_from(count).unwrap_or(0))
    }

    /// How many runs there are.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn count_runs(&self) -> Result<u64, ManifestError> {
        self.read("read", |conn| {
            conn.query_row("SELECT count(*) FROM runs", (), |row| row.get::<_, i64>(0).map(i64::cast_unsigned))
        })
    }

    /// Adds to what a run spent. Called before acting: a crash then counts too much, never too little.
    ///
    /// # Errors
    /// [`ManifestError`]; then nothing may be deleted or overwritten.
    pub fn spend(&self, run: RunId, spent: Spent, now_ns: i64) -> Result<(), ManifestError> {
        if spent == Spent::default() {
            return Ok(());
        }
        let (at, stored) = (minute_after(now_ns), stored_amount);
        self.write("spend of the budget in", |conn| {
            conn.prepare_cached(
                "INSERT INTO spent (at, run, deletes, delete_bytes, overwrites) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET deletes = deletes + excluded.deletes,
                     delete_bytes = delete_bytes + excluded.delete_bytes, overwrites = overwrites + excluded.overwrites",
            )?
            .execute((at, run.0, stored(spent.deletes), stored(spent.delete_bytes), stored(spent.overwrites)))
            .map(drop)
        })
    }

    /// Takes out of what a run spent what was undone. Called after that: a crash before counts too much, never too little.
    ///
    /// # Errors
    /// [`ManifestError`]; then it counts.
    pub fn give_back(&self, run: RunId, undone: Spent, now_ns: i64) -> Result<(), ManifestError> {
        let (at, stored) = (minute_after(now_ns), stored_amount);
        self.write("spend of the budget in", |conn| {
            conn.prepare_cached(
                "UPDATE spent SET deletes = max(deletes - ?3, 0), delete_bytes = max(delete_bytes - ?4, 0),
                     overwrites = max(overwrites - ?5, 0) WHERE at = ?1 AND run = ?2",
            )?
            .execute((at, run.0, stored(undone.deletes), stored(undone.delete_bytes), stored(undone.overwrites)))
            .map(drop)
        })
    }

    /// A person agreed to all that a run did: it is no part of what may be done unasked. Called after it was done: a crash
    /// before counts too much, never too little.
    ///
    /// # Errors
    /// [`ManifestError`]; then it counts.
    pub fn unspend(&self, run: RunId) -> Result<(), ManifestError> {
        self.write("spend of the budget in", |conn| conn.execute("DELETE FROM spent WHERE run = ?1", [run.0]).map(drop))
    }

    /// What all runs spent since a time.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn spent_since(&self, since_ns: i64) -> Result<Spent, ManifestError> {
        self.read("read", |conn| {
            conn.prepare_cached(
                "SELECT coalesce(sum(deletes), 0), coalesce(sum(delete_bytes), 0), coalesce(sum(overwrites), 0)
                 FROM spent WHERE at >= ?1",
            )?
            .query_row([since_ns], |row| {
                let number = |index| row.get::<_, i64>(index).map(i64::cast_unsigned);
                Ok(Spent { deletes: number(0)?, delete_bytes: number(1)?, overwrites: number(2)? })
            })
        })
    }
}

/// When what is spent now is booked. Rounded up: it counts a minute longer than it has to.
fn minute_after(now_ns: i64) -> i64 {
    now_ns.div_euclid(MINUTE_NS).saturating_add(1).saturating_mul(MINUTE_NS)
}

fn stored_amount(n: u64) -> i64 {
    i64::try_from(n.min(1 << 50)).expect("2^50 fits")
}

fn run(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        id: RunId(row.get(0)?),
        command: row.get(1)?,
        source: row.get(2)?,
        dest: row.get(3)?,
        started_ns: row.get(4)?,
        ended_ns: row.get(5)?,
        ending: row.get(6)?,
        summary_json: row.get(7)?,
        name: row.get::<_, Option<String>>(8)?.and_then(|name| RunName::parse(&name)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{KeptLine, Orientation};
    use crate::model::{Key, Side};

    #[test]
    fn a_killed_run_shows_as_unfinished() {
        let manifest = Manifest::empty(Orientation::Forward).unwrap();
        let killed = manifest.begin_run("push", "a", "b", 1).unwrap();
        let done = manifest.begin_run("pull", "b", "a", 2).unwrap();
        manifest.finish_run(done, "finished", "{}", 3).unwrap();
        let runs = manifest.runs(10).unwrap();
        assert_eq!(runs.iter().map(|r| (r.id, r.ended_ns)).collect::<Vec<_>>(), [(done, Some(3)), (killed, None)]);
        assert_eq!((runs[0].ending.as_deref(), runs[0].summary_json.as_deref()), (Some("finished"), Some("{}")));
        assert_eq!((&*runs[1].command, &*runs[1].source, &*runs[1].dest, runs[1].started_ns), ("push", "a", "b", 1));
    }

    #[test]
    fn the_last_whole_run_is_kept_whatever_runs_over_parts_follow() {
        let manifest = Manifest::empty(Orientation::Forward).unwrap();
        manifest.begin_run("push", "a", "b", 0).unwrap();
        assert_eq!(manifest.whole_run().unwrap(), None);
        let whole = manifest.begin_run("push", "a", "b", 1).unwrap();
        manifest.set_whole_run(whole).unwrap();
        for n in 0..120 {
            manifest.begin_run("push", "a", "b", 200 * DAY_NS + n).unwrap();
        }
        assert_eq!(manifest.runs(1000).unwrap().len(), 121);
        assert_eq!(manifest.whole_run().unwrap().map(|run| (run.id, run.started_ns)), Some((whole, 1)));
    }

    #[test]
    fn both_sides_were_equal_when_the_last_whole_run_began_that_left_nothing() {
        let manifest = Manifest::empty(Orientation::Forward).unwrap();
        let ran = |whole: bool, at: i64, ending: &str| {
            let run = manifest.begin_run("sync", "a", "b", at).unwrap();
            if whole {
                manifest.set_whole_run(run).unwrap();
            }
            manifest.finish_run(run, ending, "{}", at + 1).unwrap();
            manifest.equal_at().unwrap()
        };
        assert_eq!(ran(false, 1, "finished"), None, "it was over a part");
        assert_eq!(ran(true, 2, "problems"), None);
        assert_eq!(ran(true, 3, "finished"), Some(3));
        assert_eq!(
            (ran(false, 4, "finished"), ran(true, 5, "halted"), ran(true, 6, "failed")),
            (Some(3), Some(3), Some(3))
        );
        assert_eq!(ran(true, 7, "finished"), Some(7));
    }

    #[test]
    fn a_run_is_known_for_what_it_put_into_the_trash_until_that_is_gone() {
        let manifest = Manifest::empty(Orientation::Forward).unwrap();
        let ran = |at: i64| {
            let run = manifest.begin_run("sync", "a", "b", at).unwrap();
            (run, manifest.run_name(run).unwrap())
        };
        let runs: Vec<_> = (0..3).map(|n| ran(n * DAY_NS)).collect();
        let keep = |side: Side, run: &RunName, name: &str| {
            let key = Key::new(name).unwrap();
            let line = KeptLine { run: run.clone(), key, size: 1, version: None, wrote: None };
            manifest.note_kept(side, &[line]).unwrap();
        };
        keep(Side::Source, &runs[0].1, "a");
        keep(Side::Dest, &runs[1].1, "a");
        keep(Side::Dest, &runs[1].1, "b");
        let still = || manifest.runs_still_kept(9).unwrap().iter().map(|run| run.id).collect::<Vec<_>>();
        assert_eq!(still(), [runs[1].0, runs[0].0]);
        manifest.forget_kept(Side::Dest, &runs[1].1, &Key::new("a").unwrap()).unwrap();
        assert_eq!(still(), [runs[1].0, runs[0].0]);
        manifest.forget_kept(Side::Dest, &runs[1].1, &Key::new("b").unwrap()).unwrap();
        assert_eq!(still(), [runs[0].0]);
        assert_eq!(manifest.runs_still_kept(0).unwrap(), []);
    }

    #[test]
    fn the_last_hundred_runs_and_those_of_90_days_are_kept() {
        let manifest = Manifest::empty(Orientation::Forward).unwrap();
        for n in 0..120 {
            manifest.begin_run("push", "a", "b", n).unwrap();
        }
        assert_eq!((manifest.runs(1000).unwrap().len(), manifest.count_runs()), (120, Ok(120)));
        manifest.begin_run("push", "a", "b", 91 * DAY_NS).unwrap();
        let runs = manifest.runs(1000).unwrap();
        assert_eq!((runs.len(), runs[99].started_ns), (100, 21));
    }

    #[test]
    fn a_clock_that_was_wrong_once_makes_no_run_old() {
        let manifest = Manifest::empty(Orientation::Forward).unwrap();
        let age = |at: &[i64], now: i64| {
            let runs: Vec<RunId> = at.iter().map(|at| manifest.begin_run("push", "a", "b", *at).unwrap()).collect();
            manifest.age_of_run(&manifest.run_name(runs[0]).unwrap(), now).unwrap().unwrap() / DAY_NS
        };
        let today = 20_000 * DAY_NS;
        assert_eq!(age(&[today, today + DAY_NS, today + 3 * DAY_NS], today + 4 * DAY_NS), 4);
        assert_eq!(age(&[0], today), 7, "it was long ago by a wrong clock");
        assert_eq!(age(&[today], today + 400 * DAY_NS), 7, "now is by a wrong clock");
        assert_eq!(age(&[today, today + 40 * DAY_NS, today + DAY_NS], today + 2 * DAY_NS), 8);
        assert_eq!(manifest.age_of_run(&RunName::new(0, 1), today), Ok(None));
    }

    #[test]
    fn budgets_slide_and_never_count_too_little() {
        let manifest = Manifest::empty(Orientation::Forward).unwrap();
        let run = manifest.begin_run("push", "a", "b", 0).unwrap();
        let spent = |deletes| Spent { deletes, delete_bytes: deletes * 10, overwrites: 1 };
        manifest.spend(run, spent(1), 30 * MINUTE_NS).unwrap();
        manifest.spend(run, spent(2), 30 * MINUTE_NS + 1).unwrap();
        manifest.spend(run, spent(4), 40 * MINUTE_NS).unwrap();
        manifest.spend(run, spent(8), 40 * MINUTE_NS).unwrap();
        assert_eq!(manifest.spent_since(0).unwrap(), Spent { deletes: 15, delete_bytes: 150, overwrites: 4 });
        assert_eq!(
            manifest.spent_since(30 * MINUTE_NS + 1).unwrap().deletes,
            15,
            "to the minute, late rather than early"
        );
        assert_eq!(manifest.spent_since(40 * MINUTE_NS).unwrap().deletes, 12);
        assert_eq!(manifest.spent_since(50 * MINUTE_NS).unwrap(), Spent::default());
        let approved = manifest.begin_run("approve", "a", "b", 0).unwrap();
        manifest.spend(approved, spent(100), 40 * MINUTE_NS).unwrap();
        assert_eq!(manifest.spent_since(40 * MINUTE_NS).unwrap().deletes, 112, "until all of it was done");
        manifest.unspend(approved).unwrap();
        assert_eq!(manifest.spent_since(40 * MINUTE_NS).unwrap().deletes, 12);
        manifest.begin_run("push", "a", "b", 8 * DAY_NS).unwrap();
        assert_eq!(manifest.spent_since(0).unwrap(), Spent::default());
    }
}
