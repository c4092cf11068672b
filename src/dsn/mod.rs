//! Storage DSNs: `s3://KEY:SECRET@BUCKET.HOST/PREFIX?PARAMETERS`, `az://ACCOUNT:SECRET@HOST/CONTAINER` and `file:///PATH`, as Django projects have them
//! in `DEFAULT_STORAGE_DSN`.
//!
//! Reads what the reference library (django-storage-url 0.12) reads, to the same bucket and prefix, and more:
//! hosts that it splits wrongly, secrets with unencoded characters, values with quotes, line breaks or a leading
//! `NAME=`. Own parameters: `endpoint` (scheme, host and port; the DSN's host is then the bucket), `region` and
//! `prefix`. SigV4 signs whatever `auth` says.
//!
//! Promises that no error and no warning holds anything of what stands before the host, and [`redact`]s DSNs in
//! other texts. Does not contact anybody.

use std::borrow::Cow;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use parameters::Parameters;
use text::{Parts, as_the_reference_writes, tidy};

use crate::replica::azure::AzureAddress;
use crate::replica::s3::bucket::{Naming, check_bucket, clean_prefix, join_prefix};
use crate::replica::s3::endpoint::{self, Service};
use crate::replica::s3::{Addressing, Credentials, S3Address};
use crate::secret::Secret;

mod azure;
mod envelope;
mod fault;
mod parameters;
mod redact;
mod text;

pub use envelope::{NotFound, VARIABLE, unwrap};
pub use fault::{DsnError, Fault};
pub use redact::redact;
pub(crate) use text::{escape_warning, is_variable, query_pairs, url_below};

/// What a DSN says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dsn {
    /// The place.
    pub place: Place,
    /// What was understood with some doubt, for people; holds no secret.
    pub warnings: Vec<String>,
}

/// Where a DSN points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A bucket prefix, with credentials.
    S3(S3Address),
    /// A container prefix, with credentials.
    Azure(AzureAddress),
    /// A local directory, as written.
    Local(PathBuf),
}

/// Reads a DSN. `variable` is where the text came from, for messages.
///
/// # Errors
/// [`DsnError`], which can be shown to anybody.
pub fn parse(text: &str, variable: Option<&str>) -> Result<Dsn, DsnError> {
    let text = tidy(text);
    let scheme = text.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    let result = match scheme.as_deref() {
        _ if text.is_empty() => Err(Fault::Empty),
        Some("file") => local(&text["file:".len()..]),
        Some("s3") => text["s3:".len()..].strip_prefix("//").ok_or(Fault::Scheme).and_then(s3),
        Some(scheme @ ("az" | "azure")) => {
            text[scheme.len() + 1..].strip_prefix("//").ok_or(Fault::Scheme).and_then(azure::parse)
        }
        _ => Err(Fault::Scheme),
    };
    result.map_err(|fault| DsnError { variable: variable.map(str::to_owned), fault })
}

/// `file:` and what follows. The path is taken literally: the reference does not percent-decode it.
fn local(rest: &str) -> Result<Dsn, Fault> {
    let rest = rest.split('?').next().unwrap_or(rest);
    let path = match rest.strip_prefix("//") {
        Some(hosted) => {
            let slash = hosted.find('/').unwrap_or(hosted.len());
            if !matches!(&hosted[..slash], "" | "localhost") {
                return Err(Fault::FileHost);
            }
            &hosted[slash..]
        }
        None => rest,
    };
    if path.is_empty() {
        return Err(Fault::NoPath);
    }
    let path = match path.trim_start_matches('/') {
        relative if relative.len() == path.len() => path.to_owned(),
        absolute => format!("/{absolute}"),
    };
    let warnings = escape_warning(&path).into_iter().collect();
    Ok(Dsn { place: Place::Local(PathBuf::from(path)), warnings })
}

fn s3(rest: &str) -> Result<Dsn, Fault> {
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    if query.contains('@') {
        return Err(Fault::AtAfterQuestion);
    }
    let mut warnings = Vec::new();
    let parameters = Parameters::read(query, &mut warnings);
    if parameters.container.is_some() {
        warnings.push("the DSN's parameter \"container\" means nothing for S3 and was ignored".to_owned());
    }
    let parts = Parts::cut(before, parameters.endpoint.is_some())?;
    let credentials = credentials(parts.userinfo, &mut warnings)?;
    let (bucket, service) = place(parts.host, parameters.endpoint.as_deref())?;
    if let Some(note) = service.note {
        warnings.push(note.text().to_owned());
    }
    let region = region(&service, &parameters, &mut warnings);
    let (endpoint, addressing) = reach(service, &bucket, parameters.addressing_style.as_deref(), &mut warnings)?;
    let naming = if endpoint::is_aws(endpoint.as_deref()) { Naming::Aws } else { Naming::Other };
    check_bucket(&bucket, naming).map_err(Fault::Name)?;
    if parts.path.contains('#') {
        return Err(Fault::Fragment);
    }
    let path = clean_prefix(&as_the_reference_writes(parts.path)).map_err(Fault::Name)?;
    warnings.extend(escape_warning(&path));
    let below = clean_prefix(parameters.prefix.as_deref().unwrap_or_default()).map_err(Fault::Name)?;
    let domain = parameters.domain_url()?;
    let acl = match parameters.acl.as_deref() {
        None => Some("public-read".to_owned()),
        Some("") => None,
        Some(acl) if CANNED_ACLS.contains(&acl) => Some(acl.to_owned()),
        Some(_) => return Err(Fault::Value("acl")),
    };
    let mut address = S3Address {
        bucket,
        prefix: join_prefix(&path, &below),
        endpoint,
        region,
        addressing,
        credentials,
        acl,
        public_url: None,
        said: Box::default(),
    };
    address.public_url = public_url((&parameters, domain), parts.host, &address, &below, &mut warnings);
    Ok(Dsn { place: Place::S3(address), warnings })
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#canned-acl>
const CANNED_ACLS: [&str; 8] = [
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
    "log-delivery-write",
];

fn credentials(userinfo: &str, warnings: &mut Vec<String>) -> Result<Credentials, Fault> {
    let (key, secret) = userinfo.split_once(':').ok_or(Fault::NoSecret)?;
    let decode = |text: &str| {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        percent_decode_str(&text).decode_utf8().map(Cow::into_owned).map_err(|_| Fault::SecretEncoding)
    };
    let raw: Vec<String> =
        ['/', '@', '+', '#'].iter().filter(|c| secret.contains(**c)).map(|c| format!("`{c}`")).collect();
    if !raw.is_empty() {
        warnings.push(format!(
            "the DSN's secret holds unencoded {}: understood, but other programs may not",
            raw.join(", ")
        ));
    }
    let (access_key, secret) = (decode(key)?, decode(secret)?);
    if access_key.is_empty() || secret.is_empty() {
        return Err(Fault::NoSecret);
    }
    Ok(Credentials::Static { access_key, secret: Secret::new(secret), session_token: None })
}

/// Bucket and service. With `endpoint=` the whole host is the bucket, unless it ends with that endpoint's host or
/// is a known provider's.
fn place(host: &str, endpoint: Option<&str>) -> Result<(String, Service), Fault> {
    let Some(url) = endpoint else {
        return endpoint::split(host).map_err(Fault::Host);
    };
    let service = endpoint::resolve(url).map_err(Fault::Host)?;
    let own = url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/');
    let own = own.rsplit_once(':').map_or(own, |(own, _)| own);
    let lower = host.to_ascii_lowercase();
    if let Some(bucket) = lower.strip_suffix(&own.to_ascii_lowercase()).and_then(|left| left.strip_suffix('.')) {
        return Ok((bucket.to_owned(), service));
    }
    match endpoint::split_known(&lower) {
        Some(Ok((bucket, _))) => Ok((bucket, service)),
        _ => Ok((host.to_owned(), service)),
    }
}

/// `region=` wins over the host, the host over `region_name=` (the reference reads that one only where the host
/// says nothing).
fn region(service: &Service, parameters: &Parameters, warnings: &mut Vec<String>) -> Option<String> {
    if let (Some(own), Some(asked)) = (&service.region, parameters.region.as_ref().or(parameters.region_name.as_ref()))
        && own != asked
    {
        warnings.push("the DSN's region parameter and its host name different regions".to_owned());
    }
    parameters.region.clone().or_else(|| service.region.clone()).or_else(|| parameters.region_name.clone())
}

/// Endpoint and addressing; a bucket with dots can't use transfer acceleration and gets the plain service.
fn reach(
    service: Service,
    bucket: &str,
    style: Option<&str>,
    warnings: &mut Vec<String>,
) -> Result<(Option<String>, Addressing), Fault> {
    let asked = match style {
        None | Some("" | "auto") => Addressing::Auto,
        Some("path") => Addressing::Path,
        Some("virtual") => Addressing::Virtual,
        Some(_) => return Err(Fault::Value("addressing_style")),
    };
    if service.addressing != Addressing::Virtual {
        if asked == Addressing::Virtual && bucket.contains('.') {
            warnings.push("the bucket name has a dot: path style is used, because TLS needs it".to_owned());
        }
        return Ok((service.endpoint, asked));
    }
    if bucket.contains('.') || asked == Addressing::Path {
        warnings
            .push("transfer acceleration needs virtual hosting and a bucket name without dots: not used".to_owned());
        return Ok((None, asked));
    }
    Ok((service.endpoint, Addressing::Virtual))
}

/// Where the public reads what lies below the prefix: `url=` is the whole base, else `domain=`, else the bucket.
fn public_url(
    (parameters, domain): (&Parameters, Option<String>),
    host: &str,
    address: &S3Address,
    below: &str,
    warnings: &mut Vec<String>,
) -> Option<String> {
    if let Some(url) = &parameters.url {
        let full = if url.starts_with("//") { format!("https:{url}") } else { url.clone() };
        if full.starts_with("https://") || full.starts_with("http://") {
            return Some(url_below(&full, below));
        }
        warnings.push("the DSN's parameter \"url\" is no absolute URL and was ignored".to_owned());
    }
    if let Some(domain) = domain {
        return Some(url_below(&domain, &address.prefix));
    }
    let host = host.to_ascii_lowercase();
    match &address.endpoint {
        // Not public without a domain of its own.
        Some(url) if url.contains(".r2.cloudflarestorage.com") => None,
        Some(url) if parameters.endpoint.is_some() || address.bucket.contains('.') => {
            Some(url_below(&format!("{url}/{}", address.bucket), &address.prefix))
        }
        None if address.bucket.contains('.') => {
            let region = address.region.as_deref()?;
            let cn = if region.starts_with("cn-") { ".cn" } else { "" };
            Some(url_below(&format!("https://s3.{region}.amazonaws.com{cn}/{}", address.bucket), &address.prefix))
        }
        _ => Some(url_below(&format!("https://{host}"), &address.prefix)),
    }
}

#[cfg(test)]
mod tests;
