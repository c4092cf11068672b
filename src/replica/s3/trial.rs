//! The questions of the [`probe`](super::probe), one function each: what must be refused, what must be done, and what
//! either says about the server.

use aws_sdk_s3::types::{Delete, MetadataDirective, Object, ObjectIdentifier};
use bytes::Bytes;

use super::Inner;
use super::error::Failure;
use super::keep::{Acl, Headers};
use super::list::{From, Page};
use super::names::{copy_source, quoted, shown, unquoted};
use super::ops::Op;
use super::sender::{Ack, Condition, Proof, crc64};
use crate::replica::concurrent::each;
use crate::replica::{Ability, Error};

/// An ETag that nothing here has.
const WRONG: &str = "\"00000000000000000000000000000000\"";
/// Names that show order, encoding and, with a slash, how directories sort; in the byte order that S3 promises.
const NAMES: [&str; 3] = ["k + é%2B", "k-b", "k/a"];
/// The beginning of one of them.
const FOLDER: &str = "k";
/// In a folder of its own, so that a listing shows what became of it.
const BACKSLASH: &str = "b/x\\y";
/// Names that only other buckets have, and what they become where they are not kept apart.
const ODD: [&str; 4] = ["o//e", "o/../p", "o/./d", "o/s/"];
const FOLDED: [&str; 4] = ["o/e", "p", "o/d", "o/s"];

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
pub(super) struct Trial<'a> {
    inner: &'a Inner,
    folder: String,
}

impl<'a> Trial<'a> {
    /// A round in `folder`, a prefix of object names.
    pub(super) fn new(inner: &'a Inner, folder: String) -> Self {
        Self { inner, folder }
    }

    fn object(&self, name: &str) -> String {
        format!("{}{name}", self.folder)
    }

    /// Asks everything. Errors that say nothing about an ability leave it unknown.
    pub(super) async fn run(&self) -> Result<(), Error> {
        let mut etags = Vec::with_capacity(NAMES.len());
        for name in NAMES {
            let object = self.object(name);
            let made = self.inner.write(&object, body(), Proof::Signed, &Condition::Unchecked).await;
            let made = made.map_err(|failure| self.inner.stops(&failure, Op::PutObject, &object))?;
            etags.push(made.etag);
        }
        self.listing(&etags).await?;
        self.names().await;
        let object = self.object(NAMES[1]);
        let etag = self.conditions(&object, &etags[1]).await;
        self.folders().await;
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
        let names =
            |page: &Page| -> Vec<String> { page.objects.iter().filter_map(|object| object.key.clone()).collect() };
        let is_all = |names: &[String]| names.len() == 3 && expected.iter().all(|name| names.contains(name));
        let mut listed = names(&page);
        let url_encoding = if is_all(&listed) { Ability::Proven } else { Ability::Missing };
        inner.learn(|probe| probe.url_encoding = url_encoding);
        if url_encoding == Ability::Missing {
            page = inner.page(&self.folder, &From::Start, 1000).await?;
            listed = names(&page);
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

    /// An object with a backslash in its name must be there under this name, and only this; those with odd names too.
    async fn names(&self) {
        let backslashes = self.come_back("b/", &[BACKSLASH]).await;
        let odd_names = self.come_back("o/", &ODD).await;
        self.inner.learn(|probe| {
            probe.backslashes = backslashes;
            probe.odd_names = odd_names;
        });
    }

    /// Whether objects of these names, and no others, are there below `folder` after they were stored.
    async fn come_back(&self, folder: &str, names: &[&str]) -> Ability {
        let (inner, folder) = (self.inner, self.object(folder));
        let objects: Vec<String> = names.iter().map(|name| self.object(name)).collect();
        let mut ability = Ability::Proven;
        let make =
            |object: String| async move { inner.write(&object, body(), Proof::Signed, &Condition::Unchecked).await };
        each(names.len(), objects.clone(), make, |_, made| match made {
            Ok(_) => true,
            Err(failure) => {
                let refused = matches!(failure.status, Some(300..=499 | 501));
                ability = if refused { Ability::Missing } else { Ability::Unknown };
                false
            }
        })
        .await;
        if ability != Ability::Proven {
            return ability;
        }
        match inner.page(&folder, &From::Start, 1000).await {
            Ok(page) => {
                let mut listed: Vec<&str> = page.objects.iter().filter_map(Object::key).collect();
                let mut stored: Vec<&str> = objects.iter().map(String::as_str).collect();
                listed.sort_unstable();
                stored.sort_unstable();
                if listed == stored { Ability::Proven } else { Ability::Missing }
            }
            Err(_) => Ability::Unknown,
        }
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

    /// A name below which others lie must not be taken for an object, nor be impossible. Without conditions only the
    /// second can be seen: rclone 1.75 answers 500.
    async fn folders(&self) {
        let inner = self.inner;
        let is_conditional = inner.ability(|probe| probe.conditional_put) == Ability::Proven;
        let condition = if is_conditional { Condition::Absent } else { Condition::Unchecked };
        let made = inner.write(&self.object(FOLDER), body(), Proof::Signed, &condition).await;
        let ability = match made {
            Ok(_) => Ability::Proven,
            Err(failure) if failure.status == Some(412) => Ability::Missing,
            Err(failure) if !is_conditional && failure.status == Some(500) => Ability::Missing,
            Err(_) => Ability::Unknown,
        };
        inner.learn(|probe| probe.flat = ability);
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
            // rclone 1.75 does not know the question, and answers with the object.
            Err(failure) if failure.status == Some(200) => Ability::Missing,
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
                    request
                        .metadata_directive(MetadataDirective::Replace)
                        .copy_source_if_match(&etag)
                        .set_if_none_match(none_match.map(str::to_owned))
                        .customize()
                        .map_request(Headers::fresh(&to, Acl::Unset).on_request())
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
            probe.checked_source = ability;
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
                inner.send_delete_objects(&delete).await
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
                (batches, conditional) = (Ability::Missing, Ability::Missing);
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
    pub(super) async fn clean_up(&self) {
        let inner = self.inner;
        let mut names: Vec<&'static str> = NAMES.into_iter().chain([FOLDER, BACKSLASH, "copy"]).chain(ODD).collect();
        // Where odd names are refused or folded, what became of them.
        if inner.ability(|probe| probe.odd_names) != Ability::Proven {
            names.extend(FOLDED);
        }
        let mut left = None;
        let make = |name: &'static str| async move { inner.send_delete(&self.object(name), None).await };
        each(4, names, make, |_, removed| {
            left = removed.err().filter(|failure| !matches!(failure.status, Some(300..=400 | 404)));
            left.is_none()
        })
        .await;
        if let Some(failure) = left {
            inner.notices.add(format!(
                "objects below {} could not be removed: {}",
                shown(&self.folder),
                inner.wire.fold(&failure, Op::DeleteObject, None)
            ));
        }
    }
}

fn body() -> Bytes {
    Bytes::from_static(b"mediasync probe\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::s3::error::Stage;

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
}
