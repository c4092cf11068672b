//! Where a container prefix is and who we are there: what `location` makes and the Azure replica takes.

use crate::replica::renewal::Renewal;
use crate::secret::Secret;

/// The domain of the public cloud's blob services.
const PUBLIC: &str = "blob.core.windows.net";

/// A container prefix with everything needed to contact it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AzureAddress {
    /// Storage account.
    pub account: String,
    /// Container.
    pub container: String,
    /// Prefix of blob names without slashes at its ends; empty for the whole container.
    pub prefix: String,
    /// URL of the account's blob service, without a slash at its end; `None` means the public cloud's. A path in it
    /// holds the account where that is not part of the host (emulators, IP addresses).
    pub endpoint: Option<String>,
    /// Who we are.
    pub credentials: Credentials,
    /// How others are got when they have run out.
    pub renewal: Option<Renewal<Credentials>>,
    /// Where the public reads the blobs, for people.
    pub public_url: Option<String>,
}

/// Who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// The account's key, in base64.
    Key(Secret),
    /// A shared access signature: the text of a query, without `?`.
    Sas(Secret),
    /// What runs this program has an identity in Entra ID.
    Identity(Identity),
}

/// Where the token of an identity comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The virtual machine or App Service; `client_id` names one of several identities.
    Managed {
        /// Client id of a user-assigned identity.
        client_id: Option<String>,
    },
    /// Kubernetes: a file with a token, as `AZURE_FEDERATED_TOKEN_FILE` names it.
    Workload,
}

impl AzureAddress {
    /// The URL of the account's blob service, without a slash at its end.
    pub fn service_url(&self) -> String {
        self.endpoint.clone().unwrap_or_else(|| format!("https://{}.{PUBLIC}", self.account))
    }

    /// Identity of the account's blob service: `az://HOST`, with the account where that is not part of the host.
    pub fn service(&self) -> String {
        let url = self.service_url();
        let service = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        format!("az://{service}")
    }

    /// Identity of the place for pairs and locks, without credentials. Two spellings of one place give one text.
    pub fn canonical(&self) -> String {
        format!("{}/{}/{}", self.service(), self.container, self.prefix)
    }

    /// How people call it: `az://account/container/prefix`.
    pub fn display(&self) -> String {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        format!("az://{}/{}{slash}{}", self.account, self.container, self.prefix)
    }
}

/// The one form of a blob service's URL: scheme and host in lower case, no slash at its end, and `None` for the
/// public cloud's own.
///
/// # Errors
/// It has no scheme, no host, a user, a query, or a path that is more than an account's name.
pub fn clean_endpoint(url: &str, account: &str) -> Result<Option<String>, BadPlace> {
    let (scheme, rest) = url.trim().split_once("://").ok_or(BadPlace::Endpoint)?;
    let scheme = scheme.to_ascii_lowercase();
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_end_matches('/');
    let (name, port) = host.rsplit_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    let in_host = |c: u8| c.is_ascii_alphanumeric() || b"-._".contains(&c);
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok());
    let plain = !name.is_empty() && name.bytes().all(in_host) && path.bytes().all(|c| c.is_ascii_alphanumeric());
    if !matches!(scheme.as_str(), "http" | "https") || !plain || !is_port {
        return Err(BadPlace::Endpoint);
    }
    let host = host.to_ascii_lowercase();
    if scheme == "https" && path.is_empty() && host == format!("{account}.{PUBLIC}") {
        return Ok(None);
    }
    let slash = if path.is_empty() { "" } else { "/" };
    Ok(Some(format!("{scheme}://{host}{slash}{path}")))
}

/// Why an account, a container or an endpoint is refused. Holds nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPlace {
    /// No account.
    #[error("the storage account is missing")]
    NoAccount,
    /// <https://learn.microsoft.com/en-us/azure/storage/common/storage-account-overview#storage-account-name>
    #[error("the storage account must have 3 to 24 of a-z and 0-9")]
    Account,
    /// No container.
    #[error("the container is missing")]
    NoContainer,
    /// <https://learn.microsoft.com/en-us/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata>
    #[error("the container must have 3 to 63 of a-z, 0-9 and single `-`, beginning and ending with a letter or digit")]
    Container,
    /// No URL of a service.
    #[error("the endpoint is no http:// or https:// URL of a blob service")]
    Endpoint,
}

/// Checks an account's name.
///
/// # Errors
/// The rule that it breaks.
pub fn check_account(name: &str) -> Result<(), BadPlace> {
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    match name {
        "" => Err(BadPlace::NoAccount),
        name if (3..=24).contains(&name.len()) && name.bytes().all(known) => Ok(()),
        _ => Err(BadPlace::Account),
    }
}

/// Checks a container's name. `$root`, `$web` and `$logs` are the service's own and can be used.
///
/// # Errors
/// The rule that it breaks.
pub fn check_container(name: &str) -> Result<(), BadPlace> {
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    match name {
        "" => Err(BadPlace::NoContainer),
        "$root" | "$web" | "$logs" => Ok(()),
        name if (3..=63).contains(&name.len())
            && name.bytes().all(known)
            && edge(name.bytes().next())
            && edge(name.bytes().last())
            && !name.contains("--") =>
        {
            Ok(())
        }
        _ => Err(BadPlace::Container),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(endpoint: Option<&str>) -> AzureAddress {
        AzureAddress {
            account: "acct".to_owned(),
            container: "media".to_owned(),
            prefix: "a/b".to_owned(),
            endpoint: endpoint.map(str::to_owned),
            credentials: Credentials::Identity(Identity::Workload),
            renewal: None,
            public_url: None,
        }
    }

    #[test]
    fn one_place_has_one_canonical_text() {
        let canonical = |url: &str| at(clean_endpoint(url, "acct").unwrap().as_deref()).canonical();
        let public = "az://acct.blob.core.windows.net/media/a/b";
        assert_eq!(at(None).canonical(), public);
        for url in ["https://acct.blob.core.windows.net", "HTTPS://Acct.Blob.core.windows.net/"] {
            assert_eq!(canonical(url), public);
        }
        assert_eq!(canonical("http://127.0.0.1:10000/acct"), "az://127.0.0.1:10000/acct/media/a/b");
        assert_eq!(canonical("http://127.0.0.1:10000/acct/"), "az://127.0.0.1:10000/acct/media/a/b");
        assert_eq!(at(None).display(), "az://acct/media/a/b");
    }

    #[test]
    fn endpoints_are_urls_of_a_service_and_nothing_else() {
        for bad in
            ["", "acct", "ftp://x", "https://", "https://u:p@x", "https://x/y/z", "https://x?sig=1", "http://x:y"]
        {
            assert_eq!(clean_endpoint(bad, "acct"), Err(BadPlace::Endpoint), "{bad}");
        }
        assert_eq!(
            clean_endpoint("https://acct.blob.core.windows.net", "other").unwrap().as_deref(),
            Some("https://acct.blob.core.windows.net")
        );
    }

    #[test]
    fn accounts_and_containers() {
        for (name, account, container) in [
            ("abc", Ok(()), Ok(())),
            ("public-media", Err(BadPlace::Account), Ok(())),
            ("$web", Err(BadPlace::Account), Ok(())),
            ("Media", Err(BadPlace::Account), Err(BadPlace::Container)),
            ("a--b", Err(BadPlace::Account), Err(BadPlace::Container)),
            ("-ab", Err(BadPlace::Account), Err(BadPlace::Container)),
            ("ab", Err(BadPlace::Account), Err(BadPlace::Container)),
            ("", Err(BadPlace::NoAccount), Err(BadPlace::NoContainer)),
        ] {
            assert_eq!(check_account(name), account, "{name}");
            assert_eq!(check_container(name), container, "{name}");
        }
    }
}
