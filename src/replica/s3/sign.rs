//! URLs of an object: the one that everybody uses, and one that lets whoever has it read for a while.

use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;
use percent_encoding::utf8_percent_encode;

use super::endpoint::is_aws;
use super::error::Failure;
use super::names::PATH;
use super::{Addressing, Cause, Contact, Credentials, Error, Replica, S3, S3Address};

/// How long a signed URL can be good: the limit of the signature
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>).
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

impl S3Address {
    /// Where everybody reads what is stored under the whole prefix as a name: what the DSN says, else the service's own
    /// URL. `None` where the service gives none.
    pub fn url(&self) -> Option<String> {
        if let Some(url) = &self.public_url {
            return Some(url.clone());
        }
        let Self { bucket, prefix, .. } = self;
        let dotted = bucket.contains('.') || self.addressing == Addressing::Path;
        let base = match (&self.endpoint, &self.region) {
            (Some(url), _) if url.contains(".r2.cloudflarestorage.com") => return None,
            (Some(url), _) if self.addressing == Addressing::Virtual || (is_aws(Some(url)) && !dotted) => {
                let (scheme, host) = url.split_once("://")?;
                format!("{scheme}://{bucket}.{host}")
            }
            (Some(url), _) => format!("{url}/{bucket}"),
            (None, region) => {
                let region = region.as_deref().unwrap_or_default();
                let (dot, cn) = (if region.is_empty() { "" } else { "." }, region.starts_with("cn-"));
                let host = format!("s3{dot}{region}.amazonaws.com{}", if cn { ".cn" } else { "" });
                if dotted { format!("https://{host}/{bucket}") } else { format!("https://{bucket}.{host}") }
            }
        };
        let slash = if prefix.is_empty() { "" } else { "/" };
        Some(format!("{base}{slash}{}", utf8_percent_encode(prefix, PATH)))
    }

    /// Whether credentials may end before a URL does that they signed.
    pub fn has_passing_credentials(&self) -> bool {
        match &self.credentials {
            Credentials::Static { session_token, .. } => session_token.is_some(),
            Credentials::Renewed { .. } | Credentials::Chain { .. } => true,
        }
    }
}

impl S3 {
    /// A URL with which everybody can read an object for a while, whether it is there or not. `name` is relative to the prefix.
    ///
    /// # Errors
    /// Longer than [`LONGEST`]; no credentials; no contact where the region has to be found out.
    pub async fn sign(&self, name: &str, time: Duration) -> Result<String, Error> {
        if time > LONGEST {
            let message = "a signed URL of S3 is good for 7 days at most";
            return Err(Error::new(Cause::Usage, message).hint("write --sign 7d or less"));
        }
        let inner = &self.inner;
        let address = inner.wire.address();
        // A signature names the region: a wrong one is found out by asking.
        if is_aws(address.endpoint.as_deref()) && address.region.is_none() {
            self.connect(Contact::Look).await?;
        }
        let object = inner.names.own(name);
        let unsigned = |why: &dyn std::fmt::Display| {
            let message = format!("the URL of {name} can't be signed: {why}", name = super::names::shown(&object));
            Error::new(Cause::Stop, message).hint("signing needs credentials: a DSN, AWS variables or a profile")
        };
        let config = PresigningConfig::expires_in(time).map_err(|error| unsigned(&error))?;
        let session = inner.wire.session_now().await;
        let request = session.client.get_object().bucket(inner.wire.bucket()).key(&object);
        let signed = request.presigned(config).await;
        let signed = signed.map_err(|error| {
            let failure = Failure::from_sdk(&error);
            let told = inner.wire.fold(&failure, super::ops::Op::GetObject, Some(&object));
            Error { cause: Cause::Stop, ..told }
        })?;
        Ok(signed.uri().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::s3::session::tests::address;

    #[test]
    fn each_style_has_its_url_and_names_are_encoded() {
        let url = |bucket: &str, endpoint: Option<&str>, region: Option<&str>, addressing: Addressing| {
            let region = region.map(str::to_owned);
            S3Address {
                prefix: "a b/ü+%.jpg".to_owned(),
                addressing,
                region,
                public_url: None,
                ..address(bucket, endpoint)
            }
            .url()
        };
        let name = "a%20b/%C3%BC%2B%25.jpg";
        let (auto, path, host) = (Addressing::Auto, Addressing::Path, Addressing::Virtual);
        for (bucket, endpoint, region, addressing, wanted) in [
            ("b", None, Some("eu-west-1"), auto, Some("https://b.s3.eu-west-1.amazonaws.com/")),
            ("b", None, None, auto, Some("https://b.s3.amazonaws.com/")),
            ("b", None, Some("eu-west-1"), path, Some("https://s3.eu-west-1.amazonaws.com/b/")),
            ("b.c", None, Some("cn-north-1"), auto, Some("https://s3.cn-north-1.amazonaws.com.cn/b.c/")),
            ("b", Some("http://127.0.0.1:9000"), None, auto, Some("http://127.0.0.1:9000/b/")),
            ("b", Some("https://s3.x.example"), None, host, Some("https://b.s3.x.example/")),
            ("b", Some("https://acct.r2.cloudflarestorage.com"), None, auto, None),
        ] {
            let wanted = wanted.map(|base| format!("{base}{name}"));
            assert_eq!(url(bucket, endpoint, region, addressing), wanted, "{endpoint:?} {region:?} {addressing:?}");
        }
    }

    #[tokio::test]
    async fn region_style_and_session_are_in_what_is_signed() {
        use crate::secret::Secret;
        let signed = async |bucket: &str, endpoint: Option<&str>, addressing: Addressing| {
            let credentials = Credentials::Static {
                access_key: "AK".to_owned(),
                secret: Secret::new("hunter2"),
                session_token: Some(Secret::new("to/ken+")),
            };
            let region = Some("eu-west-1".to_owned());
            let prefix = "a b".to_owned();
            let address = S3Address { prefix, addressing, region, credentials, ..address(bucket, endpoint) };
            S3::new(address, None).sign("ü+%.jpg", Duration::from_secs(3600)).await.unwrap()
        };
        let aws = signed("bucket", None, Addressing::Auto).await;
        assert!(aws.starts_with("https://bucket.s3.eu-west-1.amazonaws.com/a%20b/%C3%BC%2B%25.jpg?"), "{aws}");
        for part in
            ["X-Amz-Expires=3600", "AK%2F", "%2Feu-west-1%2Fs3%2Faws4_request", "X-Amz-Security-Token=to%2Fken%2B"]
        {
            assert!(aws.contains(part), "{part} is not in {aws}");
        }
        assert!(!aws.contains("hunter2"));
        let path = signed("bucket", None, Addressing::Path).await;
        assert!(path.starts_with("https://s3.eu-west-1.amazonaws.com/bucket/a%20b/"), "{path}");
        let own = signed("bucket", Some("https://s3.x.example"), Addressing::Virtual).await;
        assert!(own.starts_with("https://bucket.s3.x.example/a%20b/"), "{own}");
        let long = S3::new(address("b", None), None).sign("a", LONGEST + Duration::from_secs(1)).await;
        assert_eq!(long.unwrap_err().cause, Cause::Usage);
    }
}
