//! The way to the network for the SDK, over [`crate::transport`]. The SDK's own client would bring a second HTTP stack,
//! and aws-lc with cmake.

use async_trait::async_trait;
use azure_core::error::{Error, ErrorKind};
use azure_core::http::headers::{HeaderName, HeaderValue, Headers};
use azure_core::http::request::Body;
use azure_core::http::response::PinnedStream;
use azure_core::http::{AsyncRawResponse, HttpClient, Request};
use futures_util::TryStreamExt as _;
use http_body_util::{BodyDataStream, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Error as ClientError;

use crate::transport::{Reason, Transport};

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

#[cfg(test)]
mod tests {
    use std::error::Error as _;

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
