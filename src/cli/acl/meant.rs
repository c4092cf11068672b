//! Which objects a text on the command line means: the one of exactly this name, or with `-r` all below it.

use crate::cli::failure::Failure;
use crate::cli::managed::{Managed, managed};
use crate::cli::place::{End, World};
use crate::cli::spot::{Spot, spot};
use crate::location::Location;
use crate::model::{Key, OWN_PREFIX};
use crate::replica::Contact;
use crate::replica::access::Access;

/// How far a command goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// One object.
    One,
    /// All below a place.
    All,
}

impl Reach {
    pub(super) fn of(recursive: bool) -> Self {
        if recursive { Self::All } else { Self::One }
    }
}

/// What a command works on.
#[derive(Debug)]
pub(super) enum Meant {
    /// One object.
    Object(Managed, Key),
    /// All objects below a place.
    Below(Managed),
    /// A container of a service whose objects have no ACLs of their own.
    Container(Managed),
}

/// Where a text points to, before anybody was asked.
#[derive(Debug)]
pub(super) struct Aim {
    /// The place of this name.
    pub(super) whole: End,
    /// The place above it, and its name there, where it may be an object.
    above: Option<(End, Key)>,
}

/// Reads what was typed.
pub(super) fn aim(text: &str, world: World<'_>) -> Result<Aim, Failure> {
    let Spot { whole, above, shown, .. } = spot(text, world)?;
    let prefix = match &whole.location {
        Location::Local(_) => {
            let message = format!("{shown} is a directory: ACLs are of buckets and containers");
            return Err(Failure::usage(message).hint("name a remote, s3://bucket/key or az://account/container"));
        }
        Location::S3(address) => &address.prefix,
        Location::Azure(address) => &address.prefix,
    };
    if prefix.split('/').any(|component| component.starts_with(OWN_PREFIX)) {
        let message = format!("{shown} is mediasync's own: what is there stays private");
        return Err(Failure::usage(message));
    }
    // A slash or a colon at the end is a place; so is what a DSN names as a whole.
    let is_place = text.ends_with(['/', ':']) || is_whole(text);
    Ok(Aim { above: above.filter(|_| !is_place), whole })
}

/// Whether a text names all that a DSN names.
fn is_whole(text: &str) -> bool {
    let is_below_a_variable = text.starts_with("env:") && text.contains('/');
    let sources = ["env:", "dsn-file:", "credential:"];
    text == "-" || !is_below_a_variable && sources.iter().any(|source| text.starts_with(source))
}

/// Finds out what is there: the object of exactly this name first.
pub(super) async fn find(aim: &Aim, reach: Reach, access: Access) -> Result<Meant, Failure> {
    if matches!(aim.whole.location, Location::Azure(_)) {
        return Ok(Meant::Container(managed(&aim.whole, access)?));
    }
    let shown = aim.whole.location.display();
    if let Some((above, key)) = &aim.above {
        let place = managed(above, access)?;
        if place.replica.look_up(key).await?.is_some() {
            return Ok(Meant::Object(place, key.clone()));
        }
    }
    if reach == Reach::One {
        let failure = Failure::usage(format!("there is no object {shown}"));
        return Err(failure.hint(format!("-r means all objects below {shown}/")));
    }
    let place = managed(&aim.whole, access)?;
    place.replica.connect(Contact::Look).await?;
    Ok(Meant::Below(place))
}
