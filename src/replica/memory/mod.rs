//! A replica in memory: the executable definition of the contract, and the engine's test bench.
//!
//! It can play a directory (cheap to read, no digests for free) or a bucket (MD5 ETags in listings, our digest in
//! metadata), and fail at any call before or after acting. Third parties change it through [`Memory::write`] and
//! [`Memory::remove`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use md5::{Digest as _, Md5};
use tokio::sync::mpsc;

use crate::model::{
    Digest, DigestKind, Digests, Entry, Expect, Filter, Item, Key, Namespace, OWN_PREFIX, ReadCost, Readable, Retype,
    RunName, Style, Version,
};

use self::faults::FaultPlan;
use self::held::Held;
use super::{
    Ability, Attributes, Capabilities, Cause, Connected, Contact, Content, Error, Journal, Leases, Listing, Put,
    Replica, Restyled, Trash, WHOLE_LIMIT,
};

mod faults;
mod held;
mod lease;
mod trash;
mod tree;

pub use self::faults::{Call, DEATH, Fault};

/// What a memory replica plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A directory.
    Directory,
    /// A bucket.
    Bucket,
}

type Speed = Arc<dyn Fn(u64) -> Duration + Send + Sync>;

/// See the module's text.
pub struct Memory {
    name: String,
    role: Role,
    state: Arc<Mutex<State>>,
}

struct State {
    objects: BTreeMap<Key, Object>,
    trash: BTreeMap<(RunName, Key), Object>,
    lease: Option<String>,
    writes: u64,
    identity: String,
    namespace: Namespace,
    faults: Option<FaultPlan>,
    speed: Option<Speed>,
    calls: Vec<Call>,
}

#[derive(Debug, Clone)]
struct Object {
    bytes: Bytes,
    write: u64,
    /// Our digest, if we wrote it.
    blake3: Option<Digest>,
    mtime_ns: Option<i64>,
    attributes: Option<Arc<Attributes>>,
}

impl State {
    fn arrives(&mut self, key: &Key, bytes: Bytes) {
        self.writes += 1;
        let blake3 = Some(Digest::from_bytes(DigestKind::Blake3, blake3::hash(&bytes).as_bytes()));
        let object = Object { bytes, write: self.writes, blake3, mtime_ns: None, attributes: None };
        self.objects.insert(key.clone(), object);
    }
}

impl Object {
    fn entry(&self, role: Role, depth: Depth) -> Entry {
        let mut digests = Digests::none();
        if role == Role::Bucket {
            digests.add(Digest::from_bytes(DigestKind::EtagMd5, &Md5::digest(&self.bytes)));
            if let (Depth::LookUp, Some(blake3)) = (depth, &self.blake3) {
                digests.add(blake3.clone());
            }
        }
        // A bucket's version is its ETag; a directory's moves with every write.
        let version = match role {
            Role::Bucket => digests.get(DigestKind::EtagMd5).map_or_else(String::new, |d| d.text.to_string()),
            Role::Directory => format!("{}.{}", self.bytes.len(), self.write),
        };
        Entry {
            size: self.bytes.len() as u64,
            version: Version::new(version),
            modified_ns: self.mtime_ns,
            digests,
            readable: Readable::Yes,
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({})", self.name)
    }
}

impl Memory {
    /// An empty replica.
    pub fn new(name: &str, role: Role) -> Self {
        let state = State {
            objects: BTreeMap::new(),
            trash: BTreeMap::new(),
            lease: None,
            writes: 0,
            identity: format!("id of {name}"),
            namespace: Namespace::Flat,
            faults: None,
            speed: None,
            calls: Vec::new(),
        };
        Self { name: name.to_owned(), role, state: Arc::new(Mutex::new(state)) }
    }

    /// A third party writes.
    pub fn write(&self, key: &Key, bytes: impl Into<Bytes>) {
        let mut state = self.lock();
        state.writes += 1;
        let mtime_ns = Some(self.mtime(state.writes));
        let attributes = None;
        let object = Object { bytes: bytes.into(), write: state.writes, blake3: None, mtime_ns, attributes };
        state.objects.insert(key.clone(), object);
    }

    /// A third party writes an object that carries something besides its bytes.
    pub fn write_with(&self, key: &Key, bytes: impl Into<Bytes>, attributes: Attributes) {
        self.write(key, bytes);
        if let Some(object) = self.lock().objects.get_mut(key) {
            object.attributes = Some(Arc::new(attributes));
        }
    }

    /// What the object under a key carries besides its bytes.
    pub fn attributes(&self, key: &Key) -> Option<Attributes> {
        self.lock().objects.get(key)?.attributes.as_deref().cloned()
    }

    /// A third party rewrites the same bytes: a new version with the old content.
    pub fn touch(&self, key: &Key) {
        let mut state = self.lock();
        state.writes += 1;
        let write = state.writes;
        if let Some(object) = state.objects.get_mut(key) {
            object.write = write;
            object.mtime_ns = Some(self.mtime(write));
        }
    }

    /// A third party deletes.
    pub fn remove(&self, key: &Key) {
        self.lock().objects.remove(key);
    }

    /// All keys with their bytes.
    pub fn contents(&self) -> BTreeMap<Key, Bytes> {
        self.lock().objects.iter().map(|(key, object)| (key.clone(), object.bytes.clone())).collect()
    }

    /// All that is in the trash, by run and key.
    pub fn trash_contents(&self) -> BTreeMap<(RunName, Key), Bytes> {
        self.lock().trash.iter().map(|(at, object)| (at.clone(), object.bytes.clone())).collect()
    }

    /// Another place is behind the name from now on.
    pub fn change_identity(&self, identity: &str) {
        identity.clone_into(&mut self.lock().identity);
    }

    /// What was sent long ago arrives: nobody waits for it any more.
    pub fn arrives(&self, key: &Key, bytes: impl Into<Bytes>) {
        self.lock().arrives(key, bytes.into());
    }

    /// So long content takes to arrive, by its bytes.
    pub fn slow_down(&self, speed: impl Fn(u64) -> Duration + Send + Sync + 'static) {
        self.lock().speed = Some(Arc::new(speed));
    }

    async fn travel(&self, bytes: u64) {
        let speed = self.lock().speed.clone();
        if let Some(speed) = speed {
            tokio::time::sleep(speed(bytes)).await;
        }
    }

    /// Times that no two writes share, also not at two replicas of different roles; one and a half seconds apart.
    fn mtime(&self, write: u64) -> i64 {
        let role = i64::from(self.role == Role::Bucket);
        i64::try_from(write).expect("few writes") * 1_500_000_000 + role
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, object: &Object, depth: Depth) -> Entry {
        object.entry(self.role, depth)
    }

    fn expect(&self, state: &State, key: &Key, expect: &Expect) -> Result<(), Error> {
        let found = state.objects.get(key).map(|object| self.entry(object, Depth::Listing).version);
        let as_expected = match expect {
            Expect::Absent => found.is_none(),
            Expect::Version(version) => found.as_ref() == Some(version),
        };
        if as_expected { Ok(()) } else { Err(Error::new(Cause::Precondition, format!("{key}: changed meanwhile"))) }
    }

    /// A directory knows of no attributes; a bucket keeps what is there where the source says nothing.
    fn attributes_of(&self, state: &State, key: &Key, put: &Put<'_>) -> Option<Arc<Attributes>> {
        let kept = || state.objects.get(key)?.attributes.clone();
        match self.role {
            Role::Directory => None,
            Role::Bucket => {
                let carried = put.attributes.map(|carried| Arc::new(carried.clone())).or_else(kept);
                let Some(style) = put.style.filter(|style| !style.is_empty()) else { return carried };
                let mut attributes = carried.map(Arc::unwrap_or_clone).unwrap_or_default();
                attributes.take(style);
                Some(Arc::new(attributes))
            }
        }
    }

    fn store(&self, state: &mut State, key: &Key, bytes: Bytes, put: &Put<'_>) -> Result<Entry, Error> {
        self.accepts(key).map_err(|why| Error::new(Cause::Refused, format!("{key}: {why}")))?;
        self.expect(state, key, put.expect)?;
        Self::has_room(state, key)?;
        state.writes += 1;
        let object = Object {
            bytes,
            write: state.writes,
            blake3: put.digests.get(DigestKind::Blake3).cloned(),
            mtime_ns: put.mtime_ns,
            attributes: self.attributes_of(state, key, put),
        };
        let entry = self.entry(&object, Depth::LookUp);
        state.objects.insert(key.clone(), object);
        Ok(entry)
    }
}

/// Whether a component of the key is reserved.
fn is_own(key: &Key) -> bool {
    key.components().any(|component| component.starts_with(OWN_PREFIX))
}

/// How closely an object is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Listing,
    LookUp,
}

#[async_trait]
impl Replica for Memory {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            read_cost: match self.role {
                Role::Directory => ReadCost::Cheap,
                Role::Bucket => ReadCost::Transfer,
            },
            ordered: Ability::Proven,
            conditional_put: Ability::Proven,
            conditional_delete: Ability::Proven,
            copy: Ability::Proven,
            namespace: self.lock().namespace,
            states: &[],
        }
    }

    fn accepts(&self, key: &Key) -> Result<(), String> {
        if key.as_str().len() > 1024 {
            return Err("longer than 1,024 bytes".to_owned());
        }
        if is_own(key) {
            return Err(format!("names that begin with `{OWN_PREFIX}` are reserved"));
        }
        Ok(())
    }

    async fn connect(&self, _contact: Contact) -> Result<Connected, Error> {
        self.call("connect", None, |state| {
            Ok(Connected { identity: Some(state.identity.clone()), notices: Vec::new(), findings: None })
        })
    }

    fn list(&self, only: Option<&Key>, _filter: &Arc<Filter>) -> Listing {
        let listed = self.call("list", None, |state| {
            let inside = |key: &Key| only.is_none_or(|only| key == only || key.is_below(only.as_str()));
            let objects = state.objects.iter().filter(|(key, _)| inside(key) && !is_own(key));
            Ok(objects
                .map(|(key, object)| Item::Present(key.clone(), self.entry(object, Depth::Listing)))
                .chain([Item::End])
                .collect())
        });
        let (sender, items) = mpsc::channel(1);
        sender.try_send(listed).expect("the channel is new and has room for one");
        Listing { items, producer: None }
    }

    async fn look_up(&self, key: &Key) -> Result<Option<Entry>, Error> {
        self.call("look_up", Some(key), |state| {
            Ok(state.objects.get(key).map(|object| self.entry(object, Depth::LookUp)))
        })
    }

    async fn open(&self, key: &Key, expect: &Version) -> Result<Content, Error> {
        let object = self.call("open", Some(key), |state| {
            state.objects.get(key).cloned().ok_or_else(|| Error::new(Cause::NotFound, format!("{key}: not there")))
        })?;
        let entry = self.entry(&object, Depth::Listing);
        if entry.version != *expect {
            return Err(Error::new(Cause::Changed, format!("{key}: changed meanwhile")));
        }
        if entry.size > WHOLE_LIMIT {
            return Ok(Content::Pieces(Arc::new(Held {
                entry,
                bytes: object.bytes,
                attributes: object.attributes,
                key: key.clone(),
                role: self.role,
                state: Arc::clone(&self.state),
            })));
        }
        let blake3 = Digest::from_bytes(DigestKind::Blake3, blake3::hash(&object.bytes).as_bytes());
        Ok(Content::Whole { entry, bytes: object.bytes, blake3, attributes: object.attributes })
    }

    async fn put(&self, key: &Key, content: &Content, put: &Put<'_>) -> Result<Entry, Error> {
        self.accepts(key).map_err(|why| Error::new(Cause::Refused, format!("{key}: {why}")))?;
        let bytes = match content {
            Content::Whole { bytes, .. } => {
                self.travel(bytes.len() as u64).await;
                bytes.clone()
            }
            Content::Pieces(pieces) => {
                self.travel(pieces.entry().size).await;
                let len = usize::try_from(pieces.entry().size).expect("fits: it is in memory");
                let bytes = pieces.read(0, len).await?;
                pieces.unchanged().await?;
                bytes
            }
        };
        put.meter.add(bytes.len() as u64);
        self.call("put", Some(key), |state| self.store(state, key, bytes, put))
    }

    async fn copy(&self, from: &Key, from_version: &Version, to: &Key, put: &Put<'_>) -> Result<Entry, Error> {
        self.call("copy", Some(to), |state| {
            self.expect(state, from, &Expect::Version(from_version.clone()))?;
            let (bytes, attributes) = (state.objects[from].bytes.clone(), state.objects[from].attributes.clone());
            let put = Put { attributes: put.attributes.or(attributes.as_deref()), ..*put };
            self.store(state, to, bytes, &put)
        })
    }

    async fn lacks(&self, key: &Key, expect: &Version, style: &Style, _retype: Retype) -> Result<bool, Error> {
        self.call("lacks", Some(key), |state| {
            self.expect(state, key, &Expect::Version(expect.clone()))?;
            Ok(state.objects[key].attributes.clone().unwrap_or_default().lacks(style))
        })
    }

    /// As the copy of an object onto itself that it is at most services: a write. What the type of a name is nobody knows
    /// here.
    async fn restyle(&self, key: &Key, put: &Put<'_>, _retype: Retype) -> Result<Restyled, Error> {
        self.call("restyle", Some(key), |state| {
            self.expect(state, key, put.expect)?;
            let (object, style) = (state.objects[key].clone(), put.style.cloned().unwrap_or_default());
            if !object.attributes.clone().unwrap_or_default().lacks(&style) {
                return Ok(Restyled::AsRuled);
            }
            let blake3 = put.digests.get(DigestKind::Blake3).or(object.blake3.as_ref()).into_iter().cloned().collect();
            let put = Put { digests: &blake3, mtime_ns: object.mtime_ns, attributes: None, ..*put };
            self.store(state, key, object.bytes, &put).map(Restyled::Done)
        })
    }

    async fn delete(&self, batch: &[(Key, Version)]) -> Vec<Result<(), Error>> {
        let one = |(key, version): &(Key, Version)| {
            self.call("delete", Some(key), |state| {
                self.expect(state, key, &Expect::Version(version.clone()))?;
                state.objects.remove(key);
                Ok(())
            })
        };
        batch.iter().map(one).collect()
    }

    async fn tidy(&self, _journal: &dyn Journal) -> Result<u64, Error> {
        Ok(0)
    }

    fn trash(&self) -> Option<&dyn Trash> {
        Some(self)
    }

    fn leases(&self) -> Option<&dyn Leases> {
        Some(self)
    }
}
