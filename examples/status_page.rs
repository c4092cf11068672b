//! The daemon's page with made-up jobs, to look at in a browser: `cargo run --example status_page -- STATE`, where STATE
//! is `sync`, `syncing`, `trouble`, `none` or `many`. It listens at 127.0.0.1:9797, or at the port in the second argument.

use std::sync::Arc;

use mediasync::daemon::http;
use mediasync::daemon::state::{
    BUCKET_NS, Board, Coverage, DaemonState, Done, Ended, Failing, Fault, Halted, JobState, Last, Look, Phase, Running,
    SECOND, Told, Watching,
};

/// 2026-11-23 14:07:30 UTC.
const NOW: i64 = 1_795_442_850 * SECOND;
const HOUR: i64 = 3_600 * SECOND;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let state = arguments.next().unwrap_or_else(|| "sync".to_owned());
    let port: u16 = arguments.next().map_or(Ok(9797), |port| port.parse())?;
    let jobs = match state.as_str() {
        "sync" => vec![media(1), backup(2)],
        "syncing" => vec![syncing()],
        "trouble" => vec![halted(), hostile(), failing()],
        "none" => vec![],
        "many" => many(),
        _ => return Err("say sync, syncing, trouble, none or many".into()),
    };
    let state = DaemonState {
        pid: 4242,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_ns: NOW - 19 * HOUR,
        config: Some("/etc/mediasync/config.toml".to_owned()),
        state_dir: "/var/lib/mediasync".to_owned(),
        reload_error: (state == "trouble").then(|| "line 12: unknown key \"evry\"; did you mean \"every\"?".to_owned()),
        jobs,
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = http::bind(([127, 0, 0, 1], port).into()).await?;
        match http::serve(listener, Board::new(state), Arc::new(|| NOW)).await {}
    })
}

/// A job with a day behind it; `seed` makes days differ.
fn job(name: &str, places: (&str, &str), mode: &str, seed: u64) -> JobState {
    let mut job = JobState::new(name, places, mode, 2 * 3_600);
    job.phase = Phase::Idle;
    job.fresh_ns = Some(NOW - 40 * SECOND);
    (job.equal_since_ns, job.checked_ns) = (Some(NOW - 3 * HOUR), Some(NOW - HOUR / 2));
    job.next_ns = Some(NOW + 25 * 60 * SECOND);
    job.synced = (48_211 * seed, 312_400_000_000 * seed);
    let mut random = seed;
    for n in 0..12 * 19 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let dice = random >> 33;
        let at = NOW - 19 * HOUR + n * BUCKET_NS;
        let changes = if dice.is_multiple_of(5) { dice % 40 } else { 0 };
        let done = Done { creates: changes, bytes: changes * (dice % 9_000_000), ..Done::default() };
        job.note(at, if changes > 0 { dice % 9 } else { 0 }, done);
    }
    for n in (0..9_u64).rev() {
        let done = match n % 3 {
            0 => Done::default(),
            1 => Done { creates: 4 * n, overwrites: 2, bytes: 48_000_000 * n, ..Done::default() },
            _ => Done { copies: 3, deletes: n, ..Done::default() },
        };
        let last = Last {
            look: if n % 4 == 0 { Look::Both } else { Look::Changes },
            started_ns: NOW - (i64::try_from(n).unwrap_or(0) * 47 + 3) * 60 * SECOND,
            took_ms: 180 + n * 1_900,
            ending: Ended::Finished,
            done,
        };
        job.count(last, 3 + n, 0);
    }
    job
}

fn media(seed: u64) -> JobState {
    let mut job = job("media", ("/data/media", "live:  s3://example-media/site"), "copy-and-delete", seed);
    job.watch = Some(Watching { coverage: Coverage::Full, directories: 1_204, why: None });
    job
}

fn backup(seed: u64) -> JobState {
    job("nightly-backup", ("s3://example-media/site", "/mnt/backup/media"), "mirror", seed)
}

fn syncing() -> JobState {
    let mut job = media(3);
    job.phase = Phase::Running;
    (job.dirty, job.dirty_since_ns) = (588, Some(NOW - 95 * SECOND));
    job.running = Some(Running {
        look: Look::Changes,
        since_ns: NOW - 93 * SECOND,
        actions: 1_000,
        actions_done: 412,
        bytes_to_send: 3_650_000_000,
        bytes_sent: 1_290_000_000,
        retrying: None,
    });
    job
}

fn halted() -> JobState {
    let mut job = backup(4);
    job.phase = Phase::Halted;
    job.fresh_ns = Some(NOW - 5 * HOUR);
    job.halt = Some(Halted {
        message: "the plan deletes 28,926 of 48,211 files (60 %) at /mnt/backup/media; a run may delete 25 %"
            .to_owned(),
        plan: Some("1f3a9c".to_owned()),
        command: Some("mediasync --config /etc/mediasync/config.toml approve nightly-backup 1f3a9c".to_owned()),
        since_ns: NOW - 5 * HOUR,
        again_ns: Some(NOW + 8 * 60 * SECOND),
    });
    let last = Last {
        look: Look::Both,
        started_ns: NOW - 5 * HOUR,
        took_ms: 41_000,
        ending: Ended::Halted,
        done: Done::default(),
    };
    job.count(last, 49, 0);
    job
}

fn hostile() -> JobState {
    let mut job = media(5);
    "<script>alert(\"job\")</script>".clone_into(&mut job.name);
    let long = "a-very-long-name-without-any-place-to-break-it-".repeat(5);
    let told = |message: String, hint: &str| Told { message, hint: Some(hint.to_owned()), fault: Fault::File };
    job.problems = vec![
        told("</li></ul><img src=x onerror=alert(1)>.jpg: the name can't be stored".to_owned(), "rename it"),
        told("\u{202e}gpj.exe\u{1b}[31m\u{0}: the name holds control characters".to_owned(), "rename it"),
        told(format!("{long}.jpg: the name is longer than 1,024 bytes"), "shorten it"),
        told(
            "\u{05e9}\u{05dc}\u{05d5}\u{05dd}/\u{1f4f7} \u{e9}t\u{e9}.jpg: changed on both sides".to_owned(),
            "mediasync resolve",
        ),
    ];
    (job.problem_count, job.conflict_count) = (3, 22);
    job
}

fn failing() -> JobState {
    let mut job = job("archive", ("/data/archive", "az://account/container/archive"), "copy", 6);
    job.phase = Phase::Failing;
    job.watch = Some(Watching {
        coverage: Coverage::Degraded,
        directories: 8_192,
        why: Some("the system watches no more than 8,192 directories; raise fs.inotify.max_user_watches".to_owned()),
    });
    (job.dirty, job.dirty_since_ns) = (3, Some(NOW - 400 * SECOND));
    job.error = Some(Failing {
        message: "no answer from account.blob.core.windows.net: connection refused".to_owned(),
        hint: Some("check the network; it goes on by itself when the server answers".to_owned()),
        since_ns: NOW - 380 * SECOND,
        retry_ns: Some(NOW + 42 * SECOND),
        tries: 9,
    });
    job
}

fn many() -> Vec<JobState> {
    let names =
        ["uploads", "avatars", "press-kit", "video", "podcasts", "invoices", "maps", "thumbnails", "legacy", "raw"];
    let named = |(n, name): (usize, &&str)| {
        let source = format!("/srv/{name}");
        let dest = format!("s3://example-{name}/media");
        let mut job = job(name, (&source, &dest), if n % 3 == 0 { "two-way" } else { "copy" }, n as u64 + 7);
        job.watch = Some(Watching { coverage: Coverage::Full, directories: 80 * (n as u64 + 1), why: None });
        job
    };
    let mut jobs: Vec<JobState> = names.iter().enumerate().map(named).collect();
    jobs[2].phase = Phase::Paused;
    jobs[3] = JobState { name: "video".to_owned(), ..syncing() };
    jobs[8].fresh_ns = Some(NOW - 31 * HOUR);
    jobs[8].watch = None;
    jobs
}
