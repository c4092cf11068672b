//! A DSN as text: what copying left around it, where it is cut, and percent escapes.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::fault::Fault;
use crate::replica::s3::endpoint;

/// What copying leaves around and inside a DSN, taken off: blanks, quotes, `NAME=`, line breaks, table bars.
pub(super) fn tidy(text: &str) -> String {
    let rule = |line: &str| line.starts_with('+') && line.len() > 2 && line.bytes().all(|b| b"+-=".contains(&b));
    let mut lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.len() > 1 {
        lines.retain(|line| !rule(line));
        lines = lines.into_iter().map(|line| line.trim_matches('|').trim()).collect();
    }
    let joined: String = lines.concat().chars().filter(|c| !c.is_control()).collect();
    let bare = unquote(&joined);
    let bare = bare.strip_prefix("export ").unwrap_or(bare).trim_start();
    match bare.split_once('=') {
        Some((name, value)) if is_variable(name.trim()) => unquote(value).to_owned(),
        _ => bare.to_owned(),
    }
}

/// Whether a text can be the name of an environment variable.
pub(crate) fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn unquote(text: &str) -> &str {
    let text = text.trim();
    for quote in ['"', '\'', '`'] {
        if let Some(inner) = text.strip_prefix(quote) {
            return inner.strip_suffix(quote).unwrap_or(inner).trim();
        }
    }
    text
}

/// The part before the parameters, cut.
pub(super) struct Parts<'a> {
    pub(super) userinfo: &'a str,
    pub(super) host: &'a str,
    pub(super) path: &'a str,
}

impl<'a> Parts<'a> {
    /// Cuts at the last `@`, which a host must follow. A secret may hold others, unencoded. Where an earlier one
    /// could be meant, because a host follows it as well, a wrong choice would show a piece of the secret as a bucket
    /// name, so it is refused. With `bare_bucket` a single label is a host.
    pub(super) fn cut(text: &'a str, bare_bucket: bool) -> Result<Self, Fault> {
        let found = |at: usize| {
            let right = &text[at + 1..];
            let (host, path) = right.split_at(right.find('/').unwrap_or(right.len()));
            let (name, port) = host.split_once(':').unwrap_or((host, ""));
            let name = name.strip_suffix('.').unwrap_or(name);
            let hostlike = endpoint::is_host_name(name) && (bare_bucket || name.contains('.') || !port.is_empty());
            let hostlike = hostlike && port.bytes().all(|b| b.is_ascii_digit());
            hostlike.then_some((Self { userinfo: &text[..at], host: name, path }, port))
        };
        let last = text.rfind('@').ok_or(Fault::NoUserinfo)?;
        if text[..last].match_indices('@').any(|(at, _)| found(at).is_some()) {
            return Err(Fault::Ambiguous);
        }
        match found(last) {
            Some((parts, "")) => Ok(parts),
            Some(_) => Err(Fault::Port),
            None => Err(Fault::NoHost),
        }
    }
}

/// Name and value pairs, decoded as forms are (`+` is a blank).
pub(crate) fn query_pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    query.split('&').filter(|pair| !pair.is_empty()).map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

/// Says that `%20` is not decoded, where there is one.
pub(crate) fn escape_warning(path: &str) -> Option<String> {
    (percent_decode_str(path).count() != path.len())
        .then(|| "the path holds percent escapes, which are taken literally (`%20` is three characters)".to_owned())
}

/// The prefix under which the reference stores: it normalises escapes, encodes what URLs don't carry, and then uses
/// that text, escapes included, as the key (`my pre` is stored under `my%20pre/`). Measured with furl 2.1.4.
pub(super) fn as_the_reference_writes(path: &str) -> String {
    const ENCODED: AsciiSet = unescaped(NON_ALPHANUMERIC);
    let component =
        |text: &str| utf8_percent_encode(&percent_decode_str(text).decode_utf8_lossy(), &ENCODED).to_string();
    path.split('/').map(component).collect::<Vec<_>>().join("/")
}

const fn unescaped(set: &AsciiSet) -> AsciiSet {
    let kept = b"!$&'()*+,-.:;=@_~";
    let (mut set, mut at) = (set.remove(kept[0]), 1);
    while at < kept.len() {
        set = set.remove(kept[at]);
        at += 1;
    }
    set
}

/// `base` and a key below it, the key encoded. No slash at the end.
pub(crate) fn url_below(base: &str, key: &str) -> String {
    const IN_PATH: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
    let base = base.trim_end_matches('/');
    if key.is_empty() { base.to_owned() } else { format!("{base}/{}", utf8_percent_encode(key, &IN_PATH)) }
}
