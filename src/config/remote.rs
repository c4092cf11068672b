//! `[remote.NAME]`: a place with a name, told by a DSN or in single keys.

use super::keys::{Key, Keys, Otherwise, Takes};
use super::table::{Mistakes, Table};
use super::{ACCESS, Inline, Remote, RemoteAt, RemoteUrl, nearest};
use crate::replica::access::Access;
use crate::replica::s3::Addressing;
use crate::replica::s3::providers::{PROVIDERS, Provider, Said, WITHOUT};
use crate::secret::Secret;

pub(super) static KEYS: Keys = Keys {
    known: &[
        Key::new(
            "dsn",
            Takes::Place,
            Otherwise::Unset("`dsn_command` or `url`"),
            "A storage DSN; `env:NAME` for one in a variable, `dsn-file:PATH` for one in a file, `credential:NAME` for a \
             credential of the service: [projects.md](projects.md), [service.md](service.md). Variables are read only for jobs \
             that run.",
        ),
        Key::new(
            "dsn_command",
            Takes::Command,
            Otherwise::Unset("`dsn` or `url`"),
            "A program that prints the DSN, also as JSON. It is run again when the credentials have run out.",
        ),
        Key::new(
            "url",
            Takes::Place,
            Otherwise::Unset("`dsn` or `dsn_command`"),
            "`s3://BUCKET/PREFIX` or `az://ACCOUNT/CONTAINER/PREFIX`.",
        ),
        Key::new(
            "endpoint",
            Takes::Place,
            Otherwise::Unset(
                "`$AWS_ENDPOINT_URL_S3`, `$AWS_ENDPOINT_URL`, else AWS by region; of Azure the public cloud",
            ),
            "`https://HOST[:PORT]`.",
        ),
        Key::new(
            "region",
            Takes::Text,
            Otherwise::Unset("`$AWS_REGION`, `$AWS_DEFAULT_REGION`, the profile, else the server is asked"),
            "The region that requests are signed for.",
        ),
        Key::new(
            "addressing",
            Takes::Word(&["auto", "path", "virtual"]),
            Otherwise::Value("\"auto\""),
            "How the bucket is put into the URL: `https://HOST/BUCKET/KEY` or `https://BUCKET.HOST/KEY`.",
        ),
        Key::new(
            "profile",
            Takes::Text,
            Otherwise::Unset("`$AWS_PROFILE`, the AWS variables, the default profile, the machine's role"),
            "A profile of `~/.aws`.",
        ),
        Key::new(
            "access_key",
            Takes::Secret,
            Otherwise::Unset("as for `profile`"),
            "The id of an access key; `secret_key` goes with it.",
        ),
        Key::new(
            "secret_key",
            Takes::Secret,
            Otherwise::Unset("as for `profile`"),
            "Its secret. With one in the file: chmod 600.",
        ),
        Key::new(
            "account_key",
            Takes::Secret,
            Otherwise::Unset(
                "`$AZURE_STORAGE_CONNECTION_STRING`, `$AZURE_STORAGE_KEY`, `$AZURE_STORAGE_SAS_TOKEN`, else the machine's \
                 identity",
            ),
            "The key of a storage account in Azure.",
        ),
        Key::new(
            "sas_token",
            Takes::Secret,
            Otherwise::Unset("as for `account_key`"),
            "A shared access signature of Azure.",
        ),
        Key::new(
            "acl",
            Takes::Word(&ACL_WORDS),
            Otherwise::Unset("what the DSN says, and `public-read` if it says nothing; without a DSN none is sent"),
            "Canned ACL for new objects; `unset` sends none, whatever the DSN says. A mirror takes none from a DSN.",
        ),
        Key::new(
            "provider",
            Takes::Text,
            Otherwise::Unset("by the host"),
            "What kind of server it is: a row of the table in [providers.md](providers.md).",
        ),
        Key::new(
            "without",
            Takes::Texts,
            Otherwise::Unset("what is tried at the first contact decides"),
            "What is not to be used although the server may have it: [providers.md](providers.md) has the list.",
        ),
        Key::new(
            "max_parts",
            Takes::Amount("1000"),
            Otherwise::Unset("as the table says, mostly 10,000"),
            "The most parts that one upload may have.",
        ),
        Key::new(
            "access",
            Takes::Word(&["read-only", "confirm", "write"]),
            Otherwise::Value("\"write\""),
            "`read-only`: never changed. `confirm`: changed after a question on a terminal, which shows the totals of the plan, \
             or with `--yes`; a run that has nothing to change asks nobody.",
        ),
    ],
    instead: &[("env", NO_VARIABLES), ("environment", NO_VARIABLES)],
};

const NO_VARIABLES: &str = "a remote has no variables of its own; a key of it names one that the program has, or a credential of the service: \
     dsn = \"env:NAME\", secret_key = \"credential:NAME\"; a dsn_command begins with those that it is to have: \
     [\"env\", \"NAME=VALUE\", \"PROGRAM\"]";

/// What only goes with `url`.
const WITH_URL: [&str; 8] =
    ["endpoint", "region", "addressing", "profile", "access_key", "secret_key", "account_key", "sas_token"];

/// The canned ACLs.
pub const ACLS: [&str; 6] = crate::replica::admin::CANNED;
/// No ACL at all.
const UNSET: &str = "unset";
/// What `acl` of a remote may say.
const ACL_WORDS: [&str; 7] = {
    let [a, b, c, d, e, f] = ACLS;
    [a, b, c, d, e, f, UNSET]
};

/// The ACL that new objects get at a remote, whatever its DSN says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AclRule {
    /// This canned one.
    Canned(String),
    /// None is sent.
    Unset,
}

impl AclRule {
    /// What is sent.
    pub fn sent(&self) -> Option<String> {
        match self {
            Self::Canned(acl) => Some(acl.clone()),
            Self::Unset => None,
        }
    }
}

/// Reads one remote; `None` after a mistake. Also tells whether a secret stands in the file.
pub(super) fn read(name: &str, table: &Table<'_>, mistakes: &mut Mistakes<'_>) -> (Option<Remote>, Inline) {
    let line = mistakes.line(table.start());
    if RESERVED.contains(&name) {
        let message =
            format!("{name:?} is a word that places begin with, as are {}; choose another name", others(name));
        mistakes.add(table.start(), table.path(), message);
    } else if !name_is_fine(name) {
        let message = "a remote's name has letters, digits, - and _ only, and at least two of them";
        mistakes.add(table.start(), table.path(), message);
    }
    let words = [("read-only", Access::ReadOnly), ("confirm", Access::Confirm), ("write", Access::Write)];
    let access = table.word("access", &words, mistakes).map_or(ACCESS, |access| access.value);
    let acl_words = ACL_WORDS.map(|acl| (acl, acl));
    let acl = table.word("acl", &acl_words, mistakes).map(|acl| match acl.value {
        UNSET => AclRule::Unset,
        acl => AclRule::Canned(acl.to_owned()),
    });
    let said = said(table, mistakes);
    let dsn = table.text("dsn", mistakes);
    let url = table.text("url", mistakes);
    if table.has("dsn_command") {
        let at = read_command(table, mistakes);
        return (at.map(|at| Remote { at, access, acl, said, line }), Inline::None);
    }
    let (at, secrets) = match (dsn, url) {
        (Some(dsn), None) => {
            for key in WITH_URL.into_iter().filter(|key| table.has(key)) {
                mistakes.add(table.start(), table.path_of(key), "goes with url, not with dsn: a DSN says it itself");
            }
            let secrets = if holds_userinfo(dsn.value) { Inline::Secrets } else { Inline::None };
            (Some(RemoteAt::Dsn(Secret::new(dsn.value))), secrets)
        }
        (None, Some(url)) => {
            let (keys, mut secrets) = keys(table, mistakes);
            let read = read_url(url.value, keys, table, mistakes);
            let inline = |secret: &Secret| !stands_elsewhere(secret.reveal());
            if [&read.account_key, &read.sas_token].into_iter().flatten().any(inline) {
                secrets = Inline::Secrets;
            }
            (Some(RemoteAt::Url(Box::new(read))), secrets)
        }
        (Some(dsn), Some(_)) => {
            mistakes.add(dsn.at, table.path(), "has both dsn and url; keep one of them");
            (None, Inline::None)
        }
        (None, None) => {
            if !table.has("dsn") && !table.has("url") {
                mistakes.add(table.start(), table.path(), "needs dsn = \"env:NAME\" or url = \"s3://bucket/prefix\"");
            }
            (None, Inline::None)
        }
    };
    (at.map(|at| Remote { at, access, acl, said, line }), secrets)
}

/// `dsn_command`, which stands alone.
fn read_command(table: &Table<'_>, mistakes: &mut Mistakes<'_>) -> Option<RemoteAt> {
    for key in WITH_URL.into_iter().chain(["dsn", "url"]).filter(|key| table.has(key)) {
        mistakes.add(table.start(), table.path_of(key), "goes without dsn_command: what it prints says it");
    }
    let command = table.texts("dsn_command", mistakes)?;
    if command.value.first().is_none_or(|program| program.trim().is_empty()) {
        mistakes.add(command.at, table.path_of("dsn_command"), "names no program: write [\"PROGRAM\", \"ARGUMENT\"]");
        return None;
    }
    Some(RemoteAt::Command(command.value.into_iter().map(str::to_owned).collect()))
}

/// What is said about the server: see docs/providers.md.
fn said(table: &Table<'_>, mistakes: &mut Mistakes<'_>) -> Said {
    let names: Vec<(&str, &'static Provider)> = PROVIDERS.iter().map(|provider| (provider.name, provider)).collect();
    let provider = table.word("provider", &names, mistakes).map(|word| word.value);
    let mut without = Vec::new();
    if let Some(texts) = table.texts("without", mistakes) {
        for text in texts.value {
            if let Some((_, one)) = WITHOUT.iter().find(|(spelled, _)| *spelled == text) {
                without.push(*one);
                continue;
            }
            let known = WITHOUT.map(|(spelled, _)| spelled);
            let near = nearest(text, &known).map(|near| format!("; did you mean \"{near}\"?"));
            let (typed, near) = (text.escape_debug(), near.unwrap_or_default());
            let message = format!("\"{typed}\" is not one of: {}{near}", known.join(", "));
            mistakes.add(texts.at, table.path_of("without"), message);
        }
    }
    let expected = "a number of parts from 2 to 10000";
    let max_parts = table.amount("max_parts", expected, mistakes).and_then(|amount| {
        let parts = amount.value.parse().ok().filter(|parts| (2..=10_000).contains(parts));
        if parts.is_none() {
            mistakes.add(amount.at, table.path_of("max_parts"), format!("expected {expected}"));
        }
        parts
    });
    Said { provider, without, max_parts }
}

/// `c:path` would be a remote, so that names of one letter are left to drives.
fn name_is_fine(name: &str) -> bool {
    name.len() >= 2 && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// What a place begins with that is no remote.
const RESERVED: [&str; 8] = ["az", "credential", "dsn-file", "env", "file", "http", "https", "s3"];

fn others(name: &str) -> String {
    let others: Vec<&str> = RESERVED.into_iter().filter(|other| *other != name).collect();
    others.join(", ")
}

fn read_url(url: &str, keys: Option<(String, Secret)>, table: &Table<'_>, mistakes: &mut Mistakes<'_>) -> RemoteUrl {
    let of_azure = ["account_key", "sas_token"];
    let of_s3 = ["region", "addressing", "profile", "access_key", "secret_key", "acl"];
    let is_azure = ["az://", "azure://"].iter().any(|scheme| url.to_ascii_lowercase().starts_with(scheme));
    let (strange, whose) = if is_azure { (&of_s3[..], "s3") } else { (&of_azure[..], "az") };
    for key in strange.iter().filter(|key| table.has(key)) {
        mistakes.add(table.start(), table.path_of(key), format!("goes with an {whose}:// url"));
    }
    if of_azure.iter().all(|key| table.has(key)) {
        mistakes.add(table.start(), table.path(), "has both account_key and sas_token; keep one of them");
    }
    let secret = |text: Option<super::table::At<&str>>| text.map(|text| Secret::new(text.value));
    let words = [("auto", Addressing::Auto), ("path", Addressing::Path), ("virtual", Addressing::Virtual)];
    let own = |text: Option<super::table::At<&str>>| text.map(|text| text.value.to_owned());
    RemoteUrl {
        url: url.to_owned(),
        endpoint: own(table.text("endpoint", mistakes)),
        region: own(table.text("region", mistakes)),
        addressing: table.word("addressing", &words, mistakes).map_or(Addressing::Auto, |word| word.value),
        profile: own(table.text("profile", mistakes)),
        keys,
        account_key: secret(table.text("account_key", mistakes)),
        sas_token: secret(table.text("sas_token", mistakes)),
    }
}

/// Whether the value of a key only says where the secret is.
pub(super) fn stands_elsewhere(value: &str) -> bool {
    ["env:", "credential:"].iter().any(|start| value.starts_with(start))
}

fn keys(table: &Table<'_>, mistakes: &mut Mistakes<'_>) -> (Option<(String, Secret)>, Inline) {
    let access_key = table.text("access_key", mistakes);
    let secret_key = table.text("secret_key", mistakes);
    let secrets = match &secret_key {
        Some(secret) if !stands_elsewhere(secret.value) => Inline::Secrets,
        _ => Inline::None,
    };
    match (access_key, secret_key) {
        (Some(access), Some(secret)) => {
            if table.has("profile") {
                mistakes.add(access.at, table.path_of("profile"), "goes without access_key and secret_key; keep one");
            }
            (Some((access.value.to_owned(), Secret::new(secret.value))), secrets)
        }
        (Some(access), None) if !table.has("secret_key") => {
            mistakes.add(access.at, table.path_of("access_key"), "needs secret_key beside it");
            (None, secrets)
        }
        (None, Some(secret)) if !table.has("access_key") => {
            mistakes.add(secret.at, table.path_of("secret_key"), "needs access_key beside it");
            (None, secrets)
        }
        _ => (None, secrets),
    }
}

/// Whether a location as written carries credentials.
pub(super) fn holds_userinfo(text: &str) -> bool {
    let authority = text.split_once("://").map(|(_, rest)| rest.split(['/', '?']).next().unwrap_or(rest));
    // A secret may itself hold an unescaped slash: an `@` anywhere behind the scheme is enough to be careful.
    authority.is_some_and(|authority| authority.contains(':')) && text.contains('@')
}
