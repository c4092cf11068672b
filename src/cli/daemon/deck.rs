//! What other processes ask of the daemon, put to its jobs.

use std::any::Any;
use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{RwLock, mpsc, oneshot};

use super::fleet::Fleet;
use super::journal;
use super::launch::{self, Handle};
use crate::cli::args::{self, RunArgs};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::human::Colour;
use crate::cli::output::{Format, Output, Stream, Verbosity};
use crate::cli::resolve::Task;
use crate::cli::run::{self, Work};
use crate::cli::setup::{Setup, shown};
use crate::cli::{approve, env, meant, resolve};
use crate::config::Job;
use crate::daemon::control::{Answer, Deck, How, Pausing, Wanted};
use crate::daemon::job::tell::summary;
use crate::daemon::job::{Loan, Order};
use crate::daemon::pauses::Pauses;
use crate::daemon::settle::Clock;
use crate::daemon::state::{Board, DaemonState, Look};
use crate::manifest::RunId;

/// The jobs, as others may speak to them.
#[derive(Debug)]
pub(super) struct Jobs {
    pub(super) board: Board,
    pub(super) clock: Clock,
    pub(super) fleet: Rc<RefCell<Fleet>>,
    pub(super) pauses: Rc<Pauses>,
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
        let meant = |name: &str| job.is_none_or(|job| job == name);
        // Those of the board: while a configuration is read anew, no job may be there to hear it.
        let names = self.board.change(|state| {
            let jobs = state.jobs.iter_mut().filter(|job| meant(&job.name));
            jobs.map(|job| {
                job.unsure = None;
                job.name.clone()
            })
            .collect::<Vec<_>>()
        });
        if names.is_empty() {
            return Answer::NotMine;
        }
        let told = if pause == Pausing::Pause { "paused" } else { "resumed" };
        for name in &names {
            match (pause, self.pauses.holds(name)) {
                (Pausing::Pause, false) | (Pausing::Resume, true) => tracing::info!(job = %name, "{told}"),
                (Pausing::Pause, true) => tracing::info!(job = %name, "somebody pauses it, and it is paused already"),
                (Pausing::Resume, false) => tracing::info!(job = %name, "somebody resumes it, and it is not paused"),
            }
        }
        let kept = self.pauses.change(|paused| match (pause, job) {
            (Pausing::Pause, _) => paused.extend(names),
            (Pausing::Resume, Some(job)) => {
                paused.remove(job);
            }
            (Pausing::Resume, None) => paused.clear(),
        });
        let obeyed = async {
            // They were changed, and are being written down.
            self.board.change(|state| {
                for job in state.jobs.iter_mut().filter(|job| meant(&job.name)) {
                    job.paused_since_ns = self.pauses.since(&job.name);
                }
            });
            for handle in self.handles(|handle| meant(&handle.name)) {
                let order = match pause {
                    Pausing::Pause => Order::Pause,
                    Pausing::Resume => Order::Resume,
                };
                // A job that ended needs no order.
                handle.orders.send(order).await.unwrap_or_default();
            }
        };
        match tokio::join!(kept, obeyed).0 {
            Ok(()) => Answer::Done,
            Err(error) => {
                let file = shown(&self.pauses.path());
                let message = format!("{told}, but the next start of the daemon will not know it: {file}: {error}");
                tracing::error!("{message}");
                Answer::Refused { message, hint: Some("make room there, and say it again".to_owned()) }
            }
        }
    }

    async fn lend(&self, pair: &str) -> Result<Box<dyn Any>, Answer> {
        let Some(handle) = self.handles(|handle| handle.pair.borrow().as_deref() == Some(pair)).pop() else {
            return Err(Answer::NotMine);
        };
        tracing::info!(job = %handle.name, "lent to a command that somebody runs; the job goes on after it");
        Ok(Box::new(self.lend_job(&handle).await?))
    }

    async fn run(&self, wanted: &Wanted<'_>, how: &How, out: mpsc::UnboundedSender<Answer>) -> Answer {
        let Wanted { job, meant, plan } = *wanted;
        let Some(handle) = self.handles(|handle| handle.name == job).pop() else { return Answer::NotMine };
        let output = Arc::new(output(how, &out));
        let setup = handle.setup.telling(Arc::clone(&output));
        let Some(known) = setup.config.job(job) else { return Answer::NotMine };
        // Whoever can't find the places asks for the job as it is written.
        let is_as_written = meant::as_written(known, &setup.config) == meant;
        let task = match task(known, &setup).await {
            Ok(task) => task,
            Err(failure) if is_as_written => return lost(job, failure, &output),
            Err(_) => return Answer::NotMine,
        };
        // By another configuration the same name means something else.
        if !is_as_written && meant::by_places(&task) != meant {
            return Answer::NotMine;
        }
        let loan = match self.lend_job(&handle).await {
            Ok(loan) => loan,
            Err(refused) => return refused,
        };
        let _served = self.served.read().await;
        // The job may be told to stop meanwhile: by the end of all handles.
        drop(handle);
        let told = Told { job, board: &self.board, clock: self.clock };
        let before = told.begins(&task, &setup, plan);
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
        told.ended(&task, &setup, (plan, before), exit);
        drop(loan);
        Answer::Exit { code: Exit::code(exit) }
    }
}

/// What a job is by its places.
async fn task(job: &Job, setup: &Setup) -> Result<Task, Failure> {
    launch::ask_commands(job, setup).await?;
    resolve::job_task(job, &RunArgs::default(), setup.world(&env))
}

/// Neither who asks nor the daemon finds the places.
fn lost(job: &str, failure: Failure, output: &Output) -> Answer {
    let message = format!("the daemon can't find the places either: {}", failure.message);
    output.failure(Some(job), &Failure { message, ..failure });
    Answer::Exit { code: Exit::code(failure.exit.max(output.finish())) }
}

/// A run that a person asked for, on its way into the log, the counters and the list of runs.
struct Told<'a> {
    job: &'a str,
    board: &'a Board,
    clock: Clock,
}

impl Told<'_> {
    /// It begins; gives the newest run before it.
    fn begins(&self, task: &Task, setup: &Setup, plan: Option<&str>) -> Option<RunId> {
        match plan {
            None => tracing::info!(job = %self.job, "somebody runs it"),
            Some(plan) => tracing::info!(job = %self.job, plan, "somebody wants plan {plan} to be carried out"),
        }
        Some(journal::newest(journal::open(task, &setup.state_dir).as_ref())?.id)
    }

    fn ended(&self, task: &Task, setup: &Setup, (plan, before): (Option<&str>, Option<RunId>), exit: Exit) {
        let code = Exit::code(exit);
        let look = if plan.is_none() { Look::Both } else { Look::Changes };
        let run = journal::newest(journal::open(task, &setup.state_dir).as_ref());
        let ran = run.filter(|run| journal::is_after(run, before)).and_then(|run| journal::last(&run, look));
        let what = plan.map_or_else(|| "what somebody ran".to_owned(), |plan| format!("plan {plan}"));
        let Some(ran) = ran else {
            match plan {
                // Such a plan does not exist, was carried out before, or is of another configuration.
                Some(_) => {
                    tracing::warn!(job = %self.job, "{what} was not carried out, with exit code {code}; nothing was done");
                }
                None => {
                    tracing::warn!(job = %self.job, "{what} ended before it did anything, with exit code {code}");
                }
            }
            return;
        };
        let did = summary(&ran.last.done, ran.problems, &[]);
        let did = if did.is_empty() { "nothing changed" } else { &*did };
        if exit == Exit::Done {
            let done = if plan.is_some() { "was approved and is done" } else { "is done" };
            tracing::info!(job = %self.job, "{what} {done}: {did}");
        } else {
            tracing::warn!(job = %self.job, "{what} ended with exit code {code}: {did}");
        }
        let now = self.clock.now_ns();
        self.board.job(self.job, |job| ran.tell(job, now));
    }
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
