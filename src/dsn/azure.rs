//! `az://ACCOUNT:SECRET@HOST/CONTAINER`: the secret is the base64 of a shared access signature, or the account's key.
//!
//! As the reference reads it, and more: an empty path is the container `public-media`, `cont/sub` is the container `cont`
//! with a prefix, the account is not put before a host that begins with it. The host is the service's only where it says
//! so (`blob.` in it): the reference contacts the public cloud whatever it is, and shows it to the public.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::percent_decode_str;

use super::fault::Fault;
use super::parameters::Parameters;
use super::text::{Parts, escape_warning, url_below};
use super::{Dsn, Place};
use crate::replica::azure::{
    AzureAddress, Credentials, check_account, check_container, clean_endpoint, is_sas, tidy_sas,
};
use crate::replica::s3::bucket::{clean_prefix, join_prefix};
use crate::secret::Secret;

/// The container of a DSN that names none, as platforms have it.
const CONTAINER: &str = "public-media";

/// What follows `az://`.
pub(super) fn parse(rest: &str) -> Result<Dsn, Fault> {
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    if query.contains('@') {
        return Err(Fault::AtAfterQuestion);
    }
    let mut warnings = Vec::new();
    let parameters = Parameters::read(query, &mut warnings);
    for (name, is_given) in [
        ("acl", parameters.acl.is_some()),
        ("region", parameters.region.is_some() || parameters.region_name.is_some()),
        ("addressing_style", parameters.addressing_style.is_some()),
    ] {
        if is_given {
            warnings.push(format!("the DSN's parameter {name:?} means nothing for Azure and was ignored"));
        }
    }
    let parts = Parts::cut(before, parameters.endpoint.is_some())?;
    let (account, credentials) = who(parts.userinfo)?;
    let host = parts.host.to_ascii_lowercase();
    let endpoint = match &parameters.endpoint {
        Some(url) => clean_endpoint(url, &account).map_err(Fault::Azure)?,
        None if host.split('.').any(|label| label == "blob") => {
            clean_endpoint(&format!("https://{}", with_account(&account, &host)), &account).map_err(Fault::Azure)?
        }
        None => None,
    };
    if parts.path.contains('#') {
        return Err(Fault::Fragment);
    }
    let path = clean_prefix(parts.path).map_err(Fault::Name)?;
    let (first, below) = path.split_once('/').unwrap_or((&path, ""));
    let container = match (first, parameters.container.as_deref()) {
        ("", None) => CONTAINER,
        ("", Some(container)) => container,
        (first, Some(container)) if first != container => return Err(Fault::Value("container")),
        (first, _) => first,
    };
    check_container(container).map_err(Fault::Azure)?;
    let below = clean_prefix(below).map_err(Fault::Name)?;
    warnings.extend(escape_warning(&below));
    let more = clean_prefix(parameters.prefix.as_deref().unwrap_or_default()).map_err(Fault::Name)?;
    let domain = parameters.domain_url()?;
    let mut address = AzureAddress {
        account,
        container: container.to_owned(),
        prefix: join_prefix(&below, &more),
        endpoint,
        credentials,
        renewal: None,
        public_url: None,
    };
    address.public_url = Some(public_url((&parameters, domain), &host, &address, &more));
    Ok(Dsn { place: Place::Azure(address), warnings })
}

/// `acct.host`, whether the account stands there already or not.
fn with_account(account: &str, host: &str) -> String {
    if host.starts_with(&format!("{account}.")) { host.to_owned() } else { format!("{account}.{host}") }
}

fn who(userinfo: &str) -> Result<(String, Credentials), Fault> {
    let (account, secret) = userinfo.split_once(':').ok_or(Fault::NoSecret)?;
    let decode = |text: &str| {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        percent_decode_str(&text).decode_utf8().map(String::from).map_err(|_| Fault::SecretEncoding)
    };
    let (account, secret) = (decode(account)?, decode(secret)?);
    check_account(&account).map_err(Fault::Azure)?;
    credentials(&secret).map(|credentials| (account, credentials)).ok_or(Fault::AzureSecret)
}

/// A shared access signature in base64 or as it is, or a key. What copying took off its end is put back.
fn credentials(secret: &str) -> Option<Credentials> {
    if is_sas(secret) {
        return Some(Credentials::Sas(Secret::new(tidy_sas(secret))));
    }
    let plain = secret.trim_end_matches('=').replace('-', "+").replace('_', "/");
    let padded = format!("{plain}{}", "=".repeat((4 - plain.len() % 4) % 4));
    let decoded = BASE64.decode(&padded).ok().filter(|decoded| !decoded.is_empty())?;
    match std::str::from_utf8(&decoded) {
        Ok(text) if is_sas(text) => Some(Credentials::Sas(Secret::new(tidy_sas(text)))),
        _ => Some(Credentials::Key(Secret::new(padded))),
    }
}

/// Where the public reads what lies below the prefix: `url=` is the whole base, else `domain=`, else the account.
fn public_url(
    (parameters, domain): (&Parameters, Option<String>),
    host: &str,
    address: &AzureAddress,
    more: &str,
) -> String {
    if let Some(url) = &parameters.url {
        let full = if url.starts_with("//") { format!("https:{url}") } else { url.clone() };
        if full.starts_with("https://") || full.starts_with("http://") {
            return url_below(&full, more);
        }
    }
    let base = match (domain, &parameters.endpoint) {
        (Some(domain), _) => domain,
        (None, Some(_)) => address.service_url(),
        (None, None) => format!("https://{}", with_account(&address.account, host)),
    };
    url_below(&format!("{base}/{}", address.container), &address.prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `sv=2018-11-09&sig=a%2Bb%3D`.
    const SAS: &str = "c3Y9MjAxOC0xMS0wOSZzaWc9YSUyQmIlM0Q=";
    const KEY: &str = "a/b+c3RlYWx0aHkga2V5IG9mIGFuIGFjY291bnQ=";

    fn read(text: &str) -> AzureAddress {
        match parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}")).place {
            Place::Azure(address) => address,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn secrets_are_signatures_or_keys_whatever_copying_did_to_them() {
        let sas = Credentials::Sas(Secret::new("sv=2018-11-09&sig=a%2Bb%3D"));
        let key = Credentials::Key(Secret::new(KEY));
        let encoded = SAS.replace('=', "%3D");
        for (secret, wanted) in [
            (SAS, &sas),
            (SAS.trim_end_matches('='), &sas),
            (&encoded, &sas),
            ("P3N2PTIwMTgtMTEtMDkmc2lnPWElMkJiJTNE", &sas),
            ("sv%3D2018-11-09%26sig%3Da%252Bb%253D", &sas),
            (KEY, &key),
            (KEY.trim_end_matches('='), &key),
            ("a%2Fb%2Bc3RlYWx0aHkga2V5IG9mIGFuIGFjY291bnQ%3D", &key),
            ("a_b-c3RlYWx0aHkga2V5IG9mIGFuIGFjY291bnQ=", &key),
        ] {
            assert_eq!(read(&format!("acct:{secret}@blob.core.windows.net/media")).credentials, *wanted, "{secret}");
        }
        let fault = |text: &str| parse(text).unwrap_err();
        assert_eq!(fault("acct:n*t base64@blob.core.windows.net"), Fault::AzureSecret);
        assert_eq!(fault("acct:@blob.core.windows.net"), Fault::AzureSecret);
        assert_eq!(fault("acct@blob.core.windows.net"), Fault::NoSecret);
        assert_eq!(fault("blob.core.windows.net/media"), Fault::NoUserinfo);
        assert_eq!(fault(&format!("acct:{SAS}@127.0.0.1:10000/media")), Fault::Port);
    }

    #[test]
    fn places_are_those_of_the_reference_and_more() {
        let public = "https://acct.blob.core.windows.net";
        for (rest, container, prefix, endpoint, url) in [
            ("@blob.core.windows.net", "public-media", "", None, format!("{public}/public-media")),
            ("@blob.core.windows.net/", "public-media", "", None, format!("{public}/public-media")),
            ("@blob.core.windows.net/media", "media", "", None, format!("{public}/media")),
            ("@BLOB.core.windows.net/media/", "media", "", None, format!("{public}/media")),
            ("@acct.blob.core.windows.net/media", "media", "", None, format!("{public}/media")),
            ("@blob.core.windows.net/cont/sub", "cont", "sub", None, format!("{public}/cont/sub")),
            ("@blob.core.windows.net/cont/a?prefix=b/c", "cont", "a/b/c", None, format!("{public}/cont/a/b/c")),
            ("@blob.core.windows.net?container=other", "other", "", None, format!("{public}/other")),
            ("@media.example.com/cont", "cont", "", None, "https://acct.media.example.com/cont".to_owned()),
            (
                "@blob.core.windows.net/cont?domain=cdn.example.com",
                "cont",
                "",
                None,
                "https://cdn.example.com/cont".to_owned(),
            ),
            (
                "@blob.core.windows.net/cont?url=//cdn.example.com/x",
                "cont",
                "",
                None,
                "https://cdn.example.com/x".to_owned(),
            ),
            (
                "@blob.core.chinacloudapi.cn/cont",
                "cont",
                "",
                Some("https://acct.blob.core.chinacloudapi.cn"),
                "https://acct.blob.core.chinacloudapi.cn/cont".to_owned(),
            ),
            (
                "@local/cont?endpoint=http://127.0.0.1:10000/acct",
                "cont",
                "",
                Some("http://127.0.0.1:10000/acct"),
                "http://127.0.0.1:10000/acct/cont".to_owned(),
            ),
        ] {
            let read = read(&format!("acct:{SAS}{rest}"));
            assert_eq!((read.container.as_str(), read.prefix.as_str()), (container, prefix), "{rest}");
            assert_eq!(read.endpoint.as_deref(), endpoint, "{rest}");
            assert_eq!(read.public_url.as_deref(), Some(url.as_str()), "{rest}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_without_the_secret() {
        use crate::replica::azure::BadPlace;
        let fault = |rest: &str| parse(&format!("acct:{SAS}{rest}")).unwrap_err();
        assert_eq!(fault("@blob.core.windows.net/Media"), Fault::Azure(BadPlace::Container));
        assert_eq!(fault("@blob.core.windows.net/a?container=b"), Fault::Value("container"));
        assert_eq!(fault("@blob.core.windows.net/cont?endpoint=nonsense"), Fault::Azure(BadPlace::Endpoint));
        assert_eq!(
            fault("@blob.core.windows.net/cont//x"),
            Fault::Name(crate::replica::s3::bucket::BadName::PrefixEmptyComponent)
        );
        let account = parse(&format!("Acct.x:{SAS}@blob.core.windows.net/media")).unwrap_err();
        assert_eq!(account, Fault::Azure(BadPlace::Account));
        let warned = parse(&format!("acct:{SAS}@blob.core.windows.net/c0nt?acl=private&region=x&huh=1")).unwrap();
        assert_eq!(warned.warnings.len(), 3, "{:?}", warned.warnings);
        assert!(!format!("{warned:?}").contains("a%2Bb"));
    }
}
