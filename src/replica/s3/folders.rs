//! Servers that take a folder for an object. SeaweedFS 4.48 keeps the folder that a name was before, and answers a
//! creation of that name with 412. A creation is never sent without its condition because of that: the folder is
//! removed if it is empty, or the refusal is told.

use super::Inner;
use super::error::Failure;
use super::list::{From, Next};
use super::names::shown;
use super::ops::Op;
use super::sender::Condition;
use crate::model::Expect;
use crate::replica::{Ability, Cause, Error, Put};

/// How often one creation was refused because of something that is not there.
#[derive(Debug, Default)]
pub(super) struct Denials(u32);

impl Inner {
    /// Whether a creation that was refused so should be sent again, as it was.
    ///
    /// Once because what was there may have gone meanwhile; once more where the probe saw folders taken for objects,
    /// after an empty one was removed.
    ///
    /// # Errors
    /// It can't be told whether something is there, or a folder is in the way that can't be removed.
    pub(super) async fn denied(
        &self,
        object: &str,
        failure: &Failure,
        condition: &Condition,
        denials: &mut Denials,
    ) -> Result<bool, Error> {
        if *condition != Condition::Absent || failure.status != Some(412) || self.look_up(object).await?.is_some() {
            return Ok(false);
        }
        denials.0 += 1;
        match denials.0 {
            1 => Ok(true),
            _ if self.ability(|probe| probe.flat) != Ability::Missing => Ok(false),
            2 => self.remove_folder(object).await.map(|()| true),
            _ => Err(in_the_way(object)),
        }
    }

    /// Removes the folder of a name that no object has, if there is nothing below it and nothing that marks it.
    async fn remove_folder(&self, object: &str) -> Result<(), Error> {
        let folder = format!("{object}/");
        let below = self.page(&folder, &From::Start, 1).await?;
        if !below.objects.is_empty() || !below.undecodable.is_empty() || below.next != Next::End {
            return Err(in_the_way(object));
        }
        let removed = self.send_delete(&folder, None).await;
        removed.map_err(|failure| match self.wire.fold(&failure, Op::DeleteObject, Some(&folder)) {
            error if matches!(error.cause, Cause::Transient { .. }) => error,
            _ => in_the_way(object),
        })
    }

    /// Makes sure that nothing is below a name, where a server has no place for both and can't be relied on to say so:
    /// rclone 1.75 fails, and then lists the folder as an object too.
    pub(super) async fn must_hold_nothing(&self, object: &str) -> Result<(), Error> {
        if self.ability(|probe| probe.flat) != Ability::Missing {
            return Ok(());
        }
        let below = self.page(&format!("{object}/"), &From::Start, 1).await?;
        if below.objects.is_empty() && below.undecodable.is_empty() { Ok(()) } else { Err(in_the_way(object)) }
    }

    /// Makes sure before anything large is sent that no folder will be in the way: such a server shows it as an object.
    pub(super) async fn must_be_free(&self, object: &str, put: &Put<'_>) -> Result<(), Error> {
        if self.ability(|probe| probe.flat) != Ability::Missing || *put.expect != Expect::Absent {
            return Ok(());
        }
        let folder = format!("{object}/");
        if self.head(&folder).await?.is_none() {
            return Ok(());
        }
        self.remove_folder(object).await?;
        // With versioning it stays.
        if self.head(&folder).await?.is_some() { Err(in_the_way(object)) } else { Ok(()) }
    }
}

fn in_the_way(object: &str) -> Error {
    let text =
        format!("{} can't be stored: the server has a folder of this name, and takes it for a file", shown(object));
    Error::new(Cause::Refused, text).hint("Remove what is below this name at the server, or rename the file")
}
