//! The read-only endpoint: `/healthz` for supervisors, `/metrics` for Prometheus, `/` for people.
//!
//! Promises: nothing can be changed through it; it is bound to this machine only, and answers only to names of this
//! machine, so that no web page elsewhere can read it by pointing its own name here; connections, headers and times
//! are bounded; the page is made on another thread than the jobs run on. Knows the [`Board`] and nothing else.

mod health;
mod metrics;
mod page;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::tz::TimeZone;
use tokio::net::{TcpListener, TcpStream};

use super::state::{Board, DaemonState, Now};
use page::Refresh;

/// Connections at once; more wait. A person, a supervisor and a Prometheus need three.
const CONNECTIONS: usize = 16;
/// Time for the head of a request.
const HEAD: Duration = Duration::from_secs(5);
/// Time for a request and its answer.
const WHOLE: Duration = Duration::from_secs(15);
/// Room for the head of a request in bytes; the least that hyper accepts.
const BUFFER: usize = 8 * 1024;
/// Header lines of a request; browsers send about fifteen.
const HEADERS: usize = 64;
/// How long no connection is accepted after that failed: most likely no file descriptor is left.
const BREATH: Duration = Duration::from_millis(200);

type Answer = Response<Full<Bytes>>;

/// Listens at an address of this machine.
///
/// # Errors
/// The address is reachable from elsewhere (`InvalidInput`: nobody is asked for a password here), or not free.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    if !address.ip().is_loopback() {
        let words = format!(
            "{address} can be reached from other machines, and nobody is asked for a password; use 127.0.0.1 or [::1], and a proxy \
             with a password before it"
        );
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, words));
    }
    TcpListener::bind(address).await
}

/// Answers for ever. Dropping the future closes all connections.
pub async fn serve(listener: TcpListener, board: Board, now: Now) -> Infallible {
    let mut open = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if open.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => open.push(Box::pin(converse(stream, board.clone(), Arc::clone(&now)))),
                Err(error) => {
                    tracing::warn!("the HTTP endpoint can't accept a connection: {error}");
                    tokio::time::sleep(BREATH).await;
                }
            },
            Some(()) = open.next(), if !open.is_empty() => {}
        }
    }
}

/// One request on one connection.
async fn converse(stream: TcpStream, board: Board, now: Now) {
    let service = service_fn(|request| {
        let (board, now) = (board.clone(), now());
        async move { Ok::<_, Infallible>(answer(&request, &board, now).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .keep_alive(false)
        .max_buf_size(BUFFER)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(WHOLE, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("an HTTP connection broke: {error}"),
        Err(_) => tracing::debug!("an HTTP connection took too long"),
    }
}

async fn answer<B>(request: &Request<B>, board: &Board, now_ns: i64) -> Answer {
    if !is_addressed(request) {
        let words = "This answers only as localhost, 127.0.0.1 or [::1]. A proxy has to send `Host: localhost`.\n";
        return text(StatusCode::MISDIRECTED_REQUEST, words.to_owned());
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer =
            text(StatusCode::METHOD_NOT_ALLOWED, "Nothing can be changed here: GET and HEAD.\n".to_owned());
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    let refresh = if request.uri().query() == Some("still") { Refresh::No } else { Refresh::Yes };
    match request.uri().path() {
        "/" => person(board.look(), refresh, now_ns).await,
        "/healthz" => health::answer(&board.look(), request.uri().query(), now_ns),
        "/metrics" => {
            let mut answer = text(StatusCode::OK, metrics::text(&board.look(), now_ns));
            answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
            answer
        }
        _ => text(StatusCode::NOT_FOUND, "There are /, /healthz and /metrics.\n".to_owned()),
    }
}

/// The page. Making it takes milliseconds that the jobs' thread does not have.
async fn person(state: DaemonState, refresh: Refresh, now_ns: i64) -> Answer {
    let making = move || page::page(&state, refresh, (now_ns, TimeZone::system()));
    let Ok(page) = tokio::task::spawn_blocking(making).await else {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "The page could not be made.\n".to_owned());
    };
    let mut answer = text(StatusCode::OK, page);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::policy()));
    answer
}

/// Whether a request is meant for this machine: a name that somebody else's DNS leads here is none of its names.
fn is_addressed<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let named = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().is_ok_and(is_local),
        (None, _) | (Some(_), Some(_)) => false,
    };
    named && request.uri().authority().is_none_or(|authority| is_local(authority.as_str()))
}

/// Whether a value of `Host` is a name of the loopback, with a port or without.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1" || name == "[::1]"
}

/// Headers of every answer: nothing is kept, embedded, guessed or told to others.
const HEADERS_OF_ALL: [(HeaderName, &str); 7] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

fn text(status: StatusCode, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    for (name, value) in HEADERS_OF_ALL {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests;
