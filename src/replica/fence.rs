//! A fence around a replica: nothing is changed without a permit that holds at this very moment.
//!
//! The permit is asked for whenever a changing operation goes on, not only when it begins: the operation is dropped before
//! it can send another request, also the next try of one that is repeated inside. A process that was stopped past its
//! lease does nothing more when it wakes up. What was handed to the network or to a thread before can't be called back.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;

use super::trash;
use super::{
    Capabilities, Connected, Contact, Content, Error, Journal, Kept, Leases, Listing, Origin, Put, Replica, Restyled,
    Room, Trash, Trashed, TrashedStream,
};
use crate::model::{Entry, Expect, Filter, Key, Retype, RunName, Style, Version};

/// What says whether anything may be changed now.
pub trait Permit: Send + Sync + std::fmt::Debug {
    /// # Errors
    /// Nothing may be changed: why, with [`Cause::Stop`](super::Cause::Stop).
    fn check(&self) -> Result<(), Error>;
}

/// A replica behind a fence.
#[derive(Debug)]
pub struct Fenced {
    inner: Arc<dyn Replica>,
    permit: Arc<dyn Permit>,
}

impl Fenced {
    /// Puts `inner` behind `permit`.
    pub fn new(inner: Arc<dyn Replica>, permit: Arc<dyn Permit>) -> Self {
        Self { inner, permit }
    }

    /// Goes on with `work` as long as the permit holds.
    async fn permitted<T>(&self, work: impl Future<Output = T> + Send) -> Result<T, Error> {
        let mut work = pin!(work);
        std::future::poll_fn(|context| match self.permit.check() {
            Ok(()) => work.as_mut().poll(context).map(Ok),
            Err(error) => std::task::Poll::Ready(Err(error)),
        })
        .await
    }

    fn bin(&self) -> Result<&dyn Trash, Error> {
        self.inner.trash().ok_or_else(|| trash::none(self.inner.name()))
    }
}

#[async_trait]
impl Replica for Fenced {
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
        match contact {
            Contact::Look => self.inner.connect(contact).await,
            Contact::Prepare => self.permitted(self.inner.connect(contact)).await?,
        }
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
        self.permitted(self.inner.put(key, content, put)).await?
    }

    fn part_size(&self, size: u64) -> u64 {
        self.inner.part_size(size)
    }

    async fn copy(&self, from: &Key, from_version: &Version, to: &Key, put: &Put<'_>) -> Result<Entry, Error> {
        self.permitted(self.inner.copy(from, from_version, to, put)).await?
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
        self.permitted(self.inner.copy_from(origin, to, put)).await?
    }

    async fn lacks(&self, key: &Key, expect: &Version, style: &Style, retype: Retype) -> Result<bool, Error> {
        self.inner.lacks(key, expect, style, retype).await
    }

    async fn restyle(&self, key: &Key, put: &Put<'_>, retype: Retype) -> Result<Restyled, Error> {
        self.permitted(self.inner.restyle(key, put, retype)).await?
    }

    async fn delete(&self, batch: &[(Key, Version)]) -> Vec<Result<(), Error>> {
        let deleted = self.permitted(self.inner.delete(batch)).await;
        deleted.unwrap_or_else(|error| vec![Err(error); batch.len()])
    }

    async fn tidy(&self, journal: &dyn Journal) -> Result<u64, Error> {
        self.permitted(self.inner.tidy(journal)).await?
    }

    async fn room(&self) -> Result<Option<Room>, Error> {
        self.inner.room().await
    }

    fn trash(&self) -> Option<&dyn Trash> {
        self.inner.trash().map(|_| self as &dyn Trash)
    }

    fn leases(&self) -> Option<&dyn Leases> {
        self.inner.leases()
    }
}

#[async_trait]
impl Trash for Fenced {
    async fn keep(&self, key: &Key, version: &Version, run: &RunName, journal: &dyn Journal) -> Result<Kept, Error> {
        self.permitted(self.bin()?.keep(key, version, run, journal)).await?
    }

    fn trashed(&self, run: Option<&RunName>) -> TrashedStream {
        self.bin().map_or_else(|error| TrashedStream::of(Err(error)), |bin| bin.trashed(run))
    }

    async fn look_at(&self, kept: &Trashed) -> Result<Option<Entry>, Error> {
        self.bin()?.look_at(kept).await
    }

    async fn restore(&self, kept: &Trashed, expect: &Expect, journal: &dyn Journal) -> Result<Entry, Error> {
        self.permitted(self.bin()?.restore(kept, expect, journal)).await?
    }

    async fn discard(&self, batch: &[Trashed]) -> Vec<Result<(), Error>> {
        let discarded = match self.bin() {
            Ok(bin) => self.permitted(bin.discard(batch)).await,
            Err(error) => Err(error),
        };
        discarded.unwrap_or_else(|error| vec![Err(error); batch.len()])
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::time::Duration;

    use super::*;
    use crate::replica::fake::{Fake, NoJournal, put_of, whole};
    use crate::replica::retry::Retrying;
    use crate::replica::{Cause, KeptAs};

    #[derive(Debug, Default)]
    struct Gone(AtomicBool);

    impl Permit for Gone {
        fn check(&self) -> Result<(), Error> {
            if self.0.load(Relaxed) { Err(Error::new(Cause::Stop, "gone")) } else { Ok(()) }
        }
    }

    #[tokio::test]
    async fn without_a_permit_everything_is_read_and_nothing_changed() {
        let (fake, permit) = (Arc::new(Fake::default()), Arc::new(Gone::default()));
        let fenced = Fenced::new(fake.clone(), permit.clone());
        let (key, content, version) = (Key::new("a").unwrap(), whole(b"x"), Version::new("1"));
        let put = put_of(&content);
        fenced.put(&key, &content, &put.as_put()).await.unwrap();
        permit.0.store(true, Relaxed);
        let stops = |error: Error| error.cause == Cause::Stop;
        assert!(stops(fenced.put(&key, &content, &put.as_put()).await.unwrap_err()));
        assert!(stops(fenced.copy(&key, &version, &key, &put.as_put()).await.unwrap_err()));
        assert!(stops(fenced.restyle(&key, &put.as_put(), Retype::Keep).await.unwrap_err()));
        assert!(stops(fenced.delete(&[(key.clone(), version.clone())]).await.remove(0).unwrap_err()));
        assert!(stops(fenced.tidy(&NoJournal).await.unwrap_err()));
        assert!(stops(fenced.connect(Contact::Prepare).await.unwrap_err()));
        let (bin, run) = (fenced.trash().unwrap(), RunName::new(0, 0));
        let kept = Trashed { run: run.clone(), key: key.clone(), size: 1, kept_as: KeptAs::Copy };
        assert!(stops(bin.keep(&key, &version, &run, &NoJournal).await.unwrap_err()));
        assert!(stops(bin.restore(&kept, &Expect::Absent, &NoJournal).await.unwrap_err()));
        assert!(stops(bin.discard(&[kept]).await.remove(0).unwrap_err()));
        fenced.connect(Contact::Look).await.unwrap();
        fenced.look_up(&key).await.unwrap();
        assert_eq!(fake.calls(), ["put", "connect Look", "look_up"]);
    }

    /// The permit goes while a refused request waits for its next try: that try is never made.
    #[tokio::test(start_paused = true)]
    async fn what_is_repeated_inside_asks_each_time() {
        let (fake, permit) = (Arc::new(Fake::default()), Arc::new(Gone::default()));
        let after = Some(Duration::from_secs(5));
        fake.fail("put", &[Cause::Transient { throttled: true, after }]);
        let fenced = Fenced::new(Arc::new(Retrying::new(fake.clone())), permit.clone());
        let (key, content) = (Key::new("a").unwrap(), whole(b"x"));
        let put = put_of(&content);
        let put = put.as_put();
        let goes = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            permit.0.store(true, Relaxed);
        };
        let (put, ()) = tokio::join!(fenced.put(&key, &content, &put), goes);
        assert_eq!((put.unwrap_err().cause, fake.calls()), (Cause::Stop, vec!["put".to_owned()]));
    }
}
