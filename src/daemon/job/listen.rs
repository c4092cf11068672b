//! A job writes down what the watcher says, and lends its pair.

use tokio::sync::oneshot;

use super::{Back, Job, Loan, Order, Peers, UNHEARD, heard};
use crate::daemon::runner::Other;
use crate::daemon::settle::note;
use crate::daemon::state::{Look, Phase};
use crate::replica::local::watch::{Missed, Sign};

impl Job {
    /// Writes down what the watcher saw.
    pub(super) fn hear(&mut self, signs: &[Sign]) {
        let now = self.now();
        self.outdate(signs);
        let Some(held) = &self.held else {
            // Nothing can be written down: all of it is looked at once the pair is open.
            self.agenda.rescan(now);
            self.keep(signs);
            return;
        };
        let noted = note(held.manifest(), signs, now);
        match noted.and_then(|noted| self.hold_back(held.manifest(), signs, noted, now)) {
            Ok(noted) => {
                if let Some(why) = noted.rescan {
                    tracing::info!(job = %self.parts.name, "looking at everything, because {why}");
                    self.lost = None;
                    self.agenda.rescan(now);
                    if why == Missed::Rules {
                        (self.held, self.watcher) = (None, None);
                        self.agenda.want(Look::Both, now);
                        return;
                    }
                }
                if let Some(lost) = noted.lost {
                    tracing::warn!(job = %self.parts.name, "{}", lost.message);
                    self.lost = Some(lost);
                    // The engine looks who is there, and says what to do.
                    self.agenda.want(Look::Both, now);
                }
                if let Some(at) = noted.nameless_ns {
                    self.agenda.nameless(at);
                }
                self.agenda.dirty(noted.next_ns, now);
            }
            Err(error) => {
                tracing::warn!(job = %self.parts.name, "{}; everything is looked at again", error.message);
                self.agenda.rescan(now);
            }
        }
        self.cover();
        self.count_dirty();
    }

    /// Remembers what the watcher saw until the pair is open: what is away for a moment must not be taken for gone by the
    /// look that follows.
    pub(super) fn keep(&mut self, signs: &[Sign]) {
        // Rules are read when the pair is opened; a watcher by the old ones would be deaf to some.
        if signs.contains(&Sign::Rescan(Missed::Rules)) {
            self.watcher = None;
        }
        let room = UNHEARD.saturating_sub(self.unheard.len());
        let kept = signs.iter().filter(|sign| !matches!(sign, Sign::Rescan(_)));
        self.unheard.extend(kept.take(room).cloned());
    }

    /// Gives the pair away until it comes back; then it looks at both sides, since anything may have happened.
    pub(super) async fn lend(&mut self, reply: oneshot::Sender<Loan>) -> Back {
        self.held = None;
        // Nobody knows what is done to it meanwhile.
        self.told(|job| (job.phase, job.equal_since_ns) = (Phase::Lent, None));
        let (loan, mut returned) = oneshot::channel();
        if reply.send(Loan(loan)).is_err() {
            return Back::Here;
        }
        loop {
            tokio::select! {
                biased;
                order = self.parts.orders.recv() => match order {
                    None => return Back::Never,
                    Some(Order::Pause) => self.agenda.set_paused(true),
                    Some(Order::Resume) => self.agenda.set_paused(false),
                    // What comes back is looked at anyway; and nobody borrows what is lent: the reply is dropped.
                    Some(Order::Run | Order::Lend(_)) => {}
                },
                _ = &mut returned => break,
                // What happens meanwhile is found by the look at both sides.
                signs = heard(&mut self.watcher) => self.keep(&signs),
            }
        }
        self.agenda.now(self.now());
        Back::Here
    }

    /// What is done about the side that nobody watches where nothing speaks against it.
    pub(super) fn assumed(&self) -> Other {
        match self.parts.peers {
            Peers::None => Other::Assumed,
            Peers::Hosts => Other::Asked,
        }
    }
}
