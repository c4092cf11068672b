//! What other processes ask of the daemon, put to its jobs.

use std::any::Any;
use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{RwLock, mpsc, oneshot};

use super::env;
use super::fleet::{Fleet, Handle};
use crate::cli::args::{self, RunArgs};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::human::Colour;
use crate::cli::output::{Format, Output, Stream, Verbosity};
use crate::cli::run::{self, Work};
use crate::cli::setup::Setup;
use crate::cli::{approve, client, resolve};
use crate::daemon::control::{Answer, Deck, How, Pausing, Wanted};
use crate::daemon::job::{Loan, Order};
use crate::daemon::state::{Board, DaemonState};

/// The jobs, as others may speak to them.
#[derive(Debug)]
pub(super) struct Jobs {
    pub(super) board: Board,
    pub(super) fleet: Rc<RefCell<Fleet>>,
    /// Read by each run for somebody else: the daemon ends after them.
    pub(super) served: Rc<RwLock<()>>,
}

impl Jobs {
    fn handles(&self, which: impl Fn(&Handle) -> bool) -> Vec<Handle> {
        self.fleet.borrow().handles().filter(which).collect()
    }

    async fn lend_job(&self, handle: &Handle) -> Result<Loan, Answer> {
        let (reply, loan) = oneshot::channel();
        let stopping = || Answer::Refused { message: "the daemon is stopping".to_owned(), hint: None };
        handle.orders.send(Order::Lend(reply)).await.map_err(|_| stopping())?;
        loan.await.map_err(|_| Answer::Refused {
            message: format!("somebody else works on {}", handle.name),
            hint: Some("try again when that is done".to_owned()),
        })
    }
}

#[async_trait(?Send)]
impl Deck for Jobs {
    fn state(&self) -> DaemonState {
        self.board.look()
    }

    async fn pause(&self, job: Option<&str>, pause: Pausing) -> Answer {
        let handles = self.handles(|handle| job.is_none_or(|job| handle.name == job));
        if handles.is_empty() {
            return Answer::NotMine;
        }
        for handle in handles {
            let order = match pause {
                Pausing::Pause => Order::Pause,
                Pausing::Resume => Order::Resume,
            };
            tracing::info!(job = %handle.name, "{}", if pause == Pausing::Pause { "paused" } else { "resumed" });
            // A job that ended needs no order.
            handle.orders.send(order).await.unwrap_or_default();
        }
        Answer::Done
    }

    async fn lend(&self, pair: &str) -> Result<Box<dyn Any>, Answer> {
        let Some(handle) = self.handles(|handle| handle.pair.as_deref() == Some(pair)).pop() else {
            return Err(Answer::NotMine);
        };
        Ok(Box::new(self.lend_job(&handle).await?))
    }

    async fn run(&self, wanted: &Wanted<'_>, how: &How, out: mpsc::UnboundedSender<Answer>) -> Answer {
        let Wanted { job, meant, plan } = *wanted;
        let Some(handle) = self.handles(|handle| handle.name == job).pop() else { return Answer::NotMine };
        let output = Arc::new(output(how, &out));
        let setup = handle.setup.telling(Arc::clone(&output));
        let Ok(task) = task(&setup, job) else { return Answer::NotMine };
        // By another configuration the same name means something else.
        if client::fingerprint(&task) != meant {
            return Answer::NotMine;
        }
        let loan = match self.lend_job(&handle).await {
            Ok(loan) => loan,
            Err(refused) => return refused,
        };
        let _served = self.served.read().await;
        // The job may be told to stop meanwhile: by the end of all handles.
        drop(handle);
        let exit = match plan {
            None => run::one(&task, &setup, Work::Cycle).await,
            Some(hash) => {
                let args = args::Approve { job: job.to_owned(), hash: hash.to_owned(), json: how.json };
                match approve::approve(&args, &setup, setup.world(&env)).await {
                    Ok(exit) => exit,
                    Err(failure) => {
                        output.failure(Some(job), &failure);
                        failure.exit
                    }
                }
            }
        };
        let exit = exit.max(output.finish());
        drop(loan);
        Answer::Exit { code: Exit::code(exit) }
    }
}

fn task(setup: &Setup, job: &str) -> Result<resolve::Task, Failure> {
    let job = setup.config.job(job).ok_or_else(|| Failure::usage("no such job"))?;
    resolve::job_task(job, &RunArgs::default(), setup.world(&env))
}

fn output(how: &How, out: &mpsc::UnboundedSender<Answer>) -> Output {
    let format = if how.json { Format::Json } else { Format::Human };
    let verbosity = match how.verbosity {
        ..0 => Verbosity::Quiet,
        0 => Verbosity::Normal,
        1.. => Verbosity::Verbose,
    };
    let colour = if how.colour { Colour::On } else { Colour::Off };
    let pipe = |stream| Box::new(Pipe { stream, out: out.clone() });
    Output::elsewhere((pipe(Stream::Out), pipe(Stream::Err)), format, verbosity, colour)
}

/// One stream of a run, on its way to who asked for it.
struct Pipe {
    stream: Stream,
    out: mpsc::UnboundedSender<Answer>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let answer = match self.stream {
            Stream::Out => Answer::Out { text },
            Stream::Err => Answer::Err { text },
        };
        self.out.send(answer).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
