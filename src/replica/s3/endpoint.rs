//! What a host name says about an S3 service: which part is the bucket, what to contact, which region signs.
//!
//! Pure functions of text. Host names of the providers listed here are understood exactly and anchored at their
//! suffix, so that a bucket called `my.s3-backup` is not split in its middle; other hosts by a documented guess.
//! Nothing is looked up: a region that the host does not name stays `None`, to be discovered by a request.

use super::address::{Addressing, S3Address};
use super::bucket::is_dns_label;
use super::hosts::{aws_labels, aws_region, guess, recognise, suffix_partition};

/// What a host (without a bucket) is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// As [`S3Address::endpoint`]: `None` is AWS, by region.
    pub endpoint: Option<String>,
    /// Signing region, where the host tells it.
    pub region: Option<String>,
    /// `Virtual` where the service knows nothing else.
    pub addressing: Addressing,
    /// What was changed on the way.
    pub note: Option<Note>,
}

/// A host that is not the API, for which the API's host was taken instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// A static website's host.
    Website,
    /// A content delivery network's host.
    Cdn,
}

impl Note {
    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Website => "the host is a static website's, which has no API: using the region's S3 host instead",
            Self::Cdn => "the host is a content delivery network's, which has no API: using the region's host instead",
        }
    }
}

/// Why a host or endpoint is refused. Holds nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHost {
    /// An S3 access point: its name is no bucket's.
    #[error("S3 access points are not supported: name the bucket itself")]
    AccessPoint,
    /// A known provider, but not a host of its S3 API.
    #[error("the host is not one of the provider's S3 API hosts")]
    NotS3,
    /// Nothing stands before the service's host.
    #[error("the host names no bucket")]
    NoBucket,
    /// An endpoint with a bucket in it.
    #[error("the endpoint has a bucket name in it: give the host without it")]
    BucketInEndpoint,
    /// Not `http://` or `https://`.
    #[error("the endpoint must begin with https:// or http://")]
    Scheme,
    /// User information in an endpoint.
    #[error("the endpoint may not hold credentials")]
    Userinfo,
    /// A path or parameters in an endpoint.
    #[error("the endpoint may not have a path: only scheme, host and port")]
    Path,
    /// Not a host name, or a bad port.
    #[error("the endpoint is not a host name with an optional port")]
    Form,
}

/// A family of AWS regions with bucket names and accounts of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partition {
    /// The public regions.
    Aws,
    /// China.
    China,
    /// GovCloud.
    Gov,
    /// European Sovereign Cloud.
    Europe,
    /// An isolated partition.
    Isolated,
}

impl Partition {
    /// The partition of a region; `None` for a text that is not shaped like one (`accelerate`, `external-1`).
    pub fn of_region(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (first, rest) = (parts.next()?, parts.collect::<Vec<_>>());
        let (number, words) = rest.split_last()?;
        let letters = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
        let digits = (1..=2).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
        if !digits || !letters(&first) || !words.iter().all(letters) {
            return None;
        }
        match (first, words) {
            ("cn", [_]) => Some(Self::China),
            ("us", ["gov", _]) => Some(Self::Gov),
            ("eusc", [_, _]) => Some(Self::Europe),
            ("us" | "eu", [iso, _]) if iso.starts_with("iso") => Some(Self::Isolated),
            (continent, [_]) if continent.len() == 2 => Some(Self::Aws),
            _ => None,
        }
    }

    /// In canonical texts: bucket names are unique inside it.
    fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::China => "aws-cn",
            Self::Gov => "aws-us-gov",
            Self::Europe => "aws-eusc",
            Self::Isolated => "aws-iso",
        }
    }
}

/// Splits a host that begins with a bucket (`BUCKET.s3.eu-west-1.amazonaws.com`), without a port.
///
/// An unknown host is cut at its last `s3` or `s3-REGION` label, or else before its last three labels.
///
/// # Errors
/// See [`BadHost`].
pub fn split(host: &str) -> Result<(String, Service), BadHost> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if !is_host_name(&host) || host.parse::<std::net::Ipv4Addr>().is_ok() {
        return Err(BadHost::Form);
    }
    split_known(&host).unwrap_or_else(|| bucket_before(&host, guess(&host).ok_or(BadHost::NoBucket)?))
}

/// [`split`] for the hosts of known providers; `None` for any other. Takes lower case.
pub fn split_known(host: &str) -> Option<Result<(String, Service), BadHost>> {
    Some(recognise(host)?.and_then(|found| bucket_before(host, found)))
}

fn bucket_before(host: &str, (at, service): (usize, Service)) -> Result<(String, Service), BadHost> {
    let bucket = host[..at].strip_suffix('.').ok_or(BadHost::NoBucket)?;
    Ok((bucket.to_owned(), service))
}

/// Understands an endpoint: scheme, host and optional port, no bucket.
///
/// # Errors
/// See [`BadHost`].
pub fn resolve(url: &str) -> Result<Service, BadHost> {
    let (scheme, rest) = url.trim().split_once("://").ok_or(BadHost::Scheme)?;
    let scheme = Scheme::of(scheme).ok_or(BadHost::Scheme)?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains('@') {
        return Err(BadHost::Userinfo);
    }
    if rest.contains(['/', '?', '#']) {
        return Err(BadHost::Path);
    }
    let (host, port) = host_and_port(rest).ok_or(BadHost::Form)?;
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let port = port.filter(|port| *port != scheme.port());
    let explicit = match port {
        Some(port) => format!("{}://{host}:{port}", scheme.text()),
        None => format!("{}://{host}", scheme.text()),
    };
    let Some(known) = recognise(&host) else {
        let region = guess(&format!("bucket.{host}")).and_then(|(_, service)| service.region);
        return Ok(Service { endpoint: Some(explicit), region, addressing: Addressing::Auto, note: None });
    };
    let (at, mut service) = known?;
    if at != 0 {
        return Err(BadHost::BucketInEndpoint);
    }
    if scheme == Scheme::Http || port.is_some() {
        service.endpoint = Some(explicit);
    }
    Ok(service)
}

/// How the bucket goes into the URL; never [`Addressing::Auto`].
///
/// No virtual hosting for names with dots over TLS (the wildcard certificate covers one label), nor below an IP
/// address, even where it was asked for.
pub fn addressing(address: &S3Address) -> Addressing {
    let endpoint = address.endpoint.as_deref();
    let tls = !endpoint.is_some_and(|url| url.starts_with("http://"));
    let host = endpoint.and_then(endpoint_host);
    let ip = host.as_deref().is_some_and(|host| host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok());
    let possible = !ip && (is_dns_label(&address.bucket) || !tls);
    let aws = is_aws(endpoint);
    match address.addressing {
        Addressing::Virtual if possible => Addressing::Virtual,
        Addressing::Auto if possible && aws && is_dns_label(&address.bucket) => Addressing::Virtual,
        _ => Addressing::Path,
    }
}

/// Whether an address with this endpoint is on AWS.
pub fn is_aws(endpoint: Option<&str>) -> bool {
    endpoint.is_none_or(|url| endpoint_host(url).is_some_and(|host| aws_labels(&host).is_some()))
}

/// The name of the space in which bucket names are unique: an AWS partition, or a host with its port.
///
/// Equal for all spellings of one service: dash and dot forms, dual-stack, FIPS, accelerate, default ports,
/// `localhost` and `127.0.0.1`, a provider's alias for its first region.
pub fn identity(endpoint: Option<&str>, region: Option<&str>) -> String {
    let partition = region.and_then(Partition::of_region);
    let Some(url) = endpoint else {
        return partition.unwrap_or(Partition::Aws).name().to_owned();
    };
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/').to_ascii_lowercase();
    let Some((host, port)) = host_and_port(&rest) else { return rest };
    let host = host.trim_end_matches('.');
    if let Some((labels, suffix)) = aws_labels(host) {
        let named = aws_region(&labels).and_then(Partition::of_region);
        return named.or(partition).unwrap_or_else(|| suffix_partition(suffix)).name().to_owned();
    }
    let host = match host {
        "sos.exo.io" => "sos-ch-dk-2.exo.io",
        "s3.wasabisys.com" => "s3.us-east-1.wasabisys.com",
        "localhost" | "[::1]" => "127.0.0.1",
        other => other,
    };
    match port {
        None | Some(80 | 443) => host.to_owned(),
        Some(port) => format!("{host}:{port}"),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn of(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _ => None,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Labels of letters, digits, `-` and `_`, separated by single dots.
pub(crate) fn is_host_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    host.split('.').all(label)
}

/// `host`, `host:port`, `[v6]` and `[v6]:port`.
fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let cut = match text.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, port) = text.split_at(cut);
    let valid = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_host_name(host.trim_end_matches('.')),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => Some(port.parse::<u16>().ok().filter(|port| *port > 0)?),
        None if port.is_empty() => None,
        None => return None,
    };
    valid.then_some((host, port))
}

fn endpoint_host(url: &str) -> Option<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/');
    host_and_port(rest).map(|(host, _)| host.trim_end_matches('.').to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::s3::Credentials;

    fn service(host: &str) -> Result<(Option<String>, Option<String>), BadHost> {
        resolve(&format!("https://{host}")).map(|service| (service.endpoint, service.region))
    }

    #[test]
    fn what_a_service_host_means() {
        // Host, what is contacted (`None`: AWS by region), region.
        for (host, endpoint, region) in [
            ("s3.amazonaws.com", None, Some("us-east-1")),
            ("S3.AmazonAWS.com.", None, Some("us-east-1")),
            ("s3-external-1.amazonaws.com", None, Some("us-east-1")),
            ("s3.eu-west-1.amazonaws.com", None, Some("eu-west-1")),
            ("s3-eu-west-1.amazonaws.com", None, Some("eu-west-1")),
            ("s3.cn-north-1.amazonaws.com.cn", None, Some("cn-north-1")),
            ("s3.us-gov-west-1.amazonaws.com", None, Some("us-gov-west-1")),
            ("s3.eusc-de-east-1.amazonaws.eu", None, Some("eusc-de-east-1")),
            ("s3.us-iso-east-1.c2s.ic.gov", Some("s3.us-iso-east-1.c2s.ic.gov"), Some("us-iso-east-1")),
            ("s3.dualstack.eu-west-1.amazonaws.com", Some("s3.dualstack.eu-west-1.amazonaws.com"), Some("eu-west-1")),
            ("s3-fips.us-east-1.amazonaws.com", Some("s3-fips.us-east-1.amazonaws.com"), Some("us-east-1")),
            ("s3-fips-us-gov-west-1.amazonaws.com", Some("s3-fips.us-gov-west-1.amazonaws.com"), Some("us-gov-west-1")),
            (
                "s3-fips.dualstack.us-east-1.amazonaws.com",
                Some("s3-fips.dualstack.us-east-1.amazonaws.com"),
                Some("us-east-1"),
            ),
            ("s3.eu-west-1.api.aws", Some("s3.eu-west-1.api.aws"), Some("eu-west-1")),
            ("s3-accelerate.amazonaws.com", Some("s3-accelerate.amazonaws.com"), None),
            ("s3-accelerate.dualstack.amazonaws.com", Some("s3-accelerate.dualstack.amazonaws.com"), None),
            ("s3-website-us-east-1.amazonaws.com", None, Some("us-east-1")),
            ("s3-website.eu-central-1.amazonaws.com", None, Some("eu-central-1")),
            ("s3.amazonaws.com.cn", Some("s3.amazonaws.com.cn"), None),
            ("sos-ch-dk-2.exo.io", Some("sos-ch-dk-2.exo.io"), Some("ch-dk-2")),
            ("sos.exo.io", Some("sos.exo.io"), Some("ch-dk-2")),
            ("fra1.digitaloceanspaces.com", Some("fra1.digitaloceanspaces.com"), Some("fra1")),
            ("fra1.cdn.digitaloceanspaces.com", Some("fra1.digitaloceanspaces.com"), Some("fra1")),
            ("fsn1.your-objectstorage.com", Some("fsn1.your-objectstorage.com"), Some("fsn1")),
            ("acct.r2.cloudflarestorage.com", Some("acct.r2.cloudflarestorage.com"), Some("auto")),
            ("acct.eu.r2.cloudflarestorage.com", Some("acct.eu.r2.cloudflarestorage.com"), Some("auto")),
            ("s3.us-west-004.backblazeb2.com", Some("s3.us-west-004.backblazeb2.com"), Some("us-west-004")),
            ("s3.wasabisys.com", Some("s3.wasabisys.com"), Some("us-east-1")),
            ("s3.us-central-1.wasabisys.com", Some("s3.us-central-1.wasabisys.com"), Some("us-central-1")),
            ("s3.gra.io.cloud.ovh.net", Some("s3.gra.io.cloud.ovh.net"), Some("gra")),
            ("s3.us-east-va.io.cloud.ovh.us", Some("s3.us-east-va.io.cloud.ovh.us"), Some("us-east-va")),
            ("s3.fr-par.scw.cloud", Some("s3.fr-par.scw.cloud"), Some("fr-par")),
            ("s3.eu-central-3.ionoscloud.com", Some("s3.eu-central-3.ionoscloud.com"), Some("eu-central-3")),
            ("s3.storage.example.com", Some("s3.storage.example.com"), None),
            ("minio.local", Some("minio.local"), None),
            ("minio", Some("minio"), None),
        ] {
            let wanted = (endpoint.map(|host| format!("https://{host}")), region.map(str::to_owned));
            assert_eq!(service(host), Ok(wanted), "{host}");
        }
        assert_eq!(resolve("https://s3-website.eu-central-1.amazonaws.com").unwrap().note, Some(Note::Website));
        assert_eq!(resolve("https://fra1.cdn.digitaloceanspaces.com").unwrap().note, Some(Note::Cdn));
        assert_eq!(resolve("https://s3-accelerate.amazonaws.com").unwrap().addressing, Addressing::Virtual);
    }

    #[test]
    fn endpoints_keep_scheme_and_port() {
        for (text, wanted) in [
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("HTTP://MinIO.local:9000/", "http://minio.local:9000"),
            ("https://minio.local:443", "https://minio.local"),
            ("http://minio:80", "http://minio"),
            ("http://[::1]:9000", "http://[::1]:9000"),
            ("http://s3.eu-west-1.amazonaws.com", "http://s3.eu-west-1.amazonaws.com"),
        ] {
            assert_eq!(resolve(text).unwrap().endpoint.as_deref(), Some(wanted), "{text}");
        }
    }

    #[test]
    fn refused_hosts_and_endpoints() {
        for (url, wanted) in [
            ("minio.local:9000", BadHost::Scheme),
            ("ftp://minio.local", BadHost::Scheme),
            ("", BadHost::Scheme),
            ("http://user:pass@minio.local", BadHost::Userinfo),
            ("https://minio.local/base", BadHost::Path),
            ("https://minio.local?x", BadHost::Path),
            ("https://", BadHost::Form),
            ("https://a b", BadHost::Form),
            ("https://minio:0", BadHost::Form),
            ("https://minio:70000", BadHost::Form),
            ("https://minio:", BadHost::Form),
            ("https://[::1", BadHost::Form),
            ("https://[zz]:1", BadHost::Form),
            ("https://b.s3.eu-west-1.amazonaws.com", BadHost::BucketInEndpoint),
            ("https://b.fra1.digitaloceanspaces.com", BadHost::BucketInEndpoint),
            ("https://ec2.eu-west-1.amazonaws.com", BadHost::NotS3),
            ("https://www.exo.io", BadHost::NotS3),
        ] {
            assert_eq!(resolve(url).unwrap_err(), wanted, "{url}");
        }
        for (host, wanted) in [
            ("ap-123456789012.s3-accesspoint.eu-west-1.amazonaws.com", BadHost::AccessPoint),
            ("ap-123456789012.s3-accesspoint-fips.dualstack.us-east-1.amazonaws.com", BadHost::AccessPoint),
            ("alias.mrap.accesspoint.s3-global.amazonaws.com", BadHost::AccessPoint),
            ("123.s3-control.us-east-1.amazonaws.com", BadHost::NotS3),
            ("b.s3.accelerate.amazonaws.com", BadHost::NotS3),
            ("s3.eu-west-1.amazonaws.com", BadHost::NoBucket),
            ("example.com", BadHost::NoBucket),
            ("a.example.com", BadHost::NoBucket),
            ("minio", BadHost::NoBucket),
            ("127.0.0.1", BadHost::Form),
            ("a..b.example.com", BadHost::Form),
        ] {
            assert_eq!(split(host).unwrap_err(), wanted, "{host}");
        }
    }

    #[test]
    fn regions_have_a_shape() {
        for (text, wanted) in [
            ("eu-west-1", Some(Partition::Aws)),
            ("ap-southeast-7", Some(Partition::Aws)),
            ("mx-central-1", Some(Partition::Aws)),
            ("il-central-1", Some(Partition::Aws)),
            ("cn-northwest-1", Some(Partition::China)),
            ("us-gov-west-1", Some(Partition::Gov)),
            ("eusc-de-east-1", Some(Partition::Europe)),
            ("us-isob-east-1", Some(Partition::Isolated)),
            ("eu-isoe-west-1", Some(Partition::Isolated)),
            ("accelerate", None),
            ("website", None),
            ("website-us-east-1", None),
            ("external-1", None),
            ("fips-us-gov-west-1", None),
            ("eu-west", None),
            ("eu-west-", None),
            ("eu--1", None),
            ("EU-west-1", None),
            ("", None),
        ] {
            assert_eq!(Partition::of_region(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_bucket_goes_into_the_host_only_where_that_works() {
        use Addressing::{Auto, Path, Virtual};
        for (style, bucket, endpoint, wanted) in [
            (Auto, "media", None, Virtual),
            (Auto, "media", Some("https://s3-fips.us-east-1.amazonaws.com"), Virtual),
            (Auto, "a.media.org", None, Path),
            (Virtual, "a.media.org", None, Path),
            (Auto, "Media", None, Path),
            (Auto, "media", Some("https://sos-ch-dk-2.exo.io"), Path),
            (Virtual, "media", Some("https://sos-ch-dk-2.exo.io"), Virtual),
            (Virtual, "a.media.org", Some("https://sos-ch-dk-2.exo.io"), Path),
            (Virtual, "a.media.org", Some("http://minio.local:9000"), Virtual),
            (Virtual, "media", Some("http://127.0.0.1:9000"), Path),
            (Virtual, "media", Some("http://[::1]:9000"), Path),
            (Path, "media", None, Path),
        ] {
            let address = S3Address {
                bucket: bucket.to_owned(),
                prefix: String::new(),
                endpoint: endpoint.map(str::to_owned),
                region: None,
                addressing: style,
                credentials: Credentials::Chain { profile: None, variables: crate::replica::s3::Variables::default() },
                acl: None,
                public_url: None,
                said: Box::default(),
            };
            assert_eq!(addressing(&address), wanted, "{style:?} {bucket} {endpoint:?}");
        }
    }

    #[test]
    fn one_service_has_one_identity() {
        for (endpoint, region, wanted) in [
            (None, None, "aws"),
            (None, Some("eu-west-1"), "aws"),
            (None, Some("cn-north-1"), "aws-cn"),
            (None, Some("us-gov-west-1"), "aws-us-gov"),
            (None, Some("eusc-de-east-1"), "aws-eusc"),
            (Some("https://s3.eu-west-1.amazonaws.com"), None, "aws"),
            (Some("https://s3-eu-west-1.amazonaws.com"), None, "aws"),
            (Some("https://S3.dualstack.eu-west-1.amazonaws.com:443/"), None, "aws"),
            (Some("http://s3-accelerate.amazonaws.com"), None, "aws"),
            (Some("https://s3-fips.us-gov-west-1.amazonaws.com"), None, "aws-us-gov"),
            (Some("https://s3-fips-us-gov-west-1.amazonaws.com"), None, "aws-us-gov"),
            (Some("https://s3.amazonaws.com.cn"), None, "aws-cn"),
            (Some("https://sos.exo.io"), None, "sos-ch-dk-2.exo.io"),
            (Some("https://s3.wasabisys.com"), None, "s3.us-east-1.wasabisys.com"),
            (Some("http://LOCALHOST:9000"), None, "127.0.0.1:9000"),
            (Some("http://[::1]:9000"), None, "127.0.0.1:9000"),
            (Some("http://minio:80"), None, "minio"),
            (Some("https://minio."), Some("eu-west-1"), "minio"),
        ] {
            assert_eq!(identity(endpoint, region), wanted, "{endpoint:?} {region:?}");
        }
    }
}
