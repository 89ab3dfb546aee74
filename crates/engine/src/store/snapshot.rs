//! A consistent, immutable view of the store: every table as of one commit. Readers never block the writer.

use super::tables::{
    ACCOUNT_HISTORY, ACCOUNT_NODES, ACCOUNTS, BLOCKS, Bytes2Bytes, CHANGED, CODES, HEADERS, HEIGHTS, Height2Bytes,
    Height2Pieces, LOGS, LogKey, META, OUTCOMES, Outcome, POSTINGS, PairKey, RECEIPTS, Reader, SEGMENTS, STORAGE,
    STORAGE_HISTORY, STORAGE_NODES, SegmentRow, TRANSACTIONS, bounds, decode_account, decode_value, history_key,
    node_key, slot_key,
};
use crate::{
    changes::{Account, Storages},
    error::StoreError,
    trie::{AccountLeaf, Source, Trie},
};
use alloy::{
    primitives::{Address, B256, U256},
    rlp::Decodable,
};
use alloy_trie::Nibbles;
use baton_primitives::{Block, Header, RecoveredBlock};
use op_alloy_consensus::OpReceipt;
use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTableMetadata};
use std::collections::BTreeMap;

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
    pub(super) segments: ReadOnlyTable<u64, SegmentRow>,
    pub(super) addresses: ReadOnlyTable<PairKey, &'static [u8]>,
    accounts: Bytes,
    storage: Bytes,
    codes: Bytes,
    account_nodes: Bytes,
    storage_nodes: Bytes,
    account_history: Bytes,
    storage_history: Bytes,
    changed: Pieces,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

/// The rows of a table.
pub(crate) type AllRows = BTreeMap<Vec<u8>, Vec<u8>>;

/// The keys that a block changed: accounts, then slots.
pub(crate) type ChangedKeys = (Vec<B256>, Vec<(B256, B256)>);

impl Snapshot {
    pub(crate) fn new(database: &Database) -> Result<Self, StoreError> {
        let transaction = database.begin_read()?;
        let bytes = |table: Bytes2Bytes| open(&transaction, table);
        let heights = |table: Height2Bytes| transaction.open_table(table);
        let pieces = |table: Height2Pieces| transaction.open_table(table);
        Ok(Self {
            meta: transaction.open_table(META)?,
            headers: heights(HEADERS)?,
            blocks: pieces(BLOCKS)?,
            receipts: pieces(RECEIPTS)?,
            outcomes: heights(OUTCOMES)?,
            heights: bytes(HEIGHTS)?,
            transactions: bytes(TRANSACTIONS)?,
            logs: transaction.open_table(LOGS)?,
            segments: transaction.open_table(SEGMENTS)?,
            addresses: transaction.open_table(POSTINGS)?,
            accounts: bytes(ACCOUNTS)?,
            storage: bytes(STORAGE)?,
            codes: bytes(CODES)?,
            account_nodes: bytes(ACCOUNT_NODES)?,
            storage_nodes: bytes(STORAGE_NODES)?,
            account_history: bytes(ACCOUNT_HISTORY)?,
            storage_history: bytes(STORAGE_HISTORY)?,
            changed: pieces(CHANGED)?,
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

    pub(crate) fn account(&self, hashed: &B256) -> Result<Option<(Account, B256)>, StoreError> {
        self.accounts.get(hashed.as_slice())?.map(|row| decode_account(row.value())).transpose()
    }

    pub(crate) fn slot(&self, address: &B256, slot: &B256) -> Result<U256, StoreError> {
        let row = self.storage.get(slot_key(address, slot).as_slice())?;
        row.map_or(Ok(U256::ZERO), |row| decode_value(row.value()))
    }

    pub(crate) fn code(&self, hash: &B256) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.codes.get(hash.as_slice())?.map(|row| row.value().to_vec()))
    }

    /// The account as it was after block `height`.
    pub(crate) fn account_at(&self, hashed: &B256, height: u64) -> Result<Option<(Account, B256)>, StoreError> {
        match first_after(&self.account_history, hashed.as_slice(), height)? {
            Some(row) if row.is_empty() => Ok(None),
            Some(row) => decode_account(&row).map(Some),
            None => self.account(hashed),
        }
    }

    /// The slot as it was after block `height`.
    pub(crate) fn slot_at(&self, address: &B256, slot: &B256, height: u64) -> Result<U256, StoreError> {
        match first_after(&self.storage_history, &slot_key(address, slot), height)? {
            Some(row) => decode_value(&row),
            None => self.slot(address, slot),
        }
    }

    /// The keys that the block at `height` changed, while its history is kept.
    pub(crate) fn changed(&self, height: u64) -> Result<Option<ChangedKeys>, StoreError> {
        joined(&self.changed, height)?.map(|row| decode_changed(&row)).transpose()
    }

    /// Rows of all tables of the history.
    pub(crate) fn history_rows(&self) -> Result<u64, StoreError> {
        Ok(self.account_history.len()? + self.storage_history.len()? + self.changed.len()?)
    }

    /// All rows of the account trie and of the storage tries, for checks.
    pub(crate) fn all_nodes(&self) -> Result<(AllRows, AllRows), StoreError> {
        let rows = |table: &Bytes| -> Result<AllRows, StoreError> {
            let rows = table.range::<&[u8]>(..)?.map(|row| {
                let (key, value) = row?;
                Ok((key.value().to_vec(), value.value().to_vec()))
            });
            rows.collect()
        };
        Ok((rows(&self.account_nodes)?, rows(&self.storage_nodes)?))
    }

    /// All accounts, for checks.
    pub(crate) fn all_accounts(&self) -> Result<Vec<(B256, Account, B256)>, StoreError> {
        self.accounts
            .range::<&[u8]>(..)?
            .map(|row| {
                let (key, value) = row?;
                let (account, root) = decode_account(value.value())?;
                Ok((B256::from_slice(key.value()), account, root))
            })
            .collect()
    }

    /// All slots of an account, for checks.
    pub(crate) fn all_slots(&self, address: &B256) -> Result<Vec<(B256, U256)>, StoreError> {
        let (low, high) = (slot_key(address, &B256::ZERO), slot_key(address, &B256::repeat_byte(0xff)));
        self.storage
            .range::<&[u8]>(low.as_slice()..=high.as_slice())?
            .map(|row| {
                let (key, value) = row?;
                Ok((B256::from_slice(&key.value()[32..]), decode_value(value.value())?))
            })
            .collect()
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

/// Storage of one account in a snapshot.
pub(crate) struct StorageSource<'a> {
    snapshot: &'a Snapshot,
    address: B256,
}

impl Source<U256> for StorageSource<'_> {
    fn node(&self, path: &Nibbles) -> Result<Option<Vec<u8>>, StoreError> {
        let row = self.snapshot.storage_nodes.get(node_key(&self.address, path).as_slice())?;
        Ok(row.map(|row| row.value().to_vec()))
    }

    fn leaf(&self, prefix: &Nibbles) -> Result<Option<(B256, U256)>, StoreError> {
        let (low, high) = bounds(prefix);
        let (low, high) = (slot_key(&self.address, &low.into()), slot_key(&self.address, &high.into()));
        let mut range = self.snapshot.storage.range::<&[u8]>(low.as_slice()..=high.as_slice())?;
        let Some(row) = range.next() else { return Ok(None) };
        let (key, value) = row?;
        Ok(Some((B256::from_slice(&key.value()[32..]), decode_value(value.value())?)))
    }
}

impl Source<AccountLeaf> for Snapshot {
    fn node(&self, path: &Nibbles) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.account_nodes.get(path.to_vec().as_slice())?.map(|row| row.value().to_vec()))
    }

    fn leaf(&self, prefix: &Nibbles) -> Result<Option<(B256, AccountLeaf)>, StoreError> {
        let (low, high) = bounds(prefix);
        let mut range = self.accounts.range::<&[u8]>(low.as_slice()..=high.as_slice())?;
        let Some(row) = range.next() else { return Ok(None) };
        let (key, value) = row?;
        let (account, root) = decode_account(value.value())?;
        let Account { nonce, balance, code_hash } = account;
        let leaf = AccountLeaf { nonce, balance, code_hash, storage: Trie::stored(root) };
        Ok(Some((B256::from_slice(key.value()), leaf)))
    }
}

impl Storages for Snapshot {
    fn storage<'a>(&'a self, hashed_address: &B256) -> impl Source<U256> + 'a {
        StorageSource { snapshot: self, address: *hashed_address }
    }
}

/// No accounts at all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nothing;

impl Source<AccountLeaf> for Nothing {
    fn node(&self, _: &Nibbles) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    fn leaf(&self, _: &Nibbles) -> Result<Option<(B256, AccountLeaf)>, StoreError> {
        Ok(None)
    }
}

impl Storages for Nothing {
    fn storage<'a>(&'a self, _: &B256) -> impl Source<U256> + 'a {
        crate::trie::Nowhere
    }
}
