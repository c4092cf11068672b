//! What of a daemon reaches out of it: the pages about it, and whoever is told.

use std::sync::Arc;

use tokio::task::{JoinHandle, spawn_local};

use crate::cli::env;
use crate::cli::failure::Failure;
use crate::cli::setup::Setup;
use crate::cli::texts;
use crate::config::places::Env;
use crate::config::{Http, Notify, NotifyOn};
use crate::daemon::hooks::{self, Hooks, Kind, Memory};
use crate::daemon::http;
use crate::daemon::settle::Clock;
use crate::daemon::state::{Board, Now};
use crate::location::UsageError;
use crate::secret::Secret;

/// The tasks of one configuration, and what was told under all of them.
#[derive(Debug, Default)]
pub(super) struct Outside {
    pages: Option<JoinHandle<()>>,
    telling: Option<(Hooks, JoinHandle<()>)>,
    memory: Memory,
}

impl Outside {
    /// Goes on by what a configuration names. Who is told as before is not asked to begin anew: what waits to be told is
    /// told.
    ///
    /// # Errors
    /// The address is not free: then there are no pages. Or what holds a URL is not there: then nothing was changed.
    pub(super) async fn follow(&mut self, setup: &Setup, board: &Board, clock: Clock) -> Result<(), Failure> {
        let now: Now = Arc::new(move || clock.now_ns());
        let hooks = setup.config.notify.as_ref().map(|notify| wired(notify, &env)).transpose()?;
        // Both may want the same port.
        end(self.pages.take()).await;
        if let Some(Http { listen }) = setup.config.http {
            let listener = http::bind(listen).await.map_err(|error| {
                Failure::error(format!("can't listen on {listen}: {error}"))
                    .hint("another program may use that port; name another one in [http] listen")
            })?;
            if let Ok(at) = listener.local_addr() {
                tracing::info!("pages about the jobs: http://{at}/");
            }
            let served = http::serve(listener, board.clone(), Arc::clone(&now));
            self.pages = Some(spawn_local(async move { match served.await {} }));
        }
        if self.telling.as_ref().map(|(hooks, _)| hooks) == hooks.as_ref() {
            return Ok(());
        }
        end(self.telling.take().map(|(_, task)| task)).await;
        self.telling = hooks.map(|hooks| {
            let told = hooks::keep(board.clone(), hooks.clone(), now, Memory::clone(&self.memory));
            (hooks, spawn_local(async move { match told.await {} }))
        });
        Ok(())
    }
}

/// Ends a task; afterwards its port is free.
async fn end(task: Option<JoinHandle<()>>) {
    if let Some(task) = task {
        task.abort();
        // It was told to end, and did.
        task.await.unwrap_or_default();
    }
}

fn wired(notify: &Notify, env: Env<'_>) -> Result<Hooks, Failure> {
    let kind = |on: &NotifyOn| match on {
        NotifyOn::Failure => Kind::Failure,
        NotifyOn::Halt => Kind::Halt,
        NotifyOn::Recovery => Kind::Recovery,
    };
    Ok(Hooks {
        webhook: notify.webhook.as_ref().map(|url| plain(url, "webhook", env)).transpose()?,
        ping: notify.ping.as_ref().map(|url| plain(url, "ping", env)).transpose()?,
        command: notify.command.clone(),
        on: notify.on.iter().map(kind).collect(),
    })
}

/// A URL, or the one in the variable or the credential that it names.
fn plain(url: &Secret, key: &str, env: Env<'_>) -> Result<Secret, Failure> {
    if let Some(name) = url.reveal().strip_prefix("env:") {
        return env(name).map(Secret::new).ok_or_else(|| {
            Failure::usage(format!("notify.{key} names the variable {name}, which is not set"))
                .hint("set it for the service, or write credential:NAME")
        });
    }
    let Some(name) = url.reveal().strip_prefix("credential:") else { return Ok(url.clone()) };
    let told = |error: UsageError| UsageError { message: format!("notify.{key}: {}", error.message), ..error };
    let given = texts::credential(name, env).map_err(told)?;
    if let Some(warning) = given.warning {
        tracing::warn!("{warning}");
    }
    // Editors end a file with a line break.
    Ok(Secret::new(given.text.reveal().trim()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn urls_come_from_variables_and_credentials() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("hook"), "https://example.com/T\n").unwrap();
        let set = |name: &str| match name {
            "CREDENTIALS_DIRECTORY" => Some(dir.path().to_str().unwrap().to_owned()),
            "PING" => Some("https://example.com/P".to_owned()),
            _ => None,
        };
        let notify = |webhook: &str, ping: &str| Notify {
            webhook: Some(Secret::new(webhook)),
            ping: Some(Secret::new(ping)),
            ..Notify::default()
        };
        let hooks = wired(&notify("credential:hook", "env:PING"), &set).unwrap();
        assert_eq!(hooks.webhook.unwrap().reveal(), "https://example.com/T");
        assert_eq!(hooks.ping.unwrap().reveal(), "https://example.com/P");
        let told = |webhook: &str, ping: &str| wired(&notify(webhook, ping), &set).unwrap_err();
        let missing = told("credential:none", "env:PING");
        assert!(missing.message.starts_with("notify.webhook: there is no credential none in "), "{}", missing.message);
        assert_eq!(missing.exit.code(), 2);
        assert_eq!(told("https://x", "env:NO").message, "notify.ping names the variable NO, which is not set");
    }
}
