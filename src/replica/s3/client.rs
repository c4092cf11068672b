//! The SDK client: how it is set up, and how one request is sent.
//!
//! [`Wire::send`] is the only way to the network. It counts, bounds the time, recovers once from a wrong region and
//! once from expired credentials, and turns every error into a [`Failure`]. The SDK's own retries are off: trying
//! again is [`crate::replica::retry`]'s part. A 3xx is always a failure.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, Region, RequestChecksumCalculation, ResponseChecksumValidation, RuntimeComponents,
    SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use tokio::time::Instant;

use super::error::{About, Failure, Stage, fold};
use super::ops::{Counts, Op};
use super::{Addressing, Credentials, S3Address};
use crate::replica::Error;
use crate::replica::throttle::Gate;

const CONNECT: Duration = Duration::from_secs(10);
/// A body that moves nothing for this long is given up.
const STALL: Duration = Duration::from_secs(30);

/// The way to one bucket.
#[derive(Debug)]
pub(super) struct Wire {
    address: S3Address,
    /// Where requests go, for people.
    endpoint: String,
    current: Mutex<Current>,
    building: tokio::sync::Mutex<()>,
    counts: Counts,
    gate: Gate,
    /// When the bucket last answered a request with success.
    answered: Mutex<Option<Instant>>,
    /// The server's clock minus ours, ns.
    skew_ns: AtomicI64,
}

#[derive(Debug, Default)]
struct Current {
    /// Counts replacements, so that of many failed requests one repairs and the others follow.
    generation: u64,
    client: Option<Client>,
    /// What a server told us.
    region: Option<String>,
}

impl Wire {
    pub(super) fn new(address: S3Address, region: Option<String>, gate: Gate) -> Self {
        let endpoint = address.endpoint.clone().unwrap_or_else(|| "AWS S3".to_owned());
        Self {
            address,
            endpoint,
            current: Mutex::new(Current { region, ..Current::default() }),
            building: tokio::sync::Mutex::new(()),
            counts: Counts::default(),
            gate,
            answered: Mutex::new(None),
            skew_ns: AtomicI64::new(0),
        }
    }

    pub(super) fn address(&self) -> &S3Address {
        &self.address
    }

    pub(super) fn bucket(&self) -> &str {
        &self.address.bucket
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether requests are encrypted on the way.
    pub(super) fn is_tls(&self) -> bool {
        self.address.endpoint.as_deref().is_none_or(|url| url.starts_with("https:"))
    }

    /// The region that a server told us, to be remembered.
    pub(super) fn learned_region(&self) -> Option<String> {
        self.current().region.clone()
    }

    /// The server's time now, ns since the epoch.
    pub(super) fn server_now_ns(&self) -> i64 {
        now_ns().saturating_add(self.skew_ns.load(Ordering::Relaxed))
    }

    /// Notes the `Date` of an answer.
    pub(super) fn saw_date(&self, http_date: &str) {
        use aws_smithy_types::date_time::{DateTime, Format};
        if let Ok(date) = DateTime::from_str(http_date, Format::HttpDate) {
            let skew = date.secs().saturating_mul(1_000_000_000).saturating_sub(now_ns());
            // The header counts whole seconds: less is no skew.
            let skew = if skew.abs() < 2_000_000_000 { 0 } else { skew };
            self.skew_ns.store(skew, Ordering::Relaxed);
        }
    }

    /// Whether the bucket answered with success within `time`.
    pub(super) fn answered_within(&self, time: Duration) -> bool {
        let answered = *self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.is_some_and(|at| at.elapsed() < time)
    }

    /// The error for a failure about `object`.
    pub(super) fn fold(&self, failure: &Failure, op: Op, object: Option<&str>) -> Error {
        fold(failure, About { op, bucket: self.bucket(), object, endpoint: &self.endpoint })
    }

    /// Sends one request whose body has `bytes`.
    ///
    /// `request` builds it for a client, and once more if the first attempt showed a wrong region or expired
    /// credentials.
    pub(super) async fn send<T, E, F, Fut>(&self, op: Op, bytes: u64, request: F) -> Result<T, Failure>
    where
        F: Fn(Client) -> Fut,
        Fut: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let (generation, client) = self.client().await;
        let failure = match self.once(op, bytes, Box::pin(request(client))).await {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        let repaired = if failure.is_wrong_region() {
            self.change_region(generation, failure.region.as_deref()).await
        } else if failure.is_expired() && matches!(self.address.credentials, Credentials::Chain { .. }) {
            self.replace(generation, |_| {});
            true
        } else {
            false
        };
        if !repaired {
            return Err(failure);
        }
        let (_, client) = self.client().await;
        self.once(op, bytes, Box::pin(request(client))).await
    }

    /// One attempt. The SDK's futures are many KiB; boxed, they do not add up in their callers.
    async fn once<T, E>(
        &self,
        op: Op,
        bytes: u64,
        request: Pin<Box<impl Future<Output = Result<T, SdkError<E, HttpResponse>>>>>,
    ) -> Result<T, Failure>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.counts.add(op);
        let answer = tokio::time::timeout(op.deadline(bytes), request).await;
        let result = match answer {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Failure::from_sdk(&error)),
            Err(_) => Err(Failure::at(Stage::Timeout)),
        };
        match &result {
            Ok(_) => {
                *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            }
            Err(failure) if failure.is_throttled() => self.gate.throttled(),
            Err(_) => {}
        }
        result
    }

    /// The client now, made if there is none.
    async fn client(&self) -> (u64, Client) {
        loop {
            {
                let current = self.current();
                if let Some(client) = &current.client {
                    return (current.generation, client.clone());
                }
            }
            let _one = self.building.lock().await;
            let (missing, region) = {
                let current = self.current();
                (current.client.is_none(), current.region.clone())
            };
            if missing {
                let client = build(&self.address, region).await;
                self.current().client = Some(client);
            }
        }
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the client of `generation`; the next request makes a new one.
    fn replace(&self, generation: u64, change: impl FnOnce(&mut Current)) {
        let mut current = self.current();
        if current.generation == generation {
            current.generation += 1;
            current.client = None;
            change(&mut current);
        }
    }

    /// Moves to the bucket's region. False if there is no other one to try.
    async fn change_region(&self, generation: u64, named: Option<&str>) -> bool {
        let (_, client) = self.client().await;
        let now = client.config().region().map(|region| region.as_ref().to_owned());
        if self.current().generation != generation {
            return true;
        }
        let named = match named {
            Some(region) => Some(region.to_owned()),
            None => self.ask_region(&client).await,
        };
        let Some(region) = named.filter(|region| Some(region) != now.as_ref()) else { return false };
        tracing::info!(bucket = self.bucket(), region, "the bucket is in another region");
        self.replace(generation, |current| current.region = Some(region));
        true
    }

    /// The region in the header of a HEAD of the bucket, which servers send with success and failure.
    async fn ask_region(&self, client: &Client) -> Option<String> {
        let request = client.head_bucket().bucket(self.bucket()).send();
        match self.once(Op::HeadBucket, 0, Box::pin(request)).await {
            Ok(output) => output.bucket_region().map(str::to_owned),
            Err(failure) => failure.region.map(String::from),
        }
    }
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Makes a client. `region` is what a server told us; it wins over what was configured.
async fn build(address: &S3Address, region: Option<String>) -> Client {
    let http = http_client(address);
    let configured = address.region.clone();
    let builder = match &address.credentials {
        Credentials::Static { access_key, secret, session_token } => {
            let token = session_token.as_ref().map(|token| token.reveal().to_owned());
            let credentials =
                aws_credential_types::Credentials::new(access_key.as_str(), secret.reveal(), token, None, "mediasync");
            let builder = Builder::new().credentials_provider(credentials);
            builder.region(Region::new(region.clone().or(configured).unwrap_or_else(|| "us-east-1".to_owned())))
        }
        Credentials::Chain { profile } => {
            let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http.clone());
            if let Some(profile) = profile {
                loader = loader.profile_name(profile);
            }
            if address.endpoint.as_deref().is_some_and(|url| !is_aws(url)) {
                loader = loader.region(region_without_metadata(profile.as_deref()));
            }
            let shared = loader.load().await;
            let of_chain = shared.region().map(|region| region.as_ref().to_owned());
            let region = region.clone().or(configured).or(of_chain).unwrap_or_else(|| "us-east-1".to_owned());
            Builder::from(&shared).region(Region::new(region))
        }
    };
    let mut builder = builder
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .sleep_impl(TokioSleep::new())
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).build())
        .stalled_stream_protection(
            // Uploads have their deadline below; watching every body as well cost 4 % of a push of small files.
            StalledStreamProtectionConfig::enabled().grace_period(STALL).upload_enabled(false).build(),
        )
        // The default adds a trailer that some servers refuse and one stores as content.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .force_path_style(is_path_style(address));
    if let Some(endpoint) = &address.endpoint {
        // An AWS endpoint belongs to one region: in another one the SDK's own is right.
        let moved = region.is_some() && region != address.region && is_aws(endpoint);
        builder.set_endpoint_url((!moved).then(|| endpoint.clone()));
    }
    Client::from_conf(builder.build())
}

/// The region that the environment or the profile names. The metadata service of a virtual machine knows only where
/// that machine is, which says nothing about a server outside AWS, and elsewhere it is waited for in vain.
fn region_without_metadata(profile: Option<&str>) -> RegionProviderChain {
    let mut files = ProfileFileRegionProvider::builder();
    if let Some(profile) = profile {
        files = files.profile_name(profile);
    }
    let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new());
    chain.or_else(files.build()).or_else(Region::from_static("us-east-1"))
}

fn http_client(address: &S3Address) -> SharedHttpClient {
    let builder = aws_smithy_http_client::Builder::new();
    let is_static = matches!(address.credentials, Credentials::Static { .. });
    // Loading the system's certificates takes longer than a local test run.
    if is_static && address.endpoint.as_deref().is_some_and(|url| url.starts_with("http:")) {
        return builder.build_http();
    }
    // As the AWS tools do, HTTPS_PROXY and NO_PROXY are followed.
    builder.build_with_connector_fn(|settings, components| {
        let mut connector = Connector::builder().proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build()
    })
}

fn is_path_style(address: &S3Address) -> bool {
    match address.addressing {
        Addressing::Path => true,
        Addressing::Virtual => false,
        Addressing::Auto => address.bucket.contains('.') || !address.endpoint.as_deref().is_none_or(is_aws),
    }
}

/// Whether a URL is one of AWS's own hosts.
fn is_aws(endpoint: &str) -> bool {
    let host = endpoint.split("://").last().unwrap_or(endpoint).split([':', '/']).next().unwrap_or_default();
    [".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".api.aws"].iter().any(|suffix| host.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn address(bucket: &str, endpoint: Option<&str>) -> S3Address {
        S3Address {
            bucket: bucket.into(),
            prefix: String::new(),
            endpoint: endpoint.map(str::to_owned),
            region: None,
            addressing: Addressing::Auto,
            credentials: Credentials::Static {
                access_key: "AK".into(),
                secret: Secret::new("hunter2"),
                session_token: None,
            },
            acl: None,
            public_url: None,
        }
    }

    #[test]
    fn only_undotted_buckets_at_aws_go_into_the_host_name() {
        assert!(!is_path_style(&address("bucket", None)));
        assert!(!is_path_style(&address("bucket", Some("https://s3.eu-west-1.amazonaws.com"))));
        assert!(is_path_style(&address("bu.cket", None)));
        assert!(is_path_style(&address("bucket", Some("https://sos-ch-dk-2.exo.io"))));
        assert!(is_path_style(&address("bucket", Some("https://s3.amazonaws.com.example.org"))));
    }

    #[tokio::test]
    async fn a_learned_region_wins_and_leaves_an_aws_endpoint() {
        let mut here = address("bucket", Some("https://s3.us-west-1.amazonaws.com"));
        here.region = Some("us-west-1".into());
        let client = build(&here, Some("eu-central-1".into())).await;
        assert_eq!(client.config().region().map(AsRef::as_ref), Some("eu-central-1"));
    }

    #[tokio::test]
    async fn nothing_of_the_secret_is_in_debug_output() {
        let wire = Wire::new(address("bucket", None), None, Gate::new(1, None));
        wire.client().await;
        let text = format!("{wire:?}");
        assert!(text.contains("Client") && !text.contains("hunter2"));
    }

    #[test]
    fn the_servers_clock_is_followed_from_two_seconds_on() {
        let wire = Wire::new(address("bucket", None), None, Gate::new(1, None));
        wire.saw_date("Thu, 01 Jan 1970 00:01:40 GMT");
        assert!(wire.server_now_ns() < 102_000_000_000);
        let now = aws_smithy_types::DateTime::from(SystemTime::now());
        wire.saw_date(&now.fmt(aws_smithy_types::date_time::Format::HttpDate).unwrap());
        assert_eq!(wire.skew_ns.load(Ordering::Relaxed), 0);
    }
}
