//! Two buckets to mirror between, on one server or on two, and the program to do it with.

use std::collections::BTreeMap;
use std::ops::Deref;

use bytes::Bytes;

use super::s3::{Handle, Logged, S3Server};
use super::sandbox::{BUCKET, Ran, Running, Sandbox};

/// Whether both buckets are on one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Servers {
    One,
    Two,
}

/// What every key of the backup begins with, if nothing else is said.
const PREFIX: &str = "copies/";

/// The live bucket is the whole bucket of a sandbox; the backup is a prefix of another bucket.
#[derive(Debug)]
pub(crate) struct Buckets {
    sandbox: Sandbox,
    second: Option<S3Server>,
    /// What every key of the backup begins with.
    prefix: &'static str,
    pub(crate) live: Handle,
    pub(crate) backup: Handle,
}

impl Deref for Buckets {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        &self.sandbox
    }
}

impl Buckets {
    /// Two empty buckets.
    pub(crate) fn new(servers: Servers) -> Self {
        Self::with_prefix(servers, PREFIX)
    }

    /// Two empty buckets; the backup lies below `prefix`.
    pub(crate) fn with_prefix(servers: Servers, prefix: &'static str) -> Self {
        let mut sandbox = Sandbox::new();
        let second = (servers == Servers::Two).then(S3Server::start);
        let backup = second.as_ref().unwrap_or(&sandbox.server).create_bucket("backup");
        let live = sandbox.server.bucket(BUCKET);
        let live_dsn = dsn(&sandbox.server, BUCKET, "");
        let backup_dsn = dsn(second.as_ref().unwrap_or(&sandbox.server), "backup", prefix.trim_end_matches('/'));
        sandbox.env("LIVE", &live_dsn);
        sandbox.env("BACKUP", &backup_dsn);
        Self { sandbox, second, prefix, live, backup }
    }

    /// Where the backup is.
    pub(crate) fn target(&self) -> &S3Server {
        self.second.as_ref().unwrap_or(&self.sandbox.server)
    }

    /// Runs `mirror env:LIVE env:BACKUP` and more.
    pub(crate) fn mirror(&self, more: &[&str]) -> Ran {
        self.start_mirror(more).wait()
    }

    /// Begins `mirror env:LIVE env:BACKUP` and more.
    pub(crate) fn start_mirror(&self, more: &[&str]) -> Running {
        self.sandbox.start(&[&["mirror", "env:LIVE", "env:BACKUP"], more].concat())
    }

    /// Stores a live object as somebody else would.
    pub(crate) fn put_live(&self, key: &str, content: impl Into<Bytes>) {
        self.live.put(key, content);
    }

    /// The live objects with their content.
    pub(crate) fn held_live(&self) -> BTreeMap<String, Bytes> {
        held(&self.live, "")
    }

    /// The objects of the backup with their content, the prefix left out.
    pub(crate) fn held_backup(&self) -> BTreeMap<String, Bytes> {
        held(&self.backup, self.prefix)
    }

    /// The name of an object of the backup.
    pub(crate) fn at_backup(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The backup holds what the live bucket holds, with the same headers and metadata, and nothing is left over.
    #[track_caller]
    pub(crate) fn assert_equal(&self) {
        let (live, backup) = (self.held_live(), self.held_backup());
        let names = |side: &BTreeMap<String, Bytes>| side.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&live), names(&backup));
        for (key, content) in &live {
            assert!(backup[key] == content, "{key:?} differs");
            self.assert_attributes_equal(key);
        }
        assert_eq!(self.backup.uploads(), [], "unfinished uploads");
        let own = format!("{}.mediasync/", self.prefix);
        let keys = self.backup.keys();
        let own: Vec<&str> =
            keys.iter().filter_map(|key| key.strip_prefix(&own)).filter(|key| !key.starts_with("trash/")).collect();
        assert_eq!(own, ["id"], "own objects");
        assert_eq!(self.changes_of_live(), Vec::<String>::new(), "the source is never changed");
    }

    /// An object carries the same at both sides: headers, and metadata except for what we add.
    #[track_caller]
    pub(crate) fn assert_attributes_equal(&self, key: &str) {
        let mut live = self.live.get(key).expect("a live object").attributes;
        let mut backup = self.backup.get(&self.at_backup(key)).expect("an object of the backup").attributes;
        for ours in ["blake3", "mtime"] {
            live.metadata.remove(ours);
            backup.metadata.remove(ours);
        }
        for side in [&mut live, &mut backup] {
            side.content_type.get_or_insert_with(|| "binary/octet-stream".to_owned());
        }
        assert_eq!(live, backup, "{key:?}");
    }

    /// A further run changes nothing and has nothing to complain about.
    #[track_caller]
    pub(crate) fn assert_second_run_does_nothing(&self) {
        self.clear_logs();
        let ran = self.mirror(&[]).exits(0);
        assert_eq!(self.changes(), Vec::<String>::new(), "{ran:?}");
    }

    /// Forgets all requests.
    pub(crate) fn clear_logs(&self) {
        self.sandbox.server.clear_log();
        self.target().clear_log();
    }

    /// Changing requests to the backup, as `PutObject copies/a`.
    pub(crate) fn changes(&self) -> Vec<String> {
        told(&self.target().changing_requests(), "backup")
    }

    /// Changing requests to the live bucket.
    pub(crate) fn changes_of_live(&self) -> Vec<String> {
        told(&self.sandbox.server.changing_requests(), BUCKET)
    }

    /// Bytes of content that were read from the live bucket: requests for objects that are not our own.
    pub(crate) fn reads(&self) -> usize {
        let log = self.sandbox.server.requests();
        let reads = log.iter().filter(|entry| entry.call.operation == "GetObject" && entry.call.bucket == BUCKET);
        reads.filter(|entry| !entry.call.key.contains(".mediasync/")).count()
    }
}

fn told(log: &[Logged], bucket: &str) -> Vec<String> {
    let of_bucket = log.iter().filter(|entry| entry.call.bucket == bucket);
    of_bucket.map(|entry| format!("{} {}", entry.call.operation, entry.call.key)).collect()
}

fn held(bucket: &Handle, prefix: &str) -> BTreeMap<String, Bytes> {
    let keys = bucket.keys().into_iter();
    keys.filter_map(|key| {
        let name = key.strip_prefix(prefix)?;
        (!name.starts_with(".mediasync/")).then(|| (name.to_owned(), bucket.content(&key)))
    })
    .collect()
}

/// A DSN of a place on a server.
pub(crate) fn dsn(server: &S3Server, bucket: &str, prefix: &str) -> String {
    let secret = server.secret_key().replace('/', "%2F").replace('+', "%2B");
    format!("s3://{}:{secret}@{bucket}/{prefix}?endpoint={}", server.access_key(), server.endpoint())
}
