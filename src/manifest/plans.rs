//! Stored plans: what a guard halted on, and what `--save-plan` writes.
//!
//! One JSON value a line: a header, one line an action, and a last line that proves that the file is whole. The hash
//! covers the header (without its `time`) and the actions, so the same decisions give the same hash.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Lines, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Pair;
use super::error::{ManifestError, Reaction, shown};
use super::lock::private_dir;
use super::store::with_suffix;
use crate::model::Action;

/// Plan files: written as a whole or not at all, mode 0600.
#[derive(Debug)]
pub struct PlanFile;

/// The last line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Footer {
    end: String,
    actions: u64,
}

impl PlanFile {
    /// How many plans of a pair are kept.
    const KEPT: usize = 20;

    /// Where a pair's stored plan of this hash is.
    pub fn path(state_dir: &Path, pair: &Pair, hash: &str) -> PathBuf {
        plans_dir(state_dir, pair).join(format!("{hash}.plan"))
    }

    /// Stores a plan of the pair under its hash, and keeps the last 20.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn store(
        state_dir: &Path,
        pair: &Pair,
        header: &Value,
        actions: impl IntoIterator<Item = Result<Action, ManifestError>>,
    ) -> Result<String, ManifestError> {
        let dir = plans_dir(state_dir, pair);
        private_dir(&dir)?;
        let temp = dir.join("new");
        let hash = Self::write(&temp, header, actions)?;
        let path = Self::path(state_dir, pair, &hash);
        fs::rename(&temp, &path).map_err(|e| ManifestError::io("write", &path, &e))?;
        prune(&dir, Self::KEPT)?;
        Ok(hash)
    }

    /// Writes a plan to `path`, replacing what is there, and returns its hash: 12 hexadecimal digits.
    ///
    /// # Errors
    /// The first error of `actions`; [`Reaction::Full`] or [`Reaction::Unusable`] when it can't be written. Then `path` is
    /// as it was.
    pub fn write(
        path: &Path,
        header: &Value,
        actions: impl IntoIterator<Item = Result<Action, ManifestError>>,
    ) -> Result<String, ManifestError> {
        let temp = with_suffix(path, ".tmp");
        let result = write_lines(&temp, header, actions)
            .and_then(|hash| fs::rename(&temp, path).map_err(|e| ManifestError::io("write", path, &e)).map(|()| hash));
        if result.is_err() {
            fs::remove_file(&temp).ok();
        }
        result
    }

    /// Reads a plan: its header, and its actions one by one. That the file is whole is proven first.
    ///
    /// # Errors
    /// [`Reaction::Corrupt`] for a damaged or edited file, [`Reaction::Unusable`] when it can't be read.
    pub fn read(path: &Path) -> Result<(Value, PlanActions), ManifestError> {
        let hash = check(path)?;
        let mut lines = open_lines(path)?;
        let header = next_line(&mut lines, path)?;
        let header = serde_json::from_str(&header).map_err(|e| damaged(path, &e.to_string()))?;
        Ok((header, PlanActions { hash, lines, path: path.to_owned(), ended: false }))
    }
}

/// The actions of a plan file, in its order.
#[derive(Debug)]
pub struct PlanActions {
    hash: String,
    lines: Lines<BufReader<File>>,
    path: PathBuf,
    ended: bool,
}

impl PlanActions {
    /// The plan's hash.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    fn read(&mut self) -> Result<Option<Action>, ManifestError> {
        let line = next_line(&mut self.lines, &self.path)?;
        if is_footer(&line) {
            return Ok(None);
        }
        serde_json::from_str(&line).map(Some).map_err(|e| damaged(&self.path, &e.to_string()))
    }
}

impl Iterator for PlanActions {
    type Item = Result<Action, ManifestError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.read().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

fn plans_dir(state_dir: &Path, pair: &Pair) -> PathBuf {
    pair.dir(state_dir).join("plans")
}

/// A file of another kind.
fn no_plan(path: &Path) -> ManifestError {
    ManifestError::new(Reaction::Corrupt, format!("{} is no plan", shown(path)))
        .hint("a plan is a file that --save-plan wrote; jobs of the configuration are run by mediasync sync")
}

fn damaged(path: &Path, what: &str) -> ManifestError {
    ManifestError::new(Reaction::Corrupt, format!("the plan {} is damaged: {what}", shown(path)))
        .hint("make the plan again")
}

fn write_lines(
    path: &Path,
    header: &Value,
    actions: impl IntoIterator<Item = Result<Action, ManifestError>>,
) -> Result<String, ManifestError> {
    let failed = |e: &std::io::Error| ManifestError::io("write", path, e);
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(failed(&e)),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|e| failed(&e))?;
    let mut out = BufWriter::new(file);
    let mut line = Vec::new();
    to_line(&mut line, header);
    // Hashed as it reads back: a float need not give the same text again.
    let header = serde_json::from_slice(&line).expect("what was just written");
    let mut hasher = PlanHash::new(header);
    out.write_all(&line).map_err(|e| failed(&e))?;
    let mut count = 0;
    for action in actions {
        to_line(&mut line, &action?);
        hasher.line(&line);
        out.write_all(&line).map_err(|e| failed(&e))?;
        count += 1;
    }
    let hash = hasher.finish();
    to_line(&mut line, &Footer { end: hash.clone(), actions: count });
    out.write_all(&line).map_err(|e| failed(&e))?;
    let file = out.into_inner().map_err(|e| failed(e.error()))?;
    file.sync_all().map_err(|e| failed(&e))?;
    Ok(hash)
}

fn to_line(line: &mut Vec<u8>, value: &impl Serialize) {
    line.clear();
    serde_json::to_writer(&mut *line, value).expect("our types have text keys, and memory takes all");
    line.push(b'\n');
}

/// The hash of a plan as its lines go by.
struct PlanHash(blake3::Hasher);

impl PlanHash {
    fn new(mut header: Value) -> Self {
        if let Some(fields) = header.as_object_mut() {
            fields.remove("time");
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(header.to_string().as_bytes()).update(b"\n");
        Self(hasher)
    }

    /// One action, with the end of its line.
    fn line(&mut self, line: &[u8]) {
        self.0.update(line);
    }

    fn finish(self) -> String {
        let mut hash = self.0.finalize().to_hex().to_string();
        hash.truncate(12);
        hash
    }
}

/// Reads all of a plan, and returns its hash if it is what its last line says.
fn check(path: &Path) -> Result<String, ManifestError> {
    let mut lines = open_lines(path)?;
    let header = next_line(&mut lines, path)?;
    let header = serde_json::from_str(&header)
        .map_err(|e| if header.starts_with('{') { damaged(path, &e.to_string()) } else { no_plan(path) })?;
    let mut hasher = PlanHash::new(header);
    let mut count = 0;
    let footer = loop {
        let mut line = next_line(&mut lines, path)?;
        if is_footer(&line) {
            break serde_json::from_str::<Footer>(&line).map_err(|e| damaged(path, &e.to_string()))?;
        }
        line.push('\n');
        hasher.line(line.as_bytes());
        count += 1;
    };
    if lines.next().is_some() {
        return Err(damaged(path, "it goes on after its end"));
    }
    let hash = hasher.finish();
    if footer.end != hash || footer.actions != count {
        return Err(damaged(path, "its content is not what was written"));
    }
    Ok(hash)
}

/// An action begins with its key, so the two can't be taken for each other.
fn is_footer(line: &str) -> bool {
    line.starts_with("{\"end\":")
}

fn open_lines(path: &Path) -> Result<Lines<BufReader<File>>, ManifestError> {
    let file = File::open(path).map_err(|e| ManifestError::io("read", path, &e))?;
    Ok(BufReader::new(file).lines())
}

fn next_line(lines: &mut Lines<BufReader<File>>, path: &Path) -> Result<String, ManifestError> {
    match lines.next() {
        Some(Ok(line)) => Ok(line),
        Some(Err(e)) if e.kind() == ErrorKind::InvalidData => Err(damaged(path, "it is not UTF-8")),
        Some(Err(e)) => Err(ManifestError::io("read", path, &e)),
        None => Err(damaged(path, "it is cut off")),
    }
}

/// Removes all but the newest plans.
fn prune(dir: &Path, kept: usize) -> Result<(), ManifestError> {
    let failed = |e: std::io::Error| ManifestError::io("tidy", dir, &e);
    let mut plans = Vec::new();
    for found in fs::read_dir(dir).map_err(failed)? {
        let path = found.map_err(failed)?.path();
        if path.extension().is_some_and(|e| e == "plan") {
            let written = fs::metadata(&path).and_then(|m| m.modified()).map_err(failed)?;
            plans.push((written, path));
        }
    }
    plans.sort();
    let extra = plans.len().saturating_sub(kept);
    for (_, path) in &plans[..extra] {
        fs::remove_file(path).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    use serde_json::json;

    use super::super::codec::tests::any_action;
    use super::*;

    fn actions(count: usize) -> Vec<Action> {
        let mut runner = TestRunner::deterministic();
        (0..count).map(|_| any_action().new_tree(&mut runner).unwrap().current()).collect()
    }

    fn write(path: &Path, header: &Value, actions: &[Action]) -> String {
        PlanFile::write(path, header, actions.iter().cloned().map(Ok)).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn plans_round_trip(plan in prop::collection::vec(any_action(), 0..8), share in any::<f64>()) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("x.plan");
            let header = json!({"time": 5, "share": share, "mode": "copy"});
            let hash = write(&path, &header, &plan);
            let (_, read) = PlanFile::read(&path).unwrap();
            prop_assert_eq!(read.hash(), hash);
            prop_assert_eq!(read.map(Result::unwrap).collect::<Vec<_>>(), plan);
        }
    }

    #[test]
    fn the_hash_is_of_the_decisions_not_of_the_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let plan = actions(3);
        let hash = write(&path, &json!({"time": 1, "job": "a"}), &plan);
        assert_eq!(hash.len(), 12);
        assert_eq!(PlanFile::read(&path).unwrap().0, json!({"time": 1, "job": "a"}));
        assert_eq!(write(&path, &json!({"time": 2, "job": "a"}), &plan), hash);
        assert_ne!(write(&path, &json!({"time": 1, "job": "b"}), &plan), hash);
        assert_ne!(write(&path, &json!({"time": 1, "job": "a"}), &plan[..2]), hash);
    }

    #[test]
    fn a_file_of_another_kind_is_no_damaged_plan() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mediasync.toml");
        fs::write(&path, "[[job]]\nname = \"media\"\n").unwrap();
        let error = PlanFile::read(&path).unwrap_err();
        assert_eq!(error.reaction, Reaction::Corrupt);
        assert!(error.to_string().contains("mediasync.toml is no plan"), "{error}");
    }

    #[test]
    fn a_file_cut_off_or_edited_anywhere_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        write(&path, &json!({"job": "a"}), &actions(3));
        let whole = fs::read(&path).unwrap();
        for len in 0..whole.len() - 1 {
            fs::write(&path, &whole[..len]).unwrap();
            let error = PlanFile::read(&path).unwrap_err();
            assert_eq!(error.reaction, Reaction::Corrupt, "{len} of {}: {error}", whole.len());
        }
        for at in 0..whole.len() - 1 {
            let mut edited = whole.clone();
            edited[at] ^= 1;
            fs::write(&path, &edited).unwrap();
            assert!(PlanFile::read(&path).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_failed_write_leaves_what_was_there() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        write(&path, &json!({}), &actions(1));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let before = fs::read(&path).unwrap();
        let failing = [Ok(actions(1).remove(0)), Err(ManifestError::new(Reaction::Full, "full"))];
        assert_eq!(PlanFile::write(&path, &json!({}), failing).unwrap_err().message, "full");
        assert_eq!(fs::read(&path).unwrap(), before);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_pair_keeps_its_last_twenty_plans() {
        let state = tempfile::tempdir().unwrap();
        let pair = Pair::new("a", "b");
        let store = |n: u32| PlanFile::store(state.path(), &pair, &json!({ "n": n }), actions(1).into_iter().map(Ok));
        let first = store(0).unwrap();
        assert!(PlanFile::path(state.path(), &pair, &first).exists());
        // Stored plans have times of their own.
        std::thread::sleep(std::time::Duration::from_millis(20));
        let hashes: Vec<String> = (1..=20).map(|n| store(n).unwrap()).collect();
        let last = &hashes[19];
        assert!(!PlanFile::path(state.path(), &pair, &first).exists());
        assert_eq!(PlanFile::read(&PlanFile::path(state.path(), &pair, last)).unwrap().1.count(), 1);
        assert_eq!(fs::read_dir(plans_dir(state.path(), &pair)).unwrap().count(), 20);
    }
}
