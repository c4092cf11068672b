//! A container that somebody wants to know more about: whether it answers, who we are there, what we may do. Each question
//! is asked once, and its answer is told and not acted on.
//!
//! Writes only where that is allowed, and only below `.mediasync/probe/`, as the first contact does; what it wrote it
//! removes. A block that is sent and not used can't be removed: sending blocks needs what storing a blob needs, and is not
//! tried.

use azure_storage_blob::models::{BlobContainerClientGetPropertiesResultHeaders as _, PublicAccessType};
use bytes::Bytes;
use jiff::{Timestamp, ToSpan as _};

use super::error::{Failure, Stage};
use super::ops::Op;
use super::put::Condition;
use super::sas::Sas;
use super::{Azure, Credentials, Inner};
use crate::model::Expect;
use crate::replica::checkup::{Finding, State, Tries, Usage, conditional_writes};
use crate::replica::object::OWN;

/// Codes that say that we are not who we say we are. Emulators say the last one of a wrong key.
const UNKNOWN: [&str; 5] = [
    "AuthenticationFailed",
    "InvalidAuthenticationInfo",
    "NoAuthenticationInformation",
    "KeyBasedAuthenticationNotPermitted",
    "AuthorizationFailure",
];

impl Azure {
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
        if let Credentials::Sas(text) = &self.inner.wire.address().credentials {
            let sas = Sas::read(text.reveal());
            let findings = signature(&sas, usage, Timestamp::now());
            let is_over = findings[0].state == State::Fail;
            self.findings.extend(findings);
            if is_over {
                return self.add(Finding::skip("credentials", "nothing is asked with a signature that does not hold"));
            }
        }
        if !self.contact().await {
            return;
        }
        if usage == Usage::Read {
            return;
        }
        let may_write = match tries {
            Tries::Allowed => self.write().await,
            Tries::Forbidden(why) => {
                for (name, op) in [("permission-put", Op::PutBlob), ("permission-delete", Op::DeleteBlob)] {
                    self.add(Finding::skip(name, format!("{} was not tried: {why}", op.name())));
                }
                false
            }
        };
        self.abilities(may_write, tries).await;
        let public = self.public_access().await;
        self.add(public);
    }

    /// Asks for a blob that may be there, and for the first of all. False if nothing else is worth a try.
    async fn contact(&mut self) -> bool {
        let inner = self.inner;
        let blob = inner.names.own(&format!("{OWN}id"));
        let answer = match inner.wire.blob(&blob) {
            Ok(client) => {
                let request = async { client.get_properties(None).await.map(drop) };
                inner.wire.send(Op::GetBlobProperties, 0, request).await
            }
            Err(failure) => Err(failure),
        };
        let told = |failure: &Failure| inner.wire.fold(failure, Op::GetBlobProperties, Some(&blob));
        let get = match &answer {
            Ok(()) => Finding::ok("permission-get", "its identity was read"),
            Err(failure) if failure.is_absent_blob() => {
                Finding::ok("permission-get", "allowed; nothing was synced here yet")
            }
            Err(failure) => {
                let name = match failure.stage {
                    Stage::Credentials => "credentials",
                    Stage::Answered if failure.is(&UNKNOWN) => "credentials",
                    Stage::Answered if failure.status == Some(404) => "container",
                    Stage::Answered if failure.status == Some(403) => "permission-get",
                    _ => "answer",
                };
                let finding = Finding::of_error(name, told(failure));
                if name != "permission-get" {
                    self.add(finding);
                    return false;
                }
                finding
            }
        };
        let listed = inner.page(inner.names.prefix(), None, 1).await;
        if let Err(error) = &listed
            && error.message.contains("does not exist")
        {
            self.add(Finding::of_error("container", error.clone()));
            return false;
        }
        self.add(Finding::ok("credentials", "the service takes them"));
        self.add(Finding::ok("container", format!("{} is there", inner.wire.address().container)));
        self.add(match listed {
            Ok(_) => Finding::ok("permission-list", "it was listed"),
            Err(error) => Finding::of_error("permission-list", error),
        });
        self.add(get);
        true
    }

    /// Tries to store and to delete a tiny blob. Whether both are allowed.
    async fn write(&mut self) -> bool {
        let inner = self.inner;
        let blob = inner.names.own(&format!("{OWN}probe/{:016x}/doctor", fastrand::u64(..)));
        let put = inner.write(&blob, Bytes::from_static(b"mediasync doctor\n"), Condition::of(&Expect::Absent)).await;
        if let Err(failure) = put {
            self.add(Finding::of_error("permission-put", inner.wire.fold(&failure, Op::PutBlob, Some(&blob))));
            self.add(Finding::skip("permission-delete", "DeleteBlob was not tried: nothing can be stored there"));
            return false;
        }
        self.add(Finding::ok("permission-put", "tried on a tiny blob"));
        let deleted = inner.send_delete(&blob, None).await;
        match &deleted {
            Ok(()) => self.add(Finding::ok("permission-delete", "tried on a tiny blob")),
            Err(failure) => {
                let mut finding =
                    Finding::of_error("permission-delete", inner.wire.fold(failure, Op::DeleteBlob, Some(&blob)));
                finding.found.push_str("; a tiny blob is left there");
                self.add(finding);
            }
        }
        deleted.is_ok()
    }

    /// What the service does: as the first contact found it out, or tried now.
    async fn abilities(&mut self, may_write: bool, tries: &Tries) {
        let inner = self.inner;
        let whence = if inner.probe().id.is_some() {
            "seen at the first contact".to_owned()
        } else if may_write {
            if let Err(error) = inner.find_out(None).await {
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
    }

    async fn public_access(&self) -> Finding {
        const NAME: &str = "public-access";
        let inner = self.inner;
        let answer = match inner.wire.container() {
            Ok(client) => {
                let request = async { client.get_properties(None).await?.access() };
                inner.wire.send(Op::GetContainerProperties, 0, request).await
            }
            Err(failure) => Err(failure),
        };
        match answer {
            Ok(None) => Finding::ok(NAME, "the container is private"),
            Ok(Some(PublicAccessType::Blob)) => Finding::ok(NAME, "everybody who knows its name may read a blob"),
            Ok(Some(PublicAccessType::Container)) => Finding::warn(
                NAME,
                "everybody may list the container and read all of it, what is in mediasync's trash included",
                "Set its access level to \"blob\", or to \"private\" if nobody unknown is to read",
            ),
            Ok(Some(_)) => Finding::skip(NAME, "the service says a level that this program does not know"),
            Err(_) => Finding::skip(NAME, "what signs the requests may not ask for the container's access level"),
        }
    }
}

/// What a shared access signature says of itself.
fn signature(sas: &Sas, usage: Usage, now: Timestamp) -> Vec<Finding> {
    const NAME: &str = "signature";
    let mut findings = Vec::new();
    findings.push(match (sas.expires, sas.starts) {
        (Some(expires), _) if expires <= now => {
            Finding::fail(NAME, format!("the shared access signature expired at {expires}"), "Issue a new one")
        }
        (_, Some(starts)) if starts > now => Finding::fail(
            NAME,
            format!("the shared access signature holds from {starts} on, not yet"),
            "Wait until then, set this machine's clock, or issue another one",
        ),
        (Some(expires), _) if expires < now.saturating_add((24 * 7).hours()).unwrap_or(now) => Finding::warn(
            NAME,
            format!("the shared access signature expires at {expires}"),
            "Issue a new one in time; a dsn_command can bring one whenever it has run out",
        ),
        (Some(expires), _) => Finding::ok(NAME, format!("the shared access signature holds until {expires}")),
        (None, _) => Finding::ok(NAME, "the shared access signature leaves its time to a stored policy"),
    });
    let needed: &[Op] = match usage {
        Usage::Read => &[Op::ListBlobs, Op::GetBlob],
        Usage::Add | Usage::Delete => &[Op::ListBlobs, Op::GetBlob, Op::PutBlob, Op::DeleteBlob],
    };
    for op in needed {
        if let Some(lack) = sas.lacks(*op) {
            let fix = "Issue one with the permissions racwdl (or rl for reading), for containers and objects";
            findings.push(Finding::fail(NAME, format!("{} is not possible: {lack}", op.name()), fix));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_told_before_it_is_refused() {
        let now: Timestamp = "2026-01-10T00:00:00Z".parse().unwrap();
        let states = |text: &str, usage| -> Vec<State> {
            signature(&Sas::read(text), usage, now).into_iter().map(|finding| finding.state).collect()
        };
        assert_eq!(states("se=2026-01-09&sp=rwdl&sig=x", Usage::Delete), [State::Fail]);
        assert_eq!(states("se=2026-01-12&sp=rwdl&sig=x", Usage::Delete), [State::Warn]);
        assert_eq!(states("se=2027-01-01&sp=rwdl&sig=x", Usage::Delete), [State::Ok]);
        assert_eq!(states("st=2026-01-11&se=2027-01-01&sp=rwdl&sig=x", Usage::Delete), [State::Fail]);
        assert_eq!(states("se=2027-01-01&sp=rl&sig=x", Usage::Read), [State::Ok]);
        assert_eq!(states("se=2027-01-01&sp=rl&sig=x", Usage::Add), [State::Ok, State::Fail, State::Fail]);
        assert_eq!(states("si=policy&sig=x", Usage::Add), [State::Ok]);
    }
}
