//! URLs of a blob: the one that everybody uses, and one that lets whoever has it read for a while.

use std::time::Duration;

use azure_core::time::OffsetDateTime;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::authorize::{add_query, leave};
use super::{Azure, AzureAddress, Cause, Credentials, Error};

/// Unreserved characters of RFC 3986 and `/` stay.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

impl AzureAddress {
    /// Where everybody reads what is stored under the whole prefix as a name: what the DSN says, else the account's own URL.
    pub fn url(&self) -> String {
        if let Some(url) = &self.public_url {
            return url.clone();
        }
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        format!("{}/{}{slash}{}", self.service_url(), self.container, utf8_percent_encode(&self.prefix, PATH))
    }
}

impl Azure {
    /// A URL with which everybody can read a blob for a while, whether it is there or not. `name` is relative to the prefix.
    ///
    /// # Errors
    /// Something else than an account's key.
    pub fn sign(&self, name: &str, time: Duration) -> Result<String, Error> {
        let refused = |message: &str, hint: &str| Err(Error::new(Cause::Usage, message).hint(hint));
        let AzureAddress { account, container, credentials, .. } = self.inner.wire.address();
        let key = match credentials {
            Credentials::Key(key) => key,
            Credentials::Sas(_) => {
                let hint =
                    "use a DSN with the account's key; the signature that there is would give away all that it allows";
                return refused("a shared access signature can't sign a URL for one blob", hint);
            }
            Credentials::Identity(_) => {
                let hint = "use a DSN with the account's key";
                return refused("a URL is signed with the account's key, and here is an identity", hint);
            }
        };
        let blob = self.inner.names.own(name);
        let until =
            OffsetDateTime::now_utc().checked_add(azure_core::time::Duration::try_from(time).unwrap_or_default());
        let Some(until) = until else { return refused("that is longer than dates go", "write --sign 1h, or 7d") };
        let Some(signature) = leave(key, &format!("/blob/{account}/{container}/{blob}"), until) else {
            return refused("the account's key is no base64", "look at the DSN");
        };
        let unnamed = |_| Error::new(Cause::Stop, format!("{} is no URL", self.inner.name));
        let mut url = self.inner.wire.blob(&blob).map(|blob| blob.url().clone()).map_err(unnamed)?;
        add_query(&mut url, signature.reveal());
        Ok(url.into())
    }
}
