//! What happens to a request outside of its operation: the log, gates, faults, and the quirks that are a matter of
//! HTTP. Wraps the s3s service, which can't express them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE};
use hyper::http::HeaderValue;
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use s3s::dto::{Timestamp, TimestampFormat};
use s3s::service::S3Service;
use s3s::{Body, StdError};

use super::Shared;
use super::body::{Broken, Segments};
use super::call::Call;
use super::checksum::{verify, verify_payload_hash};
use super::connection::Reset;
use super::faults::{Effect, Fault, Moment};
use super::quirks::{Abandoned, Acls, ChecksumSupport, Need, Quirks, Region, Support};
use super::store::Bucket;

/// Signatures are valid for this long, in both directions.
const SKEW: Duration = Duration::from_mins(15);

/// The whole server, for one connection.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) s3: S3Service,
    pub(crate) reset: Reset,
}

impl Layer {
    /// Answers a request, or ends the connection.
    ///
    /// # Errors
    /// Ends the connection without an answer.
    pub(crate) async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, StdError> {
        let (parts, body) = request.into_parts();
        let call = Call::of(&parts);
        let id = self.shared.log().arrive(&call, &parts.headers);
        let quirks = self.shared.quirks();
        tokio::time::sleep(quirks.latency).await;
        let fault = self.shared.faults().choose(&call);
        let effect = fault.as_ref().map(|fault| fault.effect.clone());
        if effect == Some(Effect::Reset) {
            return Err(self.cut());
        }
        let body = body.collect().await?.to_bytes();
        self.shared.log().update(id, |entry| entry.bytes_in = body.len() as u64);
        let (layer, handled, abandoned) = (self.clone(), call.clone(), quirks.abandoned);
        let instead = effect.clone();
        let work = async move {
            layer.shared.gates.pass(Moment::BeforeHandling, &handled).await;
            if ["Put", "Delete", "Copy", "Complete"].iter().any(|verb| handled.operation.starts_with(verb)) {
                tokio::time::sleep(quirks.slow_changes).await;
            }
            match self::instead(instead.as_ref()).await {
                Some(response) => Ok(response),
                None => layer.handle(parts, body, &handled, &quirks, fault).await,
            }
        };
        let mut response = match abandoned {
            Abandoned::Dropped => work.await?,
            Abandoned::CarriedOut => tokio::spawn(work).await??,
        };
        self.shared.gates.pass(Moment::BeforeAnswer, &call).await;
        match effect {
            Some(Effect::LoseAnswer) => return Err(self.cut()),
            Some(Effect::Truncate(length)) => response = truncate(response, length).await?,
            _ => {}
        }
        let tags = self.tags_of(&call);
        let headers = response.headers_mut();
        if let Some(tags) = tags {
            headers.insert("x-amz-tagging-count", tags.into());
        }
        headers.insert("x-amz-request-id", HeaderValue::from_str(&format!("{id:016X}"))?);
        headers.insert(DATE, http_date(self.shared.now())?);
        let status = response.status().as_u16();
        self.shared.log().update(id, |entry| entry.status = Some(status));
        Ok(response)
    }

    /// What an answer to HeadObject says of an object's tags, for which s3s has no field.
    fn tags_of(&self, call: &Call) -> Option<i32> {
        let count = |bucket: &mut Bucket| Ok(bucket.get(&call.key).and_then(|object| object.attributes.tag_count()));
        self.shared.bucket(&call.bucket, count).ok().flatten().filter(|_| call.operation == "HeadObject")
    }

    fn cut(&self) -> StdError {
        self.reset.arm();
        "the connection is reset on purpose".into()
    }

    async fn handle(
        &self,
        parts: Parts,
        body: Bytes,
        call: &Call,
        quirks: &Quirks,
        fault: Option<Fault>,
    ) -> Result<Response<Body>, StdError> {
        if let Some(refusal) = refuse(&parts, call, quirks, self.shared.now()) {
            return Ok(refusal);
        }
        if let Err(error) = check_document(&parts, &body, call, quirks) {
            return Ok(error.to_http_response()?);
        }
        let mut request = Request::from_parts(parts, Body::from(body));
        if let Some(fault) = fault {
            request.extensions_mut().insert(fault);
        }
        Ok(self.s3.call(request).await?)
    }
}

/// The answer that a fault gives in place of the operation.
async fn instead(effect: Option<&Effect>) -> Option<Response<Body>> {
    match effect? {
        Effect::Status(status, code) => Some(error(*status, code, "failed on demand", "")),
        Effect::OkWithError(code) => Some(error(200, code, "failed on demand", "")),
        Effect::BareRedirect => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
            Some(response)
        }
        Effect::Delay(pause) => {
            tokio::time::sleep(*pause).await;
            None
        }
        _ => None,
    }
}

/// An error as S3 writes it; `more` goes into the document as it is.
fn error(status: u16, code: &str, message: &str, more: &str) -> Response<Body> {
    let document = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>{more}\
         <RequestId>0</RequestId></Error>"
    );
    let mut response = Response::new(Body::from(document));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status code");
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

fn not_implemented(what: &str) -> Response<Body> {
    error(501, "NotImplemented", &format!("{what} is not implemented"), "")
}

/// The refusals of servers with less than everything, and of AWS for the wrong region or time.
fn refuse(parts: &Parts, call: &Call, quirks: &Quirks, now: SystemTime) -> Option<Response<Body>> {
    refuse_region(parts, call, &quirks.region)
        .or_else(|| refuse_time(parts, now))
        .or_else(|| refuse_acl(parts, call, quirks.acls))
        .or_else(|| refuse_checksum(parts, quirks.checksums))
        .or_else(|| match call.operation {
            "CopyObject" | "UploadPartCopy" if quirks.copies == Support::Missing => Some(not_implemented("Copying")),
            "ListObjectsV2" if quirks.list_v2 == Support::Missing => Some(not_implemented("ListObjectsV2")),
            "ListMultipartUploads" if quirks.list_uploads == Support::Missing => Some(not_implemented("The list")),
            "DeleteObjects" if quirks.delete_objects_md5 == Need::Required => {
                let missing = !parts.headers.contains_key("content-md5");
                missing
                    .then(|| error(400, "InvalidRequest", "Missing required header for this request: Content-Md5", ""))
            }
            _ => None,
        })
}

/// The region in `Credential=KEY/DATE/REGION/s3/aws4_request`.
fn signed_region(parts: &Parts) -> Option<&str> {
    let authorization = parts.headers.get("authorization")?.to_str().ok()?;
    let (_, scope) = authorization.split_once("Credential=")?;
    scope.split('/').nth(2)
}

fn refuse_region(parts: &Parts, call: &Call, region: &Region) -> Option<Response<Body>> {
    let signed = signed_region(parts).filter(|signed| *signed != region.name() && !call.bucket.is_empty())?;
    match region {
        Region::Any => None,
        Region::Redirect(name) => {
            let message = "The bucket you are attempting to access must be addressed using the specified endpoint.";
            let more = format!("<Endpoint>{}.s3.{name}.amazonaws.com</Endpoint>", call.bucket);
            let mut response = error(301, "PermanentRedirect", message, &more);
            response.headers_mut().insert("x-amz-bucket-region", HeaderValue::from_str(name).ok()?);
            Some(response)
        }
        Region::Malformed(name) => {
            let message =
                format!("The authorization header is malformed; the region '{signed}' is wrong; expecting '{name}'");
            Some(error(400, "AuthorizationHeaderMalformed", &message, &format!("<Region>{name}</Region>")))
        }
    }
}

fn refuse_time(parts: &Parts, now: SystemTime) -> Option<Response<Body>> {
    let signed = parts.headers.get("x-amz-date")?.to_str().ok()?;
    // 20260131T235959Z, as RFC 3339 2026-01-31T23:59:59Z.
    let (day, time) = signed.split_once('T')?;
    let rfc3339 = format!(
        "{}-{}-{}T{}:{}:{}",
        day.get(..4)?,
        day.get(4..6)?,
        day.get(6..)?,
        time.get(..2)?,
        time.get(2..4)?,
        time.get(4..)?
    );
    let signed = Timestamp::parse(TimestampFormat::DateTime, &rfc3339).ok()?;
    let (oldest, newest) = (Timestamp::from(now - SKEW), Timestamp::from(now + SKEW));
    if (oldest..=newest).contains(&signed) {
        return None;
    }
    let message = "The difference between the request time and the current time is too large.";
    Some(error(403, "RequestTimeTooSkewed", message, ""))
}

fn refuse_acl(parts: &Parts, call: &Call, acls: Acls) -> Option<Response<Body>> {
    let canned = parts.headers.get("x-amz-acl");
    let header = canned.is_some() || parts.headers.keys().any(|name| name.as_str().starts_with("x-amz-grant-"));
    let operation = call.query.contains_key("acl");
    match acls {
        Acls::Supported | Acls::Unheard => None,
        Acls::Ignored => operation.then(|| not_implemented("An ACL")),
        Acls::Blocked => {
            let public = ["public-read", "public-read-write", "authenticated-read"];
            let is_public = canned.is_some_and(|value| public.iter().any(|name| value == name));
            is_public.then(|| error(403, "AccessDenied", "Access Denied", ""))
        }
        Acls::NotImplemented => (operation || header).then(|| not_implemented("An ACL")),
        Acls::Refused => {
            let harmless = canned.is_some_and(|value| value == "bucket-owner-full-control");
            let sets = call.operation == "PutObjectAcl" || header;
            (sets && !harmless)
                .then(|| error(400, "AccessControlListNotSupported", "The bucket does not allow ACLs", ""))
        }
    }
}

fn refuse_checksum(parts: &Parts, support: ChecksumSupport) -> Option<Response<Body>> {
    if support != ChecksumSupport::Refused {
        return None;
    }
    let named = |name: &str| {
        name.starts_with("x-amz-checksum-") || name == "x-amz-sdk-checksum-algorithm" || name == "x-amz-trailer"
    };
    let name = parts.headers.keys().find(|name| named(name.as_str()))?;
    Some(error(400, "InvalidRequest", &format!("Unsupported header '{name}' received for this API call."), ""))
}

/// Checks the proofs of XML documents; those of objects and parts are checked where they are stored.
fn check_document(parts: &Parts, body: &Bytes, call: &Call, quirks: &Quirks) -> s3s::S3Result<()> {
    let document = matches!(
        call.operation,
        "DeleteObjects" | "PutBucketCors" | "PutBucketVersioning" | "PutObjectAcl" | "CreateBucket"
    );
    if document {
        let body = Segments::from(body.clone());
        verify_payload_hash(&parts.headers, &body)?;
        verify(&parts.headers, &body, quirks.checksums)?;
    }
    Ok(())
}

async fn truncate(response: Response<Body>, length: usize) -> Result<Response<Body>, StdError> {
    let (mut parts, body) = response.into_parts();
    let whole = body.collect().await?.to_bytes();
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let given = whole.slice(..length.min(whole.len()));
    Ok(Response::from_parts(parts, Body::http_body(Broken::Given(given))))
}

fn http_date(time: SystemTime) -> Result<HeaderValue, StdError> {
    let mut text = Vec::new();
    Timestamp::from(time).format(TimestampFormat::HttpDate, &mut text)?;
    Ok(HeaderValue::from_bytes(&text)?)
}
