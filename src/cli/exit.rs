//! Exit codes: what a script learns from a run. The only place that knows the numbers.

use crate::sync::{Ending, Report};

/// How a command ended, mildest first: `max` is what a run over several jobs exits with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Done. What rules skip is counted, not an error.
    Done,
    /// Finished, with problems or conflicts that are left; for `status`: stale.
    Problems,
    /// Another process, or another host by its lease, holds the pair; trying later is enough.
    Held,
    /// A guard refused to go on; nothing was changed.
    Halted,
    /// Something failed.
    Failed,
    /// The command line or the configuration is wrong.
    Usage,
    /// Ctrl-C or SIGTERM.
    Interrupted,
}

impl Exit {
    /// The number that the process exits with.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Problems => 3,
            Self::Halted => 4,
            Self::Held => 5,
            Self::Interrupted => 130,
        }
    }

    /// What a number means that another process of ours gave.
    pub fn of_code(code: u8) -> Self {
        let all = [Self::Done, Self::Problems, Self::Held, Self::Halted, Self::Usage, Self::Interrupted];
        all.into_iter().find(|exit| exit.code() == code).unwrap_or(Self::Failed)
    }

    /// What a cycle's report amounts to.
    pub fn of(report: &Report) -> Self {
        match report.ending {
            Ending::Halted(_) => Self::Halted,
            Ending::Finished if report.problem_count > 0 || report.conflict_count > 0 => Self::Problems,
            Ending::Finished => Self::Done,
        }
    }
}

/// The section that every command's help ends with.
pub const HELP: &str = "\
Exit status:
  0    done; what rules skip is counted, not an error
  1    an error
  2    the command line or the configuration is wrong
  3    finished, with problems or conflicts
  4    halted by a guard; nothing was changed
  5    another process, or another host by its lease, holds this pair of places
  130  interrupted";

/// What a command's help ends with: its examples, and [`HELP`].
pub fn help(examples: &str) -> String {
    format!("{examples}\n\n{HELP}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Halt;

    #[test]
    fn a_report_gives_its_code() {
        assert_eq!(Exit::of(&Report::empty()).code(), 0);
        let mut skipped = Report::empty();
        skipped.extras = 5;
        skipped.skipped.push((crate::model::SkipReason::Junk, 9));
        assert_eq!(Exit::of(&skipped).code(), 0);
        let mut problems = Report::empty();
        problems.problem_count = 1;
        assert_eq!(Exit::of(&problems).code(), 3);
        let mut conflicts = Report::empty();
        conflicts.conflict_count = 1;
        assert_eq!(Exit::of(&conflicts).code(), 3);
        problems.ending = Ending::Halted(Halt { message: "why".into(), plan: None });
        assert_eq!(Exit::of(&problems).code(), 4);
    }

    #[test]
    fn several_jobs_exit_with_the_worst() {
        let worst = |codes: &[Exit]| codes.iter().copied().max().unwrap().code();
        assert_eq!(worst(&[Exit::Done, Exit::Problems, Exit::Done]), 3);
        assert_eq!(worst(&[Exit::Problems, Exit::Held]), 5);
        assert_eq!(worst(&[Exit::Held, Exit::Halted]), 4);
        assert_eq!(worst(&[Exit::Halted, Exit::Failed]), 1);
        assert_eq!(worst(&[Exit::Interrupted, Exit::Failed]), 130);
    }

    #[test]
    fn the_help_names_every_code() {
        use Exit::{Done, Failed, Halted, Held, Interrupted, Problems, Usage};
        for exit in [Done, Problems, Held, Halted, Failed, Usage, Interrupted] {
            assert!(HELP.lines().any(|line| line.trim_start().starts_with(&format!("{} ", exit.code()))), "{exit:?}");
        }
    }
}
