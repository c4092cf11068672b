//! What can be wrong with a DSN, and the way out. Nothing here holds anything of the text.

use crate::replica::azure::BadPlace;
use crate::replica::s3::bucket::BadName;
use crate::replica::s3::endpoint::BadHost;

/// A text is no usable DSN. Never holds anything of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DsnError {
    /// The variable that the text came from.
    pub variable: Option<String>,
    /// What is wrong.
    pub fault: Fault,
}

impl std::fmt::Display for DsnError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.variable {
            Some(name) => write!(f, "the DSN in {name}: {}", self.fault),
            None => write!(f, "the DSN: {}", self.fault),
        }
    }
}

impl std::error::Error for DsnError {}

/// What is wrong with a DSN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// No scheme that is known.
    #[error("it does not begin with s3://, az:// or file:")]
    Scheme,
    /// No `KEY:SECRET@`.
    #[error("it has no KEY:SECRET@ before the host")]
    NoUserinfo,
    /// No secret.
    #[error("the access key or the secret before the `@` is missing")]
    NoSecret,
    /// No secret that Azure could have issued.
    #[error("what stands before the `@` is neither the base64 of a shared access signature nor an account key")]
    AzureSecret,
    /// Bytes that are no text.
    #[error("the access key or the secret is not valid UTF-8 after percent-decoding")]
    SecretEncoding,
    /// Nothing that can be the host.
    #[error("no host name with a dot follows the `@`")]
    NoHost,
    /// Several `@` could end the credentials.
    #[error("more than one `@` could end the credentials")]
    Ambiguous,
    /// An `@` after the first `?`.
    #[error("an unencoded `@` follows the first `?`")]
    AtAfterQuestion,
    /// A port in the DSN's host.
    #[error("the host has a port, which this form can't express")]
    Port,
    /// A `#` in the path.
    #[error("the path holds an unencoded `#`")]
    Fragment,
    /// A parameter with an unknown value.
    #[error("the parameter `{0}` has a value that is not known")]
    Value(&'static str),
    /// A `domain=` that is no host name.
    #[error("the parameter `domain` is no host name")]
    Domain,
    /// The host of a `file:` DSN.
    #[error("a file: DSN may not name a host")]
    FileHost,
    /// A `file:` DSN without a path.
    #[error("it has no path")]
    NoPath,
    /// The host is no use.
    #[error("{0}")]
    Host(BadHost),
    /// The account, the container or the endpoint is no use.
    #[error("{0}")]
    Azure(BadPlace),
    /// The bucket or the prefix is no use.
    #[error("{0}")]
    Name(BadName),
}

impl Fault {
    /// The way out.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Empty | Self::Scheme | Self::NoUserinfo | Self::NoSecret | Self::NoHost => {
                "a DSN reads s3://KEY:SECRET@BUCKET.HOST/PREFIX, s3://KEY:SECRET@BUCKET/?endpoint=https://HOST:PORT, or \
                 az://ACCOUNT:SECRET@blob.core.windows.net/CONTAINER"
            }
            Self::Azure(_) => "a DSN reads az://ACCOUNT:SECRET@blob.core.windows.net/CONTAINER/PREFIX",
            Self::Value("container") => "name the container once",
            Self::SecretEncoding | Self::AzureSecret => "copy the value again from where it was issued",
            Self::Ambiguous => "write `@` in the secret and in the path as %40",
            Self::AtAfterQuestion => "in the secret write `?` as %3F and `@` as %40, in a parameter `@` as %40",
            Self::Port | Self::Host(BadHost::Form) => {
                "write s3://KEY:SECRET@BUCKET/?endpoint=https://HOST:PORT, \
                 or az://ACCOUNT:SECRET@HOST/CONTAINER?endpoint=http://HOST:PORT/ACCOUNT"
            }
            Self::Fragment => "write the prefix as the parameter prefix=, with `#` as %23",
            Self::Value("acl") => "use a canned ACL such as public-read or private, or acl= for none",
            Self::Value("addressing_style") => "use path, virtual or auto",
            Self::Domain => "write domain=media.example.com; a URL as a whole is url=https://media.example.com/files",
            Self::Value(_) => "see the documentation for the values it takes",
            Self::FileHost | Self::NoPath => "write file:///absolute/path",
            Self::Host(BadHost::AccessPoint | BadHost::NotS3 | BadHost::NoBucket) => {
                "the host reads BUCKET.HOST, such as media.s3.eu-central-1.amazonaws.com"
            }
            Self::Host(_) => "endpoint= takes scheme, host and port: https://HOST or http://HOST:PORT",
            Self::Name(_) => "check the bucket before the host, and the path",
        }
    }
}
