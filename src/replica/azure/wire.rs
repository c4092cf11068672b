//! How one request is sent.
//!
//! [`Wire::send`] is the only way to the network. It counts, bounds the time and turns every error into a [`Failure`].
//! The SDK's own retries are off: trying again is [`crate::replica::retry`]'s part.

use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use azure_core::http::{ClientOptions, RetryOptions, Transport as SdkTransport, Url};
use azure_core::time::OffsetDateTime;
use azure_identity::{
    ClientAssertionCredentialOptions, ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
    WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use azure_storage_blob::{
    BlobClient, BlobContainerClient, BlobContainerClientOptions, BlobServiceClient, BlobServiceClientOptions,
    BlockBlobClient,
};
use tokio::time::Instant;

use super::authorize::{self, Authorize, add_query};
use super::error::{About, Failure, Stage, fold};
use super::ops::Op;
use super::sas::Sas;
use super::who::Who;
use super::{AzureAddress, Credentials, Identity};
use crate::replica::Error;
use crate::replica::requests::Counts;
use crate::replica::throttle::Gate;
use crate::secret::Secret;
use crate::transport::Transport;

/// The way to one container.
#[derive(Debug)]
pub(super) struct Wire {
    address: AzureAddress,
    /// Where requests go, for people.
    endpoint: String,
    who: Arc<Who>,
    client: OnceLock<Result<Client, Failure>>,
    service: OnceLock<Result<Service, Failure>>,
    counts: Counts<Op>,
    gate: Gate,
    /// When the container last answered a request with success.
    answered: Mutex<Option<Instant>>,
}

/// The SDK's client.
struct Client(BlobContainerClient);

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// The SDK's client for the account as a whole.
struct Service(BlobServiceClient);

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Service")
    }
}

impl Wire {
    pub(super) fn new(address: AzureAddress, gate: Gate) -> Self {
        let who = Arc::new(Who::new(address.credentials.clone(), address.renewal.clone()));
        let endpoint = address.service_url();
        let (client, service, counts, answered) =
            (OnceLock::new(), OnceLock::new(), Counts::default(), Mutex::new(None));
        Self { address, endpoint, who, client, service, counts, gate, answered }
    }

    pub(super) fn address(&self) -> &AzureAddress {
        &self.address
    }

    pub(super) fn counts(&self) -> &Counts<Op> {
        &self.counts
    }

    /// The container.
    pub(super) fn container(&self) -> Result<&BlobContainerClient, Failure> {
        let client = self.client.get_or_init(|| connect(&self.address, &self.who).map(Client));
        client.as_ref().map(|client| &client.0).map_err(Clone::clone)
    }

    /// The account's blob service.
    pub(super) fn service(&self) -> Result<&BlobServiceClient, Failure> {
        let client = self.service.get_or_init(|| connect_service(&self.address, &self.who).map(Service));
        client.as_ref().map(|client| &client.0).map_err(Clone::clone)
    }

    /// A blob of the container.
    pub(super) fn blob(&self, name: &str) -> Result<BlobClient, Failure> {
        Ok(self.container()?.blob_client(name))
    }

    /// A blob of the container, for what is made of blocks.
    pub(super) fn blocks(&self, name: &str) -> Result<BlockBlobClient, Failure> {
        Ok(self.blob(name)?.block_blob_client())
    }

    /// The URL by which a copy finds its source. Whoever signs with a key or a token may read within the account; with a
    /// shared access signature the URL has to say so.
    pub(super) fn source_url(&self, name: &str) -> Result<String, Failure> {
        let mut url = self.blob(name)?.url().clone();
        if let Credentials::Sas(sas) = self.who.now().1 {
            add_query(&mut url, sas.reveal());
        }
        Ok(url.into())
    }

    /// The URL by which a copy finds its source in another container of the account. `leave` is what the source gives; who
    /// signs with the account's key needs none.
    pub(super) fn source_of(&self, container: &str, name: &str, leave: Option<&Secret>) -> Result<String, Failure> {
        let invalid = || Failure::at(Stage::Request);
        let mut url = Url::parse(&format!("{}/{container}", self.endpoint)).map_err(|_| invalid())?;
        // As the SDK makes the URLs of blobs.
        url.path_segments_mut().map_err(|()| invalid())?.extend([name]);
        match (self.who.now().1, leave) {
            (Credentials::Key(_), _) | (Credentials::Identity(_), None) => {}
            (_, Some(leave)) => add_query(&mut url, leave.reveal()),
            (Credentials::Sas(own), None) => add_query(&mut url, own.reveal()),
        }
        Ok(url.into())
    }

    /// Leave to read a blob for an hour, for whom has other credentials: what an identity can't give.
    pub(super) fn leave(&self, name: &str) -> Option<Secret> {
        let AzureAddress { account, container, .. } = &self.address;
        match self.who.now().1 {
            Credentials::Key(key) => {
                let until = OffsetDateTime::now_utc() + Duration::from_secs(3600);
                authorize::leave(&key, &format!("/blob/{account}/{container}/{name}"), until)
            }
            Credentials::Sas(own) => Some(own),
            Credentials::Identity(_) => None,
        }
    }

    /// Whether the container answered with success within `time`.
    pub(super) fn answered_within(&self, time: Duration) -> bool {
        let answered = *self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.is_some_and(|at| at.elapsed() < time)
    }

    /// The error for a failure about `blob`.
    pub(super) fn fold(&self, failure: &Failure, op: Op, blob: Option<&str>) -> Error {
        let container = format!("{}/{}", self.address.account, self.address.container);
        let credentials = &self.who.now().1;
        let sas = match credentials {
            Credentials::Sas(text) => Some(Sas::read(text.reveal())),
            Credentials::Key(_) | Credentials::Identity(_) => None,
        };
        let endpoint = &self.endpoint;
        fold(failure, About { op, container: &container, blob, endpoint, credentials, sas: sas.as_ref() })
    }

    /// Sends one request whose body has `bytes`. The SDK's futures are many KiB; boxed, they do not add up in their
    /// callers.
    pub(super) async fn send<T, Fut>(&self, op: Op, bytes: u64, request: Fut) -> Result<T, Failure>
    where
        Fut: Future<Output = azure_core::Result<T>>,
    {
        self.counts.add(op);
        let answer = tokio::time::timeout(op.work().deadline(bytes), Box::pin(request)).await;
        let result = match answer {
            Ok(result) => result.map_err(|error| Failure::from_sdk(&error)),
            Err(_) => Err(Failure::at(Stage::Timeout)),
        };
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
}

fn connect(address: &AzureAddress, who: &Arc<Who>) -> Result<BlobContainerClient, Failure> {
    let Way { url, credential, client_options } = way(address, &format!("/{}", address.container), who)?;
    let options = BlobContainerClientOptions { client_options, ..BlobContainerClientOptions::default() };
    // A token over HTTP could be read on the way; the SDK refuses that.
    BlobContainerClient::new(url, credential, Some(options)).map_err(|_| Failure::at(Stage::Credentials))
}

fn connect_service(address: &AzureAddress, who: &Arc<Who>) -> Result<BlobServiceClient, Failure> {
    let Way { url, credential, client_options } = way(address, "/", who)?;
    let options = BlobServiceClientOptions { client_options, ..BlobServiceClientOptions::default() };
    BlobServiceClient::new(url, credential, Some(options)).map_err(|_| Failure::at(Stage::Credentials))
}

/// How requests get to a place.
struct Way {
    url: Url,
    credential: Option<Arc<dyn TokenCredential>>,
    client_options: ClientOptions,
}

/// To what lies at `path` below the service.
fn way(address: &AzureAddress, path: &str, who: &Arc<Who>) -> Result<Way, Failure> {
    let service = address.service_url();
    let transport = Transport::new(&service).map_err(|_| Failure::at(Stage::Certificate))?;
    let transport = SdkTransport::new(Arc::new(transport));
    let authorize = Authorize::new(&address.account, Arc::clone(who)).ok_or_else(|| Failure::at(Stage::Credentials))?;
    let url = Url::parse(&format!("{service}{path}")).map_err(|_| Failure::at(Stage::Request))?;
    let credential = match &address.credentials {
        Credentials::Identity(identity) => Some(token_source(identity, &transport)?),
        Credentials::Key(_) | Credentials::Sas(_) => None,
    };
    let client_options = ClientOptions {
        per_try_policies: vec![Arc::new(authorize)],
        retry: RetryOptions::none(),
        transport: Some(transport),
        ..ClientOptions::default()
    };
    Ok(Way { url, credential, client_options })
}

fn token_source(identity: &Identity, transport: &SdkTransport) -> Result<Arc<dyn TokenCredential>, Failure> {
    let client_options = ClientOptions { transport: Some(transport.clone()), ..ClientOptions::default() };
    let unusable = |_| Failure::at(Stage::Credentials);
    Ok(match identity {
        Identity::Managed { client_id } => {
            let user_assigned_id = client_id.clone().map(UserAssignedId::ClientId);
            let options = ManagedIdentityCredentialOptions { user_assigned_id, client_options };
            ManagedIdentityCredential::new(Some(options)).map_err(unusable)?
        }
        Identity::Workload => {
            let credential_options = ClientAssertionCredentialOptions { client_options };
            let options = WorkloadIdentityCredentialOptions { credential_options, ..Default::default() };
            WorkloadIdentityCredential::new(Some(options)).map_err(unusable)?
        }
    })
}
