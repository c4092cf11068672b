//! Single values about the pair and its sides.

use rusqlite::OptionalExtension;

use super::Manifest;
use super::error::ManifestError;
use crate::model::Side;

/// The plans that were carried out: hash, when it was made, when it was carried out; newest first.
const CARRIED_OUT: &str = "carried-out";
/// Holders of a lease that are remembered.
const HOLDERS: usize = 16;

/// A side, as `status` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The canonical text that the pair was made of.
    pub canonical: String,
    /// How the user last wrote it, without secrets; empty until a run has said so.
    pub display: String,
}

impl Manifest {
    /// Who the replica was at the last contact. Another identity behind the same name has a budget of 0.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn identity(&self, side: Side) -> Result<Option<String>, ManifestError> {
        self.value(&self.of("identity", side))
    }

    /// # Errors
    /// [`ManifestError`].
    pub fn set_identity(&self, side: Side, identity: &str) -> Result<(), ManifestError> {
        self.set_value(&self.of("identity", side), identity)
    }

    /// What a replica's probe found, in the replica's own text.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn probe(&self, side: Side) -> Result<Option<String>, ManifestError> {
        self.value(&self.of("probe", side))
    }

    /// # Errors
    /// [`ManifestError`].
    pub fn set_probe(&self, side: Side, probe: &str) -> Result<(), ManifestError> {
        self.set_value(&self.of("probe", side), probe)
    }

    /// Whether the user approved that a mirror to this cycle's destination deletes extras there. The approval does not
    /// hold for a mirror the other way round.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn mirror_approved(&self) -> Result<bool, ManifestError> {
        Ok(self.value(&self.of("mirror-approved", Side::Dest))?.is_some())
    }

    /// # Errors
    /// [`ManifestError`].
    pub fn approve_mirror(&self) -> Result<(), ManifestError> {
        self.set_value(&self.of("mirror-approved", Side::Dest), "yes")
    }

    /// Whether the last mirror of this pair made this cycle's source from its destination.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn was_mirrored_back(&self) -> Result<bool, ManifestError> {
        Ok(self.value(&self.of("mirrored", Side::Source))?.as_deref() == Some("yes"))
    }

    /// Whether the last mirror of this pair made this cycle's destination from its source.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn was_mirrored(&self) -> Result<bool, ManifestError> {
        Ok(self.value(&self.of("mirrored", Side::Dest))?.as_deref() == Some("yes"))
    }

    /// A mirror makes this cycle's destination from its source.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn set_mirrored(&self) -> Result<(), ManifestError> {
        self.set_value(&self.of("mirrored", Side::Source), "no")?;
        self.set_value(&self.of("mirrored", Side::Dest), "yes")
    }

    /// When a side was last listed completely, ns since the epoch.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn last_listed(&self, side: Side) -> Result<Option<i64>, ManifestError> {
        Ok(self.value(&self.of("last-listed", side))?.and_then(|text| text.parse().ok()))
    }

    /// # Errors
    /// [`ManifestError`].
    pub fn set_last_listed(&self, side: Side, at_ns: i64) -> Result<(), ManifestError> {
        self.set_value(&self.of("last-listed", side), &at_ns.to_string())
    }

    /// When a stored plan was carried out to its end, ns since the epoch. The same decisions made again at another time
    /// are another plan.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn carried_out(&self, hash: &str, made_ns: i64) -> Result<Option<i64>, ManifestError> {
        let plan = format!("{hash} {made_ns} ");
        let lines = self.value(CARRIED_OUT)?.unwrap_or_default();
        Ok(lines.lines().find_map(|line| line.strip_prefix(&plan)?.parse().ok()))
    }

    /// Remembers the last 50.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn set_carried_out(&self, hash: &str, made_ns: i64, at_ns: i64) -> Result<(), ManifestError> {
        let before = self.value(CARRIED_OUT)?.unwrap_or_default();
        let line = format!("{hash} {made_ns} {at_ns}");
        let lines: Vec<&str> = std::iter::once(&*line).chain(before.lines()).take(50).collect();
        self.set_value(CARRIED_OUT, &lines.join("\n"))
    }

    /// By which clock dirty keys have their times: when it began, ns since the epoch.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub(super) fn dirty_clock(&self) -> Result<Option<i64>, ManifestError> {
        Ok(self.value("dirty-clock")?.and_then(|text| text.parse().ok()))
    }

    /// # Errors
    /// [`ManifestError`].
    pub(super) fn set_dirty_clock(&self, clock_ns: i64) -> Result<(), ManifestError> {
        self.set_value("dirty-clock", &clock_ns.to_string())
    }

    /// The names under which processes of this pair held, or tried to take, the lease of its place since one last did.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn lease_holders(&self) -> Result<Vec<String>, ManifestError> {
        let names = self.value("lease")?.unwrap_or_default();
        Ok(names.split_whitespace().map(str::to_owned).collect())
    }

    /// Remembers the last ones.
    ///
    /// # Errors
    /// [`ManifestError`]; then no lease may be taken under these names.
    pub fn set_lease_holders(&self, names: &[String]) -> Result<(), ManifestError> {
        let from = names.len().saturating_sub(HOLDERS);
        self.set_value("lease", &names[from..].join(" "))
    }

    /// A side's location; `None` in memory.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn place(&self, side: Side) -> Result<Option<Place>, ManifestError> {
        let Some(canonical) = self.value(&self.of("location", side))? else { return Ok(None) };
        let display = self.value(&self.of("display", side))?.unwrap_or_default();
        Ok(Some(Place { canonical, display }))
    }

    /// How the user wrote a side's location, without secrets.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn set_display(&self, side: Side, display: &str) -> Result<(), ManifestError> {
        self.set_value(&self.of("display", side), display)
    }

    /// The name of a side's value.
    fn of(&self, name: &str, side: Side) -> String {
        format!("{name}.{}", self.orientation.number(side))
    }

    pub(super) fn value(&self, name: &str) -> Result<Option<String>, ManifestError> {
        self.read("read", |conn| {
            conn.prepare_cached("SELECT value FROM meta WHERE name = ?1")?
                .query_row([name], |row| row.get(0))
                .optional()
        })
    }

    /// Writes only what differs.
    pub(super) fn set_value(&self, name: &str, value: &str) -> Result<(), ManifestError> {
        if self.value(name)?.as_deref() == Some(value) {
            return Ok(());
        }
        self.write("write", |conn| {
            conn.prepare_cached(
                "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value",
            )?
            .execute((name, value))
            .map(drop)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Pair;

    #[test]
    fn values_belong_to_locations_not_to_directions() {
        let state = tempfile::tempdir().unwrap();
        let pair = Pair::new("file:///a", "s3://b");
        let open = |source: &str| Manifest::open(state.path(), &pair, pair.orientation(source)).unwrap().manifest;
        let push = open("file:///a");
        assert_eq!(push.identity(Side::Source).unwrap(), None);
        push.set_identity(Side::Source, "dev 1 inode 2").unwrap();
        push.set_probe(Side::Dest, "{}").unwrap();
        push.set_last_listed(Side::Dest, 5).unwrap();
        push.set_display(Side::Dest, "older").unwrap();
        push.set_display(Side::Dest, "live:").unwrap();
        drop(push);
        let pull = open("s3://b");
        assert_eq!(pull.identity(Side::Dest).unwrap().as_deref(), Some("dev 1 inode 2"));
        assert_eq!(pull.identity(Side::Source).unwrap(), None);
        assert_eq!(pull.probe(Side::Source).unwrap().as_deref(), Some("{}"));
        assert_eq!((pull.last_listed(Side::Source).unwrap(), pull.last_listed(Side::Dest).unwrap()), (Some(5), None));
        let place = |canonical: &str, display: &str| {
            Some(Place { canonical: canonical.to_owned(), display: display.to_owned() })
        };
        assert_eq!(pull.place(Side::Source).unwrap(), place("s3://b", "live:"));
        assert_eq!(pull.place(Side::Dest).unwrap(), place("file:///a", ""));
    }

    #[test]
    fn a_plan_that_was_carried_out_is_known_by_its_hash_and_its_making() {
        let manifest = Manifest::empty(crate::manifest::Orientation::Forward).unwrap();
        manifest.set_carried_out("abc", 1, 7).unwrap();
        manifest.set_carried_out("abd", 1, 8).unwrap();
        assert_eq!(manifest.carried_out("abc", 1).unwrap(), Some(7));
        assert_eq!(manifest.carried_out("abd", 1).unwrap(), Some(8));
        for other in [("abc", 2), ("ab", 1), ("abc", 17)] {
            assert_eq!(manifest.carried_out(other.0, other.1).unwrap(), None, "{other:?}");
        }
        for made in 2..52 {
            manifest.set_carried_out("abc", made, 9).unwrap();
        }
        assert_eq!(manifest.carried_out("abc", 1).unwrap(), None, "only the last ones are kept");
        assert_eq!(manifest.carried_out("abc", 2).unwrap(), Some(9));
    }

    #[test]
    fn the_approval_of_a_mirror_holds_for_one_direction() {
        let state = tempfile::tempdir().unwrap();
        let pair = Pair::new("file:///a", "s3://b");
        let open = |source: &str| Manifest::open(state.path(), &pair, pair.orientation(source)).unwrap().manifest;
        open("file:///a").approve_mirror().unwrap();
        assert!(open("file:///a").mirror_approved().unwrap());
        assert!(!open("s3://b").mirror_approved().unwrap());
    }
}
