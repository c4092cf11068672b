//! The host names of known providers, anchored at their suffixes, and a guess for all others.
//!
//! Source of the AWS forms: <https://docs.aws.amazon.com/general/latest/gr/s3.html> and the partition data of the
//! AWS SDKs; of the others: their documentation.

use super::address::Addressing;
use super::endpoint::{BadHost, Note, Partition, Service};

/// The suffixes of AWS's hosts; each before those that it ends with.
const AWS_SUFFIXES: [&str; 10] = [
    "amazonaws.com.cn",
    "amazonaws.com",
    "amazonaws.eu",
    "api.amazonwebservices.com.cn",
    "api.amazonwebservices.eu",
    "api.aws",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
];

pub(super) fn suffix_partition(suffix: &str) -> Partition {
    match suffix {
        "amazonaws.com" | "api.aws" => Partition::Aws,
        "amazonaws.com.cn" | "api.amazonwebservices.com.cn" => Partition::China,
        "amazonaws.eu" | "api.amazonwebservices.eu" => Partition::Europe,
        _ => Partition::Isolated,
    }
}

/// The labels before an AWS suffix, and the suffix.
pub(super) fn aws_labels(host: &str) -> Option<(Vec<&str>, &'static str)> {
    AWS_SUFFIXES.iter().find_map(|suffix| Some((before(host, suffix)?.split('.').collect(), *suffix)))
}

/// The region that the labels of an AWS service host name.
pub(super) fn aws_region<'a>(labels: &[&'a str]) -> Option<&'a str> {
    aws_form(labels)?.1
}

/// What stands before `.suffix`.
fn before<'a>(host: &'a str, suffix: &str) -> Option<&'a str> {
    host.strip_suffix(suffix)?.strip_suffix('.')
}

/// Where a known provider's service host begins in `host`, and what it is.
pub(super) fn recognise(host: &str) -> Option<Result<(usize, Service), BadHost>> {
    if let Some((labels, suffix)) = aws_labels(host) {
        // A form reaches to the suffix, so a bucket may be called `s3` or `my.s3-backup`.
        let found = (0..labels.len()).find_map(|at| Some((at, aws_form(&labels[at..])?)));
        return Some(match found {
            None => Err(BadHost::NotS3),
            Some((_, (Form::AccessPoint, _))) => Err(BadHost::AccessPoint),
            Some((at, (form, region))) => Ok((offset(&labels, at), aws_service(form, region, suffix))),
        });
    }
    PROVIDERS.iter().find_map(|(suffix, hosts)| {
        let labels: Vec<&str> = before(host, suffix)?.split('.').collect();
        Some(hosts.understand(&labels, suffix).ok_or(BadHost::NotS3))
    })
}

/// Byte position of label `at`.
fn offset(labels: &[&str], at: usize) -> usize {
    labels[..at].iter().map(|label| label.len() + 1).sum()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Global,
    DualStack,
    Fips,
    FipsDualStack,
    Accelerate,
    AccelerateDualStack,
    Website,
    AccessPoint,
}

/// Reads the labels of an AWS service host, without a bucket and without the suffix.
fn aws_form<'a>(labels: &[&'a str]) -> Option<(Form, Option<&'a str>)> {
    let with = |form: Form, region: &'a str| Partition::of_region(region).map(|_| (form, Some(region)));
    match *labels {
        ["s3" | "s3-external-1"] => Some((Form::Global, None)),
        ["s3-accelerate"] => Some((Form::Accelerate, None)),
        ["s3-accelerate", "dualstack"] => Some((Form::AccelerateDualStack, None)),
        ["accesspoint", "s3-global"] => Some((Form::AccessPoint, None)),
        [one] => [("s3-website-", Form::Website), ("s3-fips-", Form::Fips), ("s3-", Form::Plain)]
            .into_iter()
            .find_map(|(start, form)| with(form, one.strip_prefix(start)?)),
        ["s3", region] => with(Form::Plain, region),
        ["s3-fips", region] => with(Form::Fips, region),
        ["s3-website", region] => with(Form::Website, region),
        ["s3", "dualstack", region] => with(Form::DualStack, region),
        ["s3-fips", "dualstack", region] => with(Form::FipsDualStack, region),
        ["s3-accesspoint" | "s3-accesspoint-fips", region]
        | ["s3-accesspoint" | "s3-accesspoint-fips", "dualstack", region] => with(Form::AccessPoint, region),
        _ => None,
    }
}

/// The plain form is left to the SDK (`endpoint: None`); FIPS and dual-stack are kept, because the user chose them.
/// The dash form is contacted in the dot form: newer regions have no DNS name with the dash.
fn aws_service(form: Form, region: Option<&str>, suffix: &str) -> Service {
    let name = region.unwrap_or_default();
    let explicit = |host: String| Some(format!("https://{host}.{suffix}"));
    let sdk_knows = suffix.starts_with("amazonaws.");
    let public = suffix == "amazonaws.com";
    let endpoint = match form {
        Form::Plain | Form::Website if sdk_knows => None,
        Form::Plain | Form::Website | Form::AccessPoint => explicit(format!("s3.{name}")),
        Form::Global if public => None,
        Form::Global => explicit("s3".to_owned()),
        Form::DualStack => explicit(format!("s3.dualstack.{name}")),
        Form::Fips => explicit(format!("s3-fips.{name}")),
        Form::FipsDualStack => explicit(format!("s3-fips.dualstack.{name}")),
        Form::Accelerate => explicit("s3-accelerate".to_owned()),
        Form::AccelerateDualStack => explicit("s3-accelerate.dualstack".to_owned()),
    };
    let region = match form {
        Form::Global if public => Some("us-east-1".to_owned()),
        _ => region.map(str::to_owned),
    };
    let addressing = match form {
        Form::Accelerate | Form::AccelerateDualStack => Addressing::Virtual,
        _ => Addressing::Auto,
    };
    Service { endpoint, region, addressing, note: (form == Form::Website).then_some(Note::Website) }
}

/// How a provider names its hosts, before its suffix.
#[derive(Clone, Copy)]
enum Hosts {
    /// `s3.REGION`.
    S3Region,
    /// `s3.REGION`, or `s3` for this region.
    S3OrDefault(&'static str),
    /// `REGION`.
    Region,
    /// `REGION`, or `REGION.cdn` for its CDN.
    RegionOrCdn,
    /// `sos-ZONE`, or `sos` for the first zone.
    Exoscale,
    /// `ACCOUNT` or `ACCOUNT.JURISDICTION`; the region is `auto`.
    R2,
}

const PROVIDERS: [(&str, Hosts); 13] = [
    ("exo.io", Hosts::Exoscale),
    ("digitaloceanspaces.com", Hosts::RegionOrCdn),
    ("your-objectstorage.com", Hosts::Region),
    ("r2.cloudflarestorage.com", Hosts::R2),
    ("wasabisys.com", Hosts::S3OrDefault("us-east-1")),
    ("backblazeb2.com", Hosts::S3Region),
    ("scw.cloud", Hosts::S3Region),
    ("io.cloud.ovh.net", Hosts::S3Region),
    ("io.cloud.ovh.us", Hosts::S3Region),
    ("perf.cloud.ovh.net", Hosts::S3Region),
    ("perf.cloud.ovh.us", Hosts::S3Region),
    ("cloud.ovh.net", Hosts::S3Region),
    ("cloud.ovh.us", Hosts::S3Region),
];

impl Hosts {
    fn understand(self, labels: &[&str], suffix: &str) -> Option<(usize, Service)> {
        let (taken, region, note) = match (self, labels) {
            (Self::S3Region | Self::S3OrDefault(_), [.., "s3", region]) => (2, *region, None),
            (Self::S3OrDefault(region), [.., "s3"]) => (1, region, None),
            (Self::RegionOrCdn, [.., region, "cdn"]) => (2, *region, Some(Note::Cdn)),
            (Self::Region | Self::RegionOrCdn, [.., region]) => (1, *region, None),
            (Self::Exoscale, [.., "sos"]) => (1, "ch-dk-2", None),
            (Self::Exoscale, [.., zone]) => (1, zone.strip_prefix("sos-")?, None),
            // Accounts are 32 hex digits, so none is called like a jurisdiction.
            (Self::R2, [.., _, "eu" | "fedramp"]) => (2, "auto", None),
            (Self::R2, [.., _]) => (1, "auto", None),
            _ => return None,
        };
        let at = labels.len() - taken;
        let host = match note {
            Some(_) => region.to_owned(),
            None => labels[at..].join("."),
        };
        let service = Service {
            endpoint: Some(format!("https://{host}.{suffix}")),
            region: Some(region.to_owned()),
            addressing: Addressing::Auto,
            note,
        };
        Some((offset(labels, at), service))
    }
}

/// For hosts of nobody we know.
pub(super) fn guess(host: &str) -> Option<(usize, Service)> {
    let labels: Vec<&str> = host.split('.').collect();
    let is_s3 = |label: &str| label == "s3" || label.starts_with("s3-");
    let marked = (1..labels.len().saturating_sub(2)).rev().find(|at| is_s3(labels[*at]));
    let at = marked.or_else(|| labels.len().checked_sub(3).filter(|at| *at > 0))?;
    let region = marked.and_then(|at| {
        // `s3.eu-central-1.example.com` names a region, `s3.storage.example.com` hardly.
        let next = labels.get(at + 1).filter(|label| label.contains('-') && labels.len() > at + 3);
        labels[at].strip_prefix("s3-").or(next.copied()).filter(|text| text.contains('-'))
    });
    let service = Service {
        endpoint: Some(format!("https://{}", labels[at..].join("."))),
        region: region.map(str::to_owned),
        addressing: Addressing::Auto,
        note: None,
    };
    Some((offset(&labels, at), service))
}
