//! Access control lists of objects as plain values: grants, and the canned ones that give them names.

use std::collections::BTreeSet;
use std::fmt;

/// An ACL by name: those of S3 that make sense for single objects
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#canned-acl>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Canned {
    /// For the owner alone.
    Private,
    /// Everybody may read.
    PublicRead,
    /// Everybody may read; the right to write means nothing for an object, and is granted.
    PublicReadWrite,
    /// Everybody with an account of the service may read.
    AuthenticatedRead,
    /// The bucket's owner may read.
    BucketOwnerRead,
    /// The bucket's owner may do everything.
    BucketOwnerFullControl,
}

/// The names of all canned ACLs.
pub const CANNED: [&str; 6] = [
    Canned::Private.name(),
    Canned::PublicRead.name(),
    Canned::PublicReadWrite.name(),
    Canned::AuthenticatedRead.name(),
    Canned::BucketOwnerRead.name(),
    Canned::BucketOwnerFullControl.name(),
];

impl Canned {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Private,
        Self::PublicRead,
        Self::PublicReadWrite,
        Self::AuthenticatedRead,
        Self::BucketOwnerRead,
        Self::BucketOwnerFullControl,
    ];

    /// As headers and the configuration spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::PublicRead => "public-read",
            Self::PublicReadWrite => "public-read-write",
            Self::AuthenticatedRead => "authenticated-read",
            Self::BucketOwnerRead => "bucket-owner-read",
            Self::BucketOwnerFullControl => "bucket-owner-full-control",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|canned| canned.name() == name)
    }

    /// Whether it gives something to people that nobody knows, as Block Public Access understands it.
    pub fn is_public(self) -> bool {
        matches!(self, Self::PublicRead | Self::PublicReadWrite | Self::AuthenticatedRead)
    }

    /// Whether what it gives depends on who owns the bucket.
    pub fn names_the_bucket_owner(self) -> bool {
        matches!(self, Self::BucketOwnerRead | Self::BucketOwnerFullControl)
    }

    /// What it gives besides full control for the object's owner; `None` where that is not known.
    fn gives(self, owner: Option<&str>, bucket_owner: Option<&str>) -> Option<Vec<Grant>> {
        let to_bucket_owner = |permission| {
            let bucket_owner = bucket_owner?;
            let grant = Grant { who: Who::Account(bucket_owner.to_owned()), permission };
            Some(if owner == Some(bucket_owner) { Vec::new() } else { vec![grant] })
        };
        let to = |who: Who, permission| Grant { who, permission };
        match self {
            Self::Private => Some(Vec::new()),
            Self::PublicRead => Some(vec![to(Who::Everybody, Permission::Read)]),
            Self::PublicReadWrite => {
                Some(vec![to(Who::Everybody, Permission::Read), to(Who::Everybody, Permission::Write)])
            }
            Self::AuthenticatedRead => Some(vec![to(Who::SignedIn, Permission::Read)]),
            Self::BucketOwnerRead => to_bucket_owner(Permission::Read),
            Self::BucketOwnerFullControl => to_bucket_owner(Permission::FullControl),
        }
    }
}

impl fmt::Display for Canned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who is granted something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The object's owner.
    Owner,
    /// Everybody, without any credentials.
    Everybody,
    /// Everybody with an account of the service.
    SignedIn,
    /// An account, by its id.
    Account(String),
    /// Another group, by its URI; or what else the server names.
    Other(String),
}

/// What is granted. In the order in which they are told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// Everything.
    FullControl,
    /// The content.
    Read,
    /// Nothing, for an object.
    Write,
    /// The ACL.
    ReadAcl,
    /// To change the ACL.
    WriteAcl,
    /// What only the server knows.
    Other(String),
}

/// One line of an ACL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// To whom.
    pub who: Who,
    /// What.
    pub permission: Permission,
}

/// The ACL of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acl {
    /// Whose the object is, by the service's id.
    pub owner: Option<String>,
    /// All grants; what comes twice means no more.
    pub grants: BTreeSet<Grant>,
}

impl Acl {
    /// Whether it gives exactly what a canned ACL gives. `bucket_owner` is who owns the bucket, if that is known.
    pub fn is(&self, canned: Canned, bucket_owner: Option<&str>) -> bool {
        let Some(gives) = canned.gives(self.owner.as_deref(), bucket_owner) else { return false };
        let own = Grant { who: Who::Owner, permission: Permission::FullControl };
        gives.into_iter().chain([own]).collect::<BTreeSet<_>>() == self.grants
    }

    /// The canned ACL that gives the same, whoever owns the bucket.
    pub fn canned(&self) -> Option<Canned> {
        Canned::ALL.into_iter().find(|canned| self.is(*canned, None))
    }

    /// Whether everybody may read the content.
    pub fn is_public(&self) -> bool {
        let reads = |grant: &Grant| matches!(grant.permission, Permission::Read | Permission::FullControl);
        self.grants.iter().any(|grant| grant.who == Who::Everybody && reads(grant))
    }
}

/// How public a container is, of a service that decides that for containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Nothing is read without credentials.
    Private,
    /// Everybody reads what he knows the name of.
    Objects,
    /// Everybody reads, and lists.
    Listed,
}

impl Level {
    /// The canned ACL that comes next to it.
    pub fn canned(self) -> Canned {
        match self {
            Self::Private => Canned::Private,
            Self::Objects | Self::Listed => Canned::PublicRead,
        }
    }
}

/// What a bucket does with public access, whatever its objects' ACLs and its policy say: AWS's "Block Public Access"
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Requests that set a public ACL are refused.
    Acls,
    /// Public ACLs that are there mean nothing.
    IgnoredAcls,
    /// Policies that make something public are refused.
    Policy,
    /// What a public policy gives is for the owner's account only.
    Restricted,
}

impl Block {
    /// As AWS calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Acls => "BlockPublicAcls",
            Self::IgnoredAcls => "IgnorePublicAcls",
            Self::Policy => "BlockPublicPolicy",
            Self::Restricted => "RestrictPublicBuckets",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(grants: &[(Who, Permission)]) -> Acl {
        let own = (Who::Owner, Permission::FullControl);
        let grants = grants.iter().cloned().chain([own]);
        Acl {
            owner: Some("me".to_owned()),
            grants: grants.map(|(who, permission)| Grant { who, permission }).collect(),
        }
    }

    #[test]
    fn an_acl_is_the_canned_one_that_gives_exactly_the_same() {
        use Permission::{FullControl, Read, ReadAcl, Write};
        let (all, account) = (Who::Everybody, |id: &str| Who::Account(id.to_owned()));
        for (grants, expected) in [
            (vec![], Some(Canned::Private)),
            (vec![(all.clone(), Read)], Some(Canned::PublicRead)),
            (vec![(all.clone(), Read), (all.clone(), Read)], Some(Canned::PublicRead)),
            (vec![(all.clone(), Write), (all.clone(), Read)], Some(Canned::PublicReadWrite)),
            (vec![(Who::SignedIn, Read)], Some(Canned::AuthenticatedRead)),
            (vec![(all.clone(), FullControl)], None),
            (vec![(all.clone(), Read), (all.clone(), ReadAcl)], None),
            (vec![(all.clone(), Read), (account("you"), Read)], None),
            (vec![(account("you"), FullControl)], None),
        ] {
            assert_eq!(acl(&grants).canned(), expected, "{grants:?}");
        }
        // Without full control for its owner it is none of them.
        let lost = Acl { grants: BTreeSet::new(), ..acl(&[]) };
        assert_eq!(lost.canned(), None);
    }

    #[test]
    fn what_names_the_buckets_owner_is_known_by_who_that_is() {
        use Permission::{FullControl, Read};
        let to = |permission| acl(&[(Who::Account("bucket".to_owned()), permission)]);
        let (read, full) = (Canned::BucketOwnerRead, Canned::BucketOwnerFullControl);
        for (acl, canned, bucket_owner, expected) in [
            (to(Read), read, Some("bucket"), true),
            (to(FullControl), full, Some("bucket"), true),
            (to(FullControl), read, Some("bucket"), false),
            (to(FullControl), full, Some("other"), false),
            (to(FullControl), full, None, false),
            // Its own bucket: there is nobody else to give it to.
            (acl(&[]), full, Some("me"), true),
            (acl(&[]), full, Some("bucket"), false),
            (acl(&[]), full, None, false),
        ] {
            assert_eq!(acl.is(canned, bucket_owner), expected, "{acl:?} {canned} {bucket_owner:?}");
        }
    }

    #[test]
    fn what_everybody_may_read_is_public() {
        assert!(acl(&[(Who::Everybody, Permission::Read)]).is_public());
        assert!(acl(&[(Who::Everybody, Permission::FullControl)]).is_public());
        assert!(!acl(&[(Who::Everybody, Permission::ReadAcl)]).is_public());
        assert!(!acl(&[(Who::SignedIn, Permission::Read)]).is_public());
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for (canned, name) in Canned::ALL.into_iter().zip(CANNED) {
            assert_eq!((Canned::named(name), canned.to_string().as_str()), (Some(canned), name));
        }
        assert_eq!(Canned::named("Public-Read"), None);
    }
}
