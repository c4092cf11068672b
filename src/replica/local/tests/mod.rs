//! The local replica against real directories.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::root::Root;
use super::scan;
use super::tidy::Leftovers;
use super::*;
use crate::model::{Digest, DigestKind, Digests, Expect, Item, Place, Reach};
use crate::replica::fake::{NoJournal, PutParts, whole};
use crate::replica::{Buffers, Meter};

mod changing;
mod links;
mod races;
mod scanning;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

/// A directory with these files; each holds its own name.
fn tree(files: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        add(dir.path(), file);
    }
    dir
}

fn add(root: &Path, file: &str) -> PathBuf {
    let path = root.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, file).unwrap();
    path
}

/// A root that does not wait for clock ticks.
fn root(dir: &Path) -> Root {
    let mut root = Root::open(dir).unwrap();
    root.fs.granularity_ns = 0;
    root
}

fn version_of(root: &Root, at: &str) -> Version {
    read::look_up(root, &key(at)).unwrap().unwrap().version
}

/// Walks on this thread, so that the seam works.
fn walk(root: &Root, only: Option<&str>, filter: &Arc<Filter>) -> Result<Vec<Item>, Error> {
    let (sender, mut items) = mpsc::channel(100_000);
    scan::walk(root, only.map(key).as_ref(), filter, &Leftovers::default(), sender);
    let mut all = Vec::new();
    while let Ok(batch) = items.try_recv() {
        all.extend(batch?);
    }
    Ok(all)
}

/// Walks on another thread, because an asynchronous test must not block its own.
fn walk_apart(dir: &Path) -> Vec<Item> {
    std::thread::scope(|scope| scope.spawn(|| walk(&root(dir), None, &Arc::default()).unwrap()).join().unwrap())
}

/// One line a statement; `END` last.
fn told(items: &[Item]) -> Vec<String> {
    let reach = |reach: &Reach| match reach {
        Reach::Key(key) => key.as_str().to_owned(),
        Reach::Below(key) => format!("{}/", key.as_str()),
        Reach::All => "everything".to_owned(),
    };
    let line = |item: &Item| match item {
        Item::Present(key, _) => key.as_str().to_owned(),
        Item::Unknown(at, _) => format!("unknown {}", reach(at)),
        Item::Skipped(at, why) => format!("{why:?} {}", reach(at)),
        Item::Nameless(_) => "nameless".to_owned(),
        Item::End => "END".to_owned(),
    };
    items.iter().map(line).collect()
}

fn scan_all(dir: &Path) -> Vec<String> {
    told(&walk(&root(dir), None, &Arc::default()).unwrap())
}

fn assert_ascending(items: &[Item]) {
    let places: Vec<String> = items.iter().filter_map(Item::place).map(Place::to_text).collect();
    for pair in places.windows(2) {
        assert!(pair[0] < pair[1], "{:?} before {:?}", pair[0], pair[1]);
    }
}

async fn connected(dir: &Path) -> Local {
    let replica = Local::open(dir).unwrap();
    replica.connect(Contact::Look).await.unwrap();
    replica
}

/// Every name below the directory, temporary files included.
fn everything(dir: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(at) = todo.pop() {
        for entry in std::fs::read_dir(at).unwrap() {
            let entry = entry.unwrap();
            names.push(entry.path().strip_prefix(dir).unwrap().to_string_lossy().into_owned());
            if entry.file_type().unwrap().is_dir() {
                todo.push(entry.path());
            }
        }
    }
    names.sort();
    names
}
