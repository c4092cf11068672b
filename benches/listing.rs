//! Listing 100,000 keys from a server that is 20 ms away: page after page, and in ranges as a later run lists.
//!
//! `cargo bench --bench listing`. The server runs in the same process (the one of the tests) and waits 20 ms before each
//! answer; what is printed are medians of five, and their ratio.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for people, that may fail")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use mediasync::model::{Filter, Item};
use mediasync::replica::s3::{Addressing, Credentials, Probe, S3, S3Address};
use mediasync::replica::{Contact, Replica};
use mediasync::secret::Secret;

use support::s3::S3Server;

#[expect(dead_code, unused_imports, reason = "the tests use the rest")]
#[path = "../tests/it/support"]
mod support {
    pub(crate) mod s3;
}

const KEYS: usize = 100_000;
const LATENCY: Duration = Duration::from_millis(20);
const RUNS: usize = 5;

fn address(server: &S3Server) -> S3Address {
    S3Address {
        bucket: "media".to_owned(),
        prefix: "p".to_owned(),
        endpoint: Some(server.endpoint()),
        region: Some("us-east-1".to_owned()),
        addressing: Addressing::Path,
        credentials: Credentials::Static {
            access_key: server.access_key().to_owned(),
            secret: Secret::new(server.secret_key()),
            session_token: None,
        },
        acl: None,
        public_url: None,
        said: Box::default(),
    }
}

async fn list(s3: &S3) -> (Duration, usize) {
    let began = Instant::now();
    let mut listing = s3.list(None, &Arc::new(Filter::default()));
    let mut present = 0;
    while let Some(items) = listing.items.recv().await {
        present += items.unwrap().iter().filter(|item| matches!(item, Item::Present(..))).count();
    }
    (began.elapsed(), present)
}

/// The median of listings by new processes that remember `probe`.
async fn median(server: &S3Server, probe: &Probe) -> Duration {
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let s3 = S3::new(address(server), Some(probe.clone()));
        s3.connect(Contact::Look).await.unwrap();
        let (time, present) = list(&s3).await;
        assert_eq!(present, KEYS);
        times.push(time);
    }
    times.sort_unstable();
    times[RUNS / 2]
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let server = S3Server::start();
    let bucket = server.create_bucket("media");
    for n in 0..KEYS {
        bucket.put(&format!("p/photos/{:03}/IMG_{n:06}.jpg", n / 500), "x");
    }
    let s3 = S3::new(address(&server), None);
    s3.connect(Contact::Prepare).await.unwrap();
    list(&s3).await;
    server.quirks(|quirks| quirks.latency = LATENCY);
    let known = s3.probe();
    let pages = median(&server, &Probe { marks: Vec::new(), ..known.clone() }).await;
    let ranges = median(&server, &known).await;
    println!(
        "{KEYS} keys, {} ms: page after page {:.2} s, in ranges {:.2} s: {:.1} times faster",
        LATENCY.as_millis(),
        pages.as_secs_f64(),
        ranges.as_secs_f64(),
        pages.as_secs_f64() / ranges.as_secs_f64()
    );
}
