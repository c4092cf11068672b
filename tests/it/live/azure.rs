//! Servers that speak Azure's protocol, named by the environment:
//! `MEDIASYNC_TEST_AZURE=NAME=http://ACCOUNT:KEY@HOST:PORT/CONTAINER,...`, the key percent-encoded; and a container in
//! the hands of somebody else (Azure's Python SDK, scripts/container.py).

use std::io::Write;
use std::process::{Command, Stdio};

use mediasync::replica::azure::{AzureAddress, Credentials};
use mediasync::secret::Secret;
use percent_encoding::percent_decode_str;

const VARIABLE: &str = "MEDIASYNC_TEST_AZURE";

/// A container of a server.
#[derive(Debug, Clone)]
pub(crate) struct AzureServer {
    /// By which the tables of expectations know the server.
    pub(crate) name: String,
    pub(crate) account: String,
    pub(crate) key: String,
    /// With the account.
    pub(crate) endpoint: String,
    pub(crate) container: String,
}

impl AzureServer {
    /// A place in it that nobody else uses.
    pub(crate) fn address(&self) -> AzureAddress {
        AzureAddress {
            account: self.account.clone(),
            container: self.container.clone(),
            prefix: format!("mediasync-test-{:016x}", fastrand::u64(..)),
            endpoint: Some(self.endpoint.clone()),
            credentials: Credentials::Key(Secret::new(self.key.clone())),
            renewal: None,
            public_url: None,
        }
    }
}

/// The servers that the environment names; says so if there are none.
pub(crate) fn azure_servers() -> Vec<AzureServer> {
    let Some(text) = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty()) else {
        println!("skipped: no live server ({VARIABLE} is not set; see scripts/servers)");
        return Vec::new();
    };
    let form = "NAME=http://ACCOUNT:KEY@HOST/CONTAINER";
    text.split(',').map(|text| parse(text).unwrap_or_else(|| panic!("{VARIABLE}: not {form}"))).collect()
}

fn parse(text: &str) -> Option<AzureServer> {
    let (name, url) = text.split_once('=')?;
    let (scheme, rest) = url.split_once("://")?;
    let (user, rest) = rest.split_once('@')?;
    let (account, key) = user.split_once(':')?;
    let (host, container) = rest.split_once('/')?;
    Some(AzureServer {
        name: name.to_owned(),
        account: account.to_owned(),
        key: percent_decode_str(key).decode_utf8().ok()?.into_owned(),
        endpoint: format!("{scheme}://{host}/{account}"),
        container: container.to_owned(),
    })
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct RawContainer {
    server: AzureServer,
    prefix: String,
}

impl RawContainer {
    pub(crate) fn new(server: &AzureServer, address: &AzureAddress) -> Self {
        Self { server: server.clone(), prefix: format!("{}/", address.prefix) }
    }

    /// Runs scripts/container.py for a name below the prefix.
    pub(crate) fn script(&self, what: &str, name: &str, stdin: &[u8]) -> Vec<u8> {
        let python = std::env::var("MEDIASYNC_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/container.py");
        let name = if ["sas", "create"].contains(&what) { name.to_owned() } else { format!("{}{name}", self.prefix) };
        let mut child = Command::new(&python)
            .args([script, what, &self.server.endpoint, &self.server.container, &name])
            .env("AZURE_STORAGE_KEY", &self.server.key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{python}: {error}"));
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "scripts/container.py {what} failed: MEDIASYNC_TEST_PYTHON needs the SDK");
        output.stdout
    }

    /// Stores bytes under a key, whatever it is.
    pub(crate) fn put(&self, key: &str, bytes: &[u8]) {
        self.script("put", key, bytes);
    }

    /// Stores a blob with headers, metadata and a tag.
    pub(crate) fn dress(&self, key: &str, bytes: &[u8]) {
        self.script("dress", key, bytes);
    }

    /// What is there of it.
    pub(crate) fn dressed(&self, key: &str) -> Vec<&'static str> {
        let found: Vec<String> = serde_json::from_slice(&self.script("dressed", key, b"")).unwrap();
        let all = ["cache-control", "content-disposition", "metadata", "tags"];
        all.into_iter().filter(|name| found.iter().any(|found| found == name)).collect()
    }

    /// Stores one byte under each key.
    pub(crate) fn fill(&self, keys: &[String]) {
        self.script("fill", "", keys.join("\n").as_bytes());
    }

    /// Removes a blob.
    pub(crate) fn delete(&self, key: &str) {
        self.script("delete", key, b"");
    }

    /// Removes everything below the prefix.
    pub(crate) fn clear(&self) {
        self.script("clear", "", b"");
    }
}

#[test]
fn the_variable_is_read() {
    let server = parse("x=http://acct:a%2Fb%3D@127.0.0.1:1/media").unwrap();
    assert_eq!([&server.name[..], &server.account, &server.key], ["x", "acct", "a/b="]);
    assert_eq!([&server.endpoint[..], &server.container], ["http://127.0.0.1:1/acct", "media"]);
    for wrong in ["", "http://K:S@h/b", "x=http://h/b", "x=http://K@h/b", "x=http://K:S@h"] {
        assert!(parse(wrong).is_none(), "{wrong}");
    }
}
