//! `remote env`: a command in the place of this program, with the credentials of a remote in its environment.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::{Env, named, parts};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::place::World;
use crate::cli::setup::Setup;
use crate::location::Location;
use crate::replica::azure::{self, AzureAddress};
use crate::replica::s3::S3Address;

/// What would say something else than what is set; what is set is no part of it any more.
const OF_AWS: [&str; 17] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_S3_ADDRESSING_STYLE",
];
/// Of these, where the credentials are: they stay where the AWS tools are to find them.
const CREDENTIALS: usize = 11;

const OF_AZURE: [&str; 6] = [
    "AZURE_STORAGE_ACCOUNT",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_AUTH_MODE",
    "AZURE_STORAGE_SERVICE_ENDPOINT",
];

/// What becomes of variables: a value, or gone.
type Variables = BTreeMap<&'static str, Option<String>>;

/// `remote env`. Comes back only where the command can't be run.
///
/// # Errors
/// There is no such remote, no command, or it can't be run.
pub(in crate::cli) fn env(args: &Env, setup: &Setup, world: World<'_>) -> Result<Exit, Failure> {
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(Failure::usage("remote env runs a command, and none was named: it prints no secrets by itself")
            .hint("mediasync remote env NAME -- aws s3 ls s3://BUCKET"));
    };
    let end = named(&args.place, world)?;
    end.warnings.iter().for_each(|warning| setup.output.warn(warning));
    let variables = match &end.location {
        Location::S3(address) => s3(address),
        Location::Azure(address) => of_azure(address),
        Location::Local(_) => {
            let message = format!("{} is a directory, and has no credentials", end.location.display());
            return Err(Failure::usage(message).hint("name a remote with a bucket or container"));
        }
    };
    let mut command = Command::new(program);
    command.args(arguments);
    for (name, value) in &variables {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    // What was warned about is on the terminal before the command says something.
    setup.output.finish();
    let error = command.exec();
    let program = program.to_string_lossy();
    let message = format!("can't run {}: {error}", program.escape_debug());
    Err(match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Failure::usage(message),
        _ => Failure::error(message),
    })
}

fn gone(names: &[&'static str]) -> Variables {
    names.iter().map(|name| (*name, None)).collect()
}

fn s3(address: &S3Address) -> Variables {
    let mut all = match (parts::keys(&address.credentials), address.credentials.profile()) {
        (Some((key, secret, token)), _) => {
            let mut all = gone(&OF_AWS);
            all.insert("AWS_ACCESS_KEY_ID", Some(key.to_owned()));
            all.insert("AWS_SECRET_ACCESS_KEY", Some(secret.reveal().to_owned()));
            all.insert("AWS_SESSION_TOKEN", token.map(|token| token.reveal().to_owned()));
            all
        }
        (None, Some(profile)) => {
            let mut all = gone(&OF_AWS);
            all.insert("AWS_PROFILE", Some(profile.to_owned()));
            all
        }
        (None, None) => gone(&OF_AWS[CREDENTIALS..]),
    };
    let region = parts::region(address).map(str::to_owned);
    for (name, value) in [
        ("AWS_ENDPOINT_URL", &address.endpoint),
        ("AWS_ENDPOINT_URL_S3", &address.endpoint),
        ("AWS_REGION", &region),
        ("AWS_DEFAULT_REGION", &region),
    ] {
        all.insert(name, value.clone());
    }
    all
}

/// Connection strings: <https://learn.microsoft.com/en-us/azure/storage/common/storage-configure-connection-string>.
fn of_azure(address: &AzureAddress) -> Variables {
    let mut all = gone(&OF_AZURE);
    let (account, url) = (&address.account, address.service_url());
    let protocol = url.split("://").next().unwrap_or("https");
    all.insert("AZURE_STORAGE_ACCOUNT", Some(account.clone()));
    let (name, secret, string) = match &address.credentials {
        azure::Credentials::Key(key) => {
            let key = key.reveal();
            let string = format!(
                "DefaultEndpointsProtocol={protocol};AccountName={account};AccountKey={key};BlobEndpoint={url}"
            );
            ("AZURE_STORAGE_KEY", key, string)
        }
        azure::Credentials::Sas(sas) => {
            let sas = sas.reveal();
            ("AZURE_STORAGE_SAS_TOKEN", sas, format!("BlobEndpoint={url};SharedAccessSignature={sas}"))
        }
        azure::Credentials::Identity(_) => {
            all.insert("AZURE_STORAGE_AUTH_MODE", Some("login".to_owned()));
            return all;
        }
    };
    all.insert(name, Some(secret.to_owned()));
    all.insert("AZURE_STORAGE_CONNECTION_STRING", Some(string));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsn::{self, Place};

    fn place(text: &str) -> Place {
        dsn::parse(text, None).unwrap().place
    }

    fn set(variables: &Variables) -> BTreeMap<&str, &str> {
        variables.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect()
    }

    #[test]
    fn a_bucket_gives_key_endpoint_and_region_and_takes_out_profiles() {
        let Place::S3(address) = place("s3://KEY:a%2Fb@media.sos-ch-dk-2.exo.io/") else { panic!("no bucket") };
        let all = s3(&address);
        let expected = BTreeMap::from([
            ("AWS_ACCESS_KEY_ID", "KEY"),
            ("AWS_SECRET_ACCESS_KEY", "a/b"),
            ("AWS_ENDPOINT_URL", "https://sos-ch-dk-2.exo.io"),
            ("AWS_ENDPOINT_URL_S3", "https://sos-ch-dk-2.exo.io"),
            ("AWS_REGION", "ch-dk-2"),
            ("AWS_DEFAULT_REGION", "ch-dk-2"),
        ]);
        assert_eq!(set(&all), expected);
        for name in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] {
            assert_eq!(all.get(name), Some(&None), "{name}");
        }
        let Place::S3(mut aws) = place("s3://KEY:S@media.s3.eu-central-1.amazonaws.com/") else { panic!("no bucket") };
        assert_eq!(s3(&aws).get("AWS_ENDPOINT_URL"), Some(&None), "that of somebody else would win");
        aws.credentials = crate::replica::s3::Credentials::Chain {
            profile: None,
            variables: crate::replica::s3::Variables::default(),
        };
        assert!(!s3(&aws).contains_key("AWS_ACCESS_KEY_ID") && !s3(&aws).contains_key("AWS_PROFILE"));
        aws.credentials = crate::replica::s3::Credentials::Chain {
            profile: Some("p".to_owned()),
            variables: crate::replica::s3::Variables::default(),
        };
        let named = s3(&aws);
        assert_eq!((named["AWS_PROFILE"].as_deref(), &named["AWS_ACCESS_KEY_ID"]), (Some("p"), &None));
    }

    #[test]
    fn a_container_gives_its_account_and_a_connection_string() {
        let key = "a/b+c3RlYWx0aHkga2V5IG9mIGFuIGFjY291bnQ=";
        let Place::Azure(mut address) = place(&format!("az://acct:{key}@blob.core.windows.net/media")) else {
            panic!()
        };
        let all = of_azure(&address);
        assert_eq!(set(&all)["AZURE_STORAGE_KEY"], key);
        let string = set(&all)["AZURE_STORAGE_CONNECTION_STRING"];
        let parts = format!("AccountName=acct;AccountKey={key};BlobEndpoint=https://acct.blob.core.windows.net");
        assert_eq!(string, format!("DefaultEndpointsProtocol=https;{parts}"));
        assert_eq!(all["AZURE_STORAGE_SAS_TOKEN"], None);
        address.credentials = azure::Credentials::Sas(crate::secret::Secret::new("sv=1&sig=x"));
        let all = of_azure(&address);
        assert_eq!((set(&all)["AZURE_STORAGE_SAS_TOKEN"], &all["AZURE_STORAGE_KEY"]), ("sv=1&sig=x", &None));
    }
}
