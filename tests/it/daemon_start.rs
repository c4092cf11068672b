//! What happens while the daemon starts.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::daemon_service::{filled, watched};

/// What tells the daemon that its configuration changed comes when it likes, also right after the start. A configuration
/// that comes out of a pipe holds the start at its first step for as long as the test wants.
#[test]
fn a_hangup_while_the_configuration_is_read_for_the_first_time_does_not_end_the_daemon() {
    let sandbox = filled();
    watched(&sandbox, "");
    let config = sandbox.path("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::remove_file(&config).unwrap();
    assert!(Command::new("mkfifo").arg(&config).status().unwrap().success());
    // With the setting that it would begin anew for.
    let mut command = Command::new(env!("CARGO_BIN_EXE_mediasync"));
    let mut daemon = sandbox.daemon_in(command.env("MIMALLOC_PURGE_DELAY", "0"));
    let caught = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0").trim().to_owned();
        u64::from_str_radix(&mask, 16).unwrap() & 1 == 1
    };
    let begun = Instant::now();
    while !caught(daemon.id()) {
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not hear SIGHUP before it has its configuration");
        sleep(Duration::from_millis(1));
    }
    daemon.signal(Signal::HUP);
    let (stop, pipe) = (Arc::new(AtomicBool::new(false)), config.clone());
    let stopped = Arc::clone(&stop);
    let feeding = std::thread::spawn(move || {
        while !stopped.load(Relaxed) {
            // Blocks until somebody reads.
            fs::write(&pipe, &text).ok();
            sleep(Duration::from_millis(20));
        }
    });
    daemon.until_equal();
    let ran = daemon.stop().exits(0);
    assert!(!ran.stderr.contains("is not used"), "{ran:?}");
    stop.store(true, Relaxed);
    // The last one waits for a reader.
    drop(fs::OpenOptions::new().read(true).write(true).open(&config));
    feeding.join().unwrap();
}

/// `systemctl status` shows what the manager heard last.
#[test]
fn the_manager_hears_of_each_change_also_without_a_watchdog() {
    let mut sandbox = filled();
    watched(&sandbox, "");
    let at = sandbox.path("manager.sock");
    let manager = UnixDatagram::bind(&at).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    sandbox.env("NOTIFY_SOCKET", at.to_str().unwrap());
    let mut daemon = sandbox.daemon();
    let mut heard = Vec::new();
    let mut hears = |word: &str| loop {
        let mut text = [0; 4096];
        let length = manager.recv(&mut text).unwrap_or_else(|error| panic!("{error}, after {heard:?}"));
        heard.push(String::from_utf8_lossy(&text[..length]).into_owned());
        if heard.last().unwrap().contains(word) {
            return;
        }
    };
    hears("READY=1");
    hears("STATUS=in sync: media");
    daemon.until_equal();
    let config = sandbox.path("config.toml");
    fs::write(&config, fs::read_to_string(&config).unwrap() + "bad = [").unwrap();
    daemon.signal(Signal::HUP);
    hears("the configuration has mistakes");
    daemon.stop().exits(0);
}
