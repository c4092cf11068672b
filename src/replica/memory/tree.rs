//! A memory replica in which a file and a directory can't share a name, as on a disk.

use super::{Memory, State};
use crate::model::{Key, Namespace};
use crate::replica::{Cause, Error};

impl Memory {
    /// From now on a key and keys below it can't both be there.
    pub fn become_tree(&self) {
        self.lock().namespace = Namespace::Tree;
    }

    /// Whether there is room for a key: in a tree, nothing above it and nothing below it.
    pub(super) fn has_room(state: &State, key: &Key) -> Result<(), Error> {
        let in_its_way = |other: &&Key| other.is_below(key.as_str()) || key.is_below(other.as_str());
        if state.namespace == Namespace::Flat {
            return Ok(());
        }
        match state.objects.keys().find(in_its_way) {
            None => Ok(()),
            Some(other) => Err(Error::new(Cause::Refused, format!("{key}: {other} is in its way"))),
        }
    }
}
