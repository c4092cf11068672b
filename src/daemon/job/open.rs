//! A job opens its pair and watches it. Both may take long: a command that prints a DSN waits for somebody, a disk does not
//! answer. Orders are heard meanwhile.

use std::rc::Rc;

use super::{Back, Flow, Job, Order, heard};
use crate::daemon::runner::{Failed, Held};
use crate::daemon::state::Look;

impl Job {
    /// As [`Job::run`], of a job that was told something before it began.
    pub async fn run_after(mut self, first: Option<Order>) {
        if let Some(order) = first
            && let Flow::Lend(reply) = self.obey(Some(order))
            && self.lend(reply).await == Back::Never
        {
            return;
        }
        self.run().await;
    }

    /// Its pair, open and watched; or how the job goes on without, after a failure, which is told, or an order.
    pub(super) async fn ready(&mut self, look: Look) -> Result<Rc<dyn Held>, Flow> {
        let opened = match &self.held {
            Some(held) => Ok(Rc::clone(held)),
            None => self.open().await?,
        };
        let ready = match opened {
            Ok(held) => self.watch(&held).await?.map(|()| held),
            Err(failed) => Err(failed),
        };
        ready.map_err(|failed| {
            self.failed(look, failed);
            Flow::On
        })
    }

    /// Waits for `work`, and hears what happens and what people want meanwhile. What they want instead ends it: nothing of
    /// it is to be finished.
    async fn hearing<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Flow> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                order = self.parts.orders.recv() => {
                    // Who wants a run now wants no try that began long ago.
                    let is_anew = matches!(order, Some(Order::Run));
                    match self.obey(order) {
                        Flow::On if !is_anew && !self.agenda.is_paused() => {}
                        flow => return Err(flow),
                    }
                }
                done = &mut work => return Ok(done),
                signs = heard(&mut self.watcher) => self.hear(&signs),
            }
        }
    }

    async fn open(&mut self) -> Result<Result<Rc<dyn Held>, Failed>, Flow> {
        let runner = Rc::clone(&self.parts.runner);
        let held = match self.hearing(runner.open()).await? {
            Ok(held) => held,
            Err(failed) => return Ok(Err(failed)),
        };
        self.held = Some(Rc::clone(&held));
        if !self.began {
            if let Err(error) = held.manifest().dirty_begin(self.parts.clock.began_ns()) {
                return Ok(Err(error.into()));
            }
            self.began = true;
        }
        let unheard = std::mem::take(&mut self.unheard);
        if !unheard.is_empty() {
            self.hear(&unheard);
        }
        Ok(Ok(held))
    }

    /// Watches before it looks: what happens in between is seen by one of them.
    async fn watch(&mut self, held: &Rc<dyn Held>) -> Result<Result<(), Failed>, Flow> {
        let lost = std::mem::take(&mut self.lost);
        if self.parts.rhythm.scan_ns.is_none() || (self.watcher.is_some() && lost.is_none()) {
            return Ok(Ok(()));
        }
        let watched = match self.hearing(held.watch()).await {
            Ok(watched) => watched,
            Err(flow) => {
                self.lost = lost;
                return Err(flow);
            }
        };
        // Rules that changed meanwhile are read when the pair is opened anew.
        if self.held.is_none() {
            return Err(Flow::On);
        }
        match watched {
            Ok(watcher) => {
                self.watcher = Some(watcher);
                self.cover();
                let directories = self.told(|job| job.watch.as_ref().map_or(0, |watch| watch.directories)).unwrap_or(0);
                let word = if directories == 1 { "directory" } else { "directories" };
                tracing::info!(job = %self.parts.name, "watching {directories} {word}");
            }
            // The engine says better what is the matter with a root that is lost.
            Err(_) if lost.is_some() => self.lost = lost,
            Err(failed) => return Ok(Err(failed)),
        }
        Ok(Ok(()))
    }
}
