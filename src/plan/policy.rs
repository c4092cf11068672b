//! What a run may do: push, pull, mirror and two-way are values of these types, not code paths.

use serde::{Deserialize, Serialize};

use crate::model::Side;

/// How the two sides relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// One way; what the destination has besides stays.
    Copy,
    /// One way; deletions since the last run are propagated (`copy` with `--delete`).
    CopyAndDelete,
    /// One way; the destination is made exact.
    Mirror,
    /// Both ways.
    TwoWay,
}

/// What happens where both sides changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnConflict {
    /// Report it, change nothing.
    #[default]
    Report,
    /// The source wins (`--overwrite`).
    SourceWins,
    /// The destination wins. Two-way only.
    DestWins,
    /// The content that was modified later wins, by the clocks of both sides. Two-way only.
    Newer,
    /// Both contents are kept; the destination's gets another name. Two-way only.
    KeepBoth,
}

/// How far contents are compared where metadata can't tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compare {
    /// Digests, checksums and metadata that the replicas give without a transfer.
    #[default]
    Metadata,
    /// Remote content is read where nothing else tells.
    Download,
}

/// All that `decide` needs to know of what the user asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How the sides relate.
    pub mode: Mode,
    /// Where both changed.
    pub on_conflict: OnConflict,
    /// Where metadata can't tell.
    pub compare: Compare,
}

impl Mode {
    /// The sides that a run of this mode may change. Whatever prepares, journals, recovers or tidies a side goes over
    /// these.
    pub const fn writes(self) -> &'static [Side] {
        match self {
            Self::Copy | Self::CopyAndDelete | Self::Mirror => &[Side::Dest],
            Self::TwoWay => &Side::BOTH,
        }
    }

    /// The sides whose losses may become deletions at the other one: the guard watches these.
    pub const fn follows(self) -> &'static [Side] {
        match self {
            Self::Copy | Self::CopyAndDelete | Self::Mirror => &[Side::Source],
            Self::TwoWay => &Side::BOTH,
        }
    }
}

/// A number of keys or a share of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// So many keys.
    Keys(u64),
    /// So many percent of the base's keys.
    Percent(f64),
}

impl Limit {
    /// How many of so many keys it allows; a share is rounded down.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a count; the config checks 0..=100"
    )]
    pub fn of(self, keys: u64) -> u64 {
        match self {
            Self::Keys(keys) => keys,
            Self::Percent(percent) => (keys as f64 * percent / 100.0) as u64,
        }
    }
}

/// How a person allows more than a budget does, besides approving a plan: what a halt says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raise {
    /// By flags of the command.
    ByFlag,
    /// In the job, or by flags of a command: it runs only when somebody asks for it.
    InJob,
    /// In the configuration that a daemon runs by; it takes no such flags.
    InConfig,
}

/// How much a run may delete, or overwrite, before the guard asks.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Budget {
    /// The pair's sliding budget of 24 hours.
    #[default]
    Sliding,
    /// `--max-delete`, `--max-overwrite`: this many in this run, whatever happened before.
    ThisRun(Limit),
    /// The same for a job that runs all day in many cycles: this many in 24 hours.
    Daily(Limit),
}

impl Budget {
    /// What it means where a run is one of many cycles of a day. All keys is no limit: a file may be written many times
    /// a day.
    #[must_use]
    pub fn of_a_day(self) -> Self {
        match self {
            Self::ThisRun(Limit::Percent(percent)) if percent >= 100.0 => self,
            Self::ThisRun(limit) => Self::Daily(limit),
            Self::Sliding | Self::Daily(_) => self,
        }
    }
}
