//! What joining and deciding costs: `cargo bench --bench decide [-- KEYS]`, by default a million keys that are in sync.
//!
//! Three generated inputs (source, destination, base) go through the join and through `decide`, as in a run in which
//! nothing changed; making the inputs is timed on its own and taken off.

#![expect(clippy::cast_precision_loss, clippy::print_stdout, reason = "a benchmark prints its figure")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use mediasync::model::{BaseRecord, Digest, DigestKind, Digests, Entry, Item, Key, Readable, Side, Verdict, Version};
use mediasync::plan::{Compare, Context, Decision, Evidence, Join, Joined, Known, Mode, OnConflict, Policy, decide};
use mediasync::replica::{Error, ReadCost};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SOURCE: &str = "1f40-17a5b4c3d2e1f000-17a5b4c3d2e1f000-123456";
const DEST: &str = "0cc175b9c0f1b6a831c399e269772661";

fn main() {
    let keys = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    let inputs = timed(|| {
        let count = items(SOURCE, keys).count() + items(DEST, keys).count() + base(keys).count();
        assert_eq!(black_box(count) as u64, 3 * keys + 2);
    });
    let all = timed(|| assert_eq!(black_box(in_sync(keys)), keys));
    let of_one = |time: Duration| time.as_nanos() as f64 / keys as f64;
    println!(
        "{keys} keys: {:.0} ns a key ({:.0} with making the inputs)",
        of_one(all.saturating_sub(inputs)),
        of_one(all)
    );
}

/// The shortest of five runs.
fn timed(work: impl Fn()) -> Duration {
    let once = || {
        let begin = Instant::now();
        work();
        begin.elapsed()
    };
    (0..5).map(|_| once()).min().unwrap_or_default()
}

fn key(n: u64) -> Key {
    Key::new(format!("year-{:04}/album-{:05}/image-{n:07}.jpg", n / 1_000, n / 100)).expect("a key")
}

fn items(version: &'static str, keys: u64) -> impl Iterator<Item = Result<Item, Error>> {
    let entry = move || Entry {
        size: 8_000,
        version: Version::new(version),
        modified_ns: Some(1),
        digests: Digests::none(),
        readable: Readable::Yes,
    };
    (0..keys).map(move |n| Item::Present(key(n), entry())).chain([Item::End]).map(Ok)
}

fn base(keys: u64) -> impl Iterator<Item = Result<BaseRecord, Error>> {
    (0..keys).map(|n| {
        Ok(BaseRecord {
            key: key(n),
            size: 8_000,
            source: Version::new(SOURCE),
            dest: Version::new(DEST),
            digests: Digests::from_iter([Digest::from_bytes(DigestKind::Blake3, &[7; 32])]),
            lapsed: false,
            marks: mediasync::model::Marks::default(),
        })
    })
}

fn in_sync(keys: u64) -> u64 {
    let evidence = Evidence { source: Known::nothing(ReadCost::Cheap), dest: Known::nothing(ReadCost::Transfer) };
    let policy = Policy { mode: Mode::Copy, on_conflict: OnConflict::Report, compare: Compare::Metadata };
    let mut count = 0;
    for joined in Join::new(items(SOURCE, keys), items(DEST, keys), base(keys)) {
        let Ok(Joined::Triple(triple)) = joined else { continue };
        let context = Context {
            policy,
            scope: Verdict::In,
            evidence: &evidence,
            refuses: &|_: Side| None,
            conflict_name: &|_| None,
        };
        count += u64::from(matches!(decide(&triple, &context), Decision::InSync));
    }
    count
}
