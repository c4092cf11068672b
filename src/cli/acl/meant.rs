//! Which objects a text on the command line means: the one of exactly this name, or with `-r` all below it.

use crate::cli::failure::Failure;
use crate::cli::managed::{Managed, managed};
use crate::cli::place::World;
use crate::cli::spot::{Spot, holds_something, named_depth, spot};
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

/// Reads what was typed. Nothing is above what can only be a place.
pub(super) fn aim(text: &str, world: World<'_>) -> Result<Spot, Failure> {
    let Spot { whole, above, shown, found } = spot(text, world)?;
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
    // A slash at the end is a place; so is what a name or a DSN stands for as a whole.
    let is_place = text.ends_with('/') || named_depth(text) == Some(0);
    Ok(Spot { above: above.filter(|_| !is_place), whole, shown, found })
}

/// Finds out what is there: the object of exactly this name first.
pub(super) async fn find(aim: &Spot, reach: Reach, access: Access) -> Result<Meant, Failure> {
    if matches!(aim.whole.location, Location::Azure(_)) {
        return Ok(Meant::Container(managed(&aim.whole, access)?));
    }
    let shown = &aim.shown;
    if let Some((above, key)) = &aim.above {
        let place = managed(above, access)?;
        if place.replica.look_up(key).await?.is_some() {
            return Ok(Meant::Object(place, key.clone()));
        }
    }
    if reach == Reach::One {
        let all = format!("-r means all objects below {shown}/");
        if aim.above.is_none() || holds_something(aim).await? {
            return Err(Failure::usage(format!("{shown} is a place and no object")).hint(all));
        }
        return Err(Failure::error(format!("there is no object {shown}")).hint("mediasync ls shows what is there"));
    }
    let place = managed(&aim.whole, access)?;
    place.replica.connect(Contact::Look).await?;
    Ok(Meant::Below(place))
}
