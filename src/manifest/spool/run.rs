//! A run of a spool: sorted lines in a file without a name, written once, read from any place.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::error::{ManifestError, Reaction, shown};
use super::super::lock::private_dir;

/// A key with its value, or without for a removed one.
pub(super) type Found = (Box<[u8]>, Option<Box<[u8]>>);

/// A sorted file without a name.
#[derive(Debug)]
pub(super) struct Run {
    file: Arc<File>,
    /// Named in errors.
    path: Arc<Path>,
    len: u64,
    pub(super) lines: u64,
    pub(super) level: u8,
    /// The first key of every piece of [`RunWriter::PIECE`] bytes or more, and where it begins.
    index: Vec<(Box<[u8]>, u64)>,
}

impl Run {
    /// Reads from the last indexed place at or before `key`.
    pub(super) fn reader(&self, key: &[u8]) -> RunReader {
        let after = self.index.partition_point(|(first, _)| **first <= *key);
        let at = after.checked_sub(1).map_or(0, |piece| self.index[piece].1);
        RunReader {
            file: Arc::clone(&self.file),
            path: Arc::clone(&self.path),
            at,
            end: self.len,
            buffer: Vec::new(),
            used: 0,
            skip_before: None,
        }
    }

    /// Reads from the first line at or after `key`.
    pub(super) fn reader_from(&self, key: &[u8]) -> RunReader {
        RunReader { skip_before: Some(key.into()), ..self.reader(key) }
    }
}

#[derive(Debug)]
pub(super) struct RunReader {
    file: Arc<File>,
    path: Arc<Path>,
    /// Where the next read begins.
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    used: usize,
    skip_before: Option<Box<[u8]>>,
}

impl RunReader {
    const BUFFER: usize = 32 * 1024;
    /// The lengths of key and value; the value's is [`REMOVED`] for a removed key.
    const HEAD: usize = 8;

    pub(super) fn next_line(&mut self) -> Result<Option<Found>, ManifestError> {
        loop {
            let Some(line) = self.read_line()? else { return Ok(None) };
            match &self.skip_before {
                Some(from) if line.0 < *from => {}
                _ => {
                    self.skip_before = None;
                    return Ok(Some(line));
                }
            }
        }
    }

    fn read_line(&mut self) -> Result<Option<Found>, ManifestError> {
        if self.used == self.buffer.len() && self.at == self.end {
            return Ok(None);
        }
        let head = self.need(Self::HEAD)?;
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (key_len, value_len) = (number(0) as usize, number(4));
        let value_len = (value_len != REMOVED).then_some(value_len as usize);
        let whole = self.need(Self::HEAD + key_len + value_len.unwrap_or(0))?;
        let (key, value) = whole[Self::HEAD..].split_at(key_len);
        let line: Found = (key.into(), value_len.map(|_| value.into()));
        self.used += Self::HEAD + key_len + value_len.unwrap_or(0);
        Ok(Some(line))
    }

    /// The next `len` bytes, without using them up.
    fn need(&mut self, len: usize) -> Result<&[u8], ManifestError> {
        if self.buffer.len() - self.used < len {
            self.buffer.drain(..self.used);
            self.used = 0;
            let have = self.buffer.len();
            let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
            let more = (len - have).max(Self::BUFFER.saturating_sub(have)).min(left);
            if have + more < len {
                let message = format!("the spool {} is cut off", shown(&self.path));
                return Err(ManifestError::new(Reaction::Unusable, message).hint("run the command again"));
            }
            self.buffer.resize(have + more, 0);
            self.file
                .read_exact_at(&mut self.buffer[have..], self.at)
                .map_err(|e| ManifestError::io("read the spool", &self.path, &e))?;
            self.at += more as u64;
        }
        Ok(&self.buffer[self.used..self.used + len])
    }
}

const REMOVED: u32 = u32::MAX;

pub(super) struct RunWriter {
    out: BufWriter<File>,
    run: Run,
}

impl RunWriter {
    const PIECE: u64 = 16 * 1024;

    pub(super) fn new(dir: &Path, level: u8) -> Result<Self, ManifestError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        private_dir(dir)?;
        let name = format!("spool-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = dir.join(name);
        let failed = |e: std::io::Error| ManifestError::io("create the spool", &path, &e);
        // Left by a killed process of the same id, between the next two lines.
        std::fs::remove_file(&path).ok();
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        std::fs::remove_file(&path).map_err(failed)?;
        let reading = file.try_clone().map_err(failed)?;
        let run = Run { file: Arc::new(reading), path: path.into(), len: 0, lines: 0, level, index: Vec::new() };
        Ok(Self { out: BufWriter::with_capacity(64 * 1024, file), run })
    }

    pub(super) fn add(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), ManifestError> {
        let run = &mut self.run;
        if run.index.last().is_none_or(|(_, at)| run.len - at >= Self::PIECE) {
            run.index.push((key.into(), run.len));
        }
        let len = |bytes: &[u8]| u32::try_from(bytes.len()).ok().filter(|len| *len != REMOVED);
        let (Some(key_len), Some(value_len)) = (len(key), value.map_or(Some(REMOVED), len)) else {
            return Err(ManifestError::new(Reaction::Unusable, "a line of 4 GiB does not fit into a spool"));
        };
        let written = self
            .out
            .write_all(&key_len.to_le_bytes())
            .and_then(|()| self.out.write_all(&value_len.to_le_bytes()))
            .and_then(|()| self.out.write_all(key))
            .and_then(|()| self.out.write_all(value.unwrap_or_default()));
        written.map_err(|e| ManifestError::io("write the spool", &run.path, &e))?;
        run.len += (RunReader::HEAD + key.len() + value.map_or(0, <[u8]>::len)) as u64;
        run.lines += 1;
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Run, ManifestError> {
        self.out.flush().map_err(|e| ManifestError::io("write the spool", &self.run.path, &e))?;
        Ok(self.run)
    }
}
