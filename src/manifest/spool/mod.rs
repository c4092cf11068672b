//! An ordered temporary store of any size in a few MiB of memory: for listings that do not come in key order, and for
//! plans.
//!
//! Lines are kept in a sorted map. When that is full it becomes a *run*: a sorted file without a name, which is gone
//! when its process is, however that ends. Reading merges the map and the runs, the newest line of a key wins. A small
//! spool never touches the disk.
//!
//! It promises order and the last value of a key, and nothing about durability. It holds names and digests, in a
//! directory that the caller chooses, mode 0600.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use self::run::{Found, Run, RunReader, RunWriter};
use super::error::ManifestError;

mod run;

/// A key and its value.
type Line = (Box<[u8]>, Box<[u8]>);

/// `None` stands for a removed key.
type Map = BTreeMap<Box<[u8]>, Option<Box<[u8]>>>;

/// Ordered lines, on disk as far as they do not fit.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    map: Map,
    /// Bytes of the map, its own structure included.
    map_bytes: usize,
    limit: usize,
    /// From old to new.
    runs: Vec<Run>,
    replaced: u64,
}

impl Spool {
    /// Memory for lines.
    const LIMIT: usize = 4 * 1024 * 1024;
    /// What a line costs in the map besides its bytes: two pointers with lengths and the allocator's share.
    const OVERHEAD: usize = 80;
    /// Runs of the size of the map that are merged into one.
    const FAN_IN: usize = 32;

    /// An empty spool that may put files into `dir`.
    pub fn new(dir: &Path) -> Self {
        Self::with_limit(dir, Self::LIMIT)
    }

    fn with_limit(dir: &Path, limit: usize) -> Self {
        Self { dir: dir.to_owned(), map: Map::new(), map_bytes: 0, limit, runs: Vec::new(), replaced: 0 }
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// [`Reaction::Full`] or [`Reaction::Unusable`] when it can't be written; the spool is of no use then.
    pub fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<(), ManifestError> {
        self.set(key, Some(value.into()))
    }

    /// Forgets a key.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub fn remove(&mut self, key: &[u8]) -> Result<(), ManifestError> {
        if self.runs.is_empty() {
            if let Some(old) = self.map.remove(key) {
                self.map_bytes -= weight(key, old.as_deref());
            }
            return Ok(());
        }
        self.set(key, None)
    }

    fn set(&mut self, key: &[u8], value: Option<Box<[u8]>>) -> Result<(), ManifestError> {
        self.map_bytes += weight(key, value.as_deref());
        let inserts = value.is_some();
        if let Some(old) = self.map.insert(key.into(), value) {
            self.map_bytes -= weight(key, old.as_deref());
            if inserts && old.is_some() {
                self.replaced += 1;
            }
        }
        if self.map_bytes >= self.limit {
            self.spill()?;
        }
        Ok(())
    }

    /// The value of a key. Merges what is on disk first, if lines were added since the last reading.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, ManifestError> {
        if let Some(value) = self.map.get(key) {
            return Ok(value.as_deref().map(<[u8]>::to_vec));
        }
        self.settle()?;
        for run in self.runs.iter().rev() {
            let mut reader = run.reader(key);
            while let Some((found, value)) = reader.next_line()? {
                match (*found).cmp(key) {
                    std::cmp::Ordering::Less => {}
                    std::cmp::Ordering::Equal => return Ok(value.map(Vec::from)),
                    std::cmp::Ordering::Greater => break,
                }
            }
        }
        Ok(None)
    }

    /// How many keys there are. Merges what is on disk first, if lines were added since the last reading.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub fn len(&mut self) -> Result<u64, ManifestError> {
        if self.runs.is_empty() {
            return Ok(self.map.len() as u64);
        }
        if !self.map.is_empty() {
            self.spill()?;
        }
        self.settle()?;
        Ok(self.runs.iter().map(|run| run.lines).sum())
    }

    /// Whether there is no key.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub fn is_empty(&mut self) -> Result<bool, ManifestError> {
        Ok(self.len()? == 0)
    }

    /// How many times a key was inserted that was there already: the repeated keys of a listing. Exact as long as
    /// nothing was removed.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub fn replaced(&mut self) -> Result<u64, ManifestError> {
        self.len()?;
        Ok(self.replaced)
    }

    /// All lines in the order of the keys' bytes.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub fn all(&mut self) -> Result<SpoolIter<'_>, ManifestError> {
        self.range(&[], None)
    }

    /// The lines whose keys begin with `prefix`, in order.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub fn prefix(&mut self, prefix: &[u8]) -> Result<SpoolIter<'_>, ManifestError> {
        // The first key after all that begin with the prefix: its last byte below 255, plus one.
        let end = prefix.iter().rposition(|b| *b < u8::MAX).map(|last| {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            end
        });
        self.range(prefix, end.as_deref())
    }

    /// The lines from `from` on and before `before`, in order.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub fn range(&mut self, from: &[u8], before: Option<&[u8]>) -> Result<SpoolIter<'_>, ManifestError> {
        self.settle()?;
        if before.is_some_and(|before| before <= from) {
            return Ok(SpoolIter { merge: Merge::new(Vec::new())?, before: None });
        }
        let upper = before.map_or(Bound::Unbounded, Bound::Excluded);
        let map = self.map.range::<[u8], _>((Bound::Included(from), upper));
        let mut inputs: Vec<Input<'_>> = vec![Input::Map(map)];
        inputs.extend(self.runs.iter().rev().map(|run| Input::Run(run.reader_from(from))));
        Ok(SpoolIter { merge: Merge::new(inputs)?, before: before.map(Into::into) })
    }

    /// Turns the spool into an iterator over all lines that owns everything it needs.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub fn drain(mut self) -> Result<SpoolIter<'static>, ManifestError> {
        self.settle()?;
        let mut inputs = vec![Input::Owned(self.map.into_iter())];
        inputs.extend(self.runs.iter().rev().map(|run| Input::Run(run.reader(&[]))));
        Ok(SpoolIter { merge: Merge::new(inputs)?, before: None })
    }

    /// Makes a run of the map.
    fn spill(&mut self) -> Result<(), ManifestError> {
        let map = std::mem::take(&mut self.map);
        self.map_bytes = 0;
        let mut writer = RunWriter::new(&self.dir, 0)?;
        for (key, value) in &map {
            writer.add(key, value.as_deref())?;
        }
        self.runs.push(writer.finish()?);
        let tail = self.runs.iter().rev().take_while(|run| run.level == 0).count();
        if tail >= Self::FAN_IN { self.merge_last(tail) } else { Ok(()) }
    }

    /// Leaves at most one run, so that a look-up reads one place.
    fn settle(&mut self) -> Result<(), ManifestError> {
        match self.runs.len() {
            0 | 1 => Ok(()),
            all => self.merge_last(all),
        }
    }

    fn merge_last(&mut self, count: usize) -> Result<(), ManifestError> {
        let first = self.runs.len() - count;
        let mut writer = RunWriter::new(&self.dir, 1)?;
        let inputs = self.runs[first..].iter().rev().map(|run| Input::Run(run.reader(&[]))).collect();
        let mut merge = Merge::new(inputs)?;
        while let Some((key, value)) = merge.next_line()? {
            // A removal is of use only while there is something older that it hides.
            if value.is_some() || first > 0 {
                writer.add(&key, value.as_deref())?;
            }
        }
        self.replaced += merge.replaced;
        let merged = writer.finish()?;
        self.runs.truncate(first);
        self.runs.push(merged);
        Ok(())
    }
}

/// Lines in order. After an error it ends.
#[derive(Debug)]
pub struct SpoolIter<'a> {
    merge: Merge<'a>,
    before: Option<Box<[u8]>>,
}

impl Iterator for SpoolIter<'_> {
    type Item = Result<Line, ManifestError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.merge.next_line() {
                Ok(Some((key, _))) if self.before.as_ref().is_some_and(|before| key >= *before) => {
                    self.merge.inputs.clear();
                    return None;
                }
                Ok(Some((key, Some(value)))) => return Some(Ok((key, value))),
                Ok(Some((_, None))) => {}
                Ok(None) => return None,
                Err(e) => {
                    self.merge.inputs.clear();
                    return Some(Err(e));
                }
            }
        }
    }
}

fn weight(key: &[u8], value: Option<&[u8]>) -> usize {
    key.len() + value.map_or(0, <[u8]>::len) + Spool::OVERHEAD
}

#[derive(Debug)]
enum Input<'a> {
    Map(std::collections::btree_map::Range<'a, Box<[u8]>, Option<Box<[u8]>>>),
    Owned(std::collections::btree_map::IntoIter<Box<[u8]>, Option<Box<[u8]>>>),
    Run(RunReader),
}

impl Input<'_> {
    fn next_line(&mut self) -> Result<Option<Found>, ManifestError> {
        match self {
            Self::Map(lines) => Ok(lines.next().map(|(key, value)| (key.clone(), value.clone()))),
            Self::Owned(lines) => Ok(lines.next()),
            Self::Run(run) => run.next_line(),
        }
    }
}

/// Merges inputs; of equal keys the line of the first input wins.
#[derive(Debug)]
struct Merge<'a> {
    /// Each with its next line; one that has ended is gone.
    inputs: Vec<(Input<'a>, Found)>,
    replaced: u64,
}

impl<'a> Merge<'a> {
    fn new(inputs: Vec<Input<'a>>) -> Result<Self, ManifestError> {
        let mut merge = Self { inputs: Vec::with_capacity(inputs.len()), replaced: 0 };
        for mut input in inputs {
            if let Some(head) = input.next_line()? {
                merge.inputs.push((input, head));
            }
        }
        Ok(merge)
    }

    fn next_line(&mut self) -> Result<Option<Found>, ManifestError> {
        // There are few inputs: looking at all of them is as fast as a heap. The first of equal ones is the newest.
        let Some(least) = (0..self.inputs.len()).min_by(|a, b| self.inputs[*a].1.0.cmp(&self.inputs[*b].1.0)) else {
            return Ok(None);
        };
        let line = self.take(least)?;
        let mut newer = line.1.is_some();
        // Older lines of the key, from new to old. Within one input keys are unique.
        while let Some(same) = self.inputs.iter().position(|(_, (key, _))| *key == line.0) {
            let older = self.take(same)?.1.is_some();
            self.replaced += u64::from(newer && older);
            newer = older;
        }
        Ok(Some(line))
    }

    /// The head of an input, which moves on.
    fn take(&mut self, index: usize) -> Result<Found, ManifestError> {
        let (input, head) = &mut self.inputs[index];
        match input.next_line()? {
            Some(next) => Ok(std::mem::replace(head, next)),
            None => Ok(self.inputs.remove(index).1),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_send<T: Send>(value: T) -> T {
        value
    }

    fn lines(iter: SpoolIter<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
        iter.map(|line| line.map(|(key, value)| (key.into(), value.into())).unwrap()).collect()
    }

    #[derive(Debug, Clone)]
    enum Op {
        Insert(Vec<u8>, Vec<u8>),
        Remove(Vec<u8>),
        Get(Vec<u8>),
        Len,
    }

    /// Half of them without removals.
    fn any_ops() -> impl Strategy<Value = Vec<Op>> {
        any::<bool>().prop_flat_map(|removals| {
            prop::collection::vec(
                any_op().prop_filter("a removal", move |op| removals || !matches!(op, Op::Remove(_))),
                0..200,
            )
        })
    }

    fn any_op() -> impl Strategy<Value = Op> {
        let key = || prop::collection::vec(prop::sample::select(vec![0u8, 1, b'a', 254, 255]), 0..3);
        prop_oneof![
            6 => (key(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(key, value)| Op::Insert(key, value)),
            2 => key().prop_map(Op::Remove),
            1 => key().prop_map(Op::Get),
            1 => Just(Op::Len),
        ]
    }

    proptest! {
        /// The limit makes runs of one line, of a few, or none; enough operations merge twice.
        #[test]
        fn a_spool_is_an_ordered_map(
            ops in any_ops(),
            limit in prop::sample::select(vec![1usize, 300, 1 << 20]),
            prefix in prop::collection::vec(prop::sample::select(vec![0u8, b'a', 255]), 0..3),
            range in (prop::collection::vec(any::<u8>(), 0..2), prop::collection::vec(any::<u8>(), 0..2)),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut spool = is_send(Spool::with_limit(dir.path(), limit));
            let mut model = BTreeMap::new();
            let (mut replaced, mut removed) = (0, false);
            for op in ops {
                match op {
                    Op::Insert(key, value) => {
                        spool.insert(&key, &value).unwrap();
                        replaced += u64::from(model.insert(key, value).is_some());
                    }
                    Op::Remove(key) => {
                        spool.remove(&key).unwrap();
                        model.remove(&key);
                        removed = true;
                    }
                    Op::Get(key) => {
                        let found = spool.get(&key).unwrap();
                        prop_assert_eq!(found.as_ref(), model.get(&key));
                    }
                    Op::Len => prop_assert_eq!(spool.len().unwrap(), model.len() as u64),
                }
            }
            let all: Vec<_> = model.clone().into_iter().collect();
            prop_assert_eq!(&lines(spool.all().unwrap()), &all);
            let with_prefix: Vec<_> = all.iter().filter(|(key, _)| key.starts_with(&prefix)).cloned().collect();
            prop_assert_eq!(lines(spool.prefix(&prefix).unwrap()), with_prefix);
            let inside: Vec<_> = all.iter().filter(|(key, _)| *key >= range.0 && *key < range.1).cloned().collect();
            prop_assert_eq!(lines(spool.range(&range.0, Some(&range.1)).unwrap()), inside);
            prop_assert_eq!(spool.is_empty().unwrap(), model.is_empty());
            if !removed {
                prop_assert_eq!(spool.replaced().unwrap(), replaced);
            }
            prop_assert_eq!(lines(is_send(spool.drain().unwrap())), all);
        }
    }

    #[test]
    fn nothing_is_left_in_the_directory_and_a_small_spool_never_touches_it() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("state");
        let mut small = Spool::new(&place);
        small.insert(b"k", b"v").unwrap();
        assert_eq!(lines(small.all().unwrap()).len(), 1);
        assert!(!place.exists());
        let mut big = Spool::with_limit(&place, 1000);
        for n in 0..1000u32 {
            big.insert(&n.reverse_bits().to_be_bytes(), &[7; 50]).unwrap();
        }
        assert_eq!(std::fs::read_dir(&place).unwrap().count(), 0);
        assert_eq!(lines(big.all().unwrap()).len(), 1000);
    }

    #[test]
    fn long_lines_pass_through_short_buffers() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::with_limit(dir.path(), 1);
        let long = vec![3; 100_000];
        spool.insert(b"long", &long).unwrap();
        spool.insert(b"a", b"").unwrap();
        assert_eq!(spool.get(b"long").unwrap(), Some(long.clone()));
        assert_eq!(lines(spool.drain().unwrap()), [(b"a".to_vec(), vec![]), (b"long".to_vec(), long)]);
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = Spool::with_limit(&file, 1).insert(b"k", b"v").unwrap_err();
        assert!(error.message.contains(file.to_str().unwrap()), "{error}");
    }

    #[test]
    #[ignore = "a measurement: cargo test --release --lib a_million -- --ignored --nocapture"]
    fn a_million_unsorted_lines() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(dir.path());
        let time = std::time::Instant::now();
        for n in 0..1_000_000u32 {
            let key = format!("media/{:010}/picture.jpg", n.wrapping_mul(2_654_435_761));
            spool.insert(key.as_bytes(), &[7; 100]).unwrap();
        }
        println!("inserts: {:?}", time.elapsed());
        let time = std::time::Instant::now();
        assert_eq!(spool.len().unwrap(), 1_000_000);
        println!("merged: {:?}", time.elapsed());
        let time = std::time::Instant::now();
        for n in 0..10_000u32 {
            let key = format!("media/{:010}/picture.jpg", n.wrapping_mul(2_654_435_761));
            assert!(spool.get(key.as_bytes()).unwrap().is_some());
        }
        println!("10,000 gets: {:?}", time.elapsed());
        let time = std::time::Instant::now();
        assert_eq!(spool.drain().unwrap().map(Result::unwrap).count(), 1_000_000);
        println!("read in order: {:?}", time.elapsed());
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        println!("{}", status.lines().find(|l| l.starts_with("VmHWM")).unwrap());
    }
}
