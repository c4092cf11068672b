//! `trash restore`: puts back what runs deleted or replaced, and with `--to` sends it on to another place.
//!
//! A file goes back where nothing stands now, or what that very run put there. Anything else was changed since: a
//! problem that names the flag. What is replaced goes to the trash under a name of this restore, so that it can be undone.
//!
//! Without `--run` it is what runs took away last; what an earlier restore replaced comes back only by that one's name.
//!
//! With `--to` the other place has lost what this one kept: a mirror took the damage over from it. There too a file is
//! replaced only if it is what both places held when they last agreed.
//!
//! A restore that was killed goes on when it is repeated: [`super::restoring`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use futures_util::stream::{StreamExt, iter};
use jiff::Timestamp;

use super::args::{Restore, SideArg};
use super::place::{Books, Meant, Place, named};
use super::restoring::{self, Back, Restoring, Wins};
use super::told::{self, Outcome, Sums};
use super::{Consent, leased, may_change};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::human;
use crate::cli::output::{Format, Output, Verbosity};
use crate::cli::place::{End, World, end};
use crate::cli::resolve;
use crate::cli::send::Way;
use crate::cli::setup::Setup;
use crate::cli::shell::{self, Kept};
use crate::config::Job;
use crate::model::{Key, RunName};
use crate::plan::Mode;
use crate::replica::access::Access;
use crate::replica::trash::Unjournaled;
use crate::replica::{Cause, Error, Journal, KeptAs, Trashed};
use crate::sync::Stage;

/// Files at the same time.
const PARALLEL: usize = 16;

pub(super) async fn restore(args: &Restore, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    let output = &*setup.output;
    if args.keys.is_empty() && args.run.is_none() {
        let message = "trash restore needs to know what: --run RUN for all that a run took away, or names of files";
        return Err(Failure::usage(message)
            .hint(format!("mediasync trash list{0} and mediasync history{0} show the names of runs", setup.repeated)));
    }
    let all = named(&args.place, args.side, world)?;
    let to = args.to.as_deref().map(|to| end(to, world)).transpose()?;
    if let Some(to) = &to {
        refuse_to(&all, to)?;
    }
    let (purpose, stage) = args.wish.purpose();
    let ends: Vec<&End> = all.iter().map(|meant| &meant.end).chain(&to).collect();
    if stage == Stage::Done {
        for end in &ends {
            may_change(end, Consent::of(args.wish.yes), output).await?;
        }
    }
    let books = Books::open(setup, &ends, purpose).await?;
    let mut places = Vec::new();
    for end in &ends {
        places.push(Place::contact(end, &books, purpose).await?);
    }
    let holds = leased::take(&mut places, purpose, (world, output)).await?;
    let other = to.as_ref().and_then(|_| places.pop());
    let work = Work { all: &all, places: &places, to: to.as_ref().zip(other.as_ref()), books: &books, stage };
    let (mut problems, found, named) = leased::while_held(&holds, output, work.carry_out(args, setup)).await?;
    if !found {
        let places: Vec<String> = all.iter().map(|meant| meant.end.location.display()).collect();
        let message = format!("nothing of that is in the trash of {}", places.join(" or of "));
        return Err(Failure::error(message).hint(format!("mediasync trash list{} shows what is", setup.repeated)));
    }
    if let Some(note) = undone(args, world)? {
        output.say(&note);
    }
    // One mistyped name among others.
    for name in (0..args.keys.len()).filter(|at| !named.contains(at)).map(|at| &args.keys[at]) {
        problems += 1;
        output.warn(&format!("nothing called {} is in the trash", name.escape_debug()));
    }
    Ok(if problems > 0 { Exit::Problems } else { Exit::Done })
}

/// What a restore works on.
struct Work<'a> {
    all: &'a [Meant],
    /// In the same order.
    places: &'a [Place<'a>],
    /// Where it is sent on to.
    to: Option<(&'a End, &'a Place<'a>)>,
    books: &'a Books,
    stage: Stage,
}

impl Work<'_> {
    /// How many problems there were, whether anything was found, and which of the names are those of something.
    async fn carry_out(&self, args: &Restore, setup: &Setup) -> Result<(u64, bool, BTreeSet<usize>), Failure> {
        let (output, stage, books) = (&*setup.output, self.stage, self.books);
        let other = self.to.map(|(_, place)| place);
        let now_ns = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
        let name = RunName::of_restore(now_ns, fastrand::u32(..));
        let before = restoring::begin(books, &name, stage)?;
        let (mut problems, mut found) = (0, false);
        let named = Mutex::new(BTreeSet::new());
        for (meant, place) in self.all.iter().zip(self.places) {
            let unjournaled = Unjournaled;
            let uploads = other.and_then(|other| {
                let (manifest, side) = books.between(&other.canonical, &place.canonical)?;
                Some(manifest.upload_journal(side))
            });
            let journal: &dyn Journal = uploads.as_ref().map_or(&unjournaled, |uploads| uploads);
            let way = other.map(|other| Way::new(&*place.replica, &*other.replica, journal));
            let wins = if args.overwrite { Wins::Trash } else { Wins::Nobody };
            let work = Restoring::new(place, other.zip(way), (&name, &before), stage, wins);
            let sums = Command { work: &work, args, named: &named, output }.all().await?;
            if sums == Sums::default() {
                continue;
            }
            found = true;
            problems += sums.problems;
            let label = (self.all.len() > 1).then(|| meant.name());
            tell(&work, &sums, label.as_deref(), output);
            for (end, place) in std::iter::once((&meant.end, place)).chain(self.to) {
                if work.replaced_at(place) > 0 {
                    output.say(&undo(end, work.replaced_at(place), &name, &setup.repeated));
                }
            }
        }
        // With nothing left to do, nobody has to go on with what was killed before.
        restoring::end(books, &name, if problems == 0 { &before } else { &[] }, stage)?;
        Ok((problems, found, named.into_inner().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// What was kept later is greater; of one second, what a run took away after a restore.
fn order(run: &RunName) -> (i64, bool, &str) {
    (run.began_ns(), !run.is_restore(), run.as_str())
}

/// `--to` sends from one place to another one.
fn refuse_to(all: &[Meant], to: &End) -> Result<(), Failure> {
    let [from] = all else {
        let message = "--to sends from one place, and the job has a trash at both its sides";
        return Err(Failure::usage(message).hint("--side source or --side destination says from which"));
    };
    if crate::location::overlap(&from.end.location, &to.location).is_some() {
        return Err(Failure::usage("--to is the place itself, or a part of it: without it everything goes back there"));
    }
    Ok(())
}

fn tell(work: &Restoring<'_>, sums: &Sums, label: Option<&str>, output: &Output) {
    match output.format() {
        Format::Json => {
            let undo = (work.stage == Stage::Done).then_some(work.name.as_str());
            output.data(&told::summary("restore", work.place.replica.name(), sums, work.stage, undo));
        }
        Format::Human if output.verbosity() > Verbosity::Quiet => {
            output.data(&told::of(label, &told::restored(sums, work.stage)));
        }
        Format::Human => {}
    }
}

/// What becomes of what is put back at the copy of a mirror alone; `None` if this is none.
fn undone(args: &Restore, world: World<'_>) -> Result<Option<String>, Failure> {
    let is_mirror = |job: &&Job| job.mode == Mode::Mirror && args.to.is_none() && args.side != Some(SideArg::Source);
    let Some(job) = world.config.job(&args.place).filter(is_mirror) else { return Ok(None) };
    let (source, dest) = resolve::job_ends(job, world)?;
    let (name, shown, repeated) = (&job.name, source.location.display(), world.repeated);
    let way = match (&source.spelled, &dest.spelled) {
        _ if source.access == Access::ReadOnly => "it is read-only".to_owned(),
        (Some(to), _) if args.wish.dry_run => format!("--to {} puts it there too", shell::place(to)),
        (Some(to), Some(from)) => {
            let (from, to) = (shell::place(from), shell::place(to));
            format!("to bring a file there: mediasync mirror {from} {to} --no-delete --only FILE{repeated}")
        }
        (None, _) | (_, None) => "--to sends it there too".to_owned(),
    };
    Ok(Some(format!(
        "note: the next run of {name} undoes this, or asks to, as long as {shown} does not hold the same; {way}"
    )))
}

/// How what was replaced is put back.
fn undo(end: &End, count: u64, name: &RunName, repeated: &str) -> String {
    let files = human::files(count);
    let shown = end.location.display();
    let way = Kept::At { spelled: end.spelled.as_deref(), shown: &shown }.restore(name, repeated);
    format!("what this replaced at {shown} is kept ({files}); to undo it: {way}")
}

/// One place's part of the command.
struct Command<'a> {
    work: &'a Restoring<'a>,
    args: &'a Restore,
    /// Which of the names that were given are those of something.
    named: &'a Mutex<BTreeSet<usize>>,
    output: &'a Output,
}

impl Command<'_> {
    async fn all(&self) -> Result<Sums, Failure> {
        let mut sums = Sums::default();
        if let Some(run) = self.args.run.as_ref().filter(|_| self.work.other.is_some()) {
            self.owed(run, &mut sums).await?;
        }
        let mut listing = self.work.place.listing(self.args.run.as_ref())?;
        let (mut newest, mut replaced) = <(BTreeMap<Key, Trashed>, BTreeMap<Key, Trashed>)>::default();
        while let Some(batch) = listing.next().await? {
            let meant: Vec<Trashed> = batch.into_iter().filter(|kept| self.is_meant(&kept.key)).collect();
            if self.args.run.is_some() {
                self.batch(meant, &mut sums).await?;
                continue;
            }
            for kept in meant {
                let last = if kept.run.is_restore() { &mut replaced } else { &mut newest };
                if last.get(&kept.key).is_none_or(|other| order(&other.run) < order(&kept.run)) {
                    last.insert(kept.key.clone(), kept);
                }
            }
        }
        self.leave(&replaced, &mut newest, &mut sums).await?;
        self.batch(newest.into_values().collect(), &mut sums).await?;
        Ok(sums)
    }

    /// Where a restore replaced something last, what runs took away before was put right by it: that is left alone, but
    /// for what stands there now, which may not be sent on yet.
    async fn leave(
        &self,
        replaced: &BTreeMap<Key, Trashed>,
        newest: &mut BTreeMap<Key, Trashed>,
        sums: &mut Sums,
    ) -> Result<(), Failure> {
        let mut example = None;
        for (key, last) in replaced {
            if let Some(kept) = newest.get(key)
                && (order(&kept.run) > order(&last.run) || self.work.stands(kept).await?)
            {
                continue;
            }
            newest.remove(key);
            sums.left += 1;
            example = example.or(Some(last));
        }
        if let Some(Trashed { key, run, .. }) = example {
            self.output.say(&format!(
                "note: left as an earlier restore put it right: {}, like {key}; what that one replaced comes back with \
                 --run {run}",
                human::files(sums.left),
            ));
        }
        Ok(())
    }

    fn is_meant(&self, key: &Key) -> bool {
        let is_named = |name: &str| {
            let name = name.trim_end_matches('/');
            key.as_str() == name || key.is_below(name)
        };
        let hits = (0..self.args.keys.len()).filter(|at| is_named(&self.args.keys[*at]));
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let hits = hits.map(|at| named.insert(at)).count();
        hits > 0 || self.args.keys.is_empty()
    }

    /// What a restore that was killed put back here, and did not send on any more.
    async fn owed(&self, run: &RunName, sums: &mut Sums) -> Result<(), Failure> {
        let mut after = None;
        loop {
            let lines = self.work.place.lines(run, after.as_ref())?;
            let Some(last) = lines.last() else { return Ok(()) };
            after = Some(last.key.clone());
            let meant = lines.into_iter().filter(|line| line.version.is_none() && self.is_meant(&line.key));
            let one = async |line| {
                let sent = self.work.owed(&line).await;
                let kept = Trashed { run: line.run, key: line.key, size: line.size, kept_as: KeptAs::Copy };
                (kept, sent.transpose())
            };
            let mut done = iter(meant).map(one).buffered(PARALLEL);
            while let Some((kept, sent)) = done.next().await {
                if let Some(sent) = sent {
                    self.settle(&kept, sent, sums)?;
                }
            }
        }
    }

    async fn batch(&self, batch: Vec<Trashed>, sums: &mut Sums) -> Result<(), Failure> {
        let one = async |kept: Trashed| {
            let back = self.work.one(&kept).await;
            (kept, back)
        };
        let mut done = iter(batch).map(one).buffered(PARALLEL);
        while let Some((kept, back)) = done.next().await {
            match back {
                Ok(Back { outcome, sent }) => {
                    self.settle(&kept, Ok(outcome), sums)?;
                    if let Some(sent) = sent {
                        self.settle(&kept, sent, sums)?;
                    }
                }
                Err(error) => self.settle(&kept, Err(error), sums)?,
            }
        }
        Ok(())
    }

    fn settle(&self, kept: &Trashed, done: Result<Outcome, Error>, sums: &mut Sums) -> Result<(), Failure> {
        match done {
            Ok(outcome) => {
                sums.add(outcome, kept.size);
                self.tell(kept, outcome);
            }
            Err(error) if error.cause == Cause::Stop => return Err(error.into()),
            Err(error) => {
                sums.problems += 1;
                self.output.problem(None, &crate::survey::problem_of(&kept.key, &error));
            }
        }
        Ok(())
    }

    fn tell(&self, kept: &Trashed, outcome: Outcome) {
        let (output, stage) = (self.output, self.work.stage);
        match output.format() {
            Format::Json => output.data(&told::done(self.work.place.replica.name(), kept, outcome, stage)),
            Format::Human if stage == Stage::Planned || output.verbosity() == Verbosity::Verbose => {
                output.data(&told::line(kept, outcome));
            }
            Format::Human => {}
        }
    }
}
