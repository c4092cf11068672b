//! `cp`: one file, or with `-r` all files below a folder, from any place to any other.
//!
//! No pair, no lock and no memory: what is there with the same content is not sent again, what differs stays unless
//! `--overwrite` says otherwise, and is kept in the trash before it is replaced. Every write carries what was seen, as in a
//! run. What is begun in parts and not ended is removed again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use self::args::Cp;
use self::ends::{Source, Target, What};
use self::one::{Copying, Outcome, Stands, Wins};
use self::told::{Places, Sums};
use self::uploads::Uploads;
use super::alias;
use super::consent::{Consent, may_change};
use super::exit::Exit;
use super::failure::Failure;
use super::interrupt::or_interrupted;
use super::output::{Format, Output, Verbosity};
use super::place::{End, World};
use super::progress::Bars;
use super::resolve::{self, Made};
use super::run::everybody_may_read;
use super::send::Way;
use super::setup::Setup;
use super::shell::Kept;
use super::spot::{Spot, spot};
use super::wire::Lone;
use crate::location::Location;
use crate::model::{Entry, Key, ReadCost, RunName};
use crate::replica::s3::PUBLIC_BY_BUCKET;
use crate::replica::{Ability, Error, Journal as _, Replica, refuse_full};
use crate::sync::Stage;

pub mod args;
mod ends;
mod one;
mod told;
mod tree;
mod uploads;

/// How long removing what was begun may take after an interruption.
const TIDYING: Duration = Duration::from_secs(20);

/// `cp SRC DST`.
///
/// # Errors
/// Nothing is at SRC; DST can't take it or may not be changed.
pub async fn cp(args: &Cp, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    let output = &*setup.output;
    // A new name of one file, without a folder, is plain.
    if args.recursive || args.destination.contains('/') {
        resolve::refuse_a_bare_name(&args.destination, world)?;
    }
    let from = spot(&args.source, world)?;
    let (source, target) = or_interrupted(Box::pin(ends(args, &from, setup, world))).await.map_err(told_so)??;
    output.say(&first_line(&source, &target, &from, args));
    for warning in from.whole.warnings.iter().chain(&target.root.warnings) {
        output.warn(warning);
    }
    let stage = if args.dry_run { Stage::Planned } else { Stage::Done };
    if stage == Stage::Done {
        or_interrupted(may_change(&target.root, Consent::of(args.yes), output)).await.map_err(told_so)??;
    }
    let (dest, stands) = or_interrupted(Box::pin(ends::contact(&target, setup, stage))).await.map_err(told_so)??;
    if dest.replica().capabilities().conditional_put == Ability::Missing && stage == Stage::Done {
        output.say(&format!(
            "{} ignores preconditions: each key is looked at right before it is written, a change by somebody else in \
             that instant would be lost",
            dest.replica().name()
        ));
    }
    let uploads = Uploads::default();
    let run = RunName::new(now_ns(), fastrand::u32(..));
    let way = Way::new(source.lone.replica(), dest.replica(), &uploads);
    let progress = Arc::clone(&way.progress);
    let wins = match (args.overwrite, args.trash) {
        (false, _) => Wins::There,
        (true, None) => Wins::Trash,
        (true, Some(args::TrashArg::Off)) => Wins::Nothing,
    };
    let copying = Copying { way, uploads: &uploads, run: &run, stage, wins, kept: AtomicU64::new(0), stands };
    let places = Places { source: source.end.location.display(), dest: target.root.location.display() };
    let (has_created, sums) = (AtomicBool::new(false), Mutex::default());
    let work = Work { args, copying, source: &source, target: &target, places, has_created, output, sums };
    let bars = output.shows_progress().then(|| Bars::sending(output, progress));
    let done = or_interrupted(async {
        tokio::select! {
            // Nobody reads on, and nothing is being changed.
            () = output.closed(), if stage == Stage::Planned => None,
            done = Box::pin(work.carry_out()) => Some(done),
        }
    })
    .await;
    drop(bars);
    tidy(dest.replica(), &uploads, output).await;
    if work.has_created.load(Relaxed)
        && let Some(line) = who_may_read(&work, &dest)
    {
        output.say(&line);
    }
    match done.map_err(told_so).and_then(Option::transpose) {
        Ok(None) => Ok(Exit::Done),
        Ok(Some(())) => {
            work.tell(Ended::All, setup);
            Ok(if work.sums().problems > 0 { Exit::Problems } else { Exit::Done })
        }
        Err(failure) => {
            work.tell(Ended::Early, setup);
            Err(failure)
        }
    }
}

async fn ends(args: &Cp, from: &Spot, setup: &Setup, world: World<'_>) -> Result<(Source, Target), Failure> {
    let source = ends::source(args, from, setup).await?;
    let name = match &source.what {
        What::File { name, .. } => Some(name.as_str()),
        What::Below => None,
    };
    let (mut target, to) = ends::target(args, name, setup, world).await?;
    ends::refuse_own(&target, &setup.state_dir)?;
    match &source.what {
        What::Below => {
            resolve::refuse_overlap(&source.end, &to.whole)?;
            alias::refuse(&source.end, &to.whole)?;
            for end in [&source.end, &to.whole] {
                alias::refuse_state_inside(&setup.state_dir, end)?;
            }
        }
        What::File { .. } => {
            let there = target.root.location.below(&target.below);
            if there.is_ok_and(|there| there.canonical() == from.whole.location.canonical()) {
                return Err(Failure::usage(format!("{} would be copied to itself", from.shown)));
            }
        }
    }
    let made = made(&source.end);
    resolve::set_acl(&mut [&mut target.root], made, args.acl.as_deref())?;
    Ok((source, target))
}

/// As what objects are made: what comes from a directory is sent to those who read the place, as by a push.
fn made(source: &End) -> Made {
    if matches!(source.location, Location::Local(_)) { Made::Pushed } else { Made::Mirrored }
}

fn first_line(source: &Source, target: &Target, from: &Spot, args: &Cp) -> String {
    let end = |shown: &str, end: &End| match end.host() {
        Some(host) => format!("{shown} ({host})"),
        None => shown.to_owned(),
    };
    let what = if args.dry_run { "cp, nothing is changed" } else { "cp" };
    format!("{what}: from {} to {}", end(&from.shown, &source.end), end(&target.shown, &target.root))
}

/// Who may read what was made. Said at the end: whether an ACL has an effect is known once the server has an object.
fn who_may_read(&Work { args, source, target, ref copying, .. }: &Work<'_>, dest: &Lone) -> Option<String> {
    let Location::S3(address) = &target.root.location else { return None };
    if let Some(acl) = address.acl.as_deref().filter(|acl| acl.starts_with("public-")) {
        return match (dest.without_effect(acl), copying.stage) {
            // It was said when the object was sent.
            (Some(_), Stage::Done) => None,
            (Some(found), Stage::Planned) => Some(format!("{found}. {PUBLIC_BY_BUCKET}")),
            (None, _) => Some(everybody_may_read(acl)),
        };
    }
    let is_silent = args.acl.is_none() && target.root.acl.is_none() && address.acl.is_none();
    let is_copy = made(&source.end) == Made::Mirrored;
    (is_silent && is_copy).then(|| {
        "New objects get no ACL: what comes from another remote is as private as the bucket makes it (--acl)".to_owned()
    })
}

/// Removes what was begun and not ended.
async fn tidy(dest: &dyn Replica, uploads: &Uploads, output: &Output) {
    // A disk that does not answer keeps nobody for ever.
    let quiet = async { tokio::time::timeout(TIDYING, dest.quiet()).await };
    if or_interrupted(quiet).await.is_err() || uploads.is_empty() {
        return;
    }
    let removed = async { tokio::time::timeout(TIDYING, dest.tidy(uploads)).await };
    let left = match or_interrupted(removed).await {
        Ok(Ok(Ok(_))) => return,
        Ok(Ok(Err(error))) => error.message,
        Ok(Err(_)) | Err(_) => "no answer in time".to_owned(),
    };
    let keys = uploads.uploads().unwrap_or_default();
    let keys: Vec<String> = keys.iter().map(|upload| upload.key.to_string()).collect();
    output.warn(&format!(
        "{}: parts of {} are left behind ({left}); a lifecycle rule for unfinished uploads removes them",
        dest.name(),
        keys.join(", ")
    ));
}

/// After an interruption nothing is recorded, but what is there is known again.
fn told_so(failure: Failure) -> Failure {
    if failure.exit != Exit::Interrupted {
        return failure;
    }
    Failure { hints: vec!["repeat it: what is there already is not sent again".to_owned()], ..failure }
}

fn now_ns() -> i64 {
    i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

/// A command that knows its places.
#[derive(Debug)]
struct Work<'a> {
    args: &'a Cp,
    copying: Copying<'a>,
    source: &'a Source,
    target: &'a Target,
    places: Places,
    /// Whether there is a file, or would be one, that was not there.
    has_created: AtomicBool,
    output: &'a Output,
    sums: Mutex<Sums>,
}

/// How far a command came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    All,
    /// It was interrupted, or something ended it all.
    Early,
}

impl Work<'_> {
    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn carry_out(&self) -> Result<(), Failure> {
        match &self.source.what {
            What::Below => self.all().await,
            What::File { key, entry, .. } => {
                let to = self.target.key("")?;
                if self.copying.stage == Stage::Done {
                    self.room(self.needed(&to, entry).await).await?;
                }
                self.begin(1, entry.size);
                let outcome = self.copying.one(key, entry, &to).await?;
                self.told((key, &to), entry.size, outcome);
                Ok(())
            }
        }
    }

    fn begin(&self, files: u64, bytes: u64) {
        let progress = &self.copying.way.progress;
        progress.bytes_to_send.store(bytes, Relaxed);
        progress.actions.store(files, Relaxed);
    }

    /// Bytes that a file needs on a disk: none if one of its size is there, which may be the same.
    async fn needed(&self, to: &Key, entry: &Entry) -> u64 {
        let copying = &self.copying;
        let is_disk = copying.way.to.capabilities().read_cost == ReadCost::Cheap && copying.stands == Stands::Yes;
        let found = if is_disk { copying.way.to.look_up(to).await.ok().flatten() } else { None };
        if found.is_some_and(|found| found.size == entry.size) { 0 } else { entry.size }
    }

    /// Stops before a disk would be full.
    async fn room(&self, bytes: u64) -> Result<(), Failure> {
        let full = refuse_full(self.copying.way.to, bytes).await;
        Ok(full.map_err(|error| Error { hint: Some("free some space, or copy less".to_owned()), ..error })?)
    }

    fn told(&self, keys: (&Key, &Key), size: u64, outcome: Outcome) {
        self.sums().add(outcome, size);
        self.has_created.fetch_or(outcome == Outcome::Created, Relaxed);
        let stage = self.copying.stage;
        let is_named =
            self.output.verbosity() == Verbosity::Verbose || (stage == Stage::Planned && outcome != Outcome::There);
        match self.output.format() {
            Format::Json => self.output.data(&told::action(&self.places, keys, size, outcome, stage)),
            Format::Human if is_named => self.output.data(&told::line(keys.1, size, outcome)),
            Format::Human => {}
        }
    }

    fn count_one(&self) {
        self.copying.way.progress.actions_done.fetch_add(1, Relaxed);
    }

    /// What was done, also before an end that came early.
    fn tell(&self, ended: Ended, setup: &Setup) {
        let (output, stage) = (self.output, self.copying.stage);
        let sums = self.sums();
        let kept = self.copying.kept.load(Relaxed);
        match output.format() {
            _ if ended == Ended::Early && stage == Stage::Planned => {}
            _ if ended == Ended::Early && (sums.created + sums.replaced > 0 || kept > 0) => {
                output.say(&format!("before that: {}", told::summary(&sums, stage)));
            }
            _ if ended == Ended::Early => {}
            Format::Json => {
                let run = (kept > 0).then(|| self.copying.run.as_str());
                output.data(&told::summary_line(&self.places, &sums, stage, run));
            }
            Format::Human if output.verbosity() > Verbosity::Quiet => output.data(&told::summary(&sums, stage)),
            Format::Human => {}
        }
        if kept > 0 {
            let (spelled, shown) = (self.target.root.spelled.as_deref(), &*self.places.dest);
            // Nobody wrote down what took its place.
            let repeated = format!(" --overwrite{}", setup.repeated);
            let way = Kept::At { spelled, shown }.restore(self.copying.run, &repeated);
            // What was under way is kept too, and may be where it was.
            let what = if kept > sums.trashed { "what was replaced, or was about to be," } else { "what was replaced" };
            output.say(&format!("{what} is kept in the trash; to put it back: {way}"));
        }
        if sums.versions > 0 {
            output.say(&format!("note: what was replaced is in the bucket's own versions of {}", self.places.dest));
        }
        if ended == Ended::All && self.args.recursive && sums.all() == 0 {
            output.warn(&format!("nothing was to be copied from {}", self.places.source));
        }
    }
}
