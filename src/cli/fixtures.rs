//! Values that the tests of this folder share.

use crate::model::{Action, Digests, Entry, Expect, Key, Readable, Reason, Side, Verb, Version};

pub(super) fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

pub(super) fn entry(size: u64, modified_ns: Option<i64>) -> Entry {
    Entry { size, version: Version::new("v"), modified_ns, digests: Digests::none(), readable: Readable::Yes }
}

pub(super) fn action(verb: Verb, reason: Reason, size: u64, name: &str) -> Action {
    Action {
        key: key(name),
        side: Side::Dest,
        verb,
        reason,
        expect: Expect::Absent,
        size,
        from: None,
        at: None,
        digests: Digests::none(),
    }
}
