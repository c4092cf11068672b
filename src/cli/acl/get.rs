//! `acl get`: who may read an object, all below a place, or a container.

use super::args::Get;
use super::meant::{Meant, Reach, aim, find};
use super::objects::over;
use super::told::{self, Tally};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::managed::Managed;
use crate::cli::output::{Format, Output, Verbosity};
use crate::cli::place::World;
use crate::cli::setup::Setup;
use crate::cli::spot::container_name;
use crate::location::Location;
use crate::replica::access::Access;

pub(super) async fn get(args: &Get, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    let output = &*setup.output;
    let aim = aim(&args.location, world)?;
    match find(&aim, Reach::of(args.recursive), Access::ReadOnly).await? {
        Meant::Object(managed, key) => {
            let acl = managed.admin.acl(&key).await?;
            output.data(&match output.format() {
                Format::Json => told::acl(managed.admin.name(), &key, &acl),
                Format::Human => told::whole(&aim.whole.location.display(), &acl),
            });
            Ok(Exit::Done)
        }
        Meant::Below(managed) => all(&managed, output).await,
        Meant::Container(managed) => {
            let level = managed.admin.level().await?;
            let container = container(&aim.whole.location);
            output.data(&match output.format() {
                Format::Json => told::container_json(&container, level),
                Format::Human => told::container(&container, level),
            });
            Ok(Exit::Done)
        }
    }
}

/// The container without a prefix: that is what is public or not.
pub(super) fn container(location: &Location) -> String {
    match location {
        Location::Azure(address) => container_name(address),
        Location::S3(_) | Location::Local(_) => location.display(),
    }
}

async fn all(managed: &Managed, output: &Output) -> Result<Exit, Failure> {
    let (replica, admin) = (&*managed.replica, &*managed.admin);
    output.say(&format!("all objects below {}", admin.name()));
    let mut tally = Tally::default();
    let ask = |key| async move {
        let acl = admin.acl(&key).await;
        (key, acl)
    };
    let (sums, end) = over(replica, output, ask, |key, acl| {
        tally.add(&acl);
        output.data(&match output.format() {
            Format::Json => told::acl(admin.name(), key, &acl),
            Format::Human => told::row(key, &acl),
        });
    })
    .await;
    end?;
    tally.problems = sums.problems;
    match output.format() {
        Format::Json => output.data(&tally.json(admin.name())),
        Format::Human if output.verbosity() > Verbosity::Quiet => output.data(&tally.text()),
        Format::Human => {}
    }
    Ok(if tally.problems > 0 { Exit::Problems } else { Exit::Done })
}
