//! Keys and object names: what a bucket can hold, and how names are shown and encoded.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_decode_str, utf8_percent_encode};

use crate::model::{Key, OWN_PREFIX};
pub(super) use crate::replica::object::{Names, OWN, is_own, shown};

/// S3's limit for an object name in bytes of UTF-8
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>).
pub(super) const LONGEST: usize = 1024;

/// Whether a key can be stored anywhere.
pub(super) fn accepts(names: &Names, key: &Key) -> Result<(), String> {
    let length = names.prefix().len() + key.as_str().len();
    if length > LONGEST {
        return Err(format!("the object name has {length} bytes, S3 allows {LONGEST}"));
    }
    if key.components().any(|component| component.starts_with(OWN_PREFIX)) {
        return Err("names that begin with `.mediasync` are reserved".into());
    }
    Ok(())
}

/// Why a key may come back as another one: several servers fold `a//b` into `a/b`, HTTP clients and proxies resolve dots,
/// and a final slash marks a directory. Only other buckets have such keys.
pub(super) fn is_odd(key: &Key) -> Option<&'static str> {
    key.components().find_map(|component| match component {
        "" => Some("an empty path component (`//`, or a slash at an end)"),
        "." | ".." => Some("a component of dots, which would be resolved on the way"),
        _ => None,
    })
}

/// Whether XML 1.0 can carry the name: other control characters make a request body that servers can't parse.
pub(super) fn fits_xml(object: &str) -> bool {
    !object.chars().any(|c| (c < ' ' && !matches!(c, '\t' | '\n')) || matches!(c, '\u{fffe}' | '\u{ffff}'))
}

/// Unreserved characters of RFC 3986 and `/` stay.
pub(super) const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// An object name in the path of a URL.
pub(super) fn in_path(object: &str) -> PercentEncode<'_> {
    utf8_percent_encode(object, PATH)
}

/// A value in a query.
pub(super) fn in_query(value: &str) -> PercentEncode<'_> {
    utf8_percent_encode(value, QUERY)
}

const QUERY: &AsciiSet = &PATH.add(b'/');

/// The value of `x-amz-copy-source`.
pub(super) fn copy_source(bucket: &str, object: &str) -> String {
    let mut source = String::with_capacity(bucket.len() + object.len() + 8);
    write!(source, "{bucket}/{}", in_path(object)).expect("a String takes any text");
    source
}

/// Decodes a name of a listing with `encoding-type=url`: percent-encoded with `+` for a blank, as botocore reads it.
/// `None` if it is not UTF-8.
pub(super) fn decode_listed(name: String) -> Option<String> {
    if !name.bytes().any(|b| b == b'%' || b == b'+') {
        return Some(name);
    }
    let blanks = if name.contains('+') { name.replace('+', " ") } else { name };
    percent_decode_str(&blanks).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// `"etag"`, as `If-Match` wants it.
pub(super) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// An ETag without its quotes; weak ones lose their mark, which S3 never sends and some proxies add.
pub(super) fn unquoted(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::new(text).unwrap()
    }

    #[test]
    fn names_that_can_not_be_or_may_come_back_as_others_are_known() {
        let names = Names::new("p");
        for bad in [".mediasync/id", "a/.mediasync-tmp"] {
            assert!(accepts(&names, &key(bad)).is_err(), "{bad}");
        }
        for odd in ["a//b", "/a", "a/", "..", "a/../b", "./a"] {
            assert!(accepts(&names, &key(odd)).is_ok() && is_odd(&key(odd)).is_some(), "{odd}");
        }
        for good in ["a", "a/b", ".well-known/x", "a..b", "ü+%#?", "x.mediasync"] {
            assert!(accepts(&names, &key(good)).is_ok() && is_odd(&key(good)).is_none(), "{good}");
        }
        assert!(accepts(&names, &key(&"x".repeat(1022))).is_ok());
        assert!(accepts(&names, &key(&"x".repeat(1023))).is_err());
    }

    #[test]
    fn own_names_are_recognised_by_component() {
        assert!(is_own(".mediasync/id") && is_own("a/.mediasync-x/b"));
        assert!(!is_own("a.mediasync/b"));
    }

    #[test]
    fn listed_names_are_decoded_as_forms_are() {
        assert_eq!(decode_listed("a+b%2Bc%2Fd%C3%BC".into()).as_deref(), Some("a b+c/dü"));
        assert_eq!(decode_listed("plain".into()).as_deref(), Some("plain"));
        assert_eq!(decode_listed("%FF".into()), None);
    }

    #[test]
    fn copy_sources_are_encoded() {
        assert_eq!(copy_source("b.x", "a b/ü+c?d~"), "b.x/a%20b/%C3%BC%2Bc%3Fd~");
    }

    #[test]
    fn etags_lose_quotes_and_weak_marks() {
        assert_eq!((unquoted("\"a\""), unquoted("W/\"a\""), unquoted("a")), ("a", "a", "a"));
    }
}
