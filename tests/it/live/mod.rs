//! Real servers, named by the environment: `MEDIASYNC_TEST_S3=NAME=http://KEY:SECRET@HOST:PORT/BUCKET,...`.
//!
//! `scripts/servers run cargo test --locked` starts some and sets it. Tests work below a random prefix of the bucket
//! and remove what they made. Without the variable they say so and pass.

use aws_sdk_s3::Client;
use mediasync::replica::s3::{Addressing, Credentials, S3Address};
use mediasync::secret::Secret;

mod admin;
mod azure;
mod azure_cli;
mod azure_copy;
mod azure_mirror;
mod azure_policy;
mod azure_pull;
mod azure_renewal;
mod azure_trash;
mod bucket;
mod cli;
mod container;
mod copy;
mod doctor;
mod foreign;
mod headers;
mod lease;
mod look;
mod place;
mod purge;
mod storage;
mod verify;

pub(crate) use azure::{AzureServer, RawContainer, azure_servers};
pub(crate) use bucket::RawBucket;

const VARIABLE: &str = "MEDIASYNC_TEST_S3";

/// A bucket of a server.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    /// By which the tables of expectations know the server.
    pub(crate) name: String,
    pub(crate) endpoint: String,
    pub(crate) bucket: String,
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
}

impl Live {
    /// A place in it that nobody else uses.
    pub(crate) fn address(&self) -> S3Address {
        S3Address {
            bucket: self.bucket.clone(),
            prefix: format!("mediasync-test-{:016x}", fastrand::u64(..)),
            endpoint: Some(self.endpoint.clone()),
            region: None,
            addressing: Addressing::Path,
            credentials: Credentials::Static {
                access_key: self.access_key.clone(),
                secret: Secret::new(self.secret_key.clone()),
                session_token: None,
            },
            acl: None,
            public_url: None,
            said: Box::default(),
        }
    }
}

/// The servers that the environment names; says so if there are none.
pub(crate) fn servers() -> Vec<Live> {
    let Some(text) = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty()) else {
        println!("skipped: no live server ({VARIABLE} is not set; see scripts/servers)");
        return Vec::new();
    };
    let one = |text: &str| parse(text).unwrap_or_else(|| panic!("{VARIABLE}: not NAME=http://KEY:SECRET@HOST/BUCKET"));
    text.split(',').map(one).collect()
}

fn parse(text: &str) -> Option<Live> {
    let (name, url) = text.split_once('=')?;
    let (scheme, rest) = url.split_once("://")?;
    let (user, rest) = rest.split_once('@')?;
    let (access_key, secret_key) = user.split_once(':')?;
    let (host, bucket) = rest.split_once('/')?;
    Some(Live {
        name: name.to_owned(),
        endpoint: format!("{scheme}://{host}"),
        bucket: bucket.to_owned(),
        access_key: access_key.to_owned(),
        secret_key: secret_key.to_owned(),
    })
}

/// A plain client, as somebody else would use it.
pub(crate) fn client(address: &S3Address) -> Client {
    let Credentials::Static { access_key, secret, .. } = &address.credentials else { panic!("keys are given") };
    let credentials = aws_credential_types::Credentials::new(access_key, secret.reveal(), None, None, "test");
    Client::from_conf(
        aws_sdk_s3::Config::builder()
            .behavior_version(aws_sdk_s3::config::BehaviorVersion::v2026_01_12())
            .region(aws_sdk_s3::config::Region::new("us-east-1"))
            .credentials_provider(credentials)
            .endpoint_url(address.endpoint.as_deref().expect("an endpoint is given"))
            .force_path_style(true)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .request_checksum_calculation(aws_sdk_s3::config::RequestChecksumCalculation::WhenRequired)
            .build(),
    )
}

#[test]
fn the_variable_is_read() {
    let live = parse("x=http://K:S@127.0.0.1:1/b").unwrap();
    assert_eq!([live.name, live.access_key, live.secret_key], ["x", "K", "S"]);
    assert_eq!([live.endpoint, live.bucket], ["http://127.0.0.1:1", "b"]);
    for wrong in ["", "http://K:S@h/b", "x=http://h/b", "x=http://K@h/b", "x=http://K:S@h"] {
        assert!(parse(wrong).is_none(), "{wrong}");
    }
}
