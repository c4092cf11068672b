//! Shared access signatures as far as they can be read without asking: until when they hold and what they allow.

use jiff::Timestamp;

use super::ops::Op;

/// What a signature says of itself. Never holds the signature.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sas {
    /// `se`.
    pub(super) expires: Option<Timestamp>,
    /// `st`.
    pub(super) starts: Option<Timestamp>,
    /// `sp`: letters.
    permissions: Option<String>,
    /// `srt`, for the account as a whole: letters of resource types.
    types: Option<String>,
}

impl Sas {
    /// Reads the text of a query.
    pub(super) fn read(text: &str) -> Self {
        let mut sas = Self::default();
        for pair in text.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
            match name {
                "se" => sas.expires = time(&value),
                "st" => sas.starts = time(&value),
                "sp" => sas.permissions = Some(value.into_owned()),
                "srt" => sas.types = Some(value.into_owned()),
                _ => {}
            }
        }
        sas
    }

    /// What it lacks for a kind of request, for people; `None` if it seems to allow it, or does not say.
    pub(super) fn lacks(&self, op: Op) -> Option<String> {
        // One of a container says nothing of types, and is good for nothing but that container.
        let types = self.types.as_deref().unwrap_or("co");
        let (letter, word) = op.resource_type();
        if !types.contains(letter) {
            let Some(types) = &self.types else {
                return Some("it is for one container, not for the account".to_owned());
            };
            return Some(format!("its resource types (srt={types}) lack `{letter}` ({word})"));
        }
        let needed = op.permissions();
        if needed.is_empty() {
            return Some("no signature is enough for that, the account's key is".to_owned());
        }
        let given = self.permissions.as_deref()?;
        if needed.chars().any(|letter| given.contains(letter)) {
            return None;
        }
        let names = needed.chars().map(|letter| format!("`{letter}`")).collect::<Vec<_>>().join(" or ");
        Some(format!("its permissions (sp={given}) lack {names}"))
    }
}

/// Times come with seconds, with minutes only, and as days.
fn time(text: &str) -> Option<Timestamp> {
    let full = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        17 => format!("{}:00Z", text.strip_suffix('Z')?),
        _ => text.to_owned(),
    };
    full.parse().ok()
}

/// The query text of a signature as people paste it: a `?` before it is taken off.
pub fn tidy_sas(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('?').unwrap_or(text)
}

/// Whether a text is a shared access signature: a query with `sig`.
pub fn is_sas(text: &str) -> bool {
    text.is_ascii()
        && tidy_sas(text).split('&').any(|pair| pair.strip_prefix("sig=").is_some_and(|sig| !sig.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_say_what_they_are_good_for() {
        let sas = Sas::read("sv=2018-11-09&ss=b&srt=co&sp=rwl&se=2036-01-02T03%3A04%3A05Z&st=2020-01-01&sig=secret");
        assert_eq!(sas.expires.unwrap().to_string(), "2036-01-02T03:04:05Z");
        assert_eq!(sas.starts.unwrap().to_string(), "2020-01-01T00:00:00Z");
        assert!(!format!("{sas:?}").contains("secret"));
        assert_eq!(sas.lacks(Op::PutBlob), None);
        assert_eq!(sas.lacks(Op::DeleteBlob).unwrap(), "its permissions (sp=rwl) lack `d`");
        let blobs = Sas::read("srt=o&sp=rwdl&sig=x");
        assert_eq!(blobs.lacks(Op::ListBlobs).unwrap(), "its resource types (srt=o) lack `c` (containers)");
        assert_eq!(Sas::read("sr=c&si=policy&sig=x").lacks(Op::PutBlob), None, "a stored policy says it");
        assert_eq!(Sas::read("se=2030-01-02T03:04Z").expires.unwrap().to_string(), "2030-01-02T03:04:00Z");
    }

    #[test]
    fn signatures_are_told_from_keys() {
        assert!(is_sas("sv=1&sig=abc%3D") && is_sas("?sig=x&sv=1"));
        for key in ["", "Eby8vdM02xNOcqFlqUwJ==", "sig", "design=x", "sig=", "sv=1&sigx=1", "sig=ü"] {
            assert!(!is_sas(key), "{key}");
        }
    }
}
