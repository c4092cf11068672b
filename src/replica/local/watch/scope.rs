//! Which paths are keys of the job, as the scan sees them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::{Filter, IGNORE_FILE, Key, LINK_SUFFIX, OWN_PREFIX, SkipReason, Symlinks, Verdict};

/// What a path stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    Key(Key),
    Root,
    /// The file of rules at the root.
    Rules,
    /// A name that is no UTF-8: a look at all of it says so.
    Nameless,
    /// A name of our own, or a path elsewhere.
    Nothing,
}

/// The job's rules.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub(super) root: PathBuf,
    pub(super) filter: Arc<Filter>,
    pub(super) links: Symlinks,
}

impl Scope {
    pub(super) fn named(&self, path: &Path) -> Named {
        let Ok(below) = path.strip_prefix(&self.root) else { return Named::Nothing };
        match below.to_str() {
            None => Named::Nameless,
            Some("") => Named::Root,
            Some(IGNORE_FILE) => Named::Rules,
            Some(text) if text.split('/').any(|name| name.starts_with(OWN_PREFIX)) => Named::Nothing,
            Some(text) => Key::new(text).map_or(Named::Nothing, Named::Key),
        }
    }

    /// Whether a file of this key may be synced; its size is not known yet.
    pub(super) fn takes(&self, key: &Key) -> bool {
        !matches!(self.filter.verdict(key, 1), Verdict::Out(SkipReason::Own | SkipReason::Junk | SkipReason::Excluded))
    }

    pub(super) fn prunes(&self, dir: &str) -> bool {
        self.filter.prunes(dir).is_some()
    }

    /// Whether symbolic links are anything.
    pub(super) fn has_links(&self) -> bool {
        self.links != Symlinks::Skip
    }

    /// The key of a link of this name, where links are stored.
    pub(super) fn link(&self, key: &Key) -> Option<Key> {
        let text = || Key::new(format!("{}{LINK_SUFFIX}", key.as_str())).ok();
        if self.links == Symlinks::Store { text() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_keys_as_the_scan_sees_them() {
        use std::os::unix::ffi::OsStrExt;
        let scope = Scope { root: "/r".into(), filter: Arc::default(), links: Symlinks::Store };
        let key = |text: &str| Key::new(text).unwrap();
        assert_eq!(scope.named(Path::new("/r/a/b")), Named::Key(key("a/b")));
        assert_eq!(scope.named(Path::new("/r")), Named::Root);
        assert_eq!(scope.named(Path::new("/r/.mediasyncignore")), Named::Rules);
        let nothing = ["/r2/a", "/r/.mediasync-1f", "/r/d/.mediasync/x", "/r/d/.mediasyncignore"].map(Path::new);
        for path in nothing {
            assert_eq!(scope.named(path), Named::Nothing, "{path:?}");
        }
        assert_eq!(scope.named(Path::new(std::ffi::OsStr::from_bytes(b"/r/d/\xff"))), Named::Nameless);
        assert!(scope.takes(&key("a.jpg")) && !scope.takes(&key(".DS_Store")));
        assert_eq!(scope.link(&key("a")), Some(key("a.rclonelink")));
    }
}
