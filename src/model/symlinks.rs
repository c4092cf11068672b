//! What becomes of symbolic links in a directory.

/// What the key of a link's text ends with: the form in which rclone keeps links with `--links`
/// (<https://rclone.org/local/#symlinks-junction-points>), so that either program can go on with what the other one stored.
pub const LINK_SUFFIX: &str = ".rclonelink";

/// What becomes of symbolic links in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Symlinks {
    /// They are left out and counted. A key that stands for a link's text is a file like any other.
    #[default]
    Skip,
    /// A link counts as what it leads to, if that lies below the root; for reading only.
    Follow,
    /// A link `a` is the key `a.rclonelink`, and its content is the link's text.
    Store,
}

/// The name of the link whose text a name stands for; `None` for the name of a file.
pub fn link_name(name: &str) -> Option<&str> {
    name.strip_suffix(LINK_SUFFIX).filter(|link| !matches!(*link, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_possible_links_stand_for_links() {
        assert_eq!(link_name("a.rclonelink"), Some("a"));
        assert_eq!(link_name("a.rclonelink.rclonelink"), Some("a.rclonelink"));
        for file in [".rclonelink", "..rclonelink", "...rclonelink", "a.rclonelinks", "a"] {
            assert_eq!(link_name(file), None, "{file}");
        }
    }
}
