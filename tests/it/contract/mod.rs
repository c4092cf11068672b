//! The contract of [`Replica`], as one suite that every replica passes: memory in both roles, a local directory, a
//! bucket of the server in this process with many quirks, and each real server that the environment names.
//!
//! Where the contract leaves a replica free, what it does is a row of the table in [`expected`]; a server that begins
//! to do otherwise fails here.

use std::sync::Arc;

use mediasync::model::{Expect, Namespace};
use mediasync::replica::local::Local;
use mediasync::replica::memory::{self, Role};
use mediasync::replica::s3::{S3, S3Address};
use mediasync::replica::{Ability, Cause, Content, Replica};

use self::expected::Expected;
use crate::live::{self, RawBucket};
use crate::s3_replica::{Memory, Putter, cause, key};
use crate::s3_server::Site;
use crate::support::s3::{
    Acls, ChecksumSupport, Conditional, ETags, Effect, Folders, ListingOrder, Moment, Need, Quirks, Rule, Support,
};

mod changes;
mod expected;
mod large;
mod looks;
pub(crate) mod names;

/// A replica under test, with a way to it for somebody else.
pub(crate) struct Subject {
    replica: Arc<dyn Replica>,
    behind: Behind,
    expected: Expected,
}

/// What is behind a replica.
enum Behind {
    Memory(Arc<memory::Memory>),
    Directory(tempfile::TempDir),
    Bucket(Arc<S3>, Box<S3Address>, RawBucket),
}

impl Subject {
    fn memory(role: Role) -> Self {
        let memory = Arc::new(memory::Memory::new("memory", role));
        Self { replica: memory.clone(), behind: Behind::Memory(memory), expected: Expected::memory(role) }
    }

    fn directory() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let replica = Arc::new(Local::open(dir.path()).unwrap());
        Self { replica, behind: Behind::Directory(dir), expected: Expected::directory() }
    }

    fn bucket(address: S3Address, expected: Expected) -> Self {
        let s3 = Arc::new(S3::new(address.clone(), None));
        let raw = RawBucket::new(&address);
        Self { replica: s3.clone(), behind: Behind::Bucket(s3, Box::new(address), raw), expected }
    }

    fn replica(&self) -> &dyn Replica {
        &*self.replica
    }

    /// Whether a file and a directory of one name can both be here.
    fn is_flat(&self) -> bool {
        self.replica.capabilities().namespace == Namespace::Flat
    }

    fn can(&self, ability: impl FnOnce(&mediasync::replica::Capabilities) -> Ability) -> bool {
        ability(&self.replica.capabilities()) == Ability::Proven
    }

    /// Somebody else stores bytes.
    async fn write(&self, key: &str, bytes: &'static [u8]) {
        match &self.behind {
            Behind::Memory(memory) => memory.write(&crate::s3_replica::key(key), bytes),
            Behind::Directory(dir) => {
                let path = dir.path().join(key);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, bytes).unwrap();
            }
            Behind::Bucket(_, _, raw) => raw.put(key, bytes).await,
        }
    }
}

/// Everything, on a place that is empty at first.
async fn keeps_the_contract(subject: Subject) {
    looks::contact(&subject).await;
    changes::puts(&subject).await;
    changes::overwrite_keeps(&subject).await;
    changes::copies(&subject).await;
    changes::deletions(&subject).await;
    changes::racing_creations(&subject).await;
    names::hard_names(&subject).await;
    names::limits(&subject).await;
    looks::listings(&subject).await;
    looks::absence(&subject).await;
    large::parts(&subject).await;
    large::former_folders(&subject).await;
    large::torn(&subject).await;
    large::resume(&subject).await;
    large::tidy(&subject).await;
    if let Behind::Bucket(s3, _, raw) = &subject.behind {
        println!("{:?}", s3.requests());
        raw.clear().await;
    }
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    keeps_the_contract(Subject::memory(Role::Bucket)).await;
    keeps_the_contract(Subject::memory(Role::Directory)).await;
}

#[tokio::test]
async fn a_directory_keeps_the_contract() {
    keeps_the_contract(Subject::directory()).await;
}

async fn quirky(quirk: &'static str, change: impl FnOnce(&mut Quirks)) {
    println!("quirk: {quirk}");
    let site = Site::with(change);
    keeps_the_contract(Subject::bucket(site.address(), Expected::in_process(quirk))).await;
}

#[tokio::test]
async fn a_bucket_keeps_the_contract() {
    quirky("none", |_| {}).await;
}

#[tokio::test]
async fn a_bucket_listed_in_another_order_keeps_the_contract() {
    quirky("component order", |quirks| quirks.listing_order = ListingOrder::Components).await;
}

#[tokio::test]
async fn a_bucket_without_conditions_keeps_the_contract() {
    for (name, conditional) in
        [("conditions ignored", Conditional::Ignored), ("conditions refused", Conditional::Refused)]
    {
        let change = |quirks: &mut Quirks| {
            quirks.put_conditions = conditional;
            quirks.delete_conditions = conditional;
            quirks.copy_conditions = conditional;
        };
        quirky(name, change).await;
    }
}

#[tokio::test]
async fn a_bucket_with_other_etags_keeps_the_contract() {
    quirky("opaque etags", |quirks| quirks.etags = ETags::Opaque).await;
    quirky("opaque multipart etags", |quirks| quirks.etags = ETags::OpaqueMultipart).await;
}

#[tokio::test]
async fn a_bucket_with_fewer_operations_keeps_the_contract() {
    quirky("no acls", |quirks| quirks.acls = Acls::NotImplemented).await;
    quirky("acls refused", |quirks| quirks.acls = Acls::Refused).await;
    quirky("checksums refused", |quirks| quirks.checksums = ChecksumSupport::Refused).await;
    quirky("no copies", |quirks| quirks.copies = Support::Missing).await;
    quirky("no list of uploads", |quirks| quirks.list_uploads = Support::Missing).await;
    let site = Site::new();
    site.server.faults(|faults| faults.add(Rule::new("ListParts", Effect::Status(403, "AccessDenied"))));
    keeps_the_contract(Subject::bucket(site.address(), Expected::in_process("parts are not listed"))).await;
    quirky("md5 for batches", |quirks| quirks.delete_objects_md5 = Need::Required).await;
}

#[tokio::test]
async fn a_bucket_that_keeps_folders_keeps_the_contract() {
    quirky("folders kept", |quirks| quirks.folders = Folders::Kept).await;
}

/// A refusal because of something that is not there: believed by then, and never gone around.
#[tokio::test]
async fn a_creation_that_is_refused_again_and_again_is_not_sent_without_its_condition() {
    let site = Site::new();
    let s3 = site.connected().await;
    let deny = |times| Rule::new("PutObject", Effect::Status(412, "PreconditionFailed")).times(times);
    site.server.clear_log();
    site.server.faults(|faults| faults.add(deny(1)));
    Putter::new().create(&*s3, "a", b"1").await.unwrap();
    assert_eq!(site.bucket.content("p/a"), "1");
    site.server.faults(|faults| faults.add(deny(2)));
    assert_eq!(cause(Putter::new().create(&*s3, "b", b"ours").await), Cause::Precondition);
    assert!(site.bucket.get("p/b").is_none());
    assert_eq!((site.server.count("PutObject"), site.server.count("DeleteObject")), (4, 0));
    let a = s3.look_up(&key("a")).await.unwrap().unwrap();
    let (putter, refused) = (Putter::new(), Effect::Status(412, "PreconditionFailed"));
    site.server.faults(|faults| faults.add(Rule::new("CopyObject", refused).times(2)));
    let copied = s3.copy(&key("a"), &a.version, &key("b"), &putter.as_put(&Expect::Absent, &a.digests, None)).await;
    assert_eq!(cause(copied), Cause::Precondition);
    assert_eq!((site.server.count("CopyObject"), site.server.count("DeleteObject")), (2, 0));
}

/// SeaweedFS answers 412 to `If-None-Match: *` where a folder is or was.
#[tokio::test]
async fn a_server_that_takes_a_folder_for_an_object_blocks_neither_a_file_nor_a_copy() {
    let site = Site::with(|quirks| quirks.folders = Folders::Kept);
    let (s3, putter) = (site.connected().await, Putter::new());
    let large = Memory::new(vec![7; 6 << 20]);
    let hashes = large.hashes(5 << 20);
    let large = Content::Pieces(large);
    let put = async |to: &str| putter.put(&*s3, to, &large, &Expect::Absent, Some(&hashes)).await;
    let former = |name: &str| {
        site.bucket.put(&format!("p/{name}/inside"), "");
        site.bucket.remove(&format!("p/{name}/inside"));
    };
    for name in ["small", "large", "copied"] {
        former(name);
    }
    let small = putter.create(&*s3, "small", b"1").await.unwrap();
    let as_put = putter.as_put(&Expect::Absent, &small.digests, None);
    let copy = async |to: &str| s3.copy(&key("small"), &small.version, &key(to), &as_put).await;
    put("large").await.unwrap();
    copy("copied").await.unwrap();
    assert_eq!(site.bucket.content("p/small"), "1");
    assert_eq!((site.bucket.content("p/large").len(), &site.bucket.content("p/copied")[..]), (6 << 20, &b"1"[..]));

    // A folder that holds something, is marked by an object or can't be removed is no leftover: nothing is sent.
    site.bucket.put("p/held/inside", "");
    site.bucket.put("p/marked/", "");
    former("eternal");
    site.server.clear_log();
    for name in ["held", "marked", "eternal"] {
        let folders = if name == "eternal" { Folders::Eternal } else { Folders::Kept };
        site.server.quirks(|quirks| quirks.folders = folders);
        for error in [put(name).await.unwrap_err(), copy(name).await.unwrap_err()] {
            assert_eq!(error.cause, Cause::Refused, "{error}");
            assert!(error.message.contains("has a folder of this name"), "{error}");
        }
    }
    assert!(site.bucket.get("p/held/inside").is_some() && site.bucket.get("p/marked/").is_some());
    assert_eq!((site.server.count("CreateMultipartUpload"), site.server.count("DeleteObject")), (0, 2));
}

/// Where something is, a refusal holds: here it comes between the look and the request.
#[tokio::test]
async fn a_creation_that_is_refused_once_still_loses_to_what_came_meanwhile() {
    let site = Site::new();
    let (s3, putter) = (site.connected().await, Putter::new());
    let large = Memory::new(vec![7; 6 << 20]);
    let hashes = large.hashes(5 << 20);
    let large = Content::Pieces(large);
    let small = putter.create(&*s3, "small", b"1").await.unwrap();
    let as_put = putter.as_put(&Expect::Absent, &small.digests, None);
    for (operation, at) in [("CompleteMultipartUpload", "large"), ("CopyObject", "copied"), ("PutObject", "put")] {
        let deny = Rule::new(operation, Effect::Status(412, "PreconditionFailed")).times(1);
        site.server.faults(|faults| faults.add(deny));
        let gate = site.server.hold(Moment::BeforeHandling, operation, "*");
        let theirs = async {
            gate.reached(1).await;
            site.bucket.put(&format!("p/{at}"), "theirs");
            gate.release();
        };
        let ours = async {
            match operation {
                "CopyObject" => s3.copy(&key("small"), &small.version, &key(at), &as_put).await,
                "PutObject" => putter.create(&*s3, at, b"ours").await,
                _ => putter.put(&*s3, at, &large, &Expect::Absent, Some(&hashes)).await,
            }
        };
        let (result, ()) = tokio::join!(ours, theirs);
        assert_eq!(
            (cause(result), &site.bucket.content(&format!("p/{at}"))[..]),
            (Cause::Precondition, &b"theirs"[..])
        );
    }
    assert!(site.bucket.uploads().is_empty());
}

#[tokio::test]
async fn live_servers_keep_the_contract() {
    for server in live::servers() {
        println!("server: {}", server.name);
        keeps_the_contract(Subject::bucket(server.address(), Expected::live(&server.name))).await;
    }
}
