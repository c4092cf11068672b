//! The survey: lists both sides, joins them with the base, decides, and examines what the decision needs.
//!
//! The join runs on a thread of its own and feeds two places: actions go straight into the plan store, keys that need
//! evidence go through a bounded channel to the examiners. Nothing is changed anywhere.

mod crowd;
mod drift;
mod feed;
mod findings;
mod keys;

use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;

pub(crate) use self::findings::Findings;

use self::crowd::{Crowd, Crowded};
use self::feed::{Feed, Items, Order, feed};
use crate::examine::Examiner;
use crate::manifest::{BaseCursor, ManifestError};
use crate::model::{
    Action, Conflict, Entry, Filter, Item, Key, Presence, Problem, Reach, Reason, Scope, Side, Verdict, conflict_name,
};
use crate::plan::{
    Context, Decision, Evidence, Input, Join, JoinError, Joined, Known, Need, OnConflict, Policy, Restyling, Styling,
    Triple, decide, restyle,
};
use crate::plan_store::Phase;
use crate::recover::{Unsettled, look_again};
use crate::replica::{Ability, Cause, Error};
use crate::sync::{Cycle, Observer, Progress, Sides};

/// Keys examined at the same time.
const EXAMINERS: usize = 16;

/// What the join thread sends to the examiners' side.
enum Message {
    Need(Box<Triple>, Need),
    /// Something may have changed since it was listed.
    Unsettled(Box<Triple>),
    /// An object is to be looked at whether it has what rules say.
    Drift(Box<Action>),
    Problem(Problem),
    Conflict(Box<Conflict>),
}

/// The parts of a cycle that the join thread and the examiners share.
#[derive(Clone)]
struct Shared {
    sides: Sides,
    policy: Policy,
    styling: Styling,
    writes: &'static [Side],
    dest_label: String,
    filter: Arc<Filter>,
    progress: Arc<Progress>,
    scratch: PathBuf,
    findings: Arc<Mutex<Findings>>,
    unsettled: Unsettled,
}

impl Shared {
    fn evidence(&self) -> Evidence {
        Evidence {
            source: Known::nothing(self.sides.source.capabilities().read_cost),
            dest: Known::nothing(self.sides.dest.capabilities().read_cost),
        }
    }

    fn scope(&self, triple: &Triple) -> Verdict {
        let size = |presence: &Presence| presence.entry().map_or(0, |entry| entry.size);
        let base = triple.base.as_ref().map_or(0, |base| base.size);
        let seen = size(&triple.source).max(size(&triple.dest));
        // Where neither side has it, the base says how large it was.
        let nobody = triple.source.entry().is_none() && triple.dest.entry().is_none();
        self.filter.verdict(&triple.key, if nobody { base } else { seen })
    }

    /// Nothing is sent to `side` under a key that can't be a file there.
    fn give_way(&self, side: Option<Side>, key: &Key) -> Result<(), ManifestError> {
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        side.map_or(Ok(None), |side| findings.plan.take_at(side, Phase::Send, key)).map(drop)
    }

    /// Decides and files the decision; what can't be filed is handed back.
    fn settle(&self, triple: &Triple, scope: Verdict, evidence: &Evidence) -> Result<Option<Message>, ManifestError> {
        let refuses = |side: Side| self.sides.of(side).accepts(&triple.key).err();
        let fits = |key: &Key| Side::BOTH.into_iter().all(|side| self.sides.of(side).accepts(key).is_ok());
        let name = |loser: &Entry| conflict_name(&triple.key, &self.dest_label, loser.modified_ns, fits);
        let context = Context { policy: self.policy, scope, evidence, refuses: &refuses, conflict_name: &name };
        let decision = decide(triple, &context);
        let restyling = if self.writes.contains(&self.styling.side) {
            restyle(triple, &decision, &self.styling)
        } else {
            Restyling::None
        };
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        match decision {
            Decision::InSync => findings.in_sync += 1,
            Decision::Do(action) => {
                let by_time = self.policy.on_conflict == OnConflict::Newer && action.reason == Reason::OverwritesChange;
                findings.by_time += u64::from(by_time);
                findings.plan.add(&action)?;
            }
            Decision::Extra => findings.extras += 1,
            Decision::Kept => findings.kept += 1,
            Decision::Unknown | Decision::OutOfScope => {}
            Decision::Need(need) => return Ok(Some(Message::Need(Box::new(triple.clone()), need))),
            Decision::Conflict(conflict) => return Ok(Some(Message::Conflict(conflict))),
            Decision::Problem(problem) => return Ok(Some(Message::Problem(problem))),
        }
        match restyling {
            Restyling::None => Ok(None),
            Restyling::Impossible => {
                findings.unstyled += 1;
                Ok(None)
            }
            Restyling::Do(action) => findings.plan.add(&action).map(|()| None),
            Restyling::IfDrifted(action) => Ok(Some(Message::Drift(action))),
        }
    }
}

/// Surveys both sides; those of `new` do not exist yet. Keys of `unsettled` are looked at once more.
///
/// # Errors
/// A side could not be listed completely, or the manifest could not be read; nothing may be concluded.
pub(crate) async fn survey(
    cycle: &Cycle<'_>,
    new: &[Side],
    unsettled: &Unsettled,
    observer: &dyn Observer,
) -> Result<Findings, Error> {
    let mut sort = Sorted::default();
    loop {
        match attempt(cycle, (new, unsettled), observer, sort).await {
            Ok(findings) => return Ok(findings),
            Err(Ended::Unordered(side, _)) if !sort.has(side) => {
                let name = cycle.sides().of(side).name().to_owned();
                observer.notice(&format!("{name}: its listing is not in key order; it is sorted here"));
                match side {
                    Side::Source => sort.source = true,
                    Side::Dest => sort.dest = true,
                }
            }
            Err(Ended::Unordered(_, error) | Ended::Failed(error)) => return Err(error),
        }
    }
}

/// Why an attempt ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    /// The listing of this side must be sorted first.
    #[error("{1}")]
    Unordered(Side, Error),
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Which listings are sorted before they are joined.
#[derive(Debug, Clone, Copy, Default)]
struct Sorted {
    source: bool,
    dest: bool,
}

impl Sorted {
    fn has(self, side: Side) -> bool {
        match side {
            Side::Source => self.source,
            Side::Dest => self.dest,
        }
    }
}

async fn attempt(
    cycle: &Cycle<'_>,
    (new, unsettled): (&[Side], &Unsettled),
    observer: &dyn Observer,
    sort: Sorted,
) -> Result<Findings, Ended> {
    cycle.progress.scanned.store(0, Relaxed);
    cycle.progress.listed.store(0, Relaxed);
    let sides = cycle.sides();
    let shared = Shared {
        sides: sides.clone(),
        policy: cycle.policy,
        styling: cycle.styling.clone(),
        writes: cycle.writes,
        dest_label: cycle.dest_label.to_owned(),
        filter: Arc::clone(&cycle.filter),
        progress: Arc::clone(&cycle.progress),
        scratch: cycle.scratch.to_owned(),
        findings: Arc::new(Mutex::new(Findings::new(cycle.scratch))),
        unsettled: Arc::clone(unsettled),
    };
    let listing = |side: Side| -> Result<Feed, Error> {
        if new.contains(&side) {
            return Ok(Feed::Nothing);
        }
        if cycle.assumed == Some(side) {
            return Ok(Feed::Assumed(cycle.manifest.base(&cycle.scope)?, side));
        }
        let order = match cycle.scope {
            Scope::Keys(_) => Order::Sort,
            Scope::Whole | Scope::Below(_) => sorts(&sides, side, sort),
        };
        let replica = match side {
            Side::Source => &sides.source,
            Side::Dest => &sides.dest,
        };
        Ok(feed(keys::list(replica, &cycle.scope, &cycle.filter), order))
    };
    let listings = Listings { source: listing(Side::Source)?, dest: listing(Side::Dest)? };
    let base = cycle.manifest.base(&cycle.scope).map_err(Error::from)?;
    let (sender, messages) = mpsc::channel(64);
    let joiner = {
        let shared = shared.clone();
        tokio::task::spawn_blocking(move || join(&shared, listings, base, &sender))
    };
    let examined = examine_all(cycle, &shared, messages, observer).await;
    // The join's own error says more than what the examiners saw of it.
    joiner.await.map_err(|died| Error::new(Cause::Stop, format!("the join died: {died}")))??;
    examined?;
    let findings = Arc::into_inner(shared.findings).expect("the join thread has ended");
    Ok(findings.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn sorts(sides: &Sides, side: Side, sort: Sorted) -> Order {
    if sort.has(side) || sides.of(side).capabilities().ordered == Ability::Missing { Order::Sort } else { Order::Trust }
}

struct Listings {
    source: Feed,
    dest: Feed,
}

/// The body of the join thread.
fn join(shared: &Shared, listings: Listings, base: BaseCursor, sender: &mpsc::Sender<Message>) -> Result<(), Ended> {
    let Listings { source, dest } = listings;
    let source =
        counted(source.items(shared.sides.source.name(), &shared.scratch)?, Arc::clone(&shared.progress), Side::Source);
    let dest =
        counted(dest.items(shared.sides.dest.name(), &shared.scratch)?, Arc::clone(&shared.progress), Side::Dest);
    let base = base.map(|record| record.map_err(|error| Ended::Failed(error.into())));
    let evidence = shared.evidence();
    let mut crowd = Crowd::of(shared);
    for joined in Join::new(source, dest, base) {
        let message = match joined.map_err(|error| fold(error, &shared.sides))? {
            Joined::Triple(triple) => {
                let scope = shared.scope(&triple);
                shared.findings.lock().unwrap_or_else(PoisonError::into_inner).count(&triple, scope, shared.writes);
                let crowded = if scope == Verdict::In { crowd.meet(&triple) } else { Crowded::No };
                let above = match crowded {
                    Crowded::No => Vec::new(),
                    Crowded::Over(above) => above,
                    Crowded::Out(problem) => {
                        if sender.blocking_send(Message::Problem(problem)).is_err() {
                            return Ok(());
                        }
                        continue;
                    }
                };
                for (key, problem) in above {
                    shared.give_way(crowd.side(), &key).map_err(Error::from)?;
                    if sender.blocking_send(Message::Problem(problem)).is_err() {
                        return Ok(());
                    }
                }
                if scope == Verdict::In && shared.unsettled.contains(&triple.key) {
                    Some(Message::Unsettled(triple))
                } else {
                    shared.settle(&triple, scope, &evidence).map_err(Error::from)?
                }
            }
            Joined::Problem(problem) => Some(Message::Problem(problem)),
            Joined::Skipped(_, reason) => {
                let mut findings = shared.findings.lock().unwrap_or_else(PoisonError::into_inner);
                *findings.skipped.entry(reason).or_default() += 1;
                None
            }
        };
        if let Some(message) = message {
            // A closed channel means that the examiners stopped; their error ends the survey.
            if sender.blocking_send(message).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn counted(items: Items<'static>, progress: Arc<Progress>, side: Side) -> impl Iterator<Item = Result<Item, Ended>> {
    let counter = move |progress: &Progress| match side {
        Side::Source => progress.scanned.fetch_add(1, Relaxed),
        Side::Dest => progress.listed.fetch_add(1, Relaxed),
    };
    items.map(move |item| match item {
        Err(error) if error.cause == Cause::Unordered => Err(Ended::Unordered(side, error)),
        Err(error) => Err(Ended::Failed(error)),
        Ok(item) => {
            if let Item::Present(..) = item {
                counter(&progress);
            }
            Ok(item)
        }
    })
}

fn fold(error: JoinError<Ended>, sides: &Sides) -> Ended {
    let told = error.to_string();
    let unordered = |side| Ended::Unordered(side, Error::new(Cause::Unordered, told.clone()));
    let incomplete = |input| {
        let name = match input {
            Input::Source => sides.source.name(),
            Input::Dest => sides.dest.name(),
            Input::Base => "the manifest",
        };
        let error = Error::new(Cause::Incomplete, format!("{name}: {told}"));
        Ended::Failed(error.hint("nothing was changed; run again, and report it if it stays"))
    };
    match error {
        JoinError::Input(ended) => ended,
        JoinError::Unordered { input: Input::Source, .. } => unordered(Side::Source),
        JoinError::Unordered { input: Input::Dest, .. } => unordered(Side::Dest),
        JoinError::Unordered { input: Input::Base, .. } => {
            Ended::Failed(Error::new(Cause::Stop, told).hint("the manifest is damaged; move it aside and run again"))
        }
        JoinError::Repeated { input, .. } | JoinError::NoEnd { input } => incomplete(input),
    }
}

/// Examines what the join asks for, decides again, and tells problems and conflicts.
async fn examine_all(
    cycle: &Cycle<'_>,
    shared: &Shared,
    mut messages: mpsc::Receiver<Message>,
    observer: &dyn Observer,
) -> Result<(), Error> {
    let examiner = Examiner {
        sides: &shared.sides,
        manifest: cycle.manifest,
        buffers: &cycle.buffers,
        progress: &cycle.progress,
        now_ns: cycle.now_ns,
    };
    let mut running = FuturesUnordered::new();
    let mut open = true;
    loop {
        tokio::select! {
            message = messages.recv(), if open && running.len() < EXAMINERS => match message {
                None => open = false,
                Some(Message::Problem(problem)) => observer.problem(&problem),
                Some(Message::Conflict(conflict)) => observer.conflict(&conflict),
                Some(message) => running.push(decided(cycle, &examiner, shared, message)),
            },
            Some(settled) = running.next() => match settled? {
                None | Some(Message::Need(..) | Message::Unsettled(_)) => {}
                Some(message @ Message::Drift(_)) => running.push(decided(cycle, &examiner, shared, message)),
                Some(Message::Problem(problem)) => observer.problem(&problem),
                Some(Message::Conflict(conflict)) => observer.conflict(&conflict),
            },
            else => return Ok(()),
        }
    }
}

/// Decides what needs a look.
async fn decided(
    cycle: &Cycle<'_>,
    examiner: &Examiner<'_>,
    shared: &Shared,
    message: Message,
) -> Result<Option<Message>, Error> {
    let mut triple = match message {
        Message::Need(triple, need) => return until_decided(examiner, shared, triple, need).await,
        Message::Unsettled(triple) => triple,
        Message::Drift(action) => return shared.look_for_drift(&action).await,
        told @ (Message::Problem(_) | Message::Conflict(_)) => return Ok(Some(told)),
    };
    if let Err(error) = look_again(cycle, &mut triple).await {
        return match error.cause {
            Cause::Stop => Err(error),
            _ => Ok(Some(Message::Problem(problem_of(&triple.key, &error)))),
        };
    }
    match shared.settle(&triple, shared.scope(&triple), &shared.evidence())? {
        Some(Message::Need(_, need)) => until_decided(examiner, shared, triple, need).await,
        other => Ok(other),
    }
}

async fn until_decided(
    examiner: &Examiner<'_>,
    shared: &Shared,
    triple: Box<Triple>,
    mut need: Need,
) -> Result<Option<Message>, Error> {
    let scope = shared.scope(&triple);
    let mut evidence = shared.evidence();
    loop {
        if let Err(error) = examiner.examine(&need, &triple, &mut evidence).await {
            return match error.cause {
                Cause::Stop => Err(error),
                _ => Ok(Some(Message::Problem(problem_of(&triple.key, &error)))),
            };
        }
        match shared.settle(&triple, scope, &evidence)? {
            Some(Message::Need(_, next)) if next != need => need = next,
            Some(Message::Need(..)) => {
                let message = format!("{}: could not be compared", triple.key);
                let stuck = Problem::of(&triple.key, crate::model::ProblemKind::Failed, message);
                return Ok(Some(Message::Problem(stuck)));
            }
            other => return Ok(other),
        }
    }
}

/// A failed operation as a problem of its key.
pub(crate) fn problem_of(key: &Key, error: &Error) -> Problem {
    Problem {
        reach: Some(Reach::Key(key.clone())),
        kind: error.problem_kind(),
        message: error.message.clone(),
        hint: error.hint.clone(),
    }
}

/// The entry that an action sends; planned sends always have one.
pub(crate) fn sent_entry(action: &Action) -> Result<&Entry, Error> {
    action.from.as_ref().ok_or_else(|| Error::new(Cause::Refused, format!("{}: the plan names no content", action.key)))
}
