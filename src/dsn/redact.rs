//! [`redact`]: DSNs in any other text, with stars.

use std::borrow::Cow;

/// Replaces what stands between `://` and `@` in every URL of a text by `***`.
///
/// Cautious: the credentials may hold unencoded `/`, `@`, `?` and line breaks, so everything up to the *last* `@`
/// before the next URL goes, and what looks like a cut-off DSN goes up to the next blank.
pub fn redact(text: &str) -> Cow<'_, str> {
    const SCHEMES: [&str; 6] = ["s3://", "az://", "azure://", "file://", "https://", "http://"];
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        let lower = tail.to_ascii_lowercase();
        let end = SCHEMES.iter().filter_map(|scheme| lower.find(scheme)).min().unwrap_or(tail.len());
        let (url, next) = tail.split_at(end);
        shown.push_str(head);
        match hidden(head, url) {
            0 => shown.push_str(url),
            length => {
                shown.push_str("***");
                shown.push_str(&url[length..]);
            }
        }
        rest = next;
    }
    if shown.is_empty() {
        return Cow::Borrowed(text);
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// How many bytes of a URL after `://` are, or may be, credentials. `head` ends with the scheme.
fn hidden(head: &str, url: &str) -> usize {
    let authority = &url[..url.find(['/', '?', '#', '&', ' ', '\'', '"', '<', '>']).unwrap_or(url.len())];
    // "s3://bucket: not found" is a sentence, not a user.
    let colon = authority.find(':').filter(|at| url[at + 1..].starts_with(|c: char| c != ' '));
    if colon.is_none() && !authority.contains('@') {
        return 0;
    }
    if let Some(at) = url.rfind('@') {
        return at;
    }
    // Only web addresses have ports; `s3://KEY:12345/67` is half a DSN.
    let web = ["http://", "https://"].iter().any(|scheme| head.to_ascii_lowercase().ends_with(scheme));
    let port = colon.is_some_and(|at| {
        let port = authority[at + 1..].trim_end();
        web && (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit())
    });
    if port { 0 } else { url.find([' ', '\'', '"']).unwrap_or(url.len()) }
}
