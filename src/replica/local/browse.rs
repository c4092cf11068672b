//! Browsing a directory: names by key order, one directory in memory at a time with those above it. Follows no link.

use std::fs::{self, DirEntry};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use std::vec::IntoIter;

use async_trait::async_trait;

use super::fault::shown;
use super::{Local, blocking};
use crate::replica::browse::{Browse, Depth, Seen};
use crate::replica::object::is_own;
use crate::replica::{Cause, Error};

/// Names of a batch.
const BATCH: usize = 256;

/// See [`Local::browse`].
#[derive(Debug)]
struct Browsing {
    root: PathBuf,
    depth: Depth,
    /// Directories to be read, and what is left of those that were; the last one is in hand.
    todo: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    /// A directory below the root, as a name that is empty or ends in `/`, and how the names in it begin.
    Read(String, String),
    Rest(IntoIter<Seen>),
}

impl Local {
    /// What begins with `start` below the root. A directory that is not there has nothing. Needs no first contact.
    pub fn browse(&self, start: &str, depth: Depth) -> Box<dyn Browse> {
        let (dir, name) = start.rfind('/').map_or(("", start), |at| start.split_at(at + 1));
        let todo = vec![Step::Read(dir.to_owned(), name.to_owned())];
        Box::new(Browsing { root: self.path.clone(), depth, todo })
    }
}

#[async_trait]
impl Browse for Browsing {
    async fn next(&mut self) -> Result<Option<Vec<Seen>>, Error> {
        let (root, depth, mut todo) = (self.root.clone(), self.depth, std::mem::take(&mut self.todo));
        let (batch, todo) = blocking(move || Ok((advance(&root, depth, &mut todo)?, todo))).await?;
        self.todo = todo;
        Ok(Some(batch).filter(|batch| !batch.is_empty()))
    }
}

fn advance(root: &Path, depth: Depth, todo: &mut Vec<Step>) -> Result<Vec<Seen>, Error> {
    let mut batch = Vec::new();
    while batch.len() < BATCH {
        match todo.last_mut() {
            None => break,
            Some(Step::Read(dir, start)) => {
                let names = names(root, dir, start)?;
                *todo.last_mut().expect("it was just seen") = Step::Rest(names.into_iter());
            }
            Some(Step::Rest(rest)) => match rest.next() {
                None => drop(todo.pop()),
                Some(Seen::Folder(below)) if depth == Depth::Users && is_own(&below) => {}
                Some(Seen::Folder(below)) if depth != Depth::Level => todo.push(Step::Read(below, String::new())),
                Some(seen) => batch.push(seen),
            },
        }
    }
    Ok(batch)
}

fn names(root: &Path, dir: &str, start: &str) -> Result<Vec<Seen>, Error> {
    let path = root.join(dir);
    let failed =
        |error: io::Error| Error::new(Cause::Stop, format!("the directory `{}` can't be read: {error}", shown(&path)));
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut all = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        match seen(dir, &entry) {
            Ok(seen) if seen.name()[dir.len()..].starts_with(start) => all.push(seen),
            Ok(_) => {}
            // It is gone since.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
    all.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(all)
}

fn seen(dir: &str, entry: &DirEntry) -> io::Result<Seen> {
    let file_name = entry.file_name();
    let Some(name) = file_name.to_str() else {
        return Ok(Seen::Other { name: format!("{dir}{}", file_name.display()), what: "its name is not UTF-8" });
    };
    let name = format!("{dir}{name}");
    let metadata = entry.metadata()?;
    Ok(match metadata.file_type() {
        kind if kind.is_dir() => Seen::Folder(format!("{name}/")),
        kind if kind.is_file() => {
            let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let modified_ns = modified.and_then(|since| i64::try_from(since.as_nanos()).ok());
            Seen::File { name, size: Some(metadata.len()), modified_ns }
        }
        kind if kind.is_symlink() => Seen::Other { name, what: "symbolic link" },
        _ => Seen::Other { name, what: "no regular file" },
    })
}
