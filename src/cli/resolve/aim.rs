//! Which places a task changes, whether it may, and the ACL of what it makes there.

use crate::cli::failure::Failure;
use crate::cli::place::End;
use crate::location::Location;
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
}

impl From<Mode> for Aim {
    fn from(mode: Mode) -> Self {
        Self { mode, writes: mode.writes() }
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
/// else is as private as the bucket makes it, unless somebody says otherwise.
pub(super) fn set_acl(written: &mut [&mut End], mode: Mode, flag: Option<&str>) -> Result<(), Failure> {
    let mut buckets = 0;
    for end in written.iter_mut() {
        let Location::S3(address) = &mut end.location else { continue };
        buckets += 1;
        match (flag, mode) {
            (Some(acl), _) => address.acl = Some(acl.to_owned()),
            (None, Mode::Mirror) => address.acl.clone_from(&end.acl),
            (None, Mode::Copy | Mode::CopyAndDelete | Mode::TwoWay) => {}
        }
    }
    if flag.is_none() || buckets > 0 {
        return Ok(());
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
