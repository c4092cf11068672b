//! `access = "confirm"`: a person is asked once the plan is known, and before anything is changed. A run that has nothing
//! to do asks nobody, and needs no terminal: a job of cron may look every hour whether something is left.

use async_trait::async_trait;

use crate::cli::human;
use crate::cli::output::Output;
use crate::cli::resolve::Task;
use crate::cli::teller::Teller;
use crate::cli::wire::Session;
use crate::model::{Action, Conflict, Counts, Problem};
use crate::replica::access::Access;
use crate::replica::{Cause, Error};
use crate::sync::{Observer, Stage};

fn why(remote: &str) -> String {
    format!("remote.{remote} says access = \"confirm\"")
}

/// Tells as its [`Teller`] does, and opens the sides of its [`Session`] when a person says yes.
pub(super) struct Asking<'a> {
    pub(super) teller: &'a Teller<'a>,
    pub(super) task: &'a Task,
    pub(super) session: &'a Session,
}

#[async_trait]
impl Observer for Asking<'_> {
    fn action(&self, action: &Action, stage: Stage) {
        self.teller.action(action, stage);
    }

    fn problem(&self, problem: &Problem) {
        self.teller.problem(problem);
    }

    fn conflict(&self, conflict: &Conflict) {
        self.teller.conflict(conflict);
    }

    fn notice(&self, text: &str) {
        self.teller.notice(text);
    }

    async fn agree(&self, planned: &Counts) -> Result<(), Error> {
        let Some(remote) = self.task.confirm.as_ref().filter(|_| !self.session.confirmed()) else { return Ok(()) };
        let output = self.teller.output;
        if !output.can_ask() {
            let message = format!("{}, and there is no terminal to ask on; nothing was changed", why(remote));
            return Err(Error::new(Cause::Usage, message).hint("add --yes to change it"));
        }
        let plan = human::planned(planned);
        let asked = self
            .task
            .ends()
            .into_iter()
            .filter(|(side, end)| self.task.writes.contains(side) && end.access == Access::Confirm);
        let places: Vec<String> = asked.map(|(_, end)| end.location.display()).collect();
        let places = places.join(" and ");
        output.prompt(&format!("{plan}\n{}. Change {places}?", why(remote)));
        let yes = tokio::task::spawn_blocking(Output::answer).await.unwrap_or(false);
        output.answered();
        if !yes {
            return Err(Error::new(Cause::Stop, "not confirmed; nothing was changed"));
        }
        self.session.confirm();
        Ok(())
    }
}
