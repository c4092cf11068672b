//! Trying again: what is worth it, how long to wait, and what a lost acknowledgement means.
//!
//! Only [`Cause::Transient`] is tried again, with exponential backoff and full jitter. A change that failed so may
//! have happened. Trying it again is safe because it carries a precondition; if that fails now, [`Retrying`] looks at
//! the key and takes it for done only if the digests say that it holds our content (or, for a deletion, nothing).

use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::trash;
use super::{
    Capabilities, Cause, Connected, Contact, Content, Error, Journal, Kept, Leases, Listing, Origin, Put, Replica,
    Restyled, Room, Trash, Trashed, TrashedStream,
};
use crate::model::{Digests, Entry, Expect, Filter, Key, Retype, RunName, Sameness, Style, Version};

/// How often and how long something is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Attempts, the first included.
    pub tries: u32,
    /// No attempt begins after this time, but for the second: the first alone may have taken longer.
    pub time: Duration,
    /// Upper bound of the first wait; doubled each time.
    pub first: Duration,
    /// Upper bound of any wait that the server did not ask for.
    pub longest: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            tries: 8,
            time: Duration::from_mins(1),
            first: Duration::from_millis(200),
            longest: Duration::from_secs(15),
        }
    }
}

/// The state between two attempts.
#[derive(Debug)]
pub struct Attempts {
    patience: Patience,
    made: u32,
    began: Instant,
}

impl Attempts {
    /// Before the first attempt.
    pub fn new(patience: Patience) -> Self {
        Self { patience, made: 0, began: Instant::now() }
    }

    /// After a failed attempt: waits, if another one is worth it.
    ///
    /// # Errors
    /// The error itself, if not.
    pub async fn again(&mut self, error: Error) -> Result<(), Error> {
        let Cause::Transient { after, .. } = error.cause else { return Err(error) };
        self.made += 1;
        let spent = if self.made == 1 { Duration::ZERO } else { self.began.elapsed() };
        let left = self.patience.time.saturating_sub(spent);
        let bound = self.patience.first.saturating_mul(1 << (self.made - 1).min(20)).min(self.patience.longest);
        let wait = bound.mul_f64(fastrand::f64()).max(after.unwrap_or_default());
        if self.made >= self.patience.tries || wait >= left {
            return Err(error);
        }
        tracing::debug!(attempt = self.made, ?wait, error = %error, "trying again");
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// Whether an earlier attempt failed in a way that may have happened anyway.
    pub fn is_repeated(&self) -> bool {
        self.made > 0
    }
}

/// Repeats `attempt` while that is worth it. For what changes nothing, or is checked by the caller.
///
/// # Errors
/// The last attempt's.
pub async fn repeat<T, F, Fut>(patience: Patience, mut attempt: F) -> Result<T, Error>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Error>>,
{
    let mut attempts = Attempts::new(patience);
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => attempts.again(error).await?,
        }
    }
}

/// A replica whose operations are tried again.
#[derive(Debug)]
pub struct Retrying {
    inner: Arc<dyn Replica>,
    patience: Patience,
    /// Keys at which a change was asked for and not answered.
    unanswered: Mutex<HashSet<Key>>,
}

impl Retrying {
    /// Tries `inner` again with the usual patience.
    pub fn new(inner: Arc<dyn Replica>) -> Self {
        Self::with(inner, Patience::default())
    }

    /// Tries `inner` again with this patience.
    pub fn with(inner: Arc<dyn Replica>, patience: Patience) -> Self {
        Self { inner, patience, unanswered: Mutex::default() }
    }

    /// Remembers a change that got no answer. One that was refused for now did not happen.
    fn note(&self, key: &Key, error: &Error) {
        if let Cause::Transient { throttled: false, .. } = error.cause {
            self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        }
    }

    /// After a repeated change met a failed precondition: what is there now, if it is ours.
    async fn ours(&self, key: &Key, size: Option<u64>, put: &Put<'_>) -> Option<Entry> {
        let found = repeat(self.patience, || self.inner.look_up(key)).await.ok()??;
        let was_there = matches!(put.expect, Expect::Version(version) if *version == found.version);
        let same_size = size.is_none_or(|size| size == found.size);
        (!was_there && same_size && is_same(put.digests, &found.digests)).then_some(found)
    }
}

fn is_same(a: &Digests, b: &Digests) -> bool {
    a.compare(b) == Sameness::Same
}

#[async_trait]
impl Replica for Retrying {
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
        repeat(self.patience, || self.inner.connect(contact)).await
    }

    /// A stream can't be begun again here: replicas repeat their own pages.
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
        repeat(self.patience, || self.inner.look_up(key)).await
    }

    async fn open(&self, key: &Key, expect: &Version) -> Result<Content, Error> {
        repeat(self.patience, || self.inner.open(key, expect)).await
    }

    async fn open_seen(&self, key: &Key, entry: &Entry) -> Result<Content, Error> {
        repeat(self.patience, || self.inner.open_seen(key, entry)).await
    }

    async fn put(&self, key: &Key, content: &Content, put: &Put<'_>) -> Result<Entry, Error> {
        let mut attempts = Attempts::new(self.patience);
        loop {
            let error = match self.inner.put(key, content, put).await {
                Ok(entry) => return Ok(entry),
                Err(error) => error,
            };
            if error.cause == Cause::Precondition && attempts.is_repeated() {
                return self.ours(key, Some(content.entry().size), put).await.ok_or(error);
            }
            self.note(key, &error);
            attempts.again(error).await?;
        }
    }

    async fn copy(&self, from: &Key, from_version: &Version, to: &Key, put: &Put<'_>) -> Result<Entry, Error> {
        let mut attempts = Attempts::new(self.patience);
        loop {
            let error = match self.inner.copy(from, from_version, to, put).await {
                Ok(entry) => return Ok(entry),
                Err(error) => error,
            };
            if error.cause == Cause::Precondition && attempts.is_repeated() {
                return self.ours(to, None, put).await.ok_or(error);
            }
            self.note(to, &error);
            attempts.again(error).await?;
        }
    }

    fn is_unanswered(&self, key: &Key) -> bool {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).remove(key) | self.inner.is_unanswered(key)
    }

    fn part_size(&self, size: u64) -> u64 {
        self.inner.part_size(size)
    }

    fn service(&self) -> Option<&str> {
        self.inner.service()
    }

    fn reaches(&self, service: &str) -> bool {
        self.inner.reaches(service)
    }

    async fn origin(&self, key: &Key, expect: &Version) -> Result<Origin, Error> {
        repeat(self.patience, || self.inner.origin(key, expect)).await
    }

    async fn origin_seen(&self, key: &Key, entry: &Entry) -> Result<Origin, Error> {
        repeat(self.patience, || self.inner.origin_seen(key, entry)).await
    }

    async fn copy_from(&self, origin: &Origin, to: &Key, put: &Put<'_>) -> Result<Entry, Error> {
        let mut attempts = Attempts::new(self.patience);
        loop {
            let error = match self.inner.copy_from(origin, to, put).await {
                Ok(entry) => return Ok(entry),
                Err(error) => error,
            };
            if error.cause == Cause::Precondition && attempts.is_repeated() {
                return self.ours(to, Some(origin.entry.size), put).await.ok_or(error);
            }
            self.note(to, &error);
            attempts.again(error).await?;
        }
    }

    async fn lacks(&self, key: &Key, expect: &Version, style: &Style, retype: Retype) -> Result<bool, Error> {
        repeat(self.patience, || self.inner.lacks(key, expect, style, retype)).await
    }

    async fn restyle(&self, key: &Key, put: &Put<'_>, retype: Retype) -> Result<Restyled, Error> {
        let mut attempts = Attempts::new(self.patience);
        loop {
            let error = match self.inner.restyle(key, put, retype).await {
                Ok(restyled) => return Ok(restyled),
                Err(error) => error,
            };
            if error.cause == Cause::Precondition && attempts.is_repeated() {
                return self.ours(key, None, put).await.map(Restyled::Done).ok_or(error);
            }
            attempts.again(error).await?;
        }
    }

    async fn delete(&self, batch: &[(Key, Version)]) -> Vec<Result<(), Error>> {
        let mut results = self.inner.delete(batch).await;
        let mut attempts = Attempts::new(self.patience);
        loop {
            let worth = |result: &Result<(), Error>| {
                result.as_ref().err().filter(|e| matches!(e.cause, Cause::Transient { .. })).cloned()
            };
            for ((key, _), result) in batch.iter().zip(&results) {
                result.as_ref().err().into_iter().for_each(|error| self.note(key, error));
            }
            let Some(error) = results.iter().find_map(worth) else { return results };
            if attempts.again(error).await.is_err() {
                return results;
            }
            let left: Vec<usize> = (0..results.len()).filter(|at| worth(&results[*at]).is_some()).collect();
            let rest: Vec<(Key, Version)> = left.iter().map(|at| batch[*at].clone()).collect();
            for (at, mut result) in left.into_iter().zip(self.inner.delete(&rest).await) {
                let gone = match result.as_ref().err().map(|e| e.cause) {
                    Some(Cause::NotFound) => true,
                    Some(Cause::Precondition) => matches!(self.look_up(&batch[at].0).await, Ok(None)),
                    _ => false,
                };
                if gone {
                    result = Ok(());
                }
                results[at] = result;
            }
        }
    }

    async fn room(&self) -> Result<Option<Room>, Error> {
        self.inner.room().await
    }

    async fn tidy(&self, journal: &dyn Journal) -> Result<u64, Error> {
        repeat(self.patience, || self.inner.tidy(journal)).await
    }

    fn trash(&self) -> Option<&dyn Trash> {
        self.inner.trash().map(|_| self as &dyn Trash)
    }

    /// Whoever holds a lease has its own patience: it ends with the lease.
    fn leases(&self) -> Option<&dyn Leases> {
        self.inner.leases()
    }
}

impl Retrying {
    fn bin(&self) -> Result<&dyn Trash, Error> {
        self.inner.trash().ok_or_else(|| trash::none(self.inner.name()))
    }
}

#[async_trait]
impl Trash for Retrying {
    async fn keep(&self, key: &Key, version: &Version, run: &RunName, journal: &dyn Journal) -> Result<Kept, Error> {
        let bin = self.bin()?;
        repeat(self.patience, || bin.keep(key, version, run, journal)).await
    }

    /// As [`Replica::list`].
    fn trashed(&self, run: Option<&RunName>) -> TrashedStream {
        self.bin().map_or_else(|error| TrashedStream::of(Err(error)), |bin| bin.trashed(run))
    }

    async fn look_at(&self, kept: &Trashed) -> Result<Option<Entry>, Error> {
        let bin = self.bin()?;
        repeat(self.patience, || bin.look_at(kept)).await
    }

    /// An attempt after one whose answer was lost may find it done: then what is at the key is told as somebody else's,
    /// and whoever asks again is told that it is there already.
    async fn restore(&self, kept: &Trashed, expect: &Expect, journal: &dyn Journal) -> Result<Entry, Error> {
        let bin = self.bin()?;
        repeat(self.patience, || bin.restore(kept, expect, journal)).await
    }

    async fn discard(&self, batch: &[Trashed]) -> Vec<Result<(), Error>> {
        let bin = match self.bin() {
            Ok(bin) => bin,
            Err(error) => return vec![Err(error); batch.len()],
        };
        let mut results = bin.discard(batch).await;
        let mut attempts = Attempts::new(self.patience);
        let is_passing =
            |result: &Result<(), Error>| matches!(result, Err(Error { cause: Cause::Transient { .. }, .. }));
        while let Some(Err(error)) = results.iter().find(|result| is_passing(result)).cloned() {
            if attempts.again(error).await.is_err() {
                break;
            }
            let left: Vec<usize> = (0..results.len()).filter(|at| is_passing(&results[*at])).collect();
            let rest: Vec<Trashed> = left.iter().map(|at| batch[*at].clone()).collect();
            for (at, result) in left.into_iter().zip(bin.discard(&rest).await) {
                results[at] = result;
            }
        }
        results
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::fake::{Fake, NoJournal, entry_of, put_of, put_over, whole};

    const AGAIN: Cause = Cause::Transient { throttled: false, after: None };

    fn key() -> Key {
        Key::new("a").unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_worth_it_is_tried_again_and_nothing_else_is() {
        let fake = Arc::new(Fake::default());
        fake.fail("look_up", &[AGAIN, AGAIN]);
        assert!(Retrying::new(fake.clone()).look_up(&key()).await.unwrap().is_none());
        assert_eq!(fake.calls().len(), 3);
        for cause in [Cause::Refused, Cause::Stop, Cause::NotFound, Cause::Changed, Cause::Unsupported] {
            let fake = Arc::new(Fake::default());
            fake.fail("look_up", &[cause, cause]);
            assert_eq!(Retrying::new(fake.clone()).look_up(&key()).await.unwrap_err().cause, cause);
            assert_eq!(fake.calls().len(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_by_tries_and_by_time() {
        let fake = Arc::new(Fake::default());
        fake.fail("look_up", &[AGAIN; 20]);
        let start = Instant::now();
        assert_eq!(Retrying::new(fake.clone()).look_up(&key()).await.unwrap_err().cause, AGAIN);
        assert!((2..=8).contains(&fake.calls().len()));
        assert!(start.elapsed() < Duration::from_mins(1));

        let fake = Arc::new(Fake::default());
        let after = Some(Duration::from_secs(25));
        fake.fail("look_up", &[Cause::Transient { throttled: true, after }; 20]);
        let start = Instant::now();
        assert!(Retrying::new(fake.clone()).look_up(&key()).await.is_err());
        assert_eq!((fake.calls().len(), start.elapsed().as_secs()), (3, 50));
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_longer_than_the_patience_is_tried_twice() {
        let tried = std::cell::Cell::new(0);
        let result: Result<(), Error> = repeat(Patience::default(), || async {
            tried.set(tried.get() + 1);
            tokio::time::sleep(Duration::from_secs(100)).await;
            Err(Error::new(AGAIN, "slow"))
        })
        .await;
        assert_eq!((result.unwrap_err().cause, tried.get()), (AGAIN, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_acknowledgement_of_a_put_is_found_out() {
        let fake = Arc::new(Fake::default());
        let content = whole(b"ours");
        fake.fail("put", &[AGAIN, Cause::Precondition]);
        fake.holds(entry_of(b"ours", "2"));
        let entry = Retrying::new(fake.clone()).put(&key(), &content, &put_of(&content).as_put()).await.unwrap();
        assert_eq!(entry.version, Version::new("2"));
        assert_eq!(fake.calls(), ["put", "put", "look_up"]);
    }

    #[tokio::test(start_paused = true)]
    async fn somebody_elses_content_is_never_taken_for_ours() {
        let content = whole(b"ours");
        // Without an earlier attempt nothing of ours can be there.
        let fake = Arc::new(Fake::default());
        fake.fail("put", &[Cause::Precondition]);
        fake.holds(entry_of(b"ours", "2"));
        let error = Retrying::new(fake.clone()).put(&key(), &content, &put_of(&content).as_put()).await.unwrap_err();
        assert_eq!(error.cause, Cause::Precondition);
        // Other bytes.
        let fake = Arc::new(Fake::default());
        fake.fail("put", &[AGAIN, Cause::Precondition]);
        fake.holds(entry_of(b"them", "2"));
        let error = Retrying::new(fake.clone()).put(&key(), &content, &put_of(&content).as_put()).await.unwrap_err();
        assert_eq!(error.cause, Cause::Precondition);
        // The version that was to be overwritten is still there.
        let fake = Arc::new(Fake::default());
        fake.fail("put", &[AGAIN, Cause::Precondition]);
        fake.holds(entry_of(b"ours", "1"));
        let over = put_over(&content, "1");
        let error = Retrying::new(fake.clone()).put(&key(), &content, &over.as_put()).await.unwrap_err();
        assert_eq!(error.cause, Cause::Precondition);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_acknowledgement_of_a_copy_is_found_out() {
        let fake = Arc::new(Fake::default());
        let content = whole(b"ours");
        fake.fail("copy", &[AGAIN, Cause::Precondition]);
        fake.holds(entry_of(b"ours", "2"));
        let put = put_of(&content);
        let copied = Retrying::new(fake.clone()).copy(&key(), &Version::new("1"), &key(), &put.as_put()).await;
        assert_eq!(copied.unwrap().version, Version::new("2"));
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_failed_deletions_are_tried_again_and_gone_is_done() {
        for second in [Cause::NotFound, Cause::Precondition] {
            let fake = Arc::new(Fake::default());
            fake.fail("delete", &[AGAIN, second]);
            let batch = [(key(), Version::new("1")), (Key::new("b").unwrap(), Version::new("1"))];
            let results = Retrying::new(fake.clone()).delete(&batch).await;
            assert_eq!(results, [Ok(()), Ok(())]);
            assert_eq!(fake.calls()[..2], ["delete 2", "delete 1"]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deletion_that_finds_another_version_stays_failed() {
        let fake = Arc::new(Fake::default());
        fake.fail("delete", &[AGAIN, Cause::Precondition]);
        fake.holds(entry_of(b"them", "2"));
        let results = Retrying::new(fake.clone()).delete(&[(key(), Version::new("1"))]).await;
        assert_eq!(results[0].as_ref().unwrap_err().cause, Cause::Precondition);
    }

    #[tokio::test(start_paused = true)]
    async fn the_trash_is_tried_again_too() {
        let fake = Arc::new(Fake::default());
        for what in ["keep", "look_at", "restore"] {
            fake.fail(what, &[AGAIN]);
        }
        fake.fail("discard", &[AGAIN, Cause::Refused]);
        let (retrying, run) = (Retrying::new(fake.clone()), RunName::new(0, 0));
        let bin = retrying.trash().unwrap();
        let kept = Trashed { run: run.clone(), key: key(), size: 1, kept_as: crate::replica::KeptAs::Copy };
        bin.keep(&key(), &Version::new("1"), &run, &NoJournal).await.unwrap();
        assert_eq!(bin.look_at(&kept).await, Ok(None));
        bin.restore(&kept, &Expect::Absent, &NoJournal).await.unwrap();
        let results = bin.discard(&[kept.clone(), kept]).await;
        assert_eq!((results[0].as_ref().unwrap_err().cause, &results[1]), (Cause::Refused, &Ok(())));
        let calls = fake.calls();
        assert_eq!(calls[..6], ["keep", "keep", "look_at", "look_at", "restore", "restore"]);
        assert_eq!(calls[6..], ["discard 2", "discard 1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_got_no_answer_is_remembered_once_and_what_was_refused_for_now_is_not() {
        for (throttled, unanswered) in [(false, true), (true, false)] {
            let fake = Arc::new(Fake::default());
            let again = Cause::Transient { throttled, after: None };
            for call in ["put", "copy", "delete"] {
                fake.fail(call, &[again]);
            }
            let retrying = Retrying::new(fake);
            let content = whole(b"content");
            let parts = put_of(&content);
            retrying.put(&key(), &content, &parts.as_put()).await.unwrap();
            assert_eq!([retrying.is_unanswered(&key()), retrying.is_unanswered(&key())], [unanswered, false]);
            retrying.copy(&key(), &Version::new("v"), &key(), &parts.as_put()).await.unwrap();
            assert_eq!(retrying.is_unanswered(&key()), unanswered);
            assert!(retrying.delete(&[(key(), Version::new("v"))]).await[0].is_ok());
            assert_eq!(retrying.is_unanswered(&key()), unanswered);
        }
    }
}
