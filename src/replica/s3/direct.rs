//! The requests that are made once a file, past the SDK's machinery.
//!
//! For every request the SDK resolves an endpoint, assembles its configuration and walks its interceptors: a third of
//! the CPU time of a push of small files (perf, 10,000 files of 1-100 KB). A push is PutObject and nothing else, a pull
//! GetObject, a copy of a bucket CopyObject. So these are written out here, signed by the SDK's signer and sent over its
//! connections. Where to and for which region is read from a request that the SDK presigned: its endpoint rules are not
//! repeated.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_s3::Client;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use percent_encoding::percent_decode_str;

use super::clock::Clock;
use super::error::{Failure, Stage};
use super::names::in_path;

/// Credentials are renewed this long before they end, as the SDK does.
const RENEWED: Duration = Duration::from_secs(10);

/// A request header.
pub(super) type Header = (Cow<'static, str>, String);

/// The way to the objects of one bucket.
#[derive(Debug)]
pub(super) struct Direct {
    connector: SharedHttpConnector,
    /// The URL of the bucket, a slash at its end.
    base: String,
    region: String,
    provider: SharedCredentialsProvider,
    identity: tokio::sync::Mutex<Option<Identity>>,
    clock: Arc<Clock>,
}

/// Whether a body's SHA-256 is part of the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Payload {
    Signed,
    /// Over TLS only, with a checksum among the headers.
    Unsigned,
}

/// What is done with the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Put,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
        }
    }
}

/// A request about one object.
#[derive(Debug)]
pub(super) struct ObjectRequest<'a> {
    pub(super) method: Method,
    pub(super) object: &'a str,
    /// Encoded, without the question mark.
    pub(super) query: Option<String>,
    pub(super) headers: Vec<Header>,
    pub(super) body: &'a Bytes,
    pub(super) payload: Payload,
}

impl Direct {
    /// `None` if the bucket is signed for in another way than S3's common one, as directory buckets are.
    pub(super) async fn of(
        client: &Client,
        bucket: &str,
        provider: SharedCredentialsProvider,
        connector: SharedHttpConnector,
        clock: Arc<Clock>,
    ) -> Option<Self> {
        const OBJECT: &str = "mediasync";
        // It is never sent. Credentials that end sooner than it does would be warned about.
        let presigning = PresigningConfig::expires_in(Duration::from_secs(1)).ok()?;
        let presigned = client.put_object().bucket(bucket).key(OBJECT).presigned(presigning).await.ok()?;
        let (url, query) = presigned.uri().split_once('?')?;
        let base = url.strip_suffix(OBJECT).filter(|base| base.ends_with('/'))?.to_owned();
        let region = region_of(query)?;
        let identity = tokio::sync::Mutex::new(None);
        Some(Self { connector, base, region, provider, identity, clock })
    }

    /// Sends a request whose answer is short: its body is in memory then. An answer without an error status is success.
    pub(super) async fn call(&self, request: ObjectRequest<'_>) -> Result<HttpResponse, Failure> {
        let answer = self.open(request).await?;
        collected(answer).await
    }

    /// Sends a request; the body of the answer is still to be read. An answer without an error status is success.
    pub(super) async fn open(&self, request: ObjectRequest<'_>) -> Result<HttpResponse, Failure> {
        let request = self.signed(request).await?;
        let answer = self.connector.call(request).await;
        let answer = answer.map_err(|error| Failure::at(super::error::stage_of_connector(&error)))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        if let Some(date) = answer.headers().get("date") {
            self.clock.saw_date(date);
        }
        Err(Failure::of_answer(&collected(answer).await?))
    }

    async fn signed(&self, wanted: ObjectRequest<'_>) -> Result<HttpRequest, Failure> {
        let identity = self.identity().await?;
        let unfit = |_| Failure::at(Stage::Request);
        let mut url = String::with_capacity(self.base.len() + wanted.object.len() + 64);
        url.push_str(&self.base);
        url.extend(in_path(wanted.object));
        if let Some(query) = &wanted.query {
            url.push('?');
            url.push_str(query);
        }
        let mut request = HttpRequest::new(SdkBody::from(wanted.body.clone()));
        request.set_method(wanted.method.name()).map_err(unfit)?;
        request.set_uri(url).map_err(unfit)?;
        let headers = request.headers_mut();
        for (name, value) in wanted.headers {
            headers.try_insert(name, value).map_err(unfit)?;
        }
        if wanted.method == Method::Put {
            headers.try_insert("content-length", wanted.body.len().to_string()).map_err(unfit)?;
        }
        headers.try_insert("user-agent", concat!("mediasync/", env!("CARGO_PKG_VERSION"))).map_err(unfit)?;
        let body = match wanted.payload {
            Payload::Signed => SignableBody::Bytes(wanted.body),
            Payload::Unsigned => SignableBody::UnsignedPayload,
        };
        self.sign(&mut request, body, &identity).ok_or_else(|| Failure::at(Stage::Request))?;
        Ok(request)
    }

    fn sign(&self, request: &mut HttpRequest, body: SignableBody<'_>, identity: &Identity) -> Option<()> {
        let mut settings = SigningSettings::default();
        // What S3 differs in from other services:
        // https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let params = SigningParams::builder().identity(identity).region(&self.region).name("s3");
        let params = params.time(self.clock.now()).settings(settings).build().ok()?.into();
        let signable = SignableRequest::new(request.method(), request.uri(), request.headers().iter(), body).ok()?;
        let (instructions, _) = sign(signable, &params).ok()?.into_parts();
        let (headers, _) = instructions.into_parts();
        for header in headers {
            request.headers_mut().try_insert(header.name(), header.value().to_owned()).ok()?;
        }
        Some(())
    }

    /// The credentials now.
    async fn identity(&self) -> Result<Identity, Failure> {
        let mut known = self.identity.lock().await;
        let lasts = |identity: &&Identity| identity.expiration().is_none_or(|at| SystemTime::now() + RENEWED < at);
        if let Some(identity) = known.as_ref().filter(lasts) {
            return Ok(identity.clone());
        }
        let fresh = self.provider.provide_credentials().await.map_err(|_| Failure::at(Stage::Credentials))?;
        Ok(known.insert(fresh.into()).clone())
    }
}

/// An answer with its body in memory. One that is not read to its end closes the connection.
async fn collected(mut answer: HttpResponse) -> Result<HttpResponse, Failure> {
    let body = ByteStream::new(answer.take_body()).collect().await;
    let body = body.map_err(|_| Failure::at(Stage::Network))?.into_bytes();
    Ok(answer.map(|_| SdkBody::from(body.clone())))
}

#[cfg(test)]
impl std::fmt::Display for Direct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.base, self.region)
    }
}

/// The region of a presigned query, if it was signed in S3's common way.
fn region_of(query: &str) -> Option<String> {
    let value = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs.into_iter().find(|(n, _)| *n == name)?.1;
        percent_decode_str(value).decode_utf8().ok()
    };
    let credential = value("X-Amz-Credential")?;
    let mut scope = credential.rsplit('/');
    let is_common = value("X-Amz-Algorithm")? == "AWS4-HMAC-SHA256" && value("X-Amz-S3session-Token").is_none();
    let is_s3 = scope.next() == Some("aws4_request") && scope.next() == Some("s3");
    scope.next().filter(|_| is_common && is_s3).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_comes_from_the_signature_and_only_from_the_common_one() {
        let query =
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F1%2F20261122%2Feu-west-1%2Fs3%2Faws4_request";
        assert_eq!(region_of(query).as_deref(), Some("eu-west-1"));
        assert_eq!(region_of(&query.replace("%2Fs3%2F", "%2Fs3express%2F")), None);
        assert_eq!(region_of(&query.replace("HMAC", "ECDSA")), None);
        assert_eq!(region_of(&format!("{query}&X-Amz-S3session-Token=x")), None);
        assert_eq!(region_of("X-Amz-Algorithm=AWS4-HMAC-SHA256"), None);
    }
}
