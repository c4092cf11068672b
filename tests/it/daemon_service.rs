//! The daemon as a service: kills at any moment, leases, reloads, and whoever asks it by its socket. After each of these
//! both sides are equal, nothing is deleted that should not be, and nothing is sent twice.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::daemon::{Daemon, JOB, ask};
use crate::support::s3::{Abandoned, Effect, Faults, Moment, Rule};
use crate::support::sandbox::{REMOTE, Sandbox, bytes};

const MIB: usize = 1024 * 1024;

/// A job of the media directory to a place, as a table of the configuration.
pub(super) fn job(sandbox: &Sandbox, name: &str, destination: &str, more: &str) -> String {
    let media = sandbox.path("media");
    format!(
        "[[job]]\nname = {name:?}\nsource = {:?}\ndestination = {destination:?}\nmode = \"copy\"\ndelete = true\n{more}\n",
        media.to_str().unwrap()
    )
}

pub(super) fn watched(sandbox: &Sandbox, more: &str) {
    sandbox.configure(more);
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

/// How often a key was sent so far.
fn sent(sandbox: &Sandbox, name: &str) -> usize {
    sandbox.requested("PutObject").iter().filter(|key| *key == name).count()
}

pub(super) fn filled() -> Sandbox {
    Sandbox::with(&[("kept.jpg", "kept"), ("edited.jpg", "before"), ("removed.jpg", "removed")])
}

/// Writes, edits, renames and removes files until it is told to stop; gives the names of what is left.
fn writer(root: &Path, seed: u64, stop: &Arc<AtomicBool>) -> JoinHandle<Vec<String>> {
    let own = format!("w{seed}");
    let (root, stop) = (root.join(&own), Arc::clone(stop));
    std::thread::spawn(move || {
        let mut random = fastrand::Rng::with_seed(seed);
        fs::create_dir_all(&root).unwrap();
        let mut names: Vec<String> = Vec::new();
        for n in 0.. {
            if stop.load(Relaxed) {
                break;
            }
            match (random.u8(0..10), names.is_empty()) {
                (0..=5, _) | (_, true) => {
                    let name = format!("d{}/{n}.jpg", random.u8(0..5));
                    fs::create_dir_all(root.join(&name).parent().unwrap()).unwrap();
                    fs::write(root.join(&name), bytes(random.u64(..), random.usize(0..30_000))).unwrap();
                    names.push(name);
                }
                (6 | 7, false) => {
                    let name = &names[random.usize(..names.len())];
                    fs::write(root.join(name), format!("edited at {n}")).unwrap();
                }
                (8, false) => {
                    let name = names.swap_remove(random.usize(..names.len()));
                    let to = format!("moved-{n}.jpg");
                    fs::rename(root.join(name), root.join(&to)).unwrap();
                    names.push(to);
                }
                _ => fs::remove_file(root.join(names.swap_remove(random.usize(..names.len())))).unwrap(),
            }
            sleep(Duration::from_millis(random.u64(5..40)));
        }
        names.into_iter().map(|name| format!("{own}/{name}")).collect()
    })
}

#[test]
fn a_hundred_kills_and_stops_under_load_lose_nothing_and_leave_nothing() {
    kills_and_stops(100, Duration::ZERO, ONE_WAY);
}

/// What a killed daemon asked for is done when the next one has begun.
#[test]
fn kills_with_a_server_that_finishes_what_the_dead_asked_for_lose_nothing() {
    kills_and_stops(40, Duration::from_millis(150), ONE_WAY);
}

/// No file that was removed comes back to the disk.
#[test]
fn kills_of_a_two_way_job_with_such_a_server_bring_nothing_back() {
    kills_and_stops(40, Duration::from_millis(150), "mode = \"two-way\"");
}

const ONE_WAY: &str = "mode = \"copy\"\ndelete = true";

fn kills_and_stops(rounds: u32, slow: Duration, mode: &str) {
    let seed = std::env::var("MEDIASYNC_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(4);
    let rounds = std::env::var("MEDIASYNC_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(rounds);
    println!("seed {seed}");
    let sandbox = Sandbox::new();
    let more = format!("{mode}\nwatch = true\nmax_delete = 100000\nmax_overwrite = 100000");
    sandbox.configure_as(&format!(
        "[[job]]\nname = {JOB:?}\nsource = {:?}\ndestination = {REMOTE:?}\n{more}\n",
        sandbox.media("")
    ));
    if !slow.is_zero() {
        // Finding out what the server can do takes longer than any daemon lives.
        sandbox.by_config(&["sync", JOB]).exits(0);
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..2).map(|n| writer(&sandbox.path("media"), seed + n, &stop)).collect();
    sandbox.server.quirks(|quirks| {
        (quirks.latency, quirks.slow_changes) = (Duration::from_millis(2), slow);
        quirks.abandoned = if slow.is_zero() { Abandoned::Dropped } else { Abandoned::CarriedOut };
    });
    let mut daemon = Some(sandbox.daemon());
    let mut kills = 0;
    for round in 0..rounds {
        sleep(Duration::from_millis(random.u64(60..180)));
        if round % 10 == 0 {
            sandbox.write(&format!("large/{round}.bin"), bytes(u64::from(round), 17 * MIB));
        }
        let running = daemon.take().unwrap();
        daemon = Some(if random.bool() {
            running.signal(Signal::STOP);
            sleep(Duration::from_millis(random.u64(20..80)));
            running.signal(Signal::CONT);
            running
        } else {
            kills += i32::from(running.kill() == -9);
            sandbox.daemon()
        });
    }
    stop.store(true, Relaxed);
    let mut left: BTreeSet<String> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
    left.extend((0..rounds).step_by(10).map(|round| format!("large/{round}.bin")));
    assert!(kills > i32::try_from(rounds / 4).unwrap(), "{kills} kills");
    daemon.unwrap().kill();
    // Later, so that what killed ones left behind belongs to nobody who may still be at work.
    sandbox.server.quirks(|quirks| {
        (quirks.latency, quirks.slow_changes, quirks.clock_ahead) = (Duration::ZERO, Duration::ZERO, 120);
    });
    let mut daemon = sandbox.daemon();
    sleep(slow * 3);
    let job = daemon.until_equal();
    assert_eq!((&job["problem_count"], &job["conflict_count"]), (&json!(0), &json!(0)), "seed {seed}: {job}");
    assert_eq!(sandbox.local_names(), left, "seed {seed}");
    daemon.stop().exits(0);
    assert_eq!(sandbox.files("work"), Vec::<std::path::PathBuf>::new(), "temporary files");
    sandbox.server.clear_log();
    sandbox.by_config(&["sync", JOB]).exits(0);
    sandbox.assert_changes(&[]);
}

/// A daemon with the same configuration and a state of its own, like one of another host.
fn other_host(sandbox: &Sandbox) -> Command {
    let mut command = Command::new("/bin/bash");
    let state = sandbox.path("state-of-another");
    fs::create_dir_all(&state).unwrap();
    let script = "exec \"$0\" \"${@:1:$#-1}\" \"$OTHER\"";
    command.args(["-c", &format!("OTHER={:?}; {script}", state.to_str().unwrap()), env!("CARGO_BIN_EXE_mediasync")]);
    command
}

fn other_job(sandbox: &Sandbox) -> Value {
    let socket = sandbox.path("state-of-another").join("control.sock");
    let state = ask(&socket, &json!({"v": 1, "ask": "status"})).ok().and_then(|mut answers| answers.pop());
    state.map(|mut state| state["state"]["jobs"][0].take()).unwrap_or_default()
}

#[test]
fn with_a_lease_one_of_two_daemons_changes_something() {
    let sandbox = filled();
    watched(&sandbox, "lease = true");
    let mut first = sandbox.daemon();
    first.until_idle();
    let second = sandbox.daemon_in(&mut other_host(&sandbox));
    first.wait_for("the second one looked", || other_job(&sandbox)["phase"] == "idle");
    sandbox.server.clear_log();
    let gate = sandbox.server.hold(Moment::BeforeHandling, "PutObject", "site/new.jpg");
    sandbox.write("new.jpg", "new");
    gate.reached_blocking(1);
    first.wait_for("the other one stands by", || {
        first_of([&first_phase(&sandbox), &other_job(&sandbox)["phase"]]) == "standby"
    });
    assert_eq!(sent(&sandbox, "new.jpg"), 1, "only one of them changes something");
    gate.release();
    first.until_equal();
    first.wait_for("the other one is content", || {
        first_phase(&sandbox) == "idle" && other_job(&sandbox)["phase"] == "idle"
    });
    assert_eq!(sent(&sandbox, "new.jpg"), 1);
    sandbox.assert_equal();
    second.stop().exits(0);
    first.stop().exits(0);
}

fn first_phase(sandbox: &Sandbox) -> Value {
    let socket = sandbox.path("state").join("control.sock");
    let state = ask(&socket, &json!({"v": 1, "ask": "status"})).ok().and_then(|mut answers| answers.pop());
    state.map(|mut state| state["state"]["jobs"][0]["phase"].take()).unwrap_or_default()
}

fn first_of(phases: [&Value; 2]) -> &'static str {
    if phases.iter().any(|phase| **phase == "standby") { "standby" } else { "" }
}

#[test]
fn a_run_by_hand_of_a_job_with_a_lease_takes_it() {
    let sandbox = filled();
    watched(&sandbox, "lease = true");
    sandbox.by_config(&["sync", "media"]).exits(0);
    let leases = sandbox.requested("PutObject").into_iter().filter(|key| key.starts_with(".mediasync/lease")).count();
    assert!(leases >= 1, "{:?}", sandbox.requested("PutObject"));
    sandbox.assert_equal();
}

fn names(daemon: &Daemon<'_>) -> Vec<String> {
    let state = daemon.state().unwrap_or_default();
    let jobs = state["jobs"].as_array().cloned().unwrap_or_default();
    jobs.iter().map(|job| job["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_changed_configuration_is_taken_and_a_bad_one_is_not() {
    let sandbox = filled();
    watched(&sandbox, "");
    let backup = sandbox.path("backup");
    fs::create_dir(&backup).unwrap();
    let first = job(&sandbox, "media", "env:DEFAULT_STORAGE_DSN", "watch = true");
    let second = job(&sandbox, "copy", backup.to_str().unwrap(), "watch = true");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    let reload = |daemon: &mut Daemon<'_>, text: &str, what: &str, is: &dyn Fn(&Daemon<'_>) -> bool| {
        sandbox.configure_as(text);
        daemon.signal(Signal::HUP);
        let begun = Instant::now();
        while !is(daemon) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{what}: {:#?}", daemon.state());
            sleep(Duration::from_millis(10));
        }
    };
    // One more.
    let both = format!("{first}{second}");
    reload(&mut daemon, &both, "added", &|daemon| names(daemon) == ["media", "copy"]);
    daemon.wait_for("the new one runs", || backup.join("kept.jpg").exists());
    let totals = daemon.job()["totals"]["cycles_both"].as_u64();
    assert!(totals >= Some(1), "what was known of a job that stays is kept: {totals:?}");
    // A paused one stays paused.
    daemon.ask(&json!({"v": 1, "ask": "pause", "job": "media"})).unwrap();
    daemon.until("paused", |job| job["phase"] == "paused");
    // Mistakes.
    let bad = |daemon: &Daemon<'_>| daemon.state().is_some_and(|state| state["reload_error"].is_string());
    for mistake in ["[[job]]\nname = \n", &first.replace("watch", "wacht"), &first.replace("watch = true", "")] {
        sandbox.server.clear_log();
        reload(&mut daemon, mistake, mistake, &bad);
        assert_eq!(names(&daemon), ["media", "copy"]);
        let good = |daemon: &Daemon<'_>| daemon.state().is_some_and(|state| state["reload_error"].is_null());
        reload(&mut daemon, &both, "put right", &good);
        daemon.until("paused still", |job| job["phase"] == "paused");
    }
    daemon.ask(&json!({"v": 1, "ask": "resume", "job": "media"})).unwrap();
    sandbox.write("late.jpg", "late");
    daemon.until_equal();
    // One less, and the other one changed.
    let less = job(&sandbox, "copy", backup.to_str().unwrap(), "watch = true\nexclude = [\"*.tmp\"]");
    reload(&mut daemon, &less, "removed", &|daemon| names(daemon) == ["copy"]);
    sandbox.take_changed();
    sandbox.write("a.tmp", "not this");
    sandbox.write("last.jpg", "last");
    daemon.wait_for("it is copied", || backup.join("last.jpg").exists());
    assert!(!backup.join("a.tmp").exists());
    assert_eq!(sandbox.take_changed(), Vec::<String>::new(), "what was removed does nothing any more");
    let ran = daemon.stop().exits(0);
    assert!(ran.all().contains("the one before stays in force"), "{ran:?}");
}

#[test]
fn what_is_under_way_ends_before_the_daemon_does() {
    let sandbox = filled();
    watched(&sandbox, "");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    let gate = sandbox.server.hold(Moment::BeforeHandling, "PutObject", "site/new.jpg");
    sandbox.write("new.jpg", "new");
    gate.reached_blocking(1);
    daemon.signal(Signal::TERM);
    sleep(Duration::from_millis(300));
    gate.release();
    daemon.stop().exits(0);
    sandbox.assert_equal();
}

#[test]
fn what_does_not_end_in_time_is_parked_and_goes_on() {
    let sandbox = Sandbox::with(&[("kept.jpg", "kept")]);
    let text = job(&sandbox, "media", "env:DEFAULT_STORAGE_DSN", "watch = true");
    sandbox.configure_as(&format!("[daemon]\nshutdown_deadline = \"1s\"\n{text}"));
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    sandbox.server.faults(|faults| {
        faults.add(Rule::new("UploadPart", Effect::Delay(Duration::from_secs(30))).skip(3));
    });
    sandbox.write("large.bin", bytes(1, 39 * MIB));
    daemon.wait_for("three parts", || {
        let log = sandbox.server.requests();
        log.iter().filter(|entry| entry.call.operation == "UploadPart" && entry.status == Some(200)).count() >= 3
    });
    sleep(Duration::from_millis(200));
    let begun = Instant::now();
    daemon.stop().exits(0);
    assert!(begun.elapsed() < Duration::from_secs(15), "within its deadline");
    sandbox.server.faults(Faults::clear);
    sandbox.server.clear_log();
    assert_eq!(sandbox.bucket.uploads().len(), 1);
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    daemon.stop().exits(0);
    let counts = (sandbox.server.count("CreateMultipartUpload"), sandbox.server.count("UploadPart"));
    assert_eq!(counts, (0, 2), "five parts, three of them finished");
}

/// Three parts take all the memory for large bodies, and the next ones wait for it.
#[test]
fn a_small_file_goes_while_the_parts_of_a_large_one_are_stuck() {
    let sandbox = filled();
    watched(&sandbox, "");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    let gate = sandbox.server.hold(Moment::BeforeHandling, "UploadPart", "site/large.bin");
    sandbox.write("large.bin", bytes(1, 39 * MIB));
    daemon.wait_for("the large one", || sandbox.server.count("CreateMultipartUpload") == 1);
    gate.reached_blocking(3);
    sandbox.write("small.jpg", "small");
    daemon.wait_for("the small one", || sandbox.remote_names().contains("small.jpg"));
    assert!(!sandbox.remote_names().contains("large.bin"));
    gate.release();
    daemon.until_equal();
    daemon.stop().exits(0);
}

#[test]
fn a_second_daemon_of_one_state_exits_5() {
    let sandbox = filled();
    watched(&sandbox, "");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    sandbox.by_config(&["daemon"]).exits(5).says(&["another daemon", "hint"]);
    sandbox.write("new.jpg", "new");
    daemon.until_equal();
    daemon.stop().exits(0);
}

#[test]
fn commands_on_a_pair_of_the_daemon_are_run_by_it_or_borrow_it() {
    let sandbox = filled();
    watched(&sandbox, "full_scan_interval = \"1h\"");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    let media = sandbox.path("media");
    // The same as the daemon would do: it does it.
    sandbox.by_config(&["sync", "media"]).exits(0).says(&["sync media"]);
    let ran = sandbox.by_config(&["sync", "media", "--json"]).exits(0);
    assert_eq!(ran.line("summary")["done"]["creates"], 0, "{ran:?}");
    // Everything else borrows the pair.
    sandbox.by_config(&["sync", "media", "--only", "kept.jpg"]).exits(0);
    sandbox.push(&[]).exits(0);
    daemon.until_equal();
    // What only looks needs nothing.
    sandbox.by_config(&["sync", "media", "--dry-run"]).exits(0);
    // A conflict: the exit code is passed on, and resolved by hand.
    daemon.ask(&json!({"v": 1, "ask": "pause", "job": "media"})).unwrap();
    sandbox.put("kept.jpg", "theirs");
    sandbox.write("kept.jpg", "ours, edited");
    sandbox.by_config(&["sync", "media"]).exits(3).says(&["conflict: kept.jpg"]);
    assert_eq!(&sandbox.content("kept.jpg")[..], b"theirs");
    sandbox.by_config(&["resolve", "media", "kept.jpg", "--take", "source"]).exits(0);
    assert_eq!(&sandbox.content("kept.jpg")[..], b"ours, edited");
    daemon.ask(&json!({"v": 1, "ask": "resume", "job": "media"})).unwrap();
    let job = daemon.until_equal();
    assert_eq!(job["conflict_count"], 0, "{job}");
    // Ctrl-C of the client ends the run, and the daemon goes on with it.
    let gate = sandbox.server.hold(Moment::BeforeHandling, "ListObjectsV2", "*");
    let config = sandbox.path("config.toml");
    let run = sandbox.start(&["--config", config.to_str().unwrap(), "sync", "media"]);
    gate.reached_blocking(1);
    signal(run.id(), Signal::INT);
    run.wait().exits(130);
    sandbox.write("new.jpg", "new");
    gate.release();
    daemon.until_equal();
    // The daemon is told to stop in the middle: the client hears of it.
    let gate = sandbox.server.hold(Moment::BeforeHandling, "ListObjectsV2", "*");
    let run = sandbox.start(&["--config", config.to_str().unwrap(), "sync", "media"]);
    gate.reached_blocking(1);
    daemon.stop().exits(0);
    let ran = run.wait().says(&["interrupted"]);
    assert_eq!(ran.code, 130, "{ran:?}");
    drop((gate, media));
    // Killed in the middle.
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    let gate = sandbox.server.hold(Moment::BeforeHandling, "ListObjectsV2", "*");
    let run = sandbox.start(&["--config", config.to_str().unwrap(), "sync", "media"]);
    gate.reached_blocking(1);
    daemon.kill();
    run.wait().exits(1).says(&["the daemon of", "run it again"]);
    drop(gate);
    sandbox.by_config(&["sync", "media"]).exits(0);
    sandbox.assert_equal();
}

#[test]
fn a_reload_does_not_wait_for_a_run_of_somebody_else() {
    let sandbox = filled();
    watched(&sandbox, "");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    let gate = sandbox.server.hold(Moment::BeforeHandling, "ListObjectsV2", "*");
    let config = sandbox.path("config.toml");
    let run = sandbox.start(&["--config", config.to_str().unwrap(), "sync", "media"]);
    gate.reached_blocking(1);
    sandbox.configure_as("[[job]]\nwrong\n");
    daemon.signal(Signal::HUP);
    daemon.wait_for("a refused one is told", || {
        let socket = sandbox.path("state").join("control.sock");
        let answers = ask(&socket, &json!({"v": 1, "ask": "status"})).unwrap_or_default();
        answers.first().is_some_and(|answer| answer["state"]["reload_error"].is_string())
    });
    watched(&sandbox, "concurrency = 3");
    daemon.signal(Signal::HUP);
    let mut job = daemon.until("started anew", |job| job["phase"] == "standby");
    assert!(job["error"]["message"].take().as_str().unwrap().contains("process"), "who holds it is named");
    gate.release();
    run.wait().exits(0);
    daemon.until_equal();
    daemon.stop().exits(0);
}

#[test]
fn noise_on_the_socket_changes_nothing() {
    let sandbox = filled();
    watched(&sandbox, "");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    let socket = sandbox.path("state").join("control.sock");
    let say = |noise: &[u8]| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // Whoever is not heard may be cut off.
        stream.write_all(noise).ok();
        stream.shutdown(Shutdown::Write).ok();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok();
        String::from_utf8_lossy(&answer).into_owned()
    };
    assert!(say(b"garbage\n").contains("that is no question"));
    assert!(say(b"{\"v\":1,\"ask\":\"status\",\"job\":{}}\n").contains("state"));
    say(&vec![b'x'; 4 * MIB]);
    say(&[0xff, 0xfe, b'\n', 0]);
    say(b"");
    say(format!("{}\n", json!({"v": 1, "ask": "lend", "pair": "../../etc"})).as_bytes());
    say(format!("{}\n", json!({"v": 1, "ask": "run", "job": "media", "meant": "", "how": {"json": false, "verbosity": 0, "colour": false}})).as_bytes());
    say("[".repeat(60_000).as_bytes());
    // Connections that say nothing are cut off after a while, and others are answered then.
    let slow: Vec<UnixStream> = (0..100).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    for (n, mut stream) in slow.iter().enumerate() {
        if n % 2 == 0 {
            stream.write_all(b"{\"v\":1").unwrap();
        }
    }
    sandbox.write("new.jpg", "new");
    daemon.wait_for("syncing goes on", || sandbox.remote().contains_key("new.jpg"));
    drop(slow);
    let job = daemon.until_equal();
    assert_eq!(job["error"], Value::Null);
    daemon.stop().exits(0);
}
