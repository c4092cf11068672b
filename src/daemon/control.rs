//! The control socket: what other processes of this host may ask of the daemon. One JSON line asks, JSON lines answer.
//!
//! The socket lies in the state directory, mode 0660: who may write there may ask. Nothing that is asked is a secret, and
//! no secret is answered.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustix::fs::{Mode, OFlags, open};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::spawn_local;

use super::state::DaemonState;

/// The version of the protocol.
pub const VERSION: u32 = 1;
/// The socket's name in the state directory.
pub const NAME: &str = "control.sock";
/// The longest question, bytes.
const LONGEST: u64 = 64 * 1024;
/// Questions that are answered at the same time; loans and runs may take long.
const GUESTS: usize = 32;
/// How long a question may take to arrive.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer may wait for its reader. A run goes no further meanwhile, and nobody else gets its pair.
const UNREAD: Duration = Duration::from_secs(60);
/// The longest path of a socket that systems take, bytes (`sockaddr_un`, with room for macOS).
const LONGEST_PATH: usize = 100;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// [`VERSION`].
    pub v: u32,
    /// What.
    #[serde(flatten)]
    pub ask: Ask,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Ask {
    /// How everything stands.
    Status,
    /// Run this job now, and say what a run of it says.
    Run {
        /// Its name.
        job: String,
        /// What the asker means by it, as a fingerprint of its places or, where the asker can't find them, of what is
        /// written: the daemon may run by another configuration.
        meant: String,
        /// How it is told.
        how: How,
    },
    /// Do exactly what a halted run of this job had planned, and say what that says.
    Approve {
        /// Its name.
        job: String,
        /// As in [`Ask::Run`].
        meant: String,
        /// The hash of the plan.
        plan: String,
        /// How it is told.
        how: How,
    },
    /// Do nothing until [`Ask::Resume`]: this job, or all.
    Pause {
        /// Its name.
        job: Option<String>,
    },
    /// Go on.
    Resume {
        /// Its name.
        job: Option<String>,
    },
    /// Leave this pair alone for as long as the connection stays.
    Lend {
        /// Its id.
        pair: String,
    },
}

/// How a run is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct How {
    /// JSON instead of text.
    pub json: bool,
    /// Less than 0 for `-q`, more than 0 for `-v`.
    pub verbosity: i8,
    /// With colours.
    pub colour: bool,
}

/// An answer; a run has many.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// How everything stands.
    State {
        /// All of it.
        state: Box<DaemonState>,
    },
    /// A piece of what a run prints to stdout.
    Out {
        /// The text, with its line ends.
        text: String,
    },
    /// The same for stderr.
    Err {
        /// The text, with its line ends.
        text: String,
    },
    /// A run ended.
    Exit {
        /// Its exit code.
        code: u8,
    },
    /// It is so.
    Done,
    /// The daemon does not work on that; whoever asks may.
    NotMine,
    /// It can't be.
    Refused {
        /// Why, for people.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
}

/// What a question is put to: the control loop.
#[async_trait(?Send)]
pub trait Deck {
    /// How everything stands.
    fn state(&self) -> DaemonState;

    /// Pauses or resumes a job, or all.
    async fn pause(&self, job: Option<&str>, pause: Pausing) -> Answer;

    /// Lends a pair. What comes back keeps it until it is dropped.
    async fn lend(&self, pair: &str) -> Result<Box<dyn std::any::Any>, Answer>;

    /// Runs a job, or carries out its plan; what it prints goes to `out`. Dropped when nobody listens any more.
    async fn run(&self, wanted: &Wanted<'_>, how: &How, out: mpsc::UnboundedSender<Answer>) -> Answer;
}

/// What is to be run.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The name of the job.
    pub job: &'a str,
    /// What the asker means by it.
    pub meant: &'a str,
    /// The plan that is to be carried out; else a cycle is.
    pub plan: Option<&'a str>,
}

/// Whether a job is to stop or to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pausing {
    /// It stops.
    Pause,
    /// It goes on.
    Resume,
}

/// Where the socket of a state directory is, as a path that is short enough, and what has to be kept while it is used.
fn reachable(state_dir: &Path) -> io::Result<(PathBuf, Option<rustix::fd::OwnedFd>)> {
    let path = state_dir.join(NAME);
    if path.as_os_str().len() <= LONGEST_PATH || !Path::new("/proc/self/fd").is_dir() {
        return Ok((path, None));
    }
    let dir = open(state_dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let number = rustix::fd::AsRawFd::as_raw_fd(&dir);
    Ok((PathBuf::from(format!("/proc/self/fd/{number}/{NAME}")), Some(dir)))
}

/// The socket of a state directory, whose daemon the caller is: what an earlier one left is removed.
///
/// # Errors
/// It can't be made.
pub fn listen(state_dir: &Path) -> io::Result<UnixListener> {
    let (path, _dir) = reachable(state_dir)?;
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Answers whoever asks. Never ends.
pub async fn serve(listener: UnixListener, deck: Rc<dyn Deck>) {
    let guests = Arc::new(Semaphore::new(GUESTS));
    loop {
        let Ok(seat) = Arc::clone(&guests).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let deck = Rc::clone(&deck);
                spawn_local(async move {
                    // Whoever hangs up needs no answer.
                    answer(stream, &*deck).await.unwrap_or_default();
                    drop(seat);
                });
            }
            // No more files may be open: somebody will close some.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn answer(stream: UnixStream, deck: &dyn Deck) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read.take(LONGEST));
    let mut line = String::new();
    let arrived = tokio::time::timeout(PATIENCE, lines.read_line(&mut line)).await;
    if !matches!(arrived, Ok(Ok(1..))) {
        return Ok(());
    }
    let question = match serde_json::from_str::<Question>(&line) {
        Ok(question) if question.v == VERSION => question.ask,
        Ok(question) => return say(&mut write, &refused(&format!("version {} is not spoken here", question.v))).await,
        Err(error) => return say(&mut write, &refused(&format!("that is no question: {error}"))).await,
    };
    // Nothing more is asked: the end of the stream means that nobody listens any more.
    let mut gone = lines.into_inner().into_inner();
    match question {
        Ask::Status => say(&mut write, &Answer::State { state: Box::new(deck.state()) }).await,
        Ask::Pause { job } => say(&mut write, &deck.pause(job.as_deref(), Pausing::Pause).await).await,
        Ask::Resume { job } => say(&mut write, &deck.pause(job.as_deref(), Pausing::Resume).await).await,
        Ask::Lend { pair } => {
            let loan = tokio::select! {
                loan = deck.lend(&pair) => loan,
                () = hung_up(&mut gone) => return Ok(()),
            };
            match loan {
                Err(refused) => say(&mut write, &refused).await,
                Ok(loan) => {
                    say(&mut write, &Answer::Done).await?;
                    hung_up(&mut gone).await;
                    drop(loan);
                    Ok(())
                }
            }
        }
        Ask::Run { job, meant, how } => {
            let wanted = Wanted { job: &job, meant: &meant, plan: None };
            streamed((&mut write, &mut gone), deck, &wanted, &how).await
        }
        Ask::Approve { job, meant, plan, how } => {
            let wanted = Wanted { job: &job, meant: &meant, plan: Some(&plan) };
            streamed((&mut write, &mut gone), deck, &wanted, &how).await
        }
    }
}

async fn hung_up(read: &mut OwnedReadHalf) {
    let mut byte = [0];
    while let Ok(1..) = read.read(&mut byte).await {}
}

/// Passes on what a run prints, as it prints it.
async fn streamed(
    (write, gone): (&mut OwnedWriteHalf, &mut OwnedReadHalf),
    deck: &dyn Deck,
    wanted: &Wanted<'_>,
    how: &How,
) -> io::Result<()> {
    let (out, mut printed) = mpsc::unbounded_channel();
    let work = deck.run(wanted, how, out);
    tokio::pin!(work);
    let last = loop {
        tokio::select! {
            biased;
            Some(answer) = printed.recv() => say(write, &answer).await?,
            last = &mut work => break last,
            // A run that nobody listens to was interrupted: Ctrl-C reaches who typed it, not the daemon.
            () = hung_up(gone) => return Ok(()),
        }
    };
    while let Ok(answer) = printed.try_recv() {
        say(write, &answer).await?;
    }
    say(write, &last).await
}

async fn say(write: &mut OwnedWriteHalf, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    tokio::time::timeout(UNREAD, write.write_all(&line)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn refused(message: &str) -> Answer {
    Answer::Refused {
        message: message.to_owned(),
        hint: Some("the program and its daemon may be of different versions: restart the daemon".to_owned()),
    }
}

/// A connection to a daemon.
#[derive(Debug)]
pub struct Line {
    read: tokio::io::Lines<BufReader<OwnedReadHalf>>,
    /// The daemon takes its end for ours.
    _write: OwnedWriteHalf,
}

impl Line {
    /// Asks the daemon of a state directory; `None` if there is none.
    ///
    /// # Errors
    /// There is one that can't be asked.
    pub async fn ask(state_dir: &Path, ask: Ask) -> io::Result<Option<Self>> {
        let stream = match reachable(state_dir) {
            Ok((path, _dir)) => UnixStream::connect(&path).await,
            Err(error) => Err(error),
        };
        let stream = match stream {
            Ok(stream) => stream,
            // What a killed daemon left refuses.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let (read, mut write) = stream.into_split();
        let mut line = serde_json::to_vec(&Question { v: VERSION, ask })?;
        line.push(b'\n');
        write.write_all(&line).await?;
        Ok(Some(Self { read: BufReader::new(read).lines(), _write: write }))
    }

    /// The next answer; `None` at the end.
    ///
    /// # Errors
    /// The connection broke, or it is no answer.
    pub async fn next(&mut self) -> io::Result<Option<Answer>> {
        match self.read.next_line().await? {
            None => Ok(None),
            Some(line) => Ok(Some(serde_json::from_str(&line)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::task::LocalSet;

    use super::*;

    #[derive(Default)]
    struct Fake {
        lent: Rc<RefCell<u32>>,
    }

    struct Back(Rc<RefCell<u32>>);

    impl Drop for Back {
        fn drop(&mut self) {
            *self.0.borrow_mut() -= 1;
        }
    }

    #[async_trait(?Send)]
    impl Deck for Fake {
        fn state(&self) -> DaemonState {
            DaemonState {
                pid: 7,
                version: "1".into(),
                started_ns: 0,
                config: None,
                state_dir: "/state".into(),
                reload_error: None,
                jobs: Vec::new(),
            }
        }

        async fn pause(&self, job: Option<&str>, pause: Pausing) -> Answer {
            let message = format!("{pause:?} {job:?}");
            Answer::Refused { message, hint: None }
        }

        async fn lend(&self, pair: &str) -> Result<Box<dyn std::any::Any>, Answer> {
            if pair == "other" {
                return Err(Answer::NotMine);
            }
            *self.lent.borrow_mut() += 1;
            Ok(Box::new(Back(Rc::clone(&self.lent))))
        }

        async fn run(&self, wanted: &Wanted<'_>, _: &How, out: mpsc::UnboundedSender<Answer>) -> Answer {
            let Wanted { job, plan, .. } = *wanted;
            out.send(Answer::Out { text: format!("{job} {plan:?}\n") }).unwrap();
            if job == "endless" {
                let _back = Back(Rc::clone(&self.lent));
                *self.lent.borrow_mut() += 1;
                std::future::pending::<()>().await;
            }
            Answer::Exit { code: 3 }
        }
    }

    async fn asked(dir: &Path, ask: Ask) -> Vec<Answer> {
        let mut line = Line::ask(dir, ask).await.unwrap().unwrap();
        let mut answers = Vec::new();
        while let Some(answer) = line.next().await.unwrap() {
            answers.push(answer);
        }
        answers
    }

    async fn until(met: impl Fn() -> bool) {
        while !met() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn scene(dir: &Path) {
        assert!(Line::ask(dir, Ask::Status).await.unwrap().is_none(), "nobody is there");
        drop(listen(dir).unwrap());
        assert!(Line::ask(dir, Ask::Status).await.unwrap().is_none(), "what a killed one left is nobody");
        let lent = Rc::new(RefCell::new(0));
        let deck = Rc::new(Fake { lent: Rc::clone(&lent) });
        spawn_local(serve(listen(dir).unwrap(), deck));
        let mode = std::fs::metadata(dir.join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        assert!(matches!(&asked(dir, Ask::Status).await[..], [Answer::State { state }] if state.pid == 7));
        let [Answer::Refused { message, .. }] = &asked(dir, Ask::Pause { job: Some("a".into()) }).await[..] else {
            panic!()
        };
        assert_eq!(message, "Pause Some(\"a\")");
        let how = How { json: false, verbosity: 0, colour: false };
        let run = Ask::Approve { job: "a".into(), meant: String::new(), plan: "f00".into(), how: how.clone() };
        let told = Answer::Out { text: "a Some(\"f00\")\n".into() };
        assert_eq!(asked(dir, run).await, [told, Answer::Exit { code: 3 }]);
        // A loan lasts as long as the connection, and a run that nobody listens to ends.
        assert_eq!(asked(dir, Ask::Lend { pair: "other".into() }).await, [Answer::NotMine]);
        for ask in [Ask::Lend { pair: "p".into() }, Ask::Run { job: "endless".into(), meant: String::new(), how }] {
            let mut line = Line::ask(dir, ask).await.unwrap().unwrap();
            assert!(line.next().await.unwrap().is_some());
            assert_eq!(*lent.borrow(), 1);
            drop(line);
            until(|| *lent.borrow() == 0).await;
        }
        // Noise is answered with words.
        let (path, _dir) = reachable(dir).unwrap();
        let mut stream = UnixStream::connect(path).await.unwrap();
        stream.write_all(b"{\"v\":9,\"ask\":\"status\"}\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.contains("version 9 is not spoken here"), "{text}");
    }

    #[tokio::test]
    async fn what_is_asked_is_answered() {
        let dir = tempfile::tempdir().unwrap();
        LocalSet::new().run_until(scene(dir.path())).await;
    }

    #[tokio::test]
    async fn a_state_directory_may_have_a_long_path() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("long".repeat(40));
        std::fs::create_dir(&deep).unwrap();
        LocalSet::new().run_until(scene(&deep)).await;
    }
}
