//! Whether a service answers as it should: known while an operation is still being tried again, so that people see an
//! outage before anything failed for good.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Cause, Error};

/// What lasts so long is told in the log, once.
const TOLD: Duration = Duration::from_secs(5);
/// Failures with as much time between them are no one outage: nothing was asked meanwhile.
const APART: Duration = Duration::from_secs(120);

/// What the last requests to a service came to.
#[derive(Debug, Default)]
pub struct Trouble(Mutex<Option<Outage>>);

#[derive(Debug)]
struct Outage {
    since: Instant,
    last: Instant,
    why: String,
    is_logged: bool,
}

impl Trouble {
    /// A request was answered as it should be, or in a way that trying again would not change.
    pub(crate) fn over(&self) {
        if let Some(outage) = self.lock().take().filter(|outage| outage.is_logged) {
            tracing::info!("the server answers again, after {} s", outage.since.elapsed().as_secs());
        }
    }

    /// A request failed.
    pub(crate) fn heard(&self, error: &Error) {
        if !matches!(error.cause, Cause::Transient { .. }) {
            return self.over();
        }
        let now = Instant::now();
        let mut outage = self.lock();
        let before = outage.take().filter(|outage| now.duration_since(outage.last) < APART);
        let (since, was_logged) = before.map_or((now, false), |outage| (outage.since, outage.is_logged));
        let is_logged = was_logged || now.duration_since(since) >= TOLD;
        if is_logged && !was_logged {
            tracing::warn!("requests are tried again, for {} s now: {}", (now - since).as_secs(), error.message);
        }
        *outage = Some(Outage { since, last: now, why: error.message.clone(), is_logged });
    }

    /// For how long requests have been tried again by now, and why the last one was.
    pub fn now(&self) -> Option<(Duration, String)> {
        let outage = self.lock();
        let outage = outage.as_ref().filter(|outage| outage.last.elapsed() < APART)?;
        Some((outage.since.elapsed(), outage.why.clone()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Outage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_outage_lasts_from_its_first_failure_to_an_answer() {
        let (trouble, second) = (Trouble::default(), Duration::from_secs(1));
        let fails = |why: &str| trouble.heard(&Error::new(Cause::Transient { throttled: true, after: None }, why));
        assert_eq!(trouble.now(), None);
        fails("503");
        tokio::time::advance(7 * second).await;
        fails("no answer");
        tokio::time::advance(3 * second).await;
        assert_eq!(trouble.now(), Some((10 * second, "no answer".to_owned())));
        trouble.heard(&Error::new(Cause::NotFound, "it answers"));
        assert_eq!(trouble.now(), None);
        fails("503");
        trouble.over();
        assert_eq!(trouble.now(), None);
        // Nothing was asked for long.
        fails("503");
        tokio::time::advance(APART).await;
        assert_eq!(trouble.now(), None);
        fails("another day");
        tokio::time::advance(second).await;
        assert_eq!(trouble.now(), Some((second, "another day".to_owned())));
    }
}
