//! What of a daemon reaches out of it: the pages about it, and whoever is told.

use std::sync::Arc;

use tokio::task::{JoinHandle, spawn_local};

use crate::cli::env;
use crate::cli::failure::Failure;
use crate::cli::setup::Setup;
use crate::config::{Http, Notify, NotifyOn};
use crate::daemon::hooks::{self, Hooks, Kind};
use crate::daemon::http;
use crate::daemon::settle::Clock;
use crate::daemon::state::{Board, Now};
use crate::secret::Secret;

/// The tasks of one configuration.
#[derive(Debug, Default)]
pub(super) struct Outside(Vec<JoinHandle<()>>);

impl Outside {
    /// Starts what the configuration names.
    ///
    /// # Errors
    /// The address is not free, or a variable is not set.
    pub(super) async fn start(setup: &Setup, board: &Board, clock: Clock) -> Result<Self, Failure> {
        let now: Now = Arc::new(move || clock.now_ns());
        let mut tasks = Self::default();
        if let Some(Http { listen }) = setup.config.http {
            let listener = http::bind(listen).await.map_err(|error| {
                Failure::error(format!("can't listen on {listen}: {error}"))
                    .hint("another program may use that port; name another one in [http] listen")
            })?;
            if let Ok(at) = listener.local_addr() {
                tracing::info!("pages about the jobs: http://{at}/");
            }
            let served = http::serve(listener, board.clone(), Arc::clone(&now));
            tasks.keep(async move { match served.await {} });
        }
        if let Some(notify) = &setup.config.notify {
            let told = hooks::keep(board.clone(), wired(notify)?, now);
            tasks.keep(async move { match told.await {} });
        }
        Ok(tasks)
    }

    fn keep(&mut self, task: impl Future<Output = ()> + 'static) {
        self.0.push(spawn_local(task));
    }

    /// Ends them; afterwards the port is free.
    pub(super) async fn stop(&mut self) {
        for task in self.0.drain(..) {
            task.abort();
            // It was told to end, and did.
            task.await.unwrap_or_default();
        }
    }
}

fn wired(notify: &Notify) -> Result<Hooks, Failure> {
    let kind = |on: &NotifyOn| match on {
        NotifyOn::Failure => Kind::Failure,
        NotifyOn::Halt => Kind::Halt,
        NotifyOn::Recovery => Kind::Recovery,
    };
    Ok(Hooks {
        webhook: notify.webhook.as_ref().map(|url| plain(url, "webhook")).transpose()?,
        ping: notify.ping.as_ref().map(|url| plain(url, "ping")).transpose()?,
        command: notify.command.clone(),
        on: notify.on.iter().map(kind).collect(),
    })
}

/// A URL, or the one in the variable that it names.
fn plain(url: &Secret, key: &str) -> Result<Secret, Failure> {
    let Some(name) = url.reveal().strip_prefix("env:") else { return Ok(url.clone()) };
    env(name).map(Secret::new).ok_or_else(|| {
        Failure::usage(format!("notify.{key} names the variable {name}, which is not set"))
            .hint("set it for the service")
    })
}
