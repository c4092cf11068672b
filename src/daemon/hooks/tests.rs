//! Telling, over real sockets and with real processes. Time is paused where nothing outside takes any.

use std::fmt::Write as _;
use std::sync::Mutex;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::*;
use crate::daemon::state::{Coverage, DaemonState, Halted, JobState, Phase, SECOND, Watching};

const START: i64 = 1_795_410_000 * SECOND;

/// Requests that came, as `METHOD PATH BODY`, with the second.
type Came = Arc<Mutex<Vec<(u64, String)>>>;

/// Answers with these statuses, then with 200; 0 never answers.
async fn server(mut statuses: Vec<u16>) -> (String, Came) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (came, start) = (Came::default(), Instant::now());
    let log = Arc::clone(&came);
    statuses.reverse();
    let statuses = Arc::new(Mutex::new(statuses));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (log, statuses) = (Arc::clone(&log), Arc::clone(&statuses));
            let service = service_fn(move |request: Request<Incoming>| {
                let (log, statuses) = (Arc::clone(&log), Arc::clone(&statuses));
                async move {
                    let line = format!("{} {}", request.method(), request.uri());
                    let body = request.into_body().collect().await?.to_bytes();
                    let body = String::from_utf8(body.to_vec()).unwrap();
                    log.lock().unwrap().push((start.elapsed().as_secs(), format!("{line} {body}")));
                    let status = statuses.lock().unwrap().pop().unwrap_or(200);
                    if status == 0 {
                        std::future::pending::<()>().await;
                    }
                    Ok::<_, hyper::Error>(Response::builder().status(status).body(Full::<Bytes>::default()).unwrap())
                }
            });
            tokio::spawn(
                async move { drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await) },
            );
        }
    });
    (url, came)
}

fn board() -> Board {
    let mut job = JobState::new("media", ("/srv/media", "s3://b"), "copy", 600);
    job.watch = Some(Watching { coverage: Coverage::Full, directories: 1, why: None });
    (job.phase, job.fresh_ns) = (Phase::Idle, Some(START));
    Board::new(DaemonState {
        pid: 1,
        version: String::new(),
        started_ns: START,
        config: None,
        state_dir: String::new(),
        reload_error: None,
        jobs: vec![job],
    })
}

fn halt(board: &Board) {
    let halt =
        Halted { message: "60 % would go".to_owned(), plan: None, command: None, since_ns: START, again_ns: None };
    board.job("media", |job| job.halt = Some(halt));
}

fn clock() -> Now {
    let start = Instant::now();
    Arc::new(move || START + i64::try_from(start.elapsed().as_nanos()).unwrap())
}

fn hooks(webhook: Option<String>, ping: Option<String>) -> Hooks {
    let all = vec![Kind::Failure, Kind::Halt, Kind::Recovery];
    Hooks { webhook: webhook.map(Secret::new), ping: ping.map(Secret::new), command: None, on: all }
}

async fn kept(board: &Board, hooks: Hooks, story: impl Future<Output = ()>) {
    tokio::select! {
        never = keep(board.clone(), hooks, clock(), Memory::default()) => match never {},
        () = story => {}
    }
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_halt_and_its_end_are_posted_and_the_dead_man_url_is_silent_between() {
    let (url, came) = server(vec![]).await;
    let board = board();
    let story = async {
        seconds(125).await;
        halt(&board);
        seconds(300).await;
        board.job("media", |job| job.halt = None);
        seconds(69).await;
    };
    kept(&board, hooks(Some(format!("{url}/hook?t=secret")), Some(format!("{url}/ping"))), story).await;
    let came = came.lock().unwrap().clone();
    let mut at: Vec<(u64, &str)> =
        came.iter().map(|(at, line)| (*at, line.split(" {").next().unwrap().trim())).collect();
    at.sort_unstable();
    let (ping, post) = ("GET /ping", "POST /hook?t=secret");
    let expected = [(0, ping), (60, ping), (120, ping), (130, post), (430, ping), (430, post), (490, ping)];
    assert_eq!(at, expected);
    let mut posts = came.iter().filter(|(_, line)| line.starts_with("POST"));
    assert!(posts.next().unwrap().1.contains("{\"v\":1,\"type\":\"halt\",\"job\":\"media\","), "{came:?}");
    let end = &posts.next().unwrap().1;
    assert!(end.contains("\"type\":\"recovery\"") && end.contains("after 7 minutes"), "{came:?}");
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_three_times_and_nothing_else_waits_for_it() {
    for (statuses, tries) in [
        (vec![503, 429, 200], vec![0, 5, 65]),
        (vec![0, 0, 0, 200], vec![0, 15, 85]),
        (vec![500, 500, 500, 200], vec![0, 5, 65]),
        (vec![404, 200], vec![0]),
        (vec![302, 200], vec![0]),
    ] {
        let (url, came) = server(statuses.clone()).await;
        let (other, pinged) = server(vec![]).await;
        let board = board();
        let story = async {
            seconds(55).await;
            halt(&board);
            seconds(10).await;
            board.job("media", |job| job.halt = None);
            seconds(500).await;
        };
        kept(&board, hooks(Some(url), Some(other)), story).await;
        let came = came.lock().unwrap();
        let of_halt = came.iter().filter(|(_, line)| line.contains("\"halt\""));
        assert_eq!(of_halt.map(|(at, _)| at - 60).collect::<Vec<u64>>(), tries, "{statuses:?}");
        let pinged: Vec<u64> = pinged.lock().unwrap().iter().map(|(at, _)| *at).take(3).collect();
        assert_eq!(pinged, [0, 70, 130], "{statuses:?}");
    }
}

/// What is logged while it lives, on this thread: all fields of all events of all levels.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl tracing::field::Visit for Log {
    fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        writeln!(self.0.lock().unwrap(), "{value:?}").unwrap();
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

impl Log {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let guard = tracing::subscriber::set_default(log.clone());
        (log, guard)
    }

    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn no_log_shows_a_url() {
    let (log, _guard) = Log::start();
    let (url, _came) = server(vec![503, 404, 404]).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let urls =
        [format!("{url}/T0KEN"), format!("http://{closed}/T0KEN"), "https://u:T0KEN@h/".to_owned(), "T0KEN".to_owned()];
    for url in urls {
        let board = board();
        let story = async {
            seconds(70).await;
            halt(&board);
            seconds(200).await;
        };
        let hooks = hooks(Some(url.clone()), Some(url));
        assert!(!format!("{hooks:?}").contains("T0KEN"));
        kept(&board, hooks, story).await;
    }
    let text = log.text();
    for words in [
        "the ping URL answered 404",
        "the webhook can't be reached (Refused), three times",
        "can't be used: it has a user",
        "it is no URL",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("T0KEN"), "{text}");
}

fn event() -> Event {
    let board = board();
    halt(&board);
    Watchkeeper::new(vec![Kind::Halt]).observe(&board.look(), START).remove(0)
}

fn program(words: &[&str]) -> Program {
    Program::new(words.iter().map(|&word| word.to_owned()).collect()).unwrap()
}

#[tokio::test]
async fn a_command_gets_the_event_without_a_shell_and_its_output_is_logged() {
    let (log, _guard) = Log::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("$(out);");
    let script = "cat > \"$1\"; echo \"$MEDIASYNC_TYPE $MEDIASYNC_JOB $MEDIASYNC_HEALTH: $MEDIASYNC_MESSAGE\"; \
                  printf 'b\\033[31mad\\n' >&2; exit 3";
    program(&["sh", "-c", script, "sh", file.to_str().unwrap()]).run(&event()).await;
    assert_eq!(std::fs::read_to_string(file).unwrap(), event().json() + "\n");
    program(&["/no/such/program"]).run(&event()).await;
    // One that reads nothing and prints much more than is logged.
    program(&["sh", "-c", "head -c 1000000 /dev/zero"]).run(&event()).await;
    let text = log.text();
    for words in [
        "sh: halt media halted: it halted: 60 % would go\n",
        "sh: b\\u{1b}[31mad",
        "the command sh ended with exit status: 3",
        "the command /no/such/program can't be run",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(text.len() < 100_000);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_does_not_end_is_killed() {
    let (log, _guard) = Log::start();
    let mark = format!("98765.{}", std::process::id());
    program(&["sleep", &mark]).run(&event()).await;
    assert!(log.text().contains("the command sleep ran for 30 s and was killed"), "{}", log.text());
    let runs = || {
        std::fs::read_dir("/proc").unwrap().filter_map(Result::ok).any(|entry| {
            std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(&mark))
        })
    };
    for _ in 0..100 {
        if !runs() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("it goes on");
}
