//! Logs to stderr. A command logs warnings; `-v` adds what is rare and worth knowing, `-vv` details, `-vvv` everything of
//! ours. A service logs one level more, in a form for whoever reads its stderr, and no flood of one sentence that nobody
//! asked for by `-v`.
//!
//! Promises: an event is one line, whatever names it holds; no credentials of a URL are in it, even if another crate's
//! error has them. Other crates never get beyond warnings: the AWS crates log requests with their headers, session tokens
//! and values of variables and profiles at `debug` and `trace` (`aws-sigv4` in `sign.rs`, `aws-runtime` in
//! `env_config.rs`), and whole lines of `~/.aws` files as warnings: the latter are cut too.

mod flood;
mod line;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use super::output::Output;
use super::stderr::Stderr;
use crate::config::places::Env;
use flood::{Flood, Taken};
use line::{Fields, Line};

/// In which form a service logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people: local time, level, text
    Human,
    /// For the journal of systemd: a priority before each line, and no time
    Journal,
    /// For programs: one JSON object a line
    Json,
}

impl LogFormat {
    /// The form for whoever reads stderr: a person at a terminal, the journal where it is the one that it says
    /// (<https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#%24JOURNAL_STREAM>), else a program.
    pub fn fitting(stderr: Stderr, env: Env<'_>) -> Self {
        let journal = env("JOURNAL_STREAM").and_then(|stream| {
            let (device, inode) = stream.split_once(':')?;
            Some((device.parse().ok()?, inode.parse().ok()?))
        });
        match stderr {
            Stderr::Terminal => Self::Human,
            Stderr::Stream(file) if journal == Some(file) => Self::Journal,
            Stderr::Stream(_) | Stderr::Unknown => Self::Json,
        }
    }
}

/// What logs look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Beside the output of a command: level and text.
    Command,
    /// Of a service.
    Service(LogFormat),
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loudness {
    /// The number of `-v`.
    pub verbose: u8,
    /// `-q`.
    pub quiet: bool,
}

/// Where events become lines.
pub struct Logs {
    output: Arc<Output>,
    shape: Shape,
    now: fn() -> Timestamp,
    /// Of a service: a command ends before it could fill a disk.
    flood: Option<Mutex<Flood>>,
    /// Something was held back where nothing was before.
    held: Notify,
}

impl std::fmt::Debug for Logs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logs").field("shape", &self.shape).finish_non_exhaustive()
    }
}

/// Starts the logs of a command through `output`. A second call in one process changes nothing.
pub fn start(output: &Arc<Output>, verbose: u8) {
    let logs = Logs::new(output, Shape::Command);
    tracing_subscriber::registry().with(Reader(logs)).with(targets(Loudness { verbose, quiet: true })).try_init().ok();
}

/// Starts the logs of a service through `output`. A second call in one process changes nothing.
pub fn start_service(output: &Arc<Output>, format: LogFormat, loudness: Loudness) -> Arc<Logs> {
    let logs = Logs::new(output, Shape::Service(format));
    let reader = Reader(Arc::clone(&logs));
    tracing_subscriber::registry().with(reader).with(targets(loudness)).try_init().ok();
    logs
}

/// What is logged: quiet means warnings, each `-v` one level more, and without both it is what people look for in the
/// log of a service.
fn targets(loudness: Loudness) -> Targets {
    let ours = match (loudness.quiet, loudness.verbose) {
        (true, 0) => LevelFilter::WARN,
        (true, 1) | (false, 0) => LevelFilter::INFO,
        (true, 2) | (false, 1) => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    Targets::new()
        .with_default(LevelFilter::WARN)
        // What they warn about comes back as an error, said for people; in their own words it is pages of debug output.
        .with_target("aws_runtime", LevelFilter::ERROR)
        .with_target("aws_config", LevelFilter::ERROR)
        .with_target("mediasync", ours)
}

impl Logs {
    fn new(output: &Arc<Output>, shape: Shape) -> Arc<Self> {
        let flood = match shape {
            Shape::Command => None,
            Shape::Service(_) => Some(Mutex::new(Flood::default())),
        };
        Arc::new(Self { output: Arc::clone(output), shape, now: Timestamp::now, flood, held: Notify::new() })
    }

    /// Tells each minute how many events were held back, and does nothing at all while there are none. Never ends.
    pub async fn keep_telling(&self) {
        loop {
            match self.flood().and_then(|flood| flood.due()) {
                Some(at) => tokio::time::sleep_until(at).await,
                None => self.held.notified().await,
            }
            self.tell(|flood| flood.over(Instant::now()));
        }
    }

    /// Tells what is still held back: the process ends.
    pub fn finish(&self) {
        self.tell(Flood::all);
    }

    fn tell(&self, which: impl FnOnce(&mut Flood) -> Vec<Line>) {
        let lines = self.flood().map(|mut flood| which(&mut flood)).unwrap_or_default();
        for line in lines {
            self.print(&line);
        }
    }

    fn flood(&self) -> Option<MutexGuard<'_, Flood>> {
        Some(self.flood.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn print(&self, line: &Line) {
        let text = match self.shape {
            Shape::Command => line.plain(),
            Shape::Service(LogFormat::Human) => line.human((self.now)(), self.output.zone()),
            Shape::Service(LogFormat::Journal) => line.journal(),
            Shape::Service(LogFormat::Json) => line.json((self.now)()),
        };
        self.output.log(&text);
    }
}

/// Hands events to [`Logs`], with the fields of the spans around them.
struct Reader(Arc<Logs>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Reader {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let logs = &self.0;
        let line = || {
            let mut fields = Fields::default();
            event.record(&mut fields);
            for span in context.event_scope(event).into_iter().flatten() {
                if let Some(outer) = span.extensions().get::<Fields>() {
                    fields.surround(outer);
                }
            }
            Line::new(*event.metadata().level(), event.metadata().target(), fields)
        };
        // Somebody asked for these by -v, and wants all of them: each file is one.
        let is_asked_for = *event.metadata().level() > Level::INFO;
        let Some(mut flood) = logs.flood().filter(|_| !is_asked_for) else { return logs.print(&line()) };
        match flood.take(event.metadata().callsite(), Instant::now(), line) {
            Taken::Told(line) => {
                drop(flood);
                logs.print(&line);
            }
            Taken::HeldFirst => logs.held.notify_one(),
            Taken::Held => {}
        }
    }
}

#[cfg(test)]
mod tests;
