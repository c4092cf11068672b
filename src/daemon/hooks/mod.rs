//! Who is told when a job is not as it should be: a webhook, a dead-man URL, a command.
//!
//! What is told, and when, is decided by [`Watchkeeper`], which is pure. Promises: telling never holds up a job or
//! another way of telling; nothing is told twice while it lasts, also if the configuration is read anew meanwhile; a URL
//! never gets into a log, since who knows it can write there. What was told is not remembered over a restart of the daemon.

mod command;
mod send;
mod watchkeeper;

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{Instant, MissedTickBehavior};

use super::state::{Board, Now};
use crate::secret::Secret;
use command::Program;
use send::Endpoint;
pub use watchkeeper::{Event, Kind, Watchkeeper};

/// How often the board is looked at.
const LOOK: Duration = Duration::from_secs(10);
/// The dead-man URL is asked for at most this often.
const PING: Duration = Duration::from_secs(60);
/// Events that wait for one way of telling. Hours of trouble of dozens of jobs; what comes on top is only logged.
const WAITING: usize = 256;

/// Who is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hooks {
    /// Gets a JSON text by POST.
    pub webhook: Option<Secret>,
    /// Is asked for while all jobs are well.
    pub ping: Option<Secret>,
    /// A program and its arguments; gets the JSON text on standard input.
    pub command: Option<Vec<String>>,
    /// What the webhook and the command are told of.
    pub on: Vec<Kind>,
}

/// What was told of which job. Clones share it.
pub type Memory = Rc<RefCell<Watchkeeper>>;

/// Looks at the board and tells what `memory` does not say was told, for ever. Dropping the future ends it, and kills a
/// command that runs.
pub async fn keep(board: Board, hooks: Hooks, now: Now, memory: Memory) -> Infallible {
    let (to_webhook, webhooks) = mpsc::channel(WAITING);
    let (to_command, commands) = mpsc::channel(WAITING);
    // One that is under way is enough.
    let (to_ping, pings) = mpsc::channel(1);
    let ways = Ways {
        webhook: hooks.webhook.is_some().then_some(to_webhook),
        command: hooks.command.is_some().then_some(to_command),
        ping: hooks.ping.is_some().then_some(to_ping),
    };
    memory.borrow_mut().tell_of(hooks.on);
    let watching = watch(&board, &memory, ways, now);
    let posting = post(hooks.webhook, webhooks);
    let running = run(hooks.command, commands);
    let pinging = ping(hooks.ping, pings);
    let (never, (), (), ()) = tokio::join!(watching, posting, running, pinging);
    never
}

/// Where what is to be told goes; `None` where nobody is.
struct Ways {
    webhook: Option<Sender<Arc<Event>>>,
    command: Option<Sender<Arc<Event>>>,
    ping: Option<Sender<()>>,
}

async fn watch(board: &Board, memory: &Memory, ways: Ways, now: Now) -> Infallible {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pinged: Option<Instant> = None;
    loop {
        ticks.tick().await;
        let now_ns = now();
        let (events, well) =
            board.change(|state| (memory.borrow_mut().observe(state, now_ns), watchkeeper::is_well(state, now_ns)));
        for event in events.into_iter().map(Arc::new) {
            tracing::info!(job = event.job, "{}: {}", event.kind.name(), event.message);
            for way in [&ways.webhook, &ways.command].into_iter().flatten() {
                if way.try_send(Arc::clone(&event)).is_err() {
                    tracing::warn!("too much waits to be told; this is told to nobody");
                }
            }
        }
        if let Some(way) = &ways.ping
            && well
            && pinged.is_none_or(|at| at.elapsed() >= PING)
        {
            pinged = Some(Instant::now());
            if way.try_send(()).is_err() {
                tracing::debug!("the last ping is still being tried");
            }
        }
    }
}

async fn post(url: Option<Secret>, mut events: Receiver<Arc<Event>>) {
    let Some(endpoint) = endpoint("the webhook", url) else { return };
    while let Some(event) = events.recv().await {
        endpoint.post(event.json()).await;
    }
}

async fn ping(url: Option<Secret>, mut pings: Receiver<()>) {
    let Some(endpoint) = endpoint("the ping URL", url) else { return };
    while pings.recv().await.is_some() {
        endpoint.get().await;
    }
}

fn endpoint(name: &'static str, url: Option<Secret>) -> Option<Endpoint> {
    Endpoint::new(name, &url?).map_err(|why| tracing::error!("{name} can't be used: {why}")).ok()
}

async fn run(command: Option<Vec<String>>, mut events: Receiver<Arc<Event>>) {
    let Some(program) = command.and_then(Program::new) else { return };
    while let Some(event) = events.recv().await {
        program.run(&event).await;
    }
}

#[cfg(test)]
mod tests;
