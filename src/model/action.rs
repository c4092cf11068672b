//! What a plan says: actions with their reasons, and their totals.

use serde::{Deserialize, Serialize};

use super::{Digests, Entry, Key, Retype, StyleMark, Version};

/// The side that an action changes, in the orientation of the cycle. The engine calls both sides of a two-way
/// cycle source and destination too: *left* is the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The source of the cycle.
    Source,
    /// The destination of the cycle.
    Dest,
}

impl Side {
    /// Both, the source first.
    pub const BOTH: [Self; 2] = [Self::Source, Self::Dest];

    /// The one across.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Source => Self::Dest,
            Self::Dest => Self::Source,
        }
    }
}

/// What is expected under a key right before it is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// Nothing there: `If-None-Match: *`, no-replace rename.
    Absent,
    /// Exactly this version: `If-Match`, fingerprint check.
    Version(Version),
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Verb {
    /// Content travels to a key that has nothing.
    Create,
    /// Content travels to a key that has other content.
    Overwrite,
    /// The content is already on the changed side, under another key: copied there, no bytes sent.
    Copy {
        /// Where the content is.
        // In JSON the verb's fields stand beside the action's own, and that has a `from`.
        #[serde(rename = "copy_from")]
        from: Key,
        /// The version it has there.
        from_version: Version,
    },
    /// Both sides have content of their own under the key. The destination's is copied to another name first, at both
    /// sides; then the source's overwrites it under the key.
    KeepBoth {
        /// The other name, where it is free.
        kept_as: Key,
    },
    /// The key goes.
    Delete,
    /// The object gets the headers, the metadata, the storage class and the ACL that rules say; its content stays.
    Restyle {
        /// What is remembered of what it is to have.
        mark: Option<StyleMark>,
        /// What becomes of a type that no rule names.
        retype: Retype,
    },
    /// Manifest only: content found equal on both sides, without a base record.
    Adopt,
    /// Manifest only: a version moved, the content did not.
    Touch,
    /// Manifest only: both sides lost the key.
    Forget,
    /// Manifest only: the key went out of scope.
    Lapse,
}

impl Verb {
    /// Whether a replica is changed, not just the manifest.
    pub fn changes_a_replica(&self) -> bool {
        match self {
            Self::Create
            | Self::Overwrite
            | Self::Copy { .. }
            | Self::KeepBoth { .. }
            | Self::Delete
            | Self::Restyle { .. } => true,
            Self::Adopt | Self::Touch | Self::Forget | Self::Lapse => false,
        }
    }
}

/// Why something is done; shown to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "why")]
pub enum Reason {
    /// No counterpart and no base record.
    New,
    /// The content differs from the base.
    ContentChanged,
    /// The source gave up another key with this content in the same plan.
    Renamed {
        /// The key it had.
        from: Key,
    },
    /// Another key has this content too.
    Copied {
        /// That key.
        from: Key,
    },
    /// The source's times or metadata moved, the content did not.
    TouchedOnly,
    /// Deleted at the side that is not changed since the last run: at the source, if the run goes one way.
    DeletedAtSource,
    /// The destination lost it.
    MissingAtDestination,
    /// Equal on both sides without a base record.
    AlreadyThere,
    /// The changed side was changed by somebody else; the other one wins by policy.
    OverwritesChange,
    /// The changed side was changed by somebody else and the other one deleted it; that one wins by policy.
    DeletesChange,
    /// Both sides changed; both contents are kept, one under another name.
    BothKept,
    /// Only at the destination; a mirror removes it.
    Extra,
    /// Gone on both sides.
    GoneOnBothSides,
    /// A filter or another rule leaves it out now.
    OutOfScope,
    /// It is known to have what other rules said.
    RulesSay,
    /// It is not known whether it has what the rules say: a look comes first, and may show that nothing is to be done.
    NotKnown,
    /// A look showed that it does not have what the rules say.
    Drifted,
    /// A look showed that it has what the rules say: nothing was changed.
    AsRuled,
}

/// One decided action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// The key it is about.
    pub key: Key,
    /// The side that it changes (or, for manifest-only verbs, the destination).
    pub side: Side,
    /// What is done.
    #[serde(flatten)]
    pub verb: Verb,
    /// Why.
    pub reason: Reason,
    /// What must be found at `side` right before.
    pub expect: Expect,
    /// The content that is sent, adopted or recorded; for a deletion what goes.
    pub size: u64,
    /// The entry seen at the side that is *not* changed.
    pub from: Option<Entry>,
    /// The entry seen at the side that is changed.
    pub at: Option<Entry>,
    /// Digests known for the content.
    pub digests: Digests,
}

/// Totals of a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Objects created by sending bytes.
    pub creates: u64,
    /// Objects overwritten by sending bytes.
    pub overwrites: u64,
    /// Objects copied inside a replica.
    pub copies: u64,
    /// Objects deleted.
    pub deletes: u64,
    /// Objects that get what header rules say.
    #[serde(default)]
    pub restyles: u64,
    /// Of these, the ones that a look may show to need nothing.
    #[serde(default)]
    pub to_look: u64,
    /// Objects that were to get that and had it.
    #[serde(default)]
    pub as_ruled: u64,
    /// Of these, the old halves of renames whose new half is a copy in the same plan.
    pub rename_deletes: u64,
    /// Of these, extras that a mirror removes: nobody saw them at the source before.
    pub extra_deletes: u64,
    /// Manifest-only records.
    pub records: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes deleted, without the old halves of renames.
    pub bytes_deleted: u64,
}

impl Counts {
    /// Adds one action.
    pub fn add(&mut self, action: &Action) {
        for side in Side::BOTH {
            self.add_at(side, action);
        }
    }

    /// Takes one action out again.
    pub fn remove(&mut self, action: &Action) {
        for side in Side::BOTH {
            self.remove_at(side, action);
        }
    }

    /// Adds what one action does at a side.
    pub fn add_at(&mut self, side: Side, action: &Action) {
        self.apply(side, action, u64::saturating_add);
    }

    /// Takes out what one action does at a side.
    pub fn remove_at(&mut self, side: Side, action: &Action) {
        self.apply(side, action, u64::saturating_sub);
    }

    /// What is left of these without some of them.
    #[must_use]
    pub fn without(&self, some: &Self) -> Self {
        Self {
            creates: self.creates.saturating_sub(some.creates),
            overwrites: self.overwrites.saturating_sub(some.overwrites),
            copies: self.copies.saturating_sub(some.copies),
            deletes: self.deletes.saturating_sub(some.deletes),
            restyles: self.restyles.saturating_sub(some.restyles),
            to_look: self.to_look.saturating_sub(some.to_look),
            as_ruled: self.as_ruled.saturating_sub(some.as_ruled),
            rename_deletes: self.rename_deletes.saturating_sub(some.rename_deletes),
            extra_deletes: self.extra_deletes.saturating_sub(some.extra_deletes),
            records: self.records.saturating_sub(some.records),
            bytes_sent: self.bytes_sent.saturating_sub(some.bytes_sent),
            bytes_deleted: self.bytes_deleted.saturating_sub(some.bytes_deleted),
        }
    }

    /// Both together.
    #[must_use]
    pub fn with(&self, more: &Self) -> Self {
        Self {
            creates: self.creates.saturating_add(more.creates),
            overwrites: self.overwrites.saturating_add(more.overwrites),
            copies: self.copies.saturating_add(more.copies),
            deletes: self.deletes.saturating_add(more.deletes),
            restyles: self.restyles.saturating_add(more.restyles),
            to_look: self.to_look.saturating_add(more.to_look),
            as_ruled: self.as_ruled.saturating_add(more.as_ruled),
            rename_deletes: self.rename_deletes.saturating_add(more.rename_deletes),
            extra_deletes: self.extra_deletes.saturating_add(more.extra_deletes),
            records: self.records.saturating_add(more.records),
            bytes_sent: self.bytes_sent.saturating_add(more.bytes_sent),
            bytes_deleted: self.bytes_deleted.saturating_add(more.bytes_deleted),
        }
    }

    fn apply(&mut self, side: Side, action: &Action, change: fn(u64, u64) -> u64) {
        let bump = |count: &mut u64, by: u64| *count = change(*count, by);
        if let Verb::KeepBoth { .. } = action.verb {
            return match side {
                Side::Source => {
                    bump(&mut self.creates, 1);
                    bump(&mut self.bytes_sent, action.at.as_ref().map_or(0, |entry| entry.size));
                }
                Side::Dest => {
                    bump(&mut self.copies, 1);
                    bump(&mut self.overwrites, 1);
                    bump(&mut self.bytes_sent, action.size);
                }
            };
        }
        if side != action.side {
            return;
        }
        match &action.verb {
            Verb::Create => {
                bump(&mut self.creates, 1);
                bump(&mut self.bytes_sent, action.size);
            }
            Verb::Overwrite => {
                bump(&mut self.overwrites, 1);
                bump(&mut self.bytes_sent, action.size);
            }
            Verb::Copy { .. } | Verb::KeepBoth { .. } => bump(&mut self.copies, 1),
            Verb::Delete => {
                bump(&mut self.deletes, 1);
                match action.reason {
                    Reason::Renamed { .. } => bump(&mut self.rename_deletes, 1),
                    Reason::Extra => {
                        bump(&mut self.extra_deletes, 1);
                        bump(&mut self.bytes_deleted, action.size);
                    }
                    _ => bump(&mut self.bytes_deleted, action.size),
                }
            }
            Verb::Restyle { .. } if action.reason == Reason::AsRuled => bump(&mut self.as_ruled, 1),
            Verb::Restyle { .. } => {
                bump(&mut self.restyles, 1);
                bump(&mut self.to_look, u64::from(action.reason == Reason::NotKnown));
            }
            Verb::Adopt | Verb::Touch | Verb::Forget | Verb::Lapse => bump(&mut self.records, 1),
        }
    }

    /// Whether there are no actions at all, none for the manifest either.
    pub fn is_nothing(&self) -> bool {
        self.changes() == 0 && self.records == 0
    }

    /// Actions that change a replica.
    pub fn changes(&self) -> u64 {
        self.creates + self.overwrites + self.copies + self.deletes + self.restyles
    }

    /// Changes, and those that turned out to be needless.
    pub fn handled(&self) -> u64 {
        self.changes() + self.as_ruled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_round_trips_as_json() {
        let key = |text: &str| Key::new(text).expect("a key");
        let entry = Entry {
            size: 1,
            version: Version::new("v"),
            modified_ns: None,
            digests: Digests::none(),
            readable: crate::model::Readable::Yes,
        };
        let action = Action {
            key: key("new"),
            side: Side::Dest,
            verb: Verb::Copy { from: key("old"), from_version: Version::new("w") },
            reason: Reason::Renamed { from: key("old") },
            expect: Expect::Absent,
            size: 1,
            from: Some(entry),
            at: None,
            digests: Digests::none(),
        };
        let json = serde_json::to_string(&action).expect("text keys");
        assert_eq!(serde_json::from_str::<Action>(&json).expect("what was written"), action);
    }
}
