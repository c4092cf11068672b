//! A sandbox whose remote is a real server, and an independent reader of its bucket (boto3, scripts/bucket.py).

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Live;
use crate::support::sandbox::{Ran, Sandbox};

/// See the module's text. What it stored is removed with it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) sandbox: Sandbox,
    pub(super) live: Live,
    prefix: String,
    dsn: String,
}

/// A bucket prefix as boto3 sees it.
#[derive(Debug)]
pub(super) struct Seen {
    /// By key, without the prefix; without what belongs to mediasync.
    pub(super) objects: BTreeMap<String, Value>,
    /// Own objects.
    pub(super) own: Vec<String>,
    /// Keys of unfinished uploads.
    pub(super) uploads: Vec<String>,
}

impl Place {
    /// An empty media directory and an empty prefix.
    pub(super) fn new(live: &Live) -> Self {
        let mut sandbox = Sandbox::new();
        let prefix = format!("mediasync-test-{:016x}", fastrand::u64(..));
        let dsn =
            format!("s3://{}:{}@{}/{prefix}?endpoint={}", live.access_key, live.secret_key, live.bucket, live.endpoint);
        sandbox.env("DEFAULT_STORAGE_DSN", &dsn);
        Self { sandbox, live: live.clone(), prefix: format!("{prefix}/"), dsn }
    }

    /// Of the bucket, with a final slash.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The address with its credentials.
    pub(super) fn dsn(&self) -> &str {
        &self.dsn
    }

    fn bucket(&self, what: &str, name: &str, stdin: &[u8]) -> Vec<u8> {
        let python = std::env::var("MEDIASYNC_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/bucket.py");
        let mut child = Command::new(&python)
            .args([script, what, &self.live.endpoint, &self.live.bucket, &format!("{}{name}", self.prefix)])
            .env("AWS_ACCESS_KEY_ID", &self.live.access_key)
            .env("AWS_SECRET_ACCESS_KEY", &self.live.secret_key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{python}: {error}"));
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "scripts/bucket.py {what} failed; MEDIASYNC_TEST_PYTHON must have boto3");
        output.stdout
    }

    /// What is there.
    pub(super) fn look(&self) -> Seen {
        let shown: Value = serde_json::from_slice(&self.bucket("show", "", b"")).unwrap();
        let name = |key: &str| key.strip_prefix(&self.prefix).expect("below the prefix").to_owned();
        let all = shown["objects"].as_object().unwrap().iter().map(|(key, object)| (name(key), object.clone()));
        let (own, objects): (BTreeMap<_, _>, _) = all.partition(|(key, _)| key.starts_with(".mediasync/"));
        let uploads = shown["uploads"].as_array().unwrap().iter().map(|key| name(key.as_str().unwrap())).collect();
        Seen { objects, own: own.into_keys().collect(), uploads }
    }

    /// Parts of unfinished uploads.
    pub(super) fn parts(&self) -> u64 {
        String::from_utf8(self.bucket("parts", "", b"")).unwrap().trim().parse().unwrap()
    }

    /// Somebody else stores an object.
    pub(super) fn put(&self, key: &str, bytes: &[u8]) {
        self.bucket("put", key, bytes);
    }

    /// The bucket holds what the directory holds, but for `except`, and nothing is left over. A copy by a server that checks no
    /// version may have no digest of ours.
    #[track_caller]
    pub(super) fn assert_equal_but(&self, except: &[String]) -> Seen {
        let seen = self.assert_contents_equal_but(except);
        for (name, bytes) in self.sandbox.local().iter().filter(|(name, _)| !except.contains(name)) {
            let recorded = seen.objects[name]["metadata"]["blake3"].as_str();
            let is_ours = |hex: &str| hex == blake3::hash(bytes).to_hex().as_str();
            let checks_copies = !["moto", "rclone"].contains(&self.live.name.as_str());
            assert!(recorded.map_or(!checks_copies, is_ours), "{name}: our digest: {recorded:?}");
        }
        seen
    }

    /// The same, where the server may have lost our digests.
    #[track_caller]
    pub(super) fn assert_contents_equal(&self) -> Seen {
        self.assert_contents_equal_but(&[])
    }

    #[track_caller]
    fn assert_contents_equal_but(&self, except: &[String]) -> Seen {
        let seen = self.look();
        let mut local = self.sandbox.local();
        local.retain(|name, _| !except.contains(name));
        let digest = |bytes: &[u8]| mediasync::model::hex(&Sha256::digest(bytes));
        let here: BTreeMap<&str, String> = local.iter().map(|(name, bytes)| (name.as_str(), digest(bytes))).collect();
        let there: BTreeMap<&str, String> = seen
            .objects
            .iter()
            .map(|(name, object)| (name.as_str(), object["sha256"].as_str().unwrap().to_owned()))
            .collect();
        assert_eq!(here, there, "{}", self.live.name);
        // What was deleted or replaced is kept; everything else of our own is gone again.
        let own: Vec<&str> =
            seen.own.iter().map(String::as_str).filter(|key| !key.starts_with(".mediasync/trash/")).collect();
        assert_eq!((own, &*seen.uploads), (vec![".mediasync/id"], &[] as &[String]));
        seen
    }

    #[track_caller]
    pub(super) fn assert_equal(&self) -> Seen {
        self.assert_equal_but(&[])
    }

    /// A run of `push --json` with its summary.
    #[track_caller]
    pub(super) fn push(&self, more: &[&str], code: i32) -> (Ran, Value) {
        let args: Vec<&str> = more.iter().copied().chain(["--json"]).collect();
        let ran = self.sandbox.push(&args).exits(code);
        let summary = ran.line("summary");
        (ran, summary)
    }

    /// A further run plans nothing and makes no changing request.
    #[track_caller]
    pub(super) fn assert_idle(&self, more: &[&str], code: i32) {
        let (ran, summary) = self.push(more, code);
        for count in ["creates", "overwrites", "copies", "deletes", "records"] {
            assert_eq!(summary["planned"][count], 0, "{count}: {ran:?}");
        }
        let requests = summary["requests"].as_object().unwrap();
        let changing = |kind: &&String| !["ListObjects", "GetObject", "HeadObject"].contains(&kind.as_str());
        assert_eq!(requests.keys().find(changing), None, "{ran:?}");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.bucket("clear", "", b"");
        }
    }
}
