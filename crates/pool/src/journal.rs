//! On disk, so that they survive a restart: local transactions, and why transactions left without being included.
//!
//! An append-only file of records (u32 length, bytes): a transaction as EIP-2718 bytes, or a fate as a zero byte (no
//! transaction begins with one), the transaction's hash and the reason in UTF-8. What comes later counts: a transaction whose
//! fate follows does not wait again, one that follows its fate was taken again.
//!
//! A torn tail after a crash is cut off at the last whole record. The file is rewritten, with what still waits and the fates
//! that are remembered, when the pool opens it and when it has grown to [`ROTATE_BYTES`], or to twice of what it had to hold
//! then.

use alloy::primitives::{B256, Bytes, keccak256};
use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// Size at which the file is rewritten.
pub(crate) const ROTATE_BYTES: u64 = 32 * 1024 * 1024;

/// First byte of a fate.
const FATE: u8 = 0;

/// Transactions and fates, each in the order in which they came.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// Transactions that had no fate yet, with their hashes.
    pub(crate) waiting: Vec<(B256, Bytes)>,
    /// Reasons.
    pub(crate) fates: Vec<(B256, String)>,
}

#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    bytes: u64,
    /// Size after which it is rewritten.
    rotate: u64,
}

impl Journal {
    /// Opens or creates the file and gives what it holds.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Content)> {
        let mut content = Vec::new();
        match File::open(path) {
            Ok(mut file) => drop(file.read_to_end(&mut content)?),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        let content = read(&content);
        let mut journal = Self { path: path.into(), file: append(path)?, bytes: 0, rotate: ROTATE_BYTES };
        let raw: Vec<Bytes> = content.waiting.iter().map(|(_, raw)| raw.clone()).collect();
        journal.rewrite(&content.fates, &raw)?;
        Ok((journal, content))
    }

    /// Appends transactions. Whether the file must be [rewritten](Self::rewrite) is the answer.
    pub(crate) fn push<'a>(&mut self, transactions: impl IntoIterator<Item = &'a [u8]>) -> io::Result<bool> {
        let mut records = Vec::new();
        transactions.into_iter().for_each(|raw| put(&mut records, &[raw]));
        self.write(&records)
    }

    /// Appends fates. Whether the file must be [rewritten](Self::rewrite) is the answer.
    pub(crate) fn push_fates(&mut self, fates: &[(B256, String)]) -> io::Result<bool> {
        let mut records = Vec::new();
        fates.iter().for_each(|(hash, why)| put_fate(&mut records, hash, why));
        self.write(&records)
    }

    fn write(&mut self, records: &[u8]) -> io::Result<bool> {
        self.file.write_all(records)?;
        self.bytes += records.len() as u64;
        Ok(self.bytes > self.rotate)
    }

    /// Replaces the content, atomically.
    pub(crate) fn rewrite(&mut self, fates: &[(B256, String)], transactions: &[Bytes]) -> io::Result<()> {
        let temporary = self.path.with_extension("new");
        let mut file = File::create(&temporary)?;
        let mut records = Vec::new();
        // Fates first: what waits may be there for the second time.
        fates.iter().for_each(|(hash, why)| put_fate(&mut records, hash, why));
        transactions.iter().for_each(|raw| put(&mut records, &[raw]));
        file.write_all(&records)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &self.path)?;
        self.file = append(&self.path)?;
        self.bytes = records.len() as u64;
        self.rotate = ROTATE_BYTES.max(2 * self.bytes);
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Adds a record of these parts.
fn put(records: &mut Vec<u8>, parts: &[&[u8]]) {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    records.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    parts.iter().for_each(|part| records.extend_from_slice(part));
}

fn put_fate(records: &mut Vec<u8>, hash: &B256, why: &str) {
    put(records, &[&[FATE], hash.as_slice(), why.as_bytes()]);
}

fn read(mut content: &[u8]) -> Content {
    let mut fates = Vec::new();
    let mut transactions: Vec<Option<(B256, Bytes)>> = Vec::new();
    let mut places: HashMap<B256, usize> = HashMap::new();
    while let Some((length, rest)) = content.split_first_chunk::<4>() {
        let Ok(length) = usize::try_from(u32::from_be_bytes(*length)) else { break };
        let Some((record, rest)) = rest.split_at_checked(length) else { break };
        content = rest;
        if let Some((&FATE, fate)) = record.split_first() {
            let Some((hash, why)) = fate.split_first_chunk::<32>() else { continue };
            let hash = B256::from(hash);
            if let Some(place) = places.remove(&hash) {
                transactions[place] = None;
            }
            fates.push((hash, String::from_utf8_lossy(why).into_owned()));
        } else {
            let hash = keccak256(record);
            places.entry(hash).or_insert_with(|| {
                transactions.push(Some((hash, Bytes::copy_from_slice(record))));
                transactions.len() - 1
            });
        }
    }
    Content { waiting: transactions.into_iter().flatten().collect(), fates }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_tail_is_cut_off_at_the_last_whole_record() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let (mut journal, found) = Journal::open(&path).unwrap();
        assert_eq!(found, Content::default());
        journal.push([b"first".as_slice()]).unwrap();
        journal.push_fates(&[(B256::repeat_byte(7), "why".into())]).unwrap();
        journal.push([b"second".as_slice()]).unwrap();
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (_, found) = Journal::open(&path).unwrap();
            let waiting = usize::from(cut >= 9) + usize::from(cut >= 59);
            assert_eq!((found.waiting.len(), found.fates.len()), (waiting, usize::from(cut >= 49)), "cut at {cut}");
        }
    }

    #[test]
    fn the_later_of_a_transaction_and_its_fate_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let (mut journal, _) = Journal::open(&path).unwrap();
        let transaction = |raw: &'static [u8]| (keccak256(raw), Bytes::from_static(raw));
        let why = |raw: &[u8], why: &str| (keccak256(raw), why.to_owned());
        journal.push([b"one".as_slice(), b"two", b"two", b"three"]).unwrap();
        journal.push_fates(&[why(b"one", "first"), why(b"two", "second")]).unwrap();
        journal.push([b"two".as_slice()]).unwrap();
        let (mut journal, found) = Journal::open(&path).unwrap();
        assert_eq!(found.waiting, [transaction(b"three"), transaction(b"two")]);
        assert_eq!(found.fates, [why(b"one", "first"), why(b"two", "second")]);

        let raw: Vec<Bytes> = found.waiting.iter().map(|(_, raw)| raw.clone()).collect();
        journal.rewrite(&found.fates, &raw).unwrap();
        assert_eq!(Journal::open(&path).unwrap().1, found);
    }
}
