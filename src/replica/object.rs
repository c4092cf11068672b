//! What object stores have in common: keys and names, own names, what objects record of the content they hold, content types by name.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::model::{Digest, DigestKind, Key, OWN_PREFIX};

/// Metadata name of our digest: lower-case hex.
pub(crate) const BLAKE3: &str = "blake3";
/// Metadata name of the source's mtime: decimal seconds since the epoch with an optional fraction, as rclone writes it
/// (<https://rclone.org/s3/#modification-times-and-hashes>).
pub(crate) const MTIME: &str = "mtime";

/// The folder of our own objects, relative to the prefix.
pub(crate) const OWN: &str = ".mediasync/";

/// Maps keys to the names of objects and back.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// Empty, or ending in `/`.
    prefix: String,
}

impl Names {
    /// For a prefix with or without slashes at its ends.
    pub(crate) fn new(prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        Self { prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") } }
    }

    /// The prefix of all names; empty, or ending in `/`.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The name of the object that holds a key's content.
    pub(crate) fn object(&self, key: &Key) -> String {
        self.own(key.as_str())
    }

    /// The name of the object at a path below the prefix.
    pub(crate) fn own(&self, path: &str) -> String {
        let mut name = String::with_capacity(self.prefix.len() + path.len());
        name.push_str(&self.prefix);
        name.push_str(path);
        name
    }

    /// The part of a name below the prefix.
    pub(crate) fn relative<'a>(&self, object: &'a str) -> Option<&'a str> {
        object.strip_prefix(&self.prefix)
    }
}

/// Whether a path has a component that begins with `.mediasync`.
pub(crate) fn is_own(path: &str) -> bool {
    path.contains(OWN_PREFIX) && path.split('/').any(|component| component.starts_with(OWN_PREFIX))
}

/// A name for people, with control characters escaped.
pub(crate) fn shown(object: &str) -> String {
    Key::new(object).map_or_else(|_| object.escape_default().to_string(), |key| key.to_string())
}

/// The content type by the name. Browsers refuse modules, images and styles with a wrong one.
pub(crate) fn content_type(object: &str) -> &'static str {
    let name = object.rsplit('/').next().unwrap_or(object);
    let Some((_, extension)) = name.rsplit_once('.') else { return "application/octet-stream" };
    // Not in the table that `mime_guess` ships, or there with a type that browsers do not take.
    let ours = [
        ("avif", "image/avif"),
        ("heic", "image/heic"),
        ("js", "text/javascript"),
        ("jxl", "image/jxl"),
        ("m3u8", "application/vnd.apple.mpegurl"),
        ("m4a", "audio/mp4"),
        ("mjs", "text/javascript"),
        ("mp4", "video/mp4"),
        ("otf", "font/otf"),
        ("svg", "image/svg+xml"),
        ("ts", "video/mp2t"),
        ("ttf", "font/ttf"),
        ("webmanifest", "application/manifest+json"),
        ("webp", "image/webp"),
        ("woff", "font/woff"),
        ("woff2", "font/woff2"),
    ];
    if let Some((_, known)) = ours.iter().find(|(ours, _)| extension.eq_ignore_ascii_case(ours)) {
        return known;
    }
    mime_guess::from_ext(extension).first_raw().unwrap_or("application/octet-stream")
}

/// Reads `1700000000`, `1700000000.25` or `-1.5` as nanoseconds since the epoch.
pub(crate) fn parse_mtime(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.get(..fraction.len().min(9))?;
    let nanos: i64 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let scale = u32::try_from(9 - digits.len()).ok()?;
    let nanos = nanos * 10_i64.pow(scale);
    let nanos = if whole.starts_with('-') { -nanos } else { nanos };
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// Writes nanoseconds since the epoch as decimal seconds.
pub(crate) fn format_mtime(ns: i64) -> String {
    let (seconds, nanos) = (ns.unsigned_abs() / 1_000_000_000, ns.unsigned_abs() % 1_000_000_000);
    let sign = if ns < 0 { "-" } else { "" };
    if nanos == 0 { format!("{sign}{seconds}") } else { format!("{sign}{seconds}.{nanos:09}") }
}

/// A digest in hexadecimal of exactly this length.
pub(crate) fn hex_digest(kind: DigestKind, text: &str, digits: usize) -> Option<Digest> {
    let fits = text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then(|| Digest::new(kind, text.to_ascii_lowercase()))
}

/// A digest in base64 of exactly so many bytes.
pub(crate) fn base64_digest(kind: DigestKind, text: &str, bytes: usize) -> Option<Digest> {
    let decoded = BASE64.decode(text).ok().filter(|decoded| decoded.len() == bytes)?;
    Some(Digest::from_bytes(kind, &decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mtimes_are_written_and_read_as_rclone_does() {
        for (ns, text) in [
            (1_700_000_000_250_000_000, "1700000000.250000000"),
            (1_700_000_000_000_000_000, "1700000000"),
            (0, "0"),
            (-1_500_000_000, "-1.500000000"),
            (-500_000_000, "-0.500000000"),
        ] {
            assert_eq!(format_mtime(ns), text);
            assert_eq!(parse_mtime(text), Some(ns));
        }
        assert_eq!(parse_mtime("1700000000.25"), Some(1_700_000_000_250_000_000));
        assert_eq!(parse_mtime("1.1234567899"), Some(1_123_456_789));
        for bad in ["", "x", "1.x", "1.-5", "99999999999999999999", "1e9", "99999999999"] {
            assert_eq!(parse_mtime(bad), None, "{bad}");
        }
    }

    #[test]
    fn content_types_are_what_browsers_take() {
        for (name, expected) in [
            ("a/b.svg", "image/svg+xml"),
            ("b.WEBP", "image/webp"),
            ("b.avif", "image/avif"),
            ("f.woff2", "font/woff2"),
            ("m.mjs", "text/javascript"),
            ("v.m3u8", "application/vnd.apple.mpegurl"),
            ("p.jpg", "image/jpeg"),
            ("p.png", "image/png"),
            ("d.pdf", "application/pdf"),
            ("w.wasm", "application/wasm"),
            ("a.webmanifest", "application/manifest+json"),
            ("i.heic", "image/heic"),
            ("i.HEIF", "image/heif"),
            ("i.jxl", "image/jxl"),
            ("i.ico", "image/x-icon"),
            ("i.gif", "image/gif"),
            ("i.apng", "image/apng"),
            ("f.woff", "font/woff"),
            ("f.otf", "font/otf"),
            ("v.mp4", "video/mp4"),
            ("v.webm", "video/webm"),
            ("v.mov", "video/quicktime"),
            ("v.ts", "video/mp2t"),
            ("s.vtt", "text/vtt"),
            ("a.mp3", "audio/mpeg"),
            ("a.ogg", "audio/ogg"),
            ("a.opus", "audio/ogg"),
            ("a.flac", "audio/flac"),
            ("d.json", "application/json"),
            ("d.xml", "text/xml"),
            ("d.csv", "text/csv"),
            ("d.zip", "application/zip"),
            ("d.epub", "application/epub+zip"),
            ("d.txt", "text/plain"),
            ("m.js", "text/javascript"),
            ("t.css", "text/css"),
            ("h.html", "text/html"),
            ("none", "application/octet-stream"),
            ("x.unknownext", "application/octet-stream"),
            ("dir.png/none", "application/octet-stream"),
        ] {
            assert_eq!(content_type(name), expected, "{name}");
        }
    }

    #[test]
    fn a_prefix_is_put_before_keys_and_taken_off_again() {
        let names = Names::new("/a/b/");
        assert_eq!((names.prefix(), names.object(&Key::new("c/d").unwrap()).as_str()), ("a/b/", "a/b/c/d"));
        assert_eq!(names.relative("a/b/c/d"), Some("c/d"));
        assert_eq!(names.relative("a/bc"), None);
        assert_eq!(Names::new("").object(&Key::new("c").unwrap()), "c");
    }

    #[test]
    fn own_names_are_recognised_by_component() {
        assert!(is_own(".mediasync/id") && is_own("a/.mediasync-x/b"));
        assert!(!is_own("a.mediasync/b"));
    }
}
