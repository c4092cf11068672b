//! The parameters of a DSN.

use super::fault::Fault;
use super::text::query_pairs;

/// The parameters; the first of a repeated one wins, as in the reference.
#[derive(Default)]
pub(super) struct Parameters {
    pub(super) endpoint: Option<String>,
    pub(super) region: Option<String>,
    pub(super) region_name: Option<String>,
    pub(super) prefix: Option<String>,
    pub(super) container: Option<String>,
    pub(super) domain: Option<String>,
    pub(super) url: Option<String>,
    pub(super) auth: Option<String>,
    pub(super) acl: Option<String>,
    pub(super) addressing_style: Option<String>,
    pub(super) qs_auth: Option<String>,
}

impl Parameters {
    /// The URL that `domain=` means: its own scheme, else https.
    pub(super) fn domain_url(&self) -> Result<Option<String>, Fault> {
        let Some(domain) = self.domain.as_deref() else { return Ok(None) };
        let domain = domain.trim();
        let (scheme, rest) = match domain.split_once("//") {
            Some((scheme, rest)) if scheme.is_empty() || scheme.eq_ignore_ascii_case("https:") => ("https", rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http:") => ("http", rest),
            _ => ("https", domain),
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        let is_name = name.strip_suffix('.').unwrap_or(name).split('.').all(is_label);
        let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        let is_path = path.bytes().all(|b| b.is_ascii_graphic() && !b"?#@\\\"<>".contains(&b));
        if is_name && is_port && is_path { Ok(Some(format!("{scheme}://{rest}"))) } else { Err(Fault::Domain) }
    }

    pub(super) fn read(query: &str, warnings: &mut Vec<String>) -> Self {
        let mut all = Self::default();
        for (name, value) in query_pairs(query) {
            let slot = match name.as_str() {
                "endpoint" => &mut all.endpoint,
                "region" => &mut all.region,
                "region_name" => &mut all.region_name,
                "prefix" => &mut all.prefix,
                "container" => &mut all.container,
                "domain" => &mut all.domain,
                "url" => &mut all.url,
                "auth" => &mut all.auth,
                "acl" => &mut all.acl,
                "addressing_style" => &mut all.addressing_style,
                "qs_auth" => &mut all.qs_auth,
                other => {
                    let short =
                        other.len() <= 32 && other.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
                    let name = if short { format!(" {other:?}") } else { String::new() };
                    warnings.push(format!("a parameter of the DSN is not known and was ignored:{name}"));
                    continue;
                }
            };
            if slot.is_some() {
                warnings.push(format!("the DSN's parameter {name:?} is given more than once: the first one counts"));
            } else {
                *slot = Some(value);
            }
        }
        for slot in [
            &mut all.endpoint,
            &mut all.container,
            &mut all.region,
            &mut all.region_name,
            &mut all.domain,
            &mut all.url,
        ] {
            *slot = slot.take().filter(|value| !value.is_empty());
        }
        if !matches!(all.auth.as_deref(), None | Some("" | "s3" | "s3v4")) {
            warnings.push("the DSN's parameter \"auth\" is neither s3 nor s3v4: signing with version 4".to_owned());
        }
        all
    }
}
