//! Who new files belong to: from names to numbers, by the lists of users and groups of this machine.

use super::failure::Failure;
use crate::config::Files;
use crate::replica::local::Made;

/// What a directory is to give to new files.
///
/// # Errors
/// A name that this machine does not know.
pub fn made(files: &Files) -> Result<Made, Failure> {
    let owner = match &files.owner {
        None => None,
        Some((user, group)) => {
            let uid = user.as_deref().map(|name| number("user", name, "/etc/passwd")).transpose()?;
            let gid = group.as_deref().map(|name| number("group", name, "/etc/group")).transpose()?;
            Some((uid, gid))
        }
    };
    let Files { file_mode, dir_mode, reserve, symlinks: links, .. } = *files;
    Ok(Made { file_mode, dir_mode, owner, reserve, links })
}

fn number(what: &str, name: &str, list: &str) -> Result<u32, Failure> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    // NAME:PASSWORD:NUMBER:...
    let text = std::fs::read_to_string(list).unwrap_or_default();
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    found.and_then(|rest| rest.split(':').nth(1)?.parse().ok()).ok_or_else(|| {
        Failure::usage(format!("owner: this machine has no {what} called {name:?}"))
            .hint(format!("names are looked up in {list}; a number works always"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_numbers() {
        let owner = |user: &str, group: Option<&str>| {
            let files = Files { owner: Some((Some(user.into()), group.map(Into::into))), ..Files::default() };
            made(&files).map(|made| made.owner)
        };
        assert_eq!(owner("root", Some("7")).unwrap(), Some((Some(0), Some(7))));
        assert!(owner("nobody-has-this-name", None).unwrap_err().message.contains("no user called"));
        assert_eq!(made(&Files::default()).unwrap(), Made::default());
    }
}
