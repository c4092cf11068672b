//! How a bucket is set up, as far as it matters to what is stored there: versions, what becomes of unfinished uploads,
//! and who may read. Asks and changes nothing; whoever may not ask is told so, and nothing else needs these permissions.

use aws_sdk_s3::types::{
    BucketVersioningStatus, ExpirationStatus, LifecycleRule, ObjectOwnership, OwnershipControlsRule,
};

use super::error::Failure;
use super::ops::Op;
use super::{Inner, PUBLIC_BY_BUCKET};
use crate::replica::admin::Block;
use crate::replica::checkup::Finding;

impl Inner {
    /// Everything that is worth a word.
    pub(super) async fn settings(&self) -> Vec<Finding> {
        let public = self.public_access().await;
        vec![self.versioning().await, self.lifecycle().await, public]
    }

    async fn versioning(&self) -> Finding {
        const NAME: &str = "versioning";
        let answer = self.wire.send(Op::GetBucketVersioning, 0, |client| {
            client.get_bucket_versioning().bucket(self.wire.bucket()).send()
        });
        match answer.await {
            Ok(output) => match output.status() {
                Some(BucketVersioningStatus::Enabled) => Finding::ok(
                    NAME,
                    "on: what is replaced or deleted stays as an old version, for which the bucket's owner pays",
                ),
                _ => {
                    Finding::ok(NAME, "off: what is replaced or deleted is kept in mediasync's trash, as the job says")
                }
            },
            Err(failure) => untold(NAME, Op::GetBucketVersioning, &failure),
        }
    }

    async fn lifecycle(&self) -> Finding {
        const NAME: &str = "lifecycle";
        let op = Op::GetBucketLifecycle;
        let answer = self
            .wire
            .send(op, 0, |client| client.get_bucket_lifecycle_configuration().bucket(self.wire.bucket()).send());
        match answer.await {
            Ok(output) => unfinished(output.rules(), self.names.prefix()),
            Err(failure) if failure.is(&["NoSuchLifecycleConfiguration"]) => unfinished(&[], self.names.prefix()),
            Err(failure) => untold(NAME, op, &failure),
        }
    }

    async fn public_access(&self) -> Finding {
        const NAME: &str = "public-access";
        let bucket = self.wire.bucket();
        let blocks = match self.blocks().await {
            Ok(blocks) => blocks,
            Err(error) => return Finding::skip(NAME, format!("not known: {}", error.message)),
        };
        let op = Op::GetBucketOwnership;
        let answer = self.wire.send(op, 0, |client| client.get_bucket_ownership_controls().bucket(bucket).send());
        let rules = answer.await.ok().and_then(|output| output.ownership_controls).map(|controls| controls.rules);
        let enforced = |rule: &OwnershipControlsRule| *rule.object_ownership() == ObjectOwnership::BucketOwnerEnforced;
        let wanted = self.wire.address().acl.as_deref();
        let acls = match wanted.and_then(|acl| self.without_effect(acl)) {
            Some(why) => Acls::Void(why),
            None if rules.unwrap_or_default().iter().any(enforced) => Acls::Off,
            None => Acls::On,
        };
        let op = Op::GetBucketPolicyStatus;
        let answer = self.wire.send(op, 0, |client| client.get_bucket_policy_status().bucket(bucket).send()).await;
        let policy = answer.ok().and_then(|output| output.policy_status).and_then(|status| status.is_public);
        let policy = if policy == Some(true) { Policy::Public } else { Policy::NotPublic };
        access(wanted, &blocks, &acls, policy)
    }
}

/// Whether objects have ACLs of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Acls {
    On,
    Off,
    /// They are taken, or not, and have no effect; why.
    Void(String),
}

/// Whether the bucket's policy lets everybody read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    Public,
    /// Or not known.
    NotPublic,
}

/// What comes of all that decides who may read.
fn access(acl: Option<&str>, blocks: &[Block], acls: &Acls, policy: Policy) -> Finding {
    const NAME: &str = "public-access";
    let wanted = acl.filter(|acl| acl.starts_with("public-"));
    let by_policy = policy == Policy::Public && !blocks.contains(&Block::Restricted);
    let against = blocks.iter().find(|block| matches!(block, Block::Acls | Block::IgnoredAcls));
    match (wanted, against) {
        (Some(_), _) if by_policy => Finding::ok(NAME, "the bucket's policy lets everybody read"),
        (Some(acl), Some(which)) => Finding::fail(
            NAME,
            format!(
                "{acl} is wanted, and the bucket's Block Public Access has {} on: objects are not public",
                which.name()
            ),
            "Switch it off for this bucket if the media are to be public, or say acl=private and serve them another way",
        ),
        (Some(acl), None) => match acls {
            Acls::Void(why) => Finding::warn(NAME, why.clone(), PUBLIC_BY_BUCKET),
            Acls::Off => Finding::warn(
                NAME,
                format!("{acl} is wanted, and the bucket has object ACLs switched off (Object Ownership)"),
                "Let a bucket policy say who may read, and say acl=private in the DSN or the remote",
            ),
            Acls::On => Finding::ok(NAME, format!("nothing stands in the way of {acl}")),
        },
        (None, _) if by_policy => Finding::warn(
            NAME,
            "the bucket's policy lets everybody read, and no public ACL is wanted here",
            "If what is stored there is for nobody else, take the statement for everybody out of the bucket's policy",
        ),
        (None, _) => Finding::ok(NAME, "no public ACL is wanted, and the bucket's policy lets nobody unknown read"),
    }
}

/// Whether parts of uploads that nobody finishes go away.
fn unfinished(rules: &[LifecycleRule], prefix: &str) -> Finding {
    const NAME: &str = "lifecycle";
    let covers = |rule: &&LifecycleRule| {
        #[expect(deprecated, reason = "older rules have their prefix here")]
        let old = rule.prefix();
        let below = old.or_else(|| rule.filter()?.prefix()).unwrap_or_default();
        *rule.status() == ExpirationStatus::Enabled && prefix.starts_with(below)
    };
    let days = |rule: &LifecycleRule| rule.abort_incomplete_multipart_upload()?.days_after_initiation();
    match rules.iter().filter(covers).find_map(days) {
        Some(days) => Finding::ok(NAME, format!("uploads that nobody finishes go away after {days} days")),
        None => Finding::warn(
            NAME,
            "no rule removes uploads that nobody finishes: their parts are paid for and never listed",
            "Add a lifecycle rule with AbortIncompleteMultipartUpload, DaysAfterInitiation 7; mediasync aborts its own",
        ),
    }
}

/// The server, or we, may not say.
fn untold(name: &'static str, op: Op, failure: &Failure) -> Finding {
    match failure.status {
        Some(403) => {
            Finding::skip(name, format!("{} is not allowed for this key; nothing else needs it", op.permission()))
        }
        Some(400..=599) => Finding::skip(name, "the server does not tell"),
        _ => Finding::skip(name, "there was no answer that can be read"),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::{AbortIncompleteMultipartUpload, LifecycleRuleFilter};

    use super::*;
    use crate::replica::checkup::State;

    #[test]
    fn a_public_acl_is_told_by_what_stands_in_its_way() {
        let (public, on, none) = (Some("public-read"), || Acls::On, Policy::NotPublic);
        let void = || Acls::Void("ignored".to_owned());
        let (refuse, ignore, restrict) = ([Block::Acls], [Block::IgnoredAcls], [Block::Restricted]);
        for (acl, blocks, acls, policy, expected) in [
            (public, &[][..], on(), none, State::Ok),
            (public, &refuse, on(), none, State::Fail),
            (public, &ignore, on(), none, State::Fail),
            (public, &refuse, on(), Policy::Public, State::Ok),
            (public, &[], Acls::Off, none, State::Warn),
            (public, &[], void(), none, State::Warn),
            (public, &[], void(), Policy::Public, State::Ok),
            (Some("private"), &[], void(), none, State::Ok),
            (None, &[], on(), none, State::Ok),
            (Some("private"), &refuse, on(), none, State::Ok),
            (None, &[], on(), Policy::Public, State::Warn),
            (None, &restrict, on(), Policy::Public, State::Ok),
        ] {
            assert_eq!(access(acl, blocks, &acls, policy).state, expected, "{acl:?} {blocks:?} {acls:?} {policy:?}");
        }
    }

    #[test]
    fn only_a_rule_that_is_on_and_covers_the_prefix_counts() {
        let rule = |status, prefix: &str| {
            let abort = AbortIncompleteMultipartUpload::builder().days_after_initiation(7).build();
            let filter = LifecycleRuleFilter::builder().prefix(prefix).build();
            let rule = LifecycleRule::builder().status(status).filter(filter);
            rule.abort_incomplete_multipart_upload(abort).build().unwrap()
        };
        let state = |rules: &[LifecycleRule]| unfinished(rules, "site/").state;
        assert_eq!(state(&[]), State::Warn);
        assert_eq!(state(&[rule(ExpirationStatus::Enabled, "")]), State::Ok);
        assert_eq!(state(&[rule(ExpirationStatus::Enabled, "site/")]), State::Ok);
        assert_eq!(state(&[rule(ExpirationStatus::Enabled, "other/")]), State::Warn);
        assert_eq!(state(&[rule(ExpirationStatus::Disabled, "")]), State::Warn);
    }
}
