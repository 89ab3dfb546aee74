//! A consistent, immutable view of the store: every table as of one commit. Readers never block the writer.

use super::{
    log::LogView,
    tables::{
    ACCOUNT_HISTORY, BLOCKS, Bytes2Bytes, CHANGED, CODES, HEADERS, HEIGHTS, Height2Bytes, Height2Pieces, LOGS, LogKey,
    META, OUTCOMES, Outcome, RECEIPTS, Reader, STORAGE_HISTORY, TRANSACTIONS, decode_account, decode_value,
    history_key, slot_key,
    },
};
use crate::{
    changes::Account,
    error::StoreError,
    trie::{AccountLeaf, Place, Source, Trie},
};
use alloy::{
    primitives::{Address, B256, U256},
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
    transactions: Bytes,
    pub(super) logs: ReadOnlyTable<&'static LogKey, u32>,
    codes: Bytes,
    account_history: Bytes,
    storage_history: Bytes,
    changed: Pieces,
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

/// The keys that a block changed: accounts, then slots.
pub(crate) type ChangedKeys = (Vec<B256>, Vec<(B256, B256)>);

impl Snapshot {
    pub(crate) fn new(database: &Database, log: LogView, floor: Option<u32>) -> Result<Self, StoreError> {
        let transaction = database.begin_read()?;
        let bytes = |table: Bytes2Bytes| open(&transaction, table);
        let heights = |table: Height2Bytes| transaction.open_table(table);
        let pieces = |table: Height2Pieces| transaction.open_table(table);
        let meta = transaction.open_table(META)?;
        let (_, trie) = trie_row(&meta)?;
        Ok(Self {
            meta,
            headers: heights(HEADERS)?,
            blocks: pieces(BLOCKS)?,
            receipts: pieces(RECEIPTS)?,
            outcomes: heights(OUTCOMES)?,
            heights: bytes(HEIGHTS)?,
            transactions: bytes(TRANSACTIONS)?,
            logs: transaction.open_table(LOGS)?,
            codes: bytes(CODES)?,
            account_history: bytes(ACCOUNT_HISTORY)?,
            storage_history: bytes(STORAGE_HISTORY)?,
            changed: pieces(CHANGED)?,
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
        let hash = self.hash(height)?.ok_or(StoreError::Absent { table: "headers" })?;
        let mut reader = Reader { rest: &row, table };
        let count = u32::from_be_bytes(reader.take()?);
        let senders = (0..count).map(|_| reader.take::<20>().map(Address::from)).collect::<Result<_, _>>()?;
        let block = Block::decode(&mut reader.rest).map_err(|_| StoreError::Row { table })?;
        reader.end()?;
        Ok(Some(RecoveredBlock::new_unchecked(hash, block, senders)))
    }

    pub(crate) fn receipts(&self, height: u64) -> Result<Option<Vec<OpReceipt>>, StoreError> {
        let Some(row) = joined(&self.receipts, height)? else { return Ok(None) };
        Vec::decode(&mut row.as_slice()).map(Some).map_err(|_| StoreError::Row { table: "receipts" })
    }

    pub(crate) fn outcome(&self, height: u64) -> Result<Option<Outcome>, StoreError> {
        self.outcomes.get(height)?.map(|row| Outcome::decode(row.value())).transpose()
    }

    pub(crate) fn transaction(&self, hash: &B256) -> Result<Option<(u64, u32)>, StoreError> {
        let Some(row) = self.transactions.get(hash.as_slice())? else { return Ok(None) };
        let mut reader = Reader { rest: row.value(), table: "transactions" };
        Ok(Some((u64::from_be_bytes(reader.take()?), u32::from_be_bytes(reader.take()?))))
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

    /// The account before the first block above `height` that changed it, if one did.
    pub(crate) fn account_before(&self, hashed: &B256, height: u64) -> Result<Option<Option<Account>>, StoreError> {
        match first_after(&self.account_history, hashed.as_slice(), height)? {
            Some(row) if row.is_empty() => Ok(Some(None)),
            Some(row) => Ok(Some(Some(decode_account(&mut row.as_slice())?.0))),
            None => Ok(None),
        }
    }

    /// The slot before the first block above `height` that changed it, if one did.
    pub(crate) fn slot_before(&self, address: &B256, slot: &B256, height: u64) -> Result<Option<U256>, StoreError> {
        let row = first_after(&self.storage_history, &slot_key(address, slot), height)?;
        row.map(|row| decode_value(&row)).transpose()
    }

    /// The keys that the block at `height` changed, while its history is kept.
    pub(crate) fn changed(&self, height: u64) -> Result<Option<ChangedKeys>, StoreError> {
        joined(&self.changed, height)?.map(|row| decode_changed(&row)).transpose()
    }

    /// Rows of all tables of the history.
    pub(crate) fn history_rows(&self) -> Result<u64, StoreError> {
        Ok(self.account_history.len()? + self.storage_history.len()? + self.changed.len()?)
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

fn first_after(table: &Bytes, key: &[u8], height: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let (low, high) = (history_key(key, height.saturating_add(1)), history_key(key, u64::MAX));
    let mut range = table.range::<&[u8]>(low.as_slice()..=high.as_slice())?;
    range.next().map(|row| Ok(row?.1.value().to_vec())).transpose()
}

pub(super) fn decode_changed(row: &[u8]) -> Result<ChangedKeys, StoreError> {
    let mut reader = Reader { rest: row, table: "changed" };
    let accounts = u32::from_be_bytes(reader.take()?);
    let accounts = (0..accounts).map(|_| reader.take::<32>().map(B256::from)).collect::<Result<_, _>>()?;
    let mut slots = Vec::with_capacity(reader.rest.len() / 64);
    while !reader.rest.is_empty() {
        slots.push((B256::from(reader.take::<32>()?), B256::from(reader.take::<32>()?)));
    }
    Ok((accounts, slots))
}

impl Source for Snapshot {
    fn record(&self, at: u64) -> Result<Vec<u8>, StoreError> {
        self.log.record(at)
    }
}

/// The end of the log, and the place of the trie's root.
pub(super) fn trie_row(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<(u64, Option<Place>), StoreError> {
    let row = meta.get("trie")?.ok_or(StoreError::Absent { table: "meta" })?;
    let mut reader = Reader { rest: row.value(), table: "meta" };
    let end = u64::from_be_bytes(reader.take()?);
    let place = if reader.rest.is_empty() { None } else { Some(Place::decode(reader.take()?)) };
    reader.end()?;
    Ok((end, place))
}
