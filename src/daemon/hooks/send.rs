//! Requests to the webhook and the dead-man URL: three tries of ten seconds each, with pauses. Only a status or a
//! [`Reason`] is ever told, never the URL.

use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, Uri, header};

use crate::secret::Secret;
use crate::transport::{Reason, Transport};

/// Time for one try.
const TRY: Duration = Duration::from_secs(10);
/// Before the second and the third try: a proxy that starts anew, a network that comes back.
const PAUSES: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(60)];

/// Where requests go.
pub(super) struct Endpoint {
    name: &'static str,
    uri: Uri,
    transport: Transport,
}

/// What came of a try.
enum Outcome {
    Done,
    /// Another try may help.
    Again(String),
    Refused(String),
}

impl Endpoint {
    /// `name` is how logs call it.
    ///
    /// # Errors
    /// In words: it is no URL, or the system's certificates can't be read.
    pub(super) fn new(name: &'static str, url: &Secret) -> Result<Self, &'static str> {
        let uri: Uri = url.reveal().parse().map_err(|_| "it is no URL")?;
        let fine = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
        // Nobody would send it.
        let password = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        match (fine, password) {
            (false, _) => return Err("it is no URL that begins with https:// or http://"),
            (true, true) => {
                return Err("it has a user or password before the host; put a token into the path or query");
            }
            (true, false) => {}
        }
        let transport = Transport::new(url.reveal()).map_err(|_| "the system's certificates can't be read")?;
        Ok(Self { name, uri, transport })
    }

    /// Sends a JSON text.
    pub(super) async fn post(&self, json: String) {
        self.tried(&Method::POST, Bytes::from(json)).await;
    }

    /// Asks for the URL; what comes back is not read.
    pub(super) async fn get(&self) {
        self.tried(&Method::GET, Bytes::new()).await;
    }

    async fn tried(&self, method: &Method, body: Bytes) {
        let mut pauses = PAUSES.iter();
        loop {
            match self.once(method, body.clone()).await {
                Outcome::Done => return,
                Outcome::Again(why) => match pauses.next() {
                    Some(pause) => {
                        tracing::debug!("{} {why}; it is tried again in {} s", self.name, pause.as_secs());
                        tokio::time::sleep(*pause).await;
                    }
                    None => return tracing::warn!("{} {why}, three times; it was not told", self.name),
                },
                Outcome::Refused(why) => return tracing::warn!("{} {why}; it was not told", self.name),
            }
        }
    }

    async fn once(&self, method: &Method, body: Bytes) -> Outcome {
        let mut request = Request::builder()
            .method(method)
            .uri(&self.uri)
            .header(header::USER_AGENT, concat!("mediasync/", env!("CARGO_PKG_VERSION")));
        if method == Method::POST {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body)).expect("a URL and fixed headers make a request");
        match tokio::time::timeout(TRY, self.transport.send(request)).await {
            Err(_) => Outcome::Again("did not answer in time".to_owned()),
            Ok(Err(error)) => Outcome::Again(format!("can't be reached ({})", Reason::of(&error))),
            Ok(Ok(answer)) => judged(answer.status()),
        }
    }
}

fn judged(status: StatusCode) -> Outcome {
    let why = format!("answered {}", status.as_u16());
    match status {
        _ if status.is_success() => Outcome::Done,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Outcome::Again(why),
        _ if status.is_server_error() => Outcome::Again(why),
        _ if status.is_redirection() => Outcome::Refused(format!("{why}, and redirects are not followed")),
        _ => Outcome::Refused(why),
    }
}
