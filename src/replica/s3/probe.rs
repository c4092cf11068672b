//! The first contact: is the bucket there and usable, who is it, and what does its server really do.
//!
//! The identity is the text of the object `.mediasync/id`, made once. The questions to the server are tried on tiny
//! objects below `.mediasync/probe/`, which are removed again; the answers are a [`Probe`], valid for that identity.

use aws_sdk_s3::config::ConfigBag;
use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::types::{Delete, EncodingType, ObjectIdentifier};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::Inner;
use super::error::{Failure, Stage};
use super::keep::{Acl, Headers, with_headers};
use super::list::From;
use super::names::{OWN, copy_source, quoted, shown, unquoted};
use super::ops::Op;
use super::sender::{Ack, Condition, Proof, crc64};
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
    /// CopyObject, with a condition on its source.
    pub copy: Ability,
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
}

/// An ETag that nothing here has.
const WRONG: &str = "\"00000000000000000000000000000000\"";
/// Names that show order, encoding and, with a slash, how directories sort; in the byte order that S3 promises.
const NAMES: [&str; 3] = ["k + é%2B", "k-b", "k/a"];

/// See [`Replica::connect`](crate::replica::Replica::connect).
pub(super) async fn connect(inner: &Inner, contact: Contact) -> Result<Connected, Error> {
    inner.first_contact().await?;
    let found = inner.read_id().await?;
    let identity = match (contact, found) {
        (Contact::Look, found) => found,
        (Contact::Prepare, Some(id)) => Some(id),
        (Contact::Prepare, None) => Some(inner.make_id().await?),
    };
    if contact == Contact::Prepare && inner.probe().id != identity {
        inner.find_out(identity.clone()).await?;
    }
    let mut notices = std::mem::take(&mut *inner.notices.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    if inner.ability(|probe| probe.conditional_put) == Ability::Missing {
        notices.push(format!(
            "{} ignores preconditions: each key is looked at right before it is written, a change by somebody else in \
             that instant would be lost",
            inner.name
        ));
    }
    Ok(Connected { identity, notices })
}

impl Inner {
    /// Lists one key. It needs what every run needs, and unlike HEAD its errors come with a code.
    async fn first_contact(&self) -> Result<(), Error> {
        let prefix = self.names.prefix();
        let date = Arc::new(std::sync::Mutex::new(None));
        let answer = self.wire.send(Op::ListObjects, 0, |client| {
            let request = client.list_objects_v2().bucket(self.wire.bucket()).max_keys(1);
            let request =
                request.set_prefix((!prefix.is_empty()).then(|| prefix.to_owned())).encoding_type(EncodingType::Url);
            request.customize().interceptor(Dated(Arc::clone(&date))).send()
        });
        let failure = match answer.await {
            Ok(_) => {
                let date = date.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
                if let Some(date) = date {
                    self.wire.saw_date(&date);
                }
                return Ok(());
            }
            Err(failure) => failure,
        };
        if failure.is_not_implemented() {
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

    /// The identity, if there is one.
    async fn read_id(&self) -> Result<Option<String>, Error> {
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
    fn stops(&self, failure: &Failure, op: Op, object: &str) -> Error {
        let error = self.wire.fold(failure, op, Some(object));
        match error.cause {
            Cause::Transient { .. } => error,
            _ => Error { cause: Cause::Stop, ..error },
        }
    }

    /// A private object of our own.
    async fn write(&self, object: &str, body: Bytes, proof: Proof, condition: &Condition) -> Result<Ack, Failure> {
        let headers = Headers { content_type: Some("text/plain".to_owned()), ..Headers::fresh(object, Acl::Unset) };
        self.send_object(object, &body, proof, &headers, condition).await
    }

    /// Asks the server everything. Errors that say nothing about an ability leave it unknown.
    async fn find_out(&self, id: Option<String>) -> Result<(), Error> {
        let folder = self.names.own(&format!("{OWN}probe/{:016x}/", fastrand::u64(..)));
        let trial = Trial { inner: self, folder };
        self.learn(|probe| *probe = Probe { id: None, region: probe.region.take(), ..Probe::default() });
        let result = trial.run().await;
        trial.clean_up().await;
        result?;
        self.learn(|probe| probe.id = id);
        Ok(())
    }
}

/// Whether a question was answered with yes or no; anything else leaves it unknown.
fn verdict(refused: Result<(), &Failure>, expected: impl Fn(&Failure) -> bool) -> Ability {
    match refused {
        // What should have been refused was done.
        Ok(()) => Ability::Missing,
        Err(failure) if expected(failure) => Ability::Proven,
        // The header itself was refused: it can't be relied on.
        Err(failure) if matches!(failure.status, Some(400..=499 | 501)) => Ability::Missing,
        Err(_) => Ability::Unknown,
    }
}

/// Both have to be proven.
fn both(a: Ability, b: Ability) -> Ability {
    match (a, b) {
        (Ability::Proven, Ability::Proven) => Ability::Proven,
        (Ability::Missing, _) | (_, Ability::Missing) => Ability::Missing,
        _ => Ability::Unknown,
    }
}

/// One round of questions, on objects in an own folder.
struct Trial<'a> {
    inner: &'a Inner,
    folder: String,
}

impl Trial<'_> {
    fn object(&self, name: &str) -> String {
        format!("{}{name}", self.folder)
    }

    async fn run(&self) -> Result<(), Error> {
        let mut etags = Vec::with_capacity(NAMES.len());
        for name in NAMES {
            let object = self.object(name);
            let made = self.inner.write(&object, body(), Proof::Signed, &Condition::Unchecked).await;
            let made = made.map_err(|failure| self.inner.stops(&failure, Op::PutObject, &object))?;
            etags.push(made.etag);
        }
        self.listing(&etags).await?;
        let object = self.object(NAMES[1]);
        let etag = self.conditions(&object, &etags[1]).await;
        self.checksums(&object).await;
        self.acls(&object).await;
        let etag = self.fresh_etag(&object).await.unwrap_or(etag);
        self.copies(&object, &etag).await;
        self.deletions(&etag).await;
        Ok(())
    }

    async fn listing(&self, etags: &[String]) -> Result<(), Error> {
        let inner = self.inner;
        let expected: Vec<String> = NAMES.iter().map(|name| self.object(name)).collect();
        let mut page = inner.page(&self.folder, &From::Start, 1000).await?;
        let names = |page: &super::list::Page| -> Vec<String> {
            page.objects.iter().filter_map(|object| object.key.clone()).collect()
        };
        let is_all = |names: &[String]| names.len() == 3 && expected.iter().all(|name| names.contains(name));
        let mut listed = names(&page);
        if !is_all(&listed) {
            inner.learn(|probe| probe.url_encoding = Ability::Missing);
            page = inner.page(&self.folder, &From::Start, 1000).await?;
            listed = names(&page);
        } else {
            inner.learn(|probe| probe.url_encoding = Ability::Proven);
        }
        let proven = |yes: bool| if yes { Ability::Proven } else { Ability::Missing };
        let ordered = proven(listed == expected);
        let same = page.objects.iter().all(|object| {
            let at = expected.iter().position(|name| Some(name.as_str()) == object.key());
            at.is_none_or(|at| object.e_tag().map(unquoted) == Some(&etags[at]))
        });
        let head = inner.head(&expected[1]).await?;
        let head_same = head.as_ref().and_then(|head| head.e_tag()).map(unquoted) == Some(&etags[1]);
        // Some servers read the first characters of a name only, or count from another place.
        let after = inner.page(&self.folder, &From::After(expected[1].clone()), 1000).await;
        let start_after = after.map_or(Ability::Unknown, |page| proven(names(&page) == expected[2..]));
        inner.learn(|probe| {
            probe.ordered = ordered;
            probe.start_after = start_after;
            probe.same_etags = proven(same && head_same);
            if probe.list_v2 == Ability::Unknown {
                probe.list_v2 = Ability::Proven;
            }
        });
        Ok(())
    }

    /// Creating twice and replacing a wrong version must fail; replacing the right one must work.
    async fn conditions(&self, object: &str, etag: &str) -> String {
        let inner = self.inner;
        let put = |condition| async move { inner.write(object, body(), Proof::Signed, &condition).await };
        let twice = put(Condition::Absent).await;
        let wrong = put(Condition::Etag(WRONG.to_owned())).await;
        let is_412 = |failure: &Failure| failure.status == Some(412);
        let refused = |result: &Result<Ack, Failure>| verdict(result.as_ref().map(drop), is_412);
        let mut ability = both(refused(&twice), refused(&wrong));
        if ability == Ability::Proven {
            ability = match put(Condition::Etag(quoted(etag))).await {
                Ok(_) => Ability::Proven,
                Err(failure) if matches!(failure.status, Some(400..=499)) => Ability::Missing,
                Err(_) => Ability::Unknown,
            };
        }
        inner.learn(|probe| probe.conditional_put = ability);
        etag.to_owned()
    }

    async fn checksums(&self, object: &str) {
        let (inner, right) = (self.inner, crc64(&body()));
        let put =
            |crc| async move { inner.write(object, body(), Proof::SignedAndCrc(crc), &Condition::Unchecked).await };
        let refused = put(!right).await;
        let mut ability = verdict(refused.as_ref().map(drop), |failure| failure.status == Some(400));
        if ability == Ability::Proven && put(right).await.is_err() {
            ability = Ability::Missing;
        }
        inner.learn(|probe| probe.checksums = ability);
    }

    async fn acls(&self, object: &str) {
        let inner = self.inner;
        let answer = inner
            .wire
            .send(Op::GetObjectAcl, 0, |client| client.get_object_acl().bucket(inner.wire.bucket()).key(object).send());
        let ability = match answer.await {
            Ok(output) if output.grants().is_empty() => Ability::Missing,
            Ok(_) => Ability::Proven,
            Err(failure) if failure.is_not_implemented() => Ability::Missing,
            Err(_) => Ability::Unknown,
        };
        inner.learn(|probe| probe.acl = ability);
    }

    async fn fresh_etag(&self, object: &str) -> Option<String> {
        let head = self.inner.head(object).await.ok()??;
        head.e_tag().map(|etag| unquoted(etag).to_owned())
    }

    async fn copies(&self, object: &str, etag: &str) {
        let inner = self.inner;
        let (from, to) = (copy_source(inner.wire.bucket(), object), self.object("copy"));
        let copy = |etag: String, none_match: Option<&'static str>| {
            let (from, to) = (from.clone(), to.clone());
            async move {
                let answer = inner.wire.send(Op::CopyObject, 0, |client| {
                    let request = client.copy_object().bucket(inner.wire.bucket()).key(&to).copy_source(&from);
                    with_headers!(request, &Headers::fresh(&to, Acl::Unset))
                        .metadata_directive(aws_sdk_s3::types::MetadataDirective::Replace)
                        .copy_source_if_match(&etag)
                        .set_if_none_match(none_match.map(str::to_owned))
                        .send()
                });
                answer.await.and_then(|output| Ack::new(output.copy_object_result().and_then(|result| result.e_tag())))
            }
        };
        let is_412 = |failure: &Failure| failure.status == Some(412);
        let wrong = copy(WRONG.to_owned(), None).await;
        let right = copy(quoted(etag), None).await;
        let ability = match &right {
            Ok(_) => verdict(wrong.as_ref().map(drop), is_412),
            Err(failure) if matches!(failure.status, Some(400..=499 | 501)) => Ability::Missing,
            Err(_) => Ability::Unknown,
        };
        // A copy without a checked source is still of use: the source is looked at right before.
        let copies = if right.is_ok() { Ability::Proven } else { ability };
        let mut conditional = Ability::Unknown;
        if right.is_ok() {
            let twice = copy(quoted(etag), Some("*")).await;
            conditional = verdict(twice.as_ref().map(drop), is_412);
        }
        inner.learn(|probe| {
            probe.copy = copies;
            probe.conditional_copy = conditional;
        });
    }

    /// Deleting a wrong version must fail, and must leave the object; deleting the right one must work.
    async fn deletions(&self, etag: &str) {
        let inner = self.inner;
        let is_412 = |failure: &Failure| failure.status == Some(412) || failure.is(&["PreconditionFailed"]);
        let (single, many) = (self.object(NAMES[1]), self.object(NAMES[2]));
        let wrong = inner.send_delete(&single, Some(WRONG.to_owned())).await;
        let mut ability = verdict(wrong.as_ref().copied(), is_412);
        if ability == Ability::Proven && inner.send_delete(&single, Some(quoted(etag))).await.is_err() {
            ability = Ability::Missing;
        }
        let batch = |etag: String| {
            let many = many.clone();
            async move {
                let identifier = ObjectIdentifier::builder().key(many).e_tag(etag).build().expect("the key is set");
                let delete = Delete::builder().objects(identifier).build().expect("the objects are set");
                inner
                    .wire
                    .send(Op::DeleteObjects, 0, |client| {
                        client.delete_objects().bucket(inner.wire.bucket()).delete(delete.clone()).send()
                    })
                    .await
            }
        };
        let (mut batches, mut conditional) = (Ability::Unknown, Ability::Unknown);
        match batch(WRONG.to_owned()).await {
            Ok(output) => {
                batches = Ability::Proven;
                let refused = output.errors().iter().any(|error| error.code() == Some("PreconditionFailed"));
                conditional = Ability::Missing;
                if refused
                    && let Some(etag) = self.fresh_etag(&many).await
                    && let Ok(output) = batch(quoted(&etag)).await
                    && output.errors().is_empty()
                {
                    conditional = Ability::Proven;
                }
            }
            Err(failure) if matches!(failure.status, Some(400 | 405 | 411 | 501)) => {
                conditional = Ability::Missing;
            }
            Err(_) => {}
        }
        inner.learn(|probe| {
            probe.conditional_delete = ability;
            probe.batch_delete = batches;
            probe.conditional_batch_delete = conditional;
        });
    }

    /// Removes what is left of the round. Without the permission to delete it stays, which is told.
    async fn clean_up(&self) {
        let inner = self.inner;
        for name in NAMES.into_iter().chain(["copy"]) {
            if let Err(failure) = inner.send_delete(&self.object(name), None).await
                && failure.status != Some(404)
            {
                inner.notice(format!(
                    "objects below {} could not be removed: {}",
                    shown(&self.folder),
                    inner.wire.fold(&failure, Op::DeleteObject, None)
                ));
                return;
            }
        }
    }
}

fn body() -> Bytes {
    Bytes::from_static(b"mediasync probe\n")
}

/// Reads the `Date` of an answer.
#[derive(Debug)]
struct Dated(Arc<std::sync::Mutex<Option<String>>>);

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
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = date;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16) -> Failure {
        Failure { status: Some(status), ..Failure::at(Stage::Answered) }
    }

    #[test]
    fn only_the_expected_refusal_proves_an_ability() {
        let is_412 = |failure: &Failure| failure.status == Some(412);
        assert_eq!(verdict(Ok(()), is_412), Ability::Missing);
        assert_eq!(verdict(Err(&answered(412)), is_412), Ability::Proven);
        assert_eq!(verdict(Err(&answered(501)), is_412), Ability::Missing);
        assert_eq!(verdict(Err(&answered(503)), is_412), Ability::Unknown);
        assert_eq!(verdict(Err(&Failure::at(Stage::Timeout)), is_412), Ability::Unknown);
    }

    #[test]
    fn the_names_are_in_byte_order() {
        assert!(NAMES.is_sorted());
    }

    #[test]
    fn a_probe_from_an_earlier_version_is_read_with_what_it_has() {
        let probe: Probe = serde_json::from_str(r#"{"id":"x","ordered":"proven"}"#).unwrap();
        assert_eq!((probe.ordered, probe.checksums), (Ability::Proven, Ability::Unknown));
    }
}
