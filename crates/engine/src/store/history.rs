//! What each block changed, as it was before: from this, states of older heights are read and rebuilt.
//!
//! ```text
//!   CHANGES: height, first key -> entries by key: kind, key, length and bytes of the value before
//!   runs (`super::runs`): digest of the key -> heights
//! ```
//!
//! Both are written in the order of their keys, and go with the oldest height. A value at a height is the one before the next
//! change above it, or else the written one.

use super::{
    Snapshot,
    runs::{Digest, Index, entry},
    tables::{Bytes2Bytes, PIECE, Reader, decode_account, decode_value, encode_account, encode_value},
};
use crate::{
    changes::{Account, hash_slot},
    error::StoreError,
    executed::ExecutedBlock,
};
use alloy::primitives::{Address, B256, U256, keccak256};
use alloy_trie::EMPTY_ROOT_HASH;
use redb::{TableDefinition, WriteTransaction};
use std::ops::RangeInclusive;

/// height u64, first key of the entries -> entries: kind (0 account, 1 slot), address (20 bytes), slot (32, if it is one), length
/// u8, value before.
pub(super) const CHANGES: Bytes2Bytes = TableDefinition::new("changes");

const ACCOUNT: u8 = 0;
const SLOT: u8 = 1;

/// What can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// An account.
    Account(Address),
    /// A slot of one.
    Slot(Address, U256),
}

/// A value before a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// The account, if it existed.
    Account(Option<Account>),
    /// The slot's value.
    Slot(U256),
}

impl Key {
    /// Sorts as the keys do in their rows.
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Account(address) => [&[ACCOUNT], address.as_slice()].concat(),
            Self::Slot(address, slot) => [&[SLOT], address.as_slice(), &slot.to_be_bytes::<32>()].concat(),
        }
    }

    fn digest(&self) -> Digest {
        match self {
            Self::Account(address) => digest(&keccak256(address), None),
            Self::Slot(address, slot) => digest(&keccak256(address), Some(&hash_slot(*slot))),
        }
    }
}

/// Of a hashed address and slot. Two keys may have one: it says where to look.
fn digest(address: &B256, slot: Option<&B256>) -> Digest {
    match slot {
        None => std::array::from_fn(|i| address[i]),
        Some(slot) => std::array::from_fn(|i| address[16 + i] ^ slot[i]),
    }
}

fn take_entry(reader: &mut Reader<'_>) -> Result<(Key, Before), StoreError> {
    let table = reader.table;
    let [kind] = reader.take()?;
    let address = Address::from(reader.take::<20>()?);
    let slot = if kind == SLOT { Some(U256::from_be_bytes(reader.take::<32>()?)) } else { None };
    let [length] = reader.take()?;
    let mut value = reader.bytes(length.into())?;
    match (kind, slot) {
        (ACCOUNT, _) if value.is_empty() => Ok((Key::Account(address), Before::Account(None))),
        (ACCOUNT, _) => Ok((Key::Account(address), Before::Account(Some(decode_account(&mut value)?.0)))),
        (SLOT, Some(slot)) => Ok((Key::Slot(address, slot), Before::Slot(decode_value(value)?))),
        _ => Err(StoreError::Row { table }),
    }
}

fn row_key(height: u64, key: &[u8]) -> Vec<u8> {
    [&height.to_be_bytes(), key].concat()
}

/// Writes what these blocks changed.
pub(super) fn write_history(transaction: &WriteTransaction, blocks: &[&ExecutedBlock]) -> Result<(), StoreError> {
    let mut table = transaction.open_table(CHANGES)?;
    let mut index = Vec::new();
    for block in blocks {
        let height = block.height();
        let mut rows: Vec<(Vec<u8>, Vec<u8>)> = Vec::with_capacity(block.changes.accounts.len());
        let mut change = |key: Key, digest: Digest, value: Vec<u8>| {
            index.push(entry(digest, height));
            rows.push((key.encode(), value));
        };
        for (address, account) in &block.changes.accounts {
            let before = account.before.map(|account| encode_account(&account, EMPTY_ROOT_HASH));
            change(Key::Account(*address), digest(&account.hashed, None), before.unwrap_or_default());
            for (slot, value) in &account.slots {
                let digest = digest(&account.hashed, Some(&value.hashed));
                change(Key::Slot(*address, *slot), digest, encode_value(value.before));
            }
        }
        rows.sort_unstable();
        // The first key is in the row's key too.
        let most = PIECE - row_key(0, &[SLOT; 53]).len() - 8;
        let (mut piece, mut first) = (Vec::with_capacity(PIECE), None);
        for (key, value) in &rows {
            if piece.len() + key.len() + 1 + value.len() > most
                && let Some(first) = first.take()
            {
                table.insert(row_key(height, first).as_slice(), piece.as_slice())?;
                piece.clear();
            }
            first.get_or_insert(key.as_slice());
            piece.extend_from_slice(key);
            piece.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
            piece.extend_from_slice(value);
        }
        if let Some(first) = first {
            table.insert(row_key(height, first).as_slice(), piece.as_slice())?;
        }
    }
    Index::History.add(transaction, index, blocks.last().map_or(0, |block| block.height()))
}

/// Drops what these blocks changed.
pub(super) fn prune_history(transaction: &WriteTransaction, heights: RangeInclusive<u64>) -> Result<(), StoreError> {
    if heights.is_empty() {
        return Ok(());
    }
    let (low, high) = (heights.start().to_be_bytes(), row_key(*heights.end(), &[0xff]));
    transaction.open_table(CHANGES)?.retain_in::<&[u8], _>(low.as_slice()..=high.as_slice(), |_, _| false)?;
    Index::History.prune(transaction, *heights.end())
}

impl Snapshot {
    /// The value of `key` before the first block above `height` that changed it, if one did.
    pub(crate) fn before(&self, key: &Key, height: u64) -> Result<Option<Before>, StoreError> {
        let (digest, encoded) = (key.digest(), key.encode());
        for run in self.history_runs.iter().filter(|run| run.last > height) {
            let mut from = height.saturating_add(1);
            while let Some(at) = Index::History.find(&self.runs, *run, digest, from)? {
                if let Some(before) = self.before_block(key, &encoded, at)? {
                    return Ok(Some(before));
                }
                // Another key with the same digest.
                from = at.saturating_add(1);
            }
        }
        Ok(None)
    }

    /// The value of `key` before the block at `height`, if that changed it.
    fn before_block(&self, key: &Key, encoded: &[u8], height: u64) -> Result<Option<Before>, StoreError> {
        let (low, high) = (height.to_be_bytes(), row_key(height, encoded));
        let Some(row) = self.changes.range::<&[u8]>(low.as_slice()..=high.as_slice())?.next_back() else {
            return Ok(None);
        };
        let row = row?.1;
        let mut reader = Reader { rest: row.value(), table: "changes" };
        while !reader.rest.is_empty() {
            let (found, before) = take_entry(&mut reader)?;
            if found == *key {
                return Ok(Some(before));
            }
        }
        Ok(None)
    }

    /// Calls `visit` with what the block at `height` changed, as it was before.
    pub(crate) fn changed(&self, height: u64, mut visit: impl FnMut(Key, Before)) -> Result<(), StoreError> {
        let (low, high) = (height.to_be_bytes(), row_key(height, &[0xff]));
        for row in self.changes.range::<&[u8]>(low.as_slice()..=high.as_slice())? {
            let row = row?.1;
            let mut reader = Reader { rest: row.value(), table: "changes" };
            while !reader.rest.is_empty() {
                let (key, before) = take_entry(&mut reader)?;
                visit(key, before);
            }
        }
        Ok(())
    }
}
