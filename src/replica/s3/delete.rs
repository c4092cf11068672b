//! Deleting, each key only if it still has the version that the plan saw. A version id is never sent: in a bucket with
//! versioning a deletion hides the object and keeps its history.

use std::collections::HashMap;

use aws_sdk_s3::operation::delete_objects::DeleteObjectsOutput;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::Inner;
use super::document::{add_md5, drop_checksum};
use super::error::{Failure, Stage};
use super::names::{fits_xml, quoted, shown};
use super::ops::Op;
use super::put::raced;
use crate::model::{Expect, Key, Version};
use crate::replica::concurrent::each;
use crate::replica::{Ability, Cause, Error};

/// DeleteObjects' limit (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>).
const BATCH: usize = 1000;
/// Single requests at the same time.
const PARALLEL: usize = 16;

/// How a server makes sure that a deletion hits the version that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// It compares the ETag in the request.
    Server,
    /// It does not: each key is looked at right before.
    Look,
}

impl Inner {
    /// Deletes keys; one result each, in order.
    pub(super) async fn delete(&self, batch: &[(Key, Version)]) -> Vec<Result<(), Error>> {
        let mut results: Vec<Result<(), Error>> = vec![Ok(()); batch.len()];
        let targets: Vec<Target<'_>> = batch
            .iter()
            .enumerate()
            .map(|(at, (key, version))| Target { at, object: self.names.object(key), version })
            .collect();
        let can_batch = self.ability(|probe| probe.batch_delete) != Ability::Missing && batch.len() > 1;
        let foreign = self.ability(|probe| probe.same_etags) == Ability::Missing;
        let by_server =
            |ability: Ability| if ability == Ability::Proven && !foreign { Check::Server } else { Check::Look };
        let batch_check = by_server(self.ability(|probe| probe.conditional_batch_delete));
        let single_check = by_server(self.ability(|probe| probe.conditional_delete));
        // A batch that the server does not check costs a look at each key; a checked single deletion does not.
        let batches = can_batch && (batch_check == Check::Server || single_check == Check::Look);
        let (many, single): (Vec<_>, Vec<_>) =
            targets.into_iter().partition(|target| batches && fits_xml(&target.object));
        for chunk in many.chunks(BATCH) {
            self.delete_batch(chunk, batch_check, single_check, &mut results).await;
        }
        self.delete_each(&single, single_check, &mut results).await;
        results
    }

    /// One DeleteObjects, after looking at each key where the server does not; singles where it knows no batches.
    async fn delete_batch(
        &self,
        chunk: &[Target<'_>],
        check: Check,
        single_check: Check,
        results: &mut [Result<(), Error>],
    ) {
        let mut looked: Vec<Result<(), Error>> = vec![Ok(()); chunk.len()];
        if check == Check::Look {
            let make = |target| self.looks_right(target);
            each(PARALLEL, chunk, make, |at, result| {
                looked[at] = result;
                true
            })
            .await;
        }
        let mut right = Vec::with_capacity(chunk.len());
        for (target, looked) in chunk.iter().zip(looked) {
            match looked {
                Ok(()) => right.push(target.clone()),
                Err(error) => results[target.at] = Err(error),
            }
        }
        if right.is_empty() {
            return;
        }
        match self.send_batch(&right, check).await {
            Ok(mut failures) => {
                for target in &right {
                    if let Some(failure) = failures.remove(target.object.as_str()) {
                        results[target.at] = Err(self.wire.fold(&failure, Op::DeleteObjects, Some(&target.object)));
                    }
                }
            }
            // Servers that have no batches, or want them checked in a way that they do not say.
            Err(failure) if matches!(failure.status, Some(400 | 405 | 411 | 501)) => {
                self.learn(|probe| probe.batch_delete = Ability::Missing);
                self.delete_each(&right, single_check, results).await;
            }
            Err(failure) => {
                for target in &right {
                    results[target.at] = Err(self.wire.fold(&failure, Op::DeleteObjects, Some(&target.object)));
                }
            }
        }
    }

    /// DeleteObjects; the objects that were not deleted, with the reason. One that the answer does not name was not.
    async fn send_batch(&self, targets: &[Target<'_>], check: Check) -> Result<HashMap<String, Failure>, Failure> {
        let identifier = |target: &Target<'_>| {
            let etag = (check == Check::Server).then(|| quoted(target.version.as_str()));
            ObjectIdentifier::builder().key(&target.object).set_e_tag(etag).build().expect("the key is set")
        };
        let objects: Vec<ObjectIdentifier> = targets.iter().map(identifier).collect();
        let delete = Delete::builder().set_objects(Some(objects)).build().expect("the objects are set");
        let output = self.send_delete_objects(&delete).await?;
        let unnamed = Failure::at(Stage::Unreadable);
        let mut failures: HashMap<String, Failure> =
            targets.iter().map(|target| (target.object.clone(), unnamed.clone())).collect();
        for deleted in output.deleted() {
            failures.remove(deleted.key().unwrap_or_default());
        }
        for error in output.errors() {
            let code = error.code().unwrap_or("InternalError");
            let failure =
                Failure { status: Some(status_of(code)), code: Some(code.into()), ..Failure::at(Stage::Answered) };
            failures.insert(error.key().unwrap_or_default().to_owned(), failure);
        }
        Ok(failures)
    }

    /// DeleteObjects. Older servers insist on Content-MD5 here; the SDK sends a CRC-32 only, which servers without
    /// checksums refuse.
    pub(super) async fn send_delete_objects(&self, delete: &Delete) -> Result<DeleteObjectsOutput, Failure> {
        let answer = self.wire.send(Op::DeleteObjects, 0, |client| {
            let request = client.delete_objects().bucket(self.wire.bucket()).delete(delete.clone());
            let plain = self.ability(|probe| probe.checksums) == Ability::Missing;
            let with_md5 = request.customize().mutate_request(move |request| {
                if plain {
                    drop_checksum(request);
                }
                add_md5(request);
            });
            with_md5.send()
        });
        answer.await
    }

    async fn delete_each(&self, targets: &[Target<'_>], check: Check, results: &mut [Result<(), Error>]) {
        let make = |target| self.delete_one(target, check);
        each(PARALLEL, targets, make, |at, result| {
            results[targets[at].at] = result;
            true
        })
        .await;
    }

    async fn delete_one(&self, target: &Target<'_>, check: Check) -> Result<(), Error> {
        if check == Check::Look {
            self.looks_right(target).await?;
        }
        let etag = (check == Check::Server).then(|| quoted(target.version.as_str()));
        match self.send_delete(&target.object, etag).await {
            Ok(()) => Ok(()),
            Err(failure) => Err(self.wire.fold(&failure, Op::DeleteObject, Some(&target.object))),
        }
    }

    /// DeleteObject.
    pub(super) async fn send_delete(&self, object: &str, etag: Option<String>) -> Result<(), Failure> {
        let answer = self.wire.send(Op::DeleteObject, 0, |client| {
            client.delete_object().bucket(self.wire.bucket()).key(object).set_if_match(etag.clone()).send()
        });
        answer.await.map(drop)
    }

    /// Whether the key has the version to be deleted, right now.
    async fn looks_right(&self, target: &Target<'_>) -> Result<(), Error> {
        match self.must_be(&target.object, &Expect::Version(target.version.clone())).await {
            Err(error) if error.cause == Cause::Precondition => match self.look_up(&target.object).await? {
                Some(_) => Err(raced(&target.object, "was changed by somebody else")),
                None => Err(Error::new(Cause::NotFound, format!("{} is gone already", shown(&target.object)))),
            },
            result => result,
        }
    }
}

/// One key to be deleted.
#[derive(Debug, Clone)]
struct Target<'a> {
    /// Its place in the results.
    at: usize,
    object: String,
    version: &'a Version,
}

/// The HTTP status that a code inside a batch's answer would have had alone.
fn status_of(code: &str) -> u16 {
    match code {
        "NoSuchKey" => 404,
        "PreconditionFailed" => 412,
        "ConditionalRequestConflict" => 409,
        "AccessDenied" => 403,
        "SlowDown" | "ServiceUnavailable" => 503,
        "NotImplemented" => 501,
        "InternalError" => 500,
        _ => 400,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_inside_a_batch_have_the_status_of_single_answers() {
        for (code, status) in [("NoSuchKey", 404), ("PreconditionFailed", 412), ("SlowDown", 503), ("Other", 400)] {
            assert_eq!(status_of(code), status);
        }
    }
}
