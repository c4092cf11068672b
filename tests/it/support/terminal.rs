//! The program on a terminal: what it shows is waited for, and answers are typed. Ctrl-C is a key there.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::sandbox::Sandbox;

/// Nothing may take longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that runs on a terminal of its own.
#[derive(Debug)]
pub(crate) struct Terminal {
    child: Child,
    keys: File,
    heard: Arc<Mutex<Vec<u8>>>,
    /// What was waited for already.
    at: usize,
}

impl Terminal {
    /// Begins a run on a terminal.
    pub(crate) fn start(sandbox: &Sandbox, args: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).expect("a terminal");
        unlockpt(&master).expect("a terminal");
        let name = ptsname(&master, Vec::new()).expect("its name").into_string().expect("UTF-8");
        let side = || {
            let side = File::options().read(true).write(true).open(&name).expect("the other side");
            Stdio::from(side)
        };
        // It makes the terminal the program's own, so that Ctrl-C reaches it.
        let mut command = Command::new("/usr/bin/setsid");
        command.args(["--ctty", "--wait", env!("CARGO_BIN_EXE_mediasync")]).args(args);
        sandbox.dress(&mut command);
        command.env("TERM", "xterm").stdin(side()).stdout(side()).stderr(side());
        let child = command.spawn().expect("the program starts");
        drop(command);
        let (mut master, heard) = (File::from(master), Arc::new(Mutex::new(Vec::new())));
        let keys = master.try_clone().expect("a second descriptor");
        let into = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // At its end a terminal fails instead of being empty.
            while let Ok(count @ 1..) = master.read(&mut bytes) {
                into.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Self { child, keys, heard, at: 0 }
    }

    /// All that was shown so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).replace("\r\n", "\n")
    }

    /// Waits until it shows a text, after what was waited for before.
    #[track_caller]
    pub(crate) fn shows(&mut self, text: &str) {
        let begun = Instant::now();
        loop {
            let all = self.text();
            if let Some(found) = all[self.at..].find(text) {
                self.at += found + text.len();
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{text:?} is not shown:\n{all}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Types.
    pub(crate) fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Waits for its end: the exit code, and all that was shown.
    #[track_caller]
    pub(crate) fn ends(mut self) -> (i32, String) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(5));
        };
        // What it said last may still be on its way.
        std::thread::sleep(Duration::from_millis(50));
        (status.code().unwrap_or_else(|| -status.signal().unwrap_or(0)), self.text())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
