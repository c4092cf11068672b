//! The way to the network for the SDK: hyper with rustls and ring, which the other object stores use too. The SDK's
//! own client would bring a second HTTP stack, and aws-lc with cmake. Redirects are never followed.

use std::error::Error as StdError;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::error::{Error, ErrorKind};
use azure_core::http::headers::{HeaderName, HeaderValue, Headers};
use azure_core::http::request::Body;
use azure_core::http::response::PinnedStream;
use azure_core::http::{AsyncRawResponse, HttpClient, Request};
use futures_util::TryStreamExt as _;
use http_body_util::{BodyDataStream, Full};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};

const CONNECT: Duration = Duration::from_secs(10);
/// Connections that nobody used for so long are not used again: servers close theirs after five seconds (Node) or more.
const IDLE: Duration = Duration::from_secs(4);

/// See the module's text.
#[derive(Debug)]
pub(super) enum Transport {
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
    pub(super) fn new(url: &str) -> std::io::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_nodelay(true);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE);
        if url.starts_with("http:") {
            return Ok(Self::Plain(builder.build(connector)));
        }
        connector.enforce_http(false);
        // Identities are asked for over HTTP.
        let https = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1();
        Ok(Self::Tls(builder.build(https.wrap_connector(connector))))
    }

    fn send(&self, request: hyper::Request<Full<Bytes>>) -> ResponseFuture {
        match self {
            Self::Plain(client) => client.request(request),
            Self::Tls(client) => client.request(request),
        }
    }
}

#[async_trait]
impl HttpClient for Transport {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let answer = self.send(translated(request)?).await.map_err(|error| unanswered(&error))?;
        let (head, body) = answer.into_parts();
        let mut headers = Headers::new();
        for (name, value) in &head.headers {
            if let Ok(value) = value.to_str() {
                headers.insert(HeaderName::from(name.as_str().to_owned()), HeaderValue::from(value.to_owned()));
            }
        }
        Ok(AsyncRawResponse::new(head.status.as_u16().into(), headers, stream(body)))
    }
}

fn stream(body: Incoming) -> PinnedStream {
    let broken = |error| Error::with_error(ErrorKind::Io, error, "the connection broke in the middle of the body");
    Box::pin(BodyDataStream::new(body).map_err(broken))
}

fn translated(request: &Request) -> azure_core::Result<hyper::Request<Full<Bytes>>> {
    let Body::Bytes(body) = request.body() else {
        return Err(Error::with_message(ErrorKind::Other, "bodies are sent from memory"));
    };
    let method = request.method();
    let mut built = hyper::Request::builder().method(method.as_ref()).uri(request.url().as_str());
    for (name, value) in request.headers().iter() {
        built = built.header(name.as_str(), value.as_str());
    }
    built.body(Full::new(body.clone())).map_err(|error| Error::with_error(ErrorKind::Other, error, "no valid request"))
}

fn unanswered(error: &ClientError) -> Error {
    let kind = if error.is_connect() { ErrorKind::Connection } else { ErrorKind::Io };
    let reason = Reason::of(error);
    Error::with_error(kind, reason, "no answer")
}

/// Why there is no answer, as far as it can be told; without texts of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{self:?}")]
pub(super) enum Reason {
    Refused,
    Dns,
    Certificate,
    Tls,
    Timeout,
    Broken,
}

impl Reason {
    fn of(error: &(dyn StdError + 'static)) -> Self {
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
            source = e.source();
        }
        Self::Broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use azure_core::http::Method;

    async fn reason(url: &str) -> Option<Reason> {
        let transport = Transport::new(url).unwrap();
        let error = transport.execute_request(&Request::new(url.parse().unwrap(), Method::Get)).await.unwrap_err();
        let source = error.source().unwrap();
        source.downcast_ref::<Reason>().copied()
    }

    #[tokio::test]
    async fn it_is_told_why_there_is_no_answer() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert_eq!(reason(&format!("http://127.0.0.1:{port}/x")).await, Some(Reason::Refused));
        assert_eq!(reason("http://no-such-host.invalid/x").await, Some(Reason::Dns));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/x", listener.local_addr().unwrap());
        let plain = async {
            use tokio::io::AsyncWriteExt as _;
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            reason = reason(&url) => assert_eq!(reason, Some(Reason::Tls)),
            () = plain => unreachable!("it waits"),
        }
    }
}
