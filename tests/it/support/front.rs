//! An HTTP server in the test process that answers as the test says, or stands in front of a real server, passes requests on
//! to it and counts: to see what was asked, to break single requests, and to play services that no test can start.
//!
//! ```text
//! let front = Front::before("127.0.0.1:10000");
//! front.on(|call| call.is("PUT", "comp=block").then(|| Then::Late(Duration::from_secs(30))));
//! ```

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::oneshot;

/// A request, and what it was answered.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: String,
    /// Still encoded.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: Bytes,
    /// `None` until it is answered.
    pub(crate) status: Option<u16>,
    /// Bytes of the answer's body.
    pub(crate) answered: usize,
}

impl Call {
    /// Whether it is of this method and has this text in its query; an empty text stands for no `comp` at all.
    pub(crate) fn is(&self, method: &str, query: &str) -> bool {
        let fits = if query.is_empty() { !self.query.contains("comp=") } else { self.query.contains(query) };
        self.method == method && fits
    }

    /// A header as text; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub(crate) enum Then {
    /// Answered with this status, these headers and this body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// Passed on after a while.
    Late(Duration),
    /// Passed on when a gate opens.
    Held(Arc<Held>),
}

/// See [`Front::hold`].
#[derive(Debug, Default)]
pub(crate) struct Held {
    reached: AtomicBool,
    open: AtomicBool,
}

/// See [`Front::hold`].
#[derive(Debug)]
pub(crate) struct Gate(Arc<Held>);

impl Gate {
    /// Waits until a request is held.
    pub(crate) fn reached(&self) {
        let begun = Instant::now();
        while !self.0.reached.load(Relaxed) {
            assert!(begun.elapsed() < Duration::from_secs(30), "no request came to the gate");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.0.open.store(true, Relaxed);
    }
}

impl Then {
    /// An error as Azure's services tell it.
    pub(crate) fn refuse(status: u16, code: &str) -> Self {
        let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>x</Message></Error>");
        let kind = ("content-type", "application/xml".to_owned());
        Self::Answer(status, vec![kind, ("x-ms-error-code", code.to_owned())], body)
    }

    /// A JSON document.
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::Answer(status, vec![("content-type", "application/json".to_owned())], body.to_string())
    }
}

type Rule = Box<dyn Fn(&Call) -> Option<Then> + Send>;

#[derive(Default)]
struct Shared {
    upstream: Option<String>,
    rules: Mutex<Vec<Rule>>,
    log: Mutex<Vec<Call>>,
}

/// See the module. Dropping it stops it.
pub(crate) struct Front {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Front({})", self.address)
    }
}

impl Front {
    /// What no rule answers is not there.
    pub(crate) fn alone() -> Self {
        Self::start(None)
    }

    /// What no rule answers is passed on to `HOST:PORT`.
    pub(crate) fn before(upstream: &str) -> Self {
        Self::start(Some(upstream.to_owned()))
    }

    fn start(upstream: Option<String>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared { upstream, ..Shared::default() });
        let (stop, stopped) = oneshot::channel();
        let inner = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, inner) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { shared, address, stop: Some(stop), thread: Some(thread) }
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Asked for each request from now on, before earlier rules.
    pub(crate) fn on(&self, rule: impl Fn(&Call) -> Option<Then> + Send + 'static) {
        lock(&self.shared.rules).insert(0, Box::new(rule));
    }

    /// Holds requests of a kind until the gate is dropped.
    pub(crate) fn hold(&self, which: impl Fn(&Call) -> bool + Send + 'static) -> Gate {
        let gate = Gate(Arc::new(Held::default()));
        let held = Arc::clone(&gate.0);
        self.on(move |call| (which(call) && !held.open.load(Relaxed)).then(|| Then::Held(Arc::clone(&held))));
        gate
    }

    /// Forgets the rules.
    pub(crate) fn pass_all(&self) {
        lock(&self.shared.rules).clear();
    }

    /// All requests since the last call, in the order of their arrival.
    pub(crate) fn calls(&self) -> Vec<Call> {
        lock(&self.shared.log).clone()
    }

    /// Forgets the requests so far.
    pub(crate) fn clear(&self) {
        lock(&self.shared.log).clear();
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("a rule of the server panicked");
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener can be registered");
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        drop(stream.set_nodelay(true));
        let (shared, client) = (Arc::clone(&shared), client.clone());
        let service = service_fn(move |request| answer(Arc::clone(&shared), client.clone(), request));
        // Broken connections are part of the tests.
        tokio::spawn(async move { drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await) });
    }
}

async fn answer(
    shared: Arc<Shared>,
    client: Client<HttpConnector, Full<Bytes>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let call = Call {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers.clone(),
        body: body.clone(),
        status: None,
        answered: 0,
    };
    let at = {
        let mut log = lock(&shared.log);
        log.push(call.clone());
        log.len() - 1
    };
    let then = lock(&shared.rules).iter().find_map(|rule| rule(&call));
    let answer = match (then, &shared.upstream) {
        (Some(Then::Answer(status, headers, body)), _) => {
            let mut answer = Response::builder().status(status);
            for (name, value) in headers {
                answer = answer.header(name, value);
            }
            answer.body(Full::new(Bytes::from(body))).expect("a valid answer")
        }
        (then, Some(upstream)) => {
            match then {
                Some(Then::Late(time)) => tokio::time::sleep(time).await,
                Some(Then::Held(held)) => {
                    held.reached.store(true, Relaxed);
                    while !held.open.load(Relaxed) {
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                }
                Some(Then::Answer(..)) | None => {}
            }
            pass(&client, upstream, head, body).await
        }
        (_, None) => status(StatusCode::NOT_FOUND),
    };
    let (code, len) = (answer.status().as_u16(), answer.body().clone().collect().await.expect("in memory").to_bytes());
    if let Some(logged) = lock(&shared.log).get_mut(at) {
        (logged.status, logged.answered) = (Some(code), len.len());
    }
    Ok(answer)
}

async fn pass(
    client: &Client<HttpConnector, Full<Bytes>>,
    upstream: &str,
    mut head: hyper::http::request::Parts,
    body: Bytes,
) -> Response<Full<Bytes>> {
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    head.uri = format!("http://{upstream}{target}").parse().expect("a valid URL");
    head.headers.remove(header::CONNECTION);
    let Ok(answer) = client.request(Request::from_parts(head, Full::new(body))).await else {
        return status(StatusCode::BAD_GATEWAY);
    };
    let (mut head, body) = answer.into_parts();
    head.headers.remove(header::TRANSFER_ENCODING);
    head.headers.remove(header::CONNECTION);
    match body.collect().await {
        Ok(body) => Response::from_parts(head, Full::new(body.to_bytes())),
        Err(_) => status(StatusCode::BAD_GATEWAY),
    }
}

fn status(code: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = code;
    answer
}

/// A test that failed while it held a lock has failed already.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
