//! How one request is sent.
//!
//! [`Wire::exchange`] is the only way to the network. It counts, bounds the time, recovers once from a wrong region and
//! once from expired credentials, and turns every error into a [`Failure`]. The SDK's own retries are off: trying
//! again is [`crate::replica::retry`]'s part. A 3xx is always a failure.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use tokio::time::Instant;

use super::clock::Clock;
use super::error::{About, Failure, Keys, Stage, fold};
use super::ops::Op;
use super::session::Session;
use super::{Credentials, S3Address};
use crate::replica::Error;
use crate::replica::requests::Counts;
use crate::replica::throttle::Gate;

/// The way to one bucket.
#[derive(Debug)]
pub(super) struct Wire {
    address: S3Address,
    current: Mutex<Current>,
    building: tokio::sync::Mutex<()>,
    renewing: tokio::sync::Mutex<()>,
    counts: Counts<Op>,
    gate: Gate,
    /// When the bucket last answered a request with success.
    answered: Mutex<Option<Instant>>,
    clock: Arc<Clock>,
}

#[derive(Debug, Default)]
struct Current {
    /// Counts replacements, so that of many failed requests one repairs and the others follow.
    generation: u64,
    session: Option<Arc<Session>>,
    /// What a server told us.
    region: Option<String>,
    /// What was got in the place of credentials that ran out.
    credentials: Option<Credentials>,
}

impl Wire {
    pub(super) fn new(address: S3Address, region: Option<String>, gate: Gate) -> Self {
        Self {
            address,
            current: Mutex::new(Current { region, ..Current::default() }),
            building: tokio::sync::Mutex::new(()),
            renewing: tokio::sync::Mutex::new(()),
            counts: Counts::default(),
            gate,
            answered: Mutex::new(None),
            clock: Arc::default(),
        }
    }

    pub(super) fn address(&self) -> &S3Address {
        &self.address
    }

    pub(super) fn bucket(&self) -> &str {
        &self.address.bucket
    }

    pub(super) fn counts(&self) -> &Counts<Op> {
        &self.counts
    }

    /// Whether requests are encrypted on the way.
    pub(super) fn is_tls(&self) -> bool {
        self.address.endpoint.as_deref().is_none_or(|url| url.starts_with("https:"))
    }

    /// The region that a server told us, to be remembered.
    pub(super) fn learned_region(&self) -> Option<String> {
        self.current().region.clone()
    }

    /// The region that requests are signed for now.
    pub(super) fn region_in_use(&self) -> Option<String> {
        let current = self.current();
        current.session.as_ref()?.client.config().region().map(|region| region.as_ref().to_owned())
    }

    /// The server's clock.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether the bucket answered with success within `time`.
    pub(super) fn answered_within(&self, time: Duration) -> bool {
        let answered = *self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.is_some_and(|at| at.elapsed() < time)
    }

    /// The error for a failure about `object`.
    pub(super) fn fold(&self, failure: &Failure, op: Op, object: Option<&str>) -> Error {
        let keys = match &self.address.credentials {
            Credentials::Chain { profile: Some(profile), .. } => Keys::Profile(profile),
            Credentials::Chain { profile: None, variables } => variables.keys(),
            Credentials::Static { .. } => Keys::Stated,
            Credentials::Renewed { .. } => Keys::Command,
        };
        fold(failure, About { op, bucket: self.bucket(), object, endpoint: &self.host(), keys })
    }

    /// Where credentials that nobody stated come from, for people; once a request was signed.
    pub(super) async fn whence(&self) -> Option<String> {
        let Credentials::Chain { profile, variables } = &self.address.credentials else { return None };
        let session = self.current().session.clone()?;
        let profile = profile.as_deref().or(variables.profile.as_deref()).unwrap_or("default");
        session.whence(profile).await
    }

    /// Where requests go, for people. At AWS the region is the part of the host name that somebody wrote.
    fn host(&self) -> String {
        if let Some(endpoint) = &self.address.endpoint {
            return endpoint.clone();
        }
        match self.learned_region().or_else(|| self.region_in_use()).or_else(|| self.address.region.clone()) {
            Some(region) => format!("AWS S3 in {region}"),
            None => "AWS S3".to_owned(),
        }
    }

    /// Sends one request of the SDK whose body has `bytes`.
    pub(super) async fn send<T, E, F, Fut>(&self, op: Op, bytes: u64, request: F) -> Result<T, Failure>
    where
        F: Fn(Client) -> Fut,
        Fut: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let exchange = self.exchange(op, bytes, |session| {
            let request = request(session.client.clone());
            async { request.await.map_err(|error| Failure::from_sdk(&error)) }
        });
        exchange.await
    }

    /// Sends one request whose body has `bytes`.
    ///
    /// `request` builds and sends it, and once more if the first attempt showed a wrong region or expired credentials.
    pub(super) async fn exchange<T, F, Fut>(&self, op: Op, bytes: u64, request: F) -> Result<T, Failure>
    where
        F: Fn(Arc<Session>) -> Fut,
        Fut: Future<Output = Result<T, Failure>>,
    {
        let (generation, session) = self.session().await;
        let failure = match self.once(op, bytes, Box::pin(request(session))).await {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        let repaired = if failure.is_wrong_region() {
            self.change_region(generation, failure.region.as_deref()).await
        } else {
            self.renew_credentials(generation, &failure).await
        };
        if !repaired {
            return Err(failure);
        }
        let (_, session) = self.session().await;
        self.once(op, bytes, Box::pin(request(session))).await
    }

    /// One attempt. The SDK's futures are many KiB; boxed, they do not add up in their callers.
    async fn once<T>(
        &self,
        op: Op,
        bytes: u64,
        request: Pin<Box<impl Future<Output = Result<T, Failure>>>>,
    ) -> Result<T, Failure> {
        self.counts.add(op);
        let answer = tokio::time::timeout(op.work().deadline(bytes), request).await;
        let result = answer.unwrap_or_else(|_| Err(Failure::at(Stage::Timeout)));
        match &result {
            Ok(_) => {
                *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                self.counts.trouble.over();
            }
            Err(failure) => {
                if failure.is_throttled() {
                    self.gate.throttled();
                }
                self.counts.trouble.heard(&self.fold(failure, op, None));
            }
        }
        result
    }

    /// What signs and sends now, for whoever only signs.
    pub(super) async fn session_now(&self) -> Arc<Session> {
        self.session().await.1
    }

    /// The session now, made if there is none.
    async fn session(&self) -> (u64, Arc<Session>) {
        loop {
            {
                let current = self.current();
                if let Some(session) = &current.session {
                    return (current.generation, Arc::clone(session));
                }
            }
            let _one = self.building.lock().await;
            let (missing, region) = {
                let current = self.current();
                (current.session.is_none(), current.region.clone())
            };
            if missing {
                let address = S3Address { credentials: self.credentials(), ..self.address.clone() };
                let session = Session::new(&address, region, Arc::clone(&self.clock)).await;
                self.current().session = Some(Arc::new(session));
            }
        }
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the session of `generation`; the next request makes a new one.
    fn replace(&self, generation: u64, change: impl FnOnce(&mut Current)) {
        let mut current = self.current();
        if current.generation == generation {
            current.generation += 1;
            current.session = None;
            change(&mut current);
        }
    }

    /// Gets credentials that ran out again from where they come from. False if that is nowhere, or gives the same ones.
    async fn renew_credentials(&self, generation: u64, failure: &Failure) -> bool {
        let again = match &self.address.credentials {
            Credentials::Chain { .. } if failure.is_expired() => {
                self.replace(generation, |_| {});
                return true;
            }
            Credentials::Renewed { again, .. } if failure.is_expired() || failure.is_unknown_key() => again.clone(),
            Credentials::Chain { .. } | Credentials::Static { .. } | Credentials::Renewed { .. } => return false,
        };
        let _one = self.renewing.lock().await;
        if self.current().generation != generation {
            return true;
        }
        let renewed = tokio::task::spawn_blocking(move || again.now()).await;
        match renewed.unwrap_or_else(|died| Err(died.to_string())) {
            Ok(renewed) if self.credentials() != renewed => {
                tracing::info!(bucket = self.bucket(), "the credentials had run out and were renewed");
                self.replace(generation, |current| current.credentials = Some(renewed));
                true
            }
            Ok(_) => false,
            Err(why) => {
                tracing::warn!(bucket = self.bucket(), "the credentials have run out: {why}");
                false
            }
        }
    }

    /// Who we are now.
    fn credentials(&self) -> Credentials {
        let renewed = self.current().credentials.clone();
        renewed.unwrap_or_else(|| match &self.address.credentials {
            Credentials::Renewed { now, .. } => (**now).clone(),
            credentials => credentials.clone(),
        })
    }

    /// Moves to the bucket's region. False if there is no other one to try.
    async fn change_region(&self, generation: u64, named: Option<&str>) -> bool {
        let (_, session) = self.session().await;
        let now = session.client.config().region().map(|region| region.as_ref().to_owned());
        if self.current().generation != generation {
            return true;
        }
        let named = match named {
            Some(region) => Some(region.to_owned()),
            None => self.ask_region(&session.client).await,
        };
        let Some(region) = named.filter(|region| Some(region) != now.as_ref()) else { return false };
        tracing::info!(bucket = self.bucket(), region, "the bucket is in another region");
        self.replace(generation, |current| current.region = Some(region));
        true
    }

    /// The region in the header of a HEAD of the bucket, which servers send with success and failure.
    async fn ask_region(&self, client: &Client) -> Option<String> {
        let request = client.head_bucket().bucket(self.bucket()).send();
        let request = async { request.await.map_err(|error| Failure::from_sdk(&error)) };
        match self.once(Op::HeadBucket, 0, Box::pin(request)).await {
            Ok(output) => output.bucket_region().map(str::to_owned),
            Err(failure) => failure.region.map(String::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::s3::session::tests::address;

    #[tokio::test]
    async fn nothing_of_the_secret_is_in_debug_output() {
        let wire = Wire::new(address("bucket", None), None, Gate::new(1, None));
        wire.session().await;
        let text = format!("{wire:?}");
        assert!(text.contains("Client") && !text.contains("hunter2"));
    }

    /// A mistyped region is a host name that does not resolve.
    #[test]
    fn at_aws_the_region_is_told_with_the_host() {
        let host = |region: Option<&str>| {
            let at = S3Address { region: region.map(str::to_owned), endpoint: None, ..address("bucket", None) };
            Wire::new(at, None, Gate::new(1, None)).host()
        };
        assert_eq!((host(Some("eu-centrall-1")).as_str(), host(None).as_str()), ("AWS S3 in eu-centrall-1", "AWS S3"));
    }
}
