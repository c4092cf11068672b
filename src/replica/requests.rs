//! What requests to object stores have in common, whatever the service: how often each kind is made, how long an attempt
//! may take, and at which stage it failed.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Cause, Trouble};

/// A kind of request of one service.
pub(crate) trait Kind: Copy {
    /// Its place among all kinds.
    fn place(self) -> usize;
    /// The names of all kinds, in the order of their places.
    fn names() -> impl Iterator<Item = &'static str>;
}

/// Requests made, by kind.
#[derive(Debug)]
pub(crate) struct Counts<K> {
    made: Box<[AtomicU64]>,
    /// What the last ones came to.
    pub(crate) trouble: Arc<Trouble>,
    kind: PhantomData<K>,
}

impl<K: Kind> Default for Counts<K> {
    fn default() -> Self {
        Self { made: K::names().map(|_| AtomicU64::new(0)).collect(), trouble: Arc::default(), kind: PhantomData }
    }
}

impl<K: Kind> Counts<K> {
    /// Counts one.
    pub(crate) fn add(&self, kind: K) {
        self.made[kind.place()].fetch_add(1, Ordering::Relaxed);
    }

    /// Kinds that were used, with their numbers.
    pub(crate) fn report(&self) -> Vec<(&'static str, u64)> {
        let numbers = K::names().zip(&self.made).map(|(name, n)| (name, n.load(Ordering::Relaxed)));
        numbers.filter(|(_, n)| *n > 0).collect()
    }
}

/// What a server needs before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Everyday requests.
    Little,
    /// It assembles or copies gigabytes first.
    Much,
}

impl Work {
    /// How long one attempt may take that carries `bytes`: what the server needs, and what a line of 128 kbit/s does.
    pub(crate) fn deadline(self, bytes: u64) -> Duration {
        let base = match self {
            Self::Little => 60,
            Self::Much => 900,
        };
        Duration::from_secs(base + bytes / 16_384)
    }
}

/// The stage at which a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The server answered with an error.
    Answered,
    /// The server answered with something that can't be read as an answer.
    Unreadable,
    /// There is nothing to sign with.
    Credentials,
    /// The host name does not resolve.
    Dns,
    /// The host refused the connection.
    Refused,
    /// The TLS handshake failed on the certificate.
    Certificate,
    /// The TLS handshake failed: the other side does not speak TLS, or refused ours.
    Tls,
    /// What answers does not speak HTTP.
    Http,
    /// The connection broke, or could not be made for another reason.
    Network,
    /// Nothing came in time.
    Timeout,
    /// The request could not be built.
    Request,
}

impl Stage {
    /// What the caller does; `None` where the answer has to tell.
    pub(crate) fn cause(self, again: Cause) -> Option<Cause> {
        match self {
            Self::Credentials | Self::Certificate | Self::Tls => Some(Cause::Stop),
            Self::Request => Some(Cause::Refused),
            Self::Dns | Self::Refused | Self::Http | Self::Network | Self::Timeout | Self::Unreadable => Some(again),
            Self::Answered => None,
        }
    }

    /// What a person reads, as far as the stage tells it.
    pub(crate) fn words(self, host: &str) -> String {
        match self {
            Self::Answered => format!("{host} answered"),
            Self::Credentials => "no usable credentials were found".to_owned(),
            Self::Dns => format!("the host name of {host} does not resolve"),
            Self::Refused => format!("{host} refused the connection"),
            Self::Certificate => format!("the TLS certificate of {host} is not trusted"),
            Self::Tls => format!("{host} does not speak TLS, or not with this program"),
            Self::Http => format!("what answers at {host} does not speak HTTP in the clear"),
            Self::Network => format!("the connection to {host} broke"),
            Self::Timeout => format!("{host} did not answer in time"),
            Self::Request => "the request could not be built".to_owned(),
            Self::Unreadable => format!("the answer of {host} can't be read"),
        }
    }
}

/// An element of an error document. The caller sees to it that it is what it should be before it is shown.
pub(crate) fn element<'a>(body: &'a [u8], name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (value, _) = rest.split_once(&format!("</{name}>"))?;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Op {
        Put,
        #[expect(dead_code, reason = "never made")]
        Get,
    }

    impl Kind for Op {
        fn place(self) -> usize {
            self as usize
        }

        fn names() -> impl Iterator<Item = &'static str> {
            ["Put", "Get"].into_iter()
        }
    }

    #[test]
    fn only_kinds_that_were_used_are_reported() {
        let counts = Counts::default();
        counts.add(Op::Put);
        counts.add(Op::Put);
        assert_eq!(counts.report(), [("Put", 2)]);
    }

    #[test]
    fn failures_without_an_answer_are_worth_another_try_unless_trying_can_not_help() {
        let again = Cause::Transient { throttled: false, after: None };
        for stage in [Stage::Dns, Stage::Refused, Stage::Http, Stage::Network, Stage::Timeout, Stage::Unreadable] {
            assert_eq!(stage.cause(again), Some(again), "{stage:?}");
        }
        for stage in [Stage::Certificate, Stage::Tls, Stage::Credentials] {
            assert_eq!(stage.cause(again), Some(Cause::Stop), "{stage:?}");
        }
        assert_eq!((Stage::Request.cause(again), Stage::Answered.cause(again)), (Some(Cause::Refused), None));
    }

    #[test]
    fn a_line_of_128_kbit_is_fast_enough() {
        assert_eq!(Work::Little.deadline(16_384 * 7), Duration::from_secs(67));
        assert_eq!(Work::Much.deadline(0), Duration::from_secs(900));
    }

    #[test]
    fn elements_are_found_where_they_are_whole() {
        let xml = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-central-1</Region></Error>";
        assert_eq!(
            (element(xml, "Region"), element(xml, "Code")),
            (Some("eu-central-1"), Some("AuthorizationHeaderMalformed"))
        );
        assert_eq!((element(b"<Region>x", "Region"), element(b"\xff", "Region")), (None, None));
    }
}
