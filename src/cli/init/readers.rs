//! Who may read what a first job pushes: the ACL that holds where nobody says anything, and the question for another one.

use clap::ValueEnum;

use super::ModeArg;
use super::ask::Asker;
use crate::cli::failure::Failure;
use crate::location::Location;

/// `--acl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AclArg {
    /// Nobody but the owner
    Private,
    /// Everybody
    PublicRead,
    /// No ACL is sent: the bucket decides
    Unset,
}

impl AclArg {
    /// As a configuration says it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::PublicRead => "public-read",
            Self::Unset => "unset",
        }
    }

    fn told(self) -> &'static str {
        match self {
            Self::Private => "nobody but the owner of the bucket",
            Self::PublicRead => "everybody, as the media of a site are",
            Self::Unset => "no ACL is sent, and the bucket decides",
        }
    }
}

/// Who decides about readers where no `acl` is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rule {
    /// A DSN gives this ACL to what is pushed.
    Dsn(String),
    /// Nobody: no ACL is sent, and the bucket decides.
    Bucket,
    /// The same, as a mirror takes none from a DSN.
    Mirror,
    /// The service: its objects have no ACLs.
    Service,
    /// The container of Azure.
    Container,
}

/// What holds at a place for a mode; `None` for a directory.
pub(super) fn rule(location: &Location, mode: ModeArg) -> Option<Rule> {
    let address = match location {
        Location::Local(_) => return None,
        Location::Azure(_) => return Some(Rule::Container),
        Location::S3(address) => address,
    };
    Some(match (&address.acl, mode) {
        _ if !address.has_acls() => Rule::Service,
        (None, _) => Rule::Bucket,
        (Some(_), ModeArg::Mirror) => Rule::Mirror,
        (Some(acl), ModeArg::Copy | ModeArg::TwoWay) => Rule::Dsn(acl.clone()),
    })
}

/// The ACL that is written down; `None` leaves it to what holds by itself.
///
/// # Errors
/// A flag asks for one where there are none.
pub(super) async fn asked(
    (flag, before): (Option<AclArg>, Option<AclArg>),
    (location, mode): (&Location, ModeArg),
    asker: &Asker<'_>,
) -> Result<Option<AclArg>, Failure> {
    let own = match rule(location, mode) {
        Some(Rule::Dsn(acl)) => Some(acl),
        Some(Rule::Bucket | Rule::Mirror) => None,
        other => {
            if flag.is_some() {
                let why = match other {
                    Some(Rule::Container) => "blobs have none, who may read them is a matter of their container",
                    Some(_) => "this service has none",
                    None => "this is a directory",
                };
                return Err(Failure::usage(format!("--acl is for objects in a bucket: {why}"))
                    .hint("leave --acl away; docs/permissions.md tells who may read what"));
            }
            return Ok(None);
        }
    };
    if flag.is_some() {
        return Ok(flag);
    }
    let mut choices = vec![AclArg::Private, AclArg::PublicRead, AclArg::Unset];
    // What holds by itself comes first, and writes nothing.
    let usual = match own.as_deref() {
        Some(own) => choices.iter().find(|choice| choice.word() == own).copied(),
        None => Some(AclArg::Unset),
    };
    choices.retain(|choice| Some(*choice) != usual);
    let line = |choice: AclArg| format!("{}: {}", choice.word(), choice.told());
    let first = match (usual, own) {
        (Some(choice), Some(_)) => format!("{} (its DSN means that)", line(choice)),
        (Some(choice), None) => line(choice),
        (None, own) => format!("{}: as its DSN says", own.unwrap_or_default()),
    };
    let options: Vec<String> = std::iter::once(first).chain(choices.iter().map(|choice| line(*choice))).collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let at = before.and_then(|before| choices.iter().position(|choice| *choice == before)).map_or(1, |at| at + 2);
    Ok(match asker.number("Who may read what is pushed?", &options, at).await? {
        1 => None,
        number => Some(choices[number - 2]),
    })
}

/// What a configuration says about readers: a comment that holds for this place, and the key.
pub(super) fn lines(rule: &Rule, said: Option<AclArg>) -> Vec<String> {
    if let Some(acl) = said {
        let about = match acl {
            AclArg::Private => "# Only the owner of the bucket may read what is pushed, whatever a DSN says.",
            AclArg::PublicRead => "# Everybody may read what is pushed, whatever a DSN says.",
            AclArg::Unset => "# No ACL is sent, whatever a DSN says: the bucket decides who may read what is pushed.",
        };
        return vec![about.to_owned(), format!("acl = \"{}\"", acl.word())];
    }
    let (about, key) = match rule {
        Rule::Dsn(acl) if acl.starts_with("public-") => (
            format!("# Everybody may read what is pushed: the DSN means acl=\"{acl}\". This would change it:"),
            Some("#acl = \"private\""),
        ),
        Rule::Dsn(acl) => (
            format!("# What is pushed gets the ACL \"{acl}\", as the DSN says. For all to read it:"),
            Some("#acl = \"public-read\""),
        ),
        Rule::Bucket => (
            "# No ACL is sent: the bucket decides who may read what is pushed. For all to read it:".to_owned(),
            Some("#acl = \"public-read\""),
        ),
        Rule::Mirror => (
            "# A mirror takes no ACL from a DSN: the bucket decides who may read its copies. For all to read them:"
                .to_owned(),
            Some("#acl = \"public-read\""),
        ),
        Rule::Service => ("# Objects have no ACLs of their own there: docs/providers.md.".to_owned(), None),
        Rule::Container => ("# Who may read blobs is up to their container: docs/permissions.md.".to_owned(), None),
    };
    std::iter::once(about).chain(key.map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsn::{self, Place};

    fn of(dsn: &str) -> Location {
        match dsn::parse(dsn, None).unwrap().place {
            Place::S3(address) => Location::S3(address),
            Place::Azure(address) => Location::Azure(address),
            Place::Local(path) => Location::Local(path),
        }
    }

    #[test]
    fn what_is_written_about_readers_is_what_holds_there() {
        let bucket = |more: &str| of(&format!("s3://KEY:SECRET@media.s3.eu-central-1.amazonaws.com/{more}"));
        let told = |location: &Location, mode| lines(&rule(location, mode).unwrap(), None).join("\n");
        assert!(told(&bucket(""), ModeArg::Copy).starts_with("# Everybody may read what is pushed: the DSN means"));
        assert!(told(&bucket(""), ModeArg::TwoWay).starts_with("# Everybody may"));
        assert!(told(&bucket(""), ModeArg::Mirror).starts_with("# A mirror takes no ACL from a DSN"));
        assert!(told(&bucket("?acl="), ModeArg::Copy).starts_with("# No ACL is sent: the bucket decides"));
        assert!(told(&bucket("?acl=private"), ModeArg::Copy).contains("gets the ACL \"private\""));
        let r2 = of("s3://KEY:SECRET@media.0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com/");
        assert_eq!(told(&r2, ModeArg::Copy).lines().count(), 1, "a key that means nothing is not offered");
        let azure = of("az://acct:a2V5@blob.core.windows.net/media");
        assert_eq!(rule(&azure, ModeArg::Copy), Some(Rule::Container));
        assert!(!told(&azure, ModeArg::Copy).contains("acl ="));
        assert_eq!(rule(&Location::Local("/x".into()), ModeArg::Copy), None);
        let said = lines(&Rule::Dsn("public-read".to_owned()), Some(AclArg::Unset));
        assert_eq!(said.last().unwrap(), "acl = \"unset\"");
    }
}
