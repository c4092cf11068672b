//! The command that is run for an event: without a shell, with the JSON text on standard input and its fields in
//! `MEDIASYNC_*`. It has half a minute, then it is killed; what it printed is logged.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::watchkeeper::Event;
use crate::model::Escaped;

/// How long it may run.
const LIMIT: Duration = Duration::from_secs(30);
/// Bytes of its output that are logged, and lines.
const LOGGED: u64 = 4 * 1024;
const LINES: usize = 20;

/// A program and its arguments.
pub(super) struct Program {
    name: String,
    arguments: Vec<String>,
}

impl Program {
    /// `None` for an empty list.
    pub(super) fn new(words: Vec<String>) -> Option<Self> {
        let mut words = words.into_iter();
        Some(Self { name: words.next()?, arguments: words.collect() })
    }

    /// Runs it for an event; what goes wrong is logged.
    pub(super) async fn run(&self, event: &Event) {
        let name = Escaped(&self.name);
        match tokio::time::timeout(LIMIT, self.ended(event)).await {
            Ok(Ok(status)) if status.success() => {}
            Ok(Ok(status)) => tracing::warn!("the command {name} ended with {status}"),
            Ok(Err(error)) => tracing::warn!("the command {name} can't be run: {error}"),
            // The process was killed when its future was dropped.
            Err(_) => tracing::warn!("the command {name} ran for {} s and was killed", LIMIT.as_secs()),
        }
    }

    async fn ended(&self, event: &Event) -> std::io::Result<std::process::ExitStatus> {
        let mut command = Command::new(&self.name);
        command.args(&self.arguments).envs(variables(event)).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let write = async {
            if let Some(mut input) = input {
                // A program that reads nothing closes it.
                drop(input.write_all((event.json() + "\n").as_bytes()).await);
            }
        };
        let read = async { tokio::join!(write, logged(&self.name, output), logged(&self.name, errors)) };
        let (_, status) = tokio::join!(read, child.wait());
        status
    }
}

/// The fields of an event; what it does not have is empty.
fn variables(event: &Event) -> [(&'static str, String); 7] {
    [
        ("MEDIASYNC_TYPE", event.kind.name().to_owned()),
        ("MEDIASYNC_JOB", event.job.clone()),
        ("MEDIASYNC_HEALTH", event.health.to_owned()),
        ("MEDIASYNC_MESSAGE", event.message.clone()),
        ("MEDIASYNC_HINT", event.hint.clone().unwrap_or_default()),
        ("MEDIASYNC_COMMAND", event.command.clone().unwrap_or_default()),
        ("MEDIASYNC_SINCE", event.since.clone()),
    ]
}

/// Reads all, so that the program never waits, and logs the beginning.
async fn logged(name: &str, output: Option<impl AsyncRead + Unpin>) {
    let Some(mut output) = output else { return };
    let mut start = Vec::new();
    // What can't be read is only not logged.
    drop((&mut output).take(LOGGED).read_to_end(&mut start).await);
    drop(tokio::io::copy(&mut output, &mut tokio::io::sink()).await);
    for line in String::from_utf8_lossy(&start).lines().take(LINES) {
        tracing::info!("{}: {}", Escaped(name), Escaped(line));
    }
}
