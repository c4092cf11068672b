//! Where a bucket prefix is and how to talk to it: what `location` makes and the S3 replica takes.

use super::endpoint::{addressing, identity};
use super::providers::{Acls, Provider, Said, Without};
use super::variables::Variables;
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
    /// What the configuration says about the server.
    pub said: Box<Said>,
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
    /// From a command, which is run again when they have run out.
    Renewed {
        /// What it printed last.
        now: Box<Credentials>,
        /// How to run it again.
        again: Renewal,
    },
    /// From where people already have them: environment, `~/.aws` profiles (SSO and roles included), instance role.
    Chain {
        /// A named profile.
        profile: Option<String>,
        /// What variables say, for messages.
        variables: Variables,
    },
}

impl Credentials {
    /// The profile that they come from, if one is named.
    pub fn profile(&self) -> Option<&str> {
        match self {
            Self::Chain { profile, .. } => profile.as_deref(),
            Self::Static { .. } | Self::Renewed { .. } => None,
        }
    }
}

/// How such credentials are got anew.
pub type Renewal = crate::replica::renewal::Renewal<Credentials>;

impl S3Address {
    /// Whether objects have ACLs of their own there, as far as the host and the configuration tell.
    pub fn has_acls(&self) -> bool {
        Provider::of(self).acls() != Acls::None && !self.said.without.contains(&Without::Acls)
    }

    /// Identity of the place for pairs and locks: where bucket names are unique, bucket and prefix, without
    /// credentials. Two spellings of one place give one text.
    ///
    /// Bucket names on AWS are unique in a partition, so neither region nor the form of the host is part of it.
    pub fn canonical(&self) -> String {
        format!("s3://{}/{}/{}", identity(self.endpoint.as_deref(), self.region.as_deref()), self.bucket, self.prefix)
    }

    /// The URL of the bucket to which requests go; where nobody says a region, that of the one which AWS asks first.
    pub fn contact_url(&self) -> String {
        let region = self.region.as_deref().unwrap_or("us-east-1");
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let service = self.endpoint.clone().unwrap_or_else(|| format!("https://s3.{region}.{suffix}"));
        match (addressing(self), service.split_once("://")) {
            (Addressing::Virtual, Some((scheme, host))) => format!("{scheme}://{}.{host}/", self.bucket),
            _ => format!("{service}/{}", self.bucket),
        }
    }

    /// How people call it: `s3://bucket/prefix`.
    pub fn display(&self) -> String {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        format!("s3://{}{slash}{}", self.bucket, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(endpoint: Option<&str>, region: Option<&str>) -> S3Address {
        S3Address {
            bucket: "b".to_owned(),
            prefix: "p/q".to_owned(),
            endpoint: endpoint.map(str::to_owned),
            region: region.map(str::to_owned),
            addressing: Addressing::Auto,
            credentials: Credentials::Chain { profile: None, variables: Variables::default() },
            acl: None,
            public_url: None,
            said: Box::default(),
        }
    }

    #[test]
    fn requests_go_to_the_buckets_url() {
        for (endpoint, region, url) in [
            (None, None, "https://bucket.s3.us-east-1.amazonaws.com/"),
            (None, Some("cn-north-1"), "https://bucket.s3.cn-north-1.amazonaws.com.cn/"),
            (Some("http://127.0.0.1:9000"), None, "http://127.0.0.1:9000/bucket"),
            (Some("https://sos-ch-dk-2.exo.io"), None, "https://sos-ch-dk-2.exo.io/bucket"),
        ] {
            let address = S3Address { bucket: "bucket".to_owned(), ..at(endpoint, region) };
            assert_eq!(address.contact_url(), url);
        }
    }

    #[test]
    fn one_place_has_one_canonical_text() {
        for (endpoint, region) in [
            (None, None),
            (None, Some("eu-west-1")),
            (Some("https://s3.eu-west-1.amazonaws.com"), Some("eu-west-1")),
            (Some("https://s3-eu-west-1.amazonaws.com"), None),
            (Some("https://s3.dualstack.eu-west-1.amazonaws.com"), Some("eu-west-1")),
            (Some("https://s3-accelerate.amazonaws.com"), None),
        ] {
            assert_eq!(at(endpoint, region).canonical(), "s3://aws/b/p/q", "{endpoint:?} {region:?}");
        }
        assert_eq!(at(None, Some("cn-north-1")).canonical(), "s3://aws-cn/b/p/q");
        assert_eq!(at(Some("http://MinIO:9000"), None).canonical(), "s3://minio:9000/b/p/q");
    }
}
