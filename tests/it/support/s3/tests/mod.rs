//! Tests of the server itself, with the SDK as the client.

mod bucket;
mod conditions;
mod faults;
mod listing;
mod multipart;
mod objects;
mod quirks;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, Credentials, Intercept, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    RuntimeComponents,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::config_bag::ConfigBag;

use super::{Handle, S3Server};

const MIB: usize = 1024 * 1024;

fn config(server: &S3Server) -> Builder {
    Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .credentials_provider(Credentials::new(server.access_key(), server.secret_key(), None, None, "test"))
        .region(Region::new("us-east-1"))
        .endpoint_url(server.endpoint())
        .force_path_style(true)
        .retry_config(RetryConfig::disabled())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
}

/// A server with the bucket `bucket`, and a client for it.
fn setup() -> (S3Server, Handle, Client) {
    let server = S3Server::start();
    let bucket = server.create_bucket("bucket");
    let client = Client::from_conf(config(&server).build());
    (server, bucket, client)
}

/// The status and code of a refusal.
#[track_caller]
fn refusal<T, E>(result: Result<T, SdkError<E, HttpResponse>>) -> (u16, String)
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let Err(error) = result else { panic!("a refusal was expected") };
    let response = error.raw_response().unwrap_or_else(|| panic!("no response: {error:?}"));
    (response.status().as_u16(), error.code().unwrap_or_default().to_owned())
}

/// Asserts that the connection broke: no answer.
#[track_caller]
fn assert_broken<T, E: std::fmt::Debug>(result: Result<T, SdkError<E, HttpResponse>>) {
    match result {
        Ok(_) => panic!("a broken connection was expected"),
        Err(SdkError::DispatchFailure(_)) => {}
        Err(error) => panic!("a broken connection was expected, not {error:?}"),
    }
}

fn text(text: &str) -> ByteStream {
    ByteStream::from(text.as_bytes().to_vec())
}

/// Different bytes of the same length, as `seed` says.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

/// Replaces text in a body after it was signed, by other text of the same length.
#[derive(Debug)]
struct Tamper(&'static str, &'static str);

impl Intercept for Tamper {
    fn name(&self) -> &'static str {
        "Tamper"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.request_mut().body_mut();
        let signed = std::str::from_utf8(body.bytes().expect("a body in memory"))?;
        let forged = signed.replace(self.0, self.1);
        assert_ne!(signed, forged);
        *body = SdkBody::from(forged);
        Ok(())
    }
}

/// A request without a signature; the status line's number.
fn anonymous(server: &S3Server, path: &str) -> u16 {
    let address = server.endpoint();
    let mut stream = TcpStream::connect(address.trim_start_matches("http://")).expect("the server listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("it can be sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it is answered");
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line")
}
