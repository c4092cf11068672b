//! The endpoint over real sockets, and its answers by a strict reader of the format of Prometheus.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};

use super::*;
use crate::daemon::state::{Coverage, DaemonState, Failing, Halted, JobState, Phase, SECOND, Watching};

/// A moment: 2026-11-23 05:00 UTC.
pub(super) const NOW: i64 = 1_795_410_000 * SECOND;

pub(super) fn job(name: &str) -> JobState {
    let mut job = JobState::new(name, ("/srv/media", "s3://bucket/media"), "copy", 600);
    job.phase = Phase::Idle;
    job.watch = Some(Watching { coverage: Coverage::Full, directories: 42, why: None });
    job.fresh_ns = Some(NOW - 60 * SECOND);
    job
}

pub(super) fn state(jobs: Vec<JobState>) -> DaemonState {
    DaemonState {
        pid: 7,
        version: "0.1.0".to_owned(),
        started_ns: NOW - 86_400 * SECOND,
        config: Some("/etc/mediasync/config.toml".to_owned()),
        state_dir: "/var/lib/mediasync".to_owned(),
        reload_error: None,
        jobs,
    }
}

/// What comes back for the bytes of a request, from a server on a thread of its own.
fn asked(jobs: Vec<JobState>, requests: &[String]) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(bind("127.0.0.1:0".parse().unwrap())).unwrap();
    let address = listener.local_addr().unwrap();
    let requests = requests.to_vec();
    let asking = std::thread::spawn(move || {
        let ask = |request: &String| {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        requests.iter().map(ask).collect()
    });
    runtime.block_on(async {
        let serving = serve(listener, Board::new(state(jobs)), Arc::new(|| NOW));
        let done = tokio::task::spawn_blocking(|| asking.join().unwrap());
        tokio::select! {
            answers = done => answers.unwrap(),
            never = serving => match never {},
        }
    })
}

fn get(path: &str, host: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[test]
fn only_names_of_this_machine_are_answered() {
    let hosts = ["localhost", "LOCALHOST:9797", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:9797"];
    let foreign = ["evil.example", "evil.example:9797", "localhost.evil.example", "127.0.0.1.evil.example", "", "::1"];
    let requests: Vec<String> = hosts.iter().chain(&foreign).map(|host| get("/healthz", host)).collect();
    let answers = asked(vec![job("media")], &requests);
    for (host, answer) in hosts.iter().zip(&answers) {
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
    }
    for (host, answer) in foreign.iter().zip(&answers[hosts.len()..]) {
        assert!(answer.starts_with("HTTP/1.1 421 ") && !answer.contains("media"), "{host}: {answer}");
    }
    let odd = [
        "GET /healthz HTTP/1.0\r\n\r\n".to_owned(),
        "GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n".to_owned(),
    ];
    for answer in asked(vec![job("media")], &odd) {
        assert!(answer.starts_with("HTTP/1.1 421 ") || answer.starts_with("HTTP/1.0 421 "), "{answer}");
    }
}

#[test]
fn nothing_but_reading_is_possible_and_requests_are_small() {
    let mut requests: Vec<String> =
        ["POST", "PUT", "DELETE", "OPTIONS"].iter().map(|m| get("/", "localhost").replacen("GET", m, 1)).collect();
    requests.push(get("/nothing", "localhost"));
    requests.push(format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(9_000)));
    requests.push(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "A: b\r\n".repeat(100)));
    requests.push(get("/metrics", "localhost").replacen("GET", "HEAD", 1));
    let answers = asked(vec![job("media")], &requests);
    for answer in &answers[..4] {
        assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: GET, HEAD\r\n"), "{answer}");
    }
    assert!(answers[4].starts_with("HTTP/1.1 404 "), "{}", answers[4]);
    assert!(answers[5].starts_with("HTTP/1.1 414 ") || answers[5].starts_with("HTTP/1.1 431 "), "{}", answers[5]);
    assert!(answers[6].starts_with("HTTP/1.1 431 "), "{}", answers[6]);
    assert!(answers[7].starts_with("HTTP/1.1 200 ") && body(&answers[7]).is_empty(), "{}", answers[7]);
    for header in ["cache-control: no-store", "x-content-type-options: nosniff", "default-src 'none'"] {
        assert!(answers[7].contains(header), "{header}: {}", answers[7]);
    }
}

#[test]
fn a_client_that_says_nothing_holds_nobody_up() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asking = async {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let mut silent = Vec::new();
            for _ in 0..CONNECTIONS - 1 {
                silent.push(TcpStream::connect(address).await.unwrap());
            }
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(get("/healthz", "localhost").as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        tokio::select! {
            answer = asking => assert!(answer.starts_with("HTTP/1.1 200 ")),
            never = serve(listener, Board::new(state(vec![])), Arc::new(|| NOW)) => match never {},
        }
    });
}

#[tokio::test(start_paused = true)]
async fn silent_clients_are_sent_away_and_others_get_their_turn() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let asking = async {
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(get("/healthz", "localhost").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    tokio::select! {
        answer = asking => assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}"),
        never = serve(listener, Board::new(state(vec![])), Arc::new(|| NOW)) => match never {},
    }
}

#[tokio::test]
async fn an_address_that_others_can_reach_is_refused() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        let error = bind(address.parse().unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("can be reached from other machines"), "{error}");
    }
}

#[test]
fn health_fails_for_stale_and_halted_jobs_only() {
    let mut syncing = job("syncing");
    (syncing.dirty, syncing.dirty_since_ns) = (3, Some(NOW - 5 * SECOND));
    let mut problems = job("problems");
    problems.problem_count = 2;
    let mut paused = job("paused");
    paused.phase = Phase::Paused;
    let mut stale = job("stale");
    (stale.phase, stale.fresh_ns) = (Phase::Failing, Some(NOW - 700 * SECOND));
    stale.error = Some(Failing {
        message: "no answer\nok".to_owned(),
        hint: None,
        since_ns: NOW - 700 * SECOND,
        retry_ns: None,
        tries: 3,
    });
    let mut halted = job("a&b c");
    halted.halt =
        Some(Halted { message: "60 % would go".to_owned(), plan: None, command: None, since_ns: NOW, again_ns: None });
    let jobs = vec![job("fine"), syncing, problems, paused, stale, halted];
    let one = |name: &str| get(&format!("/healthz?job={name}"), "localhost");
    let mut requests =
        vec![get("/healthz", "localhost"), one("a%26b%20c"), one("a%26b+c"), one("stale"), one("nobody%0a")];
    requests.extend(["fine", "syncing", "problems", "paused"].map(one));
    requests.push(get("/healthz?jobs=fine", "localhost"));
    let answers = asked(jobs, &requests);
    assert!(answers[0].starts_with("HTTP/1.1 503 "), "{}", answers[0]);
    assert_eq!(
        body(&answers[0]),
        "failing\nfine: in-sync, 0 s behind\nsyncing: syncing, 5 s behind\n\
         problems: problems, 0 s behind: 2 problems left\npaused: paused, 60 s behind\n\
         stale: stale, 700 s behind: no answer\\u{a}ok\na&b c: halted, 60 s behind: 60 % would go\n"
    );
    for n in [1, 2] {
        assert!(answers[n].starts_with("HTTP/1.1 503 "), "{}", answers[n]);
        assert_eq!(body(&answers[n]), "failing\na&b c: halted, 60 s behind: 60 % would go\n");
    }
    assert!(answers[3].starts_with("HTTP/1.1 503 "), "{}", answers[3]);
    assert!(answers[4].starts_with("HTTP/1.1 404 ") && body(&answers[4]).contains("nobody\\u{a}."), "{}", answers[4]);
    for answer in &answers[5..9] {
        assert!(answer.starts_with("HTTP/1.1 200 ") && body(answer).starts_with("ok\n"), "{answer}");
    }
    assert!(answers[9].starts_with("HTTP/1.1 400 "), "{}", answers[9]);
}

/// What the format allows, and nothing else: families with HELP and TYPE before their lines, each once; valid names;
/// escaped values; no series twice. Gives the values by series.
fn parsed(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with('\n'));
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let (mut families, mut series) = (BTreeSet::new(), BTreeMap::new());
    let (mut family, mut helped, mut kind) = (String::new(), String::new(), String::new());
    for line in text.strip_suffix('\n').unwrap().split('\n') {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(is_name(name) && !help.is_empty() && families.insert(name.to_owned()), "{line}");
            name.clone_into(&mut helped);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, is) = rest.split_once(' ').unwrap();
            assert!(name == helped && matches!(is, "gauge" | "counter"), "{line}");
            assert_eq!(name.ends_with("_total"), is == "counter", "{line}");
            (family, kind) = (name.to_owned(), is.to_owned());
        } else {
            let end = line.find(['{', ' ']).unwrap();
            assert_eq!(&line[..end], family, "{line}: lines of a family stand together");
            let mut rest = &line[end..];
            if let Some(labels) = rest.strip_prefix('{') {
                rest = labels;
                let mut seen = BTreeSet::new();
                loop {
                    let (label, value) = rest.split_once("=\"").unwrap();
                    assert!(is_name(label) && seen.insert(label), "{line}");
                    let mut chars = value.char_indices();
                    let close = loop {
                        match chars.next().unwrap() {
                            (at, '"') => break at,
                            (_, '\\') => assert!(matches!(chars.next().unwrap().1, '\\' | '"' | 'n'), "{line}"),
                            _ => {}
                        }
                    };
                    rest = &value[close + 1..];
                    match rest.strip_prefix(',') {
                        Some(more) => rest = more,
                        None => break,
                    }
                }
                rest = rest.strip_prefix('}').unwrap();
            }
            let value: f64 = rest.strip_prefix(' ').unwrap().parse().unwrap();
            assert!(kind != "counter" || value >= 0.0);
            let name = line[..line.len() - rest.len()].to_owned();
            assert!(series.insert(name, value).is_none(), "{line}: twice");
        }
    }
    series
}

#[test]
fn metrics_are_in_the_format_of_prometheus_and_complete() {
    let mut hostile = job("a\"b\\c\nd{}=,é");
    (hostile.phase, hostile.fresh_ns, hostile.watch) = (Phase::Starting, None, None);
    let mut busy = job("media");
    (busy.dirty, busy.dirty_since_ns) = (3, Some(NOW - 5 * SECOND));
    busy.totals.done.creates = 9;
    let answers = asked(vec![hostile, busy], &[get("/metrics", "localhost")]);
    assert!(answers[0].contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{}", answers[0]);
    let series = parsed(body(&answers[0]));
    let of = |name: &str| series.get(name).copied();
    assert_eq!(of("mediasync_job_lag_seconds{job=\"media\"}"), Some(5.0));
    assert_eq!(of("mediasync_job_dirty_keys{job=\"media\"}"), Some(3.0));
    assert_eq!(of("mediasync_job_changes_total{job=\"media\",kind=\"create\"}"), Some(9.0));
    assert_eq!(of("mediasync_job_health{job=\"media\",health=\"syncing\"}"), Some(1.0));
    assert_eq!(of("mediasync_job_health{job=\"media\",health=\"in-sync\"}"), Some(0.0));
    assert_eq!(of("mediasync_job_watch_coverage{job=\"media\",coverage=\"full\"}"), Some(1.0));
    assert_eq!(of("mediasync_job_watched_directories{job=\"media\"}"), Some(42.0));
    let success = of("mediasync_job_last_success_timestamp_seconds{job=\"media\"}");
    assert_eq!(success, Some(1_795_409_995.0));
    let name = "job=\"a\\\"b\\\\c\\nd{}=,é\"";
    assert_eq!(of(&format!("mediasync_job_lag_seconds{{{name}}}")), Some(86_400.0), "{series:?}");
    assert_eq!(of(&format!("mediasync_job_health{{{name},health=\"stale\"}}")), Some(1.0));
    assert_eq!(of(&format!("mediasync_job_last_success_timestamp_seconds{{{name}}}")), None);
    assert_eq!(of("mediasync_start_time_seconds"), Some(1_795_323_600.0));
    assert!(!body(&answers[0]).contains("/srv/media"), "no paths");
    parsed(&metrics::text(&state(vec![]), NOW));
}
