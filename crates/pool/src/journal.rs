//! Local transactions on disk, so that they survive a restart: an append-only file of (u32 length, EIP-2718 bytes).
//!
//! A torn tail after a crash is cut off at the last whole record. The file is rewritten when it is opened and when it has
//! grown to [`ROTATE_BYTES`], with what still waits.

use alloy::primitives::Bytes;
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// Size at which the file is rewritten.
pub(crate) const ROTATE_BYTES: u64 = 32 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Journal {
    /// Opens or creates the file and gives what it holds.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Vec<Bytes>)> {
        let mut content = Vec::new();
        match File::open(path) {
            Ok(mut file) => drop(file.read_to_end(&mut content)?),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        let records = records(&content);
        let mut journal = Self { path: path.into(), file: append(path)?, bytes: 0 };
        journal.rewrite(&records)?;
        Ok((journal, records))
    }

    /// Appends one transaction. Whether it must be [rewritten](Self::rewrite) is the answer.
    pub(crate) fn push(&mut self, raw: &[u8]) -> io::Result<bool> {
        self.file.write_all(&record(raw))?;
        self.bytes += raw.len() as u64 + 4;
        Ok(self.bytes > ROTATE_BYTES)
    }

    /// Replaces the content, atomically.
    pub(crate) fn rewrite(&mut self, transactions: &[Bytes]) -> io::Result<()> {
        let temporary = self.path.with_extension("new");
        let mut file = File::create(&temporary)?;
        let content: Vec<u8> = transactions.iter().flat_map(|raw| record(raw)).collect();
        file.write_all(&content)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &self.path)?;
        self.file = append(&self.path)?;
        self.bytes = content.len() as u64;
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn record(raw: &[u8]) -> Vec<u8> {
    let length = u32::try_from(raw.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), raw].concat()
}

fn records(mut content: &[u8]) -> Vec<Bytes> {
    let mut found = Vec::new();
    while let Some((length, rest)) = content.split_first_chunk::<4>() {
        let Ok(length) = usize::try_from(u32::from_be_bytes(*length)) else { break };
        let Some(raw) = rest.get(..length) else { break };
        found.push(Bytes::copy_from_slice(raw));
        content = &rest[length..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_tail_is_cut_off_at_the_last_whole_record() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let (mut journal, found) = Journal::open(&path).unwrap();
        assert!(found.is_empty());
        journal.push(b"first").unwrap();
        journal.push(b"second").unwrap();
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (_, found) = Journal::open(&path).unwrap();
            let expected = usize::from(cut >= 9) + usize::from(cut >= 19);
            assert_eq!(found.len(), expected, "cut at {cut}");
        }
    }
}
