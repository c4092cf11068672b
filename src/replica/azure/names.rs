//! Keys and blob names: what a container can hold under exactly its name.

use crate::model::Key;
use crate::replica::object::{Names, is_own};

/// Azure's limits for a blob name: characters, and components
/// (<https://learn.microsoft.com/en-us/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata>).
const LONGEST: usize = 1024;
const DEEPEST: usize = 254;

/// Whether the name of a path below the prefix is within the limits.
pub(super) fn has_room(names: &Names, path: &str) -> Result<(), String> {
    let prefix = names.prefix();
    let length = prefix.encode_utf16().count() + path.encode_utf16().count();
    if length > LONGEST {
        return Err(format!("the blob name has {length} characters, Azure allows {LONGEST}"));
    }
    let depth = prefix.matches('/').count() + path.split('/').count();
    if depth > DEEPEST {
        return Err(format!("the blob name has {depth} components, Azure allows {DEEPEST}"));
    }
    Ok(())
}

/// Whether a key can be stored, and comes back unchanged. The service or a client on the way takes `file.` for `file`,
/// `a/./b` for `a/b` and a backslash for a slash: what would be stored under another key is refused.
pub(super) fn accepts(names: &Names, key: &Key) -> Result<(), String> {
    let text = key.as_str();
    has_room(names, text)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_azure_would_change_or_refuse_are_not_accepted() {
        let names = Names::new("/p/q/");
        assert_eq!(names.prefix(), "p/q/");
        let accepts = |text: &str| accepts(&names, &Key::new(text).unwrap()).is_ok();
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
