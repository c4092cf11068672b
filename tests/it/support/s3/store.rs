//! What the server holds: buckets, objects with their versions, unfinished uploads. No HTTP and no quirks here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use s3s::dto::{CORSRule, Grant, LifecycleRule};

use super::body::Segments;
use super::checksum::{Algorithm, Checksums};

/// The version id of what was stored while versioning was off.
pub(crate) const NULL_VERSION: &str = "null";

/// What a client sets on an object beside its content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// Names without `x-amz-meta-`, in lower case.
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) content_type: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) cache_control: Option<String>,
    /// `None` is STANDARD.
    pub(crate) storage_class: Option<String>,
    /// As a query.
    pub(crate) tagging: Option<String>,
}

impl Attributes {
    /// As answers tell it: nothing where there are none.
    pub(crate) fn tag_count(&self) -> Option<i32> {
        self.tagging.as_ref().and_then(|tags| i32::try_from(tags.split('&').count()).ok())
    }
}

/// An access control list; the owner always has full control as well.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Acl {
    /// The canned name, or `custom`.
    pub(crate) name: String,
    pub(crate) grants: Vec<Grant>,
}

impl Default for Acl {
    fn default() -> Self {
        Self { name: "private".to_owned(), grants: Vec::new() }
    }
}

/// An object, or an old version of one. Cloning shares the content.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredObject {
    pub(crate) body: Segments,
    /// Without quotes.
    pub(crate) etag: String,
    /// By the server's clock.
    pub(crate) modified: SystemTime,
    /// [`NULL_VERSION`] without versioning.
    pub(crate) version: String,
    pub(crate) attributes: Attributes,
    pub(crate) acl: Acl,
    pub(crate) checksums: Checksums,
    /// Sizes of the parts it was made of; empty for a single put.
    pub(crate) parts: Vec<u64>,
}

/// One line of a key's history, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Version {
    Object(Box<StoredObject>),
    /// The key was deleted.
    Marker {
        id: String,
        modified: SystemTime,
    },
}

impl Version {
    /// Its id.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Object(object) => &object.version,
            Self::Marker { id, .. } => id,
        }
    }
}

/// Whether old versions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Versioning {
    #[default]
    Off,
    Enabled,
    /// Old ones are kept, new ones replace the [`NULL_VERSION`].
    Suspended,
}

/// A part of an unfinished upload.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part {
    pub(crate) body: Segments,
    /// Of the body; the ETag may be another.
    pub(crate) md5: [u8; 16],
    pub(crate) etag: String,
    pub(crate) modified: SystemTime,
    pub(crate) checksums: Checksums,
}

/// An unfinished upload.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Upload {
    pub(crate) id: String,
    pub(crate) key: String,
    /// By the server's clock.
    pub(crate) initiated: SystemTime,
    pub(crate) attributes: Attributes,
    pub(crate) acl: Acl,
    pub(crate) algorithm: Option<Algorithm>,
    /// The checksum is that of the whole object, not of its parts' checksums.
    pub(crate) full_object: bool,
    pub(crate) parts: BTreeMap<i32, Part>,
}

/// A bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) created: SystemTime,
    pub(crate) cors: Option<Vec<CORSRule>>,
    pub(crate) lifecycle: Option<Vec<LifecycleRule>>,
    /// By key and id, which begins with its sequence number.
    pub(crate) uploads: BTreeMap<(String, String), Upload>,
    objects: BTreeMap<String, StoredObject>,
    /// Beginnings of names, with a slash, until they are deleted by name.
    folders: BTreeSet<String>,
    history: BTreeMap<String, Vec<Version>>,
    versioning: Versioning,
    /// Keys that were deleted, one by one or many at once, and when by the real clock.
    pub(crate) erased: Vec<(String, SystemTime)>,
}

impl Bucket {
    /// An empty one.
    pub(crate) fn new(created: SystemTime) -> Self {
        Self {
            created,
            erased: Vec::new(),
            cors: None,
            lifecycle: None,
            uploads: BTreeMap::new(),
            objects: BTreeMap::new(),
            folders: BTreeSet::new(),
            history: BTreeMap::new(),
            versioning: Versioning::Off,
        }
    }

    /// Current objects, in byte order.
    pub(crate) fn objects(&self) -> &BTreeMap<String, StoredObject> {
        &self.objects
    }

    /// The current object of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&StoredObject> {
        self.objects.get(key)
    }

    /// Replaces the ACL of the current object; says whether there is one.
    pub(crate) fn set_acl(&mut self, key: &str, acl: &Acl) -> bool {
        let Some(object) = self.objects.get_mut(key) else { return false };
        object.acl = acl.clone();
        if let Some(Version::Object(newest)) = self.history.get_mut(key).and_then(|versions| versions.last_mut()) {
            newest.acl = acl.clone();
        }
        true
    }

    /// All versions by key, oldest first; only kept while versioning is or was on.
    pub(crate) fn history(&self) -> &BTreeMap<String, Vec<Version>> {
        &self.history
    }

    /// A version of a key.
    pub(crate) fn version(&self, key: &str, id: &str) -> Option<&Version> {
        self.history.get(key)?.iter().find(|version| version.id() == id)
    }

    /// Whether versions are kept.
    pub(crate) fn versioning(&self) -> Versioning {
        self.versioning
    }

    /// Switches versioning; what is there becomes the null version.
    pub(crate) fn set_versioning(&mut self, versioning: Versioning) {
        if self.versioning == Versioning::Off && versioning != Versioning::Off {
            for (key, object) in &self.objects {
                self.history.insert(key.clone(), vec![Version::Object(Box::new(object.clone()))]);
            }
        }
        self.versioning = versioning;
    }

    /// Stores an object and returns its version id, if versions are kept.
    pub(crate) fn put(&mut self, key: &str, mut object: StoredObject) -> Option<String> {
        let version = self.new_version();
        object.version = version.clone().unwrap_or_else(|| NULL_VERSION.to_owned());
        if self.versioning != Versioning::Off {
            self.remember(key, Version::Object(Box::new(object.clone())));
        }
        let parents = key.match_indices('/').map(|(at, _)| key[..=at].to_owned());
        self.folders.extend(parents);
        self.objects.insert(key.to_owned(), object);
        version
    }

    /// Whether names began with this one and a slash.
    pub(crate) fn has_folder(&self, key: &str) -> bool {
        self.folders.contains(&format!("{key}/"))
    }

    /// Forgets a folder, if nothing is in it.
    pub(crate) fn remove_folder(&mut self, folder: &str) {
        if !self.objects.keys().any(|key| key.starts_with(folder)) {
            self.folders.remove(folder);
        }
    }

    /// Deletes a key and returns the id of the delete marker, if versions are kept.
    pub(crate) fn delete(&mut self, key: &str, now: SystemTime) -> Option<String> {
        let version = self.new_version();
        if self.objects.remove(key).is_some() {
            self.erased.push((key.to_owned(), SystemTime::now()));
        }
        if self.versioning != Versioning::Off {
            let id = version.clone().unwrap_or_else(|| NULL_VERSION.to_owned());
            self.remember(key, Version::Marker { id, modified: now });
        }
        version
    }

    /// Deletes one version; what is newest then becomes current.
    pub(crate) fn delete_version(&mut self, key: &str, id: &str) -> Option<Version> {
        if self.versioning == Versioning::Off {
            return if id == NULL_VERSION { self.objects.remove(key).map(Box::new).map(Version::Object) } else { None };
        }
        let versions = self.history.get_mut(key)?;
        let index = versions.iter().position(|version| version.id() == id)?;
        let removed = versions.remove(index);
        match versions.last() {
            Some(Version::Object(object)) => {
                self.objects.insert(key.to_owned(), (**object).clone());
            }
            Some(Version::Marker { .. }) | None => {
                self.objects.remove(key);
            }
        }
        if versions.is_empty() {
            self.history.remove(key);
        }
        Some(removed)
    }

    fn new_version(&self) -> Option<String> {
        match self.versioning {
            Versioning::Off => None,
            Versioning::Enabled => Some(super::random_hex()),
            Versioning::Suspended => Some(NULL_VERSION.to_owned()),
        }
    }

    fn remember(&mut self, key: &str, version: Version) {
        let versions = self.history.entry(key.to_owned()).or_default();
        versions.retain(|old| old.id() != version.id());
        versions.push(version);
    }
}
