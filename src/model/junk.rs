//! The list of certain junk: files and directories that operating systems, storage boxes, editors and transfer tools
//! leave in a media directory, and that nobody wants on a public server.
//!
//! It promises that a name on the list is junk wherever it stands. It does not hold what is merely suspicious
//! (`*.bak`, `*~`, other dotfiles): users exclude those themselves. AppleDouble files (`._x`) are not decided by name:
//! the scan looks for their original or their magic number.
//!
//! The names come from github.com/github/gitignore (Global/), Nextcloud's and rclone's own lists and the vendors'
//! documentation. A `*` stands for any bytes. The tables are public so that the user documentation is made from them.

use super::{Key, OWN_PREFIX};

/// How a row compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letters {
    /// As written.
    Exact,
    /// ASCII letters of either case: names that Windows makes.
    AnyCase,
}

/// Names of files that are junk. They match the last component of a key.
pub const JUNK_FILES: &[(Letters, &str)] = {
    use Letters::{AnyCase, Exact};
    &[
        // macOS
        (Exact, ".DS_Store"),
        (Exact, ".localized"),
        (Exact, ".LSOverride"),
        (Exact, "Icon\r"),
        (Exact, ".apdisk"),
        (Exact, ".VolumeIcon.icns"),
        (Exact, ".com.apple.timemachine.donotpresent"),
        (Exact, ".com.apple.timemachine.supported"),
        (Exact, ".metadata_never_index"),
        (Exact, ".hotfiles.btree"),
        (Exact, ".quota.user"),
        (Exact, ".quota.group"),
        (Exact, ".quota.ops.*"),
        // Windows
        (AnyCase, "Thumbs.db"),
        (AnyCase, "Thumbs.db:encryptable"),
        (AnyCase, "ehthumbs.db"),
        (AnyCase, "ehthumbs_vista.db"),
        (AnyCase, "desktop.ini"),
        (AnyCase, "~$*.doc"),
        (AnyCase, "~$*.docx"),
        (AnyCase, "~$*.dot"),
        (AnyCase, "~$*.xls"),
        (AnyCase, "~$*.xlsx"),
        (AnyCase, "~$*.ppt"),
        (AnyCase, "~$*.pptx"),
        // Linux desktops and network file systems
        (Exact, ".directory"),
        (Exact, ".nfs*"),
        (Exact, ".fuse_hidden*"),
        (Exact, ".gvfs"),
        (Exact, ".hidden"),
        (Exact, ".smbdelete*"),
        (Exact, ".@upload_cache"),
        // Editors
        (Exact, ".*.un~"),
        (Exact, ".netrwhist"),
        (Exact, "*.kate-swp"),
        (Exact, ".~lock.*#"),
        (Exact, ".#*"),
        (Exact, "#*#"),
        // Sync tools
        (Exact, ".dropbox"),
        (Exact, ".dropbox.attr"),
        (Exact, ".stfolder"),
        (Exact, ".syncthing.*.tmp"),
        (Exact, "csync_journal.db*"),
        (Exact, "*.unison*"),
        // Transfers under way
        (Exact, "*.crdownload"),
        (Exact, "*.part"),
        (Exact, "*.partial"),
        (Exact, "*.filepart"),
        (Exact, ".wget-hsts"),
    ]
};

/// Names of directories that are junk with everything below them.
pub const JUNK_DIRECTORIES: &[(Letters, &str)] = {
    use Letters::{AnyCase, Exact};
    &[
        // macOS
        (Exact, "__MACOSX"),
        (Exact, ".AppleDouble"),
        (Exact, ".AppleDB"),
        (Exact, ".AppleDesktop"),
        (Exact, ".Spotlight-V100"),
        (Exact, ".fseventsd"),
        (Exact, ".Trashes"),
        (Exact, ".Trash"),
        (Exact, ".TemporaryItems"),
        (Exact, ".DocumentRevisions-V100"),
        (Exact, ".MobileBackups"),
        (Exact, ".PKInstallSandboxManager*"),
        (Exact, "Network Trash Folder"),
        (Exact, "Temporary Items"),
        // Windows
        (AnyCase, "$RECYCLE.BIN"),
        (AnyCase, "RECYCLER"),
        (AnyCase, "System Volume Information"),
        // Linux
        (Exact, ".Trash-*"),
        (Exact, "lost+found"),
        (Exact, ".gvfs"),
        // Storage boxes (Synology, QNAP)
        (Exact, "@eaDir"),
        (Exact, "#recycle"),
        (Exact, "#snapshot"),
        (Exact, "@tmp"),
        (Exact, "@Recycle"),
        (Exact, ".@__thumb"),
        (Exact, ".@upload_cache"),
        (Exact, "@Recently-Snapshot"),
        (Exact, ".SynologyWorkingDirectory"),
        // Sync tools and browsers
        (Exact, ".dropbox.cache"),
        (Exact, ".stfolder"),
        (Exact, ".stversions"),
        (Exact, ".sync"),
        (Exact, "*.download"),
    ]
};

/// Files that are junk only at the root: `MANIFEST` is what a Divio backup leaves there.
pub const JUNK_AT_ROOT: &[&str] = &["MANIFEST"];

/// Why a key that stands in a bucket is junk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JunkBy {
    /// Its own name is on the list.
    Name,
    /// A folder above it is: whatever it is called itself.
    Folder,
    /// It is called like AppleDouble data; only its content shows whether it is.
    AppleDouble,
}

/// Whether a key is junk by the list alone, without any rule of a user's; never what is ours.
pub fn junk_by(key: &Key) -> Option<JunkBy> {
    if key.components().any(|name| name.starts_with(OWN_PREFIX)) {
        return None;
    }
    let name = key.name();
    let is_root = key.parent().is_none();
    if is_junk_file(name) || (is_root && JUNK_AT_ROOT.contains(&name)) {
        return Some(JunkBy::Name);
    }
    if key.parent().is_some_and(|parent| parent.split('/').any(is_junk_directory)) {
        return Some(JunkBy::Folder);
    }
    (name.len() > 2 && name.starts_with("._")).then_some(JunkBy::AppleDouble)
}

/// Whether content begins as AppleDouble data does (RFC 1740).
pub fn is_apple_double(content: &[u8]) -> bool {
    content.starts_with(&[0x00, 0x05, 0x16, 0x07])
}

/// Whether a file of this name is junk.
pub(super) fn is_junk_file(name: &str) -> bool {
    let name = name.as_bytes();
    // vim: `.swp`, `.a.jpg.swo`; never `x.swf`, which is content.
    if let [.., b'.', b's', b'w', b'a'..=b'p'] = name
        && name[0] == b'.'
    {
        return true;
    }
    on_list(name, JUNK_FILES, &FILE_STARTS)
}

/// Whether a directory of this name is junk.
pub(super) fn is_junk_directory(name: &str) -> bool {
    on_list(name.as_bytes(), JUNK_DIRECTORIES, &DIRECTORY_STARTS)
}

fn on_list(name: &[u8], list: &[(Letters, &str)], starts: &[bool; 256]) -> bool {
    let (Some(first), Some(last)) = (name.first(), name.last()) else { return false };
    // Every row that begins with `*` has a dot in it; without one and with another first byte there is nothing to compare.
    if !starts[usize::from(*first)] && !name.contains(&b'.') {
        return false;
    }
    list.iter().any(|(letters, row)| {
        let row = row.as_bytes();
        let end = row[row.len() - 1];
        // Nearly every name is settled by one of these two comparisons.
        if row[0] == b'*' {
            (end == b'*' || end == *last) && fits(row, name, *letters)
        } else {
            starts[usize::from(*first)] && row[0].eq_ignore_ascii_case(first) && fits(row, name, *letters)
        }
    })
}

/// First bytes of the rows that do not begin with `*`.
const fn starts(list: &[(Letters, &str)]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut i = 0;
    while i < list.len() {
        let byte = list[i].1.as_bytes()[0];
        table[byte as usize] = true;
        table[byte.to_ascii_lowercase() as usize] = true;
        table[byte.to_ascii_uppercase() as usize] = true;
        i += 1;
    }
    table
}

static FILE_STARTS: [bool; 256] = starts(JUNK_FILES);
static DIRECTORY_STARTS: [bool; 256] = starts(JUNK_DIRECTORIES);

/// Whether `name` fits `row`, in which `*` stands for any bytes.
fn fits(row: &[u8], name: &[u8], letters: Letters) -> bool {
    let equal = |a: u8, b: u8| match letters {
        Letters::Exact => a == b,
        Letters::AnyCase => a.eq_ignore_ascii_case(&b),
    };
    let (mut r, mut n) = (0, 0);
    // Where to go on when the bytes after the last star do not fit: the star then takes one byte more.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        if r < row.len() && row[r] == b'*' {
            retry = Some((r + 1, n));
            r += 1;
        } else if r < row.len() && equal(row[r], name[n]) {
            r += 1;
            n += 1;
        } else if let Some((after_star, taken)) = retry {
            retry = Some((after_star, taken + 1));
            r = after_star;
            n = taken + 1;
        } else {
            return false;
        }
    }
    row[r..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_junk_in_a_bucket_is_what_a_push_leaves_out_by_name() {
        use crate::model::{Filter, FilterRules, SkipReason, Verdict};
        let filter = Filter::new(FilterRules::default()).unwrap();
        for (text, expected) in [
            (".DS_Store", Some(JunkBy::Name)),
            ("a/b/thumbs.DB", Some(JunkBy::Name)),
            ("MANIFEST", Some(JunkBy::Name)),
            ("a/MANIFEST", None),
            ("a/@eaDir/photo.jpg", Some(JunkBy::Folder)),
            ("@eaDir/.DS_Store", Some(JunkBy::Name)),
            ("@eaDir", None),
            ("lost+found.jpg", None),
            ("a/photo.jpg", None),
            ("x.swf", None),
            (".mediasync/trash/r/.DS_Store", None),
            ("a/.htaccess", None),
        ] {
            let key = Key::new(text).unwrap();
            assert_eq!(junk_by(&key), expected, "{text}");
            let pushed = filter.verdict(&key, 1) == Verdict::Out(SkipReason::Junk);
            assert_eq!(expected.is_some(), pushed, "{text}");
        }
        for (text, expected) in [("a/._b.jpg", Some(JunkBy::AppleDouble)), ("._", None), (".b", None)] {
            assert_eq!(junk_by(&Key::new(text).unwrap()), expected, "{text}");
        }
        assert!(is_apple_double(&[0, 5, 0x16, 7, 0]) && !is_apple_double(b"GIF8") && !is_apple_double(&[0, 5]));
    }

    #[test]
    fn every_row_matches_a_name_made_from_it() {
        for (letters, row) in JUNK_FILES {
            assert!(is_junk_file(&row.replace('*', "xyz")), "{row}");
            if *letters == Letters::AnyCase {
                assert!(is_junk_file(&row.replace('*', "xyz").to_uppercase()), "{row}");
            }
        }
        for (letters, row) in JUNK_DIRECTORIES {
            assert!(is_junk_directory(&row.replace('*', "xyz")), "{row}");
            if *letters == Letters::AnyCase {
                assert!(is_junk_directory(&row.replace('*', "xyz").to_lowercase()), "{row}");
            }
        }
    }

    #[test]
    fn swap_files_of_vim_are_junk_and_flash_films_are_not() {
        for junk in [".swp", ".swo", ".photo.jpg.swp", "..swa"] {
            assert!(is_junk_file(junk), "{junk}");
        }
        for content in ["film.swf", "a.swp", ".swq", ".sw", "swp", ".xswp", ".a.svg"] {
            assert!(!is_junk_file(content), "{content}");
        }
    }

    #[test]
    fn content_is_not_junk() {
        for content in [
            "photo.jpg",
            "thumbs.db.jpg",
            "Thumbs.dbx",
            "ds_store",
            ".DS_Store.jpg",
            ".htaccess",
            ".well-known",
            "a~",
            "a.bak",
            "#1.jpg",
            "desktop.ini.txt",
            "a.part1.rar",
            ".ds_store",
            "Icon",
            "~$a.jpg",
            "",
        ] {
            assert!(!is_junk_file(content), "{content}");
        }
        for content in ["trash", "downloads", "a.downloads", "@eadir", "sync"] {
            assert!(!is_junk_directory(content), "{content}");
        }
    }

    #[test]
    fn rows_that_begin_with_a_star_have_a_dot() {
        let rows = JUNK_FILES.iter().chain(JUNK_DIRECTORIES).map(|(_, row)| row);
        assert!(rows.filter(|row| row.starts_with('*')).all(|row| row.contains('.')));
    }

    #[test]
    fn stars_backtrack() {
        assert!(fits(b"*.part", b"a.part.part", Letters::Exact));
        assert!(fits(b".~lock.*#", b".~lock.a#b#", Letters::Exact));
        assert!(!fits(b"*.part", b"a.partx", Letters::Exact));
    }
}
