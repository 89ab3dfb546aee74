//! Where batches end: a pure function of final blocks, counted from the last cut.

use crate::{MAX_BLOCK_DATA, input::data_bytes};
use baton_primitives::{Height, Parameters, RecoveredBlock};

/// A contiguous range of final blocks, all of one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchRange {
    /// First block.
    pub first: Height,
    /// Last block.
    pub last: Height,
    /// Whether the last block is its epoch's last.
    pub closing: bool,
}

impl BatchRange {
    /// How many blocks it has.
    pub const fn blocks(&self) -> u64 {
        self.last.saturating_since(self.first).saturating_add(1)
    }
}

/// What the cut rule reads of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockFacts {
    /// Height.
    pub height: Height,
    /// Time, ms since the Unix epoch.
    pub time_millis: u64,
    /// Bytes of its pool transactions.
    pub data_bytes: u64,
    /// Whether it is its epoch's last.
    pub closes_epoch: bool,
}

impl BlockFacts {
    /// Reads them out of a block.
    pub fn of(block: &RecoveredBlock, epoch_blocks: u64) -> Self {
        Self {
            height: block.height(),
            time_millis: block.time_millis(),
            data_bytes: data_bytes(block),
            closes_epoch: block.height().closes_epoch(epoch_blocks),
        }
    }
}

/// Why a block is refused by the cutter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cutter needs block {expected} next, got {actual}")]
pub struct CutError {
    /// The height it needs.
    pub expected: Height,
    /// The height it got.
    pub actual: Height,
}

/// Cuts final blocks into batches. After a restart it is started again from the anchor's height and fed the blocks above
/// it: it then cuts exactly where every other node does.
///
/// A batch ends
/// - with the last block of an epoch;
/// - with the block whose time is `batch_max_age_ms` or more after the batch's first block;
/// - before the block with which it would exceed `batch_max_bytes` (each block counts its transactions and 16 bytes). A
///   block that exceeds it alone is a batch of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cutter {
    max_bytes: u64,
    max_age_ms: u64,
    next: Height,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    first: Height,
    first_millis: u64,
    bytes: u64,
}

/// What a block counts besides its transactions.
const BLOCK_BYTES: u64 = 16;

impl Cutter {
    /// A cutter whose next batch begins after `last`, the last block of the last batch (the anchor's, or 0).
    pub fn new(parameters: &Parameters, last: Height) -> Self {
        Self {
            max_bytes: parameters.batch_max_bytes.min(MAX_BLOCK_DATA),
            max_age_ms: parameters.batch_max_age_ms,
            next: last.next(),
            open: None,
        }
    }

    /// The height it needs next.
    pub const fn next(&self) -> Height {
        self.next
    }

    /// Takes the next final block and returns the batches it ends, in order: none, one, or two (the one before it, for its
    /// size, and itself).
    ///
    /// # Errors
    /// If the block is not the next one; the cutter is then unchanged.
    pub fn push(&mut self, block: &BlockFacts) -> Result<Vec<BatchRange>, CutError> {
        if block.height != self.next {
            return Err(CutError { expected: self.next, actual: block.height });
        }
        let mut ranges = Vec::new();
        let size = block.data_bytes.saturating_add(BLOCK_BYTES);
        if let (Some(open), Some(last)) = (self.open, block.height.previous())
            && open.bytes.saturating_add(size) > self.max_bytes
        {
            ranges.push(BatchRange { first: open.first, last, closing: false });
            self.open = None;
        }
        let fresh = Open { first: block.height, first_millis: block.time_millis, bytes: 0 };
        let mut open = self.open.take().unwrap_or(fresh);
        open.bytes = open.bytes.saturating_add(size);
        let age = block.time_millis.saturating_sub(open.first_millis);
        if block.closes_epoch || age >= self.max_age_ms || open.bytes >= self.max_bytes {
            ranges.push(BatchRange { first: open.first, last: block.height, closing: block.closes_epoch });
        } else {
            self.open = Some(open);
        }
        self.next = block.height.next();
        Ok(ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EPOCH: u64 = 240;

    fn facts(height: u64, time_millis: u64, data_bytes: u64) -> BlockFacts {
        let height = Height::new(height);
        BlockFacts { height, time_millis, data_bytes, closes_epoch: height.closes_epoch(EPOCH) }
    }

    fn range(first: u64, last: u64, closing: bool) -> BatchRange {
        BatchRange { first: Height::new(first), last: Height::new(last), closing }
    }

    fn cutter(last: u64) -> Cutter {
        Cutter::new(&Parameters::devnet(), Height::new(last))
    }

    #[test]
    fn a_batch_ends_with_the_block_that_reaches_the_age() {
        let mut cutter = cutter(0);
        assert_eq!(cutter.push(&facts(1, 1_000, 0)).unwrap(), []);
        assert_eq!(cutter.push(&facts(2, 4_999, 0)).unwrap(), []);
        assert_eq!(cutter.push(&facts(3, 5_000, 0)).unwrap(), [range(1, 3, false)]);
        assert_eq!(cutter.push(&facts(4, 5_050, 0)).unwrap(), []);
    }

    #[test]
    fn a_batch_ends_before_the_block_that_exceeds_the_size() {
        let mut cutter = cutter(0);
        assert_eq!(cutter.push(&facts(1, 0, 300_000)).unwrap(), []);
        assert_eq!(cutter.push(&facts(2, 50, 99_968)).unwrap(), [range(1, 2, false)]);
        assert_eq!(cutter.push(&facts(3, 100, 10)).unwrap(), []);
        assert_eq!(cutter.push(&facts(4, 150, 600_000)).unwrap(), [range(3, 3, false), range(4, 4, false)]);
    }

    #[test]
    fn a_batch_ends_with_the_epoch() {
        let mut cutter = cutter(237);
        assert_eq!(cutter.push(&facts(238, 0, 0)).unwrap(), []);
        assert_eq!(cutter.push(&facts(239, 50, 0)).unwrap(), [range(238, 239, true)]);
    }

    #[test]
    fn a_block_out_of_order_is_refused_and_changes_nothing() {
        let mut cutter = cutter(7);
        let before = cutter.clone();
        let error = CutError { expected: Height::new(8), actual: Height::new(9) };
        assert_eq!(cutter.push(&facts(9, 0, 0)), Err(error));
        assert_eq!(cutter, before);
    }

    proptest! {
        #[test]
        fn ranges_tile_the_blocks_within_limits_and_restart_anywhere_the_same(
            blocks in prop::collection::vec((1u64..3_000, prop_oneof![Just(0u64), 0u64..150_000, 0u64..=MAX_BLOCK_DATA]), 1..600),
        ) {
            let parameters = Parameters::devnet();
            let mut time = 0;
            let all: Vec<_> = (1..).zip(&blocks).map(|(h, (step, bytes))| { time += step; facts(h, time, *bytes) }).collect();
            let cut = |from: u64| {
                let mut cutter = cutter(from);
                all.iter().filter(|b| b.height.get() > from).flat_map(|b| cutter.push(b).unwrap()).collect::<Vec<_>>()
            };
            let ranges = cut(0);
            let mut next = 1;
            for (i, r) in ranges.iter().enumerate() {
                prop_assert_eq!(r.first.get(), next);
                next = r.last.get() + 1;
                let inside = &all[usize::try_from(r.first.get()).unwrap() - 1..usize::try_from(r.last.get()).unwrap()];
                let bytes: u64 = inside.iter().map(|b| b.data_bytes + BLOCK_BYTES).sum();
                prop_assert!(inside.len() == 1 || bytes <= parameters.batch_max_bytes);
                let before_last = &inside[..inside.len() - 1];
                prop_assert!(before_last.iter().all(|b| b.time_millis - inside[0].time_millis < parameters.batch_max_age_ms));
                prop_assert!(before_last.iter().all(|b| !b.closes_epoch));
                prop_assert_eq!(r.closing, inside.last().unwrap().closes_epoch);
                prop_assert_eq!(&cut(r.last.get())[..], &ranges[i + 1..]);
            }
        }
    }
}
