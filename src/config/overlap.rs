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

/// A one-way job, with its places resolved as far as they can be: `None` where a variable is missing, which only
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
}

/// All pairs of jobs that may not stand side by side, each told at the later one's line.
pub fn overlaps<P>(claims: &[Claim<'_, P>], relation: impl Fn(&P, &P) -> Relation) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (index, later) in claims.iter().enumerate() {
        for earlier in &claims[..index] {
            let between = |a: &Option<P>, b: &Option<P>| match (a, b) {
                (Some(a), Some(b)) => relation(a, b),
                _ => Relation::Apart,
            };
            let clashes = [
                (between(&later.destination, &earlier.destination), Relation::Apart, "destination", "destination"),
                (between(&later.destination, &earlier.source), Relation::Same, "destination", "source"),
                (between(&later.source, &earlier.destination), Relation::Same, "source", "destination"),
            ];
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
                mistakes.push(Mistake { line: later.line, key: format!("job.{}.{own}", later.job), message });
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
    fn a_place_behind_a_missing_variable_is_left_for_its_run() {
        assert!(check(&[("a", ""), ("c", "")]).is_empty());
    }
}
