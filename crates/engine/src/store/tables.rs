//! The tables and how their rows encode. Integers are big-endian so that keys sort by value.

use crate::{changes::Account, error::StoreError};
use alloy::primitives::{B256, KECCAK256_EMPTY, U256};
use alloy_trie::EMPTY_ROOT_HASH;
use baton_primitives::L1Origin;
use redb::TableDefinition;

pub(crate) type Bytes2Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;
pub(crate) type Height2Bytes = TableDefinition<'static, u64, &'static [u8]>;

/// Rows by height that may be long, in pieces.
pub(crate) type Height2Pieces = TableDefinition<'static, (u64, u32), &'static [u8]>;

/// Key of the index of logs: digest 5 bytes, height 5 bytes.
pub(crate) type LogKey = [u8; 10];

/// Key of the index of addresses: last height of a segment, digest, height.
pub(crate) type PairKey = (u64, u32, u64);

/// A segment of it: first height, level, count of pairs.
pub(crate) type SegmentRow = (u64, u32, u64);

/// Version of this layout.
pub(crate) const LAYOUT: u64 = 5;

/// Bytes of a piece: with its key and the page's header one fills a page of 4,096 bytes. A longer row would take a power of two
/// of pages, up to half of them empty, which are written with each commit and stay on disk.
pub(crate) const PIECE: usize = 4_064;

/// `layout` -> u64, `genesis` -> hash, `head` -> height u64, `history` -> oldest height with state u64, `trie` -> end of the
/// state log u64, its segments after it was last swept u32 and, unless the trie is empty, the place of its root.
pub(crate) const META: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("meta");
/// height -> hash, header RLP.
pub(crate) const HEADERS: Height2Bytes = TableDefinition::new("headers");
/// height, piece -> sender count u32, senders, block RLP; compressed, see [`super::pack`].
pub(crate) const BLOCKS: Height2Pieces = TableDefinition::new("blocks");
/// height, piece -> RLP list of receipts, without blooms; compressed.
pub(crate) const RECEIPTS: Height2Pieces = TableDefinition::new("receipts");
/// height -> [`Outcome`].
pub(crate) const OUTCOMES: Height2Bytes = TableDefinition::new("outcomes");
/// block hash -> height u64.
pub(crate) const HEIGHTS: Bytes2Bytes = TableDefinition::new("heights");
/// digest, height -> places of logs, see [`super::logs`].
pub(crate) const LOGS: TableDefinition<'static, &'static LogKey, u32> = TableDefinition::new("logs");
/// last height -> a segment of the index of addresses, see [`super::addresses`].
pub(crate) const SEGMENTS: TableDefinition<'static, u64, SegmentRow> = TableDefinition::new("segments");
/// last height of a segment, first pair -> the pairs after it, see [`super::addresses`].
pub(crate) const POSTINGS: TableDefinition<'static, PairKey, &'static [u8]> = TableDefinition::new("addresses");
/// code hash -> code.
pub(crate) const CODES: Bytes2Bytes = TableDefinition::new("codes");
/// What batch cutting and block production need to know of a block besides the block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Wei taken from the fee vault.
    pub swept: U256,
    /// Root of the message tree after the block.
    pub withdrawals_root: B256,
    /// Deposits executed in total, this block's included.
    pub deposits: u64,
    /// The block's origin.
    pub origin: L1Origin,
    /// Bytes of the block's RLP.
    pub size: u64,
}

impl Outcome {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(168);
        out.extend_from_slice(&self.swept.to_be_bytes::<32>());
        out.extend_from_slice(self.withdrawals_root.as_slice());
        out.extend_from_slice(&self.deposits.to_be_bytes());
        out.extend_from_slice(&self.origin.number.to_be_bytes());
        out.extend_from_slice(self.origin.hash.as_slice());
        out.extend_from_slice(&self.origin.timestamp.to_be_bytes());
        out.extend_from_slice(&self.origin.base_fee.to_be_bytes());
        out.extend_from_slice(&self.origin.blob_base_fee.to_be_bytes());
        out.extend_from_slice(&self.size.to_be_bytes());
        out
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader { rest: row, table: "outcomes" };
        let outcome = Self {
            swept: U256::from_be_bytes(reader.take::<32>()?),
            withdrawals_root: B256::from(reader.take::<32>()?),
            deposits: u64::from_be_bytes(reader.take()?),
            origin: L1Origin {
                number: u64::from_be_bytes(reader.take()?),
                hash: B256::from(reader.take::<32>()?),
                timestamp: u64::from_be_bytes(reader.take()?),
                base_fee: u128::from_be_bytes(reader.take()?),
                blob_base_fee: u128::from_be_bytes(reader.take()?),
            },
            size: u64::from_be_bytes(reader.take()?),
        };
        reader.end()?;
        Ok(outcome)
    }
}

/// Reads a row from front to back.
pub(crate) struct Reader<'a> {
    pub(crate) rest: &'a [u8],
    pub(crate) table: &'static str,
}

impl<'a> Reader<'a> {
    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], StoreError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(StoreError::Row { table: self.table })?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn take<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(StoreError::Row { table: self.table })?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) const fn end(&self) -> Result<(), StoreError> {
        if self.rest.is_empty() { Ok(()) } else { Err(StoreError::Row { table: self.table }) }
    }
}

const HAS_CODE: u8 = 1;
const HAS_STORAGE: u8 = 2;

/// An account row: flags, nonce and balance each as length and trimmed bytes, then code hash and storage root if present.
pub(crate) fn encode_account(account: &Account, storage_root: B256) -> Vec<u8> {
    let mut out = Vec::with_capacity(112);
    let code = account.code_hash != KECCAK256_EMPTY;
    let storage = storage_root != EMPTY_ROOT_HASH;
    out.push(u8::from(code) * HAS_CODE + u8::from(storage) * HAS_STORAGE);
    for bytes in [&trim(&account.nonce.to_be_bytes()), &trim(&account.balance.to_be_bytes::<32>())] {
        out.push(u8::try_from(bytes.len()).unwrap_or(0));
        out.extend_from_slice(bytes);
    }
    if code {
        out.extend_from_slice(account.code_hash.as_slice());
    }
    if storage {
        out.extend_from_slice(storage_root.as_slice());
    }
    out
}

/// Inverse of [`encode_account`]; takes the row off the front of `rest`.
pub(crate) fn decode_account(rest: &mut &[u8]) -> Result<(Account, B256), StoreError> {
    let table = "accounts";
    let mut reader = Reader { rest, table };
    let [flags] = reader.take()?;
    let [length] = reader.take()?;
    let nonce = U256::try_from_be_slice(reader.bytes(length.into())?).ok_or(StoreError::Row { table })?;
    let [length] = reader.take()?;
    let balance = U256::try_from_be_slice(reader.bytes(length.into())?).ok_or(StoreError::Row { table })?;
    let code_hash = if flags & HAS_CODE != 0 { B256::from(reader.take::<32>()?) } else { KECCAK256_EMPTY };
    let root = if flags & HAS_STORAGE != 0 { B256::from(reader.take::<32>()?) } else { EMPTY_ROOT_HASH };
    *rest = reader.rest;
    let nonce = u64::try_from(nonce).map_err(|_| StoreError::Row { table })?;
    Ok((Account { nonce, balance, code_hash }, root))
}

/// A slot's row.
pub(crate) fn encode_value(value: U256) -> Vec<u8> {
    trim(&value.to_be_bytes::<32>())
}

/// Inverse of [`encode_value`].
pub(crate) fn decode_value(row: &[u8]) -> Result<U256, StoreError> {
    U256::try_from_be_slice(row).ok_or(StoreError::Row { table: "storage" })
}

fn trim(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes[zeros..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_and_outcomes_round_trip() {
        let plain = Account { nonce: 0, balance: U256::ZERO, code_hash: KECCAK256_EMPTY };
        let rich = Account { nonce: u64::MAX, balance: U256::MAX, code_hash: B256::repeat_byte(3) };
        for account in [plain, rich] {
            for root in [EMPTY_ROOT_HASH, B256::repeat_byte(9)] {
                assert_eq!(decode_account(&mut encode_account(&account, root).as_slice()).unwrap(), (account, root));
            }
        }
        assert_eq!(encode_account(&plain, EMPTY_ROOT_HASH).len(), 3);
        let outcome = Outcome { swept: U256::from(7), deposits: 3, size: 99, ..Outcome::default() };
        assert_eq!(Outcome::decode(&outcome.encode()).unwrap(), outcome);
        assert!(Outcome::decode(&outcome.encode()[1..]).is_err());
    }
}
