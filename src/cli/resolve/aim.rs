//! Which places a task changes, whether it may, and the ACL of what it makes there.

use crate::cli::failure::Failure;
use crate::cli::place::End;
use crate::location::{self, Location, Overlap};
use crate::model::Side;
use crate::plan::Mode;
use crate::replica::access::Access;

/// What a task does with its two places.
#[derive(Debug, Clone, Copy)]
pub struct Aim {
    /// How they relate.
    pub mode: Mode,
    /// Those that may be changed.
    pub writes: &'static [Side],
    /// As what that is made which it makes.
    pub made: Made,
}

/// As what objects are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// For those who read the destination, with the ACL of its DSN.
    Pushed,
    /// As a copy of another place, which may be the last one of what it replaces: no ACL of a DSN, and all that is
    /// replaced is kept. With `mirror --no-delete` too.
    Mirrored,
}

impl From<Mode> for Aim {
    fn from(mode: Mode) -> Self {
        let made = if mode == Mode::Mirror { Made::Mirrored } else { Made::Pushed };
        Self { mode, writes: mode.writes(), made }
    }
}

/// Whether a person said beforehand that a place may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sure {
    /// `--yes`.
    Yes,
    No,
}

/// The remotes that a person has to confirm before these places are changed.
pub(super) fn may_change(written: &[&mut End], sure: Sure) -> Result<Option<String>, Failure> {
    let mut ask: Vec<&str> = Vec::new();
    for end in written {
        let remote = end.remote.as_deref().unwrap_or_default();
        match end.access {
            Access::ReadOnly => {
                let place = end.location.display();
                let message = format!("{place} is read-only: remote.{remote} says access = \"read-only\"");
                return Err(Failure::usage(message).hint("--dry-run shows what would be done"));
            }
            Access::Confirm if sure == Sure::No && !ask.contains(&remote) => ask.push(remote),
            Access::Confirm | Access::Write => {}
        }
    }
    Ok((!ask.is_empty()).then(|| ask.join(" and remote.")))
}

/// The ACL of new objects. That of a DSN is meant for what is pushed to it: the copy that a mirror makes of something
/// else is as private as the bucket makes it, unless somebody says otherwise. Returns the ACL of a DSN that is not taken
/// and would have let everybody read.
pub(in crate::cli) fn set_acl(
    written: &mut [&mut End],
    made: Made,
    flag: Option<&str>,
) -> Result<Option<String>, Failure> {
    let (mut buckets, mut left) = (0, None);
    for end in written.iter_mut() {
        let Location::S3(address) = &mut end.location else { continue };
        buckets += 1;
        match (flag, made) {
            (Some(acl), _) => address.acl = Some(acl.to_owned()),
            (None, Made::Mirrored) => {
                let of_dsn = std::mem::replace(&mut address.acl, end.acl.clone());
                left = of_dsn.filter(|acl| end.acl.is_none() && acl.starts_with("public-"));
            }
            (None, Made::Pushed) => {}
        }
    }
    if flag.is_none() || buckets > 0 {
        return Ok(left);
    }
    let is_container = written.iter().any(|end| matches!(end.location, Location::Azure(_)));
    Err(if is_container {
        Failure::usage(
            "--acl is for objects in a bucket: blobs have no ACLs, who may read them is a matter of their container",
        )
        .hint("set the container's public access level at the account, or hand out shared access signatures")
    } else {
        Failure::usage("--acl is for objects in a bucket, and what is written is a directory")
    })
}

/// Source and destination may not hold each other.
pub(in crate::cli) fn refuse_overlap(source: &End, dest: &End) -> Result<(), Failure> {
    let (a, b) = (source.location.display(), dest.location.display());
    let message = match location::overlap(&source.location, &dest.location) {
        None => return Ok(()),
        Some(Overlap::Same) => format!("source and destination are the same place: {a}"),
        Some(Overlap::FirstInside) => format!("the source {a} lies inside the destination {b}"),
        Some(Overlap::SecondInside) => format!("the destination {b} lies inside the source {a}"),
    };
    // A DSN of a project can mean the very directory that is the other side.
    for end in [source, dest] {
        if let Some(dsn) = &end.dsn {
            let place = end.location.display();
            return Err(Failure::usage(format!("{message}; {dsn} is the DSN of the directory {place}"))
                .hint(format!("let {dsn} name a bucket or a container, or name another place instead of it")));
        }
    }
    Err(Failure::usage(message).hint("choose two places of which neither holds the other"))
}
