//! The program as a daemon in a sandbox: started, asked by its socket, waited for, stopped.
//!
//! Everything that is waited for has an end of its own ([`PATIENCE`]), and what the daemon said is part of the message
//! when it does not come.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::sandbox::{PREFIX, REMOTE, Ran, Running, Sandbox};

/// Nothing may take longer.
const PATIENCE: Duration = Duration::from_secs(90);
/// The job of [`Sandbox::configure`].
pub(crate) const JOB: &str = "media";

impl Sandbox {
    /// Writes `config.toml` with the watched job `media`: the media directory to the bucket, deletions included. `more`
    /// is added to the job.
    pub(crate) fn configure(&self, more: &str) {
        let media = self.path("media");
        let job = format!(
            "[[job]]\nname = {JOB:?}\nsource = {:?}\ndestination = {REMOTE:?}\nmode = \"copy\"\ndelete = true\nwatch = true\n{more}\n",
            media.to_str().expect("UTF-8")
        );
        self.configure_as(&job);
    }

    /// Writes `config.toml`, all of it.
    pub(crate) fn configure_as(&self, text: &str) {
        fs::write(self.path("config.toml"), text).expect("a file");
    }

    /// Starts the daemon by `config.toml`.
    pub(crate) fn daemon(&self) -> Daemon<'_> {
        self.daemon_in(&mut Command::new(env!("CARGO_BIN_EXE_mediasync")))
    }

    /// The same through another command, which has to pass on the arguments that it gets.
    pub(crate) fn daemon_in(&self, command: &mut Command) -> Daemon<'_> {
        let config = self.path("config.toml");
        let args = ["--config", config.to_str().expect("UTF-8"), "daemon", "-v", "--log-format", "human"];
        let running = self.start_command(command, &args);
        Daemon { sandbox: self, running: Some(running), socket: self.path("state").join("control.sock") }
    }

    /// The names of the regular files of the media directory, while things come and go.
    pub(crate) fn local_names(&self) -> BTreeSet<String> {
        let (root, mut names) = (self.path("media"), BTreeSet::new());
        let mut dirs = vec![root.clone()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => dirs.push(entry.path()),
                    Ok(kind) if kind.is_file() => {
                        let path = entry.path();
                        let name = path.strip_prefix(&root).expect("below").to_str().expect("UTF-8");
                        names.insert(name.to_owned());
                    }
                    _ => {}
                }
            }
        }
        names.retain(|name| !name.starts_with(".mediasync"));
        names
    }

    /// The names of the objects, without the prefix, without mediasync's own.
    pub(crate) fn remote_names(&self) -> BTreeSet<String> {
        let keys = self.bucket.keys();
        let names = keys.iter().filter_map(|key| key.strip_prefix(PREFIX));
        names.filter(|name| !name.starts_with(".mediasync")).map(str::to_owned).collect()
    }

    /// What changed in the bucket since this was asked last, as `PUT a`, `COPY a`, and then `DELETE a`: without the
    /// prefix, and without mediasync's own.
    pub(crate) fn take_changed(&self) -> Vec<String> {
        let log = self.server.changing_requests();
        self.server.clear_log();
        let sent = log.iter().filter_map(|entry| match entry.call.operation {
            // What these delete is told below.
            "DeleteObject" | "DeleteObjects" => None,
            "PutObject" => Some(("PUT", entry.call.key.clone())),
            "CopyObject" => Some(("COPY", entry.call.key.clone())),
            other => Some((other, entry.call.key.clone())),
        });
        let gone = self.bucket.take_erased().into_iter().map(|(key, _)| ("DELETE", key));
        sent.chain(gone)
            .filter_map(|(verb, key)| {
                let name = key.strip_prefix(PREFIX).unwrap_or(&key);
                (!name.starts_with(".mediasync/")).then(|| format!("{verb} {name}"))
            })
            .collect()
    }

    /// Runs a command by `config.toml` to its end.
    pub(crate) fn by_config(&self, args: &[&str]) -> Ran {
        let config = self.path("config.toml");
        let all: Vec<&str> = ["--config", config.to_str().expect("UTF-8")].iter().chain(args).copied().collect();
        self.run(&all)
    }
}

/// A daemon that runs.
#[derive(Debug)]
pub(crate) struct Daemon<'a> {
    sandbox: &'a Sandbox,
    running: Option<Running>,
    socket: PathBuf,
}

impl Daemon<'_> {
    /// Its socket is somewhere else, as seen from here.
    pub(crate) fn reach_by(&mut self, socket: &Path) {
        socket.clone_into(&mut self.socket);
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.running.as_ref().expect("it runs").id()
    }

    /// Asks one question and gives all answers.
    pub(crate) fn ask(&self, question: &Value) -> io::Result<Vec<Value>> {
        ask(&self.socket, question)
    }

    /// How everything stands; `None` while nobody answers.
    pub(crate) fn state(&self) -> Option<Value> {
        let mut answers = self.ask(&serde_json::json!({"v": 1, "ask": "status"})).ok()?;
        Some(answers.pop()?["state"].take())
    }

    /// How the first job stands, `null` while nobody answers.
    pub(crate) fn job(&self) -> Value {
        self.state().map(|mut state| state["jobs"][0].take()).unwrap_or_default()
    }

    /// Waits until the first job is so; gives how it stands then.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, mut is: impl FnMut(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let job = self.job();
            if !job.is_null() && is(&job) {
                return job;
            }
            if begun.elapsed() > PATIENCE || self.has_ended() {
                self.give_up(what);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until something is so that the daemon does not say itself.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str, mut is: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !is() {
            if begun.elapsed() > PATIENCE || self.has_ended() {
                self.give_up(what);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until it has looked at both sides and has nothing left to do.
    #[track_caller]
    pub(crate) fn until_idle(&mut self) -> Value {
        self.until("idle, nothing dirty", |job| job["phase"] == "idle" && job["dirty"] == 0)
    }

    /// Waits until both sides hold the same and it has nothing left to do.
    #[track_caller]
    pub(crate) fn until_equal(&mut self) -> Value {
        let sandbox = self.sandbox;
        self.wait_for("both sides equal", || {
            // Names first: reading all files each time would keep the daemon waiting.
            sandbox.local_names() == sandbox.remote_names() && sandbox.local() == sandbox.remote()
        });
        let job = self.until_idle();
        self.sandbox.assert_equal();
        job
    }

    fn has_ended(&mut self) -> bool {
        self.running.as_mut().is_none_or(Running::has_ended)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.id()).expect("a process id")).expect("not 0");
        kill_process(pid, signal).expect("it runs");
    }

    /// SIGTERM, and waits for its end.
    pub(crate) fn stop(mut self) -> Ran {
        self.signal(Signal::TERM);
        self.running.take().expect("it runs").wait()
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) -> i32 {
        self.running.take().expect("it runs").kill()
    }

    #[track_caller]
    fn give_up(&mut self, what: &str) -> ! {
        let state = self.state();
        let changed = self.sandbox.take_changed();
        if !self.has_ended() {
            self.signal(Signal::CONT);
            self.signal(Signal::TERM);
        }
        let ran = self.running.take().expect("it runs").wait();
        panic!("it did not come to this: {what}\n{state:#?}\n{changed:?}\n{ran:?}");
    }
}

/// Asks the daemon at a socket.
pub(crate) fn ask(socket: &Path, question: &Value) -> io::Result<Vec<Value>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    writeln!(stream, "{question}")?;
    BufReader::new(stream).lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}
