//! A bucket or a container: what is said of it, the way there, and what it says itself.

use super::Place;
use super::network::{Reached, network};
use crate::cli::pairs;
use crate::cli::place::{End, World};
use crate::cli::setup::Setup;
use crate::location::Location;
use crate::replica::azure::{self, Azure, AzureAddress, Identity};
use crate::replica::checkup::{Finding, Tries};
use crate::replica::s3::{Credentials, S3, S3Address};

pub(super) async fn store(
    end: &End,
    (place, remote): (&Place, Option<&str>),
    tries: &Tries,
    setup: &Setup,
    world: World<'_>,
) -> Vec<Finding> {
    let whence = whence(&place.text, remote, world);
    let (said, url) = match &end.location {
        Location::S3(address) => (of_bucket(address), address.contact_url()),
        Location::Azure(address) => (of_container(address), format!("{}/{}", address.service_url(), address.container)),
        Location::Local(_) => return Vec::new(),
    };
    let mut findings = vec![Finding::ok("dsn", format!("{whence} says {said}"))];
    if !end.warnings.is_empty() {
        let told = end.warnings.join("; ");
        findings.push(Finding::warn("dsn", told, "Write it as docs/projects.md has it"));
    }
    let (on_the_way, reached) = network(&url, world).await;
    findings.extend(on_the_way);
    if reached == Reached::No {
        findings.push(Finding::skip("credentials", "the server was not reached: nothing else can be asked"));
        return findings;
    }
    let remembered = remembered(end, setup);
    let asked = match &end.location {
        Location::S3(address) => {
            let probe = remembered.and_then(|text| serde_json::from_str(&text).ok());
            S3::new(as_ruled(address, place), probe).check_up(place.usage, tries).await
        }
        Location::Azure(address) => {
            let probe: Option<azure::Probe> = remembered.and_then(|text| serde_json::from_str(&text).ok());
            Azure::new(address.clone(), probe).check_up(place.usage, tries).await
        }
        Location::Local(_) => Vec::new(),
    };
    findings.extend(asked);
    findings
}

/// Where the text of a place stands that was understood.
fn whence(text: &str, remote: Option<&str>, world: World<'_>) -> String {
    if let Some(remote) = remote.and_then(|name| Some((name, world.config.remotes.get(name)?))) {
        return format!("remote.{} (line {})", remote.0, remote.1.line);
    }
    match text.split_once(':') {
        Some(("env", name)) => format!("the variable {}", name.escape_debug()),
        Some(("dsn-file", file)) => format!("the file {}", file.escape_debug()),
        Some(("credential", name)) => format!("the credential {}", name.escape_debug()),
        _ => "what was written".to_owned(),
    }
}

/// The parts of an address, without the secret.
fn of_bucket(address: &S3Address) -> String {
    let mut said = vec![format!("bucket {}", address.bucket)];
    if !address.prefix.is_empty() {
        said.push(format!("prefix {}/", address.prefix.escape_debug()));
    }
    said.push(address.endpoint.clone().unwrap_or_else(|| "AWS".to_owned()));
    said.extend(address.region.as_ref().map(|region| format!("region {region}")));
    said.push(match &address.credentials {
        Credentials::Static { access_key, .. } => format!("key {}", shortened(access_key)),
        Credentials::Renewed { now, .. } => match &**now {
            Credentials::Static { access_key, .. } => format!("key {} from a command", shortened(access_key)),
            Credentials::Renewed { .. } | Credentials::Chain { .. } => "a key from a command".to_owned(),
        },
        Credentials::Chain { profile: Some(profile), .. } => format!("credentials of the profile {profile:?}"),
        Credentials::Chain { profile: None, .. } => "credentials from where the AWS tools have them".to_owned(),
    });
    said.push(match &address.acl {
        Some(acl) => format!("acl {acl}"),
        None => "no acl".to_owned(),
    });
    said.join(", ")
}

fn of_container(address: &AzureAddress) -> String {
    let mut said = vec![format!("account {}", address.account), format!("container {}", address.container)];
    if !address.prefix.is_empty() {
        said.push(format!("prefix {}/", address.prefix.escape_debug()));
    }
    said.push(address.service_url());
    let whose = match &address.credentials {
        azure::Credentials::Key(_) => "the account's key",
        azure::Credentials::Sas(_) => "a shared access signature",
        azure::Credentials::Identity(Identity::Managed { .. }) => "the identity of this machine",
        azure::Credentials::Identity(Identity::Workload) => "the identity of this workload",
    };
    said.push(whose.to_owned());
    said.join(", ")
}

/// Enough to tell two keys apart: a key id is no secret, and what was pasted in its place may be one.
fn shortened(key: &str) -> String {
    let first: String = key.chars().take(4).collect();
    format!("{}...", first.escape_debug())
}

/// What the first contact found out, from the manifest of any pair that the place is part of.
fn remembered(end: &End, setup: &Setup) -> Option<String> {
    let canonical = end.location.canonical();
    pairs::probe_of(&setup.state_dir, |known| known == canonical)
}

/// With the ACL that header rules state, where they make objects public and the place does not.
fn as_ruled(address: &S3Address, place: &Place) -> S3Address {
    let is_public = address.acl.as_deref().is_some_and(|acl| acl.starts_with("public-"));
    let acl = place.ruled_acl.clone().filter(|_| !is_public).or_else(|| address.acl.clone());
    S3Address { acl, ..address.clone() }
}
