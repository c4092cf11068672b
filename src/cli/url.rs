//! `url`: where everybody reads a file, or with `--sign` whoever has the URL, for a while.

use std::time::Duration;

use clap::Args;

use super::exit::{self, Exit};
use super::failure::Failure;
use super::interrupt::or_interrupted;
use super::output::Output;
use super::place::{End, World};
use super::setup::Setup;
use super::spot::{self, Spot};
use super::wire;
use crate::config::units;
use crate::location::Location;
use crate::model::Key;
use crate::replica::Contact;
use crate::replica::access::Access;

/// `url LOCATION`.
#[derive(Debug, Args)]
pub struct Url {
    /// One file at a place: live:photos/a.jpg, s3://bucket/a.jpg, env:NAME/a.jpg
    #[arg(value_name = "LOCATION")]
    pub place: String,
    /// A URL with which whoever has it can read the file for so long, like 1h; at most 7d from S3
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    pub sign: Option<Duration>,
    /// Make sure that the file is there
    #[arg(long)]
    pub check: bool,
}

/// What the help ends with.
pub fn help() -> String {
    format!(
        "\
Nothing is asked without --check, and with --sign nothing but the region where nobody says it. The
URL is that of the DSN's domain or url parameter, else the service's own.

Examples:
  mediasync url live:photos/a.jpg
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
    let Some((above, key)) = &spot.above else {
        return Err(Failure::usage(format!("{} is a whole place and no file", spot.shown))
            .hint("name the file: mediasync url NAME:photos/a.jpg"));
    };
    let work = async {
        if args.check {
            Box::pin(check(above, key, &spot)).await?;
        }
        match args.sign {
            Some(time) => Box::pin(signed(above, key, time, output)).await,
            None => plain(&spot, output),
        }
    };
    let url = or_interrupted(work).await??;
    output.data(&url);
    Ok(Exit::Done)
}

async fn check(above: &End, key: &Key, spot: &Spot) -> Result<(), Failure> {
    let replica = wire::alone(above, None, Access::ReadOnly)?;
    replica.connect(Contact::Look).await?;
    match replica.look_up(key).await? {
        Some(_) => Ok(()),
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

fn plain(spot: &Spot, output: &Output) -> Result<String, Failure> {
    let Some(url) = spot::url(&spot.whole.location) else {
        let message = format!("{} has no public URL: the service gives none without a domain of its own", spot.shown);
        return Err(
            Failure::error(message).hint("--sign 1h makes one for a while; domain= in the DSN names the domain")
        );
    };
    let may_be_private = match &spot.whole.location {
        Location::Local(_) => false,
        Location::S3(address) => !address.acl.as_deref().is_some_and(|acl| acl.starts_with("public-")),
        Location::Azure(_) => true,
    };
    if may_be_private {
        output
            .say("note: whether everybody may read it is up to the service, and was not asked; --sign 1h always works");
    }
    Ok(url)
}
