//! The words of a state: what JSON, metrics and pages call it, and which states somebody has to look at.

use super::state::{Coverage, Health, Look};

impl Look {
    /// As `serde` writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Watched => "watched",
            Self::Changes => "changes",
        }
    }
}

impl Coverage {
    /// As `serde` writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Degraded => "degraded",
            Self::Polling => "polling",
            Self::Lost => "lost",
        }
    }
}

impl Health {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::InSync, Self::Syncing, Self::Paused, Self::Standby, Self::Stale, Self::Problems, Self::Halted];

    /// As `serde` writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::InSync => "in-sync",
            Self::Syncing => "syncing",
            Self::Paused => "paused",
            Self::Standby => "standby",
            Self::Stale => "stale",
            Self::Problems => "problems",
            Self::Halted => "halted",
        }
    }

    /// Whether somebody has to look: both sides differ for longer than they may, or will until a person decides.
    pub fn fails(self) -> bool {
        match self {
            Self::Stale | Self::Halted => true,
            Self::InSync | Self::Syncing | Self::Paused | Self::Standby | Self::Problems => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_are_written() {
        for health in Health::ALL {
            assert_eq!(serde_json::to_value(health).unwrap(), health.name());
        }
        for look in [Look::Both, Look::Watched, Look::Changes] {
            assert_eq!(serde_json::to_value(look).unwrap(), look.name());
        }
        for coverage in [Coverage::Full, Coverage::Degraded, Coverage::Polling, Coverage::Lost] {
            assert_eq!(serde_json::to_value(coverage).unwrap(), coverage.name());
        }
    }
}
