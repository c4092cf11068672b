//! The contract of [`Replica`]: cases that are a sentence each, which every replica passes one by one on an emptied place:
//! memory in both roles, a local directory, a bucket of the server in this process with many quirks, and each real server
//! that the environment names.
//!
//! Where the contract leaves a replica free, what it does is a row of the table in [`expected`]; a server that begins
//! to do otherwise fails here. To add cases, write a file with a `CASES` and name it in [`suite`].

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use mediasync::model::{Namespace, Symlinks};
use mediasync::replica::azure::{Azure, AzureAddress};
use mediasync::replica::local::{Local, Made};
use mediasync::replica::memory::{self, Role};
use mediasync::replica::s3::{S3, S3Address};
use mediasync::replica::{Ability, Capabilities, Contact, Replica};

use self::expected::{Expected, Parts};
use crate::live::{self, AzureServer, RawBucket, RawContainer};
use crate::s3_server::Site;
use crate::support::s3::{
    Acls, ChecksumSupport, Conditional, ETags, Effect, Folders, Handle, ListingOrder, Need, Quirks, Rule, Support,
};

/// One thing that the contract says.
pub(crate) struct Case {
    pub(crate) sentence: &'static str,
    on: On,
    /// The module that it is in.
    file: &'static str,
    run: for<'a> fn(&'a Subject) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
}

/// Which replicas a case is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    Any,
    Bucket,
    Container,
    Directory,
    /// What knows headers or modes, and hashes what it stores.
    NotMemory,
    /// What keeps no empty directories, and asks a source that was read whether it is unchanged: a directory proves
    /// that by its own hash.
    NotDirectory,
    /// Where content can be copied inside.
    Copying,
    /// Of these, what is no directory.
    CopyingFlat,
    NotCopying,
    /// Where content in parts can be replaced and copied.
    Parts,
    /// Where something stops that.
    StuckParts,
    /// Where content in parts can be copied.
    CopyingParts,
    /// Where nothing can be stored in parts: what is about that is left out then.
    NoParts,
    /// What lists in another order than that of keys.
    Unordered,
}

/// Cases of a file: `Which: "sentence" => function`.
macro_rules! cases {
    ($($on:ident: $sentence:literal => $run:expr,)*) => {
        pub(super) const CASES: &[$crate::contract::Case] = &[$($crate::contract::Case {
            sentence: $sentence,
            on: $crate::contract::On::$on,
            file: module_path!(),
            run: |subject| Box::pin($run(subject)),
        }),*];
    };
}

mod changes;
mod copies;
mod docs;
pub(crate) mod expected;
mod large;
mod lease;
mod listings;
mod looks;
pub(crate) mod names;
mod reads;
mod refusals;
mod resume;
mod trash;

/// All of them.
pub(crate) fn suite() -> impl Iterator<Item = &'static Case> {
    let files = [
        looks::CASES,
        changes::CASES,
        copies::CASES,
        names::CASES,
        listings::CASES,
        reads::CASES,
        large::CASES,
        resume::CASES,
        trash::CASES,
        lease::CASES,
    ];
    files.into_iter().flatten()
}

/// A replica under test, with a way to it for somebody else.
pub(crate) struct Subject {
    /// As the table of expectations calls it.
    label: String,
    replica: Arc<dyn Replica>,
    behind: Behind,
    expected: Expected,
    /// Bytes of a part of what is sent in parts.
    part: u64,
}

/// What is behind a replica.
enum Behind {
    Memory(Arc<memory::Memory>, Role),
    Directory(tempfile::TempDir, Symlinks),
    Bucket(Bucket),
    Container(Container),
}

/// A container prefix.
struct Container {
    azure: Arc<Azure>,
    address: Box<AzureAddress>,
    raw: RawContainer,
    server: AzureServer,
}

/// A bucket prefix.
struct Bucket {
    s3: Arc<S3>,
    address: Box<S3Address>,
    raw: RawBucket,
    /// The bucket itself, in this process.
    inside: Option<Handle>,
}

/// Parts as they are sent to real servers.
const PART: u64 = 8 << 20;

/// Parts of the server in this process, which takes any.
const SMALL_PART: u64 = 128 << 10;

impl Subject {
    fn memory(role: Role) -> Self {
        let memory = Arc::new(memory::Memory::new(&format!("memory {:x}", fastrand::u32(..)), role));
        let label = format!("memory as a {role:?}").to_lowercase();
        let expected = Expected::memory(role);
        Self { label, replica: memory.clone(), behind: Behind::Memory(memory, role), expected, part: SMALL_PART }
    }

    fn directory(links: Symlinks) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let replica = Arc::new(Local::open(dir.path()).unwrap().making(Made { links, ..Made::default() }));
        let (behind, expected) = (Behind::Directory(dir, links), Expected::directory());
        Self { label: format!("a directory, links: {links:?}"), replica, behind, expected, part: SMALL_PART }
    }

    fn bucket(label: &str, address: S3Address, inside: Option<Handle>) -> Self {
        let s3 = Arc::new(S3::new(address.clone(), None));
        let (label, expected) = (label.to_owned(), Expected::of(label));
        let part = if inside.is_some() { SMALL_PART } else { PART };
        let raw = RawBucket::new(&address);
        let behind = Behind::Bucket(Bucket { s3: s3.clone(), address: Box::new(address), raw, inside });
        Self { label, replica: s3, behind, expected, part }
    }

    fn container(server: &AzureServer) -> Self {
        let address = server.address();
        let azure = Arc::new(Azure::new(address.clone(), None));
        let (label, expected) = (server.name.clone(), Expected::of(&server.name));
        let raw = RawContainer::new(server, &address);
        let container = Container { azure: azure.clone(), address: Box::new(address), raw, server: server.clone() };
        Self { label, replica: azure, behind: Behind::Container(container), expected, part: PART }
    }

    /// Whether it is a service that keeps what it is told with content.
    fn stores_objects(&self) -> bool {
        matches!(self.behind, Behind::Bucket(_) | Behind::Container(_))
    }

    /// Another place of the same kind, which nobody contacted yet.
    fn fresh(&self) -> Self {
        match &self.behind {
            Behind::Memory(_, role) => Self::memory(*role),
            Behind::Directory(_, links) => Self::directory(*links),
            Behind::Bucket(bucket) => {
                let prefix = format!("{}-{:x}", bucket.address.prefix, fastrand::u32(..));
                let address = S3Address { prefix, ..(*bucket.address).clone() };
                Self::bucket(&self.label, address, bucket.inside.clone())
            }
            Behind::Container(container) => Self::container(&container.server),
        }
    }

    /// Removes what the suite left.
    async fn remove(self) {
        match &self.behind {
            Behind::Bucket(bucket) => bucket.raw.clear().await,
            Behind::Container(container) => container.raw.clear(),
            Behind::Memory(..) | Behind::Directory(..) => {}
        }
    }

    fn replica(&self) -> &dyn Replica {
        &*self.replica
    }

    /// Whether a file and a directory of one name can both be here.
    fn is_flat(&self) -> bool {
        self.replica.capabilities().namespace == Namespace::Flat
    }

    fn can(&self, ability: impl FnOnce(&Capabilities) -> Ability) -> bool {
        ability(&self.replica.capabilities()) == Ability::Proven
    }

    fn takes(&self, case: &Case) -> bool {
        let needs_parts = case.file.ends_with("::large") || case.file.ends_with("::resume");
        self.is(case.on) && (self.expected.parts == Parts::Stored || !needs_parts)
    }

    fn is(&self, on: On) -> bool {
        let is_memory = matches!(self.behind, Behind::Memory(..));
        let is_directory = matches!(self.behind, Behind::Directory(..));
        let copies = self.can(|can| can.copy);
        let is_stuck = self.expected.parts_are_stuck.is_some();
        match on {
            On::Any => true,
            On::Bucket => matches!(self.behind, Behind::Bucket(_)),
            On::Container => matches!(self.behind, Behind::Container(_)),
            On::Directory => is_directory,
            On::NotMemory => !is_memory,
            On::NotDirectory => !is_directory,
            On::Copying => copies,
            On::CopyingFlat => copies && !is_directory,
            On::NotCopying => !copies,
            On::Parts => !is_stuck,
            On::StuckParts => is_stuck,
            On::CopyingParts => copies && !is_stuck,
            On::NoParts => self.expected.parts == Parts::Refused,
            On::Unordered => self.replica.capabilities().ordered == Ability::Missing,
        }
    }

    /// Somebody else stores bytes.
    async fn write(&self, key: &str, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        match &self.behind {
            Behind::Memory(memory, _) => memory.write(&crate::s3_replica::key(key), bytes),
            Behind::Directory(dir, _) => {
                let path = dir.path().join(key);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, bytes).unwrap();
            }
            Behind::Bucket(Bucket { inside: Some(bucket), address, .. }) => {
                bucket.put(&format!("{}/{key}", address.prefix), bytes);
            }
            Behind::Bucket(bucket) => bucket.raw.put(key, bytes).await,
            Behind::Container(container) => container.raw.put(key, &bytes),
        }
    }

    /// Somebody else removes a key.
    async fn take_away(&self, key: &str) {
        match &self.behind {
            Behind::Memory(memory, _) => memory.remove(&crate::s3_replica::key(key)),
            Behind::Directory(dir, _) => std::fs::remove_file(dir.path().join(key)).unwrap(),
            Behind::Bucket(bucket) => bucket.raw.delete(key).await,
            Behind::Container(container) => container.raw.delete(key),
        }
    }
}

/// Runs the suite on a place that is empty at first.
async fn keeps_the_contract(subject: Subject) {
    subject.replica().connect(Contact::Prepare).await.unwrap();
    let (mut ran, mut broken) = (0, Vec::new());
    for case in suite().filter(|case| subject.takes(case)) {
        ran += 1;
        let run = async {
            (case.run)(&subject).await;
            looks::empty(subject.replica()).await;
        };
        if AssertUnwindSafe(run).catch_unwind().await.is_err() {
            println!("{}: broken: {}", subject.label, case.sentence);
            broken.push(case.sentence);
            AssertUnwindSafe(looks::empty(subject.replica())).catch_unwind().await.ok();
        }
    }
    let label = subject.label.clone();
    let diverging: Vec<_> = expected::rows(&label).map(|row| format!("{} ({})", row.case, row.what)).collect();
    subject.remove().await;
    println!("{label}: {ran} cases, {} broken; known to diverge in: {}", broken.len(), diverging.join("; "));
    assert!(broken.is_empty(), "{label} breaks the contract:\n  {}", broken.join("\n  "));
}

#[test]
fn the_suite_is_long_and_each_of_its_sentences_comes_once() {
    let mut sentences: Vec<_> = suite().map(|case| case.sentence).collect();
    assert!(sentences.len() >= 60, "{}", sentences.len());
    sentences.sort_unstable();
    for pair in sentences.windows(2) {
        assert_ne!(pair[0], pair[1]);
    }
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    keeps_the_contract(Subject::memory(Role::Bucket)).await;
    keeps_the_contract(Subject::memory(Role::Directory)).await;
}

#[tokio::test]
async fn a_directory_keeps_the_contract() {
    for links in [Symlinks::Skip, Symlinks::Follow, Symlinks::Store] {
        keeps_the_contract(Subject::directory(links)).await;
    }
}

async fn quirky(quirk: &'static str, change: impl FnOnce(&mut Quirks)) {
    quirky_site(quirk, &Site::with(change)).await;
}

async fn quirky_site(quirk: &'static str, site: &Site) {
    site.server.quirks(|quirks| quirks.min_part_size = SMALL_PART);
    keeps_the_contract(Subject::bucket(quirk, site.address(), Some(site.bucket.clone()))).await;
}

#[tokio::test]
async fn a_bucket_keeps_the_contract() {
    quirky("no quirk", |_| {}).await;
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
    quirky_site("parts are not listed", &site).await;
    quirky("md5 for batches", |quirks| quirks.delete_objects_md5 = Need::Required).await;
}

#[tokio::test]
async fn a_bucket_that_keeps_folders_keeps_the_contract() {
    quirky("folders kept", |quirks| quirks.folders = Folders::Kept).await;
}

#[tokio::test]
async fn live_servers_keep_the_contract() {
    for server in live::servers() {
        keeps_the_contract(Subject::bucket(&server.name, server.address(), None)).await;
    }
    for server in live::azure_servers() {
        keeps_the_contract(Subject::container(&server)).await;
    }
}
