//! Two daemons with a lease, as on two hosts: processes of their own, states of their own, one bucket. They are stopped and
//! killed while they hold the lease; the other one takes over when its time is over, and whoever comes back stands down.
//!
//! The bucket's log tells the two apart by the name under which they know the server. What is checked of it, each
//! time: a host changes something only while it has the lease, and takes it from another one only after its whole
//! time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use rustix::process::Signal;
use serde_json::json;

use crate::support::daemon::{Daemon, JOB};
use crate::support::s3::{Effect, Faults, Logged, Moment, Rule};
use crate::support::sandbox::{PREFIX, Sandbox, bytes};

/// How long a lease is here, in seconds.
const TTL: u64 = 3;
/// How the hosts call the server.
const NAMES: [&str; 2] = ["127.0.0.1", "localhost"];
const LEASE: &str = ".mediasync/lease";
/// What no daemon of these tests may do without the lease, and what is none of its business.
const OTHERS: [&str; 2] = [LEASE, ".mediasync/id"];

/// One of the two hosts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Host {
    First,
    Second,
}

impl Host {
    const BOTH: [Self; 2] = [Self::First, Self::Second];

    fn other(self) -> Self {
        Self::BOTH[1 - self as usize]
    }

    /// Who sent a request.
    fn of(entry: &Logged) -> Self {
        if entry.header("host").starts_with(NAMES[1]) { Self::Second } else { Self::First }
    }

    fn media(self, sandbox: &Sandbox, media: Media) -> PathBuf {
        match (self, media) {
            (Self::Second, Media::Apart) => sandbox.path("media-of-the-second"),
            _ => sandbox.path("media"),
        }
    }

    fn state(self, sandbox: &Sandbox) -> PathBuf {
        sandbox.path(["state", "state-of-the-second"][self as usize])
    }

    /// What runs the program with these arguments there.
    fn command(self, sandbox: &Sandbox, arguments: &str) -> Command {
        let endpoint = sandbox.server.endpoint().replace(NAMES[0], NAMES[self as usize]);
        let dsn = sandbox.dsn(&format!("endpoint={endpoint}"));
        let script =
            format!("export DEFAULT_STORAGE_DSN=\"$1\"; exec \"$0\" --config \"$2\" {arguments} --state-dir \"$3\"");
        let mut command = Command::new("/bin/bash");
        let config = sandbox.path(&format!("config-{}.toml", self as usize));
        command.args(["-c", &script, env!("CARGO_BIN_EXE_mediasync"), &dsn]).args([&config, &self.state(sandbox)]);
        command
    }

    /// Writes its configuration.
    fn configure(self, sandbox: &Sandbox, media: Media, more: &str) {
        let directory = self.media(sandbox, media);
        fs::create_dir_all(self.state(sandbox)).unwrap();
        fs::create_dir_all(&directory).unwrap();
        let mode = match media {
            Media::Shared => "mode = \"copy\"\ndelete = true",
            Media::Apart => "mode = \"two-way\"\nfull_listing_interval = \"5s\"",
        };
        let job = format!(
            "[[job]]\nname = {JOB:?}\nsource = {directory:?}\ndestination = \"env:DEFAULT_STORAGE_DSN\"\n{mode}\n\
             watch = true\nlease = true\nconcurrency = 2\nmax_delete = 100000\nmax_overwrite = 100000\n{more}\n"
        );
        fs::write(sandbox.path(&format!("config-{}.toml", self as usize)), job).unwrap();
    }

    /// Starts its daemon.
    fn start(self, sandbox: &Sandbox) -> Daemon<'_> {
        let mut daemon = sandbox.daemon_in(&mut self.command(sandbox, "daemon -v --log-format human"));
        daemon.reach_by(&self.state(sandbox).join("control.sock"));
        daemon
    }
}

/// Where the files of the two hosts are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Media {
    /// One directory, as by NFS, that is copied to the bucket.
    Shared,
    /// Each has its own, and they meet in the bucket.
    Apart,
}

fn sandbox(files: &[(&str, &str)]) -> Sandbox {
    let mut sandbox = Sandbox::with(files);
    sandbox.env("MEDIASYNC_LEASE_TTL", &TTL.to_string());
    sandbox
}

/// What the bucket's log tells of the lease.
#[derive(Debug, Default)]
struct Turns {
    /// Who has it now.
    owner: Option<Host>,
    /// How often it was taken from a host that did not give it back.
    taken_over: usize,
    /// How long the last one who did waited, from what was seen last of the other one.
    waited: Option<Duration>,
    /// Changes that came without it, each as the host and what it did.
    strays: Vec<String>,
}

impl Turns {
    fn of(log: &[Logged]) -> Self {
        let mut turns = Self::default();
        let mut since = SystemTime::UNIX_EPOCH;
        for entry in log {
            let (host, call) = (Host::of(entry), &entry.call);
            let name = call.key.strip_prefix(PREFIX).unwrap_or(&call.key);
            let done = entry.status.is_some_and(|status| status < 300);
            match (name, call.operation) {
                (LEASE, "PutObject") if done => {
                    if turns.owner == Some(host.other()) {
                        turns.taken_over += 1;
                        let held = entry.at.duration_since(since).unwrap_or_default();
                        turns.waited = Some(held);
                        assert!(held >= Duration::from_secs(TTL), "{host:?} did not wait: {held:?}");
                    }
                    (turns.owner, since) = (Some(host), entry.at);
                }
                (LEASE, "DeleteObject") if done => turns.owner = None,
                _ if call.changes() && !OTHERS.contains(&name) && turns.owner != Some(host) => {
                    turns.strays.push(format!("{host:?}: {} {name}: {:?}", call.operation, entry.status));
                }
                _ => {}
            }
        }
        turns
    }

    fn so_far(sandbox: &Sandbox) -> Self {
        Self::of(&sandbox.server.requests())
    }
}

/// What a host changed in this part of the log.
fn changed_by(host: Host, log: &[Logged]) -> Vec<String> {
    let changes = log.iter().filter(|entry| Host::of(entry) == host && entry.call.changes());
    let name = |entry: &Logged| entry.call.key.strip_prefix(PREFIX).unwrap_or_default().to_owned();
    changes.map(|entry| format!("{} {}", entry.call.operation, name(entry))).collect()
}

fn order(daemon: &Daemon<'_>, what: &str) {
    daemon.ask(&json!({"v": 1, "ask": what, "job": JOB})).unwrap();
}

fn is_idle(job: &serde_json::Value) -> bool {
    job["phase"] == "idle" && job["dirty"] == 0
}

fn is_put(entry: &Logged, name: &str) -> bool {
    entry.call.operation == "PutObject" && entry.call.key.strip_prefix(PREFIX) == Some(name)
}

/// Waits until the lease is taken by a host, in the middle of what it changes.
fn until_held(sandbox: &Sandbox, host: Host) {
    let begun = Instant::now();
    let sent =
        || sandbox.server.requests().iter().any(|entry| is_put(entry, "edited.jpg") && entry.status == Some(200));
    while Turns::so_far(sandbox).owner != Some(host) || sandbox.server.faults(|faults| faults.fired()) < 2 || !sent() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{host:?} takes the lease and changes something");
        sleep(Duration::from_millis(2));
    }
}

/// Both run and are equal; then the first one has many changes to make: `edited.jpg` arrived, its requests for `held.jpg`
/// and one of `new/` are on their way for longer than its lease. The second one has not begun with any.
fn amidst(sandbox: &Sandbox) -> (Daemon<'_>, Daemon<'_>) {
    for host in Host::BOTH {
        host.configure(sandbox, Media::Shared, "");
    }
    let mut first = Host::First.start(sandbox);
    first.until_equal();
    let mut second = Host::Second.start(sandbox);
    second.until_equal();
    order(&first, "pause");
    order(&second, "pause");
    sandbox.server.clear_log();
    sandbox.bucket.take_erased();
    for n in 0..20 {
        sandbox.write(&format!("new/{n}.jpg"), format!("first {n}"));
    }
    sandbox.write("held.jpg", "by the first");
    sandbox.write("edited.jpg", "by the first");
    sandbox.remove("removed.jpg");
    // A deletion waits for its settling round.
    first.until("all was seen", |job| job["dirty"].as_u64() >= Some(4));
    sleep(Duration::from_secs(3));
    sandbox.server.faults(|faults| {
        let late = Rule::new("PutObject", Effect::Delay(Duration::from_secs(3 * TTL)));
        faults.add(late.clone().key("*held.jpg").times(1));
        faults.add(late.key("*new/*").times(1));
    });
    order(&first, "resume");
    until_held(sandbox, Host::First);
    (first, second)
}

const FILES: [(&str, &str); 4] =
    [("held.jpg", "before"), ("edited.jpg", "before"), ("removed.jpg", "before"), ("kept.jpg", "kept")];

#[test]
fn a_daemon_that_was_stopped_past_its_lease_stands_down_and_the_other_one_takes_over() {
    let sandbox = sandbox(&FILES);
    let (mut first, mut second) = amidst(&sandbox);
    first.signal(Signal::STOP);
    // The same keys, at the same place: what the first one had read and decided is no longer so.
    sandbox.write("held.jpg", "by the second");
    sandbox.write("edited.jpg", "by the second");
    sandbox.write("removed.jpg", "is back");
    sandbox.write("new/3.jpg", "by the second");
    sandbox.remove("new/4.jpg");
    order(&second, "resume");
    second.until("it stands by", |job| job["phase"] == "standby");
    // The second one can't know who wrote `edited.jpg`: whoever did will settle it.
    let mut there = sandbox.local();
    there.insert("edited.jpg".to_owned(), "by the first".into());
    second.wait_for("all but that", || objects(&sandbox) == there);
    second.until("and it told so", |job| job["phase"] == "idle" && job["conflict_count"] == 1);
    let before = sandbox.server.requests();
    let turns = Turns::of(&before);
    assert_eq!((turns.taken_over, turns.owner, turns.strays), (1, None, vec![]));
    let stopped = before.len();

    first.signal(Signal::CONT);
    first.until_equal();
    let log = sandbox.server.requests();
    let own = ["PutObject .mediasync/lease", "PutObject edited.jpg", "DeleteObject .mediasync/lease"];
    assert_eq!(changed_by(Host::First, &log[stopped..]), own, "nothing of its old plan");
    second.until("settled", |job| is_idle(job) && job["conflict_count"] == 0);
    // Later it has its turn again.
    order(&second, "pause");
    sandbox.write("later.jpg", "later");
    first.until_equal();
    assert!(!changed_by(Host::First, &sandbox.server.requests()[log.len()..]).is_empty());
    order(&second, "resume");
    second.until("it found that done", is_idle);
    assert_eq!(Turns::so_far(&sandbox).strays, Vec::<String>::new());
    first.stop().exits(0).says(&["this host lost its lease", "nothing more was changed"]);
    second.stop().exits(0).says(&["stands by: another host holds the lease"]);
    sandbox.assert_equal();
}

/// The first one is killed in the middle of what it does, and comes back when the other one has done it.
fn killed(sandbox: &Sandbox) -> Turns {
    let (first, mut second) = amidst(sandbox);
    first.kill();
    order(&second, "resume");
    second.until("it stands by", |job| job["phase"] == "standby");
    let left = Turns::so_far(sandbox);
    assert_eq!((left.owner, left.taken_over), (Some(Host::First), 0));
    second.until_equal();
    second.until("the lease is given back", is_idle);
    let turns = Turns::so_far(sandbox);
    assert_eq!((turns.taken_over, turns.owner, &turns.strays), (1, None, &vec![]));
    let done = sandbox.server.requests().len();
    let mut first = Host::First.start(sandbox);
    first.until("it looked", is_idle);
    assert_eq!(changed_by(Host::First, &sandbox.server.requests()[done..]), Vec::<String>::new());
    first.stop().exits(0);
    second.stop().exits(0);
    sandbox.assert_equal();
    turns
}

#[test]
fn when_the_holder_is_killed_the_other_one_takes_over() {
    killed(&sandbox(&FILES));
}

#[test]
#[ignore = "takes over a minute"]
fn when_the_holder_is_killed_the_other_one_takes_over_a_minute_later() {
    let turns = killed(&Sandbox::with(&FILES));
    assert!(turns.waited >= Some(Duration::from_mins(1)), "{turns:?}");
}

#[test]
fn a_host_that_stands_by_lists_nothing_and_is_well_as_long_as_the_other_one_works() {
    let sandbox = sandbox(&FILES);
    Host::First.configure(&sandbox, Media::Shared, "");
    Host::Second.configure(&sandbox, Media::Shared, "max_age = \"4s\"");
    let gate = sandbox.server.hold(Moment::BeforeHandling, "PutObject", "site/kept.jpg");
    let mut first = Host::First.start(&sandbox);
    gate.reached_blocking(1);
    let mut second = Host::Second.start(&sandbox);
    second.until("it stands by", |job| job["phase"] == "standby");
    sandbox.server.clear_log();
    let by_second = |operation: &str| {
        let log = sandbox.server.requests();
        let asked = log.iter().filter(|entry| Host::of(entry) == Host::Second && entry.call.operation == operation);
        asked.filter(|entry| operation != "GetObject" || entry.call.key.ends_with(LEASE)).count()
    };
    // For longer than its max_age.
    second.wait_for("it asks for the lease again and again", || by_second("GetObject") >= 15);
    assert_eq!((by_second("ListObjectsV2"), by_second("HeadObject")), (0, 0));
    let status = |code: i32, texts: &[&str]| {
        let mut command = Host::Second.command(&sandbox, "status");
        let output = command.env("HOME", sandbox.path("home")).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.code() == Some(code) && texts.iter().all(|told| text.contains(told)), "{text}");
    };
    let late = second.job();
    assert_eq!(late["fresh_ns"], serde_json::Value::Null);
    status(0, &["standby: another host does the work, and was seen to live", "another host holds the lease of s3://"]);
    gate.release();
    first.until_equal();
    second.until("it looked itself", |job| is_idle(job) && job["fresh_ns"].is_i64());
    status(0, &["in sync"]);
    assert_eq!(Turns::so_far(&sandbox).strays, Vec::<String>::new());
    first.stop().exits(0);
    let ran = second.stop().exits(0);
    assert_eq!(ran.all().matches("stands by").count(), 1, "told once: {ran:?}");
}

/// What a writer wrote: what is there in the end, and every name that it removed.
#[derive(Default)]
struct Written {
    there: BTreeMap<String, Bytes>,
    gone: BTreeSet<String>,
}

/// Creates, edits, renames and removes files below `NAME/` until it is stopped. No name comes twice.
fn writer(root: &Path, name: &str, seed: u64, stop: &Arc<AtomicBool>) -> JoinHandle<Written> {
    let (root, prefix, stop) = (root.to_owned(), name.to_owned(), Arc::clone(stop));
    std::thread::spawn(move || {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut written = Written::default();
        for n in 0.. {
            if stop.load(Relaxed) {
                break;
            }
            let some = (!written.there.is_empty())
                .then(|| written.there.keys().nth(random.usize(..written.there.len())).cloned())
                .flatten();
            let fresh = format!("{prefix}/d{}/{n}.jpg", random.u8(0..4));
            let path = |name: &str| {
                fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
                root.join(name)
            };
            match (random.u8(0..10), some) {
                (0..=4, _) | (_, None) => {
                    let content = bytes(random.u64(..), random.usize(1..30_000));
                    fs::write(path(&fresh), &content).unwrap();
                    written.there.insert(fresh, content.into());
                }
                (5..=7, Some(name)) => {
                    let content = format!("{name}, edited at {n}");
                    fs::write(path(&name), &content).unwrap();
                    written.there.insert(name, content.into());
                }
                (8, Some(name)) => {
                    fs::rename(path(&name), path(&fresh)).unwrap();
                    let content = written.there.remove(&name).unwrap();
                    written.there.insert(fresh, content);
                    written.gone.insert(name);
                }
                (_, Some(name)) => {
                    fs::remove_file(path(&name)).unwrap();
                    written.there.remove(&name);
                    written.gone.insert(name);
                }
            }
            sleep(Duration::from_millis(random.u64(50..200)));
        }
        written
    })
}

/// What is in the bucket, while things come and go.
fn objects(sandbox: &Sandbox) -> BTreeMap<String, Bytes> {
    let names = sandbox.remote_names().into_iter();
    names
        .filter_map(|name| Some((name.clone(), sandbox.bucket.get(&format!("{PREFIX}{name}"))?.body.bytes())))
        .collect()
}

/// The files of a host, without what a killed one was writing.
fn files(root: &Path) -> BTreeMap<String, Bytes> {
    let (mut found, mut dirs) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let (path, kind) = (entry.path(), entry.file_type());
            let is_own = entry.file_name().to_string_lossy().starts_with(".mediasync");
            if kind.as_ref().is_ok_and(fs::FileType::is_dir) && !is_own {
                dirs.push(path);
            } else if kind.is_ok_and(|kind| kind.is_file())
                && !is_own
                && let Ok(content) = fs::read(&path)
            {
                found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), content.into());
            }
        }
    }
    found
}

/// What is missing, what should not be there and what is other than it should be.
fn difference(found: &BTreeMap<String, Bytes>, wanted: &Written) -> String {
    let is_other = |name: &&String| found.get(*name).is_some_and(|content| *content != wanted.there[*name]);
    let missing: Vec<_> = wanted.there.keys().filter(|name| !found.contains_key(*name)).collect();
    let more: Vec<_> = found.keys().filter(|name| !wanted.there.contains_key(*name)).collect();
    let other: Vec<_> = wanted.there.keys().filter(is_other).collect();
    format!("missing {missing:?}, too many {more:?}, other {other:?}")
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Who holds the lease, with something under way that takes its time.
fn holder(sandbox: &Sandbox, random: &mut fastrand::Rng, ttl: u64) -> Host {
    let before = sandbox.server.faults(|faults| {
        faults.clear();
        let pause = Duration::from_millis(random.u64(200..3000 * ttl));
        faults.add(Rule::new("PutObject", Effect::Delay(pause)).key("*.jpg").times(1));
        faults.fired()
    });
    let begun = Instant::now();
    loop {
        match Turns::so_far(sandbox).owner.filter(|_| sandbox.server.faults(|faults| faults.fired()) > before) {
            Some(host) => return host,
            None if begun.elapsed() > Duration::from_secs(2 * ttl) => return Host::BOTH[random.usize(..2)],
            None => sleep(Duration::from_millis(1)),
        }
    }
}

/// Waits until the bucket and both hosts hold what was written, and nothing is left to be done.
fn until_everywhere(sandbox: &Sandbox, daemons: &mut [Daemon<'_>], roots: &[PathBuf], all: &Written) {
    let late = Instant::now() + Duration::from_secs(60);
    let mut told = false;
    for n in 0..daemons.len() {
        let sockets: Vec<_> = daemons.iter().map(Daemon::job).collect();
        daemons[n].wait_for("all of it is everywhere", || {
            let (remote, local) = (objects(sandbox), files(&roots[n]));
            if !told && Instant::now() > late {
                told = true;
                println!("remote: {}; local: {}", difference(&remote, all), difference(&local, all));
                println!("as they were: {sockets:?}");
            }
            remote == all.there && local == all.there
        });
        let job = daemons[n].until_idle();
        assert_eq!((&job["problem_count"], &job["conflict_count"]), (&json!(0), &json!(0)), "{job}");
    }
}

/// Stops and kills whoever holds the lease, for random times, while files change all the time.
fn many_rounds(media: Media, ttl: u64) {
    let (seed, rounds) = (number("MEDIASYNC_SEED", 7), number("MEDIASYNC_ROUNDS", 6));
    println!("seed {seed}, {rounds} rounds");
    let mut sandbox = sandbox(&[]);
    sandbox.env("MEDIASYNC_LEASE_TTL", &ttl.to_string());
    let sandbox = sandbox;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut daemons = Host::BOTH.map(|host| {
        host.configure(&sandbox, media, "");
        Some(host.start(&sandbox))
    });
    for daemon in daemons.iter_mut().flatten() {
        daemon.until_idle();
    }
    sandbox.server.clear_log();
    let stop = Arc::new(AtomicBool::new(false));
    let roots = Host::BOTH.map(|host| host.media(&sandbox, media));
    let writers: Vec<_> = (0..2).map(|n| writer(&roots[n], &format!("w{n}"), seed + n as u64, &stop)).collect();
    let (mut stops, mut kills) = (0, 0);
    for round in 0..rounds {
        sandbox.server.quirks(|quirks| quirks.latency = Duration::from_millis(random.u64(1..20)));
        sleep(Duration::from_millis(random.u64(300..1500)));
        let host = holder(&sandbox, &mut random, ttl);
        sleep(Duration::from_millis(random.u64(0..100)));
        // Half of the times for longer than the lease and all that the other one is at.
        let longer = if round % 4 < 2 { 2500 * ttl } else { 0 };
        let pause = Duration::from_millis(longer + random.u64(0..1000 * ttl));
        let (slot, was) = (&mut daemons[host as usize], Turns::so_far(&sandbox));
        let what = if round % 2 == 0 {
            slot.as_ref().unwrap().signal(Signal::STOP);
            sleep(pause);
            slot.as_ref().unwrap().signal(Signal::CONT);
            stops += 1;
            "stopped"
        } else {
            kills += usize::from(slot.take().unwrap().kill() == -9);
            sleep(pause);
            *slot = Some(host.start(&sandbox));
            "killed"
        };
        let is = Turns::so_far(&sandbox);
        println!(
            "{host:?} {what} for {pause:?}; {:?} held it, {} taken over",
            was.owner,
            is.taken_over - was.taken_over
        );
    }
    stop.store(true, Relaxed);
    let mut all = Written::default();
    for writer in writers {
        let written = writer.join().unwrap();
        all.there.extend(written.there);
        all.gone.extend(written.gone);
    }
    // Later, so that what killed ones left behind belongs to nobody who may still be at work.
    sandbox.server.quirks(|quirks| (quirks.latency, quirks.clock_ahead) = (Duration::ZERO, 120));
    sandbox.server.faults(Faults::clear);
    let last = ("last.jpg".to_owned(), Bytes::from_static(b"the last one"));
    sandbox.write(&last.0, &last.1);
    all.there.insert(last.0, last.1);
    let mut running: Vec<Daemon<'_>> = daemons.into_iter().flatten().collect();
    until_everywhere(&sandbox, &mut running, &roots, &all);
    let turns = Turns::so_far(&sandbox);
    println!("{stops} stops, {kills} kills, taken over {} times, strays: {:?}", turns.taken_over, turns.strays);
    assert!(turns.strays.len() <= stops, "what was handed to the network can't be called back: {turns:?}");
    assert!(rounds < 6 || turns.taken_over > 0, "seed {seed}: nothing was put to the test");
    let erased: BTreeSet<String> = sandbox.bucket.take_erased().into_iter().map(|(key, _)| key).collect();
    let erased = erased.iter().filter_map(|key| key.strip_prefix(PREFIX)).filter(|key| !key.starts_with(".mediasync"));
    let wrong: Vec<&str> = erased.filter(|key| !all.gone.contains(*key)).collect();
    assert_eq!(wrong, Vec::<&str>::new(), "seed {seed}: deleted, and nobody wanted it");
    for daemon in running {
        daemon.stop().exits(0);
    }
    // Who was held up for longer than his lease does not touch it any more: the next one who has something to do takes it.
    let mut own = sandbox.own_keys();
    own.retain(|key| key != "lease");
    assert_eq!((own, sandbox.bucket.uploads()), (vec!["id".to_owned()], vec![]), "seed {seed}");
}

#[test]
fn stops_and_kills_of_two_hosts_with_one_directory_lose_nothing() {
    many_rounds(Media::Shared, TTL);
}

#[test]
fn stops_and_kills_of_two_hosts_with_a_directory_each_lose_nothing() {
    many_rounds(Media::Apart, TTL);
}
