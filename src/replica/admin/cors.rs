//! Which web pages may use a store from a browser: CORS rules as plain values, in the JSON form of the AWS tools.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One rule. The first one that fits a request is used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub struct CorsRule {
    /// A name for people, where the service keeps one.
    #[serde(rename = "ID", default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Origins of pages, like `https://example.com`; at most one `*` in each.
    pub allowed_origins: Vec<String>,
    /// `GET`, `HEAD` and so on.
    pub allowed_methods: Vec<String>,
    /// Headers that requests may have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_headers: Vec<String>,
    /// Headers of answers that pages may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expose_headers: Vec<String>,
    /// For how long browsers remember the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<u32>,
}

/// All rules, as a file has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorsFile {
    /// The rules.
    #[serde(rename = "CORSRules")]
    pub rules: Vec<CorsRule>,
}

impl CorsRule {
    /// Whether this one is for exactly the same pages.
    pub fn is_for_the_pages_of(&self, other: &Self) -> bool {
        let all = |rule: &Self| {
            let mut origins = rule.allowed_origins.clone();
            origins.sort_unstable();
            origins.dedup();
            origins
        };
        all(self) == all(other)
    }

    /// Whether it allows all that another one allows. How long browsers remember it, and its name, allow nothing.
    pub fn covers(&self, other: &Self) -> bool {
        let any = |own: &[String]| own.iter().any(|one| one == "*");
        let has = |own: &[String], other: &[String]| any(own) || other.iter().all(|one| own.contains(one));
        let same = |own: &[String], other: &[String]| {
            let within = |one: &String| own.iter().any(|own| own.eq_ignore_ascii_case(one));
            any(own) || other.iter().all(within)
        };
        has(&self.allowed_origins, &other.allowed_origins)
            && other.allowed_methods.iter().all(|method| self.allowed_methods.contains(method))
            && same(&self.allowed_headers, &other.allowed_headers)
            && same(&self.expose_headers, &other.expose_headers)
    }
}

impl fmt::Display for CorsRule {
    /// In one line, escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |texts: &[String]| texts.join(", ").escape_debug().to_string();
        write!(f, "{}  {}", list(&self.allowed_origins), list(&self.allowed_methods))?;
        if !self.allowed_headers.is_empty() {
            write!(f, "  headers: {}", list(&self.allowed_headers))?;
        }
        if !self.expose_headers.is_empty() {
            write!(f, "  exposed: {}", list(&self.expose_headers))?;
        }
        if let Some(seconds) = self.max_age_seconds {
            write!(f, "  max-age: {seconds}")?;
        }
        match &self.id {
            Some(id) => write!(f, "  ({})", id.escape_debug()),
            None => Ok(()),
        }
    }
}

/// What setting rules does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Rules that go.
    pub removed: Vec<CorsRule>,
    /// Rules that come.
    pub added: Vec<CorsRule>,
    /// Rules that stay as they are.
    pub kept: Vec<CorsRule>,
    /// The removed ones of which something would be allowed no more.
    pub lost: Vec<CorsRule>,
    /// Whether anything is written: rules may also come in another order.
    pub needed: Needed,
}

/// Whether rules have to be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Needed {
    /// They are there, in this order.
    #[default]
    No,
    /// Some are others, or in another place.
    Yes,
}

impl Change {
    /// From these rules to those.
    pub fn between(before: &[CorsRule], after: &[CorsRule]) -> Self {
        let mut left: Vec<&CorsRule> = after.iter().collect();
        let needed = if before == after { Needed::No } else { Needed::Yes };
        let mut change = Self { needed, ..Self::default() };
        for rule in before {
            if let Some(at) = left.iter().position(|new| *new == rule) {
                left.remove(at);
                change.kept.push(rule.clone());
                continue;
            }
            if !after.iter().any(|new| new.covers(rule)) {
                change.lost.push(rule.clone());
            }
            change.removed.push(rule.clone());
        }
        change.added = left.into_iter().cloned().collect();
        change
    }
}

/// The rules with one more: in the place of the first that is for the same pages, else after all others.
pub fn with_rule(rules: &[CorsRule], rule: CorsRule) -> Vec<CorsRule> {
    let mut all = rules.to_vec();
    match all.iter_mut().find(|old| old.is_for_the_pages_of(&rule)) {
        Some(old) => *old = CorsRule { id: rule.id.clone().or(old.id.take()), ..rule },
        None => all.push(rule),
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(origin: &str, methods: &[&str], headers: &[&str]) -> CorsRule {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        CorsRule {
            allowed_origins: texts(&[origin]),
            allowed_methods: texts(methods),
            allowed_headers: texts(headers),
            ..CorsRule::default()
        }
    }

    #[test]
    fn the_form_of_the_aws_tools_is_read_and_written() {
        let text = r#"{"CORSRules":[{"ID":"a","AllowedOrigins":["*"],"AllowedMethods":["GET"],"AllowedHeaders":["*"],
            "ExposeHeaders":["ETag"],"MaxAgeSeconds":3000}]}"#;
        let file: CorsFile = serde_json::from_str(text).unwrap();
        let rule = &file.rules[0];
        assert_eq!((rule.id.as_deref(), rule.max_age_seconds, rule.expose_headers.len()), (Some("a"), Some(3000), 1));
        let written = serde_json::to_string(&file).unwrap();
        assert_eq!(serde_json::from_str::<CorsFile>(&written).unwrap(), file);
        assert!(serde_json::from_str::<CorsFile>(r#"{"CORSRules":[{"AllowedOrigin":["*"]}]}"#).is_err());
    }

    #[test]
    fn a_rule_covers_what_it_allows_as_well() {
        let wide = rule("*", &["GET", "HEAD"], &["*"]);
        for (narrow, expected) in [
            (rule("*", &["GET"], &[]), true),
            (rule("https://a.example", &["HEAD"], &["x-a"]), true),
            (rule("https://a.example", &["PUT"], &[]), false),
        ] {
            assert_eq!(wide.covers(&narrow), expected, "{narrow}");
        }
        let named = rule("https://a.example", &["GET"], &["X-A"]);
        assert!(named.covers(&rule("https://a.example", &["GET"], &["x-a"])));
        assert!(!named.covers(&rule("https://a.example", &["GET"], &["*"])));
        assert!(!named.covers(&rule("*", &["GET"], &[])));
        let exposes = CorsRule { expose_headers: vec!["ETag".into()], ..named.clone() };
        assert!(exposes.covers(&named) && !named.covers(&exposes));
    }

    #[test]
    fn what_goes_comes_stays_and_is_lost() {
        let (a, b) = (rule("https://a.example", &["GET"], &[]), rule("https://b.example", &["PUT"], &[]));
        let wide = rule("*", &["GET", "HEAD"], &["*"]);
        let change = Change::between(&[a.clone(), b.clone()], &[b.clone(), wide.clone()]);
        assert_eq!(
            (change.removed, change.added, change.kept, change.lost),
            (vec![a.clone()], vec![wide], vec![b.clone()], vec![])
        );
        let change = Change::between(&[a.clone(), b.clone()], std::slice::from_ref(&a));
        assert_eq!((change.removed, change.added, change.lost), (vec![b.clone()], vec![], vec![b]));
        // The same rule twice is two rules.
        let change = Change::between(&[a.clone(), a.clone()], std::slice::from_ref(&a));
        assert_eq!((change.removed.len(), change.kept.len(), change.lost.len()), (1, 1, 0));
    }

    #[test]
    fn a_rule_takes_the_place_of_the_one_for_the_same_pages() {
        let (a, b) = (rule("https://a.example", &["GET"], &[]), rule("*", &["PUT"], &[]));
        let named = CorsRule { id: Some("uploads".into()), ..b.clone() };
        let new = rule("*", &["GET"], &[]);
        let all = with_rule(&[a.clone(), named], new.clone());
        assert_eq!(all, [a.clone(), CorsRule { id: Some("uploads".into()), ..new }]);
        let other = rule("https://c.example", &["GET"], &[]);
        assert_eq!(with_rule(std::slice::from_ref(&a), other.clone()), [a, other]);
    }

    #[test]
    fn a_rule_is_one_line_whatever_is_in_it() {
        let mut rule = rule("https://a.example", &["GET", "HEAD"], &["*"]);
        (rule.max_age_seconds, rule.id) = (Some(60), Some("a\nb".into()));
        assert_eq!(rule.to_string(), "https://a.example  GET, HEAD  headers: *  max-age: 60  (a\\nb)");
    }
}
