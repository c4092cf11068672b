//! What is copied, and where it goes: from the two texts to replicas.
//!
//! At a bucket nothing is prepared and nothing of ours is left behind: what runs of a pair found out about the server is
//! used, and without that each key is looked at right before it is written. The replica that is written stands at the place
//! that people know (one of a pair, of a remote, of a DSN; else the bucket, or the directory of the file), so that its
//! trash is where `trash` looks.

use std::path::Path;

use super::args::Cp;
use super::one::Stands;
use crate::cli::alias::real;
use crate::cli::failure::Failure;
use crate::cli::ls;
use crate::cli::pairs;
use crate::cli::place::{End, World};
use crate::cli::setup::{Setup, shown};
use crate::cli::spot::{Spot, above, holds_something, named_depth, spot};
use crate::cli::wire::Lone;
use crate::location::{Found, Location, is_bucket};
use crate::manifest::Manifest;
use crate::model::{Entry, Key, OWN_PREFIX, Side};
use crate::replica::access::Access;
use crate::replica::{Cause, Contact, Error};
use crate::sync::Stage;

/// What is copied.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) lone: Lone,
    /// The place that its keys are below.
    pub(super) end: End,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// One file, with the name that it has for people.
    File { key: Key, entry: Entry, name: String },
    /// All files below the place.
    Below,
}

/// Finds what is copied, and makes sure that it is there.
pub(super) async fn source(args: &Cp, spot: &Spot, setup: &Setup) -> Result<Source, Failure> {
    let is_folder = says_folder(&args.source, spot);
    if args.recursive && (is_folder || holds_something(spot).await?) {
        let end = spot.whole.clone();
        let lone = Lone::new(&end, remembered(setup, &end.location), Access::ReadOnly)?;
        lone.replica().connect(Contact::Look).await?;
        return Ok(Source { lone, end, what: What::Below });
    }
    let a_folder = || {
        let message = format!("{} is a folder, and cp copies one file", spot.shown);
        Failure::usage(message)
            .hint("-r copies all files below it; mediasync mirror makes another place exactly like it")
    };
    let Some((end, key)) = spot.above.clone().filter(|_| !is_folder) else { return Err(a_folder()) };
    let lone = Lone::new(&end, remembered(setup, &end.location), Access::ReadOnly)?;
    let found = match lone.replica().connect(Contact::Look).await {
        Ok(_) => lone.replica().look_up(&key).await?,
        Err(error) if error.cause == Cause::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    match found {
        Some(entry) => {
            let name = own_name(&args.source, &key, &spot.whole.location);
            Ok(Source { lone, end, what: What::File { key, entry, name } })
        }
        None if !args.recursive && holds_something(spot).await? => Err(a_folder()),
        None => Err(ls::nothing(spot).await),
    }
}

/// The name of a file: of a link that was named, its own, and not that of what it leads to.
fn own_name(text: &str, key: &Key, location: &Location) -> String {
    let typed = Path::new(text);
    let is_link = matches!(location, Location::Local(_)) && typed.is_symlink();
    let typed = typed.file_name().and_then(|name| name.to_str()).filter(|_| is_link);
    typed.unwrap_or(key.name()).to_owned()
}

/// Whether a text can only mean a folder: it ends in a slash, or is a whole place.
fn says_folder(text: &str, spot: &Spot) -> bool {
    let path = path_of(text);
    let dots = matches!(path.rsplit('/').next(), Some("." | ".." | "~"));
    let is_whole = match &spot.whole.location {
        Location::Local(_) => spot.found == Found::Directory || named_depth(text) == Some(0),
        Location::S3(_) | Location::Azure(_) => spot.above.is_none() || named_depth(text) == Some(0),
    };
    path.ends_with('/') || dots || is_whole
}

/// Without the parameters of a URL.
fn path_of(text: &str) -> &str {
    if text.contains("://") { text.split('?').next().unwrap_or(text) } else { text }
}

/// Where it goes, before anybody is contacted but to tell a folder from a name.
#[derive(Debug)]
pub(super) struct Target {
    /// The place that is written.
    pub(super) root: End,
    /// Below it; empty for the place itself.
    pub(super) below: String,
    /// How people call what was typed.
    pub(super) shown: String,
}

impl Target {
    /// The key of something that goes there.
    pub(super) fn key(&self, name: &str) -> Result<Key, Failure> {
        let text = match (&*self.below, name) {
            ("", name) => name.to_owned(),
            (below, "") => below.to_owned(),
            (below, name) => format!("{below}/{name}"),
        };
        Key::new(text).map_err(|_| Failure::usage(format!("{name:?} is no name for a file")))
    }
}

/// Finds out where it goes: `name` is that of a single file.
pub(super) async fn target(
    args: &Cp,
    name: Option<&str>,
    setup: &Setup,
    world: World<'_>,
) -> Result<(Target, Spot), Failure> {
    let text = &args.destination;
    let spot = spot(text, world)?;
    let is_folder = match name {
        None if spot.found == Found::File => {
            let message = format!("{} is a file, and -r copies into a folder", spot.shown);
            return Err(Failure::usage(message).hint("name a folder"));
        }
        None => true,
        Some(_) if says_folder(text, &spot) => {
            if spot.found == Found::File {
                return Err(Failure::usage(format!("{} is a file, and a folder was named", spot.shown))
                    .hint("leave the slash at its end away to name the file"));
            }
            true
        }
        Some(_) => holds_something(&spot).await?,
    };
    let mut location = spot.whole.location.clone();
    let natural = match &location {
        Location::Local(_) if named_depth(text).is_none() => usize::from(!is_folder),
        Location::Local(_) => named_depth(text).unwrap_or(0),
        // Of a URL the bucket itself is what people know.
        Location::S3(_) | Location::Azure(_) => match named_depth(text) {
            Some(depth) => depth,
            None if is_bucket(text) => usize::MAX,
            None => 0,
        },
    };
    let known = known_places(setup);
    // A directory that a pair knows may be anywhere above.
    let limit = if matches!(location, Location::Local(_)) { usize::MAX } else { natural };
    let (mut names, mut at_natural) = (Vec::<String>::new(), None);
    loop {
        let depth = names.len();
        let may_be_root = depth > 0 || is_folder;
        if may_be_root && known.contains(&location.canonical()) {
            break;
        }
        let up = above(&location).filter(|_| depth < limit);
        if at_natural.is_none() && may_be_root && (depth >= natural || up.is_none()) {
            at_natural = Some((location.clone(), depth));
        }
        match (up, &at_natural) {
            (Some((up, name)), _) => {
                names.push(name.as_str().to_owned());
                location = up;
            }
            (None, Some((natural, depth))) => {
                location = natural.clone();
                names.truncate(*depth);
                break;
            }
            (None, None) => {
                return Err(Failure::usage(format!("{} names no place that a file could go to", spot.shown)));
            }
        }
    }
    names.reverse();
    let below = names.join("/");
    let spelled = spelled(text, &below, &location, &spot);
    let mut root = End { location, spelled, dsn: None, ..spot.whole.clone() };
    if !below.is_empty() {
        without_url(&mut root.location);
    }
    let below = match name {
        Some(name) if is_folder && below.is_empty() => name.to_owned(),
        Some(name) if is_folder => format!("{below}/{name}"),
        Some(_) | None => below,
    };
    Ok((Target { root, below, shown: spot.shown.clone() }, spot))
}

/// What is ours is written by runs alone: what has a reserved name anywhere in its path, and what is in the state directory.
pub(super) fn refuse_own(target: &Target, state_dir: &Path) -> Result<(), Failure> {
    let is_own = |path: &str| path.split('/').any(|name| name.starts_with(OWN_PREFIX));
    let mut ours = is_own(&target.below);
    match &target.root.location {
        Location::Local(root) => {
            let typed = if target.below.is_empty() { root.clone() } else { root.join(&target.below) };
            let led_to = real(&typed);
            if let (Some(path), Some(state)) = (&led_to, real(state_dir))
                && path.starts_with(&state)
            {
                let message = format!("{} is in the state directory {}", shown(&typed), shown(state_dir));
                return Err(Failure::usage(message).hint("cp writes nothing there; name another DST"));
            }
            ours |= [Some(typed), led_to].iter().flatten().any(|path| is_own(&path.to_string_lossy()));
        }
        Location::S3(address) => ours |= is_own(&address.prefix),
        Location::Azure(address) => ours |= is_own(&address.prefix),
    }
    if !ours {
        return Ok(());
    }
    let message = format!("{}: names that begin with {OWN_PREFIX} are reserved for mediasync", target.shown);
    Err(Failure::usage(message).hint("cp writes nothing there; name another DST"))
}

fn without_url(location: &mut Location) {
    match location {
        Location::Local(_) => {}
        Location::S3(address) => address.public_url = None,
        Location::Azure(address) => address.public_url = None,
    }
}

/// How a command names the place; `None` if that would hold a secret.
fn spelled(text: &str, below: &str, location: &Location, spot: &Spot) -> Option<String> {
    if let (Location::Local(path), None) = (location, named_depth(text)) {
        return path.to_str().map(str::to_owned);
    }
    if spot.whole.spelled.is_none() && !text.starts_with("env:") {
        return None;
    }
    let (path, more) = text.split_at(path_of(text).len());
    let cut = path.trim_end_matches('/').strip_suffix(below)?;
    let cut = if below.is_empty() { cut } else { cut.trim_end_matches('/') };
    Some(format!("{cut}{more}"))
}

/// The canonical texts of places of pairs that this host knows.
fn known_places(setup: &Setup) -> Vec<String> {
    pairs::known(&setup.state_dir).into_iter().flat_map(|known| [known.source, known.dest]).collect()
}

/// What runs found out about a place.
fn remembered(setup: &Setup, location: &Location) -> Option<String> {
    let canonical = location.canonical();
    for known in pairs::known(&setup.state_dir) {
        let side = match &canonical {
            text if *text == known.source => Side::Source,
            text if *text == known.dest => Side::Dest,
            _ => continue,
        };
        let pair = known.pair();
        // What can't be read is found out as if nobody had.
        let manifest = Manifest::open_read_only(&setup.state_dir, &pair, pair.orientation(&known.source));
        let probe = manifest.ok().flatten().and_then(|manifest| manifest.probe(side).ok().flatten());
        if probe.is_some() {
            return probe;
        }
    }
    None
}

/// Contacts the place that is written.
pub(super) async fn contact(target: &Target, setup: &Setup, stage: Stage) -> Result<(Lone, Stands), Failure> {
    let end = &target.root;
    let access = if stage == Stage::Done { Access::Write } else { Access::ReadOnly };
    let lone = Lone::new(end, remembered(setup, &end.location), access)?;
    // A directory that is missing is made; in a bucket there is nothing to prepare.
    let contact = match (&end.location, stage) {
        (Location::Local(_), Stage::Done) => Contact::Prepare,
        _ => Contact::Look,
    };
    match lone.replica().connect(contact).await {
        Ok(_) => Ok((lone, Stands::Yes)),
        Err(Error { cause: Cause::NotFound, .. }) if stage == Stage::Planned => Ok((lone, Stands::NotYet)),
        Err(error) => Err(error.into()),
    }
}
