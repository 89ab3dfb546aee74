//! The one write path.

use super::{
    Store,
    addresses::write_addresses,
    logs::write_logs,
    snapshot::decode_changed,
    tables::{
        ACCOUNT_HISTORY, ACCOUNT_NODES, ACCOUNTS, BLOCKS, CHANGED, CODES, HEADERS, HEIGHTS, LAYOUT, META, OUTCOMES,
        PIECE, RECEIPTS, STORAGE, STORAGE_HISTORY, STORAGE_NODES, TRANSACTIONS, encode_account, encode_value,
        history_key, node_key, slot_key,
    },
};
use crate::{error::StoreError, executed::ExecutedBlock};
use alloy::{primitives::B256, rlp::Encodable};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use redb::{ReadableTable, Table, WriteTransaction};
use std::collections::BTreeMap;

type Bytes<'a> = Table<'a, &'static [u8], &'static [u8]>;
type Pieces<'a> = Table<'a, (u64, u32), &'static [u8]>;
type Rows = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

impl Store {
    /// Writes the genesis into an empty database.
    pub(super) fn create(&self, genesis: &ExecutedBlock) -> Result<(), StoreError> {
        let transaction = self.begin()?;
        {
            let mut meta = transaction.open_table(META)?;
            meta.insert("layout", LAYOUT.to_be_bytes().as_slice())?;
            meta.insert("genesis", genesis.block.hash().as_slice())?;
            // Tables that the genesis does not write to must exist for readers all the same.
            transaction.open_table(TRANSACTIONS)?;
            transaction.open_table(STORAGE_HISTORY)?;
            transaction.open_table(ACCOUNT_HISTORY)?;
            transaction.open_table(CHANGED)?;
        }
        write(&transaction, &[genesis], None, 0)?;
        transaction.commit()?;
        Ok(())
    }

    /// Writes final blocks, ascending and contiguous, that follow the stored head.
    pub(crate) fn commit(&self, blocks: &[&ExecutedBlock], oldest: u64) -> Result<(), StoreError> {
        let transaction = self.begin()?;
        let head = blocks.last().map_or(0, |block| block.height());
        let keep_from = self.history_blocks.map_or(0, |blocks| head.saturating_sub(blocks)).max(oldest);
        write(&transaction, blocks, Some(oldest), keep_from)?;
        transaction.commit()?;
        Ok(())
    }

    fn begin(&self) -> Result<WriteTransaction, StoreError> {
        let mut transaction = self.database.begin_write()?;
        // Saves the page allocator with each commit: a killed process reopens at once, whatever the size.
        transaction.set_quick_repair(true);
        Ok(transaction)
    }
}

/// `oldest` is the oldest height whose state is kept so far (`None` for the genesis), `keep_from` the new one.
fn write(
    transaction: &WriteTransaction,
    blocks: &[&ExecutedBlock],
    oldest: Option<u64>,
    keep_from: u64,
) -> Result<(), StoreError> {
    write_blocks(transaction, blocks)?;
    write_logs(transaction, blocks)?;
    write_addresses(transaction, blocks)?;
    write_state(transaction, blocks, oldest.is_some())?;
    if let Some(oldest) = oldest {
        prune(transaction, oldest, keep_from)?;
    }
    let mut meta = transaction.open_table(META)?;
    let head = blocks.last().map_or(0, |block| block.height());
    meta.insert("head", head.to_be_bytes().as_slice())?;
    meta.insert("history", keep_from.to_be_bytes().as_slice())?;
    Ok(())
}

fn write_blocks(transaction: &WriteTransaction, blocks: &[&ExecutedBlock]) -> Result<(), StoreError> {
    let mut headers = transaction.open_table(HEADERS)?;
    let mut bodies = transaction.open_table(BLOCKS)?;
    let mut receipts = transaction.open_table(RECEIPTS)?;
    let mut outcomes = transaction.open_table(OUTCOMES)?;
    let mut heights = transaction.open_table(HEIGHTS)?;
    let mut transactions = transaction.open_table(TRANSACTIONS)?;
    let mut index = BTreeMap::new();
    for executed in blocks {
        let (height, block) = (executed.height(), &executed.block);
        let mut row = block.hash().to_vec();
        block.header().encode(&mut row);
        headers.insert(height, row.as_slice())?;

        let senders = u32::try_from(block.senders().len()).unwrap_or(u32::MAX);
        row.clear();
        row.extend_from_slice(&senders.to_be_bytes());
        block.senders().iter().for_each(|sender| row.extend_from_slice(sender.as_slice()));
        block.block().encode(&mut row);
        put_pieces(&mut bodies, height, &row)?;

        row.clear();
        executed.receipts.encode(&mut row);
        put_pieces(&mut receipts, height, &row)?;

        outcomes.insert(height, executed.outcome().encode().as_slice())?;
        heights.insert(block.hash().as_slice(), height.to_be_bytes().as_slice())?;
        for (position, transaction) in (0u32..).zip(block.transactions()) {
            let mut row = [0; 12];
            row[..8].copy_from_slice(&height.to_be_bytes());
            row[8..].copy_from_slice(&position.to_be_bytes());
            index.insert(transaction.tx_hash(), row);
        }
    }
    for (hash, row) in index {
        transactions.insert(hash.as_slice(), row.as_slice())?;
    }
    Ok(())
}

/// Flat state, trie nodes and history. Rows of several blocks are merged first, so each is written once, in key order.
fn write_state(transaction: &WriteTransaction, blocks: &[&ExecutedBlock], history: bool) -> Result<(), StoreError> {
    let (mut accounts, mut slots, mut account_nodes, mut storage_nodes) = <(Rows, Rows, Rows, Rows)>::default();
    let (mut account_history, mut storage_history) = <(Rows, Rows)>::default();
    let mut codes = transaction.open_table(CODES)?;
    let mut changed = transaction.open_table(CHANGED)?;
    let stored = transaction.open_table(ACCOUNTS)?;
    for executed in blocks {
        let height = executed.height();
        for (hash, code) in &executed.changes.codes {
            codes.insert(hash.as_slice(), code.original_byte_slice())?;
        }
        let mut account_keys: Vec<B256> = Vec::new();
        let mut slot_keys: Vec<[u8; 64]> = Vec::new();
        for change in executed.changes.accounts.values() {
            let key = change.hashed;
            if history {
                let before = match (change.before, accounts.get(key.as_slice())) {
                    (None, _) => Vec::new(),
                    (Some(_), Some(row)) => row.clone().unwrap_or_default(),
                    (Some(_), None) => stored.get(key.as_slice())?.map(|row| row.value().to_vec()).unwrap_or_default(),
                };
                account_history.insert(history_key(key.as_slice(), height), Some(before));
                account_keys.push(key);
            }
            let row = change.after.map(|account| {
                let root = executed.rows.roots.get(&key).copied().unwrap_or(EMPTY_ROOT_HASH);
                encode_account(&account, root)
            });
            accounts.insert(key.to_vec(), row);
            for slot in change.slots.values() {
                let key = slot_key(&key, &slot.hashed);
                if history {
                    storage_history.insert(history_key(&key, height), Some(encode_value(slot.before)));
                    slot_keys.push(key);
                }
                slots.insert(key.to_vec(), (!slot.after.is_zero()).then(|| encode_value(slot.after)));
            }
        }
        if history {
            account_keys.sort_unstable();
            slot_keys.sort_unstable();
            let mut row = u32::try_from(account_keys.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
            account_keys.iter().for_each(|key| row.extend_from_slice(key.as_slice()));
            slot_keys.iter().for_each(|key| row.extend_from_slice(key));
            put_pieces(&mut changed, height, &row)?;
        }
        merge(&mut account_nodes, &executed.rows.accounts, |path| path.to_vec());
        for (address, rows) in &executed.rows.storage {
            merge(&mut storage_nodes, rows, |path| node_key(address, path));
        }
    }
    drop(stored);
    put(&mut transaction.open_table(ACCOUNTS)?, accounts)?;
    put(&mut transaction.open_table(STORAGE)?, slots)?;
    put(&mut transaction.open_table(ACCOUNT_NODES)?, account_nodes)?;
    put(&mut transaction.open_table(STORAGE_NODES)?, storage_nodes)?;
    put(&mut transaction.open_table(ACCOUNT_HISTORY)?, account_history)?;
    put(&mut transaction.open_table(STORAGE_HISTORY)?, storage_history)
}

fn merge(into: &mut Rows, rows: &[(Nibbles, Option<Vec<u8>>)], key: impl Fn(&Nibbles) -> Vec<u8>) {
    for (path, row) in rows {
        into.insert(key(path), row.clone());
    }
}

fn put(table: &mut Bytes<'_>, rows: Rows) -> Result<(), StoreError> {
    for (key, row) in rows {
        match row {
            Some(row) => table.insert(key.as_slice(), row.as_slice())?,
            None => table.remove(key.as_slice())?,
        };
    }
    Ok(())
}

fn put_pieces(table: &mut Pieces<'_>, height: u64, row: &[u8]) -> Result<(), StoreError> {
    for (index, piece) in (0..).zip(row.chunks(PIECE)) {
        table.insert((height, index), piece)?;
    }
    Ok(())
}

/// Removes a row and gives it; `None` if it is not there.
fn take_pieces(table: &mut Pieces<'_>, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let mut row = None;
    for index in 0.. {
        let Some(piece) = table.remove((height, index))? else { break };
        row.get_or_insert_with(Vec::new).extend_from_slice(piece.value());
    }
    Ok(row)
}

/// Drops the history that only states below `keep_from` need: what blocks `oldest + 1 ..= keep_from` changed.
fn prune(transaction: &WriteTransaction, oldest: u64, keep_from: u64) -> Result<(), StoreError> {
    let mut changed = transaction.open_table(CHANGED)?;
    let mut accounts = transaction.open_table(ACCOUNT_HISTORY)?;
    let mut slots = transaction.open_table(STORAGE_HISTORY)?;
    for height in oldest.saturating_add(1)..=keep_from {
        let Some(row) = take_pieces(&mut changed, height)? else { continue };
        let (account_keys, slot_keys) = decode_changed(&row)?;
        for key in account_keys {
            accounts.remove(history_key(key.as_slice(), height).as_slice())?;
        }
        for (address, slot) in slot_keys {
            slots.remove(history_key(&slot_key(&address, &slot), height).as_slice())?;
        }
    }
    Ok(())
}
