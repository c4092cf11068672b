//! Servers that fail for a while, and credentials that change, under the daemon: both sides are equal afterwards, nothing
//! is deleted that should not be, and nothing is sent twice.

use std::fs;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::daemon_service::{filled, job, watched};
use super::support::daemon::{Daemon, JOB};
use super::support::s3::{Effect, Faults, Rule};
use super::support::sandbox::Sandbox;

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

/// While the server fails: files are added, edited and removed, and it is tried `again` so often. Then it is well.
fn catches_up(
    sandbox: &Sandbox,
    daemon: &mut Daemon<'_>,
    (says, again): (&[&str], u64),
    heal: impl FnOnce(),
) -> Vec<String> {
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
    // It stays so for a while: it is tried again and again, and always said why.
    let failed = job["totals"]["failures"].as_u64().unwrap() + job["totals"]["problems"].as_u64().unwrap();
    let job = daemon.until("it failed again and again", |job| {
        job["totals"]["failures"].as_u64().unwrap() + job["totals"]["problems"].as_u64().unwrap() >= failed + again
    });
    assert!(reason(&job).is_some(), "{job}");
    assert_eq!(sandbox.by_config(&["status", JOB]).code, 3);
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

#[test]
fn a_server_that_answers_503_is_asked_again_and_everything_arrives() {
    let sandbox = filled();
    watched(&sandbox, "");
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    sandbox.server.clear_log();
    sandbox.server.faults(|faults| faults.add(Rule::new("*", Effect::Status(503, "ServiceUnavailable"))));
    // Nothing failed for good yet.
    sandbox.write("new/0.jpg", "zero");
    let retrying = |job: &Value| job["running"]["retrying"]["message"].as_str().map(str::to_owned);
    let job = daemon.until("it is told that it tries again", |job| retrying(job).is_some());
    assert!(retrying(&job).unwrap().contains("503") && job["error"].is_null() && job["problem_count"] == 0, "{job}");
    sandbox.by_config(&["status", JOB]).says(&["\n  retrying for ", "503"]);
    catches_up(&sandbox, &mut daemon, (&["503", "unavailable"], 1), || sandbox.server.faults(Faults::clear));
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
    catches_up(&sandbox, &mut daemon, (&["credential", "key", "403"], 3), || sandbox.server.faults(Faults::clear));
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
    let changed = catches_up(&sandbox, &mut daemon, (&["connect"], 3), || way.open());
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
    catches_up(&sandbox, &mut daemon, (&["credential", "key", "403"], 3), || {
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

#[test]
fn a_credential_of_the_service_that_is_rotated_is_read_at_the_next_try_or_reload() {
    const ROTATED: [&str; 2] = ["AKIAROTATEDKEY000001", "AKIAROTATEDKEY000002"];
    let mut sandbox = filled();
    let dsn = sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint()));
    let own = sandbox.server.access_key().to_owned();
    let with = |key: &str| dsn.replace(&own, key);
    let credentials = sandbox.path("credentials");
    fs::create_dir(&credentials).unwrap();
    fs::write(credentials.join("live"), &dsn).unwrap();
    sandbox.env("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap());
    let remote = "[remote.live]\ndsn = \"credential:live\"\n".to_owned();
    sandbox.configure_as(&(remote + &job(&sandbox, JOB, "live:", "watch = true")));
    let mut daemon = sandbox.daemon();
    daemon.until_equal();
    // The old one is refused until the new one is there.
    sandbox.server.clear_log();
    sandbox.server.quirks(|quirks| quirks.access_key = Some(ROTATED[0]));
    catches_up(&sandbox, &mut daemon, (&["credential", "key", "403"], 1), || {
        fs::write(credentials.join("live"), with(ROTATED[0])).unwrap();
    });
    // The new one is there before: a reload takes it, and nothing is refused.
    fs::write(credentials.join("live"), with(ROTATED[1])).unwrap();
    sandbox.server.quirks(|quirks| quirks.access_key = Some(ROTATED[1]));
    sandbox.server.clear_log();
    let process = daemon.id();
    let looks = daemon.job()["totals"]["cycles_both"].as_u64().unwrap();
    daemon.signal(Signal::HUP);
    daemon.until("looked anew", |job| job["totals"]["cycles_both"].as_u64() > Some(looks));
    sandbox.write("late.jpg", "late");
    daemon.until_equal();
    let refused = sandbox.server.requests().iter().filter(|entry| entry.status == Some(403)).count();
    assert_eq!((refused, daemon.id()), (0, process));
    let ran = daemon.stop().exits(0);
    for key in ROTATED.iter().copied().chain([own.as_str()]) {
        assert!(!ran.all().contains(key), "{ran:?}");
    }
}
