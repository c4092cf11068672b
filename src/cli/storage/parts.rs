//! What a place is made of: names, values and what they mean, secrets apart.

use crate::cli::place::End;
use crate::dsn;
use crate::location::Location;
use crate::replica::access::Access;
use crate::replica::azure::{self, AzureAddress, Identity};
use crate::replica::s3::providers::Provider;
use crate::replica::s3::{Addressing, Credentials, S3Address};
use crate::secret::Secret;

/// One part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// As JSON calls it; for people with blanks.
    pub(super) name: &'static str,
    /// `None` where nobody says.
    pub(super) value: Option<String>,
    /// What it means.
    pub(super) meaning: String,
}

fn part(name: &'static str, value: Option<impl Into<String>>, meaning: impl Into<String>) -> Part {
    Part { name, value: value.map(Into::into), meaning: meaning.into() }
}

/// All parts of a place, in the order in which people look for them.
pub(super) fn parts(end: &End) -> Vec<Part> {
    let mut parts = match &end.location {
        Location::Local(path) => {
            let path = crate::cli::setup::shown(path);
            vec![part("kind", Some("directory"), ""), part("path", Some(path), "")]
        }
        Location::S3(address) => s3(address),
        Location::Azure(address) => azure(address),
    };
    let (access, meaning) = match end.access {
        Access::Write => ("write", "runs may change it"),
        Access::Confirm => ("confirm", "changed after a question, or with --yes"),
        Access::ReadOnly => ("read-only", "never changed"),
    };
    let whose = end.remote.as_ref().map(|name| format!(", says remote.{name}")).unwrap_or_default();
    parts.push(part("access", Some(access), format!("{meaning}{whose}")));
    parts
}

fn s3(address: &S3Address) -> Vec<Part> {
    let endpoint = match &address.endpoint {
        Some(url) => part("endpoint", Some(url), ""),
        None => part("endpoint", None::<String>, "AWS, by region"),
    };
    let region = match &address.region {
        Some(region) => part("region", Some(region), "requests are signed for it"),
        None => part("region", None::<String>, "the server is asked at the first contact"),
    };
    let acl = address.acl.as_deref();
    let readers = match acl {
        None => "new objects get no ACL: the bucket decides who reads them",
        Some(acl) if acl.starts_with("public-") => "everybody may read what is pushed",
        Some("private") => "what is pushed is for the owner and the key only",
        Some(_) => "canned ACL of what is pushed",
    };
    let (style, form) = match address.addressing {
        Addressing::Auto => ("auto", "https://BUCKET.HOST/KEY where that works, else https://HOST/BUCKET/KEY"),
        Addressing::Path => ("path", "https://HOST/BUCKET/KEY"),
        Addressing::Virtual => ("virtual", "https://BUCKET.HOST/KEY"),
    };
    let (key, secret) = if let Some((key, ..)) = keys(&address.credentials) {
        (part("key_id", Some(key), ""), part("secret", Some("hidden"), "--reveal shows it on a terminal"))
    } else {
        let from = match address.credentials.profile() {
            Some(profile) => format!("from the AWS profile {profile}"),
            None => "from the AWS variables, the default profile or the machine's role".to_owned(),
        };
        (part("key_id", None::<String>, from), part("secret", None::<String>, "as the key"))
    };
    vec![
        part("kind", Some("s3"), "a bucket that speaks S3"),
        part("provider", Some(Provider::of(address).name), "docs/providers.md tells what it can do"),
        endpoint,
        region,
        part("bucket", Some(&address.bucket), ""),
        part("prefix", prefix(&address.prefix), "keys begin with it"),
        key,
        secret,
        part("acl", acl, readers),
        part("addressing", Some(style), form),
        part("url", address.public_url.as_deref(), "where the public reads it, if it may"),
    ]
}

fn azure(address: &AzureAddress) -> Vec<Part> {
    let (kind, meaning, hidden) = match &address.credentials {
        azure::Credentials::Key(_) => ("account key", "may do everything in the account".to_owned(), true),
        azure::Credentials::Sas(sas) => ("shared access signature", signature(sas), true),
        azure::Credentials::Identity(Identity::Managed { .. }) => ("identity", "of this machine".to_owned(), false),
        azure::Credentials::Identity(Identity::Workload) => ("identity", "of this workload".to_owned(), false),
    };
    vec![
        part("kind", Some("azure"), "a container of Azure Blob Storage"),
        part("provider", Some("azure"), ""),
        part("endpoint", Some(address.service_url()), ""),
        part("account", Some(&address.account), ""),
        part("container", Some(&address.container), "it decides who reads blobs, not each blob"),
        part("prefix", prefix(&address.prefix), "names begin with it"),
        part("credentials", Some(kind), meaning),
        part(
            "secret",
            hidden.then_some("hidden"),
            if hidden { "--reveal shows it on a terminal" } else { "none is needed" },
        ),
        part("url", address.public_url.as_deref(), "where the public reads it, if it may"),
    ]
}

fn prefix(prefix: &str) -> Option<String> {
    (!prefix.is_empty()).then(|| format!("{prefix}/"))
}

/// What a signature says of itself.
fn signature(sas: &Secret) -> String {
    let words = [("sp", "permissions"), ("se", "until"), ("st", "from"), ("sip", "for addresses"), ("spr", "protocol")];
    let pairs: Vec<(String, String)> = dsn::query_pairs(sas.reveal()).collect();
    let told = words.iter().filter_map(|(name, word)| {
        let (_, value) = pairs.iter().find(|(known, _)| known == name)?;
        Some(format!("{word} {}", value.escape_debug()))
    });
    told.collect::<Vec<_>>().join(", ")
}

/// Key, secret and token that stand in what was named.
pub(super) fn keys(credentials: &Credentials) -> Option<(&str, &Secret, Option<&Secret>)> {
    match credentials {
        Credentials::Static { access_key, secret, session_token } => Some((access_key, secret, session_token.as_ref())),
        Credentials::Renewed { now, .. } => keys(now),
        Credentials::Chain { .. } => None,
    }
}

/// The secret that stands in what was named.
pub(super) fn secret(location: &Location) -> Option<&Secret> {
    match location {
        Location::Local(_) => None,
        Location::S3(address) => keys(&address.credentials).map(|(_, secret, _)| secret),
        Location::Azure(address) => match &address.credentials {
            azure::Credentials::Key(secret) | azure::Credentials::Sas(secret) => Some(secret),
            azure::Credentials::Identity(_) => None,
        },
    }
}

/// The region that other tools are told: they want one, also where the server takes any.
pub(super) fn region(address: &S3Address) -> Option<&str> {
    address.region.as_deref().or_else(|| address.endpoint.as_ref().map(|_| "us-east-1"))
}
