//! A scripted replica for the tests of the decorators: records calls, fails as told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::{
    Ability, Buffers, Capabilities, Cause, Connected, Contact, Content, Error, Journal, Kept, KeptAs, Listing, Meter,
    Put, ReadCost, Replica, Restyled, Trash, Trashed, TrashedStream,
};
use crate::model::{
    Digest, DigestKind, Digests, Entry, Expect, Filter, Key, Readable, Retype, RunName, Style, Version,
};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    calls: Mutex<Vec<String>>,
    failures: Mutex<HashMap<&'static str, Vec<Cause>>>,
    holds: Mutex<Option<Entry>>,
}

impl Fake {
    /// The calls so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    /// The next calls of `what` fail so.
    pub(crate) fn fail(&self, what: &'static str, causes: &[Cause]) {
        self.failures.lock().unwrap().insert(what, causes.to_vec());
    }

    /// What look-ups find.
    pub(crate) fn holds(&self, entry: Entry) {
        *self.holds.lock().unwrap() = Some(entry);
    }

    fn called(&self, what: &'static str, detail: &str) -> Result<(), Error> {
        self.calls.lock().unwrap().push(format!("{what}{detail}"));
        match self.failures.lock().unwrap().get_mut(what) {
            Some(causes) if !causes.is_empty() => Err(Error::new(causes.remove(0), what)),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Replica for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            namespace: crate::model::Namespace::Flat,
            read_cost: ReadCost::Cheap,
            ordered: Ability::Proven,
            conditional_put: Ability::Proven,
            conditional_delete: Ability::Proven,
            copy: Ability::Proven,
            states: &[],
        }
    }

    fn accepts(&self, _key: &Key) -> Result<(), String> {
        Ok(())
    }

    async fn connect(&self, contact: Contact) -> Result<Connected, Error> {
        self.called("connect", &format!(" {contact:?}"))?;
        Ok(Connected { identity: None, notices: Vec::new(), findings: None })
    }

    fn list(&self, _only: Option<&Key>, _filter: &Arc<Filter>) -> Listing {
        Listing { items: mpsc::channel(1).1, producer: None }
    }

    async fn look_up(&self, _key: &Key) -> Result<Option<Entry>, Error> {
        self.called("look_up", "")?;
        Ok(self.holds.lock().unwrap().clone())
    }

    async fn open(&self, _key: &Key, _expect: &Version) -> Result<Content, Error> {
        self.called("open", "")?;
        Ok(whole(b"opened"))
    }

    async fn put(&self, _key: &Key, content: &Content, _put: &Put<'_>) -> Result<Entry, Error> {
        self.called("put", "")?;
        Ok(content.entry().clone())
    }

    async fn copy(&self, _from: &Key, _version: &Version, _to: &Key, _put: &Put<'_>) -> Result<Entry, Error> {
        self.called("copy", "")?;
        Ok(entry_of(b"copied", "1"))
    }

    async fn lacks(&self, _key: &Key, _expect: &Version, _style: &Style, _retype: Retype) -> Result<bool, Error> {
        self.called("lacks", "")?;
        Ok(true)
    }

    async fn restyle(&self, _key: &Key, _put: &Put<'_>, _retype: Retype) -> Result<Restyled, Error> {
        self.called("restyle", "")?;
        Ok(Restyled::Done(entry_of(b"restyled", "2")))
    }

    /// A failure hits the first key only.
    async fn delete(&self, batch: &[(Key, Version)]) -> Vec<Result<(), Error>> {
        let mut results = vec![Ok(()); batch.len()];
        results[0] = self.called("delete", &format!(" {}", batch.len()));
        results
    }

    async fn tidy(&self, _journal: &dyn Journal) -> Result<u64, Error> {
        self.called("tidy", "")?;
        Ok(0)
    }

    fn trash(&self) -> Option<&dyn Trash> {
        Some(self)
    }
}

#[async_trait]
impl Trash for Fake {
    async fn keep(&self, _key: &Key, version: &Version, _run: &RunName, _journal: &dyn Journal) -> Result<Kept, Error> {
        self.called("keep", "")?;
        Ok(Kept { version: version.clone(), kept_as: KeptAs::Copy })
    }

    fn trashed(&self, _run: Option<&RunName>) -> TrashedStream {
        TrashedStream::of(self.called("trashed", "").map(|()| Vec::new()))
    }

    async fn look_at(&self, _kept: &Trashed) -> Result<Option<Entry>, Error> {
        self.called("look_at", "")?;
        Ok(self.holds.lock().unwrap().clone())
    }

    async fn restore(&self, _kept: &Trashed, _expect: &Expect, _journal: &dyn Journal) -> Result<Entry, Error> {
        self.called("restore", "")?;
        Ok(entry_of(b"restored", "1"))
    }

    /// A failure hits the first entry only.
    async fn discard(&self, batch: &[Trashed]) -> Vec<Result<(), Error>> {
        let mut results = vec![Ok(()); batch.len()];
        results[0] = self.called("discard", &format!(" {}", batch.len()));
        results
    }
}

/// An entry with the BLAKE3 of `bytes`.
pub(crate) fn entry_of(bytes: &[u8], version: &str) -> Entry {
    let digest = Digest::from_bytes(DigestKind::Blake3, blake3::hash(bytes).as_bytes());
    Entry {
        size: bytes.len() as u64,
        version: Version::new(version),
        modified_ns: None,
        digests: [digest].into_iter().collect(),
        readable: Readable::Yes,
    }
}

/// Whole content.
pub(crate) fn whole(bytes: &[u8]) -> Content {
    let blake3 = Digest::from_bytes(DigestKind::Blake3, blake3::hash(bytes).as_bytes());
    Content::Whole { entry: entry_of(bytes, "local"), bytes: Bytes::copy_from_slice(bytes), blake3, attributes: None }
}

/// Everything that a [`Put`] borrows; tests change what matters to them.
#[derive(Debug)]
pub(crate) struct PutParts {
    pub(crate) expect: Expect,
    pub(crate) digests: Digests,
    pub(crate) mtime_ns: Option<i64>,
    buffers: Buffers,
    meter: Meter,
}

impl PutParts {
    pub(crate) fn new(expect: Expect) -> Self {
        Self {
            expect,
            digests: Digests::none(),
            mtime_ns: None,
            buffers: Buffers::new(24 << 20),
            meter: Meter::default(),
        }
    }

    pub(crate) fn as_put(&self) -> Put<'_> {
        Put {
            expect: &self.expect,
            digests: &self.digests,
            mtime_ns: self.mtime_ns,
            attributes: None,
            style: None,
            parts: None,
            journal: &NoJournal,
            buffers: &self.buffers,
            meter: &self.meter,
        }
    }

    /// Puts it, and sees that every byte of it was counted.
    pub(crate) async fn put(&self, replica: &dyn Replica, at: &str, content: &Content) -> Result<Entry, Error> {
        let before = self.meter.bytes();
        let entry = replica.put(&Key::new(at).unwrap(), content, &self.as_put()).await?;
        assert_eq!(self.meter.bytes() - before, content.entry().size);
        Ok(entry)
    }
}

/// A put of new content.
pub(crate) fn put_of(content: &Content) -> PutParts {
    PutParts { digests: content.entry().digests.clone(), ..PutParts::new(Expect::Absent) }
}

/// A put over a version.
pub(crate) fn put_over(content: &Content, version: &str) -> PutParts {
    PutParts { expect: Expect::Version(Version::new(version)), ..put_of(content) }
}

/// A journal of nothing.
pub(crate) use super::trash::Unjournaled as NoJournal;
