//! Which keys are in scope.

use super::{Key, SkipReason};

/// What the user's rules say; built once a run.
#[derive(Debug, Clone, Default)]
pub struct FilterRules {
    /// Ordered rules, the last match wins.
    pub rules: Vec<Rule>,
    /// Whether the list of certain junk applies.
    pub junk: Junk,
    /// Size limits.
    pub sizes: SizeLimits,
}

/// One ordered rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Leave out what matches the glob.
    Exclude(String),
    /// Take what matches the glob, whatever came before.
    Include(String),
}

/// Whether the list of certain junk applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Junk {
    /// It does.
    #[default]
    Skip,
    /// `--no-default-excludes`.
    Take,
}

/// Inclusive size limits in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SizeLimits {
    /// Smallest.
    pub min: Option<u64>,
    /// Largest.
    pub max: Option<u64>,
}

/// Whether a key is in scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    In,
    /// It is not, and why.
    Out(SkipReason),
}

/// The compiled rules.
#[derive(Debug, Default)]
pub struct Filter {
    _private: (),
}

impl Filter {
    /// Whether `key` is in scope, `size` being the larger of the two sides.
    pub fn verdict(&self, _key: &Key, _size: u64) -> Verdict {
        Verdict::In
    }

    /// Whether nothing below the directory `dir` can be in scope.
    pub fn prunes(&self, _dir: &str) -> Option<SkipReason> {
        None
    }
}
