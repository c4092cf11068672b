//! An S3 server inside the test process, over real HTTP on a free port of 127.0.0.1.
//!
//! Complete by default: listings, conditions, ranges, copies, multipart uploads, checksums, ACLs, CORS, versions.
//! [`Quirks`] make it behave like servers that differ, [`Faults`] make single requests fail, and a [`Gate`] holds
//! requests while a test looks or edits. Tests edit and inspect buckets directly through [`Handle`], as a third party
//! would, without a trace in the request log.
//!
//! ```text
//! let server = S3Server::start();
//! let bucket = server.create_bucket("media");
//! bucket.put("a.jpg", "1");                                              // somebody else's object
//! server.quirks(|quirks| quirks.etags = ETags::Opaque);                   // a server with SSE-KMS
//! server.faults(|faults| faults.add(Rule::new("PutObject", Effect::Status(503, "SlowDown")).times(2)));
//! let gate = server.hold(Moment::BeforeAnswer, "PutObject", "big/*");     // gate.reached(1).await; edit; release
//! // ... run the program against server.endpoint() with server.access_key() and server.secret_key() ...
//! assert_eq!(server.count("PutObject"), 3);
//! ```
//!
//! It keeps everything in memory and shares it where it can: an object of 1 GiB costs 1 GiB once it is stored. It does
//! not do: other addressing than path style, encryption, object lock, policies; lifecycle rules are told and not carried out.

mod body;
mod call;
mod checksum;
mod connection;
mod faults;
mod handle;
mod layer;
mod page;
mod quirks;
mod service;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::{S3Result, s3_error};
use tokio::sync::oneshot;

pub(crate) use self::call::Logged;
pub(crate) use self::checksum::Algorithm;
pub(crate) use self::faults::{Effect, Faults, Gate, Moment, Rule};
pub(crate) use self::handle::{Handle, ObjectSpec};
pub(crate) use self::quirks::{
    Abandoned, Acls, ChecksumSupport, Conditional, ETags, Folders, ListingOrder, Need, Quirks, Region, Support,
};
pub(crate) use self::store::{Acl, Attributes, StoredObject, Version, Versioning};

const ACCESS_KEY: &str = "AKIAMEDIASYNCTEST000";
const SECRET_KEY: &str = "a/secret+key/that/only/this/server/knows";

/// A running server; dropping it stops it and breaks its connections.
#[derive(Debug)]
pub(crate) struct S3Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl S3Server {
    /// Starts it in a thread of its own; it accepts connections when this returns.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("s3-server".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || run(listener, &shared, stopped)
            })
            .expect("a thread can be started");
        Self { shared, address, stop: Some(stop), thread: Some(thread) }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The only access key; others get 403.
    #[expect(clippy::unused_self, reason = "what a server accepts is asked of a server")]
    pub(crate) fn access_key(&self) -> &'static str {
        ACCESS_KEY
    }

    /// Its secret.
    #[expect(clippy::unused_self, reason = "what a server accepts is asked of a server")]
    pub(crate) fn secret_key(&self) -> &'static str {
        SECRET_KEY
    }

    /// Makes an empty bucket.
    pub(crate) fn create_bucket(&self, name: &str) -> Handle {
        let previous = self.shared.buckets().insert(name.to_owned(), store::Bucket::new(self.shared.now()));
        assert!(previous.is_none(), "the bucket {name} exists");
        self.bucket(name)
    }

    /// Direct access to a bucket.
    pub(crate) fn bucket(&self, name: &str) -> Handle {
        assert!(self.shared.buckets().contains_key(name), "there is no bucket {name}");
        Handle::new(Arc::clone(&self.shared), name)
    }

    /// The log: all requests in the order of arrival.
    pub(crate) fn requests(&self) -> Vec<Logged> {
        self.shared.log().entries().to_vec()
    }

    /// Those that can change something: PUT, POST and DELETE, whatever their answer.
    pub(crate) fn changing_requests(&self) -> Vec<Logged> {
        self.shared.log().entries().iter().filter(|entry| entry.call.changes()).cloned().collect()
    }

    /// How many requests of an operation arrived.
    pub(crate) fn count(&self, operation: &str) -> usize {
        self.shared.log().entries().iter().filter(|entry| entry.call.operation == operation).count()
    }

    /// Empties the log.
    pub(crate) fn clear_log(&self) {
        self.shared.log().clear();
    }

    /// Changes the quirks; requests that arrive from now on see it.
    pub(crate) fn quirks(&self, change: impl FnOnce(&mut Quirks)) {
        change(&mut lock(&self.shared.quirks));
    }

    /// Changes or asks the faults.
    pub(crate) fn faults<R>(&self, change: impl FnOnce(&mut Faults) -> R) -> R {
        change(&mut self.shared.faults())
    }

    /// Holds requests of an operation (`*`: any) on keys that match, until the gate is released or dropped.
    pub(crate) fn hold(&self, moment: Moment, operation: &'static str, key: &str) -> Gate {
        self.shared.gates.add(moment, operation, key)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        // Dropping the sender ends the thread.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the S3 server panicked");
        }
    }
}

fn run(listener: TcpListener, shared: &Arc<Shared>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener can be registered");
        let s3 = service::build(shared);
        tokio::select! {
            () = accept(&listener, shared, &s3) => {}
            _ = stopped => {}
        }
    });
}

async fn accept(listener: &tokio::net::TcpListener, shared: &Arc<Shared>, s3: &s3s::service::S3Service) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: wait for some to come back.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        // Without this, small answers on a kept connection wait for an acknowledgement; failing only costs time.
        drop(stream.set_nodelay(true));
        let reset = connection::Reset::default();
        let layer = layer::Layer { shared: Arc::clone(shared), s3: s3.clone(), reset: reset.clone() };
        let connection = TokioIo::new(connection::Connection::new(stream, reset));
        let serving = http1::Builder::new()
            .serve_connection(connection, service_fn(move |request| Box::pin(layer.clone().answer(request))));
        tokio::spawn(async move {
            // Broken connections are part of the tests; the client's side of it is what they look at.
            drop(serving.await);
        });
    }
}

/// What all connections and the test share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    buckets: Mutex<BTreeMap<String, store::Bucket>>,
    quirks: Mutex<Quirks>,
    faults: Mutex<Faults>,
    gates: faults::Gates,
    log: Mutex<call::Log>,
    uploads: AtomicU64,
}

impl Shared {
    fn buckets(&self) -> MutexGuard<'_, BTreeMap<String, store::Bucket>> {
        lock(&self.buckets)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    fn log(&self) -> MutexGuard<'_, call::Log> {
        lock(&self.log)
    }

    fn quirks(&self) -> Quirks {
        lock(&self.quirks).clone()
    }

    /// The server's time.
    fn now(&self) -> SystemTime {
        let ahead = lock(&self.quirks).clock_ahead;
        let offset = Duration::from_secs(ahead.unsigned_abs());
        if ahead < 0 { SystemTime::now() - offset } else { SystemTime::now() + offset }
    }

    /// Works on a bucket, alone.
    fn bucket<R>(&self, name: &str, work: impl FnOnce(&mut store::Bucket) -> S3Result<R>) -> S3Result<R> {
        let mut buckets = self.buckets();
        work(buckets.get_mut(name).ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))?)
    }

    fn etag(&self, md5: [u8; 16]) -> String {
        if self.quirks().etags == ETags::Opaque { random_hex() } else { hex(&md5) }
    }

    fn multipart_etag(&self, md5: [u8; 16], parts: usize) -> String {
        let opaque = self.quirks().etags != ETags::Md5;
        format!("{}-{parts}", if opaque { random_hex() } else { hex(&md5) })
    }

    /// Later uploads have greater ids.
    fn upload_id(&self) -> String {
        format!("{:08}.{}", self.uploads.fetch_add(1, Ordering::Relaxed), random_hex())
    }
}

/// A test that failed while it held a lock has failed already; the others' state is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An error that s3s has no name for.
fn failure(status: hyper::StatusCode, code: &'static str, message: &'static str) -> s3s::S3Error {
    let mut error = s3s::S3Error::with_message(code.parse().expect("any text is a code"), message);
    error.set_status_code(status);
    error
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

fn random_hex() -> String {
    format!("{:032x}", fastrand::u128(..))
}
