//! What the user allows on a replica, enforced once around it: no code path can change a read-only remote.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::trash;
use super::{
    Capabilities, Cause, Connected, Contact, Content, Error, Journal, Kept, Leases, Listing, Origin, Put, Replica,
    Restyled, Room, Trash, Trashed, TrashedStream,
};
use crate::model::{Entry, Expect, Filter, Key, Retype, RunName, Style, Version};

/// `access` of a remote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Never changed.
    ReadOnly,
    /// Changed after somebody confirmed it for this run.
    Confirm,
    /// Changed as the plan says.
    #[default]
    Write,
}

/// A replica that refuses what its [`Access`] does not allow.
#[derive(Debug)]
pub struct Guarded {
    inner: Arc<dyn Replica>,
    access: Access,
    confirmed: AtomicBool,
}

impl Guarded {
    /// Puts `inner` behind `access`.
    pub fn new(inner: Arc<dyn Replica>, access: Access) -> Self {
        Self { inner, access, confirmed: AtomicBool::new(false) }
    }

    /// Somebody confirmed the changes of this run; opens [`Access::Confirm`], never [`Access::ReadOnly`].
    pub fn confirm(&self) {
        self.confirmed.store(true, Ordering::Relaxed);
    }

    /// Whether somebody did.
    pub fn confirmed(&self) -> bool {
        self.confirmed.load(Ordering::Relaxed)
    }

    fn may_change(&self) -> Result<(), Error> {
        match self.access {
            Access::Write => Ok(()),
            Access::Confirm if self.confirmed() => Ok(()),
            Access::Confirm | Access::ReadOnly => Err(refusal(self.access, self.inner.name())),
        }
    }
}

/// Why a place is not changed.
pub(super) fn refusal(access: Access, name: &str) -> Error {
    match access {
        Access::Write | Access::Confirm => Error::new(Cause::Stop, format!("changes to {name} were not confirmed"))
            .hint("Confirm the run, or set access = \"write\" for this remote"),
        Access::ReadOnly => Error::new(Cause::Stop, format!("{name} is read-only here, nothing was changed"))
            .hint("Set access = \"confirm\" or \"write\" for this remote if it may be changed"),
    }
}

#[async_trait]
impl Replica for Guarded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn accepts(&self, key: &Key) -> Result<(), String> {
        self.inner.accepts(key)
    }

    async fn connect(&self, contact: Contact) -> Result<Connected, Error> {
        let contact = match self.may_change() {
            Ok(()) => contact,
            Err(_) => Contact::Look,
        };
        self.inner.connect(contact).await
    }

    fn rest(&self) {
        self.inner.rest();
    }

    async fn quiet(&self) {
        self.inner.quiet().await;
    }

    fn list(&self, only: Option<&Key>, filter: &Arc<Filter>) -> Listing {
        self.inner.list(only, filter)
    }

    async fn look_up(&self, key: &Key) -> Result<Option<Entry>, Error> {
        self.inner.look_up(key).await
    }

    async fn open(&self, key: &Key, expect: &Version) -> Result<Content, Error> {
        self.inner.open(key, expect).await
    }

    async fn open_seen(&self, key: &Key, entry: &Entry) -> Result<Content, Error> {
        self.inner.open_seen(key, entry).await
    }

    async fn put(&self, key: &Key, content: &Content, put: &Put<'_>) -> Result<Entry, Error> {
        self.may_change()?;
        self.inner.put(key, content, put).await
    }

    async fn copy(&self, from: &Key, from_version: &Version, to: &Key, put: &Put<'_>) -> Result<Entry, Error> {
        self.may_change()?;
        self.inner.copy(from, from_version, to, put).await
    }

    fn part_size(&self, size: u64) -> u64 {
        self.inner.part_size(size)
    }

    fn is_unanswered(&self, key: &Key) -> bool {
        self.inner.is_unanswered(key)
    }

    fn service(&self) -> Option<&str> {
        self.inner.service()
    }

    fn reaches(&self, service: &str) -> bool {
        self.inner.reaches(service)
    }

    async fn origin(&self, key: &Key, expect: &Version) -> Result<Origin, Error> {
        self.inner.origin(key, expect).await
    }

    async fn origin_seen(&self, key: &Key, entry: &Entry) -> Result<Origin, Error> {
        self.inner.origin_seen(key, entry).await
    }

    async fn copy_from(&self, origin: &Origin, to: &Key, put: &Put<'_>) -> Result<Entry, Error> {
        self.may_change()?;
        self.inner.copy_from(origin, to, put).await
    }

    async fn lacks(&self, key: &Key, expect: &Version, style: &Style, retype: Retype) -> Result<bool, Error> {
        self.inner.lacks(key, expect, style, retype).await
    }

    async fn restyle(&self, key: &Key, put: &Put<'_>, retype: Retype) -> Result<Restyled, Error> {
        self.may_change()?;
        self.inner.restyle(key, put, retype).await
    }

    async fn delete(&self, batch: &[(Key, Version)]) -> Vec<Result<(), Error>> {
        match self.may_change() {
            Ok(()) => self.inner.delete(batch).await,
            Err(error) => batch.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn room(&self) -> Result<Option<Room>, Error> {
        self.inner.room().await
    }

    async fn tidy(&self, journal: &dyn Journal) -> Result<u64, Error> {
        // A run that found nothing to do asked nobody: what is left over waits for one that does.
        if self.access == Access::Confirm && !self.confirmed() {
            return Ok(0);
        }
        self.may_change()?;
        self.inner.tidy(journal).await
    }

    fn trash(&self) -> Option<&dyn Trash> {
        self.inner.trash().map(|_| self as &dyn Trash)
    }

    /// What nobody may change needs nobody to agree about.
    fn leases(&self) -> Option<&dyn Leases> {
        self.may_change().ok().and_then(|()| self.inner.leases())
    }
}

impl Guarded {
    fn bin(&self) -> Result<&dyn Trash, Error> {
        self.inner.trash().ok_or_else(|| trash::none(self.inner.name()))
    }
}

#[async_trait]
impl Trash for Guarded {
    async fn keep(&self, key: &Key, version: &Version, run: &RunName, journal: &dyn Journal) -> Result<Kept, Error> {
        self.may_change()?;
        self.bin()?.keep(key, version, run, journal).await
    }

    fn trashed(&self, run: Option<&RunName>) -> TrashedStream {
        self.bin().map_or_else(|error| TrashedStream::of(Err(error)), |bin| bin.trashed(run))
    }

    async fn look_at(&self, kept: &Trashed) -> Result<Option<Entry>, Error> {
        self.bin()?.look_at(kept).await
    }

    async fn restore(&self, kept: &Trashed, expect: &Expect, journal: &dyn Journal) -> Result<Entry, Error> {
        self.may_change()?;
        self.bin()?.restore(kept, expect, journal).await
    }

    async fn discard(&self, batch: &[Trashed]) -> Vec<Result<(), Error>> {
        match self.may_change().and_then(|()| self.bin()) {
            Ok(bin) => bin.discard(batch).await,
            Err(error) => vec![Err(error); batch.len()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::fake::{Fake, NoJournal, put_of, whole};
    use crate::replica::memory::{Memory, Role};

    #[tokio::test]
    async fn a_read_only_replica_is_read_and_never_changed() {
        let fake = Arc::new(Fake::default());
        let guarded = Guarded::new(fake.clone(), Access::ReadOnly);
        guarded.confirm();
        let key = Key::new("a").unwrap();
        assert!(guarded.look_up(&key).await.unwrap().is_none());
        let (content, version) = (whole(b"x"), Version::new("1"));
        let put = put_of(&content);
        let stops = |error: Error| error.cause == Cause::Stop;
        assert!(stops(guarded.put(&key, &content, &put.as_put()).await.unwrap_err()));
        assert!(stops(guarded.copy(&key, &version, &key, &put.as_put()).await.unwrap_err()));
        assert!(stops(guarded.delete(&[(key.clone(), version)]).await.remove(0).unwrap_err()));
        assert!(stops(guarded.tidy(&NoJournal).await.unwrap_err()));
        let (bin, run) = (guarded.trash().unwrap(), RunName::new(0, 0));
        let kept = Trashed { run: run.clone(), key: key.clone(), size: 1, kept_as: super::super::KeptAs::Copy };
        assert!(stops(bin.keep(&key, &Version::new("1"), &run, &NoJournal).await.unwrap_err()));
        assert!(stops(bin.restore(&kept, &Expect::Absent, &NoJournal).await.unwrap_err()));
        assert!(stops(bin.discard(&[kept]).await.remove(0).unwrap_err()));
        guarded.connect(Contact::Prepare).await.unwrap();
        assert_eq!(fake.calls(), ["look_up", "connect Look"]);
        let memory = Arc::new(Memory::new("m", Role::Bucket));
        let leases = |access| Guarded::new(memory.clone(), access).leases().is_some();
        assert!(leases(Access::Write) && !leases(Access::ReadOnly) && !leases(Access::Confirm));
    }

    #[tokio::test]
    async fn confirm_opens_only_what_asks_for_it() {
        let fake = Arc::new(Fake::default());
        let guarded = Guarded::new(fake.clone(), Access::Confirm);
        let (key, content) = (Key::new("a").unwrap(), whole(b"x"));
        let put = put_of(&content);
        assert!(guarded.put(&key, &content, &put.as_put()).await.is_err());
        assert_eq!(guarded.tidy(&NoJournal).await, Ok(0));
        guarded.confirm();
        guarded.put(&key, &content, &put.as_put()).await.unwrap();
        guarded.tidy(&NoJournal).await.unwrap();
        assert_eq!(fake.calls(), ["put", "tidy"]);
    }
}
