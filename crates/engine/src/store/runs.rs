//! Indexes whose keys come in no order, written in order all the same: each commit adds a sorted run, and runs are merged.
//!
//! ```text
//!   entry: digest of the key (8 bytes), value (as many bytes as the index needs); a key may have several values
//!   commit -> run; four runs of one level -> one of the next, unless it would be long
//! ```
//!
//! A row of a B-tree for each entry costs a page of its own, read, copied and written, as soon as the tree is larger than what
//! is written at once. A run takes a page for hundreds of entries; merging writes each entry a few times. A search looks into
//! every run: a dozen on a young chain, then one more for each [`LONGEST`] entries or fewer. Keys may share a digest, so whoever
//! finds a value looks whether it is the key's.

use super::tables::{Bytes2Bytes, Reader};
use crate::error::StoreError;
use redb::{ReadableTable, TableDefinition, WriteTransaction};

/// index, run u64, first entry -> entries.
pub(super) const RUNS: Bytes2Bytes = TableDefinition::new("runs");
/// index, run u64 -> level u8, entries u64, last height u64.
pub(super) const RUN_LIST: Bytes2Bytes = TableDefinition::new("run_list");

/// Bytes of entries in a row: with its key and the page's header it fills a page of 4,096 bytes.
const ROW: usize = 4_040;
/// Runs of one level that are merged.
const FAN: usize = 4;
/// Most entries of a merged run: merging it takes some 50 ms.
const LONGEST: u64 = 1 << 20;

/// The beginning of a hash.
pub(super) type Digest = [u8; 8];

/// Digest and value, as one number: entries sort as their bytes do.
pub(super) type Entry = u128;

/// What an index finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Index {
    /// Hash of a transaction -> height (40 bits), position in the block (24 bits).
    Transactions = 0,
    /// Key of an account or slot -> height (40 bits) of a block that changed it.
    History = 1,
}

/// A run of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Ascends with the heights of what is in it.
    number: u64,
    level: u8,
    pub(super) entries: u64,
    /// Height of the last block in it.
    pub(super) last: u64,
}

/// An entry.
pub(super) const fn entry(digest: Digest, value: u64) -> Entry {
    (u64::from_be_bytes(digest) as u128) << 64 | value as u128
}

impl Index {
    /// Bytes of a value.
    const fn value_bytes(self) -> usize {
        match self {
            Self::Transactions => 8,
            Self::History => 5,
        }
    }

    /// Bytes of an entry.
    const fn entry_bytes(self) -> usize {
        8 + self.value_bytes()
    }

    fn put(self, entry: Entry, out: &mut Vec<u8>) {
        let bytes = entry.to_be_bytes();
        out.extend_from_slice(&bytes[..8]);
        out.extend_from_slice(&bytes[16 - self.value_bytes()..]);
    }

    /// Inverse of [`Self::put`], of as many bytes.
    fn read(self, bytes: &[u8]) -> Entry {
        let mut entry = [0; 16];
        entry[..8].copy_from_slice(&bytes[..8]);
        entry[16 - self.value_bytes()..].copy_from_slice(&bytes[8..]);
        Entry::from_be_bytes(entry)
    }

    fn run_key(self, number: u64) -> [u8; 9] {
        let mut key = [self as u8; 9];
        key[1..].copy_from_slice(&number.to_be_bytes());
        key
    }

    fn row_key(self, number: u64, entry: Entry) -> Vec<u8> {
        let mut key = self.run_key(number).to_vec();
        self.put(entry, &mut key);
        key
    }

    /// The keys below and above those of a run's rows.
    fn rows_of(self, number: u64) -> (Vec<u8>, Vec<u8>) {
        (self.run_key(number).to_vec(), self.row_key(number, Entry::MAX))
    }

    /// The runs, oldest first.
    pub(super) fn runs(self, list: &impl ReadableTable<&'static [u8], &'static [u8]>) -> Result<Vec<Run>, StoreError> {
        let (low, high) = (self.run_key(0), self.run_key(u64::MAX));
        let rows = list.range::<&[u8]>(low.as_slice()..=high.as_slice())?;
        rows.map(|row| {
            let (key, row) = row?;
            let mut key = Reader { rest: &key.value()[1..], table: "run_list" };
            let mut reader = Reader { rest: row.value(), table: "run_list" };
            let [level] = reader.take()?;
            let (number, entries) = (u64::from_be_bytes(key.take()?), u64::from_be_bytes(reader.take()?));
            Ok(Run { number, level, entries, last: u64::from_be_bytes(reader.take()?) })
        })
        .collect()
    }

    /// The least value of `digest` in a run that is at least `from`.
    pub(super) fn find(
        self,
        table: &impl ReadableTable<&'static [u8], &'static [u8]>,
        run: Run,
        digest: Digest,
        from: u64,
    ) -> Result<Option<u64>, StoreError> {
        // Above all values that fit.
        let bits = u32::try_from(8 * self.value_bytes()).unwrap_or(u32::MAX);
        if from.checked_shr(bits).is_some_and(|above| above != 0) {
            return Ok(None);
        }
        let wanted = entry(digest, from);
        let ((low, high), at) = (self.rows_of(run.number), self.row_key(run.number, wanted));
        // It is in the last row that begins at or below it, or begins the next one.
        if let Some(row) = table.range::<&[u8]>(low.as_slice()..=at.as_slice())?.next_back() {
            let row = row?.1;
            let (bytes, each) = (row.value(), self.entry_bytes());
            let nth = |nth: usize| bytes.get(nth * each..(nth + 1) * each).map(|bytes| self.read(bytes));
            let (mut first, mut end) = (0, bytes.len() / each);
            while first < end {
                let middle = usize::midpoint(first, end);
                if nth(middle).is_some_and(|entry| entry < wanted) {
                    first = middle + 1;
                } else {
                    end = middle;
                }
            }
            if let Some(found) = nth(first) {
                return Ok(value_of(found, digest));
            }
        }
        match table.range::<&[u8]>(at.as_slice()..=high.as_slice())?.next() {
            Some(row) => {
                let row = row?.1;
                Ok(row.value().get(..self.entry_bytes()).and_then(|found| value_of(self.read(found), digest)))
            }
            None => Ok(None),
        }
    }

    /// Adds the entries of one commit, whose last block is `last`, and merges what has become many.
    pub(super) fn add(
        self,
        transaction: &WriteTransaction,
        mut entries: Vec<Entry>,
        last: u64,
    ) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut list = transaction.open_table(RUN_LIST)?;
        let mut table = transaction.open_table(RUNS)?;
        let mut runs = self.runs(&list)?;
        let mut level = 0;
        loop {
            let tail = &runs[runs.len().saturating_sub(FAN - 1)..];
            let sum = tail.iter().map(|run| run.entries).sum::<u64>() + entries.len() as u64;
            if tail.len() < FAN - 1 || tail.iter().any(|run| run.level != level) || sum > LONGEST {
                break;
            }
            for run in runs.split_off(runs.len() - (FAN - 1)) {
                self.take(&mut table, run, |row| {
                    entries.extend(row.chunks_exact(self.entry_bytes()).map(|entry| self.read(entry)));
                })?;
                list.remove(self.run_key(run.number).as_slice())?;
            }
            level += 1;
        }
        // Sorting notices that most of them are sorted already.
        entries.sort();
        let number = runs.last().map_or(0, |run| run.number + 1);
        let mut row = Vec::with_capacity(ROW);
        for chunk in entries.chunks(ROW / self.entry_bytes()) {
            row.clear();
            chunk.iter().for_each(|entry| self.put(*entry, &mut row));
            table.insert(self.row_key(number, chunk[0]).as_slice(), row.as_slice())?;
        }
        let row = [[level].as_slice(), &(entries.len() as u64).to_be_bytes(), &last.to_be_bytes()].concat();
        list.insert(self.run_key(number).as_slice(), row.as_slice())?;
        Ok(())
    }

    /// Removes the rows of a run, after `each` has seen them.
    fn take(
        self,
        table: &mut redb::Table<'_, &'static [u8], &'static [u8]>,
        run: Run,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), StoreError> {
        let (low, high) = self.rows_of(run.number);
        table.retain_in::<&[u8], _>(low.as_slice()..=high.as_slice(), |_, row| {
            each(row);
            false
        })?;
        Ok(())
    }

    /// Drops the runs that hold nothing above this height.
    pub(super) fn prune(self, transaction: &WriteTransaction, height: u64) -> Result<(), StoreError> {
        let mut list = transaction.open_table(RUN_LIST)?;
        let old: Vec<Run> = self.runs(&list)?.into_iter().take_while(|run| run.last <= height).collect();
        if old.is_empty() {
            return Ok(());
        }
        let mut table = transaction.open_table(RUNS)?;
        for run in old {
            self.take(&mut table, run, |_| {})?;
            list.remove(self.run_key(run.number).as_slice())?;
        }
        Ok(())
    }
}

fn value_of(found: Entry, digest: Digest) -> Option<u64> {
    // What is left of an equal digest is nothing.
    u64::try_from(found ^ entry(digest, 0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use redb::{Database, ReadableDatabase, backends::InMemoryBackend};

    fn database() -> Database {
        Database::builder().create_with_backend(InMemoryBackend::new()).unwrap()
    }

    fn digest(key: u8) -> Digest {
        alloy::primitives::keccak256([key])[..8].try_into().unwrap()
    }

    /// Adds one commit's entries.
    fn add(database: &Database, entries: impl Iterator<Item = (u8, u64)>, last: u64) {
        let transaction = database.begin_write().unwrap();
        let entries = entries.map(|(key, value)| entry(digest(key), value)).collect();
        Index::History.add(&transaction, entries, last).unwrap();
        transaction.commit().unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn every_entry_is_found_in_its_run_whatever_was_merged(
            commits in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 1..40),
            wanted in proptest::collection::vec((any::<u8>(), 0u64..41), 20),
        ) {
            let database = database();
            for (keys, height) in commits.iter().zip(1..) {
                let keys: std::collections::BTreeSet<u8> = keys.iter().copied().collect();
                add(&database, keys.into_iter().map(|key| (key, height)), height);
            }
            let transaction = database.begin_read().unwrap();
            let Ok(table) = transaction.open_table(RUNS) else { return Ok(()) };
            let runs = Index::History.runs(&transaction.open_table(RUN_LIST).unwrap()).unwrap();
            prop_assert!(runs.len() <= 12, "{} commits are {} runs", commits.len(), runs.len());
            for (key, from) in wanted {
                let expected = commits.iter().zip(1..).find(|(keys, at)| *at >= from && keys.contains(&key));
                let mut found = runs
                    .iter()
                    .filter(|run| run.last >= from)
                    .filter_map(|run| Index::History.find(&table, *run, digest(key), from).unwrap());
                prop_assert_eq!(found.next(), expected.map(|(_, at)| at));
                prop_assert_eq!(Index::Transactions.find(&table, runs[0], digest(key), from).unwrap(), None);
            }
        }
    }

    #[test]
    fn a_value_is_found_wherever_in_the_rows_it_is() {
        // The last heights that fit.
        let (first, last) = ((1 << 40) - 1_000, (1 << 40) - 1);
        let database = database();
        add(&database, (first..=last).map(|height| (7, height)), last);
        let transaction = database.begin_read().unwrap();
        let run = Index::History.runs(&transaction.open_table(RUN_LIST).unwrap()).unwrap()[0];
        let table = transaction.open_table(RUNS).unwrap();
        let find = |from| Index::History.find(&table, run, digest(7), from).unwrap();
        assert!((first..=last).all(|height| find(height) == Some(height)));
        assert_eq!((find(0), find(last + 1)), (Some(first), None));
    }

    #[test]
    fn runs_that_are_pruned_leave_no_rows() {
        let database = database();
        for height in 1..=50u64 {
            add(&database, (0..200).map(|key| (key, height)), height);
            let transaction = database.begin_write().unwrap();
            Index::History.prune(&transaction, height.saturating_sub(10)).unwrap();
            transaction.commit().unwrap();
        }
        let transaction = database.begin_read().unwrap();
        let runs = Index::History.runs(&transaction.open_table(RUN_LIST).unwrap()).unwrap();
        let table = transaction.open_table(RUNS).unwrap();
        let in_a_row = (ROW / Index::History.entry_bytes()) as u64;
        let rows: u64 = runs.iter().map(|run| run.entries.div_ceil(in_a_row)).sum();
        assert_eq!(redb::ReadableTableMetadata::len(&table).unwrap(), rows);
        assert!(runs[0].last > 40 && runs[0].last <= 56, "{runs:?}");
    }
}
