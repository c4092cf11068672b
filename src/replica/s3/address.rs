//! Where a bucket prefix is and how to talk to it: what `location` makes and the S3 replica takes.

use crate::secret::Secret;

/// A bucket prefix with everything needed to contact it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Address {
    /// Bucket name.
    pub bucket: String,
    /// Key prefix without slashes at its ends; empty for the whole bucket.
    pub prefix: String,
    /// `https://host[:port]` without a path; `None` means AWS, by region.
    pub endpoint: Option<String>,
    /// Signing region; `None` means: from the environment or profile, else discover it (`us-east-1` first).
    pub region: Option<String>,
    /// How the bucket is put into the URL.
    pub addressing: Addressing,
    /// Who we are.
    pub credentials: Credentials,
    /// Canned ACL for new objects; `None` sends none.
    pub acl: Option<String>,
    /// Where the public reads the objects, for `url` and for people.
    pub public_url: Option<String>,
}

/// How the bucket is put into the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Addressing {
    /// Virtual-host style on AWS for bucket names without dots, else path style.
    #[default]
    Auto,
    /// `https://host/bucket/key`.
    Path,
    /// `https://bucket.host/key`.
    Virtual,
}

/// Who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// From a DSN or the config.
    Static {
        /// Access key id.
        access_key: String,
        /// Secret access key.
        secret: Secret,
        /// For temporary credentials.
        session_token: Option<Secret>,
    },
    /// From where people already have them: environment, `~/.aws` profiles (SSO and roles included), instance role.
    Chain {
        /// A named profile.
        profile: Option<String>,
    },
}

impl S3Address {
    /// Identity of the place for pairs and locks: endpoint host, bucket and prefix, without credentials.
    /// Two spellings of one place give one text.
    pub fn canonical(&self) -> String {
        let host = self.endpoint.as_deref().map_or("aws", |url| url.rsplit("://").next().unwrap_or(url));
        format!("s3://{}/{}/{}", host.to_ascii_lowercase(), self.bucket, self.prefix)
    }

    /// How people call it: `s3://bucket/prefix`.
    pub fn display(&self) -> String {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        format!("s3://{}{slash}{}", self.bucket, self.prefix)
    }
}
