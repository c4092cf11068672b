//! Bucket names and key prefixes: which ones can exist, and the one form of a prefix.
//!
//! Pure checks of text. They promise that a bucket name can be put into a URL and that a prefix has one spelling;
//! they do not ask a server.

/// Whose rules a bucket name follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// [AWS's rules](https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html).
    Aws,
    /// Those of other servers (MinIO, Ceph), some of which take upper case and `_`.
    Other,
}

/// Why a name or prefix is refused. Holds nothing of the text, so that it can be shown whatever the text was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// No bucket name at all.
    #[error("the bucket name is missing")]
    NoBucket,
    /// Wrong length.
    #[error("the bucket name must have 3 to 63 characters")]
    BucketLength,
    /// A forbidden character.
    #[error("the bucket name may hold only a-z, 0-9, `-` and `.`")]
    BucketCharacter,
    /// Begins or ends wrongly, or has an empty label.
    #[error("the bucket name must begin and end with a letter or digit, and `.` may not stand beside `.` or `-`")]
    BucketShape,
    /// Looks like an IP address.
    #[error("the bucket name looks like an IP address")]
    BucketIsIp,
    /// `a//b`.
    #[error("the key prefix has an empty component (`//`)")]
    PrefixEmptyComponent,
    /// `a/../b`.
    #[error("the key prefix has a `.` or `..` component")]
    PrefixDots,
    /// A control character.
    #[error("the key prefix holds a control character")]
    PrefixControl,
    /// Leaves no room for keys: S3's limit is 1,024 bytes for prefix and key together.
    #[error("the key prefix is longer than 900 bytes")]
    PrefixLength,
}

/// Checks a bucket name.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_bucket(name: &str, naming: Naming) -> Result<(), BadName> {
    if name.is_empty() {
        return Err(BadName::NoBucket);
    }
    let known = |b: u8| match naming {
        Naming::Aws => b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'),
        Naming::Other => b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'),
    };
    if !name.bytes().all(known) {
        return Err(BadName::BucketCharacter);
    }
    if !(3..=63).contains(&name.len()) {
        return Err(BadName::BucketLength);
    }
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    let pairs = ["..", ".-", "-."];
    if !edge(name.bytes().next()) || !edge(name.bytes().last()) || pairs.iter().any(|pair| name.contains(pair)) {
        return Err(BadName::BucketShape);
    }
    if name.parse::<std::net::Ipv4Addr>().is_ok() {
        return Err(BadName::BucketIsIp);
    }
    Ok(())
}

/// Whether `name` can be the first label of a TLS host name under a wildcard certificate, so that virtual-host
/// style works: 3 to 63 of a-z, 0-9 and `-`, without a dot.
pub fn is_dns_label(name: &str) -> bool {
    check_bucket(name, Naming::Aws).is_ok() && !name.contains('.')
}

/// The one form of a key prefix: no slash at its ends, single slashes inside; the text is otherwise taken as it is.
///
/// # Errors
/// A prefix that is almost certainly a mistake: `//` inside, `.` or `..` components, control characters.
pub fn clean_prefix(text: &str) -> Result<String, BadName> {
    if text.contains("//") {
        return Err(BadName::PrefixEmptyComponent);
    }
    let text = text.strip_prefix('/').unwrap_or(text);
    let text = text.strip_suffix('/').unwrap_or(text);
    if text.is_empty() {
        return Ok(String::new());
    }
    if text.chars().any(char::is_control) {
        return Err(BadName::PrefixControl);
    }
    if text.len() > 900 {
        return Err(BadName::PrefixLength);
    }
    if text.split('/').any(|component| matches!(component, "." | "..")) {
        return Err(BadName::PrefixDots);
    }
    Ok(text.to_owned())
}

/// `below` placed under `prefix`, both in their one form.
pub fn join_prefix(prefix: &str, below: &str) -> String {
    match (prefix, below) {
        ("", _) => below.to_owned(),
        (_, "") => prefix.to_owned(),
        _ => format!("{prefix}/{below}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names() {
        use BadName::{BucketCharacter, BucketIsIp, BucketLength, BucketShape, NoBucket};
        let long = "a".repeat(64);
        for (name, aws, other) in [
            ("media", Ok(()), Ok(())),
            ("a.aldryn-media.io", Ok(()), Ok(())),
            ("My_Bucket", Err(BucketCharacter), Ok(())),
            ("bu cket", Err(BucketCharacter), Err(BucketCharacter)),
            ("b\u{e9}b\u{e9}", Err(BucketCharacter), Err(BucketCharacter)),
            ("", Err(NoBucket), Err(NoBucket)),
            ("ab", Err(BucketLength), Err(BucketLength)),
            (long.as_str(), Err(BucketLength), Err(BucketLength)),
            ("-abc", Err(BucketShape), Err(BucketShape)),
            ("abc.", Err(BucketShape), Err(BucketShape)),
            ("a..b", Err(BucketShape), Err(BucketShape)),
            ("a-.b", Err(BucketShape), Err(BucketShape)),
            ("192.168.1.10", Err(BucketIsIp), Err(BucketIsIp)),
        ] {
            assert_eq!(check_bucket(name, Naming::Aws), aws, "{name}");
            assert_eq!(check_bucket(name, Naming::Other), other, "{name}");
        }
        assert!(is_dns_label("media") && !is_dns_label("a.b.c") && !is_dns_label("Media"));
    }

    #[test]
    fn prefixes_have_one_form() {
        for (text, wanted) in [
            ("", Ok("")),
            ("/", Ok("")),
            ("a/b", Ok("a/b")),
            ("/a/b/", Ok("a/b")),
            ("a b%20+#", Ok("a b%20+#")),
            ("//", Err(BadName::PrefixEmptyComponent)),
            ("//a", Err(BadName::PrefixEmptyComponent)),
            ("a//", Err(BadName::PrefixEmptyComponent)),
            ("a//b", Err(BadName::PrefixEmptyComponent)),
            ("a/../b", Err(BadName::PrefixDots)),
            ("./a", Err(BadName::PrefixDots)),
            ("a\nb", Err(BadName::PrefixControl)),
        ] {
            assert_eq!(clean_prefix(text), wanted.map(str::to_owned), "{text:?}");
        }
        assert_eq!(clean_prefix(&"x".repeat(901)), Err(BadName::PrefixLength));
    }

    #[test]
    fn prefixes_join() {
        assert_eq!(join_prefix("", ""), "");
        assert_eq!(join_prefix("", "a"), "a");
        assert_eq!(join_prefix("a", ""), "a");
        assert_eq!(join_prefix("a", "b/c"), "a/b/c");
    }
}
