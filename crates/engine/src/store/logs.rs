//! Which blocks may hold logs that match a filter, found by what the logs are made of.
//!
//! A final block with logs has, in its commit, a row for each different address and each different topic (at its place) of its
//! logs, and one for having any:
//!
//! ```text
//!   digest of the value (5 bytes), height (5 bytes) -> the logs' places in the block modulo 32, a bit each
//! ```
//!
//! A query follows the rows of its values side by side, each leaping to where the others are: it costs what the rarest of them
//! has rows, whatever the range. The bits keep out blocks in which the values belong to different logs.

use super::{
    Snapshot,
    tables::{LOGS, LogKey},
};
use crate::{error::StoreError, executed::ExecutedBlock, state::Base};
use alloy::{consensus::TxReceipt, rpc::types::Filter};
use redb::{Range, WriteTransaction};
use std::{ops::RangeInclusive, sync::Arc};

/// Where in a log a value is: nowhere in particular, its address, or its topics from this one on.
const ANY: u8 = 0;
pub(super) const ADDRESS: u8 = 1;
const TOPICS: u8 = 2;

/// Five bytes of a hash of a value at a place. It need not resist attacks: who finds two values with one digest makes readers
/// look at a block in vain, and a log with the value itself would do that too.
pub(super) fn digest(place: u8, value: &[u8]) -> u64 {
    let words = value.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_be_bytes(word)
    });
    words.fold(mix(place.into()), |hash, word| mix(hash ^ word)) >> 24
}

/// The finalizer of MurmurHash3: every bit of the input changes half of the output's.
const fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let word = (word ^ (word >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ (word >> 33)
}

fn key(digest: u64, height: u64) -> LogKey {
    let mut key = [0; 10];
    key[..5].copy_from_slice(&digest.to_be_bytes()[3..]);
    key[5..].copy_from_slice(&height.to_be_bytes()[3..]);
    key
}

fn height_of(key: &LogKey) -> u64 {
    key[5..].iter().fold(0, |height, byte| height << 8 | u64::from(*byte))
}

/// Writes the rows of these blocks, each once and in key order.
pub(super) fn write_logs(transaction: &WriteTransaction, blocks: &[&ExecutedBlock]) -> Result<(), StoreError> {
    let mut rows: Vec<(LogKey, u32)> = Vec::new();
    for block in blocks {
        let height = block.height();
        let logs = block.receipts.iter().flat_map(|receipt| receipt.logs());
        for (log, bit) in logs.zip((0..32).cycle().map(|place| 1 << place)) {
            rows.push((key(digest(ANY, &[]), height), bit));
            rows.push((key(digest(ADDRESS, log.address.as_slice()), height), bit));
            let topics = log.topics().iter().zip(TOPICS..);
            rows.extend(topics.map(|(topic, place)| (key(digest(place, topic.as_slice()), height), bit)));
        }
    }
    rows.sort_unstable();
    let mut table = transaction.open_table(LOGS)?;
    for same in rows.chunk_by(|(one, _), (other, _)| one == other) {
        let bits = same.iter().fold(0, |bits, (_, bit)| bits | bit);
        table.insert(&same[0].0, bits)?;
    }
    Ok(())
}

/// The heights of final blocks, ascending, that may hold logs which match a filter; none that does is left out.
#[derive(Debug)]
pub struct LogHeights {
    base: Arc<Base>,
    /// One for each place of a log that the filter speaks of.
    places: Vec<Place>,
    next: u64,
    last: u64,
    /// Then these, which have no rows yet.
    unwritten: RangeInclusive<u64>,
}

impl LogHeights {
    /// The filter's own range counts for nothing.
    pub(crate) fn new(base: Arc<Base>, filter: &Filter, heights: RangeInclusive<u64>) -> Result<Self, StoreError> {
        let (next, last) = (*heights.start(), (*heights.end()).min(base.written));
        let unwritten = next.max(base.written.saturating_add(1))..=(*heights.end()).min(base.height);
        let addresses = filter.address.iter().map(|address| digest(ADDRESS, address.as_slice())).collect();
        let topics = filter.topics.iter().zip(TOPICS..);
        let topics = topics.map(|(topics, place)| topics.iter().map(|topic| digest(place, topic.as_slice())).collect());
        let mut wanted: Vec<Vec<u64>> = std::iter::once(addresses).chain(topics).collect();
        wanted.retain(|alternatives| !alternatives.is_empty());
        if wanted.is_empty() {
            wanted.push(vec![digest(ANY, &[])]);
        }
        let place = |alternatives: Vec<u64>| -> Result<Place, StoreError> {
            let mut walks = Vec::with_capacity(alternatives.len());
            for digest in alternatives {
                walks.extend(Walk::from(&base.snapshot, digest, next, last)?);
            }
            Ok(Place(walks))
        };
        let places = wanted.into_iter().map(place).collect::<Result<_, _>>()?;
        Ok(Self { base, places, next, last, unwritten })
    }

    fn find(&mut self) -> Result<Option<u64>, StoreError> {
        'height: while self.next <= self.last {
            let height = self.next;
            let mut bits = u32::MAX;
            for place in &mut self.places {
                let Some(found) = place.leap(&self.base.snapshot, height, self.last)? else {
                    self.next = u64::MAX;
                    return Ok(None);
                };
                if found > height {
                    self.next = found;
                    continue 'height;
                }
                bits &= place.bits(height);
            }
            self.next = height.saturating_add(1);
            if bits != 0 {
                return Ok(Some(height));
            }
        }
        Ok(None)
    }
}

impl Iterator for LogHeights {
    type Item = Result<u64, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.find().transpose() {
            None => self.unwritten.next().map(Ok),
            found => found,
        }
    }
}

/// The rows of the values that one place of a log may have.
#[derive(Debug)]
struct Place(Vec<Walk>);

impl Place {
    /// Moves on to `height` or above; the least height there.
    fn leap(&mut self, snapshot: &Snapshot, height: u64, last: u64) -> Result<Option<u64>, StoreError> {
        let mut at = 0;
        while let Some(walk) = self.0.get_mut(at) {
            if walk.leap(snapshot, height, last)? {
                at += 1;
            } else {
                self.0.swap_remove(at);
            }
        }
        Ok(self.0.iter().map(|walk| walk.height).min())
    }

    /// The logs of the block at `height` that have one of the values.
    fn bits(&self, height: u64) -> u32 {
        self.0.iter().filter(|walk| walk.height == height).fold(0, |bits, walk| bits | walk.bits)
    }
}

/// The rows of one value, and where in them the query is.
struct Walk {
    digest: u64,
    rows: Range<'static, &'static LogKey, u32>,
    height: u64,
    bits: u32,
}

impl std::fmt::Debug for Walk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walk").field("height", &self.height).finish_non_exhaustive()
    }
}

impl Walk {
    /// At the first row from `height` on; `None` if there is none.
    fn from(snapshot: &Snapshot, digest: u64, height: u64, last: u64) -> Result<Option<Self>, StoreError> {
        if height > last {
            return Ok(None);
        }
        let rows = snapshot.logs.range::<&LogKey>(&key(digest, height)..=&key(digest, last))?;
        let mut walk = Self { digest, rows, height: 0, bits: 0 };
        Ok(walk.step()?.then_some(walk))
    }

    /// Takes the next row; false if there is none.
    fn step(&mut self) -> Result<bool, StoreError> {
        let Some(row) = self.rows.next() else { return Ok(false) };
        let (key, bits) = row?;
        (self.height, self.bits) = (height_of(key.value()), bits.value());
        Ok(true)
    }

    /// Moves on to `height` or above; false if there is nothing. What is wanted is often the next row, which costs less than a
    /// new search.
    fn leap(&mut self, snapshot: &Snapshot, height: u64, last: u64) -> Result<bool, StoreError> {
        if self.height >= height {
            return Ok(true);
        }
        if !self.step()? {
            return Ok(false);
        }
        if self.height >= height {
            return Ok(true);
        }
        match Self::from(snapshot, self.digest, height, last)? {
            Some(walk) => *self = walk,
            None => return Ok(false),
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::{B256, U256};
    use std::collections::HashSet;

    #[test]
    fn keys_sort_by_digest_then_height() {
        let mut keys: Vec<_> = [(1, 256), (1, 255), (2, 0), (1, (1 << 40) - 1)].map(|(d, h)| key(d, h)).into();
        keys.sort_unstable();
        assert_eq!(keys.iter().map(height_of).collect::<Vec<_>>(), [255, 256, (1 << 40) - 1, 0]);
    }

    #[test]
    fn digests_of_small_numbers_differ_and_so_do_places() {
        let topics = (0..50_000u64).map(|number| B256::from(U256::from(number)));
        let digests: HashSet<u64> =
            topics.flat_map(|topic| (TOPICS..TOPICS + 4).map(move |place| digest(place, topic.as_slice()))).collect();
        // 200,000 values of 40 bits: 0.02 pairs are expected to collide.
        assert!(digests.len() > 200_000 - 3, "{}", digests.len());
        assert!(digests.iter().all(|digest| *digest < 1 << 40));
    }
}
