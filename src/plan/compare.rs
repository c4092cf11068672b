//! What the evidence says: whether a side moved since the base, and whether both sides hold the same content.
//!
//! Each question is answered from what is known, or with the next cheapest thing to find out ([`Need`]). The ladder:
//! digests that came for free; hashing a side that is cheap to read with the kinds that the other side can be compared
//! by; looking up the remote side; hashing again with what that told; reading the remote content, if the user
//! asked for that. Then it stays untold, and no rule may take that for "same".

use crate::model::{BaseRecord, DigestKind, Digests, Entry, ReadCost, Sameness, Side, Want, same_content};

use super::{Compare, Triple};

/// What was found out about one side's content beyond its entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Digests from look-ups and hashing.
    pub digests: Digests,
    /// A look-up was made.
    pub looked_up: bool,
    /// What hashing was asked for. It may have given less: no part size gives the number of parts of some ETags.
    pub hashed: Vec<Want>,
    /// When the content was modified, as a look-up told it, ns since the epoch.
    pub modified_ns: Option<i64>,
    /// What reading the content costs at this side.
    pub cost: ReadCost,
}

impl Known {
    /// Nothing but the cost.
    pub const fn nothing(cost: ReadCost) -> Self {
        Self { digests: Digests::none(), looked_up: false, hashed: Vec::new(), modified_ns: None, cost }
    }
}

/// What was found out about both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// About the source.
    pub source: Known,
    /// About the destination.
    pub dest: Known,
}

impl Evidence {
    /// About one side.
    pub fn of(&self, side: Side) -> &Known {
        match side {
            Side::Source => &self.source,
            Side::Dest => &self.dest,
        }
    }

    /// About one side, to add to.
    pub fn of_mut(&mut self, side: Side) -> &mut Known {
        match side {
            Side::Source => &mut self.source,
            Side::Dest => &mut self.dest,
        }
    }
}

/// What must be found out before a key can be decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// Look the key up at a side.
    LookUp(Side),
    /// Read the content at a side and hash it.
    Hash(Side, Want),
}

/// One side against the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Moved {
    /// The version of the base.
    No,
    /// Another version, the same content.
    Touched,
    /// Other content, or content that nothing proves to be the base's.
    Yes,
    /// Find this out first.
    Ask(Need),
}

/// Everything known about the content of an entry.
pub(super) fn digests_of(entry: &Entry, known: &Known) -> Digests {
    let mut all = entry.digests.clone();
    all.merge(&known.digests);
    all
}

/// Whether `side` moved since `base`.
pub(super) fn moved(base: &BaseRecord, side: Side, entry: &Entry, known: &Known, compare: Compare) -> Moved {
    if entry.version == *base.version(side) {
        return Moved::No;
    }
    match same_content(entry.size, &digests_of(entry, known), base.size, &base.digests) {
        Sameness::Same => return Moved::Touched,
        Sameness::Different => return Moved::Yes,
        Sameness::CannotTell => {}
    }
    match find_out(side, entry, known, &base.digests, compare) {
        Some(need) => Moved::Ask(need),
        None => Moved::Yes,
    }
}

/// Whether both sides hold the same content, or what to find out first.
pub(super) fn both_same(
    triple: &Triple,
    source: &Entry,
    dest: &Entry,
    evidence: &Evidence,
    compare: Compare,
) -> Result<Sameness, Need> {
    let ours = digests_of(source, &evidence.source);
    let mut theirs = digests_of(dest, &evidence.dest);
    // A side that still has the base's version has the base's digests too.
    let mut ours_and_base = ours.clone();
    if let Some(base) = &triple.base {
        if source.version == base.source {
            ours_and_base.merge(&base.digests);
        }
        if dest.version == base.dest {
            theirs.merge(&base.digests);
        }
    }
    match same_content(source.size, &ours_and_base, dest.size, &theirs) {
        Sameness::CannotTell => {}
        told @ (Sameness::Same | Sameness::Different) => return Ok(told),
    }
    let next = find_out(Side::Source, source, &evidence.source, &theirs, Compare::Metadata)
        .filter(|need| matches!(need, Need::LookUp(_)) || !theirs.is_empty())
        .or_else(|| find_out(Side::Dest, dest, &evidence.dest, &ours_and_base, Compare::Metadata))
        .or_else(|| find_out(Side::Source, source, &evidence.source, &theirs, compare))
        .or_else(|| find_out(Side::Dest, dest, &evidence.dest, &ours_and_base, compare));
    next.map_or(Ok(Sameness::CannotTell), Err)
}

/// The next rung of the ladder for `side`, whose content is to be compared by `other`'s digests.
fn find_out(side: Side, entry: &Entry, known: &Known, other: &Digests, compare: Compare) -> Option<Need> {
    let hash = || {
        let want = comparable(other);
        let have = |kind| known.digests.get(kind).is_some();
        let news = !have(DigestKind::Blake3) || want.kinds.iter().any(|kind| !have(*kind));
        (news && !known.hashed.contains(&want)).then_some(Need::Hash(side, want))
    };
    match known.cost {
        ReadCost::Cheap => hash(),
        ReadCost::Transfer if !known.looked_up => Some(Need::LookUp(side)),
        ReadCost::Transfer => match (compare, entry.readable) {
            (Compare::Download, crate::model::Readable::Yes) => hash(),
            (Compare::Download, crate::model::Readable::Archived) | (Compare::Metadata, _) => None,
        },
    }
}

/// What to compute of a content so that it can be compared with `other`.
pub fn comparable(other: &Digests) -> Want {
    let mut want = Want::default();
    for digest in other.iter() {
        let kind = match digest.kind {
            DigestKind::Blake3 => continue,
            DigestKind::Md5 | DigestKind::EtagMd5 => DigestKind::Md5,
            DigestKind::MultipartMd5 | DigestKind::EtagMultipart => {
                want.multipart_parts = want.multipart_parts.or(digest.parts());
                DigestKind::MultipartMd5
            }
            kind @ (DigestKind::Sha256 | DigestKind::Crc64Nvme) => kind,
        };
        if !want.kinds.contains(&kind) {
            want.kinds.push(kind);
        }
    }
    want
}
