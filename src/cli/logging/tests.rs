//! What lines look like, what is held back, and that no secret gets through.

use std::io::{self, Write};
use std::time::Duration;

use jiff::tz::TimeZone;
use tracing::Level;
use tracing::subscriber::with_default;

use super::*;
use crate::cli::output::{Format, Verbosity};

/// Takes what is printed.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn lines(&self) -> Vec<String> {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
    }
}

/// Logs that end on paper, long ago.
fn on_paper(shape: Shape) -> (Arc<Logs>, Paper) {
    let paper = Paper::default();
    let output = Output::printing(Box::new(paper.clone()), Format::Human, Verbosity::Normal, TimeZone::UTC);
    let mut logs = Arc::into_inner(Logs::new(&Arc::new(output), shape)).unwrap();
    logs.now = || Timestamp::from_millisecond(1_000_000_000_123).unwrap();
    (Arc::new(logs), paper)
}

/// What `work` logs in this shape.
fn told(shape: Shape, work: impl FnOnce()) -> Vec<String> {
    let (logs, paper) = on_paper(shape);
    let all = targets(Loudness { verbose: 9, quiet: true });
    with_default(tracing_subscriber::registry().with(Reader(logs)).with(all), work);
    paper.lines()
}

const SERVICE: [Shape; 3] =
    [Shape::Service(LogFormat::Human), Shape::Service(LogFormat::Journal), Shape::Service(LogFormat::Json)];

#[test]
fn more_v_means_more_of_ours_and_nothing_of_others() {
    let levels = [Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE, Level::TRACE];
    for (verbose, level) in (0_u8..).zip(levels) {
        // A service that nobody told to be quiet logs one level more.
        for (quiet, verbose) in [(true, Some(verbose)), (false, verbose.checked_sub(1))] {
            let Some(verbose) = verbose else { continue };
            let targets = targets(Loudness { verbose, quiet });
            assert!(targets.would_enable("mediasync::sync", &level));
            for other in ["aws_sigv4::http_request::sign", "aws_smithy_runtime::client", "hyper::proto", "rustls"] {
                assert!(targets.would_enable(other, &Level::WARN));
                assert!(!targets.would_enable(other, &Level::INFO), "{other} at -v {verbose}");
            }
            assert!(!targets.would_enable("aws_runtime::env_config::normalize", &Level::WARN));
            assert!(!targets.would_enable("aws_config::meta::credentials::chain", &Level::WARN));
        }
    }
    let silent = targets(Loudness { verbose: 0, quiet: true });
    assert!(!silent.would_enable("mediasync::sync", &Level::INFO));
    let usual = targets(Loudness { verbose: 0, quiet: false });
    assert!(usual.would_enable("mediasync::daemon", &Level::INFO));
    assert!(!usual.would_enable("mediasync::daemon", &Level::DEBUG));
}

fn events() {
    let job = tracing::error_span!("job", job = "media", attempt = 9);
    job.in_scope(|| tracing::warn!(attempt = 2, key = "a b", error = %"no\nway", "a\u{1b}[31mred\u{202e}name"));
    tracing::error!(fine = true, "over");
}

#[test]
fn a_command_says_level_and_text() {
    assert_eq!(
        told(Shape::Command, events),
        [r#" WARN media: a\u{1b}[31mred\u{202e}name attempt=2 key="a b" error=no\u{a}way"#, "ERROR over fine=true"]
    );
}

#[test]
fn a_service_logs_in_the_form_of_its_reader() {
    let text = r#"media: a\u{1b}[31mred\u{202e}name attempt=2 key="a b" error=no\u{a}way"#;
    assert_eq!(
        told(SERVICE[0], events),
        [format!("2001-09-09 01:46:40  WARN {text}"), "2001-09-09 01:46:40 ERROR over fine=true".to_owned()]
    );
    assert_eq!(told(SERVICE[1], events), [format!("<4>{text}"), "<3>over fine=true".to_owned()]);
    let lines = told(SERVICE[2], events);
    let read: Vec<serde_json::Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        read[0],
        serde_json::json!({
            "time": "2001-09-09T01:46:40.123Z", "level": "warn", "target": "mediasync::cli::logging::tests",
            "message": "a\u{1b}[31mred\u{202e}name", "attempt": 2, "key": "a b", "error": "no\nway", "job": "media",
        })
    );
    assert_eq!((read[1]["level"].as_str(), read[1]["fine"].as_bool()), (Some("error"), Some(true)));
    assert!(!lines[0].contains(['\u{1b}', '\u{202e}']), "{}", lines[0]);
}

#[test]
fn fields_do_not_pass_for_what_every_line_has() {
    let work = || tracing::warn!(time = "never", level = "info", target = "x", r#type = 1, "said");
    let line = told(SERVICE[2], work).pop().unwrap();
    let read: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((read["level"].as_str(), read["time"].as_str()), (Some("warn"), Some("2001-09-09T01:46:40.123Z")));
    assert_eq!(read["type"], 1);
}

#[test]
fn the_form_is_that_of_whoever_reads_stderr() {
    let fits = |stderr, stream: &str| {
        LogFormat::fitting(stderr, &|name| (name == "JOURNAL_STREAM" && !stream.is_empty()).then(|| stream.to_owned()))
    };
    assert_eq!(fits(Stderr::Terminal, "8:9"), LogFormat::Human);
    assert_eq!(fits(Stderr::Stream((8, 9)), "8:9"), LogFormat::Journal);
    for stream in ["", "8:10", "9:9", "8", "x:9", "8:9:9"] {
        assert_eq!(fits(Stderr::Stream((8, 9)), stream), LogFormat::Json, "{stream:?}");
    }
    assert_eq!(fits(Stderr::Unknown, "8:9"), LogFormat::Json);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_one_sentence_is_counted_and_told_once_a_minute() {
    let (logs, paper) = on_paper(SERVICE[1]);
    let reader = tracing_subscriber::registry().with(Reader(Arc::clone(&logs)));
    let _default = tracing::subscriber::set_default(reader);
    let flood = |many: u32| (0..many).for_each(|n| tracing::warn!("busy {n}"));
    let telling = tokio::spawn(async move { logs.keep_telling().await });
    flood(500);
    tracing::warn!("something else");
    let most = usize::try_from(flood::MOST).unwrap();
    assert_eq!(paper.lines().len(), most + 1);
    assert_eq!(paper.lines()[most - 1..], ["<4>busy 29", "<4>something else"]);
    tokio::time::sleep(Duration::from_secs(30)).await;
    flood(23);
    assert_eq!(paper.lines().len(), most + 1);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(paper.lines()[most + 1..], ["<4>… 493 more like this: busy 30"]);
    // The next minute starts anew, and a quiet one is told nothing of.
    flood(2);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(paper.lines()[most + 2..], ["<4>busy 0", "<4>busy 1"]);
    telling.abort();
}

#[test]
fn what_somebody_asked_for_is_told_all() {
    let work = || {
        (0..100).for_each(|n| tracing::debug!("created {n}"));
        (0..100).for_each(|n| tracing::trace!("a detail {n}"));
        (0..100).for_each(|n| tracing::warn!("busy {n}"));
    };
    for shape in SERVICE {
        let lines = told(shape, work);
        let counted =
            ["created", "a detail", "busy"].map(|word| lines.iter().filter(|line| line.contains(word)).count());
        assert_eq!(counted, [100, 100, usize::try_from(flood::MOST).unwrap()], "{shape:?}");
    }
}

#[test]
fn what_is_held_back_is_told_at_the_end() {
    let (logs, paper) = on_paper(SERVICE[2]);
    with_default(tracing_subscriber::registry().with(Reader(Arc::clone(&logs))), || {
        (0..33).for_each(|_| tracing::error!(job = "media", "no"));
    });
    logs.finish();
    logs.finish();
    let last: serde_json::Value = serde_json::from_str(paper.lines().last().unwrap()).unwrap();
    assert_eq!((last["held_back"].as_u64(), last["job"].as_str()), (Some(3), Some("media")));
    assert_eq!((last["message"].as_str(), paper.lines().len()), (Some("… 3 more like this: no"), 31));
}

#[test]
fn a_command_tells_everything() {
    assert_eq!(told(Shape::Command, || (0..100).for_each(|_| tracing::warn!("no"))).len(), 100);
}

#[test]
fn no_secret_gets_through_in_any_form() {
    const CANARY: &str = "cAnArY/7+x";
    let work = || {
        let secret = crate::secret::Secret::new(CANARY);
        let dsn = format!("s3://AKIA:{CANARY}@bucket.s3.amazonaws.com/media");
        let sas = format!("https://a.blob.core.windows.net/c?sv=1&sig={CANARY}&se=2");
        let span = tracing::error_span!("job", at = dsn, ?secret);
        let _entered = span.entered();
        let failed = io::Error::other(format!("can't reach {dsn} nor {sas}"));
        tracing::warn!("{failed}");
        tracing::warn!(error = %failed, again = ?failed, %secret, dsn, sas, "failed for {secret}");
        tracing::error!(
            error = &failed as &dyn std::error::Error,
            "DefaultEndpointsProtocol=https;AccountKey={CANARY};x=y"
        );
        tracing::trace!("GET /x?X-Amz-Security-Token={CANARY}&X-Amz-Signature={CANARY}");
        (0..40).for_each(|_| tracing::info!("{dsn}"));
    };
    for shape in [Shape::Command].into_iter().chain(SERVICE) {
        let (logs, paper) = on_paper(shape);
        with_default(tracing_subscriber::registry().with(Reader(Arc::clone(&logs))), work);
        logs.finish();
        let lines = paper.lines();
        assert!(lines.len() > 30 && lines.iter().any(|line| line.contains("bucket.s3.amazonaws.com")), "{shape:?}");
        for line in lines {
            assert!(!line.contains("cAnArY") && !line.contains("7+x"), "{shape:?}: {line}");
            assert!(!line.contains("sig=") || line.contains("sig=***&se=2"), "{line}");
        }
    }
}

#[test]
fn addresses_without_secrets_stay_as_they_are() {
    let plain = "http://127.0.0.1:9000/b?list-type=2&prefix=design=1&assig=x";
    assert_eq!(told(Shape::Command, || tracing::warn!("{plain}")), [format!(" WARN {plain}")]);
}
