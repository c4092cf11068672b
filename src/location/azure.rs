//! `az://ACCOUNT/CONTAINER/PREFIX`, with credentials from where people already have them: the variables of the Azure CLI
//! (<https://learn.microsoft.com/en-us/cli/azure/azure-cli-configuration>), else the identity of what runs the program.

use super::{Location, Parsed, Surroundings, UsageError};
use crate::dsn::{escape_warning, query_pairs};
use crate::replica::azure::{
    AzureAddress, Credentials, Identity, check_account, check_container, clean_endpoint, is_sas, tidy_sas,
};
use crate::replica::s3::bucket::{clean_prefix, join_prefix};
use crate::secret::Secret;

const HINT: &str = "a location reads az://ACCOUNT/CONTAINER/PREFIX";

/// An `az://` URL whose authority is an account and nothing else. Names may hold `@` and `:`, so only the part before the
/// first slash tells a URL from a DSN.
pub(super) fn is_plain(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    ["az", "azure"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) && !authority.contains([':', '@'])
}

/// `az://account/container/prefix?endpoint=...&prefix=...`; without an account that of the variables.
pub(super) fn container(text: &str, around: &Surroundings<'_>) -> Result<Parsed, UsageError> {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (account, path) = place.split_once('/').unwrap_or((place, ""));
    let path = clean_prefix(path).map_err(|bad| UsageError::new(bad.to_string(), HINT))?;
    let (container, prefix) = path.split_once('/').unwrap_or((&path, ""));
    let (endpoint, more) = parameters(query)?;
    let found = Found::of(around)?;
    let account = match (account, &found.account) {
        ("", Some(account)) => account.clone(),
        (account, _) => account.to_owned(),
    };
    let bad = |bad: crate::replica::azure::BadPlace| UsageError::new(bad.to_string(), HINT);
    check_account(&account).map_err(bad)?;
    check_container(container).map_err(bad)?;
    let prefix = clean_prefix(prefix)
        .and_then(|path| Ok(join_prefix(&path, &clean_prefix(&more)?)))
        .map_err(|bad| UsageError::new(bad.to_string(), HINT))?;
    let mut warnings: Vec<String> = escape_warning(place).into_iter().collect();
    let is_same = found.account.as_ref().is_none_or(|known| *known == account);
    let (credentials, theirs) = match (is_same, found.credentials) {
        (true, Some(credentials)) => (credentials, found.endpoint),
        (false, Some(_)) => {
            warnings.push("the Azure variables are those of another storage account, and are not used".to_owned());
            (identity(around), None)
        }
        (_, None) => (identity(around), found.endpoint.filter(|_| is_same)),
    };
    let endpoint = match endpoint.or(theirs) {
        Some(url) => clean_endpoint(&url, &account).map_err(bad)?,
        None => None,
    };
    let location = Location::Azure(AzureAddress {
        account,
        container: container.to_owned(),
        prefix,
        endpoint,
        credentials,
        renewal: None,
        public_url: None,
    });
    Ok(Parsed { location, warnings, spelled: Some(text.to_owned()) })
}

fn parameters(query: &str) -> Result<(Option<String>, String), UsageError> {
    let (mut endpoint, mut prefix) = (None, None);
    for (name, value) in query_pairs(query) {
        let slot = match name.as_str() {
            "endpoint" => &mut endpoint,
            "prefix" => &mut prefix,
            // A signature behind the `?` is a common mistake; nothing of it may be shown.
            _ => {
                return Err(UsageError::new(
                    "an az:// location takes the parameters endpoint and prefix after `?`, and no other",
                    "a shared access signature goes into AZURE_STORAGE_SAS_TOKEN, or into a remote's sas_token",
                ));
            }
        };
        if slot.is_some() {
            return Err(UsageError::new("a parameter of the az:// location is given twice", "give it once"));
        }
        *slot = Some(value);
    }
    Ok((endpoint.filter(|url| !url.is_empty()), prefix.unwrap_or_default()))
}

/// Who runs the program, without any secret.
fn identity(around: &Surroundings<'_>) -> Credentials {
    let variable = |name: &str| (around.variable)(name).filter(|value| !value.trim().is_empty());
    Credentials::Identity(match variable("AZURE_FEDERATED_TOKEN_FILE") {
        Some(_) => Identity::Workload,
        None => Identity::Managed { client_id: variable("AZURE_CLIENT_ID") },
    })
}

/// What the variables say.
struct Found {
    account: Option<String>,
    credentials: Option<Credentials>,
    endpoint: Option<String>,
}

impl Found {
    /// In the order of the Azure CLI: the connection string, then account and key, then the signature.
    fn of(around: &Surroundings<'_>) -> Result<Self, UsageError> {
        let variable = |name: &str| (around.variable)(name).filter(|value| !value.trim().is_empty());
        if let Some(text) = variable("AZURE_STORAGE_CONNECTION_STRING") {
            return connection_string(&text).ok_or_else(|| {
                UsageError::new(
                    "AZURE_STORAGE_CONNECTION_STRING is no usable connection string",
                    "copy it again: it holds AccountName and AccountKey, or BlobEndpoint and SharedAccessSignature",
                )
            });
        }
        let key = variable("AZURE_STORAGE_KEY").map(|key| Credentials::Key(Secret::new(key.trim())));
        let sas = variable("AZURE_STORAGE_SAS_TOKEN").map(|sas| Credentials::Sas(Secret::new(tidy_sas(&sas))));
        Ok(Self { account: variable("AZURE_STORAGE_ACCOUNT"), credentials: key.or(sas), endpoint: None })
    }
}

/// The account of emulators, known to everybody
/// (<https://learn.microsoft.com/en-us/azure/storage/common/storage-connect-azurite>).
const EMULATOR: [&str; 3] = [
    "devstoreaccount1",
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
    "http://127.0.0.1:10000/devstoreaccount1",
];

/// `DefaultEndpointsProtocol=https;AccountName=...;AccountKey=...;EndpointSuffix=core.windows.net` and its relatives.
fn connection_string(text: &str) -> Option<Found> {
    let text = text.trim().trim_matches(['"', '\'']);
    let part = |wanted: &str| {
        let parts = text.split(';').filter_map(|part| part.split_once('='));
        let mut found = parts.filter(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
        found.next().map(|(_, value)| value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    if part("UseDevelopmentStorage").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        let [account, key, endpoint] = EMULATOR.map(str::to_owned);
        let credentials = Some(Credentials::Key(Secret::new(key)));
        return Some(Found { account: Some(account), credentials, endpoint: Some(endpoint) });
    }
    let credentials = match (part("AccountKey"), part("SharedAccessSignature")) {
        (Some(key), _) => Credentials::Key(Secret::new(key)),
        (None, Some(sas)) if is_sas(&sas) => Credentials::Sas(Secret::new(tidy_sas(&sas))),
        _ => return None,
    };
    let blob = part("BlobEndpoint");
    // A signature's string may name the account in the endpoint only: in its path, else in its host.
    let of_endpoint = |url: &String| {
        let (host, path) = url.split_once("://")?.1.split_once('/').unwrap_or((url.split_once("://")?.1, ""));
        let name = if path.is_empty() { host.split([':', '.']).next()? } else { path.split('/').next()? };
        check_account(name).ok().map(|()| name.to_owned())
    };
    let account = part("AccountName").or_else(|| blob.as_ref().and_then(of_endpoint))?;
    let protocol = part("DefaultEndpointsProtocol").unwrap_or_else(|| "https".to_owned());
    let endpoint = blob.or_else(|| Some(format!("{protocol}://{account}.blob.{}", part("EndpointSuffix")?)));
    Some(Found { account: Some(account), credentials: Some(credentials), endpoint })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::location::{Found as At, Origin, parse};

    fn read(text: &str, variables: &[(&str, &str)]) -> Result<(AzureAddress, Vec<String>), String> {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let around = Surroundings {
            variable: &variable,
            remote: &|_| None,
            remotes: &[],
            found: &|_| At::Nothing,
            text: &|_| panic!("no text is read"),
            project: None,
            origin: Origin::Argument,
        };
        match parse(text, &around) {
            Ok(parsed) => match parsed.location {
                Location::Azure(address) => Ok((address, parsed.warnings)),
                other => panic!("{other:?}"),
            },
            Err(error) => Err(error.to_string()),
        }
    }

    fn key(text: &str) -> Credentials {
        Credentials::Key(Secret::new(text))
    }

    #[test]
    fn urls_name_account_container_and_prefix() {
        let (address, warnings) = read("az://acct/media/a/b/", &[]).unwrap();
        assert_eq!(address.canonical(), "az://acct.blob.core.windows.net/media/a/b");
        assert_eq!((address.display().as_str(), &warnings[..]), ("az://acct/media/a/b", &[][..]));
        assert_eq!(address.credentials, Credentials::Identity(Identity::Managed { client_id: None }));
        let (local, _) = read("AZ://acct/media?endpoint=http://127.0.0.1:10000/acct&prefix=x%3Fy", &[]).unwrap();
        assert_eq!(local.canonical(), "az://127.0.0.1:10000/acct/media/x?y");
        for (text, told) in [
            ("az://acct", "the container is missing"),
            ("az://Acct/media", "the storage account must have"),
            ("az:///media", "the storage account is missing"),
            ("az://acct/media//x", "empty component"),
            ("az://acct/media?sv=1&sig=geheim", "no other"),
            ("az://acct/media?endpoint=x", "no http:// or https:// URL"),
            ("az://acct/media?prefix=a&prefix=b", "twice"),
        ] {
            let error = read(text, &[]).unwrap_err();
            assert!(error.contains(told) && !error.contains("geheim"), "{text}: {error}");
        }
    }

    #[test]
    fn credentials_come_from_the_variables_of_the_azure_cli() {
        let azurite = format!("{}/media", EMULATOR[2].replace("http", "az"));
        for (variables, credentials, canonical) in [
            (
                vec![(
                    "AZURE_STORAGE_CONNECTION_STRING",
                    "DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=a2V5==;EndpointSuffix=core.windows.net",
                )],
                key("a2V5=="),
                "az://acct.blob.core.windows.net/media/",
            ),
            (
                vec![(
                    "AZURE_STORAGE_CONNECTION_STRING",
                    "BlobEndpoint=https://acct.blob.example.org/;SharedAccessSignature=sv=1&sig=x%3D",
                )],
                Credentials::Sas(Secret::new("sv=1&sig=x%3D")),
                "az://acct.blob.example.org/media/",
            ),
            (
                vec![(
                    "AZURE_STORAGE_CONNECTION_STRING",
                    "BlobEndpoint=http://127.0.0.1:10000/acct;SharedAccessSignature=sv=1&sig=x%3D",
                )],
                Credentials::Sas(Secret::new("sv=1&sig=x%3D")),
                "az://127.0.0.1:10000/acct/media/",
            ),
            (
                vec![
                    ("AZURE_STORAGE_ACCOUNT", "acct"),
                    ("AZURE_STORAGE_KEY", "a2V5"),
                    ("AZURE_STORAGE_SAS_TOKEN", "sig=x"),
                ],
                key("a2V5"),
                "az://acct.blob.core.windows.net/media/",
            ),
            (
                vec![("AZURE_STORAGE_SAS_TOKEN", "?sv=1&sig=x")],
                Credentials::Sas(Secret::new("sv=1&sig=x")),
                "az://acct.blob.core.windows.net/media/",
            ),
            (
                vec![("AZURE_CLIENT_ID", "id")],
                Credentials::Identity(Identity::Managed { client_id: Some("id".to_owned()) }),
                "az://acct.blob.core.windows.net/media/",
            ),
            (
                vec![("AZURE_CLIENT_ID", "id"), ("AZURE_FEDERATED_TOKEN_FILE", "/f")],
                Credentials::Identity(Identity::Workload),
                "az://acct.blob.core.windows.net/media/",
            ),
        ] {
            let (address, _) = read("az://acct/media", &variables).unwrap();
            assert_eq!(
                (&address.credentials, address.canonical().as_str()),
                (&credentials, canonical),
                "{variables:?}"
            );
        }
        let development = [("AZURE_STORAGE_CONNECTION_STRING", "UseDevelopmentStorage=true")];
        let (address, _) = read("az:///media", &development).unwrap();
        assert_eq!((address.canonical(), &address.credentials), (format!("{azurite}/"), &key(EMULATOR[1])));
        // Of another account nothing is used, which is told.
        let (other, warnings) = read("az://other/media", &development).unwrap();
        assert_eq!(other.canonical(), "az://other.blob.core.windows.net/media/");
        assert!(matches!(other.credentials, Credentials::Identity(_)) && warnings.len() == 1, "{warnings:?}");
        let broken = [("AZURE_STORAGE_CONNECTION_STRING", "AccountName=acct;AccountKey=")];
        assert!(read("az://acct/media", &broken).unwrap_err().contains("no usable connection string"));
    }
}
