//! The way to the network for what needs plain HTTP: hyper with rustls and ring, which the AWS SDK uses too. Redirects
//! are never followed, and reasons are told without the texts of others, which may hold secrets.

use std::error::Error as StdError;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};

const CONNECT: Duration = Duration::from_secs(10);
/// Connections that nobody used for so long are not used again: servers close theirs after five seconds (Node) or more.
const IDLE: Duration = Duration::from_secs(4);

/// See the module's text.
#[derive(Debug)]
pub enum Transport {
    /// Emulators.
    Plain(Client<HttpConnector, Full<Bytes>>),
    /// Everything else.
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl Transport {
    /// For requests to this URL's scheme.
    ///
    /// # Errors
    /// The system's certificates can't be read.
    pub fn new(url: &str) -> std::io::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_nodelay(true);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE);
        if url.starts_with("http:") {
            return Ok(Self::Plain(builder.build(connector)));
        }
        connector.enforce_http(false);
        // Identities of machines are asked for over HTTP.
        let https = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1();
        Ok(Self::Tls(builder.build(https.wrap_connector(connector))))
    }

    /// Sends a request from memory; the answer's body is read as it comes.
    pub fn send(&self, request: hyper::Request<Full<Bytes>>) -> ResponseFuture {
        match self {
            Self::Plain(client) => client.request(request),
            Self::Tls(client) => client.request(request),
        }
    }
}

/// Why there is no answer, as far as it can be told; without texts of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{self:?}")]
pub enum Reason {
    /// Nobody listens there.
    Refused,
    /// The name is not known.
    Dns,
    /// The certificate is not to be trusted.
    Certificate,
    /// There is no TLS at the other end, or none that fits.
    Tls,
    /// What answers does not speak HTTP; it may want TLS.
    Http,
    /// It took too long.
    Timeout,
    /// The connection broke, or anything else.
    Broken,
}

impl Reason {
    /// The reason that an error of the client comes from.
    pub fn of(error: &(dyn StdError + 'static)) -> Self {
        let mut source = Some(error);
        while let Some(e) = source {
            if let Some(io) = e.downcast_ref::<std::io::Error>() {
                match io.kind() {
                    std::io::ErrorKind::ConnectionRefused => return Self::Refused,
                    std::io::ErrorKind::TimedOut => return Self::Timeout,
                    _ => {}
                }
            }
            // The connector gives these only as text.
            let text = e.to_string().to_ascii_lowercase();
            if text.contains("dns error") || text.contains("failed to lookup address") {
                return Self::Dns;
            }
            if text.contains("certificate") {
                return Self::Certificate;
            }
            if text.contains("corrupt message") || text.contains("received fatal alert") {
                return Self::Tls;
            }
            if text.contains("invalid http version") {
                return Self::Http;
            }
            source = e.source();
        }
        Self::Broken
    }
}
