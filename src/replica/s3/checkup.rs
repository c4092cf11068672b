//! A bucket that somebody wants to know more about: whether it answers, who we are there, what we may do, and how it is
//! set up. Each question is asked once, and its answer is told and not acted on.
//!
//! Writes only where that is allowed, and only below `.mediasync/probe/`, as the first contact does; what it wrote it
//! removes. What the [`trial`](super::trial) found out before is told and not tried again.

use aws_sdk_s3::types::ObjectCannedAcl;
use bytes::Bytes;

use super::error::{Failure, Stage};
use super::keep::{Acl, Headers};
use super::list::is_unknown_v2;
use super::names::OWN;
use super::ops::Op;
use super::sender::{Condition, Proof};
use super::trial::Trial;
use super::{Inner, PUBLIC_BY_BUCKET, S3};
use crate::replica::admin::Canned;
use crate::replica::checkup::{Finding, Tries, Usage, conditional_writes};
use crate::replica::{Ability, Cause, Error};

/// Codes that say that we are not who we say we are.
const UNKNOWN: [&str; 9] = [
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "ExpiredToken",
    "ExpiredTokenException",
    "TokenRefreshRequired",
    "InvalidSecurity",
    "AccountProblem",
    "NotSignedUp",
];

impl S3 {
    /// Looks at everything that `usage` needs.
    pub async fn check_up(&self, usage: Usage, tries: &Tries) -> Vec<Finding> {
        let mut checkup = Checkup { inner: &self.inner, findings: Vec::new() };
        // On the heap: the futures of requests are large.
        Box::pin(checkup.run(usage, tries)).await;
        checkup.findings
    }
}

struct Checkup<'a> {
    inner: &'a Inner,
    findings: Vec<Finding>,
}

impl Checkup<'_> {
    fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    async fn run(&mut self, usage: Usage, tries: &Tries) {
        if !self.contact().await {
            return;
        }
        let id = self.read().await;
        if usage == Usage::Read {
            return;
        }
        let may_write = match tries {
            Tries::Allowed => self.write().await,
            Tries::Forbidden(why) => {
                self.untried(why);
                false
            }
        };
        self.abilities(id, may_write, tries).await;
        let settings = self.inner.settings().await;
        self.findings.extend(settings);
    }

    /// Lists one key. False if nothing else is worth a try.
    async fn contact(&mut self) -> bool {
        let inner = self.inner;
        let mut answer = inner.ask_for_one().await;
        // The server's clock is known from the first answer on, and what is busy may answer now.
        let passing = |failure: &Failure| matches!(inner.fold_list(failure).cause, Cause::Transient { .. });
        if answer.as_ref().is_err_and(passing) {
            answer = inner.ask_for_one().await;
        }
        match answer {
            Err(failure) if is_unknown_v2(&failure) => {
                if let Err(error) = inner.page(inner.names.prefix(), &super::list::From::Start, 1).await {
                    self.add(Finding::of_error("permission-list", error));
                    return false;
                }
            }
            Err(failure) => {
                self.refused(&failure);
                return false;
            }
            Ok(()) => {}
        }
        let whence = inner.wire.whence().await.map_or_else(String::new, |whence| format!("; they come from {whence}"));
        self.add(Finding::ok("credentials", format!("the server takes them{whence}")));
        self.region();
        self.add(Finding::ok("bucket", format!("{} is there", inner.wire.bucket())));
        self.add(Finding::ok("permission-list", format!("{} (s3:ListBucket)", Self::seen(inner))));
        true
    }

    fn seen(inner: &Inner) -> String {
        let prefix = inner.names.prefix();
        if prefix.is_empty() {
            "the bucket was listed".to_owned()
        } else {
            "what begins with the prefix was listed".to_owned()
        }
    }

    /// Why the bucket could not be listed.
    fn refused(&mut self, failure: &Failure) {
        let error = self.inner.fold_list(failure);
        if failure.stage == Stage::Credentials || failure.is(&UNKNOWN) {
            return self.add(Finding::of_error("credentials", error));
        }
        if failure.stage != Stage::Answered {
            return self.add(Finding::of_error("answer", error));
        }
        if failure.is(&["RequestTimeTooSkewed"]) {
            return self.add(Finding::of_error("clock", error));
        }
        if failure.is_wrong_region() {
            return self.add(Finding::of_error("region", error));
        }
        if failure.is(&["NoSuchBucket"]) || failure.status == Some(404) {
            return self.add(Finding::of_error("bucket", error));
        }
        let name = if failure.status == Some(403) { "permission-list" } else { "answer" };
        self.add(Finding::of_error(name, error));
    }

    /// A region that a server named is used; it costs a request that fails first.
    fn region(&mut self) {
        const NAME: &str = "region";
        let wire = &self.inner.wire;
        let configured = wire.address().region.as_deref();
        let finding = match wire.learned_region() {
            Some(learned) if configured != Some(&*learned) => Finding::warn(
                NAME,
                match configured {
                    Some(configured) => format!("the bucket is in {learned}, and {configured} was asked"),
                    None => format!("the bucket is in {learned}, which nobody said"),
                },
                format!(
                    "Say it: region = \"{learned}\" for the remote, or &region={learned} in the DSN; without it the \
                         server has to tell"
                ),
            ),
            _ => match wire.region_in_use() {
                Some(region) => Finding::ok(NAME, format!("requests are signed for {region}, and taken")),
                None => Finding::ok(NAME, "requests are taken"),
            },
        };
        self.add(finding);
    }

    /// Reads the identity; gives it.
    async fn read(&mut self) -> Option<String> {
        match self.inner.read_id().await {
            Ok(found) => {
                let what =
                    if found.is_some() { "its identity was read" } else { "allowed; nothing was synced here yet" };
                self.add(Finding::ok("permission-get", format!("{what} (s3:GetObject)")));
                found
            }
            Err(error) => {
                self.add(Finding::of_error("permission-get", error));
                None
            }
        }
    }

    /// What is needed to write, where nothing is to be written.
    fn untried(&mut self, why: &str) {
        let mut all = vec![
            ("permission-put", Op::PutObject),
            ("permission-multipart", Op::CreateMultipartUpload),
            ("permission-abort", Op::AbortMultipartUpload),
            ("permission-delete", Op::DeleteObject),
        ];
        match self.inner.wire.address().acl.as_deref().map(|acl| self.inner.without_effect(acl)) {
            Some(Some(found)) => self.add(Finding::warn("permission-put-acl", found, PUBLIC_BY_BUCKET)),
            Some(None) => all.insert(1, ("permission-put-acl", Op::PutObjectAcl)),
            None => {}
        }
        for (name, op) in all {
            self.add(Finding::skip(name, format!("{} was not tried: {why}", op.permission())));
        }
    }

    /// Tries each kind of writing on a tiny object. Whether all that the trial needs is allowed.
    async fn write(&mut self) -> bool {
        let inner = self.inner;
        let object = inner.names.own(&format!("{OWN}probe/{:016x}/doctor", fastrand::u64(..)));
        let put = inner.write(&object, body(), Proof::Signed, &Condition::Unchecked).await.map(drop);
        if !self.tried("permission-put", Op::PutObject, &object, &put) {
            let why = "nothing can be stored there";
            self.add(Finding::skip("permission-delete", format!("s3:DeleteObject was not tried: {why}")));
            return false;
        }
        self.write_with_acl(&object).await;
        self.begin_upload(&object).await;
        let deleted = inner.send_delete(&object, None).await;
        let may = self.tried("permission-delete", Op::DeleteObject, &object, &deleted);
        if !may {
            self.findings.last_mut().expect("it was added").found.push_str("; a tiny object is left there");
        }
        may
    }

    /// Notes what came of a try.
    fn tried(&mut self, name: &'static str, op: Op, object: &str, result: &Result<(), Failure>) -> bool {
        let finding = match result {
            Ok(()) => Finding::ok(name, format!("tried on a tiny object ({})", op.permission())),
            Err(failure) => Finding::of_error(name, self.inner.wire.fold(failure, op, Some(object))),
        };
        self.add(finding);
        result.is_ok()
    }

    async fn write_with_acl(&mut self, object: &str) {
        const NAME: &str = "permission-put-acl";
        let inner = self.inner;
        let Some(acl) = &inner.wire.address().acl else { return };
        if inner.ability(|probe| probe.acl) == Ability::Missing
            && let Some(found) = inner.without_effect(acl)
        {
            return self.add(Finding::warn(NAME, found, PUBLIC_BY_BUCKET));
        }
        let headers = Headers::fresh(object, Acl::Canned(ObjectCannedAcl::from(acl.as_str())));
        let put = inner.send_object(object, &body(), Proof::Signed, &headers, &Condition::Unchecked).await;
        let finding = match put {
            Ok(_) => self.stored_with_acl(object, acl).await,
            Err(failure) if failure.is(&["AccessControlListNotSupported"]) => Finding::warn(
                NAME,
                format!("the bucket has object ACLs switched off (Object Ownership): {acl} can't be set"),
                "Say acl=private in the DSN or the remote, and let a bucket policy say who may read; or switch ACLs on \
                 for the bucket",
            ),
            Err(failure) if failure.is_not_implemented() || failure.is(&["InvalidArgument"]) => Finding::warn(
                NAME,
                format!("the server has no object ACLs: {acl} can't be set"),
                "Say acl=private in the DSN or the remote; who may read is set for the bucket",
            ),
            Err(failure) if failure.status == Some(403) => Finding::fail(
                NAME,
                format!("storing with {acl} is refused, and without it is not: objects would not get it"),
                format!(
                    "Allow s3:PutObjectAcl on bucket {} for this key; where that is allowed, Block Public Access \
                     refuses it (see public-access)",
                    inner.wire.bucket()
                ),
            ),
            Err(failure) => Finding::of_error(NAME, inner.wire.fold(&failure, Op::PutObjectAcl, Some(object))),
        };
        self.add(finding);
    }

    /// The server took an ACL: whether the object has it.
    async fn stored_with_acl(&self, object: &str, acl: &str) -> Finding {
        const NAME: &str = "permission-put-acl";
        let stored = format!("a tiny object was stored with {acl} (s3:PutObjectAcl)");
        if !Canned::named(acl).is_some_and(Canned::is_public) {
            return Finding::ok(NAME, stored);
        }
        match self.inner.learn_effect(object).await {
            Ok(_) => match self.inner.without_effect(acl) {
                Some(found) => Finding::warn(NAME, found, PUBLIC_BY_BUCKET),
                None => Finding::ok(NAME, format!("{stored}, and has it")),
            },
            Err(error) => Finding::ok(NAME, format!("{stored}; whether it has it is not known: {}", error.message)),
        }
    }

    async fn begin_upload(&mut self, object: &str) {
        let inner = self.inner;
        let mut headers = Headers::fresh(object, Acl::Unset);
        let id = match inner.create_upload(object, &mut headers).await {
            Ok(id) => id,
            Err(error) => {
                self.add(Finding::of_error("permission-multipart", error));
                return;
            }
        };
        self.add(Finding::ok("permission-multipart", "an upload in parts was begun (s3:PutObject)"));
        match inner.abort(object, &id).await {
            Ok(()) => self.add(Finding::ok("permission-abort", "it was aborted (s3:AbortMultipartUpload)")),
            Err(error) => {
                let Error { message, hint, .. } = error;
                let found = format!("{message}; an upload without content is left there");
                let fix = hint.unwrap_or_else(|| "Allow s3:AbortMultipartUpload for this key".to_owned());
                self.add(Finding::fail("permission-abort", found, fix));
            }
        }
    }

    /// What the server does: as the first contact found it out, or tried now.
    async fn abilities(&mut self, id: Option<String>, may_write: bool, tries: &Tries) {
        let inner = self.inner;
        let known = inner.probe().id;
        let whence = if known.is_some() && known == id {
            "seen at the first contact".to_owned()
        } else if may_write {
            inner.doubt();
            let trial = Trial::new(inner, inner.names.own(&format!("{OWN}probe/{:016x}/", fastrand::u64(..))));
            let result = trial.run().await;
            trial.clean_up().await;
            if let Err(error) = result {
                return self.add(Finding::of_error("conditional-writes", error));
            }
            "tried now".to_owned()
        } else {
            match tries {
                Tries::Forbidden(why) => format!("not tried: {why}"),
                Tries::Allowed => "not tried: what it needs is not allowed".to_owned(),
            }
        };
        self.add(conditional_writes(inner.ability(|probe| probe.conditional_put), &whence));
        let checksums = match inner.ability(|probe| probe.checksums) {
            Ability::Proven => {
                Finding::ok("checksums", format!("a wrong CRC-64 is refused and a right one taken ({whence})"))
            }
            Ability::Missing => Finding::ok(
                "checksums",
                format!("the server does not take them ({whence}): bodies are proven by a signed SHA-256 instead"),
            ),
            Ability::Unknown => Finding::skip("checksums", format!("not known ({whence})")),
        };
        self.add(checksums);
    }
}

impl Inner {
    fn fold_list(&self, failure: &Failure) -> Error {
        self.wire.fold(failure, Op::ListObjects, None)
    }
}

fn body() -> Bytes {
    Bytes::from_static(b"mediasync doctor\n")
}
