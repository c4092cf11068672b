//! The first contact: is the bucket there and usable, who is it, and what does its server really do.
//!
//! The identity is the text of the object `.mediasync/id`, made once. The questions to the server are tried on tiny
//! objects below `.mediasync/probe/`, which are removed again; the answers are a [`Probe`], valid for that identity.

use aws_sdk_s3::config::ConfigBag;
use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};

use super::Inner;
use super::error::{Failure, Stage};
use super::keep::{Acl, Headers};
use super::list::{From, is_unknown_v2};
use super::names::{OWN, shown};
use super::ops::Op;
use super::sender::{Ack, Condition, Proof};
use super::trial::Trial;
use crate::model::hex;
use crate::replica::{Ability, Cause, Connected, Contact, Error};

/// What was found out about a server by trying. Kept by the caller between runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Probe {
    /// The identity of the place where it was found out.
    pub id: Option<String>,
    /// The bucket's region, where it is not the configured one.
    pub region: Option<String>,
    /// A backslash in a name stays one (SeaweedFS 4.48 makes it a slash).
    pub backslashes: Ability,
    /// Empty components, dots and a final slash in a name come back as they are.
    pub odd_names: Ability,
    /// A name can be created while others lie below it (SeaweedFS 4.48 says that it is taken).
    pub flat: Ability,
    /// Listings come in the byte order of keys.
    pub ordered: Ability,
    /// A listing can begin after a key.
    pub start_after: Ability,
    /// Names survive a listing with `encoding-type=url`.
    pub url_encoding: Ability,
    /// ListObjectsV2.
    pub list_v2: Ability,
    /// Writes, looks and listings show the same ETag.
    pub same_etags: Ability,
    /// PutObject honours `If-None-Match: *` and `If-Match`.
    pub conditional_put: Ability,
    /// A wrong CRC-64/NVME is refused and a right one is taken.
    pub checksums: Ability,
    /// CopyObject.
    pub copy: Ability,
    /// CopyObject honours a condition on its source.
    pub checked_source: Ability,
    /// CopyObject honours conditions on its target.
    pub conditional_copy: Ability,
    /// DeleteObject honours `If-Match`.
    pub conditional_delete: Ability,
    /// DeleteObjects.
    pub batch_delete: Ability,
    /// DeleteObjects honours an ETag for each key.
    pub conditional_batch_delete: Ability,
    /// Objects have ACLs.
    pub acl: Ability,
    /// An upload's ACL is what its object has (SeaweedFS 4.48 takes it and does nothing).
    pub upload_acl: Ability,
    /// Keys at equal distances, as the last complete listing met them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<String>,
    /// The bucket keeps versions.
    pub versioning: Ability,
}

impl Probe {
    /// Whether every question that decides how content is written was answered.
    fn is_settled(&self) -> bool {
        let decisive = [self.conditional_put, self.checksums, self.copy, self.conditional_delete, self.batch_delete];
        !decisive.contains(&Ability::Unknown)
    }
}

/// See [`Replica::connect`](crate::replica::Replica::connect).
pub(super) async fn connect(inner: &Inner, contact: Contact) -> Result<Connected, Error> {
    inner.first_contact().await?;
    let found = inner.read_id().await?;
    // What is remembered was found out somewhere else.
    if inner.probe().id.is_some_and(|id| found.as_ref() != Some(&id)) {
        inner.forget();
    }
    let identity = match (contact, found) {
        (Contact::Look, found) => found,
        (Contact::Prepare, Some(id)) => Some(id),
        (Contact::Prepare, None) => Some(inner.make_id().await?),
    };
    if contact == Contact::Prepare && inner.probe().id != identity {
        inner.find_out(identity.clone()).await?;
    }
    let mut notices = inner.notices.take();
    // What the place does to what is written matters to whoever is about to write there, and is told then.
    let writes = contact == Contact::Prepare;
    if writes && let Some(acl) = &inner.wire.address().acl {
        notices.extend(inner.effect_to_tell(acl));
    }
    if writes && inner.ability(|probe| probe.conditional_put) == Ability::Missing {
        notices.push(format!(
            "{} ignores preconditions: each key is looked at right before it is written, a change by somebody else in \
             that instant would be lost",
            inner.name
        ));
    }
    let findings = serde_json::to_string(&inner.findings()).expect("a probe is plain data");
    Ok(Connected { identity, notices, findings: Some(findings) })
}

impl Inner {
    /// Removes what listings noted and nobody can be using any more. Returns how many there were.
    pub(super) async fn remove_leftovers(&self) -> Result<u64, Error> {
        let mut removed = 0;
        for relative in self.leftovers.take(self.wire.clock().now_ns()) {
            let object = self.names.own(&relative);
            match self.send_delete(&object, None).await {
                Ok(()) => removed += 1,
                Err(failure) if failure.status == Some(404) => {}
                Err(failure) => {
                    let error = self.wire.fold(&failure, Op::DeleteObject, Some(&object));
                    // Whoever may write and not delete still synced everything.
                    let cause = if error.cause == Cause::Stop { Cause::Refused } else { error.cause };
                    return Err(Error { cause, ..error });
                }
            }
        }
        Ok(removed)
    }

    /// Lists one key. It needs what every run needs, and unlike HEAD its errors come with a code.
    async fn first_contact(&self) -> Result<(), Error> {
        let prefix = self.names.prefix();
        if self.ability(|probe| probe.list_v2) == Ability::Missing {
            return self.page(prefix, &From::Start, 1).await.map(drop);
        }
        let Err(failure) = self.ask_for_one().await else { return Ok(()) };
        if is_unknown_v2(&failure) {
            // The listing itself falls back to the older request.
            return self.page(prefix, &From::Start, 1).await.map(drop);
        }
        let error = self.wire.fold(&failure, Op::ListObjects, None);
        let is_passing = matches!(failure.stage, Stage::Answered | Stage::Network | Stage::Timeout | Stage::Unreadable);
        match error.cause {
            Cause::Transient { .. } if is_passing => Err(error),
            _ => Err(Error { cause: Cause::Stop, ..error }),
        }
    }

    /// Lists one key with the newer request, and takes the server's time from the answer.
    pub(super) async fn ask_for_one(&self) -> Result<(), Failure> {
        let prefix = self.names.prefix();
        let encoding = self.asks_for_encoding();
        let date = Arc::new(Mutex::new(None));
        let answer = self.wire.send(Op::ListObjects, 0, |client| {
            let request = client.list_objects_v2().bucket(self.wire.bucket()).max_keys(1);
            let request =
                request.set_prefix((!prefix.is_empty()).then(|| prefix.to_owned())).set_encoding_type(encoding.clone());
            request.customize().interceptor(Dated(Arc::clone(&date))).send()
        });
        answer.await?;
        let date = date.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(date) = date {
            self.wire.clock().saw_date(&date);
        }
        Ok(())
    }

    /// The identity, if there is one.
    pub(super) async fn read_id(&self) -> Result<Option<String>, Error> {
        let object = self.names.own(&format!("{OWN}id"));
        let answer = self.wire.send(Op::GetObject, 0, |client| {
            client.get_object().bucket(self.wire.bucket()).key(&object).range("bytes=0-255").send()
        });
        let output = match answer.await {
            Ok(output) => output,
            Err(failure) if failure.is_absent_key() => return Ok(None),
            Err(failure) => return Err(self.stops(&failure, Op::GetObject, &object)),
        };
        let again = Cause::Transient { throttled: false, after: None };
        let body = output.body.collect().await;
        let body = body.map_err(|_| Error::new(again, format!("read {}: the connection broke", shown(&object))))?;
        let bytes = body.into_bytes();
        let text = std::str::from_utf8(&bytes).unwrap_or_default().trim();
        if text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(Some(text.to_owned()));
        }
        Err(Error::new(Cause::Stop, format!("{} does not hold an identity", shown(&object)))
            .hint("It was written by something else; if nothing else uses this place, delete that object"))
    }

    /// Makes the identity; if somebody else is faster, theirs.
    async fn make_id(&self) -> Result<String, Error> {
        let object = self.names.own(&format!("{OWN}id"));
        let id = hex(&fastrand::u128(..).to_be_bytes());
        match self.write(&object, id.clone().into(), Proof::Signed, &Condition::Absent).await {
            Ok(_) => Ok(id),
            Err(failure) if failure.is_precondition() => match self.read_id().await? {
                Some(id) => Ok(id),
                None => Err(self.stops(&failure, Op::PutObject, &object)),
            },
            Err(failure) if failure.is_not_implemented() || failure.status == Some(400) => {
                // A server that refuses the condition itself.
                let made = self.write(&object, id.clone().into(), Proof::Signed, &Condition::Unchecked).await;
                made.map(|_| id).map_err(|failure| self.stops(&failure, Op::PutObject, &object))
            }
            Err(failure) => Err(self.stops(&failure, Op::PutObject, &object)),
        }
    }

    /// An error at the first contact: nothing that would not end every run.
    pub(super) fn stops(&self, failure: &Failure, op: Op, object: &str) -> Error {
        let error = self.wire.fold(failure, op, Some(object));
        match error.cause {
            Cause::Transient { .. } => error,
            _ => Error { cause: Cause::Stop, ..error },
        }
    }

    /// A private object of our own.
    pub(super) async fn write(
        &self,
        object: &str,
        body: Bytes,
        proof: Proof,
        condition: &Condition,
    ) -> Result<Ack, Failure> {
        let headers = Headers { content_type: Some("text/plain".to_owned()), ..Headers::fresh(object, Acl::Unset) };
        self.send_object(object, &body, proof, &headers, condition).await
    }

    /// Nothing is known but the region and what is known of such servers.
    fn forget(&self) {
        self.learn(|probe| *probe = Probe { region: probe.region.take(), ..self.provider.guess() });
    }

    /// Nothing is known but the region: all that can be tried is tried, whatever is known of such servers.
    pub(super) fn doubt(&self) {
        self.learn(|probe| *probe = Probe { region: probe.region.take(), ..Probe::default() });
    }

    /// Asks the server everything. Errors that say nothing about an ability leave it unknown.
    async fn find_out(&self, id: Option<String>) -> Result<(), Error> {
        // A server that is busy answers nothing: it is asked once more.
        for _ in 0..2 {
            let folder = self.names.own(&format!("{OWN}probe/{:016x}/", fastrand::u64(..)));
            let trial = Trial::new(self, folder);
            self.doubt();
            let result = trial.run().await;
            trial.clean_up().await;
            result?;
            if self.probe().is_settled() {
                break;
            }
        }
        self.ask_for_versioning().await;
        self.learn(|probe| probe.id = id);
        Ok(())
    }
}

/// Reads the `Date` of an answer.
#[derive(Debug)]
struct Dated(Arc<Mutex<Option<String>>>);

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for Dated {
    fn name(&self) -> &'static str {
        "Dated"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").map(str::to_owned);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_from_an_earlier_version_is_read_with_what_it_has() {
        let probe: Probe = serde_json::from_str(r#"{"id":"x","ordered":"proven"}"#).unwrap();
        assert_eq!((probe.ordered, probe.checksums), (Ability::Proven, Ability::Unknown));
    }
}
