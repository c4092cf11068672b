//! A place whose trash is looked at or changed: its replica, and what this host remembers of the pairs that it belongs
//! to.

use std::sync::Arc;

use super::args::SideArg;
use crate::cli::client::{self, Reached};
use crate::cli::failure::Failure;
use crate::cli::pairs;
use crate::cli::place::{End, World, end};
use crate::cli::resolve;
use crate::cli::setup::Setup;
use crate::cli::wire::{self, Purpose};
use crate::manifest::{KeptLine, Lock, Manifest};
use crate::model::{Key, RunName, Side};
use crate::replica::access::Access;
use crate::replica::trash::none;
use crate::replica::{Contact, KeptAs, Replica, Trash, Trashed, TrashedStream};

/// Lines of a manifest at a time.
const PAGE: u32 = 1_000;

/// An end that a person means, with its side in the job that named it.
#[derive(Debug)]
pub(super) struct Meant {
    pub(super) end: End,
    pub(super) side: Option<Side>,
}

impl Meant {
    /// `s3://bucket (source)`.
    pub(super) fn name(&self) -> String {
        let place = self.end.location.display();
        match self.side {
            Some(side) => format!("{place} ({})", word(side)),
            None => place,
        }
    }
}

/// How people and scripts call a side.
pub(super) fn word(side: Side) -> &'static str {
    match side {
        Side::Source => "source",
        Side::Dest => "destination",
    }
}

/// The ends that a person means: a place, or the sides that a job changes, or one side of it.
pub(super) fn named(text: &str, side: Option<SideArg>, world: World<'_>) -> Result<Vec<Meant>, Failure> {
    let Some(job) = world.config.job(text) else {
        if side.is_some() {
            let message = format!("--side goes with the name of a job, and no job is called {text:?}");
            return Err(Failure::usage(message).hint("a place has one trash: leave --side away"));
        }
        let meant = Meant { end: end(text, world)?, side: None };
        resolve::refuse_a_variable(text, world)?;
        if resolve::is_a_bare_name(text, world) {
            return Err(resolve::unknown_job(text, world).hint(format!("a directory is written ./{text}")));
        }
        return Ok(vec![meant]);
    };
    let (source, dest) = resolve::job_ends(job, world)?;
    let ends = [(Side::Source, source), (Side::Dest, dest)].into_iter();
    let wanted = |at: Side| side.map_or_else(|| job.mode.writes().contains(&at), |side| side.side() == at);
    // A link that the job stored comes back as one.
    let links = job.options.files.symlinks;
    let meant = ends.filter(|(at, _)| wanted(*at)).map(|(at, end)| Meant { end: End { links, ..end }, side: Some(at) });
    Ok(meant.collect())
}

/// The manifests of all pairs that have one of some places, so that each is opened once.
#[derive(Debug)]
pub(super) struct Books(Vec<Book>);

#[derive(Debug)]
struct Book {
    manifest: Manifest,
    /// Canonical texts, in the manifest's orientation.
    source: String,
    dest: String,
    _lock: Option<Lock>,
    /// Dropped last: the daemon takes the pair up again.
    _loan: Reached,
}

impl Books {
    /// Opens them; with [`Purpose::Change`] nobody else works on these pairs meanwhile, and a daemon lends those that it
    /// holds.
    pub(super) async fn open(setup: &Setup, ends: &[&End], purpose: Purpose) -> Result<Self, Failure> {
        let state_dir = &*setup.state_dir;
        let canonical: Vec<String> = ends.iter().map(|end| end.location.canonical()).collect();
        let mut books = Vec::new();
        for known in pairs::known(state_dir) {
            if !canonical.iter().any(|text| *text == known.source || *text == known.dest) {
                continue;
            }
            let pair = known.pair();
            let orientation = pair.orientation(&known.source);
            let (manifest, lock, loan) = match purpose {
                Purpose::Look => match Manifest::open_read_only(state_dir, &pair, orientation)? {
                    Some(manifest) => (manifest, None, Reached::Nobody),
                    None => continue,
                },
                Purpose::Change => {
                    let loan = client::lend(setup, pair.id()).await?;
                    let lock = Lock::take(state_dir, &pair, "trash")?;
                    (Manifest::open(state_dir, &pair, orientation)?.manifest, Some(lock), loan)
                }
            };
            books.push(Book { manifest, source: known.source, dest: known.dest, _lock: lock, _loan: loan });
        }
        Ok(Self(books))
    }

    /// All manifests.
    pub(super) fn all(&self) -> impl Iterator<Item = &Manifest> {
        self.0.iter().map(|book| &book.manifest)
    }

    /// The manifests that have a place, with its side in each.
    pub(super) fn of<'a>(&'a self, place: &'a str) -> impl Iterator<Item = (&'a Manifest, Side)> + 'a {
        self.0.iter().filter_map(move |book| {
            let side = match place {
                _ if book.source == place => Side::Source,
                _ if book.dest == place => Side::Dest,
                _ => return None,
            };
            Some((&book.manifest, side))
        })
    }

    /// The manifest of a pair, with the side of the first place.
    pub(super) fn between<'a>(&'a self, place: &'a str, other: &str) -> Option<(&'a Manifest, Side)> {
        let both = |book: &&Book| [&*book.source, &*book.dest].contains(&other);
        let book = self.0.iter().filter(both).find(|book| [&*book.source, &*book.dest].contains(&place))?;
        Some((&book.manifest, if book.source == place { Side::Source } else { Side::Dest }))
    }
}

/// A place that was contacted.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) replica: Arc<dyn Replica>,
    pub(super) canonical: String,
    pub(super) books: &'a Books,
}

impl<'a> Place<'a> {
    /// Contacts a place; with [`Purpose::Change`] it may be changed.
    pub(super) async fn contact(end: &End, books: &'a Books, purpose: Purpose) -> Result<Self, Failure> {
        let canonical = end.location.canonical();
        let mut remembered = None;
        for (manifest, side) in books.of(&canonical) {
            remembered = remembered.or(manifest.probe(side)?);
        }
        let (access, contact) = match purpose {
            Purpose::Look => (Access::ReadOnly, Contact::Look),
            Purpose::Change => (Access::Write, Contact::Prepare),
        };
        let replica = wire::alone(end, remembered, access)?;
        // A directory that is not there has no trash, and is not made for it.
        if contact == Contact::Prepare {
            replica.connect(Contact::Look).await?;
        }
        replica.connect(contact).await?;
        Ok(Self { replica, canonical, books })
    }

    /// Its trash.
    pub(super) fn bin(&self) -> Result<&dyn Trash, Failure> {
        Ok(self.replica.trash().ok_or_else(|| none(self.replica.name()))?)
    }

    /// What is in its trash, and then what the history of a bucket keeps.
    pub(super) fn listing(&self, run: Option<&RunName>) -> Result<Listing<'_>, Failure> {
        Ok(Listing {
            copies: Some(self.bin()?.trashed(run)),
            run: run.cloned(),
            books: self.books.of(&self.canonical).collect(),
            after: None,
        })
    }

    /// The next lines about copies of a run, after a key: what the manifests know of it beside the trash itself.
    pub(super) fn lines(&self, run: &RunName, after: Option<&Key>) -> Result<Vec<KeptLine>, Failure> {
        let mut all = Vec::new();
        let first = Key::new("\u{1}").expect("a key");
        for (manifest, side) in self.books.of(&self.canonical) {
            let lines = manifest.kept_after(side, Some((run, after.unwrap_or(&first))), PAGE)?;
            all.extend(lines.into_iter().filter(|line| line.run == *run));
        }
        all.sort_by(|a, b| a.key.cmp(&b.key));
        all.truncate(PAGE as usize);
        Ok(all)
    }

    /// The version that a run put in the place of what it kept.
    pub(super) fn wrote(&self, kept: &Trashed) -> Result<Option<crate::model::Version>, Failure> {
        for (manifest, side) in self.books.of(&self.canonical) {
            if let Some(line) = manifest.kept_of(side, &kept.run, &kept.key)? {
                return Ok(line.wrote);
            }
        }
        Ok(None)
    }

    /// What was kept is in the trash no more.
    pub(super) fn forget(&self, kept: &Trashed) -> Result<(), Failure> {
        for (manifest, side) in self.books.of(&self.canonical) {
            manifest.forget_kept(side, &kept.run, &kept.key)?;
        }
        Ok(())
    }
}

/// See [`Place::listing`].
pub(super) struct Listing<'a> {
    copies: Option<TrashedStream>,
    run: Option<RunName>,
    books: Vec<(&'a Manifest, Side)>,
    after: Option<(RunName, Key)>,
}

impl Listing<'_> {
    /// The next batch; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Trashed>>, Failure> {
        if let Some(copies) = &mut self.copies {
            if let Some(batch) = copies.next().await? {
                return Ok(Some(batch));
            }
            self.copies = None;
        }
        while let Some((manifest, side)) = self.books.last() {
            let after = self.after.as_ref().map(|(run, key)| (run, key));
            let lines = manifest.kept_after(*side, after, PAGE)?;
            match lines.last() {
                None => {
                    self.books.pop();
                    self.after = None;
                }
                Some(last) => self.after = Some((last.run.clone(), last.key.clone())),
            }
            let wanted = lines.into_iter().filter(|line| self.run.as_ref().is_none_or(|run| *run == line.run));
            let batch: Vec<Trashed> = wanted
                .filter_map(|line| {
                    let kept_as = KeptAs::Version(line.version?);
                    Some(Trashed { run: line.run, key: line.key, size: line.size, kept_as })
                })
                .collect();
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }
}
