//! In which blocks an address has transactions: as their sender, recipient or created contract, or because it emitted a log.
//! Calls inside of transactions are not looked at.
//!
//! A block of transfers has thousands of addresses, too many for a row each. So a commit writes
//! one segment, the sorted pairs (address, height) of all its blocks, in pieces that fill a page; and when there are eight
//! segments of one level side by side, they become one of the next:
//!
//! ```text
//!   segments:   last height -> first height, level, count of pairs
//!   addresses:  last height of the segment, first pair -> the pairs after that one, as differences
//! ```
//!
//! A pair takes few bytes (a transfer's two some 7 together), and is written once more with each level. A search looks at one piece of each segment of its range.

use super::{
    Snapshot,
    logs::{ADDRESS, digest},
    tables::{POSTINGS, PairKey, SEGMENTS, SegmentRow},
};
use crate::{error::StoreError, executed::ExecutedBlock, state::Base};
use alloy::{
    consensus::{Transaction as _, TxReceipt},
    primitives::Address,
};
use baton_primitives::predeploys::{L1_BLOCK, SYSTEM_DEPOSITOR};
use op_alloy_consensus::OpReceipt;
use redb::{Range, ReadableTable, Table, WriteTransaction};
use std::{ops::RangeInclusive, sync::Arc, vec};

/// Digest of an address, height.
type Pair = (u32, u64);
type Pieces<'a> = Table<'a, PairKey, &'static [u8]>;

/// Segments of one level that become one of the next.
const FAN_OUT: usize = 8;
/// Most pairs of a segment that is made of others: they are read and written within one commit.
const MAX_PAIRS: u64 = 1 << 18;
/// Bytes of a piece: with its key and the page's header one fills a page of 4,096 bytes.
const PIECE_BYTES: usize = 4_048;
/// Longest pair, bytes: 5 of a difference of digests, 10 of a height.
const PAIR_BYTES: usize = 15;

/// Four bytes of a hash. Two addresses that share them make a search look at a block in vain.
fn short(address: &Address) -> u32 {
    let [.., a, b, c, d, _] = digest(ADDRESS, address.as_slice()).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// Sender and recipient of the system transaction are in every block: they have no pairs.
fn is_everywhere(address: &Address) -> bool {
    [SYSTEM_DEPOSITOR, L1_BLOCK].contains(address)
}

fn addresses(block: &ExecutedBlock) -> impl Iterator<Item = Address> {
    let transactions = block.block.transactions().iter().zip(block.block.senders()).zip(block.receipts.iter());
    transactions.flat_map(|((transaction, sender), receipt)| {
        let nonce = match receipt {
            OpReceipt::Deposit(deposit) => deposit.deposit_nonce.unwrap_or_default(),
            OpReceipt::Legacy(_)
            | OpReceipt::Eip2930(_)
            | OpReceipt::Eip1559(_)
            | OpReceipt::Eip7702(_)
            | OpReceipt::PostExec(_) => transaction.nonce(),
        };
        let other = transaction.to().unwrap_or_else(|| sender.create(nonce));
        let emitters = receipt.logs().iter().map(|log| log.address);
        [*sender, other].into_iter().chain(emitters).filter(|address| !is_everywhere(address))
    })
}

/// Consecutive blocks whose pairs are sorted together.
#[derive(Clone, Copy, Debug)]
struct Segment {
    first: u64,
    last: u64,
    /// How often it was merged.
    level: u32,
    pairs: u64,
}

impl Segment {
    const fn of(last: u64, (first, level, pairs): SegmentRow) -> Self {
        Self { first, last, level, pairs }
    }

    const fn row(&self) -> SegmentRow {
        (self.first, self.level, self.pairs)
    }

    const fn pieces(&self) -> RangeInclusive<PairKey> {
        (self.last, 0, 0)..=(self.last, u32::MAX, u64::MAX)
    }

    /// Writes its pairs.
    fn put(&self, table: &mut Pieces<'_>, pairs: &[Pair]) -> Result<(), StoreError> {
        let mut rest = pairs;
        let mut row = Vec::with_capacity(PIECE_BYTES);
        while let Some((start, after)) = rest.split_first() {
            row.clear();
            let (mut before, mut taken) = (*start, 0);
            for pair in after {
                if row.len() + PAIR_BYTES > PIECE_BYTES {
                    break;
                }
                let more = pair.0 - before.0;
                put_number(&mut row, more.into());
                put_number(&mut row, pair.1 - if more == 0 { before.1 } else { self.first });
                before = *pair;
                taken += 1;
            }
            table.insert((self.last, start.0, start.1), row.as_slice())?;
            rest = &after[taken..];
        }
        Ok(())
    }

    /// Reads the pairs of one piece.
    fn read(&self, (_, digest, height): PairKey, mut row: &[u8], mut each: impl FnMut(Pair)) -> Result<(), StoreError> {
        let mut pair = (digest, height);
        each(pair);
        while !row.is_empty() {
            let (more, height) = (take_number(&mut row)?, take_number(&mut row)?);
            let digest = u64::from(pair.0).saturating_add(more);
            let from = if more == 0 { pair.1 } else { self.first };
            pair = (u32::try_from(digest).map_err(|_| TORN)?, from.saturating_add(height));
            each(pair);
        }
        Ok(())
    }
}

const TORN: StoreError = StoreError::Row { table: "addresses" };

/// LEB128.
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn take_number(row: &mut &[u8]) -> Result<u64, StoreError> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = row.split_first().ok_or(TORN)?;
        *row = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(TORN)
}

/// Writes the pairs of these blocks, contiguous and ascending.
pub(super) fn write_addresses(transaction: &WriteTransaction, blocks: &[&ExecutedBlock]) -> Result<(), StoreError> {
    let mut segments = transaction.open_table(SEGMENTS)?;
    let mut pieces = transaction.open_table(POSTINGS)?;
    let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else { return Ok(()) };
    let mut pairs: Vec<Pair> = Vec::new();
    for block in blocks {
        pairs.extend(addresses(block).map(|address| (short(&address), block.height())));
    }
    pairs.sort_unstable();
    pairs.dedup();
    if pairs.is_empty() {
        return Ok(());
    }
    let mut new = Segment { first: first.height(), last: last.height(), level: 0, pairs: pairs.len() as u64 };
    while let Some(older) = to_merge(&segments, &new)? {
        for segment in older {
            for piece in pieces.extract_from_if(segment.pieces(), |_, _| true)? {
                let (key, row) = piece?;
                segment.read(key.value(), row.value(), |pair| pairs.push(pair))?;
            }
            segments.remove(segment.last)?;
            new.first = segment.first;
        }
        // Made for what this is: a few sorted runs.
        pairs.sort();
        (new.level, new.pairs) = (new.level.saturating_add(1), pairs.len() as u64);
    }
    new.put(&mut pieces, &pairs)?;
    segments.insert(new.last, new.row())?;
    Ok(())
}

/// The segments before this one that become one with it, newest first.
fn to_merge(segments: &Table<'_, u64, SegmentRow>, new: &Segment) -> Result<Option<Vec<Segment>>, StoreError> {
    let mut older = Vec::with_capacity(FAN_OUT - 1);
    let mut pairs = new.pairs;
    for row in segments.range::<u64>(..)?.rev().take(FAN_OUT - 1) {
        let (last, row) = row?;
        let segment = Segment::of(last.value(), row.value());
        pairs = pairs.saturating_add(segment.pairs);
        if segment.level != new.level || pairs > MAX_PAIRS {
            return Ok(None);
        }
        older.push(segment);
    }
    Ok((older.len() == FAN_OUT - 1).then_some(older))
}

/// The heights of final blocks that may hold transactions of an address; none that does is left out.
pub struct AddressHeights {
    base: Arc<Base>,
    digest: u32,
    heights: RangeInclusive<u64>,
    newest_first: bool,
    segments: Option<Range<'static, u64, SegmentRow>>,
    found: vec::IntoIter<u64>,
    /// These have no pairs: after all others, or before if the newest come first.
    unwritten: RangeInclusive<u64>,
}

impl std::fmt::Debug for AddressHeights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddressHeights").field("heights", &self.heights).finish_non_exhaustive()
    }
}

impl AddressHeights {
    pub(crate) fn new(
        base: Arc<Base>,
        address: &Address,
        heights: RangeInclusive<u64>,
        newest_first: bool,
    ) -> Result<Self, StoreError> {
        let (start, end) = (*heights.start(), (*heights.end()).min(base.height));
        let written = if is_everywhere(address) { None } else { Some(end.min(base.written)) };
        let unwritten = written.map_or(start, |written| start.max(written.saturating_add(1)))..=end;
        let segments = match written.filter(|end| start <= *end) {
            Some(end) => {
                // The first that ends there or later is the last that may hold anything of it.
                let top = base.snapshot.segments.range(end..)?.next().transpose()?;
                let top = top.map_or(end, |(last, _)| last.value());
                Some(base.snapshot.segments.range(start..=top)?)
            }
            None => None,
        };
        let heights = start..=written.unwrap_or(end);
        Ok(Self {
            base,
            digest: short(address),
            heights,
            newest_first,
            segments,
            found: Vec::new().into_iter(),
            unwritten,
        })
    }

    fn find(&mut self) -> Result<Option<u64>, StoreError> {
        loop {
            if let Some(height) = self.found.next() {
                return Ok(Some(height));
            }
            let Some(segments) = &mut self.segments else { return Ok(None) };
            let next = if self.newest_first { segments.next_back() } else { segments.next() };
            let Some((last, row)) = next.transpose()? else { return Ok(None) };
            let mut found = search(&self.base.snapshot, &Segment::of(last.value(), row.value()), self.digest)?;
            found.retain(|height| self.heights.contains(height));
            if self.newest_first {
                found.reverse();
            }
            self.found = found.into_iter();
        }
    }

    fn find_unwritten(&mut self) -> Option<u64> {
        if self.newest_first { self.unwritten.next_back() } else { self.unwritten.next() }
    }
}

/// The heights of a digest in a segment, ascending.
fn search(snapshot: &Snapshot, segment: &Segment, digest: u32) -> Result<Vec<u64>, StoreError> {
    let mut found = Vec::new();
    // From the last piece that begins at or before its last pair, back to one that begins before its first.
    for piece in snapshot.addresses.range((segment.last, 0, 0)..=(segment.last, digest, u64::MAX))?.rev() {
        let (key, row) = piece?;
        let key = key.value();
        segment.read(key, row.value(), |pair| found.extend((pair.0 == digest).then_some(pair.1)))?;
        if key.1 < digest {
            break;
        }
    }
    found.sort_unstable();
    Ok(found)
}

impl Iterator for AddressHeights {
    type Item = Result<u64, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.newest_first
            && let Some(height) = self.find_unwritten()
        {
            return Some(Ok(height));
        }
        self.find().transpose().or_else(|| self.find_unwritten().map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip_and_a_torn_one_is_refused() {
        for number in [0, 1, 0x7f, 0x80, 300, u64::from(u32::MAX), u64::MAX] {
            let mut row = Vec::new();
            put_number(&mut row, number);
            assert_eq!(take_number(&mut row.as_slice()).unwrap(), number);
            assert!(take_number(&mut &row[..row.len() - 1]).is_err());
        }
        assert!(take_number(&mut [0xff; 11].as_slice()).is_err());
    }
}
