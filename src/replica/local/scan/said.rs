//! What a walk tells: statements about what it met, could not read, or leaves out.

use rustix::io::Errno;

use super::super::fault::{stops_everything, unreadable};
use super::super::links::why_lost;
use super::{BATCH, Halt, Walk};
use crate::model::{Item, Key, Problem, ProblemKind, Reach, SkipReason, Symlinks};
use crate::replica::{Cause, Error};

impl Walk<'_> {
    /// A link that is left out by rule, or that can't be followed: then nothing is known of what it stands for.
    pub(super) fn left_out(&mut self, reach: Reach) -> Result<(), Halt> {
        if self.root.made.links == Symlinks::Skip {
            return self.say(Item::Skipped(reach, SkipReason::Symlink));
        }
        let (Reach::Key(key) | Reach::Below(key)) = &reach else { return Ok(()) };
        match self.root.stat_followed(key.as_str()) {
            Ok(_) => self.changed(reach),
            Err(errno) => self.lost(reach, errno),
        }
    }

    pub(super) fn lost(&mut self, reach: Reach, errno: Errno) -> Result<(), Halt> {
        let (Reach::Key(key) | Reach::Below(key)) = &reach else { return Ok(()) };
        if stops_everything(errno) {
            return Err(self.stopped(reach, errno));
        }
        let (message, way) = why_lost(key, errno);
        let problem = Problem { reach: Some(reach.clone()), kind: ProblemKind::Unreadable, message, hint: None };
        self.say(Item::Unknown(reach, problem.hint(way)))
    }

    /// A link where something else was when the directory was read.
    pub(super) fn became_link(&mut self, reach: Reach) -> Result<(), Halt> {
        match self.root.made.links {
            Symlinks::Skip => self.say(Item::Skipped(reach, SkipReason::Symlink)),
            Symlinks::Follow | Symlinks::Store => self.changed(reach),
        }
    }

    pub(super) fn changed(&mut self, reach: Reach) -> Result<(), Halt> {
        let (Reach::Key(key) | Reach::Below(key)) = &reach else { return Ok(()) };
        let message = format!("`{key}` became something else while the directory was read");
        let problem = Problem { reach: Some(reach.clone()), kind: ProblemKind::Changed, message, hint: None };
        self.say(Item::Unknown(reach, problem))
    }

    pub(super) fn unknown(&mut self, reach: Reach, errno: Errno) -> Result<(), Halt> {
        if stops_everything(errno) {
            return Err(self.stopped(reach, errno));
        }
        let problem = unreadable(reach.clone(), &self.root.path, errno);
        self.say(Item::Unknown(reach, problem))
    }

    pub(super) fn stopped(&self, reach: Reach, errno: Errno) -> Halt {
        let problem = unreadable(reach, &self.root.path, errno);
        Halt::Failed(Error { cause: Cause::Stop, message: problem.message, hint: problem.hint })
    }

    pub(super) fn skip_both(&mut self, key: &Key, reason: SkipReason) -> Result<(), Halt> {
        self.say(Item::Skipped(Reach::Key(key.clone()), reason))?;
        self.say(Item::Skipped(Reach::Below(key.clone()), reason))
    }

    pub(super) fn say(&mut self, item: Item) -> Result<(), Halt> {
        self.batch.push(item);
        if self.batch.len() < BATCH {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        self.out.blocking_send(Ok(full)).map_err(|_| Halt::Unheard)
    }
}

/// One allocation of the right size: this runs for every key.
pub(super) fn joined(dir: &str, name: &str) -> String {
    let mut text = String::with_capacity(dir.len() + name.len());
    text.push_str(dir);
    text.push_str(name);
    text
}
