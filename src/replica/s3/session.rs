//! One set-up of the SDK, used until the region or the credentials change.

use std::sync::Arc;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, Region, RequestChecksumCalculation, ResponseChecksumValidation, RuntimeComponents,
    SharedAsyncSleep, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpConnector, http_client_fn};
use tokio::sync::OnceCell;

use super::clock::Clock;
use super::direct::Direct;
use super::providers::Provider;
use super::{Addressing, Credentials, S3Address};

const CONNECT: Duration = Duration::from_secs(10);
/// A body that moves nothing for this long is given up.
const STALL: Duration = Duration::from_secs(30);

/// The SDK's client and what it was made from.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    bucket: String,
    connector: SharedHttpConnector,
    /// `None`: nothing to sign with is configured.
    provider: Option<SharedCredentialsProvider>,
    clock: Arc<Clock>,
    direct: OnceCell<Option<Direct>>,
}

impl Session {
    /// The way past the SDK, where there is one.
    pub(super) async fn direct(&self) -> Option<&Direct> {
        let make = || async {
            let (provider, connector) = (self.provider.clone()?, self.connector.clone());
            Direct::of(&self.client, &self.bucket, provider, connector, Arc::clone(&self.clock)).await
        };
        self.direct.get_or_init(make).await.as_ref()
    }

    /// Where its credentials come from, for people. `profile` is the one that is asked.
    pub(super) async fn whence(&self, profile: &str) -> Option<String> {
        use AwsCredentialFeature as Seen;
        let credentials = self.provider.as_ref()?.provide_credentials().await.ok()?;
        let known = |seen: &Seen| {
            Some(match seen {
                Seen::CredentialsEnvVars => "the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned(),
                Seen::CredentialsProfile | Seen::CredentialsProfileSourceProfile => format!("the profile {profile:?}"),
                Seen::CredentialsProfileProcess | Seen::CredentialsProcess => {
                    format!("the command of the profile {profile:?}")
                }
                Seen::CredentialsProfileSso | Seen::CredentialsSso => format!("the sign-on of the profile {profile:?}"),
                Seen::CredentialsEnvVarsStsWebIdToken | Seen::CredentialsProfileStsWebIdToken => {
                    "a web identity token".to_owned()
                }
                Seen::CredentialsHttp => "the role of this container".to_owned(),
                Seen::CredentialsImds => "the role of this machine".to_owned(),
                // Steps in between, and what later versions know.
                _ => return None,
            })
        };
        credentials.get_property::<Vec<Seen>>()?.iter().find_map(known)
    }

    /// Sets everything up. `region` is what a server told us; it wins over what was configured.
    pub(super) async fn new(address: &S3Address, region: Option<String>, clock: Arc<Clock>) -> Self {
        let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT).build();
        let connector = SharedHttpConnector::new(connector(
            address,
            Some(settings),
            Some(SharedAsyncSleep::new(TokioSleep::new())),
        ));
        let shared_connector = connector.clone();
        let http = http_client_fn(move |_, _| shared_connector.clone());
        let configured = address.region.clone();
        let (builder, provider) = match &address.credentials {
            Credentials::Static { access_key, secret, session_token } => {
                let token = session_token.as_ref().map(|token| token.reveal().to_owned());
                let credentials = aws_credential_types::Credentials::new(
                    access_key.as_str(),
                    secret.reveal(),
                    token,
                    None,
                    "mediasync",
                );
                let provider = SharedCredentialsProvider::new(credentials);
                let builder = Builder::new().credentials_provider(provider.clone());
                let region = region.clone().or(configured).unwrap_or_else(|| "us-east-1".to_owned());
                (builder.region(Region::new(region)), Some(provider))
            }
            Credentials::Renewed { .. } | Credentials::Chain { .. } => {
                let profile = address.credentials.profile();
                let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(chain_http(address));
                if let Some(profile) = profile {
                    loader = loader.profile_name(profile).credentials_provider(of_profile(profile, address));
                }
                if address.endpoint.as_deref().is_some_and(|url| !is_aws(url)) {
                    loader = loader.region(region_without_metadata(profile));
                }
                let shared = loader.load().await;
                let of_chain = shared.region().map(|region| region.as_ref().to_owned());
                let region = region.clone().or(configured).or(of_chain).unwrap_or_else(|| "us-east-1".to_owned());
                (Builder::from(&shared).region(Region::new(region)), shared.credentials_provider())
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
        let client = Client::from_conf(builder.build());
        let bucket = address.bucket.clone();
        Self { client, bucket, connector, provider, clock, direct: OnceCell::new() }
    }
}

/// A profile that somebody named is meant, whatever the variables say: the chain would ask them first.
fn of_profile(profile: &str, address: &S3Address) -> ProfileFileCredentialsProvider {
    let region = Region::new(address.region.clone().unwrap_or_else(|| "us-east-1".to_owned()));
    // The region is that of the token service, for profiles that assume a role.
    let around = ProviderConfig::without_region().with_region(Some(region)).with_http_client(chain_http(address));
    ProfileFileCredentialsProvider::builder().profile_name(profile).configure(&around).build()
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

/// The connections to the bucket, which the SDK and [`Direct`] share.
fn connector(
    address: &S3Address,
    settings: Option<HttpConnectorSettings>,
    sleep: Option<SharedAsyncSleep>,
) -> Connector {
    let mut builder = Connector::builder();
    builder.set_connector_settings(settings);
    builder.set_sleep_impl(sleep);
    let is_static = matches!(address.credentials, Credentials::Static { .. });
    // Loading the system's certificates takes longer than a local test run.
    if is_static && address.endpoint.as_deref().is_some_and(|url| url.starts_with("http:")) {
        return builder.build_http();
    }
    // As the AWS tools do, HTTPS_PROXY and NO_PROXY are followed.
    builder.proxy_config(ProxyConfig::from_env()).tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build()
}

/// For the sources of credentials, which bring timeouts of their own: a machine without a metadata service must not
/// wait long for it.
fn chain_http(address: &S3Address) -> SharedHttpClient {
    let address = address.clone();
    aws_smithy_http_client::Builder::new().build_with_connector_fn(move |settings, components| {
        connector(&address, settings.cloned(), components.and_then(RuntimeComponents::sleep_impl))
    })
}

fn is_path_style(address: &S3Address) -> bool {
    match address.addressing {
        Addressing::Path => true,
        Addressing::Virtual => false,
        Addressing::Auto => address.bucket.contains('.') || Provider::of(address).addressing() != Addressing::Virtual,
    }
}

/// Whether a URL is one of AWS's own hosts.
fn is_aws(endpoint: &str) -> bool {
    let host = endpoint.split("://").last().unwrap_or(endpoint).split([':', '/']).next().unwrap_or_default();
    [".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".api.aws"].iter().any(|suffix| host.ends_with(suffix))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::secret::Secret;

    pub(in crate::replica::s3) fn address(bucket: &str, endpoint: Option<&str>) -> S3Address {
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
            said: Box::default(),
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
        let session = Session::new(&here, Some("eu-central-1".into()), Arc::default()).await;
        assert_eq!(session.client.config().region().map(AsRef::as_ref), Some("eu-central-1"));
    }

    #[tokio::test]
    async fn requests_go_directly_to_where_the_sdk_would_send_them() {
        for (bucket, endpoint, region, expected) in [
            ("bucket", Some("http://127.0.0.1:9"), None, "http://127.0.0.1:9/bucket/ us-east-1"),
            (
                "bucket",
                Some("https://sos-ch-dk-2.exo.io"),
                Some("ch-dk-2"),
                "https://sos-ch-dk-2.exo.io/bucket/ ch-dk-2",
            ),
            ("bucket", None, Some("eu-west-1"), "https://bucket.s3.eu-west-1.amazonaws.com/ eu-west-1"),
            ("bu.cket", None, Some("cn-north-1"), "https://s3.cn-north-1.amazonaws.com.cn/bu.cket/ cn-north-1"),
        ] {
            let mut address = address(bucket, endpoint);
            address.region = region.map(str::to_owned);
            let session = Session::new(&address, None, Arc::default()).await;
            let way = session.direct().await.map(ToString::to_string);
            assert_eq!(way.as_deref(), Some(expected), "{bucket} {endpoint:?}");
        }
    }
}
