//! CORS rules of the bucket.

use aws_sdk_s3::types::{CorsConfiguration, CorsRule as SdkRule};

use super::Inner;
use super::document::md5_only;
use super::error::Failure;
use super::ops::Op;
use crate::replica::admin::{CorsRule, changed_meanwhile};
use crate::replica::{Cause, Error};

impl Inner {
    /// The rules; none where there is no configuration.
    pub(super) async fn cors(&self) -> Result<Vec<CorsRule>, Error> {
        let bucket = self.wire.bucket();
        let answer = self.wire.send(Op::GetBucketCors, 0, |client| client.get_bucket_cors().bucket(bucket).send());
        match answer.await {
            Ok(output) => output.cors_rules().iter().map(plain).collect(),
            Err(failure) if failure.is(&["NoSuchCORSConfiguration"]) => Ok(Vec::new()),
            Err(failure) => Err(self.cors_refused(&failure, Op::GetBucketCors).await),
        }
    }

    /// Replaces the rules, if they are still those that were seen.
    pub(super) async fn set_cors(&self, rules: &[CorsRule], seen: &[CorsRule]) -> Result<(), Error> {
        if self.cors().await? != seen {
            return Err(changed_meanwhile(&self.name));
        }
        let bucket = self.wire.bucket();
        let answer = if rules.is_empty() {
            let delete = |client: aws_sdk_s3::Client| client.delete_bucket_cors().bucket(bucket).send();
            self.wire
                .send(Op::DeleteBucketCors, 0, delete)
                .await
                .map(drop)
                .map_err(|failure| (failure, Op::DeleteBucketCors))
        } else {
            let rules = rules.iter().map(sdk).collect::<Result<Vec<_>, _>>()?;
            let all = CorsConfiguration::builder().set_cors_rules(Some(rules)).build().expect("the rules are set");
            let put = |client: aws_sdk_s3::Client| {
                let request = client.put_bucket_cors().bucket(bucket).cors_configuration(all.clone());
                request.customize().mutate_request(md5_only).send()
            };
            self.wire.send(Op::PutBucketCors, 0, put).await.map(drop).map_err(|failure| (failure, Op::PutBucketCors))
        };
        match answer {
            Ok(()) => Ok(()),
            Err((failure, op)) => Err(self.cors_refused(&failure, op).await),
        }
    }

    async fn cors_refused(&self, failure: &Failure, op: Op) -> Error {
        let bucket = self.wire.bucket();
        let error = self.wire.fold(failure, op, None);
        if failure.is_not_implemented() || matches!(failure.status, Some(405)) {
            let message = format!("the server of {} has no CORS rules of buckets", self.name);
            return Error::new(Cause::Unsupported, message)
                .hint("Some servers have one rule for all buckets in their own configuration, as MinIO does");
        }
        if failure.is(&["MalformedXML", "InvalidRequest", "InvalidArgument"]) && op == Op::PutBucketCors {
            return error
                .hint("An origin may hold one `*`; methods are GET, PUT, POST, DELETE and HEAD; nothing was changed");
        }
        if failure.status != Some(403) || !(failure.is(&["AccessDenied"]) || failure.code.is_none()) {
            return error;
        }
        // The key is good for the bucket itself: then it is not the key that has to be looked at.
        let listed = self.wire.send(Op::ListObjects, 0, |client| {
            client.list_objects_v2().bucket(bucket).prefix(self.names.prefix()).max_keys(1).send()
        });
        if listed.await.is_err() {
            return error;
        }
        let lacks = match op {
            Op::GetBucketCors => "s3:GetBucketCORS",
            _ => "s3:PutBucketCORS",
        };
        error.hint(format!(
            "This key may list the bucket; CORS rules have permissions of their own, which the keys of many platforms and of \
             older buckets lack. Ask whoever made the key to allow {lacks}{} on arn:aws:s3:::{bucket}, or to set the rules",
            if op == Op::GetBucketCors { " and s3:PutBucketCORS" } else { "" }
        ))
    }
}

fn plain(rule: &SdkRule) -> Result<CorsRule, Error> {
    let strange = |_| Error::new(Cause::Refused, "a CORS rule has a max-age below zero");
    Ok(CorsRule {
        id: rule.id().map(str::to_owned),
        allowed_origins: rule.allowed_origins().to_vec(),
        allowed_methods: rule.allowed_methods().to_vec(),
        allowed_headers: rule.allowed_headers().to_vec(),
        expose_headers: rule.expose_headers().to_vec(),
        max_age_seconds: rule.max_age_seconds().map(u32::try_from).transpose().map_err(strange)?,
    })
}

fn sdk(rule: &CorsRule) -> Result<SdkRule, Error> {
    let some = |texts: &[String]| (!texts.is_empty()).then(|| texts.to_vec());
    let usage = |what: &str| Error::new(Cause::Usage, format!("a CORS rule {what}"));
    let age =
        rule.max_age_seconds.map(i32::try_from).transpose().map_err(|_| usage("has a max-age that is too long"))?;
    SdkRule::builder()
        .set_id(rule.id.clone())
        .set_allowed_origins(some(&rule.allowed_origins))
        .set_allowed_methods(some(&rule.allowed_methods))
        .set_allowed_headers(some(&rule.allowed_headers))
        .set_expose_headers(some(&rule.expose_headers))
        .set_max_age_seconds(age)
        .build()
        .map_err(|_| usage("has no origin or no method"))
}
