//! Jobs that go by a schedule, and who is told what becomes of them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::daemon_service::{filled, job};
use super::support::front::{Front, Then};
use super::support::s3::{Effect, Faults, Moment, Rule};
use super::support::sandbox::Sandbox;

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
    // A restart does not silence the alarm, although its hour has passed; nor does it where nothing can be looked at.
    sandbox.server.faults(|faults| faults.add(Rule::new("*", Effect::Status(403, "InvalidAccessKeyId"))));
    let mut daemon = sandbox.daemon();
    let failing = daemon.until("failing", |job| job["error"].is_object());
    assert_eq!((failing["halt"]["since_ns"].is_i64(), healthz(port).0.as_str(), kinds("/ping")), (true, "503", 0));
    sandbox.server.faults(Faults::clear);
    let halted = daemon.until("halted again", |job| job["phase"] == "halted" && job["error"].is_null());
    assert_eq!(healthz(port).0, "503");
    let command = halted["halt"]["command"].as_str().unwrap().to_owned();
    daemon.signal(Signal::HUP);
    sleep(Duration::from_millis(500));
    assert_eq!(healthz(port).0, "503", "nor does a reload");
    daemon.until("halted still", |job| job["phase"] == "halted");
    assert_eq!(told(&front, "halt").len(), 2, "one by each process, and none by a reload");
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
fn a_scheduled_job_is_after_a_restart_as_its_last_run_left_it() {
    let sandbox = Sandbox::new();
    sandbox.put("a.jpg", "a");
    let front = Front::alone();
    front.on(|_| Some(Then::Answer(200, Vec::new(), String::new())));
    let port = free_port();
    mirror_to_disk(&sandbox, port, &front);
    let config = fs::read_to_string(sandbox.path("config.toml")).unwrap();
    sandbox.configure_as(&config.replace("cron = \"0 * * * *\"", "cron = \"0 0 29 2 *\"\nmax_age = \"1d\""));
    sandbox.by_config(&["sync", "backup"]).exits(0);
    let asked = sandbox.server.requests().len();
    let mut daemon = sandbox.daemon();
    let job = daemon.until("idle", |job| job["phase"] == "idle");
    assert!(job["fresh_ns"].is_i64() && job["next_ns"].is_i64(), "{job:#}");
    assert_eq!(
        (&job["last"]["done"]["creates"], &job["synced"], healthz(port).0.as_str()),
        (&json!(1), &json!([1, 1]), "200")
    );
    sandbox.by_config(&["status", "backup"]).exits(0).says(&["\n  in sync, ", "\n  last run: "]);
    daemon.wait_for("a ping", || front.calls().iter().any(|call| call.path == "/ping"));
    daemon.stop().exits(0);
    assert_eq!(sandbox.server.requests().len(), asked, "nothing was due");
    sandbox.by_config(&["status", "backup"]).exits(0).says(&["\n  in sync\n", "daemon: none runs"]);
    // Nobody was there for two days: that is not forgotten either.
    let db = rusqlite::Connection::open(sandbox.manifest()).unwrap();
    let ago = 2 * 24 * 3_600_000_000_000_i64;
    db.execute("UPDATE meta SET value = CAST(value AS INTEGER) - ?1 WHERE name = 'equal-at'", [ago]).unwrap();
    drop(db);
    let stale = "stale: last known to be in sync at ";
    let ways = ["at most 24 h", "no daemon runs it", "mediasync sync backup", "mediasync daemon"];
    sandbox.by_config(&["status", "backup"]).exits(3).says(&[stale]).says(&ways);
    sandbox.by_config(&["status", "--json"]).exits(3).says(&["\"state\":\"stale\"", "\"daemon\":null"]);
    let mut daemon = sandbox.daemon();
    daemon.until("idle", |job| job["phase"] == "idle");
    assert_eq!(healthz(port).0, "503");
    sandbox.by_config(&["status", "backup"]).exits(3).says(&["stale: last known to be in sync at "]);
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

/// The events that the webhook got, by their kinds.
fn told(front: &Front, kind: &str) -> Vec<Value> {
    let calls = front.calls().into_iter().filter(|call| call.path == "/hook");
    let events = calls.map(|call| serde_json::from_slice::<Value>(&call.body).unwrap());
    events.filter(|event| event["type"] == kind).collect()
}

#[test]
fn a_failure_and_its_end_are_told_to_the_webhook_and_the_command_and_nothing_is_pinged_meanwhile() {
    let sandbox = filled();
    let front = Front::alone();
    front.on(|_| Some(Then::Answer(200, Vec::new(), String::new())));
    let notify = format!(
        "[notify]\nwebhook = \"http://{0}/hook\"\nping = \"http://{0}/ping\"\ncommand = [\"/bin/sh\", \"-c\", \"cat >> {1}\"]\n",
        front.host(),
        sandbox.path("told").display(),
    );
    let media = job(&sandbox, "media", "env:DEFAULT_STORAGE_DSN", "watch = true\nmax_age = \"3s\"");
    sandbox.configure_as(&(notify + &media));
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    daemon.wait_for("a ping", || front.calls().iter().any(|call| call.path == "/ping"));
    assert_eq!((told(&front, "failure").len(), told(&front, "recovery").len()), (0, 0), "nothing is told of a start");
    sandbox.server.faults(|faults| faults.add(Rule::new("*", Effect::Status(403, "InvalidAccessKeyId"))));
    sandbox.write("new.jpg", "new");
    daemon.wait_for("the failure is told", || !told(&front, "failure").is_empty());
    let failure = told(&front, "failure").remove(0);
    assert_eq!((&failure["v"], &failure["job"], &failure["health"]), (&json!(1), &json!("media"), &json!("stale")));
    let message = failure["message"].as_str().unwrap();
    assert!(message.starts_with("it is stale, and the last try failed: "), "{failure}");
    assert!(failure["hint"].is_string() && failure["since"].as_str().unwrap().ends_with('Z'), "{failure}");
    front.clear();
    daemon.until("it tries and tries", |job| job["error"]["tries"].as_u64() >= Some(4));
    assert_eq!(front.calls().len(), 0, "told once, and no ping");
    sandbox.server.faults(Faults::clear);
    daemon.until_equal();
    daemon.wait_for("the end is told", || !told(&front, "recovery").is_empty());
    let recovery = told(&front, "recovery").remove(0);
    assert_eq!((&recovery["job"], &recovery["health"]), (&json!("media"), &json!("in-sync")));
    assert!(recovery["message"].as_str().unwrap().starts_with("it is well again"), "{recovery}");
    daemon.stop().exits(0);
    let by_command = fs::read_to_string(sandbox.path("told")).unwrap();
    let kinds: Vec<Value> =
        by_command.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].take()).collect();
    assert_eq!(kinds, ["failure", "recovery"]);
    assert_eq!((told(&front, "failure").len(), told(&front, "recovery").len()), (0, 1));
}

#[test]
fn a_mirror_that_halted_goes_on_at_its_next_time_once_the_live_side_is_restored() {
    let sandbox = Sandbox::new();
    for n in 0..100 {
        sandbox.put(&format!("{n:03}.jpg"), format!("content {n}"));
    }
    let front = Front::alone();
    front.on(|_| Some(Then::Answer(200, Vec::new(), String::new())));
    let port = free_port();
    mirror_to_disk(&sandbox, port, &front);
    let config = fs::read_to_string(sandbox.path("config.toml")).unwrap();
    sandbox.configure_as(&config.replace("cron = \"0 * * * *\"", "every = \"2s\""));
    let mut daemon = sandbox.daemon();
    daemon.until("mirrored", |job| job["phase"] == "idle" && job["last"]["done"]["creates"] == 100);
    let backup = sandbox.local();
    assert_eq!((backup.len(), healthz(port).0.as_str()), (100, "200"));
    for n in 0..60 {
        assert!(sandbox.bucket.remove(&format!("site/{n:03}.jpg")));
    }
    let halted = daemon.until("halted", |job| job["phase"] == "halted");
    daemon.wait_for("the halt is told", || !told(&front, "halt").is_empty());
    let looks = halted["totals"]["cycles_both"].as_u64().unwrap();
    daemon.until("it looked twice more", |job| job["totals"]["cycles_both"].as_u64() >= Some(looks + 2));
    assert!(sandbox.local() == backup, "the backup is as it was");
    assert_eq!((healthz(port).0.as_str(), told(&front, "halt").len()), ("503", 1));
    // Somebody restores the live side, with a file that is new.
    for n in 0..60 {
        sandbox.put(&format!("{n:03}.jpg"), format!("content {n}"));
    }
    sandbox.put("new.jpg", "new");
    daemon.until("it went on", |job| job["phase"] == "idle" && job["halt"].is_null());
    daemon.wait_for("all is there", || sandbox.local() == sandbox.remote());
    assert_eq!((sandbox.local().len(), healthz(port).0.as_str()), (101, "200"));
    daemon.wait_for("the recovery is told", || told(&front, "recovery").len() == 1);
    daemon.stop().exits(0);
    assert_eq!((told(&front, "halt").len(), told(&front, "recovery").len()), (1, 1));
}

/// Requests about the header rules of one object: none of them may come where nothing changed.
fn looks(sandbox: &Sandbox) -> Vec<String> {
    let log = sandbox.server.requests().into_iter();
    let of_objects = ["HeadObject", "GetObjectAcl", "CopyObject", "PutObject", "GetObject"];
    let asked =
        log.filter(|entry| of_objects.contains(&entry.call.operation) && !entry.call.key.contains(".mediasync"));
    asked.map(|entry| format!("{} {}", entry.call.operation, entry.call.key)).collect()
}

#[test]
fn changed_header_rules_are_applied_by_a_reload_and_unchanged_ones_ask_nothing() {
    let sandbox = filled();
    let ruled = |cache: &str| {
        let text = job(&sandbox, "media", "env:DEFAULT_STORAGE_DSN", "watch = true\nevery = \"2s\"");
        sandbox.configure_as(&format!("{text}[[job.header]]\nmatch = \"*\"\ncache_control = \"{cache}\"\n"));
    };
    let cached = |key: &str| sandbox.bucket.get(&format!("site/{key}")).unwrap().attributes.cache_control;
    ruled("max-age=1");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    assert_eq!(cached("kept.jpg").as_deref(), Some("max-age=1"), "what it sends has them");
    let cycles = |job: &Value| job["totals"]["cycles_both"].as_u64().unwrap();
    let two_more = |daemon: &mut super::support::daemon::Daemon<'_>| {
        let begun = cycles(&daemon.until_idle());
        daemon.until("two more looks at all", |job| cycles(job) >= begun + 2);
    };
    sandbox.server.clear_log();
    two_more(&mut daemon);
    assert_eq!(looks(&sandbox), Vec::<String>::new(), "unchanged rules, unchanged objects");
    // The same rules once more.
    daemon.signal(Signal::HUP);
    two_more(&mut daemon);
    assert_eq!(looks(&sandbox), Vec::<String>::new());
    ruled("max-age=2");
    daemon.signal(Signal::HUP);
    let keys = ["edited.jpg", "kept.jpg", "removed.jpg"];
    daemon.wait_for("all have what the new rules say", || {
        keys.iter().all(|key| cached(key).as_deref() == Some("max-age=2"))
    });
    daemon.until_idle();
    let made = |operation: &str| looks(&sandbox).iter().filter(|made| made.starts_with(operation)).count();
    assert_eq!((made("HeadObject"), made("CopyObject"), made("PutObject"), made("GetObject ")), (3, 3, 0, 0));
    sandbox.server.clear_log();
    two_more(&mut daemon);
    assert_eq!(looks(&sandbox), Vec::<String>::new(), "once is enough");
    daemon.stop().exits(0);
    sandbox.assert_equal();
}

#[test]
fn a_watched_job_without_a_schedule_takes_new_header_rules_too() {
    let sandbox = filled();
    let ruled = |cache: &str| {
        let text = job(&sandbox, "media", "env:DEFAULT_STORAGE_DSN", "watch = true");
        sandbox.configure_as(&format!("{text}[[job.header]]\nmatch = \"*\"\ncache_control = \"{cache}\"\n"));
    };
    ruled("max-age=1");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    ruled("max-age=2");
    daemon.signal(Signal::HUP);
    daemon.wait_for("it has what the new rules say", || {
        let object = sandbox.bucket.get("site/kept.jpg").unwrap();
        object.attributes.cache_control.as_deref() == Some("max-age=2")
    });
    daemon.stop().exits(0);
}
