//! Keys and blob names: the prefix, and what a container can hold under exactly its name.

use crate::model::Key;
use crate::replica::object::is_own;

/// Azure's limits for a blob name: characters, and components
/// (<https://learn.microsoft.com/en-us/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata>).
const LONGEST: usize = 1024;
const DEEPEST: usize = 254;

/// Maps keys to blob names and back.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// Empty, or ending in `/`.
    prefix: String,
}

impl Names {
    /// For a prefix with or without slashes at its ends.
    pub(super) fn new(prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        Self { prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") } }
    }

    /// The prefix of all blob names; empty, or ending in `/`.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The blob name of a key.
    pub(super) fn blob(&self, key: &Key) -> String {
        self.own(key.as_str())
    }

    /// The blob name of a path below the prefix.
    pub(super) fn own(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// The part of a blob name below the prefix.
    pub(super) fn relative<'a>(&self, blob: &'a str) -> Option<&'a str> {
        blob.strip_prefix(&self.prefix)
    }

    /// Whether the name of a path below the prefix is within the limits.
    pub(super) fn has_room(&self, path: &str) -> Result<(), String> {
        let length = self.prefix.encode_utf16().count() + path.encode_utf16().count();
        if length > LONGEST {
            return Err(format!("the blob name has {length} characters, Azure allows {LONGEST}"));
        }
        let depth = self.prefix.matches('/').count() + path.split('/').count();
        if depth > DEEPEST {
            return Err(format!("the blob name has {depth} components, Azure allows {DEEPEST}"));
        }
        Ok(())
    }

    /// Whether a key can be stored, and comes back unchanged. The service or a client on the way takes `file.` for
    /// `file`, `a/./b` for `a/b` and a backslash for a slash: what would be stored under another key is refused.
    pub(super) fn accepts(&self, key: &Key) -> Result<(), String> {
        let text = key.as_str();
        self.has_room(text)?;
        if text.contains('\\') {
            return Err("Azure takes a backslash for a slash, and would keep it under another name".to_owned());
        }
        if text.chars().any(|c| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')) {
            return Err("Azure takes no control characters in names".to_owned());
        }
        if is_own(text) {
            return Err("names that begin with `.mediasync` are reserved".to_owned());
        }
        for component in key.components() {
            if component.is_empty() {
                return Err("empty path components (`//`, or a slash at an end) are not kept apart".to_owned());
            }
            if component.ends_with('.') {
                return Err(format!(
                    "Azure drops the dot at the end of `{component}`, and would keep it under another name"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_azure_would_change_or_refuse_are_not_accepted() {
        let names = Names::new("/p/q/");
        assert_eq!(names.prefix(), "p/q/");
        let accepts = |text: &str| names.accepts(&Key::new(text).unwrap()).is_ok();
        for fine in ["a", ".hidden", "a.b/c..d", "100% + ü?#", " a ", "a b/~", "x.tar.gz"] {
            assert!(accepts(fine), "{fine}");
        }
        for bad in
            ["a.", "a./b", ".", "..", "a/./b", "a/../b", "...", "a\\b", "a\nb", "a\u{7}", "a\u{85}b", "a//b", "/a"]
        {
            assert!(!accepts(bad), "{bad:?}");
        }
        assert!(accepts(&"é".repeat(1020)) && !accepts(&"é".repeat(1021)));
        assert!(accepts(&"😀".repeat(510)) && !accepts(&"😀".repeat(511)), "counted as UTF-16");
        assert!(accepts(&["a"; 252].join("/")) && !accepts(&["a"; 253].join("/")));
    }
}
