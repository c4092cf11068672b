//! Ctrl-C and SIGTERM: the first one ends a run in order, since dropping its future leaves the old or the new content
//! at every key and the manifest knows what was done.

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};

use super::exit::Exit;
use super::failure::Failure;

/// Runs `work` until it ends or a signal comes.
///
/// # Errors
/// [`Exit::Interrupted`] after a signal; signals can't be watched.
pub async fn or_interrupted<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let watch = |kind| signal(kind).map_err(|error| Failure::error(format!("can't watch for signals: {error}")));
    let (mut int, mut term) = (watch(SignalKind::interrupt())?, watch(SignalKind::terminate())?);
    tokio::select! {
        biased;
        _ = int.recv() => Err(interrupted()),
        _ = term.recv() => Err(interrupted()),
        done = work => Ok(done),
    }
}

/// Waits for a signal that ends a run. Never ends where signals can't be watched.
pub async fn signalled() {
    if or_interrupted(std::future::pending::<()>()).await.is_ok() {
        std::future::pending::<()>().await;
    }
}

/// A run that a signal ended.
fn interrupted() -> Failure {
    Failure { exit: Exit::Interrupted, ..Failure::error("interrupted") }
        .hint("what was done is recorded; the next run does the rest")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_ends_the_work_with_130() {
        let work = async {
            let own = rustix::process::getpid();
            rustix::process::kill_process(own, rustix::process::Signal::TERM).unwrap();
            std::future::pending::<()>().await;
        };
        let failure = or_interrupted(work).await.unwrap_err();
        assert_eq!(failure.exit.code(), 130);
    }

    #[tokio::test]
    async fn work_that_ends_is_not_interrupted() {
        assert_eq!(or_interrupted(async { 7 }).await, Ok(7));
    }
}
