//! What this node has signed: at most one core for each (generation, epoch, index), for ever.
//!
//! An append-only file of records, each synced before the signature leaves the node:
//! `generation u64 ‖ epoch u64 ‖ index u64 ‖ core hash 32 ‖ first 4 bytes of keccak256 of the rest`, big-endian. A crash can
//! damage only the last record, which is cut off at the next start; its signature never left.

use crate::Error;
use alloy::primitives::{B256, keccak256};
use baton_primitives::{BatchIndex, Core, Epoch, Generation};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

const RECORD: usize = 60;
const BODY: usize = 56;

type Key = (Generation, Epoch, BatchIndex);

/// The journal, open.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    signed: BTreeMap<Key, B256>,
}

/// Whether a core may be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It is the one core of its index, now or before.
    Signed,
    /// Another core of this index was signed before.
    Conflict(B256),
}

impl Journal {
    /// Opens or makes the file, and cuts off a last record that a crash left incomplete.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(io)?;
        }
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io)?;
        let mut signed = BTreeMap::new();
        let mut good = 0;
        for record in bytes.chunks(RECORD) {
            let Some((key, core)) = parse(record) else {
                if good + record.len() < bytes.len() {
                    return Err(Error::Journal { path: path.to_owned(), at: good as u64 });
                }
                break;
            };
            signed.insert(key, core);
            good += record.len();
        }
        if good < bytes.len() {
            tracing::warn!(path = %path.display(), bytes = bytes.len() - good, "cutting off an incomplete record");
            file.set_len(good as u64).map_err(io)?;
            file.sync_all().map_err(io)?;
        }
        file.seek(SeekFrom::End(0)).map_err(io)?;
        if bytes.is_empty()
            && let Some(folder) = path.parent()
        {
            // The file's name must survive a crash as well.
            File::open(folder).and_then(|f| f.sync_all()).map_err(io)?;
        }
        Ok(Self { path: path.to_owned(), file, signed })
    }

    /// Notes that this core is about to be signed, on disk, unless another one of its index was.
    pub(crate) fn sign(&mut self, core: &Core, core_hash: B256) -> Result<Entry, Error> {
        let key = (core.generation, core.epoch, core.index);
        if let Some(before) = self.signed.get(&key) {
            return Ok(if *before == core_hash { Entry::Signed } else { Entry::Conflict(*before) });
        }
        let io = |source| Error::Io { path: self.path.clone(), source };
        self.file.write_all(&format(key, core_hash)).map_err(io)?;
        self.file.sync_data().map_err(io)?;
        self.signed.insert(key, core_hash);
        Ok(Entry::Signed)
    }
}

fn format((generation, epoch, index): Key, core: B256) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[..8].copy_from_slice(&generation.get().to_be_bytes());
    record[8..16].copy_from_slice(&epoch.get().to_be_bytes());
    record[16..24].copy_from_slice(&index.get().to_be_bytes());
    record[24..BODY].copy_from_slice(core.as_slice());
    let check = keccak256(&record[..BODY]);
    record[BODY..].copy_from_slice(&check[..4]);
    record
}

fn parse(record: &[u8]) -> Option<(Key, B256)> {
    let record: &[u8; RECORD] = record.try_into().ok()?;
    if keccak256(&record[..BODY])[..4] != record[BODY..] {
        return None;
    }
    let word = |at: usize| record[at..at + 8].iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
    let key = (Generation::new(word(0)), Epoch::new(word(8)), BatchIndex::new(word(16)));
    Some((key, B256::from_slice(&record[24..BODY])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::core;

    fn sign(journal: &mut Journal, index: u64, fees: u64) -> Entry {
        let core = core(index, fees);
        journal.sign(&core, core.hash()).unwrap()
    }

    #[test]
    fn one_core_for_each_index_across_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/signed");
        let first = core(1, 0).hash();
        let mut journal = Journal::open(&path).unwrap();
        assert_eq!(sign(&mut journal, 1, 0), Entry::Signed);
        assert_eq!(sign(&mut journal, 1, 0), Entry::Signed);
        assert_eq!(sign(&mut journal, 1, 9), Entry::Conflict(first));
        drop(journal);
        let mut journal = Journal::open(&path).unwrap();
        assert_eq!(sign(&mut journal, 1, 9), Entry::Conflict(first));
        assert_eq!(sign(&mut journal, 2, 9), Entry::Signed);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 2 * RECORD as u64);
    }

    #[test]
    fn a_crash_inside_any_write_loses_at_most_that_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signed");
        let mut journal = Journal::open(&path).unwrap();
        for index in 1..=3 {
            sign(&mut journal, index, 0);
        }
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let mut journal = Journal::open(&path).unwrap();
            assert_eq!(journal.signed.len(), length / RECORD);
            // Whoever was whole stays binding, and the file goes on cleanly.
            for index in 1..=3 {
                let conflict = matches!(sign(&mut journal, index, 7), Entry::Conflict(_));
                assert_eq!(conflict, index <= (length / RECORD) as u64, "{length} {index}");
            }
            drop(journal);
            assert_eq!(Journal::open(&path).unwrap().signed.len(), 3);
        }
    }

    #[test]
    fn damage_before_the_last_record_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signed");
        let mut journal = Journal::open(&path).unwrap();
        sign(&mut journal, 1, 0);
        sign(&mut journal, 2, 0);
        drop(journal);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[30] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(Journal::open(&path), Err(Error::Journal { at: 0, .. })));
    }
}
