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

/// Whether a name on the list can be somebody's content in a bucket. A run leaves out either: nothing is lost by that. Only a
/// deletion wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nature {
    /// Operating systems and storage boxes make it, and nobody else.
    System,
    /// Some program makes such names, and people may too; or it holds what people had: a recycle bin, a swap file.
    Doubtful,
}

/// Names of files that are junk. They match the last component of a key.
pub const JUNK_FILES: &[(Letters, Nature, &str)] = {
    use Letters::{AnyCase, Exact};
    use Nature::{Doubtful, System};
    &[
        // macOS
        (Exact, System, ".DS_Store"),
        (Exact, System, ".localized"),
        (Exact, System, ".LSOverride"),
        (Exact, System, "Icon\r"),
        (Exact, System, ".apdisk"),
        (Exact, System, ".VolumeIcon.icns"),
        (Exact, System, ".com.apple.timemachine.donotpresent"),
        (Exact, System, ".com.apple.timemachine.supported"),
        (Exact, System, ".metadata_never_index"),
        (Exact, System, ".hotfiles.btree"),
        (Exact, Doubtful, ".quota.user"),
        (Exact, Doubtful, ".quota.group"),
        (Exact, Doubtful, ".quota.ops.*"),
        // Windows
        (AnyCase, System, "Thumbs.db"),
        (AnyCase, System, "Thumbs.db:encryptable"),
        (AnyCase, System, "ehthumbs.db"),
        (AnyCase, System, "ehthumbs_vista.db"),
        (AnyCase, System, "desktop.ini"),
        (AnyCase, Doubtful, "~$*.doc"),
        (AnyCase, Doubtful, "~$*.docx"),
        (AnyCase, Doubtful, "~$*.dot"),
        (AnyCase, Doubtful, "~$*.xls"),
        (AnyCase, Doubtful, "~$*.xlsx"),
        (AnyCase, Doubtful, "~$*.ppt"),
        (AnyCase, Doubtful, "~$*.pptx"),
        // Linux desktops and network file systems
        (Exact, System, ".directory"),
        (Exact, Doubtful, ".nfs*"),
        (Exact, Doubtful, ".fuse_hidden*"),
        (Exact, Doubtful, ".gvfs"),
        (Exact, Doubtful, ".hidden"),
        (Exact, Doubtful, ".smbdelete*"),
        (Exact, Doubtful, ".@upload_cache"),
        // Editors
        (Exact, Doubtful, ".*.un~"),
        (Exact, Doubtful, ".netrwhist"),
        (Exact, Doubtful, "*.kate-swp"),
        (Exact, Doubtful, ".~lock.*#"),
        (Exact, Doubtful, ".#*"),
        (Exact, Doubtful, "#*#"),
        // Sync tools
        (Exact, Doubtful, ".dropbox"),
        (Exact, Doubtful, ".dropbox.attr"),
        (Exact, Doubtful, ".stfolder"),
        (Exact, Doubtful, ".syncthing.*.tmp"),
        (Exact, Doubtful, "csync_journal.db*"),
        (Exact, Doubtful, "*.unison*"),
        // Transfers under way
        (Exact, Doubtful, "*.crdownload"),
        (Exact, Doubtful, "*.part"),
        (Exact, Doubtful, "*.partial"),
        (Exact, Doubtful, "*.filepart"),
        (Exact, Doubtful, ".wget-hsts"),
    ]
};

/// Names of directories that are junk with everything below them.
pub const JUNK_DIRECTORIES: &[(Letters, Nature, &str)] = {
    use Letters::{AnyCase, Exact};
    use Nature::{Doubtful, System};
    &[
        // macOS
        (Exact, System, "__MACOSX"),
        (Exact, System, ".AppleDouble"),
        (Exact, System, ".AppleDB"),
        (Exact, System, ".AppleDesktop"),
        (Exact, System, ".Spotlight-V100"),
        (Exact, System, ".fseventsd"),
        (Exact, Doubtful, ".Trashes"),
        (Exact, Doubtful, ".Trash"),
        (Exact, System, ".TemporaryItems"),
        (Exact, System, ".DocumentRevisions-V100"),
        (Exact, System, ".MobileBackups"),
        (Exact, Doubtful, ".PKInstallSandboxManager*"),
        (Exact, Doubtful, "Network Trash Folder"),
        (Exact, Doubtful, "Temporary Items"),
        // Windows
        (AnyCase, Doubtful, "$RECYCLE.BIN"),
        (AnyCase, Doubtful, "RECYCLER"),
        (AnyCase, System, "System Volume Information"),
        // Linux
        (Exact, Doubtful, ".Trash-*"),
        (Exact, Doubtful, "lost+found"),
        (Exact, Doubtful, ".gvfs"),
        // Storage boxes (Synology, QNAP)
        (Exact, System, "@eaDir"),
        (Exact, Doubtful, "#recycle"),
        (Exact, Doubtful, "#snapshot"),
        (Exact, Doubtful, "@tmp"),
        (Exact, Doubtful, "@Recycle"),
        (Exact, Doubtful, ".@__thumb"),
        (Exact, Doubtful, ".@upload_cache"),
        (Exact, Doubtful, "@Recently-Snapshot"),
        (Exact, Doubtful, ".SynologyWorkingDirectory"),
        // Sync tools and browsers
        (Exact, Doubtful, ".dropbox.cache"),
        (Exact, Doubtful, ".stfolder"),
        (Exact, Doubtful, ".stversions"),
        (Exact, Doubtful, ".sync"),
        (Exact, Doubtful, "*.download"),
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

/// A row of the list that a key fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JunkRow {
    /// What fits.
    pub by: JunkBy,
    /// Whether it may be content.
    pub nature: Nature,
    /// The row as people write it: that of a folder ends in `/`, that of a root begins with it.
    pub row: String,
}

/// What AppleDouble data is called.
const APPLE_DOUBLE: &str = "._*";
/// What swap files of vim are called; see [`is_junk_file`].
const VIM: &str = ".*.swp";

/// The rows that a key fits, without any rule of a user's: what is certain first, its own name before the folders. None for
/// what is ours.
pub fn junk_of(key: &Key) -> Vec<JunkRow> {
    let mut all = Vec::new();
    if key.components().any(|name| name.starts_with(OWN_PREFIX)) {
        return all;
    }
    let (name, parent) = (key.name(), key.parent());
    if is_junk_file(name) {
        let on_list = rows_of(name.as_bytes(), JUNK_FILES);
        all.extend(on_list.map(|(nature, row)| JunkRow { by: JunkBy::Name, nature, row: row.to_owned() }));
        if is_vim(name.as_bytes()) {
            all.push(JunkRow { by: JunkBy::Name, nature: Nature::Doubtful, row: VIM.to_owned() });
        }
    }
    if parent.is_none() && JUNK_AT_ROOT.contains(&name) {
        all.push(JunkRow { by: JunkBy::Name, nature: Nature::Doubtful, row: format!("/{name}") });
    }
    for folder in parent.unwrap_or_default().split('/').filter(|folder| is_junk_directory(folder)) {
        let on_list = rows_of(folder.as_bytes(), JUNK_DIRECTORIES);
        all.extend(on_list.map(|(nature, row)| JunkRow { by: JunkBy::Folder, nature, row: format!("{row}/") }));
    }
    if name.len() > 2 && name.starts_with("._") {
        all.push(JunkRow { by: JunkBy::AppleDouble, nature: Nature::System, row: APPLE_DOUBLE.to_owned() });
    }
    all.sort_by_key(|junk| (junk.nature, junk.by == JunkBy::AppleDouble));
    all
}

/// All rows, as [`JunkRow::row`] has them.
pub fn junk_rows() -> Vec<String> {
    let files = JUNK_FILES.iter().map(|(_, _, row)| (*row).to_owned());
    let folders = JUNK_DIRECTORIES.iter().map(|(_, _, row)| format!("{row}/"));
    let at_root = JUNK_AT_ROOT.iter().map(|row| format!("/{row}"));
    let more = [APPLE_DOUBLE, VIM].map(str::to_owned);
    files.chain(folders).chain(at_root).chain(more).collect()
}

fn rows_of(name: &[u8], list: &'static [(Letters, Nature, &str)]) -> impl Iterator<Item = (Nature, &'static str)> {
    let fitting = list.iter().filter(|(letters, _, row)| fits(row.as_bytes(), name, *letters));
    fitting.map(|(_, nature, row)| (*nature, *row))
}

/// Whether content begins as AppleDouble data does (RFC 1740).
pub fn is_apple_double(content: &[u8]) -> bool {
    content.starts_with(&[0x00, 0x05, 0x16, 0x07])
}

/// Whether a file of this name is junk.
pub(super) fn is_junk_file(name: &str) -> bool {
    let name = name.as_bytes();
    is_vim(name) || on_list(name, JUNK_FILES, &FILE_STARTS)
}

/// vim: `.swp`, `.a.jpg.swo`; never `x.swf`, which is content.
fn is_vim(name: &[u8]) -> bool {
    matches!(name, [.., b'.', b's', b'w', b'a'..=b'p']) && name[0] == b'.'
}

/// Whether a directory of this name is junk.
pub(super) fn is_junk_directory(name: &str) -> bool {
    on_list(name.as_bytes(), JUNK_DIRECTORIES, &DIRECTORY_STARTS)
}

fn on_list(name: &[u8], list: &[(Letters, Nature, &str)], starts: &[bool; 256]) -> bool {
    let (Some(first), Some(last)) = (name.first(), name.last()) else { return false };
    // Every row that begins with `*` has a dot in it; without one and with another first byte there is nothing to compare.
    if !starts[usize::from(*first)] && !name.contains(&b'.') {
        return false;
    }
    list.iter().any(|(letters, _, row)| {
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
const fn starts(list: &[(Letters, Nature, &str)]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut i = 0;
    while i < list.len() {
        let byte = list[i].2.as_bytes()[0];
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
            ("a/.b.jpg.swo", Some(JunkBy::Name)),
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
            assert_eq!(junk_of(&key).first().map(|junk| junk.by), expected, "{text}");
            let pushed = filter.verdict(&key, 1) == Verdict::Out(SkipReason::Junk);
            assert_eq!(expected.is_some(), pushed, "{text}");
        }
        for (text, expected) in [("a/._b.jpg", Some(JunkBy::AppleDouble)), ("._", None), (".b", None)] {
            assert_eq!(junk_of(&Key::new(text).unwrap()).first().map(|junk| junk.by), expected, "{text}");
        }
        assert!(is_apple_double(&[0, 5, 0x16, 7, 0]) && !is_apple_double(b"GIF8") && !is_apple_double(&[0, 5]));
    }

    #[test]
    fn only_what_systems_make_is_certain() {
        let first = |text: &str| {
            let junk = junk_of(&Key::new(text).unwrap()).remove(0);
            (junk.nature, junk.row)
        };
        for (text, row) in [
            ("a/.DS_Store", ".DS_Store"),
            ("a/THUMBS.DB", "Thumbs.db"),
            ("lost+found/Desktop.ini", "desktop.ini"),
            ("a/__MACOSX/b/film.part", "__MACOSX/"),
            ("a/@eaDir/x.jpg", "@eaDir/"),
            ("__MACOSX/._x", "__MACOSX/"),
            ("lost+found/._x", "._*"),
        ] {
            assert_eq!(first(text), (Nature::System, row.to_owned()), "{text}");
        }
        for (text, row) in [
            ("film.part", "*.part"),
            ("#hashtag#", "#*#"),
            ("a.unison.txt", "*.unison*"),
            (".nfs-notes.txt", ".nfs*"),
            (".a.swp", ".*.swp"),
            ("MANIFEST", "/MANIFEST"),
            ("~$letter.docx", "~$*.docx"),
            ("Recycler/machine.jpg", "RECYCLER/"),
            ("linux.download/x.iso", "*.download/"),
            ("lost+found/photo.jpg", "lost+found/"),
            (".Trash/photo.jpg", ".Trash/"),
            (".Trashes/501/photo.jpg", ".Trashes/"),
            ("$RECYCLE.BIN/photo.jpg", "$RECYCLE.BIN/"),
        ] {
            assert_eq!(first(text), (Nature::Doubtful, row.to_owned()), "{text}");
        }
        let rows = junk_rows();
        for text in ["lost+found/a.part", "a/.b.swp", "MANIFEST", "._x"] {
            let all = junk_of(&Key::new(text).unwrap());
            assert!(all.iter().all(|junk| rows.contains(&junk.row)), "{all:?}");
        }
        assert_eq!(junk_of(&Key::new("lost+found/a.part").unwrap()).len(), 2);
        // No wild name is certain: a star there could be anybody's.
        let certain = JUNK_FILES.iter().chain(JUNK_DIRECTORIES).filter(|(_, nature, _)| *nature == Nature::System);
        assert!(certain.clone().all(|(_, _, row)| !row.contains('*')) && certain.count() > 20);
    }

    #[test]
    fn every_row_matches_a_name_made_from_it() {
        for (letters, _, row) in JUNK_FILES {
            assert!(is_junk_file(&row.replace('*', "xyz")), "{row}");
            if *letters == Letters::AnyCase {
                assert!(is_junk_file(&row.replace('*', "xyz").to_uppercase()), "{row}");
            }
        }
        for (letters, _, row) in JUNK_DIRECTORIES {
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
        let rows = JUNK_FILES.iter().chain(JUNK_DIRECTORIES).map(|(_, _, row)| row);
        assert!(rows.filter(|row| row.starts_with('*')).all(|row| row.contains('.')));
    }

    #[test]
    fn stars_backtrack() {
        assert!(fits(b"*.part", b"a.part.part", Letters::Exact));
        assert!(fits(b".~lock.*#", b".~lock.a#b#", Letters::Exact));
        assert!(!fits(b"*.part", b"a.partx", Letters::Exact));
    }
}
