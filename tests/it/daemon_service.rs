//! The daemon as a service: servers that fail, credentials that change, kills at any moment, leases, reloads, and
//! whoever asks it by its socket. After each of these both sides are equal, nothing is deleted that should not be, and
//! nothing is sent twice.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
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
use crate::support::front::{Front, Then};
use crate::support::s3::{Effect, Faults, Moment, Rule};
use crate::support::sandbox::{Sandbox, bytes};

const MIB: usize = 1024 * 1024;

/// A job of the media directory to a place, as a table of the configuration.
fn job(sandbox: &Sandbox, name: &str, destination: &str, more: &str) -> String {
    let media = sandbox.path("media");
    format!(
        "[[job]]\nname = {name:?}\nsource = {:?}\ndestination = {destination:?}\nmode = \"copy\"\ndelete = true\n{more}\n",
        media.to_str().unwrap()
    )
}

fn watched(sandbox: &Sandbox, more: &str) {
    sandbox.configure(more);
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

/// How often a key was sent so far.
fn sent(sandbox: &Sandbox, name: &str) -> usize {
    sandbox.requested("PutObject").iter().filter(|key| *key == name).count()
}

/// A way to a server that can be closed: then nobody listens, and connections break.
struct Way {
    at: std::net::SocketAddr,
    to: std::net::SocketAddr,
    open: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Way {
    fn to(endpoint: &str) -> Self {
        let to = endpoint.trim_start_matches("http://").parse().unwrap();
        let mut way = Self { at: "127.0.0.1:0".parse().unwrap(), to, open: None };
        way.open();
        way
    }

    fn open(&mut self) {
        let listener = TcpListener::bind(self.at).unwrap();
        listener.set_nonblocking(true).unwrap();
        self.at = listener.local_addr().unwrap();
        let (open, to) = (Arc::new(AtomicBool::new(true)), self.to);
        let inner = Arc::clone(&open);
        let thread = std::thread::spawn(move || {
            let mut lines: Vec<TcpStream> = Vec::new();
            while inner.load(Relaxed) {
                let Ok((near, _)) = listener.accept() else {
                    sleep(Duration::from_millis(1));
                    continue;
                };
                near.set_nonblocking(false).unwrap();
                let far = TcpStream::connect(to).unwrap();
                for line in [&near, &far] {
                    line.set_nodelay(true).unwrap();
                    lines.push(line.try_clone().unwrap());
                }
                for (mut from, mut into) in
                    [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far.try_clone().unwrap(), near)]
                {
                    std::thread::spawn(move || {
                        io::copy(&mut from, &mut into).ok();
                        into.shutdown(Shutdown::Write).ok();
                    });
                }
            }
            for line in lines {
                line.shutdown(Shutdown::Both).ok();
            }
        });
        self.open = Some((open, thread));
    }

    fn close(&mut self) {
        if let Some((open, thread)) = self.open.take() {
            open.store(false, Relaxed);
            thread.join().unwrap();
        }
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.close();
    }
}

/// While the server fails: files are added, edited and removed. Then it is well again.
fn catches_up(sandbox: &Sandbox, daemon: &mut Daemon<'_>, says: &[&str], heal: impl FnOnce()) -> Vec<String> {
    sandbox.write("new/1.jpg", "one");
    sandbox.write("new/2.jpg", "two");
    sandbox.write("edited.jpg", "edited");
    sandbox.remove("removed.jpg");
    // A server that answers may do so for some keys only: then these are what is told of.
    let reason = |job: &Value| {
        let message = if job["error"].is_null() { &job["problems"][0]["message"] } else { &job["error"]["message"] };
        message.as_str().map(str::to_lowercase)
    };
    let job = daemon.until("the reason is told", |job| reason(job).is_some());
    let told = reason(&job).unwrap_or_default();
    assert!(says.iter().any(|word| told.contains(&word.to_lowercase())), "{told}");
    assert!(job["error"].is_null() || job["error"]["retry_ns"].is_i64(), "{job}");
    heal();
    daemon.until_equal();
    let job =
        daemon.until("well again", |job| job["error"].is_null() && job["phase"] == "idle" && job["problem_count"] == 0);
    assert_eq!((&job["problem_count"], &job["halt"]), (&json!(0), &Value::Null));
    let mut changed = sandbox.take_changed();
    changed.sort();
    let deleted: Vec<&String> = changed.iter().filter(|line| line.starts_with("DELETE")).collect();
    assert_eq!(deleted, ["DELETE removed.jpg"]);
    changed
}

fn filled() -> Sandbox {
    Sandbox::with(&[("kept.jpg", "kept"), ("edited.jpg", "before"), ("removed.jpg", "removed")])
}

#[test]
fn a_server_that_answers_503_is_asked_again_and_everything_arrives() {
    let sandbox = filled();
    watched(&sandbox, "");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    sandbox.server.clear_log();
    sandbox.server.faults(|faults| faults.add(Rule::new("*", Effect::Status(503, "ServiceUnavailable"))));
    catches_up(&sandbox, &mut daemon, &["503", "unavailable"], || sandbox.server.faults(Faults::clear));
    daemon.stop().exits(0);
}

#[test]
fn a_server_that_refuses_the_key_is_asked_again_and_everything_arrives() {
    let sandbox = filled();
    watched(&sandbox, "");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    sandbox.server.clear_log();
    sandbox.server.faults(|faults| faults.add(Rule::new("*", Effect::Status(403, "InvalidAccessKeyId"))));
    catches_up(&sandbox, &mut daemon, &["credential", "key", "403"], || sandbox.server.faults(Faults::clear));
    daemon.stop().exits(0);
}

#[test]
fn a_server_that_is_not_there_is_asked_again_and_everything_arrives() {
    let mut sandbox = filled();
    let mut way = Way::to(&sandbox.server.endpoint());
    let dsn = sandbox.dsn(&format!("endpoint=http://{}", way.at));
    sandbox.env("DEFAULT_STORAGE_DSN", &dsn);
    watched(&sandbox, "");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    sandbox.take_changed();
    way.close();
    let changed = catches_up(&sandbox, &mut daemon, &["connect"], || way.open());
    let expected = ["DELETE removed.jpg", "PUT edited.jpg", "PUT new/1.jpg", "PUT new/2.jpg"];
    assert_eq!(changed, expected, "each once");
    daemon.stop().exits(0);
}

#[test]
fn credentials_that_are_rotated_are_read_without_a_restart() {
    let sandbox = filled();
    let dsn = sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint()));
    let rotated = dsn.replace(sandbox.server.access_key(), "AKIAROTATEDKEY000000");
    fs::write(sandbox.path("dsn"), &dsn).unwrap();
    let by_file = format!("dsn-file:{}", sandbox.path("dsn").display());
    sandbox.configure_as(&job(&sandbox, "media", &by_file, "watch = true"));
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    sandbox.server.clear_log();
    sandbox.server.quirks(|quirks| quirks.access_key = Some("AKIAROTATEDKEY000000"));
    catches_up(&sandbox, &mut daemon, &["credential", "key", "403"], || {
        fs::write(sandbox.path("dsn"), rotated).unwrap();
    });
    daemon.stop().exits(0);
}

#[test]
fn a_command_that_prints_the_dsn_is_run_again_when_the_key_is_refused() {
    let sandbox = filled();
    let dsn = sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint()));
    let rotated = dsn.replace(sandbox.server.access_key(), "AKIAROTATEDKEY000000");
    fs::write(sandbox.path("dsn"), &dsn).unwrap();
    let remote = format!("[remote.shop]\ndsn_command = [\"/bin/cat\", {:?}]\n", sandbox.path("dsn").to_str().unwrap());
    sandbox.configure_as(&(remote + &job(&sandbox, "media", "shop:", "watch = true")));
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    assert!(daemon.job()["dest"].as_str().unwrap().starts_with("s3://"), "{}", daemon.job()["dest"]);
    fs::write(sandbox.path("dsn"), rotated).unwrap();
    sandbox.server.quirks(|quirks| quirks.access_key = Some("AKIAROTATEDKEY000000"));
    sandbox.write("new.jpg", "new");
    daemon.until_equal();
    daemon.stop().exits(0);
}

/// As if the last run had been hours ago.
fn long_ago(sandbox: &Sandbox, hours: i64) {
    let db = rusqlite::Connection::open(sandbox.manifest()).unwrap();
    let ns = hours * 3_600_000_000_000;
    db.execute("UPDATE runs SET started = started - ?1, ended = ended - ?1", [ns]).unwrap();
}

fn healthz(port: u16) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split_whitespace().nth(1).unwrap_or_default().to_owned();
    (status, text)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn mirror_to_disk(sandbox: &Sandbox, port: u16, front: &Front) {
    sandbox.configure_as(&format!(
        "[http]\nlisten = \"127.0.0.1:{port}\"\n[notify]\nwebhook = \"http://{}/hook\"\nping = \"http://{}/ping\"\n\
         command = [\"/bin/sh\", \"-c\", \"cat >> {}\"]\n\
         [[job]]\nname = \"backup\"\nsource = \"env:DEFAULT_STORAGE_DSN\"\ndestination = {:?}\nmode = \"mirror\"\n\
         cron = \"0 * * * *\"\n",
        front.host(),
        front.host(),
        sandbox.path("told").display(),
        sandbox.path("media").to_str().unwrap(),
    ));
}

#[test]
fn a_scheduled_mirror_makes_up_what_it_missed_and_halts_when_the_live_side_shrank() {
    let sandbox = Sandbox::new();
    for n in 0..100 {
        sandbox.put(&format!("{n:03}.jpg"), format!("content {n}"));
    }
    let front = Front::alone();
    front.on(|_| Some(Then::Answer(200, Vec::new(), String::new())));
    let kinds = |path: &str| front.calls().iter().filter(|call| call.path == path).count();
    let port = free_port();
    mirror_to_disk(&sandbox, port, &front);
    // It never ran: it waits for its time.
    let mut daemon = sandbox.daemon();
    let waiting = daemon.until("idle", |job| job["phase"] == "idle" && job["next_ns"].is_i64());
    let hour = 3_600_000_000_000;
    assert_eq!(waiting["next_ns"].as_i64().unwrap() / 1_000_000_000 % 3_600, 0, "{waiting}");
    assert_eq!((sandbox.local().len(), sandbox.server.requests().len()), (0, 0));
    daemon.stop().exits(0);
    sandbox.by_config(&["sync", "backup"]).exits(0);
    assert_eq!(sandbox.local().len(), 100);
    // It ran this hour: nothing is due. (Unless an hour begins right now.)
    long_ago(&sandbox, 3);
    sandbox.put("new.jpg", "new");
    let mut daemon = sandbox.daemon();
    let ran = daemon.until("made up", |job| job["last"]["look"] == "both" && job["phase"] == "idle");
    assert_eq!((sandbox.local().len(), &ran["totals"]["cycles_both"]), (101, &json!(1)), "three missed, one made up");
    assert!(ran["next_ns"].as_i64().unwrap() - ran["fresh_ns"].as_i64().unwrap() <= hour);
    assert_eq!(healthz(port).0, "200");
    daemon.wait_for("a ping", || kinds("/ping") > 0);
    daemon.stop().exits(0);
    // The live side shrinks.
    let (backup, mut gone) = (sandbox.local(), (0..60).map(|n| format!("site/{n:03}.jpg")));
    assert!(gone.all(|key| sandbox.bucket.remove(&key)));
    long_ago(&sandbox, 3);
    front.clear();
    let mut daemon = sandbox.daemon();
    let halted = daemon.until("halted", |job| job["phase"] == "halted");
    assert!(halted["halt"]["command"].as_str().unwrap().contains("mediasync approve backup"), "{halted}");
    assert!(sandbox.local() == backup, "the backup is as it was");
    let (status, text) = healthz(port);
    assert_eq!(status, "503", "{text}");
    daemon.wait_for("the webhook", || kinds("/hook") > 0);
    assert_eq!(kinds("/ping"), 0, "no ping while halted");
    daemon.stop().exits(0);
    // A restart does not silence the alarm, although its hour has passed.
    let mut daemon = sandbox.daemon();
    let halted = daemon.until("halted again", |job| job["phase"] == "halted");
    assert_eq!(healthz(port).0, "503");
    let command = halted["halt"]["command"].as_str().unwrap().to_owned();
    daemon.signal(Signal::HUP);
    sleep(Duration::from_millis(500));
    assert_eq!(healthz(port).0, "503", "nor does a reload");
    daemon.until("halted still", |job| job["phase"] == "halted");
    let plan = command.split_whitespace().nth(3).unwrap();
    sandbox.by_config(&["approve", "backup", plan]).exits(0);
    assert_eq!(sandbox.local().len(), 41);
    let job = daemon.until("well", |job| job["phase"] == "idle" && job["halt"].is_null());
    assert_eq!(healthz(port).0, "200", "{job}");
    daemon.wait_for("both hooks", || {
        let calls = front.calls();
        let told = |kind: &str| {
            let quoted = format!("\"{kind}\"");
            calls.iter().any(|call| call.path == "/hook" && String::from_utf8_lossy(&call.body).contains(&quoted))
        };
        let by_command = fs::read_to_string(sandbox.path("told")).unwrap_or_default();
        told("halt") && told("recovery") && by_command.contains("\"halt\"") && by_command.contains("\"recovery\"")
    });
    daemon.stop().exits(0);
}

#[test]
fn a_scheduled_run_that_was_cut_off_is_made_up_at_the_next_start() {
    let sandbox = filled();
    sandbox.configure_as(&job(&sandbox, "media", "env:DEFAULT_STORAGE_DSN", "cron = \"0 * * * *\""));
    let gate = sandbox.server.hold(Moment::BeforeHandling, "PutObject", "site/*.jpg");
    let run = sandbox.start(&["--config", sandbox.path("config.toml").to_str().unwrap(), "sync", "media"]);
    gate.reached_blocking(1);
    run.kill();
    gate.release();
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    daemon.stop().exits(0);
}

/// Writes, edits, renames and removes files until it is told to stop; gives what is left.
fn writer(root: &Path, seed: u64, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    let (root, stop) = (root.join(format!("w{seed}")), Arc::clone(stop));
    std::thread::spawn(move || {
        let mut random = fastrand::Rng::with_seed(seed);
        fs::create_dir_all(&root).unwrap();
        let mut names: Vec<String> = Vec::new();
        for n in 0.. {
            if stop.load(Relaxed) {
                return;
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
    })
}

#[test]
fn a_hundred_kills_and_stops_under_load_lose_nothing_and_leave_nothing() {
    let seed = std::env::var("MEDIASYNC_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(4);
    let rounds: u32 = std::env::var("MEDIASYNC_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(100);
    println!("seed {seed}");
    let sandbox = Sandbox::new();
    watched(&sandbox, "max_delete = 100000\nmax_overwrite = 100000");
    let mut random = fastrand::Rng::with_seed(seed);
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..2).map(|n| writer(&sandbox.path("media"), seed + n, &stop)).collect();
    sandbox.server.quirks(|quirks| quirks.latency = Duration::from_millis(2));
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
    for writer in writers {
        writer.join().unwrap();
    }
    assert!(kills > i32::try_from(rounds / 4).unwrap(), "{kills} kills");
    daemon.unwrap().kill();
    // Later, so that what killed ones left behind belongs to nobody who may still be at work.
    sandbox.server.quirks(|quirks| (quirks.latency, quirks.clock_ahead) = (Duration::ZERO, 120));
    let mut daemon = sandbox.daemon();
    let job = daemon.until_equal();
    assert_eq!((&job["problem_count"], &job["conflict_count"]), (&json!(0), &json!(0)), "seed {seed}: {job}");
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
