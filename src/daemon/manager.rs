//! What a service manager is told, in the protocol of `sd_notify`: ready, reloading, stopping, one line of status, and
//! that the control loop still turns.
//!
//! Promises: without `NOTIFY_SOCKET` nothing happens at all; the watchdog is fed only after the control loop itself
//! answered; telling never fails and never waits for longer than a second, because a manager that does not listen is no
//! reason to stop syncing. Does not read the environment and knows nothing of jobs.
//!
//! Written out and not taken from a crate: those read `NOTIFY_SOCKET` themselves, which a test could only set with
//! unsafe code. Protocol: <https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html>.

use std::fmt;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

/// A manager whose queue is full gets so long to take a message.
const PATIENCE: Duration = Duration::from_secs(1);
/// The longest status that is sent, in characters: it is one line of `systemctl status`.
const LONGEST: usize = 400;

/// The service manager that started the process, or nobody.
#[derive(Debug, Default)]
pub struct Manager {
    line: Option<Line>,
    watchdog: Option<Duration>,
    /// What it was told last, so that a state that does not change is not told again.
    told: Mutex<String>,
}

/// The way to the manager.
#[derive(Debug)]
struct Line {
    socket: UnixDatagram,
    to: SocketAddr,
}

impl Manager {
    /// The manager of this process, from its variables. One that can't be reached counts as none, and the log says so.
    pub fn of(env: &dyn Fn(&str) -> Option<String>) -> Self {
        let Some(at) = env("NOTIFY_SOCKET") else { return Self::default() };
        match Line::to(&at) {
            Ok(line) => Self { line: Some(line), watchdog: watchdog(env, std::process::id()), ..Self::default() },
            Err(error) => {
                tracing::warn!("the service manager can't be told anything: NOTIFY_SOCKET {at:?}: {error}");
                Self::default()
            }
        }
    }

    /// All is running: the unit counts as started, or as reloaded. `status` as in [`Self::status`].
    pub fn ready(&self, status: &str) {
        self.tell_with("READY=1", status);
    }

    /// What people read in `systemctl status`: one line, control characters escaped. Told only when it changed.
    pub fn status(&self, status: &str) {
        if self.line.is_some() && *self.told() != one_line(status) {
            self.tell_with("", status);
        }
    }

    /// The configuration is being read anew; [`Self::ready`] ends that, also after a refused one.
    pub fn reloading(&self) {
        // The manager compares it with the time of its own request: the clock has to be the same one.
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The process is on its way out. `status` as in [`Self::status`].
    pub fn stopping(&self, status: &str) {
        self.tell_with("STOPPING=1", status);
    }

    /// How often the manager wants to hear that the control loop turns, if it asked for that. It waits twice as long.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Feeds the watchdog for as long as the loop behind `pulse` answers: asks it, and tells the manager only after it
    /// did. Comes back at once if nobody asked for a watchdog, and when the [`Heart`] is gone.
    pub async fn keep_alive(&self, mut pulse: Pulse) {
        let Some(every) = self.watchdog else { return };
        loop {
            if !pulse.felt().await {
                return;
            }
            self.tell("WATCHDOG=1");
            tokio::time::sleep(every).await;
        }
    }

    fn tell_with(&self, what: &str, status: &str) {
        let status = one_line(status);
        let separator = if what.is_empty() { "" } else { "\n" };
        if self.tell(&format!("{what}{separator}STATUS={status}")) {
            *self.told() = status;
        }
    }

    /// Whether it was told.
    fn tell(&self, message: &str) -> bool {
        let Some(Line { socket, to }) = &self.line else { return false };
        match socket.send_to_addr(message.as_bytes(), to) {
            Ok(_) => true,
            Err(error) => {
                tracing::debug!(%error, "the service manager could not be told");
                false
            }
        }
    }

    fn told(&self) -> std::sync::MutexGuard<'_, String> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn to(at: &str) -> io::Result<Self> {
        let to = match at.strip_prefix('@') {
            Some(name) => in_the_abstract(name)?,
            None if at.starts_with('/') => SocketAddr::from_pathname(at)?,
            None => return Err(io::Error::new(io::ErrorKind::Unsupported, "neither an absolute path nor @NAME")),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket, to })
    }
}

#[cfg(target_os = "linux")]
fn in_the_abstract(name: &str) -> io::Result<SocketAddr> {
    <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn in_the_abstract(_: &str) -> io::Result<SocketAddr> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "abstract sockets are Linux's"))
}

/// Half of what the manager waits for, where it means this process.
fn watchdog(env: &dyn Fn(&str) -> Option<String>, own: u32) -> Option<Duration> {
    if env("WATCHDOG_PID").is_some_and(|pid| pid.parse() != Ok(own)) {
        return None;
    }
    let micros: u64 = env("WATCHDOG_USEC")?.parse().ok()?;
    (micros > 1).then(|| Duration::from_micros(micros / 2))
}

/// A text as one line of a message: another line would be another message.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for c in text.trim().chars().take(LONGEST) {
        if c.is_control() { line.extend(c.escape_unicode()) } else { line.push(c) }
    }
    line
}

/// The control loop's side of the watchdog: it waits for [`Heart::asked`] beside its other events, and calls
/// [`Heart::beat`] at the end of every turn.
pub struct Heart {
    questions: watch::Receiver<u64>,
    beats: watch::Sender<u64>,
}

/// The watchdog's side of a [`Heart`].
pub struct Pulse {
    questions: watch::Sender<u64>,
    beats: watch::Receiver<u64>,
}

impl fmt::Debug for Heart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heart").field("beats", &*self.beats.borrow()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulse").field("beats", &*self.beats.borrow()).finish_non_exhaustive()
    }
}

impl Heart {
    /// A heart for a loop, and the pulse for [`Manager::keep_alive`].
    pub fn new() -> (Self, Pulse) {
        let (questions, asked) = watch::channel(0);
        let (beats, felt) = watch::channel(0);
        (Self { questions: asked, beats }, Pulse { questions, beats: felt })
    }

    /// Waits until the watchdog wants to know. Never ends where there is none. May be dropped at any moment and begun
    /// again: a question that came in between is answered by the next [`Self::beat`] anyway.
    pub async fn asked(&mut self) {
        if self.questions.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The loop made a turn.
    pub fn beat(&self) {
        self.beats.send_modify(|beats| *beats = beats.wrapping_add(1));
    }
}

impl Pulse {
    /// Asks, and waits for a beat after the question. `false` when there can be none any more.
    async fn felt(&mut self) -> bool {
        let before = *self.beats.borrow_and_update();
        self.questions.send_modify(|questions| *questions = questions.wrapping_add(1));
        self.beats.wait_for(|beats| *beats != before).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::rc::Rc;

    use tempfile::TempDir;

    use super::*;

    /// A service manager that writes down what it is told.
    struct Systemd {
        socket: UnixDatagram,
        _dir: TempDir,
        variables: Vec<(&'static str, String)>,
    }

    impl Systemd {
        fn listening() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("notify");
            let socket = UnixDatagram::bind(&path).unwrap();
            Self::with(socket, path.to_str().unwrap().to_owned(), dir)
        }

        fn with(socket: UnixDatagram, at: String, dir: TempDir) -> Self {
            socket.set_nonblocking(true).unwrap();
            Self { socket, _dir: dir, variables: vec![("NOTIFY_SOCKET", at)] }
        }

        fn watching(mut self, micros: u64) -> Self {
            self.variables.push(("WATCHDOG_USEC", micros.to_string()));
            self.variables.push(("WATCHDOG_PID", std::process::id().to_string()));
            self
        }

        fn manager(&self) -> Manager {
            let variables = self.variables.clone();
            Manager::of(&move |name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone()))
        }

        /// What it was told since the last time.
        fn heard(&self) -> Vec<String> {
            let mut buffer = [0; 4096];
            let next = |_| {
                let length = self.socket.recv(&mut buffer).ok()?;
                Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
            };
            (0..).map_while(next).collect()
        }
    }

    #[test]
    fn each_state_is_told_in_the_words_of_the_protocol() {
        let systemd = Systemd::listening();
        let manager = systemd.manager();
        manager.ready("2 jobs");
        manager.stopping("finishing 3 transfers");
        assert_eq!(systemd.heard(), ["READY=1\nSTATUS=2 jobs", "STOPPING=1\nSTATUS=finishing 3 transfers"]);
        let before = clock_gettime(ClockId::Monotonic).tv_sec;
        manager.reloading();
        let told = systemd.heard().pop().unwrap();
        let micros: i64 = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse().unwrap();
        assert!((before..=before + 60).contains(&(micros / 1_000_000)), "{told}");
    }

    #[test]
    fn a_status_is_one_line_and_told_when_it_changes() {
        let systemd = Systemd::listening();
        let manager = systemd.manager();
        manager.ready("in sync");
        manager.status("in sync");
        manager.status("a\nREADY=0\u{1b}[31m");
        manager.status("a\nREADY=0\u{1b}[31m");
        manager.status("in sync");
        let long = "x".repeat(100_000);
        manager.status(&long);
        let heard = systemd.heard();
        assert_eq!(heard[..2], ["READY=1\nSTATUS=in sync", r"STATUS=a\u{a}READY=0\u{1b}[31m"]);
        assert_eq!((heard[2].as_str(), heard[3].len(), heard.len()), ("STATUS=in sync", "STATUS=".len() + LONGEST, 4));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn sockets_in_the_abstract_namespace_are_reached() {
        let name = format!("mediasync-test-{}-{}", std::process::id(), fastrand::u64(..));
        let socket = UnixDatagram::bind_addr(&in_the_abstract(&name).unwrap()).unwrap();
        let systemd = Systemd::with(socket, format!("@{name}"), tempfile::tempdir().unwrap());
        systemd.manager().ready("");
        assert_eq!(systemd.heard(), ["READY=1\nSTATUS="]);
    }

    #[test]
    fn without_a_manager_or_one_that_listens_nothing_happens() {
        for at in ["", "relative", "vsock:2:1", "/nowhere/at/all", &format!("/{}", "x".repeat(200))] {
            let manager = Manager::of(&|name| (name == "NOTIFY_SOCKET" && !at.is_empty()).then(|| at.to_owned()));
            manager.ready("x");
            manager.status("y");
            manager.stopping("z");
            assert_eq!(manager.watchdog(), None, "{at}");
        }
        assert!(!Path::new("relative").exists());
    }

    #[test]
    fn the_watchdog_is_fed_at_half_of_its_time_and_only_where_it_is_ours() {
        let told = |pairs: &[(&str, &str)]| {
            watchdog(&|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()), 7)
        };
        let minute = Some(Duration::from_secs(30));
        assert_eq!(told(&[("WATCHDOG_USEC", "60000000"), ("WATCHDOG_PID", "7")]), minute);
        assert_eq!(told(&[("WATCHDOG_USEC", "60000000")]), minute);
        assert_eq!(told(&[("WATCHDOG_USEC", "60000000"), ("WATCHDOG_PID", "8")]), None);
        assert_eq!(told(&[("WATCHDOG_USEC", "0")]), None);
        assert_eq!(told(&[("WATCHDOG_USEC", "soon")]), None);
        assert_eq!(told(&[]), None);
    }

    /// A loop that makes a turn when it is asked, and hangs for a while at its third turn.
    async fn a_loop_that_hangs(heart: &mut Heart, hangs: Duration) {
        for turn in 1.. {
            heart.asked().await;
            if turn == 3 {
                tokio::time::sleep(hangs).await;
            }
            heart.beat();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_hears_of_a_loop_that_turns_and_not_of_one_that_hangs() {
        let systemd = Systemd::listening().watching(60_000_000);
        let manager = systemd.manager();
        let (mut heart, pulse) = Heart::new();
        let hangs = Duration::from_secs(300);
        let mut both = std::pin::pin!(async {
            tokio::join!(manager.keep_alive(pulse), a_loop_that_hangs(&mut heart, hangs));
        });
        let mut run = async |seconds: u64| {
            tokio::time::timeout(Duration::from_secs(seconds), both.as_mut()).await.unwrap_err();
            systemd.heard().len()
        };
        assert_eq!(run(1).await, 1, "the first question is asked at once");
        assert_eq!(run(30).await, 1);
        assert_eq!(run(200).await, 0, "it hangs at its third turn");
        assert_eq!(run(200).await, 3, "it goes on 360 s after its start, and is asked every 30 s again");
    }

    #[tokio::test(start_paused = true)]
    async fn turns_before_the_question_are_no_answer() {
        let systemd = Systemd::listening().watching(60_000_000);
        let manager = systemd.manager();
        let (heart, pulse) = Heart::new();
        heart.beat();
        heart.beat();
        tokio::time::timeout(Duration::from_secs(600), manager.keep_alive(pulse)).await.unwrap_err();
        assert_eq!(systemd.heard(), Vec::<String>::new());
    }

    #[tokio::test(start_paused = true)]
    async fn a_blocked_runtime_feeds_nobody_and_a_gone_loop_ends_it() {
        let local = tokio::task::LocalSet::new();
        let systemd = Systemd::listening().watching(2_000);
        let manager = Rc::new(systemd.manager());
        let (mut heart, pulse) = Heart::new();
        let own = Rc::clone(&manager);
        let fed = local.spawn_local(async move { own.keep_alive(pulse).await });
        local
            .run_until(async {
                heart.asked().await;
                heart.beat();
                tokio::task::yield_now().await;
                assert_eq!(systemd.heard().len(), 1);
                // Nothing else gets a turn meanwhile.
                std::thread::sleep(Duration::from_millis(20));
                assert_eq!(systemd.heard().len(), 0);
                drop(heart);
                tokio::time::timeout(Duration::from_secs(5), fed).await.unwrap().unwrap();
            })
            .await;
        assert_eq!(systemd.heard().len(), 0);
        Manager::default().keep_alive(Heart::new().1).await;
    }
}
