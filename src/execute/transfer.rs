//! One action that brings content to a key: sent, or copied inside the destination.

use std::sync::atomic::Ordering::Relaxed;

use crate::hash::hash_parts;
use crate::manifest::Record;
use crate::model::{Action, BaseRecord, DigestKind, Digests, Entry, Expect, ReadCost, Verb};
use crate::replica::{Attributes, Cause, Content, Error, Journal, Put, Replica, WHOLE_LIMIT};
use crate::survey::sent_entry;

use super::{Executor, Outcome, agreed, outcome_of};

/// What came of letting the service copy.
enum Fetched {
    Stored(Box<Record>),
    /// It can't: the content has to be sent. What was there is kept, and this must be there now.
    Refused(Expect),
    /// The sides do not lie in one service.
    Elsewhere,
}

impl Executor<'_> {
    pub(super) async fn transfer(&self, action: Action) -> Result<Outcome, Error> {
        let done = match &action.verb {
            Verb::Copy { .. } => self.copy(&action).await,
            Verb::KeepBoth { .. } => self.keep_both(&action).await,
            Verb::Create | Verb::Overwrite => self.send(&action).await.map(|record| (action.clone(), record)),
            Verb::Delete | Verb::Restyle { .. } | Verb::Adopt | Verb::Touch | Verb::Forget | Verb::Lapse => {
                Err(Error::new(Cause::Stop, format!("{}: a plan sends this without content", action.key)))
            }
        };
        match done {
            Ok((action, record)) => Ok(Outcome::Done(Box::new(action), record)),
            Err(error) => outcome_of(&action, error),
        }
    }

    /// Where the content comes from, and where it goes.
    fn ways(&self, action: &Action) -> (&dyn Replica, &dyn Replica) {
        (self.sides.of(action.side.other()), self.sides.of(action.side))
    }

    pub(super) async fn send(&self, action: &Action) -> Result<Record, Error> {
        let (from, to) = self.ways(action);
        let planned = sent_entry(action)?;
        let kept = match self.fetch(action, from, to, planned).await? {
            Fetched::Stored(record) => {
                self.progress.bytes_copied.fetch_add(planned.size, Relaxed);
                return Ok(*record);
            }
            Fetched::Refused(expect) => Some(expect),
            Fetched::Elsewhere => None,
        };
        let _room = self.buffers.take(if planned.size > WHOLE_LIMIT { 0 } else { planned.size }).await;
        let content = from.open_seen(&action.key, planned).await?;
        let mut digests = Digests::none();
        let parts = match &content {
            Content::Whole { blake3, .. } => {
                digests.add(blake3.clone());
                None
            }
            // Hashing would transfer it a second time: it is hashed while it goes by, and has to be what it says that it
            // is.
            Content::Pieces(pieces) if from.capabilities().read_cost == ReadCost::Transfer => {
                digests.extend(pieces.entry().digests.get(DigestKind::Blake3).cloned());
                None
            }
            Content::Pieces(pieces) => {
                let (blake3, parts) = hash_parts(&**pieces, to.part_size(planned.size), self.buffers).await?;
                digests.add(blake3);
                Some(parts)
            }
        };
        // Before the first byte: after a kill it is the proof of what is ours.
        if let Some(blake3) = digests.get(DigestKind::Blake3) {
            self.proofs.add(self.manifest, action.side, &action.key, &blake3.text).await?;
        }
        let expect = match kept {
            Some(expect) => expect,
            None => self.keep(action).await?,
        };
        let (journal, ruled) = (self.manifest.upload_journal(action.side), self.ruled(action.side, &action.key));
        let put = Put {
            expect: &expect,
            attributes: content.attributes(),
            parts: parts.as_ref(),
            // A listing shows when an object was stored. What was recorded with it comes with its content.
            style: Some(&ruled.style),
            ..self.put(action, &digests, content.entry(), &journal)
        };
        let stored = to.put(&action.key, &content, &put).await?;
        let action = Action { digests, ..action.clone() };
        Ok(self.stored(&action, content.entry(), &stored))
    }

    /// Lets the service that both sides lie in copy the content.
    async fn fetch(
        &self,
        action: &Action,
        from: &dyn Replica,
        to: &dyn Replica,
        planned: &Entry,
    ) -> Result<Fetched, Error> {
        if !from.service().is_some_and(|service| to.reaches(service)) {
            return Ok(Fetched::Elsewhere);
        }
        let ruled = self.ruled(action.side, &action.key);
        // What wins over some of what an object carries has to be stated with all of it.
        let origin = if ruled.style.names_headers() {
            from.origin(&action.key, &planned.version).await?
        } else {
            from.origin_seen(&action.key, planned).await?
        };
        // What an ETag says belongs to the object that has it.
        let digests: Digests = origin.entry.digests.iter().filter(|one| one.kind.is_of_content()).cloned().collect();
        if let Some(blake3) = digests.get(DigestKind::Blake3) {
            self.proofs.add(self.manifest, action.side, &action.key, &blake3.text).await?;
        }
        let (expect, journal) = (self.keep(action).await?, self.manifest.upload_journal(action.side));
        let put = self.put(action, &digests, &origin.entry, &journal);
        let put = Put { expect: &expect, attributes: origin.attributes.as_ref(), style: Some(&ruled.style), ..put };
        match to.copy_from(&origin, &action.key, &put).await {
            Ok(stored) => {
                let action = Action { digests, ..action.clone() };
                Ok(Fetched::Stored(Box::new(self.stored(&action, &origin.entry, &stored))))
            }
            Err(error) if error.cause == Cause::Unsupported => Ok(Fetched::Refused(expect)),
            Err(error) => Err(error),
        }
    }

    /// Copies inside the destination; where that does not work, the content is sent.
    async fn copy(&self, action: &Action) -> Result<(Action, Record), Error> {
        let Verb::Copy { from: old, from_version } = &action.verb else {
            return Err(Error::new(Cause::Stop, format!("{}: not a copy", action.key)));
        };
        let (from, to) = self.ways(action);
        let planned = sent_entry(action)?;
        // A copy of the source's own object carries what that does.
        if let Fetched::Stored(record) = self.fetch(action, from, to, planned).await? {
            return Ok((action.clone(), *record));
        }
        let (seen, attributes) = recorded(from, action, planned).await?;
        let (journal, ruled) = (self.manifest.upload_journal(action.side), self.ruled(action.side, &action.key));
        let put = self.put(action, &action.digests, &seen, &journal);
        let put = Put { attributes: attributes.as_ref(), style: Some(&ruled.style), ..put };
        match to.copy(old, from_version, &action.key, &put).await {
            Ok(stored) => Ok((action.clone(), self.stored(action, &seen, &stored))),
            Err(error) if error.cause == Cause::Stop => Err(error),
            // The origin changed, or the server can't copy: the source still has the content. If the target
            // itself was raced, sending meets the same precondition.
            Err(_) => {
                let sent = Action { verb: Verb::Create, ..action.clone() };
                let record = self.send(&sent).await?;
                Ok((sent, record))
            }
        }
    }

    /// The record of content that was sent or copied, with what it was given besides.
    pub(super) fn stored(&self, action: &Action, other: &Entry, stored: &Entry) -> Record {
        let marks = self.marks(action.side, &action.key);
        Record::Put(BaseRecord { marks, ..agreed(action, other, stored) })
    }

    pub(super) fn put<'b>(
        &'b self,
        action: &'b Action,
        digests: &'b Digests,
        entry: &Entry,
        journal: &'b dyn Journal,
    ) -> Put<'b> {
        Put {
            expect: &action.expect,
            digests,
            mtime_ns: entry.modified_ns,
            attributes: None,
            style: None,
            parts: None,
            journal,
            buffers: self.buffers,
            meter: &self.progress.sent,
        }
    }
}

/// What was recorded with content that a copy stands for, and what it carries. A listing shows when an object was
/// stored; what was recorded with it comes with a look.
async fn recorded(from: &dyn Replica, action: &Action, planned: &Entry) -> Result<(Entry, Option<Attributes>), Error> {
    if from.service().is_some() {
        let origin = from.origin(&action.key, &planned.version).await?;
        return Ok((origin.entry, origin.attributes));
    }
    let found = match from.capabilities().read_cost {
        ReadCost::Cheap => None,
        ReadCost::Transfer => from.look_up(&action.key).await?,
    };
    if found.as_ref().is_some_and(|entry| entry.version != planned.version) {
        return Err(Error::new(Cause::Changed, format!("{}: changed since the plan was made", action.key)));
    }
    Ok((found.unwrap_or_else(|| planned.clone()), None))
}
