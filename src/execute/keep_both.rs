//! Both contents of a key are kept: the destination's gets another name at both sides, and only then does the source's
//! take its place.
//!
//! Each step is acknowledged before the next begins, and nothing that is there is overwritten but the key itself, in the
//! version that the plan saw. A run that dies in between leaves a copy that the next one finds under the same name:
//! what has that name and the same content is the copy.

use crate::examine::read;
use crate::hash::hash_parts;
use crate::manifest::Record;
use crate::model::{
    Action, DigestKind, Digests, Entry, Expect, Key, ReadCost, Reason, Sameness, Side, Verb, Version, Want, numbered,
    same_content,
};
use crate::replica::{Cause, Content, Error, Put, WHOLE_LIMIT, part_size};

use super::{Executor, agreed};

/// Names with a number that are tried.
const NAMES: u32 = 50;

/// A name for the copy, and what of the copy is there already.
struct Place {
    key: Key,
    at_source: Option<Entry>,
    at_dest: Option<Entry>,
}

/// The content that gets another name.
struct Loser<'a> {
    key: &'a Key,
    entry: &'a Entry,
    /// What reading it told, if that was needed.
    read: Option<Digests>,
}

impl Executor<'_> {
    pub(super) async fn keep_both(&self, action: &Action) -> Result<(Action, Record), Error> {
        let (Verb::KeepBoth { kept_as }, Expect::Version(seen)) = (&action.verb, &action.expect) else {
            return Err(Error::new(Cause::Stop, format!("{}: no two contents to keep", action.key)));
        };
        let loser = self.loser(&action.key, seen).await?;
        let place = self.place(kept_as, &action.key, &loser).await?;
        let kept_as = place.key.clone();
        let copied = match place.at_dest {
            Some(there) => there,
            None => self.copy_beside(action, &loser, &kept_as).await?,
        };
        let mut digests = loser.digests.clone();
        digests.merge(&copied.digests);
        let back = Action {
            key: kept_as.clone(),
            side: Side::Source,
            verb: Verb::Create,
            reason: Reason::BothKept,
            expect: Expect::Absent,
            size: copied.size,
            // The time of the content, not that of the copy.
            from: Some(Entry { modified_ns: loser.modified_ns, ..copied.clone() }),
            at: None,
            digests,
        };
        let record = match &place.at_source {
            Some(there) => Record::Put(agreed(&back, &copied, there)),
            None => self.send(&back).await?,
        };
        self.manifest.record(&[record])?;
        let over = Action { verb: Verb::Overwrite, reason: Reason::BothKept, ..action.clone() };
        let record = self.send(&over).await?;
        Ok((Action { verb: Verb::KeepBoth { kept_as }, ..action.clone() }, record))
    }

    /// The content that gets another name, as it is now, with all that a look-up tells.
    async fn loser(&self, key: &Key, seen: &Version) -> Result<Entry, Error> {
        match self.sides.of(Side::Dest).look_up(key).await? {
            Some(entry) if entry.version == *seen => Ok(entry),
            Some(_) | None => {
                let name = self.sides.of(Side::Dest).name();
                Err(Error::new(Cause::Precondition, format!("{key}: changed at {name} since the plan")))
            }
        }
    }

    /// The first name that is free at both sides, or holds this very content where it is not.
    async fn place(&self, kept_as: &Key, key: &Key, loser: &Entry) -> Result<Place, Error> {
        let mut loser = Loser { key, entry: loser, read: None };
        let names = (2..NAMES).filter_map(|number| numbered(kept_as, number));
        'names: for name in std::iter::once(kept_as.clone()).chain(names) {
            let mut found = [None, None];
            for (side, found) in Side::BOTH.into_iter().zip(&mut found) {
                let Some(entry) = self.sides.of(side).look_up(&name).await? else { continue };
                if !self.is_copy(side, &name, &entry, &mut loser).await? {
                    continue 'names;
                }
                *found = Some(entry);
            }
            let [at_source, at_dest] = found;
            return Ok(Place { key: name, at_source, at_dest });
        }
        Err(Error::new(Cause::Refused, format!("{key}: no name is free for the destination's content"))
            .hint("remove some of its conflict copies"))
    }

    /// Whether the content under `name` is the loser's.
    async fn is_copy(&self, side: Side, name: &Key, entry: &Entry, loser: &mut Loser<'_>) -> Result<bool, Error> {
        let told = same_content(entry.size, &entry.digests, loser.entry.size, &loser.entry.digests);
        if told != Sameness::CannotTell {
            return Ok(told == Sameness::Same);
        }
        let blake3 = Want::default();
        let ours = match (loser.read.take(), loser.entry.digests.get(DigestKind::Blake3)) {
            (Some(read), _) => read,
            (None, Some(_)) => loser.entry.digests.clone(),
            (None, None) => read(self.sides.of(Side::Dest), self.buffers, loser.key, loser.entry, &blake3).await?,
        };
        let theirs = read(self.sides.of(side), self.buffers, name, entry, &blake3).await?;
        let same = same_content(entry.size, &theirs, loser.entry.size, &ours) == Sameness::Same;
        loser.read = Some(ours);
        Ok(same)
    }

    /// Copies the destination's content to another name there; where the place can't copy, through here.
    async fn copy_beside(&self, action: &Action, loser: &Entry, kept_as: &Key) -> Result<Entry, Error> {
        let at_dest = self.sides.of(Side::Dest);
        let journal = self.manifest.upload_journal(Side::Dest);
        let create = Action { expect: Expect::Absent, ..action.clone() };
        let mut digests = loser.digests.clone();
        // A copy that carries our digest is known again at sight; a directory gives it for nothing.
        if at_dest.capabilities().read_cost == ReadCost::Cheap {
            digests.merge(&read(at_dest, self.buffers, &action.key, loser, &Want::default()).await?);
        }
        let ruled = self.ruled(Side::Dest, kept_as);
        let put = Put { style: Some(&ruled.style), ..self.put(&create, &digests, loser, &journal) };
        match at_dest.copy(&action.key, &loser.version, kept_as, &put).await {
            Err(error) if error.cause == Cause::Unsupported => {}
            other => return other,
        }
        let _room = self.buffers.take(if loser.size > WHOLE_LIMIT { 0 } else { loser.size }).await;
        let content = at_dest.open(&action.key, &loser.version).await?;
        let parts = match &content {
            Content::Whole { blake3, .. } => {
                digests.add(blake3.clone());
                None
            }
            Content::Pieces(pieces) => {
                let (blake3, parts) = hash_parts(&**pieces, part_size(loser.size), self.buffers).await?;
                digests.add(blake3);
                Some(parts)
            }
        };
        let put = self.put(&create, &digests, loser, &journal);
        let put = Put { attributes: content.attributes(), parts: parts.as_ref(), style: Some(&ruled.style), ..put };
        at_dest.put(kept_as, &content, &put).await
    }
}
