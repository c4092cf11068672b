//! Names that programs give to a file until it is whole, or to what it was before.
//!
//! Such a file is looked at like any other, a settling round later: by then most of them are gone. A name that is taken
//! for temporary and is not costs these 2 s, so the rules may be generous. What is junk wherever it stands
//! (`model::JUNK_FILES`) is left out by the filter and does not come here, unless somebody takes junk along.
//!
//! Sources: vim `:help 'backupcopy'` and `buf_write()` (`4913`), emacs "Auto-Save Files" and `files.el` (`#x#`, `.#x`),
//! GLib `g_file_replace` (`.goutputstream-XXXXXX`), LibreOffice (`lu*.tmp`, `.~lock.*#`), rsync(1) (`.NAME.XXXXXX`),
//! mkstemp(3) (six letters and digits), macOS safe saves (`NAME.sb-XXXXXXXX-XXXXXX`), npm write-file-atomic (`NAME.DIGITS`).

/// Whether the last name of a key looks as if it did not stay.
pub(super) fn looks_temporary(name: &str) -> bool {
    const ENDS: [&str; 16] = [
        "~",
        ".tmp",
        ".temp",
        ".part",
        ".partial",
        ".filepart",
        ".crdownload",
        ".download",
        ".swp",
        ".swo",
        ".swx",
        ".new",
        ".lock",
        ".vsctmp",
        ".upload",
        ".inprogress",
    ];
    const BEGINS: [&str; 9] = [".goutputstream-", ".#", ".~", "~$", ".tmp", "~wrl", "~wrd", ".nfs", ".fuse_hidden"];
    let lower = name.to_ascii_lowercase();
    name == "4913"
        || ENDS.iter().any(|end| lower.ends_with(end))
        || BEGINS.iter().any(|begin| lower.starts_with(begin))
        || (name.len() > 1 && name.starts_with('#') && name.ends_with('#'))
        || lower.contains(".sb-")
        || lower.contains(".tmp.")
        || lower.contains(".tmp-")
        || has_random_end(name)
        || is_made_up(name)
}

/// `.photo.jpg.a1B2c3`, `report.odt.x8Kq1Z`, `data.json.1834092837`.
fn has_random_end(name: &str) -> bool {
    let Some((before, end)) = name.rsplit_once('.') else { return false };
    let digits = end.len() >= 7 && end.bytes().all(|b| b.is_ascii_digit());
    let hidden = before.len() > 1 && before.starts_with('.') && before[1..].contains('.');
    // With six letters alone an ending may well be a word: only beside another ending or after a leading dot.
    !before.is_empty() && (digits || (is_mkstemp(end) && (hidden || is_mixed(end))))
}

/// `sedX1y2Z3`, `tmpab12cd34`.
fn is_made_up(name: &str) -> bool {
    name.strip_prefix("sed").is_some_and(|rest| is_mkstemp(rest) && is_mixed(rest))
        || name.strip_prefix("tmp").is_some_and(|rest| (6..=10).contains(&rest.len()) && is_mixed(rest))
}

fn is_mkstemp(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Letters of both cases, or letters and digits: no word and no number.
fn is_mixed(text: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| text.as_bytes().iter().any(&kind);
    let (lower, upper, digit) = (has(u8::is_ascii_lowercase), has(u8::is_ascii_uppercase), has(u8::is_ascii_digit));
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && usize::from(lower) + usize::from(upper) + usize::from(digit) > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_unfinished_files_are_known() {
        for name in [
            "4913",
            "a.jpg~",
            ".#a.txt",
            "#a.txt#",
            "a.tmp",
            "A.TMP",
            "a.mov.part",
            ".goutputstream-X1Y2Z3",
            "lu123abc.tmp",
            ".a.txt.swp",
            ".photo.jpg.a1B2c3",
            ".photo.jpg.abcdef",
            "report.odt.x8Kq1Z",
            "data.json.1834092837",
            "sedX1y2Z3",
            "tmpab12cd34",
            "film.mov.sb-12345678-AbCdEf",
            "~WRL0001.tmp",
            "~$report.docx",
            ".~lock.a.odt#",
            ".nfs0001",
            "a.tmp.1234",
        ] {
            assert!(looks_temporary(name), "{name}");
        }
    }

    #[test]
    fn names_of_content_are_not() {
        for name in [
            "photo.jpg",
            "4914",
            "#",
            "#1.jpg",
            "a~b.jpg",
            "IMG_1834092837.jpg",
            "20260101.mov",
            "archive.tar.gz",
            "page.xhtml",
            "a.config",
            "tmp",
            "sedan1.jpg",
            "tmpfile.txt",
            "a.backup",
            ".htaccess",
            "film.ProRes",
            "x.part1.rar",
            "2026.123456",
            "a.mp3",
        ] {
            // `ProRes` is mixed: the price is a settling round.
            assert_eq!(looks_temporary(name), name == "film.ProRes", "{name}");
        }
    }
}
