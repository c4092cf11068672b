//! From an error number to what the caller does and what a person reads.

use std::path::Path;

use rustix::io::Errno;

use super::links::refuse_twins;
use crate::model::{Key, Problem, ProblemKind, Reach};
use crate::replica::{Cause, Error};

/// Error numbers after which nothing else will work either.
pub(super) fn stops_everything(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOSPC | Errno::DQUOT | Errno::ROFS | Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NODEV
    )
}

/// `could not WHAT KEY: REASON`, sorted by error number, with a way out where there is one.
pub(super) fn failed(what: &str, key: &Key, root: &Path, errno: Errno) -> Error {
    if errno == Errno::NOTUNIQ {
        return refuse_twins(key);
    }
    let cause = match errno {
        Errno::NOENT | Errno::NOTDIR => Cause::NotFound,
        Errno::BUSY | Errno::TXTBSY | Errno::AGAIN => Cause::Transient { throttled: false, after: None },
        errno if stops_everything(errno) => Cause::Stop,
        _ => Cause::Refused,
    };
    let error = Error::new(cause, format!("could not {what} `{key}`: {}", reason(errno)));
    let path = root.join(key.as_str());
    let path = match what {
        "look at" | "read" => &path,
        // To make, replace or remove a name is a right at the directory: the one that is there.
        _ => path.ancestors().skip(1).find(|path| path.symlink_metadata().is_ok()).unwrap_or(root),
    };
    match hint(errno, path) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// The problem of a scan: nothing can be said about `reach`.
pub(super) fn unreadable(reach: Reach, root: &Path, errno: Errno) -> Problem {
    let (message, path) = match &reach {
        Reach::Key(key) => (format!("could not look at `{key}`: {}", reason(errno)), root.join(key.as_str())),
        Reach::Below(key) => {
            (format!("could not read the directory `{key}`: {}", reason(errno)), root.join(key.as_str()))
        }
        Reach::All => (format!("could not read the directory: {}", reason(errno)), root.to_owned()),
    };
    let problem = Problem { reach: Some(reach), kind: ProblemKind::Unreadable, message, hint: None };
    match hint(errno, &path) {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}

/// An error number in words.
pub(super) fn reason(errno: Errno) -> String {
    match errno {
        Errno::XDEV => "a symbolic link on the way leads out of the directory".to_owned(),
        Errno::LOOP => "a symbolic link is in the way, and links are never followed".to_owned(),
        errno => {
            let text = std::io::Error::from(errno).to_string();
            // `Permission denied (os error 13)`: the number tells people nothing.
            text.split(" (os error").next().unwrap_or(&text).to_owned()
        }
    }
}

/// What to do about an error number, if there is one thing to do.
pub(super) fn hint(errno: Errno, path: &Path) -> Option<String> {
    match errno {
        Errno::ACCESS | Errno::PERM => Some(format!(
            "it may belong to root or another user, as files made in a container do; `sudo chown -R {}:{} {}` gives it \
             to the user that runs this",
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
            quoted(path),
        )),
        Errno::NOSPC => Some("free some space there, then run again".to_owned()),
        Errno::DQUOT => Some("the disk quota is used up: free some space or raise it, then run again".to_owned()),
        Errno::ROFS => Some("the file system is mounted read-only".to_owned()),
        Errno::MFILE | Errno::NFILE => Some("raise the limit of open files (`ulimit -n`)".to_owned()),
        _ => None,
    }
}

/// A path for people: control characters escaped, as in [`Key`].
pub(super) fn shown(path: &Path) -> String {
    match Key::new(path.to_string_lossy().into_owned()) {
        Ok(key) => key.to_string(),
        Err(_) => String::new(),
    }
}

/// A path that a shell takes as one word.
fn quoted(path: &Path) -> String {
    format!("'{}'", shown(path).replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_numbers_are_sorted_by_what_the_caller_does() {
        let key = Key::new("a\nb").unwrap();
        let cause = |errno| failed("read", &key, Path::new("/m"), errno).cause;
        assert_eq!(cause(Errno::NOENT), Cause::NotFound);
        assert_eq!(cause(Errno::NOSPC), Cause::Stop);
        assert_eq!(cause(Errno::DQUOT), Cause::Stop);
        assert_eq!(cause(Errno::ACCESS), Cause::Refused);
        assert_eq!(cause(Errno::LOOP), Cause::Refused);
    }

    #[test]
    fn a_permission_error_says_how_to_get_on() {
        let key = Key::new("it's\nx").unwrap();
        let error = failed("read", &key, Path::new("/m"), Errno::ACCESS);
        assert_eq!(error.message, r"could not read `it's\u{a}x`: Permission denied");
        assert!(error.hint.unwrap().contains(r"chown -R"));
        let dir = tempfile::tempdir().unwrap();
        let error = failed("write", &Key::new("not/there.txt").unwrap(), dir.path(), Errno::ACCESS);
        assert!(error.hint.unwrap().contains(&format!(" '{}'`", dir.path().display())));
        assert_eq!(quoted(Path::new("/it's")), r"'/it'\''s'");
    }
}
