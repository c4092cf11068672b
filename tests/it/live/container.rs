//! A place in a container that the program works with, and that Azure's own Python SDK looks at.

use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::azure::{AzureServer, RawContainer, azure_servers};
use crate::support::front::Front;
use crate::support::sandbox::{Ran, Sandbox};

pub(super) const MIB: usize = 1024 * 1024;

/// A sandbox whose remote is a place in a container.
pub(super) struct Place {
    pub(super) sandbox: Sandbox,
    pub(super) server: AzureServer,
    pub(super) raw: RawContainer,
    pub(super) prefix: String,
}

impl Place {
    pub(super) fn new(server: &AzureServer) -> Self {
        let address = server.address();
        let place = Self {
            sandbox: Sandbox::new(),
            raw: RawContainer::new(server, &address),
            server: server.clone(),
            prefix: address.prefix,
        };
        let key = place.server.key.clone();
        place.with_secret(&key)
    }

    /// A place in another container, made for it.
    pub(super) fn beside(&self) -> Self {
        let container = format!("other-{:08x}", fastrand::u32(..));
        let server = AzureServer { container: container.clone(), ..self.server.clone() };
        let address = server.address();
        let raw = RawContainer::new(&server, &address);
        raw.script("create", "10", b"");
        Self { sandbox: Sandbox::new(), raw, server, prefix: address.prefix }
    }

    /// The same place with another secret in its DSN.
    pub(super) fn with_secret(mut self, secret: &str) -> Self {
        let dsn = self.dsn(secret, &self.server.container);
        self.sandbox.env("DEFAULT_STORAGE_DSN", &dsn);
        self
    }

    pub(super) fn dsn(&self, secret: &str, container: &str) -> String {
        let AzureServer { account, endpoint, .. } = &self.server;
        let secret = utf8_percent_encode(secret, NON_ALPHANUMERIC);
        format!("az://{account}:{secret}@azure/{container}/{}?endpoint={endpoint}", self.prefix)
    }

    /// The same place, reached through something in front of the server.
    pub(super) fn dsn_by(&self, front: &Front, secret: &str) -> String {
        self.dsn(secret, &self.server.container).replace(&self.host(), &front.host())
    }

    /// Something in front of the server.
    pub(super) fn front(&self) -> Front {
        Front::before(&self.host())
    }

    /// `HOST:PORT` of the server.
    pub(super) fn host(&self) -> String {
        let (_, rest) = self.server.endpoint.split_once("://").unwrap();
        rest.split('/').next().unwrap().to_owned()
    }

    /// A shared access signature: see scripts/container.py.
    pub(super) fn sas(&self, what: &str) -> String {
        String::from_utf8(self.raw.script("sas", what, b"")).unwrap().trim().to_owned()
    }

    pub(super) fn look(&self) -> Value {
        serde_json::from_slice(&self.raw.script("show", "", b"")).unwrap()
    }

    /// The blobs by key, without what belongs to mediasync.
    pub(super) fn blobs(&self) -> BTreeMap<String, Value> {
        let shown = self.look();
        let all = shown["objects"].as_object().unwrap().iter();
        let start = format!("{}/", self.prefix);
        let named = all.map(|(name, blob)| (name.strip_prefix(&start).unwrap().to_owned(), blob.clone()));
        named.filter(|(name, _)| !name.starts_with(".mediasync/")).collect()
    }

    #[track_caller]
    pub(super) fn push(&self, more: &[&str], code: i32) -> (Ran, Value) {
        let args: Vec<&str> = more.iter().copied().chain(["--json"]).collect();
        let ran = self.sandbox.push(&args).exits(code);
        let summary = ran.line("summary");
        (ran, summary)
    }

    /// The container holds what the directory holds, with our digest and an MD5 at each blob.
    #[track_caller]
    pub(super) fn assert_equal(&self) -> BTreeMap<String, Value> {
        let (blobs, local) = (self.blobs(), self.sandbox.local());
        let digest = |bytes: &[u8]| mediasync::model::hex(&Sha256::digest(bytes));
        let here: BTreeMap<&str, String> = local.iter().map(|(name, bytes)| (name.as_str(), digest(bytes))).collect();
        let there: BTreeMap<&str, String> =
            blobs.iter().map(|(name, blob)| (name.as_str(), blob["sha256"].as_str().unwrap().to_owned())).collect();
        assert_eq!(here, there, "{}", self.server.name);
        for (name, bytes) in &local {
            let recorded = blobs[name]["metadata"]["blake3"].as_str();
            assert!(recorded.is_none_or(|hex| hex == blake3::hash(bytes).to_hex().as_str()), "{name}: our digest");
            assert_eq!(blobs[name]["md5"], true, "{name} has an MD5, which is right");
        }
        blobs
    }

    /// A further run plans nothing and makes no changing request.
    #[track_caller]
    pub(super) fn assert_idle(&self, more: &[&str]) {
        let (ran, summary) = self.push(more, 0);
        for count in ["creates", "overwrites", "copies", "deletes", "records"] {
            assert_eq!(summary["planned"][count], 0, "{count}: {ran:?}");
        }
        let requests = summary["requests"].as_object().unwrap();
        let changing = |kind: &&String| !["ListBlobs", "GetBlob", "GetBlobProperties"].contains(&kind.as_str());
        assert_eq!(requests.keys().find(changing), None, "{ran:?}");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.raw.clear();
        }
    }
}

pub(super) fn on_each_server(test: impl Fn(Place)) {
    for server in azure_servers() {
        println!("server: {}", server.name);
        test(Place::new(&server));
    }
}

#[track_caller]
pub(super) fn assert_done(summary: &Value, expected: &[(&str, u64)]) {
    for count in ["creates", "overwrites", "copies", "deletes"] {
        let wanted = expected.iter().find(|(name, _)| *name == count).map_or(0, |(_, wanted)| *wanted);
        assert_eq!(summary["done"][count], wanted, "{count}: {summary}");
    }
}

pub(super) fn requests(summary: &Value, kind: &str) -> u64 {
    summary["requests"][kind].as_u64().unwrap_or(0)
}
