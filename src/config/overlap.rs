//! Which jobs may not stand side by side.
//!
//! A place that one job writes may not equal or nest with any place of another job: each would undo what the other
//! did. One exception: it may be exactly another job's source (a backup of a backup). One source with two
//! destinations is fine, since nobody writes it.

use super::Mistake;

/// How two places lie to one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Neither holds anything of the other.
    Apart,
    /// The same place, however it is spelled.
    Same,
    /// One lies inside the other.
    Nested,
}

/// Which places a job writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// Its destination.
    Destination,
    /// Both.
    Both,
}

/// A job, with its places resolved as far as they can be: `None` where a variable is missing, which only
/// matters to a job that runs.
#[derive(Debug, Clone)]
pub struct Claim<'a, P> {
    /// The job's name.
    pub job: &'a str,
    /// Its line.
    pub line: usize,
    /// What it reads.
    pub source: Option<P>,
    /// What it writes.
    pub destination: Option<P>,
    /// Whether it writes its source too.
    pub writes: Writes,
}

impl<P> Claim<'_, P> {
    /// Both places with the key that names them, and whether the job writes them.
    fn places(&self) -> [(&'static str, &Option<P>, bool); 2] {
        [("destination", &self.destination, true), ("source", &self.source, self.writes == Writes::Both)]
    }
}

/// All pairs of jobs that may not stand side by side, each told at the later one's line.
pub fn overlaps<P>(claims: &[Claim<'_, P>], relation: impl Fn(&P, &P) -> Relation) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (index, later) in claims.iter().enumerate() {
        for earlier in &claims[..index] {
            let clashes = later.places().into_iter().flat_map(|own| earlier.places().map(|other| (own, other)));
            let clashes = clashes.filter_map(|((own, place, writes), (other, there, written))| {
                let found = relation(place.as_ref()?, there.as_ref()?);
                // What nobody writes is nobody's; what one writes, the other may read exactly.
                match (writes, written) {
                    (false, false) => None,
                    (true, true) => Some((found, Relation::Apart, own, other)),
                    _ => Some((found, Relation::Same, own, other)),
                }
            });
            for (found, allowed, own, other) in clashes {
                let how = match found {
                    Relation::Same if allowed != Relation::Same => "is",
                    Relation::Nested => "lies inside, or around,",
                    Relation::Apart | Relation::Same => continue,
                };
                let message = format!(
                    "{how} the {other} of job {:?} (line {}), so that one would undo the other",
                    earlier.job, earlier.line
                );
                let key = format!("job.{}.{own}", later.job);
                mistakes.push(Mistake { line: later.line, column: 1, key, message });
            }
        }
    }
    mistakes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relation(a: &&str, b: &&str) -> Relation {
        if a == b {
            Relation::Same
        } else if a.starts_with(&format!("{b}/")) || b.starts_with(&format!("{a}/")) {
            Relation::Nested
        } else {
            Relation::Apart
        }
    }

    fn check(jobs: &[(&'static str, &'static str)]) -> Vec<String> {
        check_with(jobs, &[])
    }

    fn check_with(jobs: &[(&'static str, &'static str)], two_way: &[&str]) -> Vec<String> {
        let names = ["one", "two"];
        let claims: Vec<Claim<'_, &str>> = jobs
            .iter()
            .zip(names)
            .enumerate()
            .map(|(i, ((source, destination), job))| Claim {
                job,
                line: i + 1,
                source: Some(*source).filter(|s| !s.is_empty()),
                destination: Some(*destination).filter(|d| !d.is_empty()),
                writes: if two_way.contains(&job) { Writes::Both } else { Writes::Destination },
            })
            .collect();
        overlaps(&claims, relation).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn one_source_with_two_destinations_and_a_backup_of_a_backup_are_fine() {
        assert!(check(&[("a", "b"), ("a", "c")]).is_empty());
        assert!(check(&[("a", "b"), ("b", "c")]).is_empty());
        assert!(check(&[("a", "b"), ("a/x", "c")]).is_empty());
        assert!(check(&[("b", "c"), ("a", "b")]).is_empty());
    }

    #[test]
    fn a_written_place_is_nobody_elses() {
        let same = check(&[("a", "b"), ("c", "b")]);
        let expected =
            "line 2: job.two.destination: is the destination of job \"one\" (line 1), so that one would undo the other";
        assert_eq!(same, [expected]);
        assert_eq!(check(&[("a", "b"), ("c", "b/x")]).len(), 1);
        assert_eq!(check(&[("a", "b"), ("b/x", "c")]).len(), 1);
        assert_eq!(check(&[("a", "b"), ("c", "a/x")]).len(), 1);
    }

    #[test]
    fn a_two_way_job_writes_both_its_places() {
        assert!(check_with(&[("a", "b"), ("a", "c")], &["one"]).is_empty(), "the other one only reads it");
        assert!(check_with(&[("a", "b"), ("b", "c")], &["one"]).is_empty());
        assert_eq!(check_with(&[("a", "b"), ("a", "c")], &["one", "two"]).len(), 1);
        assert_eq!(check_with(&[("a", "b"), ("c", "a")], &["one"]).len(), 1);
        assert_eq!(check_with(&[("a", "b"), ("a/x", "c")], &["one"]).len(), 1);
        assert_eq!(check_with(&[("a", "b"), ("b", "c")], &["one", "two"]).len(), 1);
        assert_eq!(check_with(&[("a", "b"), ("b", "c")], &["two"]).len(), 1, "what one writes, the other writes too");
    }

    #[test]
    fn a_place_behind_a_missing_variable_is_left_for_its_run() {
        assert!(check(&[("a", ""), ("c", "")]).is_empty());
    }
}
