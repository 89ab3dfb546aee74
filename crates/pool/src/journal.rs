//! On disk, so that they survive a restart: transactions that wait, and why others left without being included.
//!
//! An append-only file of records (u32 length, bytes): a transaction of this node's users as EIP-2718 bytes, one that another
//! node forwarded as the byte 0x80 and those, or a fate as a zero byte, the transaction's hash and the reason in UTF-8 (no
//! transaction begins with 0 or 0x80). What comes later counts: a transaction whose fate follows does not wait again, one that
//! follows its fate was taken again. So records are in the order in which the pool changed.
//!
//! A torn tail after a crash is cut off at the last whole record. The file is rewritten, with what still waits and the fates
//! that are remembered, when the pool opens it and when it has grown to [`ROTATE_BYTES`], or to twice of what it had to hold
//! then.

use crate::PoolTransaction;
use alloy::{
    eips::Encodable2718,
    primitives::{B256, Bytes, keccak256},
};
use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Size at which the file is rewritten.
pub(crate) const ROTATE_BYTES: u64 = 8 * 1024 * 1024;

/// First byte of a fate.
const FATE: u8 = 0;
/// First byte of a transaction that another node forwarded.
const FORWARDED: u8 = 0x80;

/// A change of the pool that must survive a restart.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    /// It waits.
    Taken {
        transaction: Arc<PoolTransaction>,
        /// Whether it is of this node's own users.
        local: bool,
    },
    /// It left without being included, for this reason.
    Fate(B256, String),
}

impl Record {
    fn put(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; 4]);
        match self {
            Self::Taken { transaction, local } => {
                out.extend((!local).then_some(FORWARDED));
                transaction.transaction.encode_2718(out);
            }
            Self::Fate(hash, why) => {
                out.push(FATE);
                out.extend_from_slice(hash.as_slice());
                out.extend_from_slice(why.as_bytes());
            }
        }
        let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }
}

/// A transaction of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Journalled {
    pub(crate) hash: B256,
    /// EIP-2718 bytes.
    pub(crate) raw: Bytes,
    /// Whether it is of this node's own users.
    pub(crate) local: bool,
}

/// Transactions and fates, each in the order in which they came.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// Transactions that had no fate yet.
    pub(crate) waiting: Vec<Journalled>,
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
    /// Opens or creates the file and gives what it holds. What follows a torn tail could not be read: the caller
    /// [rewrites](Self::rewrite) the file before it appends.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Content)> {
        let mut content = Vec::new();
        match File::open(path) {
            Ok(mut file) => drop(file.read_to_end(&mut content)?),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        let journal = Self { path: path.into(), file: append(path)?, bytes: 0, rotate: ROTATE_BYTES };
        Ok((journal, read(&content)))
    }

    /// Appends records. Whether the file must be [rewritten](Self::rewrite) is the answer.
    pub(crate) fn push(&mut self, records: &[Record]) -> io::Result<bool> {
        let records = encode(records);
        self.file.write_all(&records)?;
        self.bytes += records.len() as u64;
        Ok(self.bytes > self.rotate)
    }

    /// Replaces the content, atomically.
    pub(crate) fn rewrite(&mut self, records: &[Record]) -> io::Result<()> {
        let temporary = self.path.with_extension("new");
        let mut file = File::create(&temporary)?;
        let records = encode(records);
        file.write_all(&records)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &self.path)?;
        self.file = append(&self.path)?;
        self.bytes = records.len() as u64;
        self.rotate = ROTATE_BYTES.max(2 * self.bytes);
        Ok(())
    }
}

fn encode(records: &[Record]) -> Vec<u8> {
    let mut out = Vec::new();
    records.iter().for_each(|record| record.put(&mut out));
    out
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn read(mut content: &[u8]) -> Content {
    let mut fates = Vec::new();
    let mut transactions: Vec<Option<Journalled>> = Vec::new();
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
            continue;
        }
        let (raw, local) = match record.split_first() {
            Some((&FORWARDED, raw)) => (raw, false),
            _ => (record, true),
        };
        let hash = keccak256(raw);
        places.entry(hash).or_insert_with(|| {
            transactions.push(Some(Journalled { hash, raw: Bytes::copy_from_slice(raw), local }));
            transactions.len() - 1
        });
    }
    Content { waiting: transactions.into_iter().flatten().collect(), fates }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(nonce: u64, local: bool) -> Record {
        Record::Taken { transaction: crate::transaction::tests::any(nonce), local }
    }

    fn journalled(record: &Record) -> Journalled {
        let Record::Taken { transaction, local } = record else { panic!("a fate") };
        let raw = Bytes::from(transaction.transaction.encoded_2718());
        Journalled { hash: keccak256(&raw), raw, local: *local }
    }

    fn fate(record: &Record, why: &str) -> Record {
        Record::Fate(journalled(record).hash, why.into())
    }

    #[test]
    fn a_torn_tail_is_cut_off_at_the_last_whole_record() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let (mut journal, found) = Journal::open(&path).unwrap();
        assert_eq!(found, Content::default());
        let records = [taken(1, true), Record::Fate(B256::repeat_byte(7), "why".into()), taken(2, false)];
        let ends: Vec<usize> = (1..=3).map(|count| encode(&records[..count]).len()).collect();
        for record in &records {
            journal.push(std::slice::from_ref(record)).unwrap();
        }
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(whole.len(), ends[2]);
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (_, found) = Journal::open(&path).unwrap();
            let waiting = usize::from(cut >= ends[0]) + usize::from(cut >= ends[2]);
            assert_eq!(
                (found.waiting.len(), found.fates.len()),
                (waiting, usize::from(cut >= ends[1])),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn the_later_of_a_transaction_and_its_fate_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let (mut journal, _) = Journal::open(&path).unwrap();
        let (one, two, three) = (taken(1, true), taken(2, true), taken(3, false));
        journal.push(&[one.clone(), two.clone(), two.clone(), three.clone()]).unwrap();
        let fates = [fate(&one, "first"), fate(&two, "second")];
        journal.push(&fates).unwrap();
        journal.push(std::slice::from_ref(&two)).unwrap();
        let (mut journal, found) = Journal::open(&path).unwrap();
        assert_eq!(found.waiting, [journalled(&three), journalled(&two)]);
        let why = |record: &Record, why: &str| (journalled(record).hash, why.to_owned());
        assert_eq!(found.fates, [why(&one, "first"), why(&two, "second")]);

        journal.rewrite(&[&fates[..], &[three, two]].concat()).unwrap();
        assert_eq!(Journal::open(&path).unwrap().1, found);
    }
}
