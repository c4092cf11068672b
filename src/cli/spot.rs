//! What `ls`, `url`, `cp` and `acl` work on: a place, or one file in one. Like [`super::wire`] it knows which replicas exist.

use std::time::Duration;

use super::failure::Failure;
use super::place::{End, World, end};
use super::resolve;
use crate::location::{Found, Location, remote_of};
use crate::model::Key;
use crate::replica::Error;
use crate::replica::azure::{Azure, AzureAddress};
use crate::replica::browse::{Browse, Depth};
use crate::replica::local::Local;
use crate::replica::s3::{S3, S3Address};

/// What a text names. Only asking shows whether it is a place with files in it, or one file.
#[derive(Debug, Clone)]
pub struct Spot {
    /// All that the text names, as a place.
    pub whole: End,
    /// The place above it, and its name there; `None` for a bucket, a container or the root of the disk.
    pub above: Option<(End, Key)>,
    /// How a person wrote it, without secrets.
    pub shown: String,
    /// What is there, where that can be seen without asking anybody.
    pub found: Found,
}

/// A place or a file in one, from the command line. What follows `env:NAME/` is below that place.
///
/// # Errors
/// What to type instead.
pub fn spot(text: &str, world: World<'_>) -> Result<Spot, Failure> {
    // A file is no mistake here.
    let found = |path: &std::path::Path| match (world.found)(path) {
        Found::File => Found::Directory,
        other => other,
    };
    let lenient = World { found: &found, ..world };
    resolve::refuse_a_variable(text, world)?;
    let below = text.strip_prefix("env:").and_then(|rest| rest.split_once('/'));
    let whole = match below {
        Some((name, path)) => {
            let root = end(&format!("env:{name}"), lenient)?;
            let location = root.location.below(path)?;
            End { location, spelled: None, dsn: None, ..root }
        }
        None => end(text, lenient)?,
    };
    let found = match &whole.location {
        Location::Local(path) => (world.found)(path),
        Location::S3(_) | Location::Azure(_) => Found::Nothing,
    };
    let above = above(&whole.location).map(|(location, key)| {
        let end = End { location, spelled: None, dsn: None, ..whole.clone() };
        (end, key)
    });
    Ok(Spot { shown: whole.location.display(), whole, above, found })
}

/// The place above another one, and its name there.
pub fn above(location: &Location) -> Option<(Location, Key)> {
    let cut = |prefix: &str| {
        let (above, name) = prefix.rsplit_once('/').unwrap_or(("", prefix));
        Some((above.to_owned(), Key::new(name).ok()?))
    };
    Some(match location {
        Location::Local(path) => {
            let key = Key::new(path.file_name()?.to_str()?).ok()?;
            (Location::Local(path.parent()?.to_owned()), key)
        }
        Location::S3(address) => {
            let (prefix, key) = cut(&address.prefix)?;
            (Location::S3(S3Address { prefix, public_url: None, ..address.clone() }), key)
        }
        Location::Azure(address) => {
            let (prefix, key) = cut(&address.prefix)?;
            (Location::Azure(AzureAddress { prefix, public_url: None, ..address.clone() }), key)
        }
    })
}

/// How many names a text has below what it names by a name; `None` for a path or a URL.
pub fn named_depth(text: &str) -> Option<usize> {
    let count = |path: &str| path.split('/').filter(|name| !name.is_empty()).count();
    if let Some(rest) = text.strip_prefix("env:") {
        return Some(rest.split_once('/').map_or(0, |(_, path)| count(path)));
    }
    if text == "-" || ["dsn-file:", "credential:"].iter().any(|start| text.starts_with(start)) {
        return Some(0);
    }
    let name = remote_of(text)?;
    Some(count(&text[name.len() + 1..]))
}

/// Whether something is below a place.
///
/// # Errors
/// It can't be listed.
pub async fn holds_something(spot: &Spot) -> Result<bool, Failure> {
    match (&spot.whole.location, spot.found) {
        (Location::Local(_), found) => Ok(found == Found::Directory),
        (Location::S3(_) | Location::Azure(_), _) => {
            let mut listing = browse(&spot.whole, "", Depth::Level)?;
            while let Some(batch) = listing.next().await? {
                if !batch.is_empty() {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
}

/// What begins with `start` at a place.
///
/// # Errors
/// The path can't be used.
pub fn browse(end: &End, start: &str, depth: Depth) -> Result<Box<dyn Browse>, Error> {
    Ok(match &end.location {
        Location::Local(path) => Local::open(path)?.browse(start, depth),
        Location::S3(address) => S3::new(address.clone(), None).browse(start, depth),
        Location::Azure(address) => Azure::new(address.clone(), None).browse(start, depth),
    })
}

/// What names the container of a text as a whole and has the same credentials; `None` where no such text is known.
pub fn container(text: &str, address: &AzureAddress, world: World<'_>) -> Option<String> {
    if text.starts_with("az://") && !text.contains('@') {
        let query = text.split_once('?').map(|(_, query)| format!("?{query}")).unwrap_or_default();
        return Some(format!("{}{query}", container_name(address)));
    }
    let root = match (text.strip_prefix("env:"), remote_of(text)) {
        (Some(rest), _) => format!("env:{}", rest.split('/').next().unwrap_or(rest)),
        (None, Some(name)) => format!("{name}:"),
        (None, None) => return None,
    };
    let whole = end(&root, world).ok()?.location;
    matches!(whole, Location::Azure(whole) if whole.prefix.is_empty()).then_some(root)
}

/// A container without a prefix: that is what is public or not.
pub fn container_name(address: &AzureAddress) -> String {
    format!("az://{}/{}", address.account, address.container)
}

/// The URL by which everybody reads a file, and `None` where the service has none.
pub fn url(location: &Location) -> Option<String> {
    match location {
        Location::Local(path) => Some(file_url(path)),
        Location::S3(address) => address.url(),
        Location::Azure(address) => Some(address.url()),
    }
}

fn file_url(path: &std::path::Path) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
    const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
    format!("file://{}", percent_encode(path.as_os_str().as_encoded_bytes(), PATH))
}

/// A URL by which whoever has it reads a file for a while.
///
/// # Errors
/// Nothing signs there.
pub async fn sign(end: &End, key: &Key, time: Duration) -> Result<String, Failure> {
    match &end.location {
        Location::Local(_) => Err(Failure::usage("a file of this machine has no URL that could be signed")
            .hint("leave --sign away, or name the file at a remote")),
        Location::S3(address) => Ok(S3::new(address.clone(), None).sign(key.as_str(), time).await?),
        Location::Azure(address) => Ok(Azure::new(address.clone(), None).sign(key.as_str(), time)?),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_file_of_this_machine_has_an_encoded_url() {
        let url = url(&Location::Local(Path::new("/srv/a b/ü#?%.jpg").to_owned()));
        assert_eq!(url.as_deref(), Some("file:///srv/a%20b/%C3%BC%23%3F%25.jpg"));
    }
}
