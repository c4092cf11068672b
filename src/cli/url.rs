//! `url`: where everybody reads a file, or with `--sign` whoever has the URL, for a while.

use std::time::Duration;

use clap::Args;

use super::exit::{self, Exit};
use super::failure::Failure;
use super::interrupt::or_interrupted;
use super::output::Output;
use super::pairs;
use super::place::{End, World};
use super::setup::Setup;
use super::shell;
use super::spot::{self, Spot};
use super::wire;
use crate::config::units;
use crate::location::{Found, Location};
use crate::model::Key;
use crate::reach;
use crate::replica::Contact;

use crate::replica::access::Access;
use crate::replica::s3::PUBLIC_BY_BUCKET;
use crate::transport::Reason;

/// `url LOCATION`.
#[derive(Debug, Args)]
pub struct Url {
    /// One file at a place: live:photos/a.jpg, s3://bucket/a.jpg, env:NAME/a.jpg
    #[arg(value_name = "LOCATION")]
    pub place: String,
    /// A URL with which whoever has it can read the file for so long, like 1h; at most 7d from S3
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    pub sign: Option<Duration>,
    /// Make sure that the file is there, and without --sign that everybody may read it; else exit with 1
    #[arg(long)]
    pub check: bool,
}

/// What the help ends with.
pub fn help() -> String {
    format!(
        "\
Nothing is asked without --check, and with --sign nothing but the region where nobody says it.
The URL is that of the DSN's domain or url parameter, else the service's own. --check looks for
the file, and asks for the public URL as everybody would, without credentials.

Examples:
  mediasync url live:photos/a.jpg
  mediasync url --check live:photos/a.jpg    can everybody read it?
  mediasync url --sign 1h s3://bucket/photos/a.jpg

{}",
        exit::HELP
    )
}

/// `url LOCATION`.
///
/// # Errors
/// The place names no file or has no URL; nothing signs there.
pub async fn url(args: &Url, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    let output = &*setup.output;
    let spot = spot::spot(&args.place, world)?;
    for warning in &spot.whole.warnings {
        output.warn(warning);
    }
    let is_whole = spot::named_depth(&args.place) == Some(0);
    let Some((above, key)) = spot.above.as_ref().filter(|_| !is_whole) else {
        return Err(Failure::usage(format!("{} is a whole place and no file", spot.shown))
            .hint("name the file: mediasync url NAME:photos/a.jpg"));
    };
    if args.place.ends_with('/') || spot.found == Found::Directory {
        return Err(folder(&args.place));
    }
    let work = async {
        if args.check {
            Box::pin(check(above, key, (&spot, &args.place))).await?;
        }
        match (args.sign, args.check) {
            (Some(time), _) => Box::pin(signed(above, key, time, output)).await,
            (None, true) => Box::pin(readable(public(&spot)?, &spot, &args.place, (setup, world))).await,
            (None, false) => plain(&spot, setup),
        }
    };
    let url = or_interrupted(work).await??;
    output.data(&url);
    Ok(Exit::Done)
}

/// A folder has no URL: object stores know files only.
fn folder(text: &str) -> Failure {
    let text = crate::dsn::redact(text);
    Failure::usage(format!("{} is a folder, and only files have URLs", text.trim_end_matches('/').escape_debug()))
        .hint("name a file in it; mediasync ls shows which there are")
}

async fn check(above: &End, key: &Key, (spot, text): (&Spot, &str)) -> Result<(), Failure> {
    let replica = wire::alone(above, None, Access::ReadOnly)?;
    replica.connect(Contact::Look).await?;
    match replica.look_up(key).await? {
        Some(_) => Ok(()),
        None if spot::holds_something(spot).await? => Err(folder(text)),
        None => Err(Failure::error(format!("nothing is at {}", spot.shown)).hint("mediasync ls shows what is there")),
    }
}

async fn signed(above: &End, key: &Key, time: Duration, output: &Output) -> Result<String, Failure> {
    let url = spot::sign(above, key, time).await?;
    if matches!(&above.location, Location::S3(address) if address.has_passing_credentials()) {
        output.say("note: if the credentials that signed it end earlier, so does the URL");
    }
    Ok(url)
}

fn public(spot: &Spot) -> Result<String, Failure> {
    spot::url(&spot.whole.location).ok_or_else(|| {
        let message = format!("{} has no public URL: the service gives none without a domain of its own", spot.shown);
        Failure::error(message).hint("--sign 1h makes one for a while; domain= in the DSN names the domain")
    })
}

/// The URL, if whoever asks for it without credentials may have the file.
async fn readable(
    url: String,
    spot: &Spot,
    text: &str,
    (setup, world): (&Setup, World<'_>),
) -> Result<String, Failure> {
    if url.starts_with("file:") {
        return Ok(url);
    }
    let failed = |why: String| Failure::error(format!("the file is there, but not everybody can read it: {url} {why}"));
    match reach::ask(&url).await {
        Ok(answer) if answer.status < 300 => Ok(url),
        // Azure does not say that a blob is there that not everybody may read.
        Ok(answer)
            if matches!(answer.status, 401 | 403)
                || (matches!(spot.whole.location, Location::Azure(_)) && matches!(answer.status, 404 | 409)) =>
        {
            let failure = failed(format!("answers with {}", answer.status));
            let failure = ways(spot, text, (setup, world)).into_iter().fold(failure, Failure::hint);
            Err(failure.hint("--sign 1h makes a URL for a while"))
        }
        Ok(answer) => Err(failed(format!("answers with {}", answer.status))
            .hint("the DSN's domain= or url= may lead to another place, or a CDN may remember that it was not there")),
        Err(reason) => {
            Err(failed(unanswered(reason).to_owned()).hint("look at the host: the DSN's domain= or url= names it"))
        }
    }
}

/// How everybody gets to read a file.
fn ways(spot: &Spot, text: &str, (setup, world): (&Setup, World<'_>)) -> Vec<String> {
    let place = shell::place(text);
    match &spot.whole.location {
        Location::Local(_) => Vec::new(),
        Location::Azure(address) => vec![match spot::container(text, address, world) {
            Some(container) => format!(
                "on Azure a container is public or private as a whole: mediasync acl set public-read {} lets everybody \
                 read all of it",
                shell::place(&container)
            ),
            None => format!(
                "on Azure a container is public or private as a whole: let everybody read {} with mediasync acl set \
                 public-read and a remote or a DSN that names it without a prefix",
                spot::container_name(address)
            ),
        }],
        Location::S3(address) => match address.without_effect("public-read", pairs::met(address, &setup.state_dir).as_ref()) {
            Some(found) => vec![format!("{found}. {PUBLIC_BY_BUCKET}")],
            None => vec![
                format!("mediasync acl get {place} tells who may, mediasync acl set public-read {place} lets everybody"),
                "where the server does nothing with ACLs, the bucket's policy lets everybody read (docs/permissions.md)"
                    .to_owned(),
            ],
        },
    }
}

/// Why nobody answered.
fn unanswered(reason: Reason) -> &'static str {
    match reason {
        Reason::Refused => "leads to a host that refuses connections",
        Reason::Dns => "names a host that is not known",
        Reason::Certificate => "leads to a host whose certificate is not to be trusted",
        Reason::Tls => "leads to a host without TLS, or none that fits",
        Reason::Http => "leads to a host that does not speak HTTP",
        Reason::Timeout => "did not answer in time",
        Reason::Broken => "could not be asked for: the connection broke",
    }
}

fn plain(spot: &Spot, setup: &Setup) -> Result<String, Failure> {
    let (url, output) = (public(spot)?, &*setup.output);
    let may_be_private = match &spot.whole.location {
        Location::Local(_) => false,
        Location::S3(address) => !address.acl.as_deref().is_some_and(|acl| acl.starts_with("public-")),
        Location::Azure(_) => true,
    };
    if let Location::S3(address) = &spot.whole.location
        && let Some(acl) = address.acl.as_deref().filter(|acl| acl.starts_with("public-"))
        && let Some(found) = address.without_effect(acl, pairs::met(address, &setup.state_dir).as_ref())
    {
        output.say(&format!("note: {found}. {PUBLIC_BY_BUCKET}; --sign 1h always works"));
    }
    if may_be_private {
        output
            .say("note: whether everybody may read it is up to the service, and was not asked; --sign 1h always works");
    }
    Ok(url)
}
