//! A consistent, immutable view of the store: every table as of one commit. Readers never block the writer.

use super::{
    history::CHANGES,
    log::LogView,
    pack::unpack,
    runs::{Index, RUN_LIST, RUNS, Run},
    tables::{
        BLOCKS, Bytes2Bytes, CODES, HEADERS, HEIGHTS, Height2Bytes, Height2Pieces, LOGS, LogKey, META, OUTCOMES,
        Outcome, POSTINGS, PairKey, RECEIPTS, Reader, SEGMENTS, SegmentRow,
    },
};
use crate::{
    error::StoreError,
    trie::{AccountLeaf, Place, Source, Trie},
};
use alloy::{
    primitives::{Address, B256},
    rlp::Decodable,
};
use alloy_trie::EMPTY_ROOT_HASH;
use baton_primitives::{Block, Header, RecoveredBlock};
use op_alloy_consensus::OpReceipt;
use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata};

type Bytes = ReadOnlyTable<&'static [u8], &'static [u8]>;
type Heights = ReadOnlyTable<u64, &'static [u8]>;
type Pieces = ReadOnlyTable<(u64, u32), &'static [u8]>;

/// The tables as of one commit.
pub(crate) struct Snapshot {
    meta: ReadOnlyTable<&'static str, &'static [u8]>,
    headers: Heights,
    blocks: Pieces,
    receipts: Pieces,
    outcomes: Heights,
    heights: Bytes,
    pub(super) logs: ReadOnlyTable<&'static LogKey, u32>,
    pub(super) segments: ReadOnlyTable<u64, SegmentRow>,
    pub(super) addresses: ReadOnlyTable<PairKey, &'static [u8]>,
    codes: Bytes,
    pub(super) changes: Bytes,
    pub(super) runs: Bytes,
    transaction_runs: Vec<Run>,
    pub(super) history_runs: Vec<Run>,
    /// The records of the state trie.
    pub(crate) log: LogView,
    trie: Option<Place>,
    floor: Option<u32>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

impl Snapshot {
    pub(crate) fn new(database: &Database, log: LogView, floor: Option<u32>) -> Result<Self, StoreError> {
        let transaction = database.begin_read()?;
        let bytes = |table: Bytes2Bytes| open(&transaction, table);
        let heights = |table: Height2Bytes| transaction.open_table(table);
        let pieces = |table: Height2Pieces| transaction.open_table(table);
        let meta = transaction.open_table(META)?;
        let (_, _, trie) = trie_row(&meta)?;
        let list = bytes(RUN_LIST)?;
        Ok(Self {
            meta,
            headers: heights(HEADERS)?,
            blocks: pieces(BLOCKS)?,
            receipts: pieces(RECEIPTS)?,
            outcomes: heights(OUTCOMES)?,
            heights: bytes(HEIGHTS)?,
            logs: transaction.open_table(LOGS)?,
            segments: transaction.open_table(SEGMENTS)?,
            addresses: transaction.open_table(POSTINGS)?,
            codes: bytes(CODES)?,
            changes: bytes(CHANGES)?,
            runs: bytes(RUNS)?,
            transaction_runs: Index::Transactions.runs(&list)?,
            history_runs: Index::History.runs(&list)?,
            log,
            trie,
            floor,
        })
    }

    pub(crate) fn meta_u64(&self, key: &str) -> Result<Option<u64>, StoreError> {
        let Some(row) = self.meta.get(key)? else { return Ok(None) };
        let bytes = row.value().try_into().map_err(|_| StoreError::Row { table: "meta" })?;
        Ok(Some(u64::from_be_bytes(bytes)))
    }

    pub(crate) fn header(&self, height: u64) -> Result<Option<(B256, Header)>, StoreError> {
        let table = "headers";
        let Some(row) = self.headers.get(height)? else { return Ok(None) };
        let mut reader = Reader { rest: row.value(), table };
        let hash = B256::from(reader.take::<32>()?);
        let header = Header::decode(&mut reader.rest).map_err(|_| StoreError::Row { table })?;
        Ok(Some((hash, header)))
    }

    pub(crate) fn hash(&self, height: u64) -> Result<Option<B256>, StoreError> {
        let Some(row) = self.headers.get(height)? else { return Ok(None) };
        Ok(Some(B256::from(Reader { rest: row.value(), table: "headers" }.take::<32>()?)))
    }

    pub(crate) fn height(&self, hash: &B256) -> Result<Option<u64>, StoreError> {
        let Some(row) = self.heights.get(hash.as_slice())? else { return Ok(None) };
        Ok(Some(u64::from_be_bytes(Reader { rest: row.value(), table: "heights" }.take()?)))
    }

    pub(crate) fn block(&self, height: u64) -> Result<Option<RecoveredBlock>, StoreError> {
        let table = "blocks";
        let Some(row) = joined(&self.blocks, height)? else { return Ok(None) };
        let row = unpack(&row, table)?;
        let hash = self.hash(height)?.ok_or(StoreError::Absent { table: "headers" })?;
        let mut reader = Reader { rest: &row, table };
        let count = u32::from_be_bytes(reader.take()?);
        let senders = (0..count).map(|_| reader.take::<20>().map(Address::from)).collect::<Result<_, _>>()?;
        let block = Block::decode(&mut reader.rest).map_err(|_| StoreError::Row { table })?;
        reader.end()?;
        Ok(Some(RecoveredBlock::new_unchecked(hash, block, senders)))
    }

    pub(crate) fn receipts(&self, height: u64) -> Result<Option<Vec<OpReceipt>>, StoreError> {
        let table = "receipts";
        let Some(row) = joined(&self.receipts, height)? else { return Ok(None) };
        Vec::decode(&mut unpack(&row, table)?.as_slice()).map(Some).map_err(|_| StoreError::Row { table })
    }

    pub(crate) fn outcome(&self, height: u64) -> Result<Option<Outcome>, StoreError> {
        self.outcomes.get(height)?.map(|row| Outcome::decode(row.value())).transpose()
    }

    /// Height and position of a transaction; `is_it` tells whether a place holds it, since others may share its digest.
    pub(crate) fn transaction(
        &self,
        hash: &B256,
        mut is_it: impl FnMut(u64, usize) -> Result<bool, StoreError>,
    ) -> Result<Option<(u64, usize)>, StoreError> {
        let digest = hash.first_chunk().copied().unwrap_or_default();
        // Clients ask for what is new.
        for run in self.transaction_runs.iter().rev() {
            let mut from = 0;
            while let Some(found) = Index::Transactions.find(&self.runs, *run, digest, from)? {
                let (height, index) = (found >> 24, usize::try_from(found & 0xff_ffff).unwrap_or(usize::MAX));
                if is_it(height, index)? {
                    return Ok(Some((height, index)));
                }
                from = found.saturating_add(1);
            }
        }
        Ok(None)
    }

    pub(crate) fn code(&self, hash: &B256) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.codes.get(hash.as_slice())?.map(|row| row.value().to_vec()))
    }

    /// The trie of the written head, whose root is this.
    pub(crate) fn trie(&self, root: B256) -> Result<Trie<AccountLeaf>, StoreError> {
        match self.trie {
            _ if root == EMPTY_ROOT_HASH => Ok(Trie::Empty),
            Some(place) => Ok(Trie::stored(root, place)),
            None => Err(StoreError::Absent { table: "meta" }),
        }
    }

    /// The first segment of the log that is not to be freed, if there is something to free.
    pub(crate) const fn floor(&self) -> Option<u32> {
        self.floor
    }

    /// How much the history holds: rows of changes, and entries of their index.
    pub(crate) fn history_rows(&self) -> Result<u64, StoreError> {
        Ok(self.changes.len()? + self.history_runs.iter().map(|run| run.entries).sum::<u64>())
    }
}

fn open(transaction: &ReadTransaction, table: Bytes2Bytes) -> Result<Bytes, redb::TableError> {
    transaction.open_table(table)
}

/// A row that was written in pieces.
fn joined(table: &Pieces, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let mut row = None;
    for piece in table.range((height, 0)..=(height, u32::MAX))? {
        row.get_or_insert_with(Vec::new).extend_from_slice(piece?.1.value());
    }
    Ok(row)
}

impl Source for Snapshot {
    fn record(&self, at: u64) -> Result<Vec<u8>, StoreError> {
        self.log.record(at)
    }
}

/// The end of the log, its segments after it was last swept, and the place of the trie's root.
pub(super) fn trie_row(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<(u64, u32, Option<Place>), StoreError> {
    let row = meta.get("trie")?.ok_or(StoreError::Absent { table: "meta" })?;
    let mut reader = Reader { rest: row.value(), table: "meta" };
    let (end, left) = (u64::from_be_bytes(reader.take()?), u32::from_be_bytes(reader.take()?));
    let place = if reader.rest.is_empty() { None } else { Some(Place::decode(reader.take()?)) };
    reader.end()?;
    Ok((end, left, place))
}
