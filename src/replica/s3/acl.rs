//! ACLs of objects: what the server says of them as plain values, and why one can't be set.

use std::sync::atomic::Ordering;

use aws_sdk_s3::types::{Grant as SdkGrant, ObjectCannedAcl, Owner, Permission as SdkPermission};

use super::Inner;
use super::document::md5_only;
use super::error::Failure;
use super::ops::Op;
use super::providers::Acls;
use crate::replica::admin::{Acl, Block, Canned, Grant, Permission, Who};
use crate::replica::{Ability, Cause, Error};

pub(super) const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
pub(super) const AUTHENTICATED: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";

/// An ACL without the SDK's types.
pub(super) fn plain(owner: Option<&Owner>, grants: &[SdkGrant]) -> Acl {
    let owner = owner.and_then(Owner::id).filter(|id| !id.is_empty());
    let who = |grant: &SdkGrant| {
        let Some(grantee) = grant.grantee() else { return Who::Other("nobody that is named".to_owned()) };
        match (grantee.id(), grantee.uri()) {
            (Some(id), _) if Some(id) == owner => Who::Owner,
            (Some(id), _) => Who::Account(id.to_owned()),
            (None, Some(ALL_USERS)) => Who::Everybody,
            (None, Some(AUTHENTICATED)) => Who::SignedIn,
            (None, Some(uri)) => Who::Other(uri.to_owned()),
            (None, None) => Who::Other(grantee.email_address().unwrap_or("nobody that is named").to_owned()),
        }
    };
    let permission = |grant: &SdkGrant| match grant.permission() {
        Some(SdkPermission::FullControl) => Permission::FullControl,
        Some(SdkPermission::Read) => Permission::Read,
        Some(SdkPermission::Write) => Permission::Write,
        Some(SdkPermission::ReadAcp) => Permission::ReadAcl,
        Some(SdkPermission::WriteAcp) => Permission::WriteAcl,
        Some(other) => Permission::Other(other.as_str().to_owned()),
        None => Permission::Other("nothing".to_owned()),
    };
    let grants = grants.iter().map(|grant| Grant { who: who(grant), permission: permission(grant) });
    Acl { owner: owner.map(str::to_owned), grants: grants.collect() }
}

impl Inner {
    /// The ACL of an object.
    pub(super) async fn object_acl(&self, object: &str) -> Result<Acl, Error> {
        self.has_acls()?;
        let bucket = self.wire.bucket();
        let answer =
            self.wire.send(Op::GetObjectAcl, 0, |client| client.get_object_acl().bucket(bucket).key(object).send());
        match answer.await {
            // A server that knows no ACLs, and answers with nothing or with the object itself.
            Ok(output) if output.grants().is_empty() => Err(self.no_acls()),
            Err(failure) if failure.status == Some(200) || failure.is_not_implemented() => Err(self.no_acls()),
            Ok(output) => Ok(plain(output.owner(), output.grants())),
            Err(failure) => Err(self.wire.fold(&failure, Op::GetObjectAcl, Some(object))),
        }
    }

    /// Whether an object's ACL gives exactly what a canned one gives.
    pub(super) async fn has_acl(&self, object: &str, canned: Canned) -> Result<bool, Error> {
        let acl = self.object_acl(object).await?;
        let bucket_owner = if canned.names_the_bucket_owner() { self.bucket_owner().await } else { None };
        Ok(acl.is(canned, bucket_owner))
    }

    /// Who owns the bucket; asked once. `None` where nobody says.
    async fn bucket_owner(&self) -> Option<&str> {
        let ask = async || {
            let bucket = self.wire.bucket();
            let answer = self.wire.send(Op::GetBucketAcl, 0, |client| client.get_bucket_acl().bucket(bucket).send());
            answer.await.ok()?.owner()?.id().map(str::to_owned)
        };
        self.bucket_owner.get_or_init(ask).await.as_deref()
    }

    /// Gives an object a canned ACL; nothing else of it changes.
    pub(super) async fn set_object_acl(&self, object: &str, canned: Canned) -> Result<(), Error> {
        self.has_acls()?;
        match self.put_acl(object, canned.name()).await {
            Ok(()) => Ok(()),
            Err(failure) => Err(self.acl_refused(&failure, object, canned).await),
        }
    }

    /// PutObjectAcl with the name of a canned ACL.
    pub(super) async fn put_acl(&self, object: &str, name: &str) -> Result<(), Failure> {
        let answer = self.wire.send(Op::PutObjectAcl, 0, |client| {
            let request = client.put_object_acl().bucket(self.wire.bucket()).key(object);
            request.acl(ObjectCannedAcl::from(name)).customize().mutate_request(md5_only).send()
        });
        answer.await.map(drop)
    }

    /// Why an ACL was refused. What concerns all objects alike ends the work.
    async fn acl_refused(&self, failure: &Failure, object: &str, canned: Canned) -> Error {
        let bucket = self.wire.bucket();
        let plain = self.wire.fold(failure, Op::PutObjectAcl, Some(object));
        if failure.is_not_implemented() {
            return self.no_acls();
        }
        if failure.is(&["AccessControlListNotSupported"]) {
            let message =
                format!("the bucket {bucket} disables ACLs: its Object Ownership is \"bucket owner enforced\"");
            return Error::new(Cause::Stop, message).hint(
                "Who may read is decided by the bucket's policy: let it allow s3:GetObject to everybody, or set Object \
                 Ownership to \"bucket owner preferred\"; a DSN needs acl=private or no acl= there",
            );
        }
        if failure.is(&["InvalidArgument"]) && self.provider.acls() == Acls::Bucket {
            let provider = self.provider.shown();
            let message =
                format!("{provider} takes only the ACL that the whole bucket {bucket} has, which is not {canned}");
            return Error::new(Cause::Stop, message).hint("Make the bucket itself public or private, at the provider");
        }
        if failure.is(&["AccessDenied"]) && canned.is_public() {
            return match self.blocks().await {
                Ok(blocks) if blocks.contains(&Block::Acls) => {
                    let message = format!("Block Public Access of the bucket {bucket} forbids {canned} (BlockPublicAcls)");
                    Error::new(Cause::Stop, message).hint(
                        "Turn BlockPublicAcls off for the bucket, and for the account if it is on there, or let people read \
                         by a bucket policy or a CDN",
                    )
                }
                Ok(_) => plain.hint(format!(
                    "Allow s3:PutObjectAcl on bucket {bucket} for this key; the bucket does not block public ACLs, the \
                     account's Block Public Access may"
                )),
                Err(_) => plain.hint(format!(
                    "Allow s3:PutObjectAcl on bucket {bucket} for this key; if it is allowed, Block Public Access of the \
                     bucket or the account forbids {canned} (s3:GetBucketPublicAccessBlock would tell)"
                )),
            };
        }
        plain
    }

    /// What the bucket blocks; asked once.
    pub(super) async fn blocks(&self) -> Result<Vec<Block>, Error> {
        let ask = async || {
            let bucket = self.wire.bucket();
            let answer = self
                .wire
                .send(Op::GetPublicAccessBlock, 0, |client| client.get_public_access_block().bucket(bucket).send());
            let output = match answer.await {
                Ok(output) => output,
                // Nothing was ever set, or there is no such thing here.
                Err(failure) if matches!(failure.status, Some(404 | 405 | 501)) => return Ok(Vec::new()),
                Err(failure) => return Err(self.wire.fold(&failure, Op::GetPublicAccessBlock, None)),
            };
            let Some(set) = output.public_access_block_configuration() else { return Ok(Vec::new()) };
            let all = [
                (set.block_public_acls(), Block::Acls),
                (set.ignore_public_acls(), Block::IgnoredAcls),
                (set.block_public_policy(), Block::Policy),
                (set.restrict_public_buckets(), Block::Restricted),
            ];
            Ok(all.into_iter().filter(|(is_set, _)| *is_set == Some(true)).map(|(_, block)| block).collect())
        };
        self.blocks.get_or_try_init(ask).await.cloned()
    }

    /// Before the first new object of a run: where nobody stated an ACL, and those that are there are public, it is said
    /// that new ones are not. One request at most.
    pub(super) async fn look_at_a_neighbour(&self) {
        let Some(neighbour) = self.neighbour.get() else { return };
        let is_stated = self.wire.address().acl.is_some();
        if is_stated || !self.uses_acls() || self.neighbour_asked.swap(true, Ordering::Relaxed) {
            return;
        }
        if self.object_acl(neighbour).await.is_ok_and(|acl| acl.is_public()) {
            self.notices.add(format!(
                "objects in {} can be read by everybody ({}), and no ACL is stated for new ones: they will not be. \
                 --acl public-read, or acl = \"public-read\" of the remote, makes them public; \"private\" ends this warning",
                self.name,
                super::names::shown(neighbour)
            ));
        }
    }

    /// Refuses where it is known that there are no ACLs.
    fn has_acls(&self) -> Result<(), Error> {
        if self.limits.acl == Ability::Missing {
            let message = format!("the configuration says that {} has no ACLs", self.name);
            return Err(Error::new(Cause::Unsupported, message).hint("Take \"acls\" out of `without` of this remote"));
        }
        if self.ability(|probe| probe.acl) == Ability::Missing { Err(self.no_acls()) } else { Ok(()) }
    }

    /// There is no such thing here.
    fn no_acls(&self) -> Error {
        let (bucket, provider) = (self.wire.bucket(), self.provider);
        let message = match provider.acls() {
            Acls::None => format!("{} has no ACLs of objects", provider.shown()),
            Acls::Objects | Acls::Bucket => format!("the server of {} has no ACLs of objects", self.name),
        };
        Error::new(Cause::Unsupported, message).hint(format!(
            "Who may read the objects of the bucket {bucket} is decided for the bucket as a whole, by its policy or at the \
             provider"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::types::{Grantee, Type};

    #[test]
    fn grants_are_told_by_who_they_are_for() {
        let owner = Owner::builder().id("me").build();
        let grant = |grantee: aws_sdk_s3::types::builders::GranteeBuilder, permission: SdkPermission| {
            let grantee = grantee.r#type(Type::CanonicalUser).build().unwrap();
            SdkGrant::builder().grantee(grantee).permission(permission).build()
        };
        let acl = plain(
            Some(&owner),
            &[
                grant(Grantee::builder().id("me"), SdkPermission::FullControl),
                grant(Grantee::builder().id("you"), SdkPermission::ReadAcp),
                grant(Grantee::builder().uri(ALL_USERS), SdkPermission::Read),
                grant(Grantee::builder().uri(AUTHENTICATED), SdkPermission::Write),
                grant(Grantee::builder().uri("http://logs"), SdkPermission::WriteAcp),
                grant(Grantee::builder().email_address("a@b.c"), SdkPermission::from("SOMETHING")),
            ],
        );
        let found: Vec<(Who, Permission)> = acl.grants.into_iter().map(|grant| (grant.who, grant.permission)).collect();
        let expected = [
            (Who::Owner, Permission::FullControl),
            (Who::Everybody, Permission::Read),
            (Who::SignedIn, Permission::Write),
            (Who::Account("you".into()), Permission::ReadAcl),
            (Who::Other("a@b.c".into()), Permission::Other("SOMETHING".into())),
            (Who::Other("http://logs".into()), Permission::WriteAcl),
        ];
        assert_eq!((acl.owner.as_deref(), found), (Some("me"), expected.to_vec()));
    }
}
