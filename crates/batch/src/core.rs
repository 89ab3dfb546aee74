//! The deterministic part of a batch header, out of final blocks.

use crate::BatchRange;
use alloy::primitives::{B256, U256};
use baton_primitives::{
    Anchor, Core, Epoch, ExtraData, ExtraDataError, Generation, Header, Height, Performance, SnapshotId, SystemCall,
};

/// What all batches of an epoch share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchContext {
    /// Recoveries so far.
    pub generation: Generation,
    /// The epoch.
    pub epoch: Epoch,
    /// Snapshot whose members certify it.
    pub snapshot: SnapshotId,
}

/// What execution and L1 say of a batch's last block beyond its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its origin and the deposits executed in total after it (its system transaction).
    pub system: SystemCall,
    /// Storage slot 0 of `MessagePasser` after it.
    pub withdrawals_root: B256,
    /// Wei swept out of the fee vault by it; zero unless it closes its epoch.
    pub swept: U256,
}

/// What the batch that closes an epoch adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing<'a> {
    /// What every member did in the epoch.
    pub performance: &'a Performance,
    /// Snapshot of the next epoch.
    pub next_snapshot: SnapshotId,
}

/// Why no core can be built: the caller joined parts that do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoreError {
    /// The range does not follow the previous batch.
    #[error("a batch after height {previous} must begin at the next height, not {first}")]
    Gap {
        /// Last height of the previous batch.
        previous: Height,
        /// First height of the range.
        first: Height,
    },
    /// The header is not the range's last.
    #[error("the last header of the range must have height {expected}, not {actual}")]
    Header {
        /// Last height of the range.
        expected: Height,
        /// Height of the header.
        actual: u64,
    },
    /// The last header's extra data is malformed.
    #[error(transparent)]
    Extra(#[from] ExtraDataError),
    /// Closing parts for a batch that does not close its epoch, or none for one that does.
    #[error("batch up to height {last} has closing parts: {given}, closes its epoch: {closing}")]
    Closing {
        /// Last height of the range.
        last: Height,
        /// Whether closing parts were given.
        given: bool,
        /// Whether the range closes its epoch.
        closing: bool,
    },
    /// Fees were swept in a block that is not its epoch's last.
    #[error("{swept} wei were swept at height {last}, which closes no epoch")]
    Swept {
        /// Last height of the range.
        last: Height,
        /// The amount.
        swept: U256,
    },
}

/// The core of the batch `range` after the batch `previous`. `last` is the header of the range's last block.
///
/// # Errors
/// If the parts do not belong together.
pub fn core(
    previous: &Anchor,
    context: &BatchContext,
    range: &BatchRange,
    last: &Header,
    outcome: &Outcome,
    closing: Option<Closing<'_>>,
) -> Result<Core, CoreError> {
    if range.first != previous.last_height.next() {
        return Err(CoreError::Gap { previous: previous.last_height, first: range.first });
    }
    if last.number != range.last.get() {
        return Err(CoreError::Header { expected: range.last, actual: last.number });
    }
    if closing.is_some() != range.closing {
        return Err(CoreError::Closing { last: range.last, given: closing.is_some(), closing: range.closing });
    }
    if !range.closing && !outcome.swept.is_zero() {
        return Err(CoreError::Swept { last: range.last, swept: outcome.swept });
    }
    Ok(Core {
        version: Core::VERSION,
        generation: context.generation,
        index: previous.index.next(),
        previous: previous.core_hash,
        epoch: context.epoch,
        snapshot: context.snapshot,
        first_height: range.first,
        last_height: range.last,
        last_view: ExtraData::from_bytes(&last.extra_data)?.view,
        last_block: last.hash_slow(),
        last_timestamp: last.timestamp,
        state_root: last.state_root,
        origin_number: outcome.system.origin.number,
        origin_hash: outcome.system.origin.hash,
        deposits: outcome.system.deposits,
        withdrawals_root: outcome.withdrawals_root,
        closing: range.closing,
        fees: outcome.swept,
        performance: closing.as_ref().map_or(B256::ZERO, |c| c.performance.hash()),
        next_snapshot: closing.as_ref().map_or(SnapshotId::ZERO, |c| c.next_snapshot),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_primitives::{BatchIndex, MemberPerformance, View};

    fn anchor() -> Anchor {
        Anchor {
            index: BatchIndex::new(3),
            core_hash: B256::repeat_byte(1),
            last_height: Height::new(230),
            last_block: B256::repeat_byte(2),
            state_root: B256::repeat_byte(3),
        }
    }

    fn header(number: u64) -> Header {
        let extra = ExtraData { view: View::new(44), parent_view: View::new(43), millis: 10 };
        Header { number, timestamp: 77, extra_data: extra.to_bytes(), ..Header::default() }
    }

    fn outcome(swept: u64) -> Outcome {
        let system = SystemCall { deposits: 5, ..SystemCall::default() };
        Outcome { system, withdrawals_root: B256::repeat_byte(9), swept: U256::from(swept) }
    }

    const CONTEXT: BatchContext =
        BatchContext { generation: Generation::ZERO, epoch: Epoch::ZERO, snapshot: SnapshotId::ZERO };

    #[test]
    fn a_closing_core_chains_to_the_previous_and_binds_fees_performance_and_successor() {
        let performance = Performance(vec![MemberPerformance { blocks_led: 4, terms_missed: 1 }]);
        let range = BatchRange { first: Height::new(231), last: Height::new(239), closing: true };
        let closing = Closing { performance: &performance, next_snapshot: SnapshotId::new(6) };
        let core = core(&anchor(), &CONTEXT, &range, &header(239), &outcome(12), Some(closing)).unwrap();
        assert_eq!((core.index, core.previous), (BatchIndex::new(4), anchor().core_hash));
        assert_eq!((core.last_view, core.last_block), (View::new(44), header(239).hash_slow()));
        assert_eq!((core.fees, core.performance), (U256::from(12), performance.hash()));
        assert_eq!((core.next_snapshot, core.deposits, core.closing), (SnapshotId::new(6), 5, true));
        assert_eq!(core.anchor().core_hash, core.hash());
    }

    #[test]
    fn parts_that_do_not_belong_together_are_refused() {
        let range = BatchRange { first: Height::new(231), last: Height::new(232), closing: false };
        let build = |range: &BatchRange, header: &Header, outcome: &Outcome| {
            core(&anchor(), &CONTEXT, range, header, outcome, None)
        };
        assert!(build(&range, &header(232), &outcome(0)).is_ok());
        assert!(matches!(build(&range, &header(233), &outcome(0)), Err(CoreError::Header { .. })));
        assert!(matches!(build(&range, &header(232), &outcome(1)), Err(CoreError::Swept { .. })));
        assert!(matches!(
            build(&BatchRange { first: Height::new(232), ..range }, &header(232), &outcome(0)),
            Err(CoreError::Gap { .. })
        ));
        assert!(matches!(
            build(&BatchRange { closing: true, ..range }, &header(232), &outcome(0)),
            Err(CoreError::Closing { .. })
        ));
        assert!(matches!(
            build(&range, &Header { extra_data: Default::default(), ..header(232) }, &outcome(0)),
            Err(CoreError::Extra(_))
        ));
    }
}
