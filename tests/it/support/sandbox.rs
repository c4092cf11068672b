//! A place to run the program in: directories of its own for media, state and HOME, an S3 server with one bucket, and
//! an environment that holds nothing else.
//!
//! [`Sandbox::run`] runs the binary to its end (a run that takes longer than [`PATIENCE`] fails the test: nothing may
//! hang), [`Sandbox::start`] leaves it running. The bucket's keys are told without the prefix and without what
//! belongs to mediasync itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;

use super::s3::{Effect, Faults, Handle, Logged, Rule, S3Server};

/// No run of these tests may take longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// The bucket of every sandbox.
pub(crate) const BUCKET: &str = "media";
/// What every key in the bucket begins with.
pub(crate) const PREFIX: &str = "site/";
/// The variable that holds the DSN.
pub(crate) const REMOTE: &str = "env:DEFAULT_STORAGE_DSN";
/// Somebody who may not read everything.
pub(crate) const NOBODY: u32 = 65_534;

/// See the module.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) server: S3Server,
    pub(crate) bucket: Handle,
    dir: tempfile::TempDir,
    env: BTreeMap<String, String>,
    uid: Option<u32>,
}

impl Sandbox {
    /// An empty media directory and an empty bucket.
    pub(crate) fn new() -> Self {
        let server = S3Server::start();
        let bucket = server.create_bucket(BUCKET);
        let dir = tempfile::tempdir().expect("a temporary directory");
        for name in ["media", "home", "state", "work"] {
            fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        let mut sandbox = Self { server, bucket, dir, env: BTreeMap::new(), uid: None };
        let dsn = sandbox.dsn(&format!("endpoint={}", sandbox.server.endpoint()));
        sandbox.env("DEFAULT_STORAGE_DSN", &dsn);
        sandbox.env("HOME", sandbox.path("home").to_str().expect("UTF-8"));
        sandbox.env("PATH", "/usr/bin:/bin");
        sandbox.env("TMPDIR", sandbox.path("work").to_str().expect("UTF-8"));
        sandbox
    }

    /// With files, named and filled by the test.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let sandbox = Self::new();
        for (name, content) in files {
            sandbox.write(name, content);
        }
        sandbox
    }

    /// A DSN of the sandbox's bucket with these parameters.
    pub(crate) fn dsn(&self, parameters: &str) -> String {
        let secret = self.server.secret_key().replace('/', "%2F").replace('+', "%2B");
        format!("s3://{}:{secret}@{BUCKET}/{}?{parameters}", self.server.access_key(), PREFIX.trim_end_matches('/'))
    }

    /// Sets a variable for all runs from now on.
    pub(crate) fn env(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }

    /// A path in the sandbox.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A path in the media directory.
    pub(crate) fn media(&self, name: &str) -> PathBuf {
        self.path("media").join(name)
    }

    /// Writes a file into the media directory, with the directories that it needs.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.media(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, content).expect("a file");
    }

    /// Removes a file of the media directory.
    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.media(name)).expect("the file was there");
    }

    /// Sets the mtime of a file of the media directory.
    pub(crate) fn set_mtime(&self, name: &str, to: SystemTime) {
        File::options().write(true).open(self.media(name)).expect("the file").set_modified(to).expect("its mtime");
    }

    /// The mtime of a file of the media directory.
    pub(crate) fn mtime(&self, name: &str) -> SystemTime {
        fs::metadata(self.media(name)).expect("the file").modified().expect("its mtime")
    }

    /// Runs as somebody who may not read everything, if the tests run as root: root may read what nobody may.
    pub(crate) fn as_nobody(&mut self) {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        self.uid = Some(NOBODY);
        let open = |path: &Path| {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("root may give away");
        };
        open(self.dir.path());
        for name in ["media", "home", "state", "work"] {
            open(&self.path(name));
        }
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.start(args).wait()
    }

    /// Runs `push media REMOTE` and more.
    pub(crate) fn push(&self, more: &[&str]) -> Ran {
        self.run(&self.push_args(more).iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Begins `push media REMOTE` and more.
    pub(crate) fn start_push(&self, more: &[&str]) -> Running {
        self.start(&self.push_args(more).iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Runs `pull REMOTE media` and more.
    pub(crate) fn pull(&self, more: &[&str]) -> Ran {
        self.start_pull(more).wait()
    }

    /// Begins `pull REMOTE media` and more.
    pub(crate) fn start_pull(&self, more: &[&str]) -> Running {
        let media = self.path("media");
        let base = ["pull", REMOTE, media.to_str().expect("UTF-8")];
        self.start(&base.iter().chain(more).copied().collect::<Vec<_>>())
    }

    /// A further `pull` with these arguments lists, and asks for nothing else.
    pub(crate) fn assert_second_pull_does_nothing(&self, more: &[&str]) {
        self.server.clear_log();
        let (before, ran) = (self.local(), self.pull(more).exits(0));
        let mut asked: Vec<String> =
            self.server.requests().iter().map(|entry| entry.call.operation.to_owned()).collect();
        asked.retain(|operation| operation != "ListObjectsV2");
        // The identity of the bucket, where it has one.
        asked.retain(|operation| operation != "GetObject" || self.requested("GetObject") != [".mediasync/id"]);
        assert_eq!(asked, Vec::<String>::new(), "{ran:?} {:?}", self.requested("HeadObject"));
        assert_eq!(self.local(), before);
    }

    /// Waits until so many parts of large files came and are recorded, as another run takes them over: on a busy disk that
    /// is seconds after they were answered. `answered` counts the answers; before the first one the manifest is being made.
    pub(crate) fn await_parts(&self, count: usize, answered: impl Fn() -> usize) {
        let recorded = || -> u32 {
            let db = rusqlite::Connection::open(self.manifest()).unwrap();
            db.query_row("SELECT count(*) FROM upload_parts", [], |row| row.get(0)).unwrap()
        };
        let begun = Instant::now();
        while answered() < count || (recorded() as usize) < count {
            assert!(begun.elapsed() < Duration::from_secs(25), "{count} parts come");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills a run when so many of its requests were let through, however fast the machine is. Whether it had not ended.
    pub(crate) fn kill_after(&self, requests: usize, start: impl FnOnce(&Self) -> Running) -> bool {
        let held = || self.server.faults(|faults| faults.fired());
        let before = held();
        let slow = Rule::new("*", Effect::Delay(Duration::from_secs(60)));
        self.server.faults(|faults| faults.add(slow.skip(requests)));
        let (mut run, begun) = (start(self), Instant::now());
        while held() == before && !run.has_ended() {
            assert!(begun.elapsed() < PATIENCE, "it neither asks nor ends");
            std::thread::sleep(Duration::from_micros(200));
        }
        let code = run.kill();
        self.server.faults(Faults::clear);
        code == -9
    }

    /// A push that sends `name` in parts is killed when three of them arrived.
    pub(crate) fn kill_after_three_parts(&self, name: &str, more: &[&str]) {
        self.server.faults(|faults| {
            let slow = Rule::new("UploadPart", Effect::Delay(Duration::from_secs(30)));
            faults.add(slow.key(&format!("*{name}")).skip(3));
        });
        let run = self.start_push(more);
        let arrived = || {
            let log = self.server.requests();
            log.iter().filter(|entry| entry.call.operation == "UploadPart" && entry.status == Some(200)).count()
        };
        self.await_parts(3, arrived);
        run.kill();
        self.server.faults(Faults::clear);
        self.server.clear_log();
        assert_eq!(self.bucket.uploads().len(), 1);
    }

    /// Runs `mirror media REMOTE` and more.
    pub(crate) fn mirror(&self, more: &[&str]) -> Ran {
        let mut args = self.push_args(more);
        args[0] = "mirror".to_owned();
        self.run(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn push_args(&self, more: &[&str]) -> Vec<String> {
        let media = self.path("media");
        let base = ["push", media.to_str().expect("UTF-8"), REMOTE];
        base.iter().chain(more).map(|arg| (*arg).to_owned()).collect()
    }

    /// Begins a run.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        self.start_command(&mut Command::new(env!("CARGO_BIN_EXE_mediasync")), args)
    }

    /// Runs the command that stands in the line with `after`, as a person would paste it into a shell: to the end of
    /// the line, or of the command.
    pub(crate) fn paste(&self, told: &Ran, after: &str) -> Ran {
        let text = told.all();
        let line = text.lines().find(|line| line.contains(after)).unwrap_or_else(|| panic!("no {after}: {told:?}"));
        let begin = line.rfind("mediasync ").unwrap_or_else(|| panic!("no command: {line}")) + "mediasync".len();
        let command = line[begin..].split(" (or ").next().expect("the first piece");
        let line = format!("{}{command}", env!("CARGO_BIN_EXE_mediasync"));
        // What the sandbox adds is nothing to a line: the line has to name the state itself.
        self.start_command(&mut Command::new("/bin/sh"), &["-c", &line]).wait()
    }

    /// Runs the program with these arguments and no others: what comes after `--` is not ours.
    pub(crate) fn run_plainly(&self, args: &[&str]) -> Ran {
        self.begin(Command::new(env!("CARGO_BIN_EXE_mediasync")).args(args), args).wait()
    }

    /// Gives a command the sandbox's environment and current directory.
    pub(crate) fn dress(&self, command: &mut Command) {
        command.current_dir(self.path("work")).env_clear().envs(&self.env);
    }

    /// Begins a run through another command, which has to pass on these arguments.
    pub(crate) fn start_command(&self, command: &mut Command, args: &[&str]) -> Running {
        command.args(args).arg("--state-dir").arg(self.path("state"));
        self.begin(command, args)
    }

    fn begin(&self, command: &mut Command, args: &[&str]) -> Running {
        self.dress(command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(uid) = self.uid {
            command.uid(uid).gid(uid);
        }
        let mut child = command.spawn().expect("the program starts");
        let stdout = drain(child.stdout.take().expect("a pipe"));
        let stderr = drain(child.stderr.take().expect("a pipe"));
        Running { child, out: Some((stdout, stderr)), args: args.join(" ") }
    }

    /// The keys in the bucket with their content, without the prefix, without mediasync's own.
    pub(crate) fn remote(&self) -> BTreeMap<String, Bytes> {
        let keys = self.bucket.keys().into_iter();
        keys.filter_map(|key| {
            let name = key.strip_prefix(PREFIX)?;
            (!name.starts_with(".mediasync")).then(|| (name.to_owned(), self.bucket.content(&key)))
        })
        .collect()
    }

    /// The object under a key, the prefix left out.
    pub(crate) fn content(&self, name: &str) -> Bytes {
        self.bucket.content(&format!("{PREFIX}{name}"))
    }

    /// Stores an object as somebody else would.
    pub(crate) fn put(&self, name: &str, content: impl Into<Bytes>) -> String {
        self.bucket.put(&format!("{PREFIX}{name}"), content)
    }

    /// mediasync's own keys in the bucket, without what is in the trash.
    pub(crate) fn own_keys(&self) -> Vec<String> {
        let own = format!("{PREFIX}.mediasync/");
        let keys = self.bucket.keys();
        let own = keys.iter().filter_map(|key| key.strip_prefix(&own));
        own.filter(|name| !name.starts_with("trash/")).map(str::to_owned).collect()
    }

    /// What is in the bucket's trash, by key, and the names of the runs that put it there.
    pub(crate) fn trash(&self) -> (BTreeMap<String, Bytes>, BTreeSet<String>) {
        let own = format!("{PREFIX}.mediasync/trash/");
        let (mut found, mut runs) = (BTreeMap::new(), BTreeSet::new());
        for key in self.bucket.keys() {
            if let Some((run, name)) = key.strip_prefix(&own).and_then(|path| path.split_once('/')) {
                found.insert(name.to_owned(), self.bucket.content(&key));
                runs.insert(run.to_owned());
            }
        }
        (found, runs)
    }

    /// The regular files of the media directory with their content.
    pub(crate) fn local(&self) -> BTreeMap<String, Bytes> {
        let mut files = BTreeMap::new();
        walk(&self.path("media"), &mut |path| {
            let name = path.strip_prefix(self.path("media")).expect("below").to_str().expect("UTF-8").to_owned();
            if name.starts_with(".mediasync/") {
                return;
            }
            files.insert(name, Bytes::from(fs::read(path).expect("a readable file")));
        });
        files
    }

    /// Both sides hold the same, and nothing is left over on either of them.
    pub(crate) fn assert_equal(&self) {
        let (local, remote) = (self.local(), self.remote());
        let names = |side: &BTreeMap<String, Bytes>| side.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&local), names(&remote));
        for (name, content) in &local {
            assert!(remote[name] == content, "{name} differs: {} and {} bytes", content.len(), remote[name].len());
        }
        assert_eq!(self.bucket.uploads(), [], "unfinished uploads");
        assert_eq!(self.own_keys(), ["id"], "own objects");
    }

    /// As [`Sandbox::assert_pulled`], where a run was killed: what it was writing is removed once it is old.
    pub(crate) fn assert_pulled_but_for_leftovers(&self) {
        let mut local = self.local();
        local.retain(|name, _| !name.rsplit('/').next().is_some_and(|name| name.starts_with(".mediasync-")));
        assert_eq!(local, self.remote());
    }

    /// Both sides hold the same keys and bytes, and a pull left nothing else in the directory.
    pub(crate) fn assert_pulled(&self) {
        assert_eq!(self.local(), self.remote());
    }

    /// A further `push` with these arguments changes nothing and has nothing to complain about.
    pub(crate) fn assert_second_run_does_nothing(&self, more: &[&str]) {
        self.assert_idle(more, 0);
    }

    /// A further `push` changes nothing and exits with `code`.
    pub(crate) fn assert_idle(&self, more: &[&str], code: i32) {
        self.server.clear_log();
        let ran = self.push(more).exits(code);
        assert_eq!(changes(&self.server.changing_requests()), Vec::<String>::new(), "{ran:?}");
    }

    /// The changing requests so far, as `PutObject site/a`; fails if there are other ones than these. Copies into the
    /// trash are not counted: every deletion has one.
    pub(crate) fn assert_changes(&self, expected: &[&str]) {
        let mut made = changes(&self.server.changing_requests());
        made.retain(|change| !change.contains("/.mediasync/trash/"));
        made.sort();
        assert_eq!(made, expected);
    }

    /// The keys of all requests of an operation, without the prefix.
    pub(crate) fn requested(&self, operation: &str) -> Vec<String> {
        let log = self.server.requests();
        let keys = log.iter().filter(|entry| entry.call.operation == operation);
        let mut keys: Vec<String> =
            keys.map(|entry| entry.call.key.strip_prefix(PREFIX).unwrap_or(&entry.call.key).to_owned()).collect();
        keys.sort();
        keys
    }

    /// Forgets what the pair agreed on.
    pub(crate) fn lose_the_manifest(&self) {
        fs::remove_dir_all(self.path("state")).expect("the state was there");
        fs::create_dir(self.path("state")).expect("a directory");
    }

    /// The manifest's file.
    pub(crate) fn manifest(&self) -> PathBuf {
        let mut found = Vec::new();
        walk(&self.path("state"), &mut |path| found.push(path.to_owned()));
        let manifest =
            found.into_iter().find(|path| path.extension().is_some_and(|end| end == "sqlite" || end == "db"));
        manifest.expect("a pair that ran has a manifest")
    }

    /// All files below a directory of the sandbox.
    pub(crate) fn files(&self, name: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(&self.path(name), &mut |path| found.push(path.to_owned()));
        found
    }
}

fn changes(log: &[Logged]) -> Vec<String> {
    log.iter().map(|entry| format!("{} {}", entry.call.operation, entry.call.key)).collect()
}

fn walk(dir: &Path, found: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(dir).expect("a readable directory") {
        let entry = entry.expect("an entry");
        let kind = entry.file_type().expect("its type");
        if kind.is_dir() {
            walk(&entry.path(), found);
        } else if kind.is_file() {
            found(&entry.path());
        }
    }
}

fn drain(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        String::from_utf8(bytes).expect("the program prints UTF-8")
    })
}

/// A run that has not ended.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    out: Option<(JoinHandle<String>, JoinHandle<String>)>,
    args: String,
}

impl Running {
    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Ran {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            if begun.elapsed() > PATIENCE {
                self.child.kill().expect("a child can be killed");
                self.child.wait().expect("a child can be waited for");
                let (stdout, stderr) = self.output();
                panic!("{} hangs\n{stdout}\n{stderr}", self.args);
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let (stdout, stderr) = self.output();
        let code = status.code().unwrap_or_else(|| -status.signal().unwrap_or(0));
        Ran { code, stdout, stderr, args: self.args.clone() }
    }

    /// `kill -9`, and waits until it is gone; gives the exit code, -9 if the run had not ended before.
    pub(crate) fn kill(mut self) -> i32 {
        self.child.kill().expect("a child can be killed");
        let status = self.child.wait().expect("a child can be waited for");
        status.code().unwrap_or_else(|| -status.signal().unwrap_or(0))
    }

    /// Whether it is over.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn output(&mut self) -> (String, String) {
        let (stdout, stderr) = self.out.take().expect("asked once");
        (stdout.join().expect("UTF-8 on stdout"), stderr.join().expect("UTF-8 on stderr"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A failed test must not leave a run behind; one that has ended can't be killed.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A run that has ended.
pub(crate) struct Ran {
    /// The exit code; a signal is negative.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    args: String,
}

impl std::fmt::Debug for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "mediasync {}\nexit {}\n{}\n{}", self.args, self.code, self.stdout, self.stderr)
    }
}

impl Ran {
    /// Fails if the exit code is another.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// Fails if stdout and stderr together lack one of these texts.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        let all = self.all();
        for text in texts {
            assert!(all.contains(text), "{text:?} is missing:\n{self:?}");
        }
        self
    }

    /// Fails if stdout or stderr holds this text.
    #[track_caller]
    pub(crate) fn never_says(self, text: &str) -> Self {
        assert!(!self.all().contains(text), "{text:?} is there:\n{self:?}");
        self
    }

    /// Both streams.
    pub(crate) fn all(&self) -> String {
        let mut all = self.stdout.clone();
        write!(all, "\n{}", self.stderr).expect("writing to a string");
        all
    }

    /// The lines of stdout as JSON.
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.stdout.lines().map(parse).collect()
    }

    /// The line of stdout that is of this type.
    #[track_caller]
    pub(crate) fn line(&self, of: &str) -> serde_json::Value {
        let found = self.json().into_iter().find(|line| line["type"] == of);
        found.unwrap_or_else(|| panic!("no line of type {of}:\n{self:?}"))
    }

    /// The arguments of the command that a halt tells people to type.
    #[track_caller]
    pub(crate) fn way_out(&self) -> Vec<String> {
        let all = self.all();
        let at = all.find("mediasync approve ").unwrap_or_else(|| panic!("no command to approve:\n{self:?}"));
        let words = all[at..].split_whitespace().skip(1).take(3);
        words.map(str::to_owned).collect()
    }
}

/// Bytes that no two tests share, `len` of them.
pub(crate) fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; len];
    random.fill(&mut bytes);
    bytes
}
