//! `status` and `history`: what the daemon of this state directory says, and for the rest what the manifests do. Contacts
//! no place and keeps nobody waiting.

use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Serialize;

use super::exit::Exit;
use super::failure::Failure;
use super::human::{self, Ways};
use super::json::Record;
use super::pairs;
use super::place::{self, World};
use super::resolve;
use super::setup::Setup;
use super::shell::{Kept, Origin, Settled};
use super::wire;
use crate::daemon::state::JobState;
use crate::manifest::{Lock, Manifest, Pair, Run};
use crate::model::StyleRule;
use crate::plan::Mode;
use crate::replica::access::Access;

pub mod args;
mod doubt;
mod headers;
mod history;
mod kept;
mod lines;
mod live;
mod look;
mod watch;

pub use history::history;
pub(in crate::cli) use look::standing;

use kept::{InTrash, kept, trash};

/// Runs that are looked at for what is in the trash.
const TRASHED: u32 = 20;

/// A job, or a pair that no job names.
#[derive(Debug)]
struct Subject {
    job: Option<String>,
    pair: Pair,
    source_canonical: String,
    names: (String, String),
    /// How a command names both places without a job; `None` if that would hold a secret.
    spelled: (Option<String>, Option<String>),
    /// How a job relates them.
    mode: Option<Mode>,
    /// What may be done to the source, as far as a job says it.
    access: Access,
    /// The header rules of a job.
    headers: Vec<StyleRule>,
}

/// What a pair's manifest says.
#[derive(Debug, Default)]
struct Seen {
    /// Files that were equal when they were last synced, and their bytes: of the whole pair, whatever the last run
    /// looked at, and whatever became of them since.
    synced: (u64, u64),
    /// The last run.
    run: Option<Run>,
    /// Who works on the pair now; looked at only if the last run has not ended.
    holder: Option<String>,
    /// The last run that was not over a part only: it says how the pair stands. If none is known, the last run does.
    whole: Option<Run>,
    /// Conflicts that a person settled since that run.
    settled: u64,
    /// The last run of whose files some are still in the trash.
    trashed: Option<Run>,
    /// When the last run over the whole pair began that left nothing.
    equal_ns: Option<i64>,
    /// Objects that wait for what header rules say.
    restyles: u64,
    /// Why that may count no more.
    doubt: doubt::Doubt,
}

/// How things stand, by the last run over the whole pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    InSync,
    /// The content is; objects wait for what header rules say.
    ContentInSync,
    /// It was in sync; what changed since is not known, because no daemon watches it.
    Unwatched,
    /// The last run that left nothing is too long ago, and no daemon runs it.
    Stale,
    Problems,
    Halted,
    Failed,
    Interrupted,
    /// It runs now.
    Running,
    /// It was killed.
    Unfinished,
    Never,
}

impl Seen {
    /// The run that says how the pair stands: one that has not ended, else the last one over the whole pair.
    fn decisive(&self) -> Option<&Run> {
        let unended = self.run.as_ref().filter(|run| run.ending.is_none());
        unended.or(self.whole.as_ref()).or(self.run.as_ref())
    }

    /// The problems and conflicts that are left; `None` if nobody counted them.
    fn left(&self) -> Option<(u64, u64)> {
        let summary = record(self.decisive()?)?.summary?;
        let count = |field: &str| summary.get(field)?.as_u64();
        Some((count("problems")?, count("conflicts")?.saturating_sub(self.settled)))
    }
}

impl State {
    fn of(seen: &Seen) -> Self {
        match seen.decisive().map(|run| run.ending.as_deref()) {
            None => Self::Never,
            Some(None) if seen.holder.is_some() => Self::Running,
            Some(None) => Self::Unfinished,
            Some(Some("finished")) => Self::equal(seen),
            Some(Some("problems")) if seen.left() == Some((0, 0)) => Self::equal(seen),
            Some(Some("problems")) => Self::Problems,
            Some(Some("halted")) => Self::Halted,
            Some(Some("interrupted")) => Self::Interrupted,
            Some(Some(_)) => Self::Failed,
        }
    }

    fn equal(seen: &Seen) -> Self {
        match seen.doubt {
            doubt::Doubt::None if seen.restyles > 0 => Self::ContentInSync,
            doubt::Doubt::None => Self::InSync,
            doubt::Doubt::Unwatched => Self::Unwatched,
            doubt::Doubt::Stale(_) => Self::Stale,
        }
    }

    fn exit(self) -> Exit {
        match self {
            Self::InSync => Exit::Done,
            Self::Halted => Exit::Halted,
            Self::ContentInSync
            | Self::Unwatched
            | Self::Stale
            | Self::Problems
            | Self::Failed
            | Self::Interrupted
            | Self::Running
            | Self::Unfinished
            | Self::Never => Exit::Problems,
        }
    }
}

/// `status [JOB]`.
///
/// # Errors
/// An unknown job.
pub async fn status(args: &args::Status, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    if args.watch {
        return watch::watch(args, setup, world).await;
    }
    let sight = look::look(args.job.as_deref(), setup, world).await?;
    sight.print(&setup.output);
    Ok(sight.exit)
}

/// Jobs and pairs, and which jobs could not be told, by their names.
type Found = (Vec<Subject>, Vec<(Option<String>, Failure)>);

/// The jobs, and the pairs that no job names; with a name only that. Jobs whose places can't be resolved are given back
/// with the reason, but for those that the daemon speaks for: it may have variables and credentials of its own.
fn subjects(job: Option<&str>, run_by_it: &[JobState], setup: &Setup, world: World<'_>) -> Result<Found, Failure> {
    let known = pairs::known(&setup.state_dir);
    let spoken_for = |name: &str| run_by_it.iter().any(|job| job.name == name);
    let jobs = match job {
        Some(name) if known.iter().any(|known| known.pair().id() == name) => Vec::new(),
        Some(name) if setup.config.job(name).is_none() && spoken_for(name) => Vec::new(),
        Some(name) => resolve::jobs(&[name.to_owned()], world)?,
        None => setup.config.jobs.iter().collect(),
    };
    let (mut found, mut missed) = (Vec::new(), Vec::new());
    for job in jobs {
        let by_command = [&job.source, &job.destination].iter().any(|at| place::told_by_command(at, world).is_some());
        if by_command && spoken_for(&job.name) {
            // Commands may take a minute, and the daemon ran them: they are not run again only to tell how things stand.
            let pair = known.iter().find(|known| known.job.as_deref() == Some(&job.name)).cloned();
            found.extend(pair.map(|pair| Subject {
                mode: Some(job.mode),
                job: pair.job.clone(),
                headers: job.options.headers.clone(),
                ..Subject::of(pair)
            }));
            continue;
        }
        match resolve::job_ends(job, world) {
            Ok((source, dest)) => found.push(Subject {
                job: Some(job.name.clone()),
                pair: wire::pair(&source, &dest),
                source_canonical: source.location.canonical(),
                names: (source.location.display(), dest.location.display()),
                access: source.access,
                spelled: (source.spelled, dest.spelled),
                mode: Some(job.mode),
                headers: job.options.headers.clone(),
            }),
            Err(_) if spoken_for(&job.name) => {}
            Err(failure) => missed.push((Some(job.name.clone()), failure)),
        }
    }
    for known in known {
        let pair = known.pair();
        let wanted = job.is_none_or(|name| pair.id() == name);
        if wanted && known.job.is_none() && found.iter().all(|subject| subject.pair != pair) {
            found.push(Subject::of(known));
        }
    }
    Ok((found, missed))
}

fn record(run: &Run) -> Option<Record> {
    serde_json::from_str(run.summary_json.as_deref()?).ok()
}

impl Subject {
    /// A pair as the last command named it, without its job.
    fn of(known: pairs::Known) -> Self {
        let pair = known.pair();
        Self {
            job: None,
            pair,
            source_canonical: known.source,
            names: known.names,
            spelled: known.spelled,
            mode: None,
            access: Access::default(),
            headers: Vec::new(),
        }
    }

    /// Its manifest; `None` before its first run.
    fn manifest(&self, setup: &Setup) -> Result<Option<Manifest>, Failure> {
        let orientation = self.pair.orientation(&self.source_canonical);
        Ok(Manifest::open_read_only(&setup.state_dir, &self.pair, orientation)?)
    }

    fn look(&self, setup: &Setup) -> Result<Seen, Failure> {
        let Some(manifest) = self.manifest(setup)? else { return Ok(Seen::default()) };
        let run = manifest.runs(1)?.pop();
        let unended = run.as_ref().is_some_and(|run| run.ending.is_none());
        let holder = if unended { Lock::held_by(&setup.state_dir, &self.pair) } else { None };
        let whole = manifest.whole_run()?;
        let settled = whole.as_ref().map(|whole| manifest.resolved_since(whole.id)).transpose()?.unwrap_or(0);
        let (synced, equal_ns) = (manifest.base_totals()?, manifest.equal_at()?);
        // One that was killed counted nothing.
        let trashed = manifest.runs_still_kept(TRASHED)?.into_iter().find(|run| kept(run).is_some());
        let restyles = if self.job.is_some() { headers::waiting(&self.headers, &manifest)? } else { 0 };
        Ok(Seen { synced, run, trashed, holder, settled, whole, equal_ns, restyles, doubt: doubt::Doubt::None })
    }

    /// What `approve` takes.
    fn handle(&self) -> &str {
        self.job.as_deref().unwrap_or(self.pair.id())
    }

    /// The command that puts back what a run took away, and what has to be said beside it. The run's places may stand the
    /// other way round than those of the subject, which are those of a job or of the last run.
    fn way_back(&self, run: &Run, kept: &InTrash<'_>, repeated: &str) -> (String, Option<String>) {
        let name = if kept.at_source > 0 { &run.source } else { &run.dest };
        let is_source = *name == self.names.0 && *name != self.names.1;
        let (there, other) =
            if is_source { (&self.spelled.0, &self.spelled.1) } else { (&self.spelled.1, &self.spelled.0) };
        let way = match (&self.job, self.mode) {
            (Some(job), Some(mode)) if is_source && mode != Mode::TwoWay => Kept::AtSource(job),
            (Some(job), _) => Kept::ByJob(job),
            (None, _) => Kept::At { spelled: there.as_deref(), shown: name },
        };
        let shown = if is_source { &self.names.1 } else { &self.names.0 };
        let (files, unshared) = (kept.files, kept.unshared);
        let origin = Origin { spelled: other.as_deref(), shown, access: self.access, kept: files, unshared };
        let mode = match (self.mode, &*run.command) {
            (Some(mode), _) => Some(mode).filter(|_| !is_source),
            (None, "mirror") => Some(Mode::Mirror),
            (None, "push") => Some(Mode::CopyAndDelete),
            (None, _) => None,
        };
        match mode.filter(|_| kept.at_source == 0) {
            Some(Mode::Mirror) => way.restore_of_mirror(&origin, kept.run, repeated),
            Some(Mode::Copy | Mode::CopyAndDelete) if Path::new(shown).is_absolute() => {
                way.restore_of_push(&origin, kept.run, repeated)
            }
            Some(_) | None => (way.restore(kept.run, repeated), None),
        }
    }

    /// What `resolve` takes; `None` if a place can't be named without a secret.
    fn settled_as(&self) -> Option<Settled> {
        let (source, dest) = &self.spelled;
        Settled::of(self.job.as_deref(), &self.pair, (source.as_deref(), dest.as_deref()))
    }

    fn is_two_way(&self) -> bool {
        self.mode == Some(Mode::TwoWay)
    }

    /// Why its manifest says nothing, with its name and the way out: the others are told all the same.
    fn unreadable(&self, failure: Failure, repeated: &str) -> Failure {
        let (head, handle) = (self.head(), self.handle());
        Failure { message: format!("{head}: {}", failure.message), ..failure }.hint(format!(
            "or begin anew, which touches nothing at its places: mediasync forget {handle} --leave-uploads{repeated}"
        ))
    }

    /// What it is called, and its places.
    fn head(&self) -> String {
        let arrow = if self.is_two_way() { "<->" } else { "->" };
        format!("{}: {} {arrow} {}", self.handle(), self.names.0, self.names.1)
    }
}

/// A subject for people: how it stands, what both sides hold, and what the last run did.
fn told(subject: &Subject, seen: &Seen, zone: &TimeZone, repeated: &str) -> String {
    let head = subject.head();
    let Some(run) = seen.decisive() else { return format!("{head}\n  never run") };
    let record = record(run);
    let again = match &subject.job {
        Some(job) => format!("mediasync sync {job}{repeated}"),
        None => format!("the same {} again", run.command),
    };
    let what = match State::of(seen) {
        // A mistyped prefix lists nothing, and that is no error.
        State::InSync if seen.synced.0 == 0 => {
            let place = if subject.is_two_way() { "either side" } else { &subject.names.0 };
            format!("in sync, but the last run found no file at {place}; is it spelled right?")
        }
        State::InSync => "in sync".to_owned(),
        State::ContentInSync => {
            let waits = headers::told(seen.restyles);
            format!("content in sync, {waits}\n  hint: {again} gives them what they say")
        }
        State::Unwatched => {
            "was in sync after its last run; what changed since is not known, because no daemon watches it".to_owned()
        }
        State::Stale => seen.doubt.late(subject, zone, repeated).unwrap_or_default(),
        State::Problems => {
            let (problems, conflicts) = seen.left().unwrap_or_default();
            let ways = if subject.is_two_way() { Ways::Both } else { Ways::One };
            let settle = subject.settled_as().filter(|_| conflicts > 0).map_or_else(String::new, |settled| {
                format!("; {} settles a conflict", settled.resolve("FILE", ways, repeated))
            });
            format!(
                "left: {}, {}\n  hint: {again} shows them{settle}",
                left(problems, "problem"),
                left(conflicts, "conflict")
            )
        }
        State::Halted => halted(subject, record.as_ref(), repeated),
        State::Failed => {
            let error = record.as_ref().and_then(|r| r.error.as_deref()).unwrap_or("for an unknown reason");
            if subject.job.is_some() {
                format!("failed: {error}")
            } else {
                // Nobody may ever run it again: a mistyped place, a removed bucket.
                let handle = subject.handle();
                format!("failed: {error}\n  hint: mediasync forget {handle}{repeated} takes it out of this list")
            }
        }
        State::Interrupted => format!("interrupted; {again} does the rest"),
        State::Running => format!("running: {}", seen.holder.as_deref().unwrap_or_default()),
        State::Unfinished => format!("not finished: it was killed; {again} does the rest"),
        State::Never => "never run".to_owned(),
    };
    let (files, bytes) = seen.synced;
    let synced = format!("synced so far: {}, {}", human::files(files), human::size(bytes));
    let part = seen.run.as_ref().filter(|last| last.id != run.id).map(|part| {
        let ending = part.ending.as_deref().unwrap_or("unfinished");
        format!("\n  then, of a part: {}, {ending}{}", when(part, zone), did(self::record(part).as_ref()))
    });
    let (when, did, part) = (when(run, zone), did(record.as_ref()), part.unwrap_or_default());
    let trash = seen.trashed.as_ref().and_then(|run| trash(subject, run, repeated));
    let trash = trash.map_or_else(String::new, |line| format!("\n{line}"));
    let waits = headers::line(State::of(seen), seen.restyles, &again);
    format!("{head}\n  {what}\n  {synced}{waits}\n  last run: {when}{did}{trash}{part}")
}

/// `1 problem`, `2 problems`.
fn left(n: u64, word: &str) -> String {
    format!("{} {word}{}", human::count(n), if n == 1 { "" } else { "s" })
}

/// What a run did, for the end of a line; nothing for a run that was not decided.
fn did(record: Option<&Record>) -> String {
    if record.is_none_or(|record| record.summary.is_none()) {
        return String::new();
    }
    let words = [
        ("created", "creates"),
        ("overwrote", "overwrites"),
        ("copied", "copies"),
        ("deleted", "deletes"),
        ("restyled", "restyles"),
    ];
    let parts: Vec<String> = words
        .into_iter()
        .map(|(word, field)| (word, done(record, field)))
        .filter(|(_, n)| *n > 0)
        .map(|(word, n)| format!("{word} {}", human::count(n)))
        .collect();
    if parts.is_empty() { "; nothing changed".to_owned() } else { format!("; {}", parts.join(", ")) }
}

fn done(record: Option<&Record>, field: &str) -> u64 {
    record.and_then(|record| record.summary.as_ref()?.get("done")?.get(field)?.as_u64()).unwrap_or(0)
}

fn halted(subject: &Subject, record: Option<&Record>, repeated: &str) -> String {
    let message = record.and_then(|record| record.halt.as_deref()).unwrap_or("by a guard");
    match record.and_then(|record| record.plan.as_deref()) {
        Some(plan) => {
            let handle = subject.handle();
            format!("halted: {message}\n  hint: to do exactly that: mediasync approve {handle} {plan}{repeated}")
        }
        None => format!("halted: {message}"),
    }
}

/// `2026-11-22 13:00:00 CET, sync, took 3.2 s`.
fn when(run: &Run, zone: &TimeZone) -> String {
    let began = human::time(run.started_ns, zone);
    let took = took(run).map(|took| format!(", took {}", human::duration(took)));
    format!("{began}, {}{}", run.command, took.unwrap_or_default())
}

/// `None` for a run that has not ended.
fn took(run: &Run) -> Option<Duration> {
    let ns = run.ended_ns?.saturating_sub(run.started_ns);
    u64::try_from(ns).ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests;
